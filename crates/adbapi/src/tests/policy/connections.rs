//! Owns the tests of when connections open, are checked, replaced and closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32},
    },
    time::{Duration, Instant},
};

use super::{
    super::super::Error, Blocked, Fake, Ordering, connection_id, eventually, idle, noting, outcome,
    warm,
};

#[test]
fn the_start_opens_cp_min_connections_and_jobs_never_more_than_cp_max() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_min(2).cp_max(4));
    assert_eq!(database.state().attempts, 0, "nothing is opened yet");
    pool.start().unwrap();
    eventually("cp_min are open", || pool.stats().idle == 2);
    assert_eq!(database.state().open, 2);
    let (at_once, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let jobs: Vec<_> = (0..200)
        .map(|_| {
            let (at_once, most) = (at_once.clone(), most.clone());
            pool.run_with_connection(move |_| {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                at_once.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
        })
        .collect();
    jobs.into_iter().for_each(|job| outcome(job).unwrap());
    warm(&pool, 4);
    assert!(most.load(Ordering::SeqCst) <= 4);
    assert_eq!(
        (database.state().most_open, pool.stats().connections),
        (4, 4)
    );
}

#[test]
fn a_connection_in_use_until_now_is_not_looked_at_and_an_idle_one_is() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(1));
    let blocked = Blocked::begin(&pool);
    let next = pool.run_with_connection(|connection| Ok(connection.id));
    blocked.end().unwrap();
    assert_eq!(outcome(next).unwrap(), 1);
    let looks = database.state().looks;
    idle(&pool);
    assert_eq!(connection_id(&pool), 1);
    let state = database.state();
    assert_eq!((state.looks - looks, state.trials), (1, 0));
}

#[test]
fn idle_connections_that_died_are_replaced_and_no_job_notices() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(3));
    warm(&pool, 3);
    idle(&pool);
    database.state().dead.extend([1, 2, 3]);
    warm(&pool, 3);
    let stats = pool.stats();
    assert_eq!((stats.jobs, stats.opened, stats.lost), (6, 6, 3));
    assert_eq!(stats.errors, Default::default());
}

#[test]
fn a_suspect_connection_is_tried_with_its_check_and_replaced_if_that_fails() {
    for reconnect in [true, false] {
        let database = Fake::default();
        let pool = database.pool(|b| b.cp_max(1).cp_reconnect(reconnect));
        database.state().suspect.insert(1);
        assert_eq!(connection_id(&pool), 1);
        assert_eq!(connection_id(&pool), 1, "it passes");
        assert_eq!(database.state().trials, 1);
        database.state().invalid.insert(1);
        assert_eq!(connection_id(&pool), 1, "it is not tried without need");
        idle(&pool);
        database.state().suspect.insert(1);
        assert_eq!(connection_id(&pool), 2, "it fails and is replaced");
        let (stats, state) = (pool.stats(), database.state());
        assert_eq!((stats.errors.other, stats.lost), (0, 1));
        assert_eq!((state.trials, state.open), (2, 1));
    }
}

#[test]
fn without_connections_jobs_end_at_their_limit_with_the_reason_and_attempts_are_few() {
    let database = Fake::default();
    database.state().refuses = Some("the database is starting up");
    let limit = Duration::from_millis(250);
    let pool = database.pool(|b| b.cp_max(3).connect_timeout(limit));
    let began = Instant::now();
    let jobs: Vec<_> = (0..20)
        .map(|_| pool.run_with_connection(|_| Ok(())))
        .collect();
    for job in jobs {
        let Err(Error::Unavailable { reason, waited }) = outcome(job) else {
            panic!("not unavailable");
        };
        assert_eq!(&*reason, "the database is starting up");
        assert!(waited >= limit);
    }
    // r2d2 makes three attempts at once. After the first failure they are a tenth of a second
    // apart.
    let attempts = database.state().attempts;
    let pauses = usize::try_from(began.elapsed().as_millis() / 100).unwrap();
    assert!((1..=3 + pauses).contains(&attempts), "{attempts} attempts");
    assert_eq!(pool.stats().errors.unavailable, 20);
    database.state().refuses = None;
    eventually("jobs run again", || {
        outcome(pool.run_with_connection(|_| Ok(()))).is_ok()
    });
}

#[test]
fn a_panic_while_connecting_is_the_reason_for_no_connection() {
    let database = Fake::default();
    database.state().connect_panics = true;
    let pool = database.pool(|b| b.cp_max(1).connect_timeout(Duration::from_millis(50)));
    eventually("the reason is known", || {
        let error = outcome(pool.run_with_connection(|_| Ok(()))).unwrap_err();
        let said = error.to_string();
        said.contains("a panic while connecting: no file")
    });
    database.state().connect_panics = false;
    eventually("a job runs", || {
        outcome(pool.run_with_connection(|_| Ok(()))).is_ok()
    });
}

#[test]
fn fewer_connections_than_workers_serve_all_jobs_in_turn() {
    let database = Fake::default();
    database.state().room = Some(2);
    let pool = database.pool(|b| b.cp_max(5).queue_limit(2000));
    warm(&pool, 2);
    let jobs: Vec<_> = (0..2000)
        .map(|_| pool.run_with_connection(|_| Ok(())))
        .collect();
    jobs.into_iter().for_each(|job| outcome(job).unwrap());
    assert_eq!(database.state().most_open, 2);
}

#[test]
fn connections_are_replaced_at_their_max_lifetime_and_no_job_notices() {
    let database = Fake::default();
    let pool = database.pool(|b| b.cp_max(1).max_lifetime(Duration::from_millis(20)));
    let first = connection_id(&pool);
    eventually("another serves", || connection_id(&pool) != first);
    let stats = pool.stats();
    assert_eq!((stats.errors, stats.lost), Default::default());
}

#[test]
fn a_job_waits_for_a_connection_only_until_its_limit_though_one_hangs() {
    let database = Fake::default();
    database.state().room = Some(1);
    let limit = Duration::from_millis(50);
    let pool = database.pool(|b| b.cp_max(2).connect_timeout(limit));
    let blocked = Blocked::begin(&pool);
    let ran = Arc::new(AtomicBool::new(false));
    let error = outcome(pool.run_with_connection(noting(&ran))).unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable { reason, .. } if reason.contains("no room")),
        "{error}"
    );
    assert!(!ran.load(Ordering::SeqCst));
    blocked.end().unwrap();
}
