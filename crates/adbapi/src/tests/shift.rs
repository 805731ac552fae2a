//! Owns the tests of workers that are sent away while jobs are quick, and that come back.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use super::super::shift::Shift;
use super::super::{ConnectionPool, Promise, deferred};
use super::{eventually, outcome, pool};

/// A pool of three workers more than a short shift has. Jobs are quick for it that are not on a machine with much
/// else to do.
fn pool_with_a_reserve(name: &str) -> (ConnectionPool, Arc<Shift>, usize) {
    let processors = thread::available_parallelism().unwrap().get();
    let workers = 2 * processors + 4;
    let pool = pool(|mut b| {
        b.quick = Duration::from_secs(2);
        b.cp_max(u32::try_from(workers).unwrap()).cp_name(name)
    });
    pool.start().unwrap();
    let shift = pool.shift().expect("there are enough workers for a shift");
    (pool, shift, workers)
}

/// Makes quick jobs until the shift is short.
fn shorten(pool: &ConnectionPool, shift: &Shift) {
    eventually("the shift is short", || {
        let quick: Vec<_> = (0..200).map(|_| pool.run_query("SELECT 1", ())).collect();
        quick.into_iter().for_each(|job| {
            outcome(job).unwrap();
        });
        shift.is_short()
    });
}

#[test]
fn quick_jobs_are_done_by_few_workers() {
    let (pool, shift, _) = pool_with_a_reserve("shift-few");
    eventually("three workers rest", || {
        shorten(&pool, &shift);
        *shift.resting() == 3
    });
}

#[test]
fn jobs_that_take_long_find_all_workers() {
    let (pool, shift, workers) = pool_with_a_reserve("shift-all");
    for _ in 0..3 {
        shorten(&pool, &shift);
        // Each of them ends only when all have begun.
        let all = Arc::new(Barrier::new(workers));
        let jobs: Vec<_> = (0..workers)
            .map(|_| {
                let all = all.clone();
                pool.run_with_connection(move |_| {
                    all.wait();
                    Ok(())
                })
            })
            .collect();
        for job in jobs {
            outcome(job).unwrap();
        }
    }
}

#[test]
fn nobody_rests_while_those_who_would_stay_are_at_long_jobs() {
    let (pool, shift, workers) = pool_with_a_reserve("shift-mixed");
    // One more than may rest, so one of them is with a worker that would stay.
    let (promises, waits): (Vec<Promise<()>>, Vec<_>) = (0..4).map(|_| deferred()).unzip();
    let long: Vec<_> = waits
        .into_iter()
        .map(|wait| pool.run_with_connection(move |_| wait.wait()))
        .collect();
    eventually("the long jobs run", || pool.stats().running == 4);
    for _ in 0..10 * workers {
        let quick: Vec<_> = (0..64).map(|_| pool.run_query("SELECT 1", ())).collect();
        quick.into_iter().for_each(|job| {
            outcome(job).unwrap();
        });
        assert!(!shift.is_short());
    }
    promises
        .into_iter()
        .for_each(|promise| promise.resolve(Ok(())));
    for job in long {
        outcome(job).unwrap();
    }
    shorten(&pool, &shift);
}

#[test]
fn a_pool_closes_while_workers_rest() {
    let (pool, shift, _) = pool_with_a_reserve("shift-close");
    shorten(&pool, &shift);
    pool.close();
    assert!(!shift.is_short());
}
