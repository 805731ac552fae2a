//! Owns the tests of the time limits of jobs and of a full queue, against a server that also gets
//! frozen.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use pg_cluster::Shutdown;
use sql::{Database, ErrorKind, Job, Settings, Statement};

use super::{
    Cluster, LIMIT, eventually, observer, outcome, pool, pool_on, run, until_running, value, warm,
};

#[test]
fn one_more_job_than_the_queue_holds_is_refused() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).queue_limit(2));
    let observer = observer(Cluster::shared());
    let running = pool.run_query("SELECT pg_sleep(60) /* full queue */", ());
    until_running(&observer, "/* full queue */", 1);
    let waiting = [
        pool.run_query("SELECT 1", ()),
        pool.run_query("SELECT 1", ()),
    ];
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert!(
        error.kind() == ErrorKind::QueueFull && error.is_retryable(),
        "{error}"
    );
    assert!(error.to_string().contains("2 jobs are waiting"), "{error}");
    let stats = pool.stats();
    assert_eq!((stats.waiting, stats.errors.queue_full), (2, 1));
    running.cancel();
    for job in waiting {
        outcome(job).unwrap();
    }
}

#[test]
fn a_job_that_waits_longer_than_the_queue_timeout_is_told_so() {
    let limit = Duration::from_millis(100);
    let pool = pool(|b| b.cp_max(1).cp_min(0).queue_timeout(limit));
    let observer = observer(Cluster::shared());
    // Its first job opens the connection.
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    let running = pool.run_query("SELECT pg_sleep(60) /* queue timeout */", ());
    until_running(&observer, "/* queue timeout */", 1);
    let began = Instant::now();
    let waiting = [
        pool.run_query("SELECT 1", ()),
        pool.run_query("SELECT 1", ()),
    ];
    for job in waiting {
        let error = outcome(job).unwrap_err();
        assert!(
            error.kind() == ErrorKind::QueueTimeout && error.is_retryable(),
            "{error}"
        );
        assert!(
            error.to_string().contains("100 ms") && error.to_string().contains("queue_timeout")
        );
    }
    assert!(began.elapsed() >= limit && began.elapsed() < LIMIT);
    running.cancel();
    eventually("it is free", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
}

#[test]
fn postgresql_ends_a_statement_at_the_statement_timeout() {
    let pool = pool(|b| {
        b.cp_max(1)
            .cp_min(0)
            .statement_timeout(Duration::from_millis(100))
    });
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    let error = outcome(pool.run_query("SELECT pg_sleep(60)", ())).unwrap_err();
    assert_eq!(error.sqlstate(), Some("57014"), "{error}");
    assert_eq!(value::<i32>(&pool, "SELECT pg_backend_pid()"), pid);
    // A job that gives itself more time has it.
    let settings = Settings::new().statement_timeout(Duration::from_secs(5));
    let job = Job::new(Statement::new("SELECT pg_sleep(1)", ())).with(settings);
    outcome(pool.submit(job)).unwrap();
    let off = pool.run_interaction(|mut txn| async move {
        txn.execute("SET LOCAL statement_timeout = 0", ()).await
    });
    outcome(off).unwrap();
}

#[test]
fn a_job_that_switches_its_limit_off_runs_on_and_nobody_says_that_postgresql_is_frozen() {
    let pool = pool(|b| {
        b.cp_max(1)
            .cp_min(0)
            .statement_timeout(Duration::from_millis(100))
    });
    run(&pool, "SET statement_timeout = 0");
    outcome(pool.run_query("SELECT pg_sleep(1)", ())).unwrap();
}

/// Sends a signal to a process of a cluster's user.
fn signal(name: &str, pid: i32) {
    let status = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// What was frozen goes on when this is dropped, so that it can end.
struct Frozen(i32);

impl Frozen {
    fn new(pid: i32) -> Self {
        signal("-STOP", pid);
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

#[test]
fn a_backend_that_freezes_under_a_job_is_answered_for_and_replaced() {
    let cluster = Cluster::start_new();
    let pool = pool_on(&cluster, |b| {
        b.cp_max(1)
            .cp_min(0)
            .statement_timeout(Duration::from_millis(300))
    });
    let observer = observer(&cluster);
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    let job = pool.run_query("SELECT pg_sleep(600) /* frozen */", ());
    until_running(&observer, "/* frozen */", 1);
    let frozen = Frozen::new(pid);
    let began = Instant::now();
    let error = outcome(job).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_ne!(value::<i32>(&pool, "SELECT pg_backend_pid()"), pid);
    drop(frozen);
    until_running(&observer, "/* frozen */", 0);
    assert_eq!(pool.stats().errors.timeout, 1);
}

#[test]
fn a_pool_on_a_frozen_server_closes_in_time() {
    let cluster = Cluster::start_new();
    let pool = pool_on(&cluster, |b| {
        b.cp_max(1)
            .cp_min(0)
            .close_grace(Duration::from_millis(200))
    });
    let observer = observer(&cluster);
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    let job = pool.run_query("SELECT pg_sleep(600) /* frozen close */", ());
    until_running(&observer, "/* frozen close */", 1);
    let _frozen = Frozen::new(pid);
    let began = Instant::now();
    pool.close();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(outcome(job).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_frozen_postmaster_makes_new_connections_unavailable_until_it_thaws() {
    let cluster = Cluster::start_new();
    let pool = pool_on(&cluster, |b| {
        b.cp_max(1)
            .cp_min(0)
            .connect_timeout(Duration::from_millis(500))
    });
    let frozen = Frozen::new(cluster.postmaster());
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    drop(frozen);
    eventually("it serves", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
    cluster.stop(Shutdown::Immediate);
}

/// Quick ones are not held up by connections that froze, for longer than their own limit.
#[test]
fn a_frozen_connection_gets_nothing_more() {
    let cluster = Cluster::start_new();
    let pool = pool_on(&cluster, |b| b.cp_max(2).cp_min(2).statement_timeout(LIMIT));
    warm(&pool, 2);
    for _ in 0..10 {
        assert_eq!(value::<i32>(&pool, "SELECT 7"), 7);
    }
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    let frozen = Frozen::new(pid);
    let jobs: Vec<_> = (0..80).map(|_| pool.run_query("SELECT 7", ())).collect();
    let (mut quick, mut held) = (0, Vec::new());
    let half = Duration::from_millis(500);
    for job in jobs {
        match job.wait_timeout(half) {
            Ok(result) => {
                result.unwrap();
                quick += 1;
            }
            Err(waits) => held.push(waits),
        }
    }
    // What was sent before it was late: a connection is filled before another one gets any.
    assert!(held.len() <= 32, "{quick} are answered");
    drop(frozen);
    for job in held {
        outcome(job).unwrap();
    }
}
