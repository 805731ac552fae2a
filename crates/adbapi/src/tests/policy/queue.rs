//! Owns the tests of the queue: its limit, its order and how long a job may wait in it.

use std::{
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use super::{super::super::Error, Blocked, Fake, Ordering, eventually, noting, outcome};

#[test]
fn a_full_queue_answers_at_once_with_its_limit() {
    let pool = Fake::default().pool(|b| b.cp_max(1).queue_limit(2));
    let blocked = Blocked::begin(&pool);
    let waiting = [0; 2].map(|_| pool.run_with_connection(|_| Ok(())));
    let refused = pool.run_with_connection(|_| Ok(()));
    let refused = refused.wait_timeout(Duration::ZERO).expect("at once");
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::QueueFull { limit: 2 }), "{error}");
    assert!(error.is_retryable());
    let stats = pool.stats();
    assert_eq!((stats.waiting, stats.errors.queue_full), (2, 1));
    blocked.end().unwrap();
    waiting.into_iter().for_each(|job| outcome(job).unwrap());
}

#[test]
fn jobs_are_taken_in_the_order_of_their_submission() {
    let pool = Fake::default().pool(|b| b.cp_max(1));
    let blocked = Blocked::begin(&pool);
    let order = Arc::new(Mutex::new(Vec::new()));
    let jobs: Vec<_> = (0..50)
        .map(|n| {
            let order = order.clone();
            pool.run_with_connection(move |_| {
                order.lock().unwrap().push(n);
                Ok(())
            })
        })
        .collect();
    blocked.end().unwrap();
    jobs.into_iter().for_each(|job| outcome(job).unwrap());
    assert!(order.lock().unwrap().iter().copied().eq(0..50));
}

#[test]
fn a_job_that_waits_longer_than_the_queue_timeout_ends_and_never_runs() {
    let limit = Duration::from_millis(20);
    let pool = Fake::default().pool(|b| b.cp_max(1).queue_timeout(limit));
    let blocked = Blocked::begin(&pool);
    let ran = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let error = outcome(pool.run_with_connection(noting(&ran))).unwrap_err();
    assert!(
        matches!(error, Error::QueueTimeout { limit: told } if told == limit),
        "{error}"
    );
    assert!(began.elapsed() >= limit);
    blocked.end().unwrap();
    eventually("the worker has passed it over", || {
        let stats = pool.stats();
        (stats.jobs, stats.errors.queue_timeout) == (2, 1)
    });
    assert!(!ran.load(Ordering::SeqCst));
}
