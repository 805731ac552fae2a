//! The component of the reference text, line by line: four ways to ask the database for its time.
//! Must not know how calls get here.
//!
//! | procedure | in the reference | here |
//! |---|---|---|
//! | `com.example.now.v1` | `runQuery` and a callback | [`run_query`] and [`map`] |
//! | `com.example.now.v2` | `inlineCallbacks`, "look synchronous" | [`run_with_connection`]: synchronous, on a worker |
//! | `com.example.now.v3` | `runInteraction` | [`run_interaction`] with a closure |
//! | `com.example.now.v4` | `runInteraction` with a coroutine | [`run_interaction`] with a function of `?`s |
//!
//! The fourth is the bonus of the reference's txpostgres variant. A coroutine there waits at each
//! `yield` for the next step of the transaction without a callback to write. Rust's coroutines are
//! `async` functions, which need an executor, and there is none here; what gives the same reading
//! is a plain function that runs on the worker and has a `?` where the coroutine has its `yield`.
//!
//! [`run_query`]: ConnectionPool::run_query
//! [`map`]: adbapi::Deferred::map
//! [`run_with_connection`]: ConnectionPool::run_with_connection
//! [`run_interaction`]: ConnectionPool::run_interaction

use chrono::{DateTime, SecondsFormat, Timelike, Utc};

use super::{Answer, Component, Error, Invocation, OpenFun, Procedure, Reply, Setup};
use adbapi::{Client, ClientError, ConnectionPool, Row, Transaction};

/// What the configuration calls the class.
pub const CLASSNAME: &str = "hello.MyDatabaseComponent";

/// Answers with the database's time.
pub struct MyDatabaseComponent {
    db: ConnectionPool,
}

/// Called for each new connection of the pool: the place to set something up on it.
fn on_pool_connection_created(conn: &mut Client) -> Result<(), ClientError> {
    let pid: i32 = conn.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    // Not `println!`: whoever reads standard output may have stopped, which is no reason to wait.
    stdio::print_line(&format!("New DB connection created (backend PID {pid})"));
    Ok(())
}

impl Component for MyDatabaseComponent {
    const NEEDS_DATABASE: bool = true;
    const CP_OPENFUN: Option<OpenFun> = Some(on_pool_connection_created);

    fn on_join(setup: Setup) -> Result<Self, Error> {
        // cp_min, cp_max, cp_noisy, cp_reconnect, cp_good_sql and where the database is stand
        // in the configuration's extra.database. Connections are created as needed.
        let pool = setup.database()?;
        pool.start()?;
        Ok(Self { db: pool })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.now.v1", Self::dbnow),
            Procedure::new("com.example.now.v2", Self::dbnow_inline),
            Procedure::new("com.example.now.v3", Self::dbnow_interaction),
            Procedure::new("com.example.now.v4", Self::dbnow_interaction_coroutine),
        ]
    }
}

impl MyDatabaseComponent {
    /// Runs a query; a callback makes the answer of its rows.
    fn dbnow(&self, _: Invocation) -> Answer {
        let d = self.db.run_query("SELECT now()", ());
        Reply::later(d.map(|rows| format(&rows[0])))
    }

    /// Code that looks synchronous: on the worker it is, and the caller's thread goes on.
    fn dbnow_inline(&self, _: Invocation) -> Answer {
        Reply::later(self.db.run_with_connection(|conn| {
            let rows = conn.query("SELECT now()", ())?;
            Ok(format(&rows[0]))
        }))
    }

    /// Runs inside a transaction, which might do more and still be committed or rolled back
    /// whole.
    fn dbnow_interaction(&self, _: Invocation) -> Answer {
        Reply::later(self.db.run_interaction(|txn| {
            txn.execute("SELECT now()", ())?;
            let rows = txn.fetch_all();
            Ok(format(&rows[0]))
        }))
    }

    /// The same, with the interaction a function of its own, step after step.
    fn dbnow_interaction_coroutine(&self, _: Invocation) -> Answer {
        fn run(txn: &mut Transaction<'_>) -> Result<String, adbapi::Error> {
            let rows = txn.query("SELECT now()", ())?;
            Ok(format(&rows[0]))
        }
        Reply::later(self.db.run_interaction(run))
    }
}

fn format(row: &Row) -> String {
    python_str(row.get(0))
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
