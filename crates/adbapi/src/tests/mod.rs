//! Owns what the pool's tests share; how a PostgreSQL is started for them is `cluster`'s.

mod cancels;
mod closing;
mod cluster;
mod database;
mod faults;
mod jobs;
mod judged;
mod limits;
mod policy;
mod sessions;
mod statements;
mod structs;
mod tls;
mod upkeep;

use std::time::{Duration, Instant};

use super::{Builder, ConnectionPool, Deferred, Error};
use cluster::Cluster;

/// Longer than anything here takes, shorter than anybody's patience.
const LIMIT: Duration = Duration::from_secs(20);

/// A pool on the shared cluster.
fn pool(set: impl FnOnce(Builder) -> Builder) -> ConnectionPool {
    pool_on(Cluster::shared(), set)
}

fn pool_on(cluster: &Cluster, set: impl FnOnce(Builder) -> Builder) -> ConnectionPool {
    set(ConnectionPool::builder(cluster.config()))
        .build()
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
fn value<T: for<'a> postgres::types::FromSql<'a>>(pool: &ConnectionPool, sql: &'static str) -> T {
    outcome(pool.run_query(sql, ())).unwrap()[0].get(0)
}

/// Ends a backend of the shared cluster and waits until it is gone, and until its connection was
/// idle for longer than the pool trusts one without a look.
fn terminate(pid: i32) {
    let began = Instant::now();
    let mut client = Cluster::shared().client();
    client
        .execute("SELECT pg_terminate_backend($1, 10000)", &[&pid])
        .unwrap();
    let trusted = Duration::from_millis(10);
    eventually("it is looked at", || began.elapsed() > 2 * trusted);
}
