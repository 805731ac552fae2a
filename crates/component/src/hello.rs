//! The component of the reference text, line by line: four ways to ask the database for its time, on
//! either backend. Must not know how calls get here.
//!
//! | procedure | in the reference | on adbapi | on txpostgres |
//! |---|---|---|---|
//! | `com.example.now.v1` | `runQuery` and a callback | `run_query` and `map` | the same |
//! | `com.example.now.v2` | `inlineCallbacks`, "look synchronous" | `run_with_connection`: synchronous, on a worker | `run_query` and `and_then`, which looks almost so |
//! | `com.example.now.v3` | `runInteraction` | `run_interaction` with a closure | `run_interaction` with a function |
//! | `com.example.now.v4` | `runInteraction` with a coroutine | `run_interaction` with a function of `?`s | `run_interaction` with a coroutine: an `async` block |
//!
//! The fourth is the bonus of the reference's txpostgres variant. A coroutine there waits at each
//! `yield` for the next step of the transaction without a callback to write. Rust's coroutines are
//! `async` functions. Those of txpostgres are polled by the I/O thread; on adbapi, what gives the same
//! reading is a plain function that runs on the worker and has a `?` where the coroutine has its
//! `yield`.

#[cfg(feature = "adbapi")]
mod on_adbapi;
#[cfg(feature = "txpostgres")]
mod on_txpostgres;

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use sql::Sql;

use super::{Answer, Component, Error, OnConnect, Pool, Procedure, Setup};

/// What the configuration calls the class.
pub const CLASSNAME: &str = "hello.MyDatabaseComponent";

/// Answers with the database's time.
pub struct MyDatabaseComponent {
    db: Box<dyn Now>,
}

/// The four ways to ask. Each backend's pool has its own.
trait Now: Send + Sync {
    /// Runs a query; a callback makes the answer of its rows.
    fn dbnow(&self) -> Answer;

    /// Code that looks synchronous; the caller's thread goes on.
    fn dbnow_inline(&self) -> Answer;

    /// Runs inside a transaction, which might do more and still be committed or rolled back whole.
    fn dbnow_interaction(&self) -> Answer;

    /// The same, with the interaction written as a coroutine, step after step.
    fn dbnow_interaction_coroutine(&self) -> Answer;
}

/// Called for each new connection of the pool: the place to set something up on it.
fn on_pool_connection_created(backend_pid: i32) -> Result<Vec<Sql>, sql::Error> {
    // Not `println!`: whoever reads standard output may have stopped, which is no reason to wait.
    stdio::print_line(&format!(
        "New DB connection created (backend PID {backend_pid})"
    ));
    Ok(Vec::new())
}

impl Component for MyDatabaseComponent {
    const NEEDS_DATABASE: bool = true;
    const ON_CONNECT: Option<OnConnect> = Some(on_pool_connection_created);

    fn on_join(setup: Setup) -> Result<Self, Error> {
        // cp_min, cp_max, cp_noisy, cp_reconnect, cp_good_sql and where the database is stand
        // in the configuration's extra.database. Connections are created as needed.
        let pool = setup.database()?;
        pool.start()?;
        let db: Box<dyn Now> = match pool {
            #[cfg(feature = "adbapi")]
            Pool::Adbapi(pool) => Box::new(pool),
            #[cfg(feature = "txpostgres")]
            Pool::Txpostgres(pool) => Box::new(pool),
        };
        Ok(Self { db })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.now.v1", |this: &Self, _| this.db.dbnow()),
            Procedure::new("com.example.now.v2", |this: &Self, _| {
                this.db.dbnow_inline()
            }),
            Procedure::new("com.example.now.v3", |this: &Self, _| {
                this.db.dbnow_interaction()
            }),
            Procedure::new("com.example.now.v4", |this: &Self, _| {
                this.db.dbnow_interaction_coroutine()
            }),
        ]
    }
}

/// A point in time as Python's `"{0}".format(datetime)` prints it: microseconds only when there
/// are any. Always in UTC, which is what PostgreSQL sends.
fn python_str(time: DateTime<Utc>) -> String {
    let fraction = match time.nanosecond() / 1000 {
        0 => SecondsFormat::Secs,
        _ => SecondsFormat::Micros,
    };
    // The same but for the letter between date and time, and made without reading a format.
    let mut text = time.to_rfc3339_opts(fraction, false);
    if let Some(at) = text.find('T') {
        text.replace_range(at..=at, " ");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_look_as_python_prints_them() {
        for (micros, text) in [
            (1_795_345_241_123_456, "2026-11-22 11:00:41.123456+00:00"),
            (1_795_345_241_000_100, "2026-11-22 11:00:41.000100+00:00"),
            (1_795_345_241_000_000, "2026-11-22 11:00:41+00:00"),
        ] {
            assert_eq!(
                python_str(DateTime::from_timestamp_micros(micros).unwrap()),
                text
            );
        }
    }
}
