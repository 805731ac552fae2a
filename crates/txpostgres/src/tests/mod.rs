//! Owns what the pool's tests share; how a PostgreSQL and the I/O threads are started for them is
//! `cluster`'s.

mod cluster;
mod suite;

use std::time::{Duration, Instant};

use sql::{Deferred, Error};

use crate::{Builder, ConnectionPool};
use cluster::{Cluster, reactors};

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
