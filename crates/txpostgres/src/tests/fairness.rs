//! Owns the tests of who waits for whom: quick statements beside slow ones, on the real server.

use std::time::{Duration, Instant};

use sql::{Database, Job, Settings, Statement, params};

use super::{Cluster, eventually, observer, outcome, pool, reactors_of, run, until_running, value};
use crate::ConnectionPool;

const QUICK: &str = "SELECT $1::int /* fair and quick */";

fn quick(pool: &ConnectionPool, n: i32) -> Duration {
    let began = Instant::now();
    let rows = outcome(pool.run_query(QUICK, params![n])).unwrap();
    assert_eq!(rows.row(0).unwrap().get::<i32>(0), Ok(n));
    began.elapsed()
}

/// The thirty statements of five seconds, scaled to half of one.
#[test]
fn thirty_slow_statements_do_not_hold_up_quick_ones() {
    let pool = ConnectionPool::builder(Cluster::shared().settings()).cp_max(10);
    let pool = pool.build(reactors_of(1)).unwrap();
    for n in 0..20 {
        quick(&pool, n);
    }
    let slow = "SELECT pg_sleep(0.5) /* fair and slow */";
    // Its kind is known from here on.
    outcome(pool.run_query(slow, ())).unwrap();
    quick(&pool, 0);
    let began = Instant::now();
    let slow: Vec<_> = (0..30).map(|_| pool.run_query(slow, ())).collect();
    let mut took = Vec::new();
    while pool.stats().waiting > 0 {
        took.push(quick(&pool, 1));
        assert!(pool.stats().busy <= 9, "some are left to the quick");
    }
    for job in slow {
        outcome(job).unwrap();
    }
    let all = began.elapsed();
    took.sort();
    let [most, worst] = [90, 99].map(|part| took[took.len() * part / 100]);
    println!(
        "{} quick ones, p99 {worst:?}, the slow ones {all:?}",
        took.len()
    );
    // Less than any slow one takes, even on a busy machine.
    assert!(most < Duration::from_millis(250), "{most:?}");
    // 30 on 8 connections.
    assert!(all < Duration::from_millis(8000), "{all:?}");
}

#[test]
fn quick_ones_are_sent_behind_each_other_on_one_connection() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    quick(&pool, 0);
    let jobs: Vec<_> = (0..100)
        .map(|n| (n, pool.run_query(QUICK, params![n])))
        .collect();
    for (n, job) in jobs {
        let rows = outcome(job).unwrap();
        assert_eq!(rows.row(0).unwrap().get::<i32>(0), Ok(n));
    }
    assert_eq!(pool.stats().opened, 1);
}

/// An error of one touches no other.
#[test]
fn what_is_sent_ahead_fails_alone() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let divide = "SELECT 10 / $1::int";
    outcome(pool.run_query(divide, params![1_i32])).unwrap();
    let jobs: Vec<_> = (0..64_i32)
        .map(|n| (n, pool.run_query(divide, params![n % 4])))
        .collect();
    for (n, job) in jobs {
        assert_eq!(outcome(job).is_err(), n % 4 == 0, "{n}");
    }
    let as_user = |user: &str| {
        let statement = Statement::new("SELECT current_setting('app.user')", ());
        pool.submit(Job::new(statement).with(Settings::new().set("app.user", user)))
    };
    outcome(as_user("nobody")).unwrap();
    let users: Vec<_> = (0..50).map(|n| (n, as_user(&n.to_string()))).collect();
    for (n, job) in users {
        let results = outcome(job).unwrap();
        let user: String = results.first.row(0).unwrap().get(0).unwrap();
        assert_eq!(user, n.to_string());
    }
}

/// Where one of a quick kind waits for a lock, only what was sent at that moment waits with it.
#[test]
fn a_quick_kind_that_is_slow_for_once_gets_nothing_behind_it() {
    let pool = pool(|b| b.cp_max(2).cp_min(2));
    let observer = observer(Cluster::shared());
    run(&pool, "CREATE TABLE locked (n int)");
    let insert = "INSERT INTO locked VALUES ($1) /* may wait */";
    for n in 0..10_i32 {
        outcome(pool.run_operation(insert, params![n])).unwrap();
        quick(&pool, n);
    }
    let holder = observer.run_interaction(|mut txn| async move {
        txn.execute("LOCK TABLE locked", ()).await?;
        txn.execute("SELECT pg_sleep(1) /* holds the lock */", ())
            .await
    });
    let looks = super::observer(Cluster::shared());
    until_running(&looks, "/* holds the lock */", 1);
    let waits = pool.run_operation(insert, params![99_i32]);
    until_running(&looks, "/* may wait */", 1);
    let mut worst = Duration::ZERO;
    for n in 0..200 {
        worst = worst.max(quick(&pool, n));
    }
    assert_eq!(
        value::<i64>(&looks, "SELECT count(*) FROM pg_locks WHERE NOT granted"),
        1
    );
    assert!(worst < Duration::from_millis(500), "{worst:?}");
    outcome(holder).unwrap();
    outcome(waits).unwrap();
}

/// A job whose thread has no free connection goes to another thread.
#[test]
fn all_threads_share_the_work() {
    let pool = ConnectionPool::builder(Cluster::shared().settings()).cp_max(4);
    let pool = pool.cp_min(4).build(reactors_of(4)).unwrap();
    let observer = observer(Cluster::shared());
    pool.start().unwrap();
    eventually("all are open", || pool.stats().connections == 4);
    let sleep = "SELECT pg_sleep(0.5) /* on all threads */";
    let jobs: Vec<_> = (0..4).map(|_| pool.run_query(sleep, ())).collect();
    until_running(&observer, "/* on all threads */", 4);
    for job in jobs {
        outcome(job).unwrap();
    }
}
