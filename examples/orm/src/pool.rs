//! Owns the pool whose connections are Diesel's: where they lead, what begins and ends their
//! transactions, and how their statements are stopped. Must not know tables.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use diesel::{
    PgConnection,
    connection::{AnsiTransactionManager, TransactionManager},
    prelude::*,
    r2d2::ConnectionManager,
};
use serde::Deserialize;
use wampgres::adbapi::{Canceller, ConnectionPool, Error, R2d2};

/// A pool of Diesel's connections.
pub(crate) type Db = ConnectionPool<R2d2<ConnectionManager<PgConnection>>>;

/// The component's `extra`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// libpq's own parameters. What is missing it finds by itself, in `PGHOST` for example.
    #[serde(default)]
    libpq: BTreeMap<String, String>,
    #[serde(default = "Settings::cp_max")]
    cp_max: u32,
    #[serde(default = "Settings::queue_limit")]
    queue_limit: usize,
    /// How long a call waits for a connection.
    #[serde(default = "Settings::connect_timeout_ms")]
    connect_timeout_ms: u64,
    /// How long a job may take.
    statement_timeout_ms: Option<u64>,
}

impl Settings {
    fn cp_max() -> u32 {
        10
    }

    fn queue_limit() -> usize {
        1024
    }

    fn connect_timeout_ms() -> u64 {
        5000
    }

    /// For libpq. A URL would do as well, but libpq repeats one that it cannot read, with the
    /// password.
    fn connection_string(&self) -> String {
        let quoted = |text: &String| text.replace('\\', r"\\").replace('\'', r"\'");
        let parameters = self.libpq.iter();
        let parameters = parameters.map(|(name, value)| format!("{name}='{}' ", quoted(value)));
        parameters.collect()
    }
}

/// Makes the pool; it connects when it is first used.
pub(crate) fn open(settings: &Settings) -> Result<Db, Error> {
    let place = settings.connection_string();
    let manager = ConnectionManager::<PgConnection>::new(&place);
    let driver = R2d2::new(manager)
        .transactions(
            |connection| Ok(AnsiTransactionManager::begin_transaction(connection)?),
            |connection| Ok(AnsiTransactionManager::commit_transaction(connection)?),
            |connection| Ok(AnsiTransactionManager::rollback_transaction(connection)?),
        )
        .canceller(move |connection| canceller(connection, place.clone()));
    ConnectionPool::with_driver(driver)
        .cp_max(settings.cp_max)
        .cp_min(settings.cp_max.min(3))
        .queue_limit(settings.queue_limit)
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .statement_timeout(settings.statement_timeout_ms.map(Duration::from_millis))
        .close_grace(Duration::from_secs(2))
        .build()
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn pg_backend_pid() -> diesel::sql_types::Integer;
    fn pg_cancel_backend(pid: diesel::sql_types::Integer) -> diesel::sql_types::Bool;
}

/// Stops what runs on this connection, by a connection of its own. If it cannot be had, the
/// statement runs on, and nobody hears of it.
fn canceller(connection: &mut PgConnection, place: String) -> Option<Canceller> {
    let pid: i32 = diesel::select(pg_backend_pid())
        .get_result(connection)
        .ok()?;
    Some(Arc::new(move || {
        if let Ok(mut own) = PgConnection::establish(&place) {
            let _ = diesel::select(pg_cancel_backend(pid)).execute(&mut own);
        }
    }))
}
