//! Owns the tests of cancelling jobs, by their callers and by time limits.

use std::{
    sync::{Arc, atomic::AtomicBool, mpsc},
    time::Duration,
};

use super::{
    super::super::{Error, deferred},
    Blocked, Fake, LIMIT, Ordering, connection_id, eventually, noting, outcome,
};

#[test]
fn a_queued_job_that_is_cancelled_is_answered_at_once_and_never_runs() {
    let pool = Fake::default().pool(|b| b.cp_max(1));
    let blocked = Blocked::begin(&pool);
    let ran = Arc::new(AtomicBool::new(false));
    let waiting = pool.run_with_connection(noting(&ran));
    waiting.cancel();
    let answer = waiting.wait_timeout(Duration::ZERO).expect("at once");
    assert!(matches!(answer, Err(Error::Cancelled)));
    blocked.end().unwrap();
    eventually("the worker has passed it over", || {
        let stats = pool.stats();
        (stats.jobs, stats.errors.cancelled) == (2, 1)
    });
    assert!(!ran.load(Ordering::SeqCst));
}

#[test]
fn a_running_job_that_is_cancelled_is_answered_at_once_and_stopped() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(1));
    let (started, has_started) = mpsc::channel();
    let job = pool.run_with_connection(move |connection| {
        started.send(()).unwrap();
        Err::<(), _>(connection.work())
    });
    has_started.recv_timeout(LIMIT).unwrap();
    job.cancel();
    let answer = job.wait_timeout(Duration::ZERO).expect("at once");
    assert!(matches!(answer, Err(Error::Cancelled)));
    // A request that comes late must not hit the next job.
    assert_eq!(connection_id(&pool), 2);
    assert_eq!(database.asked_of(1), ["begin", "rollback"]);
    let stats = pool.stats();
    assert_eq!((stats.jobs, stats.errors.cancelled), (2, 1));
}

#[test]
fn a_job_that_is_cancelled_between_statements_is_rolled_back_though_it_ends_well() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(1));
    let blocked = Blocked::begin(&pool);
    let handle = blocked.result.cancel_handle();
    handle.cancel();
    blocked.end().unwrap_err();
    // The connection stays if the job had ended before the request to stop it was sent.
    assert!(connection_id(&pool) <= 2);
    assert_eq!(database.asked_of(1)[..2], ["begin", "rollback"]);
}

#[test]
fn cancelling_a_job_that_has_ended_changes_nothing() {
    let pool = Fake::default().pool(|b| b.cp_max(1));
    let job = pool.run_with_connection(|connection| Ok(connection.id));
    let handle = job.cancel_handle();
    assert_eq!(outcome(job).unwrap(), 1);
    handle.cancel();
    assert_eq!(connection_id(&pool), 1);
}

#[test]
fn a_job_that_waits_for_a_connection_can_be_cancelled() {
    let database = Fake::default();
    database.state().refuses = Some("not yet");
    let pool = database.pool(|b| b.cp_max(1));
    let ran = Arc::new(AtomicBool::new(false));
    let job = pool.run_with_connection(noting(&ran));
    eventually("a worker has it", || pool.stats().running == 1);
    job.cancel();
    let answer = job.wait_timeout(Duration::ZERO).expect("at once");
    assert!(matches!(answer, Err(Error::Cancelled)));
    database.state().refuses = None;
    assert_eq!(connection_id(&pool), 1);
    assert!(!ran.load(Ordering::SeqCst));
}

#[test]
fn a_job_without_an_answer_ends_after_its_statement_timeout_and_is_stopped() {
    let database = Fake::default();
    let limit = Duration::from_millis(10);
    let pool = database.pool(|b| b.cp_max(1).statement_timeout(limit));
    let error = outcome(pool.run_with_connection(|connection| Err::<(), _>(connection.work())));
    assert!(matches!(error, Err(Error::Timeout { limit: told }) if told == limit));
    assert_eq!(connection_id(&pool), 2);
    assert_eq!(pool.stats().errors.timeout, 1);
}

#[test]
fn a_cancel_request_that_hangs_holds_up_no_time_limit() {
    let database = Fake::default();
    database.state().cancel_hangs = true;
    let limit = Duration::from_millis(20);
    let pool = database.pool(|b| b.cp_max(1).queue_timeout(limit));
    let (started, has_started) = mpsc::channel();
    let job = pool.run_with_connection(move |connection| {
        started.send(()).unwrap();
        Err::<(), _>(connection.work())
    });
    has_started.recv_timeout(LIMIT).unwrap();
    job.cancel();
    let late = outcome(pool.run_with_connection(|_| Ok(())));
    assert!(matches!(late, Err(Error::QueueTimeout { .. })));
    database.state().cancel_hangs = false;
    database.state.1.notify_all();
    eventually("the worker is free again", || {
        outcome(pool.run_with_connection(|_| Ok(()))).is_ok()
    });
}

#[test]
fn what_is_answered_first_counts() {
    let pool = Fake::default().pool(|b| b.cp_max(1));
    let (promise, go_on) = deferred::<()>();
    let (sent, received) = mpsc::channel();
    let job = pool.run_with_connection(move |_| go_on.wait());
    let handle = job.cancel_handle();
    job.on_result(move |result| sent.send(result.is_err()).unwrap());
    handle.cancel();
    promise.resolve(Ok(()));
    assert!(received.recv_timeout(LIMIT).unwrap());
    connection_id(&pool);
    assert!(received.try_recv().is_err(), "one answer");
}
