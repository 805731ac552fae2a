//! Owns the tests of workers that sleep while jobs are quick, and are woken when they are needed.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use super::{
    super::super::{ConnectionPool, Promise, deferred, pool::active_workers::ActiveWorkers},
    Fake, eventually, outcome,
};

/// A pool of three workers more than stay active. For it jobs are quick that are not, so that a
/// busy machine does not matter.
fn pool_with_a_reserve() -> (ConnectionPool<Fake>, Arc<ActiveWorkers>, usize) {
    let processors = thread::available_parallelism().unwrap().get();
    let workers = 2 * processors + 4;
    let pool = Fake::default().pool(|mut b| {
        b.pool.quick = Duration::from_secs(2);
        b.cp_max(u32::try_from(workers).unwrap())
    });
    pool.start().unwrap();
    let active = pool
        .active()
        .expect("there are enough workers for some to sleep");
    (pool, active, workers)
}

/// Makes quick jobs until few workers are active.
fn reduce(pool: &ConnectionPool<Fake>, active: &ActiveWorkers) {
    eventually("few workers to be active", || {
        let quick: Vec<_> = (0..200)
            .map(|_| pool.run_with_connection(|_| Ok(())))
            .collect();
        quick.into_iter().for_each(|job| {
            outcome(job).unwrap();
        });
        active.is_reduced()
    });
}

#[test]
fn quick_jobs_are_done_by_few_workers() {
    let (pool, active, _) = pool_with_a_reserve();
    eventually("three workers to sleep", || {
        reduce(&pool, &active);
        *active.sleeping() == 3
    });
}

#[test]
fn jobs_that_take_long_find_all_workers() {
    let (pool, active, workers) = pool_with_a_reserve();
    for _ in 0..3 {
        reduce(&pool, &active);
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
fn nobody_sleeps_while_those_who_would_stay_active_have_long_jobs() {
    let (pool, active, workers) = pool_with_a_reserve();
    // One more than may sleep, so one of them is with a worker that would stay active.
    let (promises, waits): (Vec<Promise<()>>, Vec<_>) = (0..4).map(|_| deferred()).unzip();
    let long: Vec<_> = waits
        .into_iter()
        .map(|wait| pool.run_with_connection(move |_| wait.wait()))
        .collect();
    eventually("the long jobs run", || pool.stats().running == 4);
    for _ in 0..10 * workers {
        let quick: Vec<_> = (0..64)
            .map(|_| pool.run_with_connection(|_| Ok(())))
            .collect();
        quick.into_iter().for_each(|job| {
            outcome(job).unwrap();
        });
        assert!(!active.is_reduced());
    }
    promises
        .into_iter()
        .for_each(|promise| promise.resolve(Ok(())));
    for job in long {
        outcome(job).unwrap();
    }
    reduce(&pool, &active);
}

#[test]
fn a_pool_closes_while_workers_sleep() {
    let (pool, active, _) = pool_with_a_reserve();
    reduce(&pool, &active);
    pool.close();
    assert!(!active.is_reduced());
}
