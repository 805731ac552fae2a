//! Owns what the pool's tests share; how a PostgreSQL and the I/O threads are started for them is
//! `cluster`'s.

mod cancels;
mod closing;
mod cluster;
mod fairness;
mod faults;
mod interactions;
mod limits;
mod sessions;
mod suite;
mod tls;
mod upkeep;

use std::time::{Duration, Instant};

use sql::{Deferred, Error};

use crate::{Builder, ConnectionPool};
use cluster::{Cluster, reactors, reactors_of};

/// Longer than anything here takes, shorter than anybody's patience.
const LIMIT: Duration = Duration::from_secs(20);

/// A pool on the shared cluster.
fn pool(set: impl FnOnce(Builder) -> Builder) -> ConnectionPool {
    pool_on(Cluster::shared(), set)
}

fn pool_on(cluster: &Cluster, set: impl FnOnce(Builder) -> Builder) -> ConnectionPool {
    set(ConnectionPool::builder(cluster.settings()))
        .build(reactors())
        .unwrap()
}

/// The result of a deferred that must come.
fn outcome<T: Send + 'static>(deferred: Deferred<T>) -> Result<T, Error> {
    deferred.wait_timeout(LIMIT).expect("no result came")
}

/// Waits until something holds, which must be soon.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::yield_now();
    }
}

/// The one value of a query that gives one.
fn value<T: sql::types::FromSqlOwned>(pool: &ConnectionPool, sql: &'static str) -> T {
    let rows = outcome(pool.run_query(sql, ())).unwrap();
    rows.row(0).unwrap().get(0).unwrap()
}

/// Runs a statement that must succeed.
fn run(pool: &ConnectionPool, sql: impl Into<sql::Sql>) -> u64 {
    outcome(pool.run_operation(sql, ())).unwrap()
}

/// A pool of one connection, to look at a server from outside.
fn observer(cluster: &Cluster) -> ConnectionPool {
    pool_on(cluster, |b| b.cp_max(1).cp_min(0).cp_name("observer"))
}

/// Ends a backend of the shared cluster and waits until it is gone.
fn terminate(pid: i32) {
    let observer = observer(Cluster::shared());
    run(
        &observer,
        format!("SELECT pg_terminate_backend({pid}, 10000)"),
    );
}

/// Opens all `count` connections of a pool.
fn warm(pool: &ConnectionPool, count: u32) {
    let busy: Vec<_> = (0..count)
        .map(|_| pool.run_query("SELECT pg_sleep(0.2)", ()))
        .collect();
    for job in busy {
        outcome(job).unwrap();
    }
    assert_eq!(pool.stats().connections, count);
}

/// Waits until so many statements with this mark run on a server.
fn until_running(observer: &ConnectionPool, mark: &str, count: i64) {
    let sql: sql::Sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() \
         AND strpos(query, '{mark}') > 0"
    )
    .into();
    eventually("it runs", || {
        let rows = outcome(observer.run_query(sql.clone(), ())).unwrap();
        rows.row(0).unwrap().get::<i64>(0) == Ok(count)
    });
}
