//! Owns the tests of what becomes of a job: where it runs, how often, and which error its caller
//! gets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize},
    },
    time::Duration,
};

use super::{
    super::super::{ConnectionPool, Error},
    Blocked, Fake, Ordering, connection_id, eventually, idle, outcome, warm,
};

#[test]
fn a_closure_is_a_transaction_that_commits_or_is_rolled_back() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(1));
    assert_eq!(outcome(pool.run_interaction(|_| Ok(7))).unwrap(), 7);
    let failed = pool.run_interaction(|_| Err::<(), _>(Error::custom("changed my mind")));
    assert_eq!(outcome(failed).unwrap_err().to_string(), "changed my mind");
    idle(&pool);
    assert_eq!(
        database.asked_of(1),
        ["begin", "commit", "reset", "begin", "rollback", "reset"]
    );
}

#[test]
fn a_job_moves_on_when_its_connection_was_dead_before_it_was_sent() {
    let database = Fake::default();
    database.state().dying.extend([1, 2]);
    let pool = database.pool(|b| b.cp_max(3));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let job = pool.run_with_connection(move |connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(connection.id)
    });
    assert_eq!(outcome(job).unwrap(), 3);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let stats = pool.stats();
    assert_eq!((stats.jobs, stats.opened, stats.lost), (1, 3, 2));
    assert_eq!(stats.errors, Default::default());
}

#[test]
fn a_job_does_not_move_on_for_ever() {
    let database = Fake::default();
    database.state().dying.extend(1..100);
    let pool = database.pool(|b| b.cp_max(2));
    let error = outcome(pool.run_with_connection(|_| Ok(()))).unwrap_err();
    assert_eq!(error.to_string(), "the connection was dead");
    // One more than there can be old connections.
    assert_eq!(database.state().opened, 3);
}

#[test]
fn without_cp_reconnect_the_job_that_finds_a_dead_connection_fails() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(1).cp_reconnect(false));
    assert_eq!(connection_id(&pool), 1);
    idle(&pool);
    database.state().dead.insert(1);
    let error = outcome(pool.run_with_connection(|_| Ok(()))).unwrap_err();
    assert_eq!(error.to_string(), "the connection was dead");
    assert_eq!(connection_id(&pool), 2);
    assert_eq!(database.state().looks, 0);
}

#[test]
fn a_transaction_that_cannot_begin_on_a_living_connection_is_the_jobs_error() {
    let database = Fake::default();
    database.state().beginless.insert(1);
    let pool = database.pool(|b| b.cp_max(1));
    let error = outcome(pool.run_with_connection(|_| Ok(()))).unwrap_err();
    assert_eq!(error.to_string(), "no transaction can begin");
    assert_eq!(database.state().opened, 1);
}

#[test]
fn a_job_that_was_sent_is_not_repeated_and_its_error_reaches_the_caller() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(2));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let job = pool.run_with_connection(move |connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        Err::<(), _>(connection.die())
    });
    let error = outcome(job).unwrap_err();
    assert_eq!(error.to_string(), "the connection died");
    assert_eq!(connection_id(&pool), 2);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let stats = pool.stats();
    assert_eq!((stats.jobs, stats.errors.other, stats.lost), (2, 1, 1));
}

/// Twisted's `test_runWithConnectionRaiseOriginalError`.
#[test]
fn the_callers_own_error_reaches_it_though_the_rollback_fails() {
    let database = Fake::default();
    database.state().rollback_fails = true;
    let pool = database.pool(|b| b.cp_max(1));
    let failed = pool.run_with_connection(|_| Err::<(), _>(Error::custom("the first fault")));
    assert_eq!(outcome(failed).unwrap_err().to_string(), "the first fault");
    assert_eq!(connection_id(&pool), 2, "the connection is closed");
}

#[test]
fn a_panic_costs_the_connection_and_not_the_worker() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(1));
    let job = pool.run_interaction(|connection| -> Result<(), Error> {
        panic!("boom {}", connection.id);
    });
    let error = outcome(job).unwrap_err();
    assert!(
        matches!(&error, Error::Panicked(said) if &**said == "boom 1"),
        "{error}"
    );
    assert_eq!(connection_id(&pool), 2);
    idle(&pool);
    assert_eq!(database.asked_of(1), ["begin"]);
    let (stats, open) = (pool.stats(), database.state().open);
    assert_eq!((stats.jobs, stats.errors.panicked, open), (2, 1, 1));
}

#[test]
fn what_cannot_be_reset_serves_no_further_job() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(1));
    let blocked = Blocked::begin(&pool);
    // As a driver whose reset fails: dead once its last job has its answer.
    let next = pool.run_with_connection(|connection| Ok(connection.id));
    let deadly = database.clone();
    let first = blocked.result.map(move |id| {
        deadly.state().dead.insert(id);
        id
    });
    blocked.go_on.resolve(Ok(()));
    assert_eq!((outcome(first).unwrap(), outcome(next).unwrap()), (1, 2));
}

#[test]
fn the_figures_are_those_of_one_moment() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(3));
    warm(&pool, 3);
    let blocked = [0; 2].map(|_| Blocked::begin(&pool));
    eventually("the third is idle", || pool.stats().idle == 1);
    let stats = pool.stats();
    assert_eq!(
        (stats.connections, stats.busy, stats.idle, stats.connecting),
        (3, 2, 1, 0)
    );
    assert_eq!((stats.running, stats.waiting, stats.jobs), (2, 0, 3));
    for job in blocked {
        job.end().unwrap();
    }
    outcome(pool.run_with_connection(|_| Err::<(), _>(Error::custom("no")))).unwrap_err();
    let stats = pool.stats();
    assert_eq!((stats.jobs, stats.opened, stats.lost), (6, 3, 0));
    assert_eq!(stats.errors.other, 1);
    assert!(stats.longest_wait < Duration::from_secs(20));
    pool.close();
    assert_eq!(pool.stats(), Default::default());
}

#[test]
fn whatever_dies_every_job_is_answered_once_and_runs_at_most_once() {
    const JOBS: usize = 3000;
    let database = Fake::default();
    let pool: ConnectionPool<Fake> = database.pool(|b| b.cp_max(4).queue_limit(JOBS));
    database.state().dying.extend((1..).step_by(3).take(JOBS));
    let runs: Arc<Vec<AtomicUsize>> = Arc::new((0..JOBS).map(|_| Default::default()).collect());
    let answers: Arc<Vec<AtomicUsize>> = Arc::new((0..JOBS).map(|_| Default::default()).collect());
    for n in 0..JOBS {
        let (runs, answers) = (runs.clone(), answers.clone());
        let job = pool.run_with_connection(move |connection| {
            runs[n].fetch_add(1, Ordering::SeqCst);
            match n % 7 {
                0 => Err(connection.die()),
                1 if n % 3 == 0 => panic!("boom"),
                _ => Ok(()),
            }
        });
        let handle = job.cancel_handle();
        job.on_result(move |_| _ = answers[n].fetch_add(1, Ordering::SeqCst));
        if n % 11 == 0 {
            handle.cancel();
        }
    }
    let is_once = |count: &AtomicUsize| count.load(Ordering::SeqCst) == 1;
    eventually("every job is answered", || answers.iter().all(is_once));
    assert!(runs.iter().all(|count| count.load(Ordering::SeqCst) <= 1));
    eventually("every job is counted", || pool.stats().jobs == JOBS as u64);
    pool.close();
    eventually("no connection is left", || database.state().open == 0);
}
