//! Owns the tests of how a pool ends.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use sql::{ErrorKind, Rows};

use super::{
    Cluster, LIMIT, eventually, observer, outcome, pool, reactors_of, until_running, value,
};
use crate::ConnectionPool;

#[test]
fn a_pool_that_was_never_started_closes() {
    let unused = pool(|b| b);
    unused.close();
    unused.close();
    assert_eq!(unused.start().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_job_after_the_close_is_an_error_not_silence() {
    let pool = pool(|b| b);
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    pool.close();
    let late = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
    assert_eq!(pool.stats(), sql::Stats::default());
}

fn kind_of(result: Result<Rows, sql::Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn closing_lets_what_runs_end_and_answers_what_waits() {
    let pool = pool(|b| b.cp_max(2).cp_min(0).close_grace(LIMIT));
    let observer = observer(Cluster::shared());
    let sleep = "SELECT pg_sleep(0.3) /* lets end */";
    let jobs: Vec<_> = (0..6).map(|_| pool.run_query(sleep, ())).collect();
    until_running(&observer, "/* lets end */", 2);
    pool.close();
    let kinds: Vec<_> = jobs.into_iter().map(|job| kind_of(outcome(job))).collect();
    let closed = kinds
        .iter()
        .filter(|kind| **kind == Some(ErrorKind::Closed));
    assert_eq!(closed.count(), 4, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| kind.is_none()).count(), 2);
}

#[test]
fn after_the_grace_time_statements_are_cancelled_and_their_callers_answered() {
    let pool = pool(|b| b.cp_max(2).cp_min(0).close_grace(Duration::from_millis(50)));
    let observer = observer(Cluster::shared());
    let sleep = "SELECT pg_sleep(60) /* grace is over */";
    let jobs = [pool.run_query(sleep, ()), pool.run_query(sleep, ())];
    until_running(&observer, "/* grace is over */", 2);
    let began = Instant::now();
    pool.close();
    assert!(began.elapsed() < Duration::from_secs(5));
    for job in jobs {
        assert_eq!(kind_of(outcome(job)), Some(ErrorKind::Closed));
    }
    until_running(&observer, "/* grace is over */", 0);
}

#[test]
fn close_ends_connections() {
    let pool = pool(|b| b.cp_max(3).cp_min(3).cp_name("ends"));
    let there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ends'";
    let observer = observer(Cluster::shared());
    pool.start().unwrap();
    eventually("they are open", || value::<i64>(&observer, there) == 3);
    pool.close();
    eventually("they are closed", || value::<i64>(&observer, there) == 0);
}

#[test]
fn dropping_the_last_clone_closes_even_in_a_callback() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).cp_name("in-callback"));
    let (told, tells) = mpsc::channel();
    let clone = pool.clone();
    let job = pool.run_query("SELECT 1", ());
    drop(pool);
    job.on_result(move |result| {
        drop(clone);
        told.send(result.map(drop)).unwrap();
    });
    tells.recv_timeout(LIMIT).unwrap().unwrap();
    let there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'in-callback'";
    let observer = observer(Cluster::shared());
    eventually("it is closed", || value::<i64>(&observer, there) == 0);
}

/// Each pool on I/O threads that end with it.
#[test]
fn pools_come_and_go() {
    for threads in [1, 3] {
        let pool = ConnectionPool::builder(Cluster::shared().settings());
        let pool = pool
            .cp_max(2)
            .cp_min(0)
            .build(reactors_of(threads))
            .unwrap();
        assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
        drop(pool);
    }
}
