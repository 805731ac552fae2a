//! Owns the tests of how a pool starts and ends.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use super::{
    super::{Error, deferred},
    LIMIT,
    cluster::Cluster,
    eventually, outcome, pool, value,
};

#[test]
fn a_pool_that_was_never_started_closes() {
    let pool = pool(|b| b);
    pool.close();
    pool.close();
    assert!(matches!(pool.start(), Err(Error::Closed)));
}

#[test]
fn the_first_job_starts_the_pool() {
    let pool = pool(|b| b);
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    pool.start().unwrap();
    pool.start().unwrap();
}

#[test]
fn a_job_after_the_close_is_an_error_not_silence() {
    let pool = pool(|b| b);
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    pool.close();
    assert!(matches!(
        outcome(pool.run_query("SELECT 1", ())),
        Err(Error::Closed)
    ));
    assert!(matches!(
        outcome(pool.run_interaction(|_| Ok(()))),
        Err(Error::Closed)
    ));
}

#[test]
fn closing_lets_what_runs_end_and_answers_what_waits() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let (started, has_started) = mpsc::channel();
    let (promise, go_on) = deferred::<()>();
    let running = pool.run_interaction(move |txn| {
        started.send(()).unwrap();
        go_on.wait()?;
        Ok(txn.query("SELECT 7", ())?[0].get::<_, i32>(0))
    });
    has_started.recv_timeout(LIMIT).unwrap();
    let waiting = pool.run_query("SELECT 1", ());
    let closer = std::thread::spawn({
        let pool = pool.clone();
        move || pool.close()
    });
    assert!(
        matches!(outcome(waiting), Err(Error::Closed)),
        "answered while the other still runs"
    );
    promise.resolve(Ok(()));
    assert_eq!(outcome(running).unwrap(), 7);
    closer.join().unwrap();
}

#[test]
fn after_the_grace_time_statements_are_cancelled_and_their_callers_answered() {
    let pool = pool(|b| {
        b.cp_max(2)
            .cp_min(0)
            .cp_name("graceless")
            .close_grace(Duration::from_millis(50))
    });
    let jobs = [
        pool.run_query("SELECT pg_sleep(600)", ()),
        pool.run_query("SELECT pg_sleep(600)", ()),
    ];
    let mut observer = Cluster::shared().client();
    let mut sleeping = || {
        let count = "SELECT count(*) FROM pg_stat_activity
                     WHERE application_name = 'graceless' AND state = 'active'";
        observer.query_one(count, &[]).unwrap().get::<_, i64>(0)
    };
    eventually("both statements run", || sleeping() == 2);
    let began = Instant::now();
    pool.close();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    for job in jobs {
        assert!(matches!(outcome(job), Err(Error::Closed)));
    }
    eventually("no statement runs", || sleeping() == 0);
}

#[test]
fn close_ends_threads_and_connections() {
    let pool = pool(|b| b.cp_min(2).cp_max(2).cp_name("ends-all"));
    outcome(pool.run_query("SELECT 1", ())).unwrap();
    let mut observer = Cluster::shared().client();
    let mut connections = || {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ends-all'";
        observer.query_one(count, &[]).unwrap().get::<_, i64>(0)
    };
    eventually("cp_min connections are open", || connections() == 2);
    pool.close();
    eventually("no connection is left", || connections() == 0);
}

#[test]
fn dropping_the_last_clone_closes_even_on_a_worker() {
    let pool = pool(|b| b.cp_max(2).cp_min(0));
    let (sent, received) = mpsc::channel();
    let last = pool.clone();
    pool.run_query("SELECT 1", ()).on_result(move |rows| {
        let sleeping = last.run_query("SELECT 2", ());
        drop(last);
        sent.send((rows.is_ok(), sleeping)).unwrap();
    });
    drop(pool);
    let (first, second) = received.recv_timeout(LIMIT).unwrap();
    assert!(first);
    // Whether the second was still taken is a matter of luck; that it is answered is not.
    match outcome(second) {
        Ok(rows) => assert_eq!(rows.len(), 1),
        Err(error) => assert!(matches!(error, Error::Closed), "{error}"),
    }
}
