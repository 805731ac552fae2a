//! Owns the tests of how a pool starts and ends.

use std::{
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    super::super::{Error, deferred},
    Blocked, Fake, LIMIT, Ordering, connection_id, eventually, noting, outcome, warm,
};

/// Twisted's `test_unstartedClose`.
#[test]
fn a_pool_that_was_never_started_closes_and_stays_closed() {
    let database = Fake::default();
    let pool = database.pool(|b| b);
    pool.close();
    pool.close();
    assert!(matches!(pool.start(), Err(Error::Closed)));
    let late = outcome(pool.run_interaction(|_| Ok(())));
    assert!(matches!(late, Err(Error::Closed)));
    assert_eq!(database.state().attempts, 0);
}

#[test]
fn the_close_lets_what_runs_end_answers_what_waits_and_closes_the_connections() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(1));
    let blocked = Blocked::begin(&pool);
    let ran = Arc::new(AtomicBool::new(false));
    let waiting = pool.run_with_connection(noting(&ran));
    let closer = thread::spawn({
        let pool = pool.clone();
        move || pool.close()
    });
    assert!(matches!(outcome(waiting), Err(Error::Closed)));
    assert!(!closer.is_finished(), "the close waits for its grace");
    assert_eq!(blocked.end().unwrap(), 1);
    closer.join().unwrap();
    assert!(!ran.load(Ordering::SeqCst));
    assert_eq!(database.asked_of(1), ["begin", "commit", "reset"]);
    eventually("the connection is closed", || database.state().open == 0);
}

#[test]
fn after_its_grace_the_close_stops_what_runs() {
    let database = Fake::default();
    let grace = Duration::from_millis(30);
    let pool = database.pool(|b| b.cp_max(2).close_grace(grace));
    let (started, has_started) = mpsc::channel();
    let jobs = [0; 2].map(|_| {
        let started = started.clone();
        pool.run_with_connection(move |connection| {
            started.send(()).unwrap();
            Err::<(), _>(connection.work())
        })
    });
    jobs.each_ref()
        .iter()
        .for_each(|_| has_started.recv_timeout(LIMIT).unwrap());
    let began = Instant::now();
    pool.close();
    assert!(began.elapsed() >= grace);
    for job in jobs {
        assert!(matches!(outcome(job), Err(Error::Closed)));
    }
    assert_eq!(database.state().cancelled.len(), 2);
    eventually("all connections are closed", || database.state().open == 0);
}

#[test]
fn a_job_may_close_its_own_pool() {
    let pool = Fake::default().pool(|b| b.cp_max(2));
    let own = pool.clone();
    let job = pool.run_with_connection(move |connection| {
        own.close();
        Ok(connection.id)
    });
    assert_eq!(outcome(job).unwrap(), 1);
    assert!(matches!(pool.start(), Err(Error::Closed)));
}

#[test]
fn the_last_handle_closes_the_pool() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(2));
    warm(&pool, 2);
    let other = pool.clone();
    drop(pool);
    assert!(connection_id(&other) <= 2);
    drop(other);
    eventually("all connections are closed", || database.state().open == 0);
}

#[test]
fn a_callback_runs_on_a_worker_and_may_use_the_pool() {
    let pool = Fake::default().pool(|b| b.cp_max(1));
    let (promise, second) = deferred();
    let again = pool.clone();
    pool.run_with_connection(|_| Ok(())).on_result(move |_| {
        let worker = thread::current().name().unwrap_or_default().to_owned();
        again
            .run_with_connection(|_| Ok(()))
            .on_result(move |result| promise.resolve(result.map(|()| worker)));
    });
    assert_eq!(outcome(second).unwrap(), "db-worker-1");
}
