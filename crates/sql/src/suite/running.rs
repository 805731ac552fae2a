//! How jobs are ended from outside, and how they are counted. Must not know a backend.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{LIMIT, Open, eventually, failure, outcome, rows, running_with, value};
use crate::{ErrorKind, Job, JobTimes, Statement};

fn sleep(mark: &str) -> Job {
    Statement::new(format!("SELECT pg_sleep(60) /* {mark} */"), ()).into()
}

/// Nothing of it was sent.
pub fn a_job_that_waits_can_be_cancelled_and_never_runs(open: Open) {
    let (db, other) = (open(1), open(1));
    rows(&*other, "DROP TABLE IF EXISTS suite_waiting");
    rows(&*other, "CREATE TABLE suite_waiting (n int)");
    let long = db.submit(sleep("suite before"));
    eventually("it runs", || running_with(&*other, "suite before") == 1);
    let waiting = db.submit(Statement::new("INSERT INTO suite_waiting VALUES (1)", ()).into());
    waiting.cancel();
    assert_eq!(failure(waiting).kind(), ErrorKind::Cancelled);
    long.cancel();
    assert_eq!(failure(long).kind(), ErrorKind::Cancelled);
    assert_eq!(value::<i64>(&*db, "SELECT count(*) FROM suite_waiting"), 0);
}

/// At once, and what it had done is undone.
pub fn a_job_that_runs_can_be_cancelled_and_its_statement_stops(open: Open) {
    let (db, other) = (open(2), open(1));
    rows(&*other, "DROP TABLE IF EXISTS suite_running");
    rows(&*other, "CREATE TABLE suite_running (n int)");
    let insert = Statement::new("INSERT INTO suite_running VALUES (1)", ());
    let job = Job::new(insert).then(sleep("suite while").first);
    let long = db.submit(job);
    eventually("it runs", || running_with(&*other, "suite while") == 1);
    let handle = long.cancel_handle();
    let began = Instant::now();
    handle.cancel();
    assert_eq!(failure(long).kind(), ErrorKind::Cancelled);
    eventually("it stops", || running_with(&*other, "suite while") == 0);
    assert!(began.elapsed() < LIMIT);
    assert_eq!(value::<i64>(&*db, "SELECT count(*) FROM suite_running"), 0);
}

/// Of one that has its connection made, of one that waits behind it, and of one that fails.
pub fn what_the_time_of_a_job_went_into_is_told(open: Open) {
    let db = open(1);
    let submit = |sql: &'static str| {
        let times = Arc::new(JobTimes::default());
        let job = Job::new(Statement::new(sql, ())).timed(times.clone());
        (times, db.submit(job))
    };
    let nap = Duration::from_millis(200);
    let (first, long) = submit("SELECT pg_sleep(0.2)");
    let (second, quick) = submit("SELECT 1");
    assert!(outcome(long).is_ok() && outcome(quick).is_ok());
    assert!(first.connecting() > Duration::ZERO, "{first:?}");
    assert!(first.database() >= nap, "{first:?}");
    assert!(second.waited() + second.connecting() >= nap, "{second:?}");
    assert!(second.waited() >= second.database(), "{second:?}");
    let (third, wrong) = submit("SELECT 1 / (1 - length(pg_sleep(0.2)::text || 'x'))");
    failure(wrong);
    assert!(third.database() >= nap, "{third:?}");
    assert!(third.connecting() < nap, "it is there already: {third:?}");

    let long = db.submit(sleep("suite times"));
    let (fourth, waiting) = submit("SELECT 1");
    eventually("it runs", || db.stats().running == 1);
    waiting.cancel();
    failure(waiting);
    assert_eq!(fourth.database(), Duration::ZERO, "{fourth:?}");
    long.cancel();
    failure(long);
}

/// Jobs that run, that wait, that are done, and that failed.
pub fn the_figures_are_those_of_the_moment(open: Open) {
    let (db, other) = (open(1), open(1));
    assert_eq!((db.max_connections(), open(7).max_connections()), (1, 7));
    rows(&*db, "SELECT 1");
    failure(db.submit(Statement::new("SELECT 1 / 0", ()).into()));
    eventually("both are counted", || db.stats().jobs == 2);
    let stats = db.stats();
    assert_eq!((stats.errors.database, stats.opened), (1, 1));
    assert_eq!((stats.connections, stats.running, stats.waiting), (1, 0, 0));
    let long = db.submit(sleep("suite figures"));
    eventually("it runs", || running_with(&*other, "suite figures") == 1);
    let waiting = [
        db.submit(sleep("suite figures")),
        db.submit(sleep("suite figures")),
    ];
    let stats = db.stats();
    assert_eq!((stats.busy, stats.running, stats.waiting), (1, 1, 2));
    for job in waiting.into_iter().chain([long]) {
        job.cancel();
        assert_eq!(failure(job).kind(), ErrorKind::Cancelled);
    }
    eventually("they are counted", || db.stats().errors.cancelled == 3);
}

/// Its result comes.
pub fn a_close_lets_what_runs_end_within_its_grace(open: Open) {
    let (db, other) = (open(1), open(1));
    let statement = "SELECT pg_sleep(0.3) /* suite grace */";
    let quick = db.submit(Statement::new(statement, ()).into());
    eventually("it runs", || running_with(&*other, "suite grace") == 1);
    let waiting = db.submit(sleep("suite waits"));
    db.close(LIMIT);
    outcome(quick).expect("it had the time");
    assert_eq!(failure(waiting).kind(), ErrorKind::Closed);
}

/// And whatever comes later fails the same way.
pub fn a_close_ends_what_runs_on_after_its_grace(open: Open) {
    let (db, other) = (open(1), open(1));
    let long = db.submit(sleep("suite close"));
    eventually("it runs", || running_with(&*other, "suite close") == 1);
    let began = Instant::now();
    db.close(Duration::from_millis(50));
    assert!(began.elapsed() < LIMIT);
    assert_eq!(failure(long).kind(), ErrorKind::Closed);
    eventually("it stops", || running_with(&*other, "suite close") == 0);
    assert_eq!(
        failure(db.submit(sleep("suite late"))).kind(),
        ErrorKind::Closed
    );
    assert_eq!(
        failure(db.describe("SELECT 1".into())).kind(),
        ErrorKind::Closed
    );
    let refused = db.listen("suite_late", Box::new(|_| {}));
    assert_eq!(
        refused.map(drop).map_err(|error| error.kind()),
        Err(ErrorKind::Closed)
    );
}
