//! Owns PostgreSQL as the driver of a pool: how its connections are made, tried, cancelled and
//! thrown away. Knows no queue and no thread of the pool.

use std::{sync::Arc, thread, time::Duration};

use postgres::Client;
use r2d2::ManageConnection;
use sql::{Reset, TargetSessionAttrs};
use tracing::warn;

use super::{
    LOG,
    builder::Builder,
    connection::{Connection, ConnectionSettings, reset_script},
    descriptors,
    driver::{Canceller, Driver},
    error::{Error, describe},
    listen::Listening,
    pool::{job::Failure, worker_state::WorkerState},
    postgres_settings::{OnConnect, OpenFun, PostgresSettings},
    server::Server,
    session_attrs::SessionAttrs,
    tls::Tls,
    transaction::Transaction,
};

/// The driver of a [`ConnectionPool`](super::ConnectionPool) unless another is named: PostgreSQL,
/// through the `postgres` crate. [`ConnectionPool::builder`](super::ConnectionPool::builder) makes
/// it.
pub struct Postgres {
    /// To be tried in turn.
    servers: Vec<Server>,
    cp_openfun: Option<OpenFun>,
    on_connect: Option<OnConnect>,
    reset: Reset,
    good_sql: String,
    tls: Tls,
    statement_cache: usize,
    slow_query: Option<Duration>,
    statement_timeout: Option<Duration>,
    wanted: TargetSessionAttrs,
    pub(super) listening: Listening,
}

impl Postgres {
    pub(super) fn new(settings: &Builder, tls: Tls) -> Self {
        let PostgresSettings {
            cp_openfun,
            on_connect,
            cp_good_sql,
            statement_cache,
            slow_query,
            reset,
            ..
        } = &settings.driver;
        Self {
            servers: Server::all(settings, &tls),
            listening: Listening::new(settings, &tls),
            cp_openfun: cp_openfun.clone(),
            on_connect: on_connect.clone(),
            reset: *reset,
            good_sql: cp_good_sql.clone(),
            tls,
            statement_cache: *statement_cache,
            slow_query: *slow_query,
            statement_timeout: settings.pool.statement_timeout,
            wanted: settings.driver.wanted(),
        }
    }

    fn open(&self) -> Result<Connection, String> {
        let mut client = Server::connect(&self.servers)?;
        if let Some(openfun) = &self.cp_openfun {
            openfun(&mut client)
                .map_err(|error| format!("cp_openfun failed: {}", describe(&error)))?;
        }
        let has_set_up = match &self.on_connect {
            Some(on_connect) => set_up(&mut client, on_connect)
                .map_err(|why| format!("on_connect failed: {why}"))?,
            None => false,
        };
        let reset = match self.reset {
            Reset::None => None,
            Reset::Discard => Some(reset_script(&mut client).map_err(|error| describe(&error))?),
        };
        let settings = ConnectionSettings {
            statement_cache: self.statement_cache,
            slow_query: self.slow_query,
            wanted: self.wanted,
            statement_timeout: self.statement_timeout,
            limit_is_doubtful: self.cp_openfun.is_some() || has_set_up,
            reset,
        };
        let mut connection = Connection::new(client, settings);
        connection.measure().map_err(|error| error.reason())?;
        Ok(connection)
    }
}

/// Runs what `on_connect` wants run. Whether that is anything.
fn set_up(client: &mut Client, on_connect: &OnConnect) -> Result<bool, String> {
    let asked = client.query_one("SELECT pg_backend_pid()", &[]);
    let backend: i32 = asked.map_err(|error| describe(&error))?.get(0);
    let statements = on_connect(backend).map_err(|error| error.to_string())?;
    for sql in &statements {
        let done = client.batch_execute(sql);
        done.map_err(|error| describe(&error))?;
    }
    Ok(!statements.is_empty())
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl ManageConnection for Postgres {
    type Connection = Connection;
    type Error = Error;

    fn connect(&self) -> Result<Connection, Error> {
        self.open().map_err(Error::custom)
    }

    fn is_valid(&self, connection: &mut Connection) -> Result<(), Error> {
        let asked = connection.ask(&self.good_sql);
        asked.map_err(|error| Error::custom(error.reason()))
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_broken()
    }
}

impl Driver for Postgres {
    type Transaction<'c> = Transaction<'c>;

    const DATABASE: &'static str = "PostgreSQL";

    fn interact<T>(connection: &mut Connection, run: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        run(&mut Transaction::new(connection))
    }

    fn begin(&self, connection: &mut Connection) -> Result<(), Error> {
        connection.begin().map_err(Failure::into_error)
    }

    fn commit(&self, connection: &mut Connection) -> Result<(), Error> {
        if let Err(error) = connection.check_unbroken() {
            connection.rollback();
            return Err(error);
        }
        connection.commit()
    }

    fn rollback(&self, connection: &mut Connection) -> Result<(), Error> {
        connection.rollback();
        Ok(())
    }

    /// Asks the server to stop the statement, on a connection of its own for that, encrypted if the
    /// other is. A server that can't be reached runs the statement no further either.
    fn canceller(&self, connection: &mut Connection) -> Option<Canceller> {
        let (token, tls) = (connection.cancel_token(), self.tls.streams.clone());
        Some(Arc::new(move || {
            let fault = match descriptors::guarded(|| token.cancel_query(tls.clone())) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => describe(&error),
                Err(none_left) => none_left.to_owned(),
            };
            warn!(target: LOG, "a statement could not be cancelled: {fault}");
        }))
    }

    fn outlasts_cancel(&self, connection: &mut Connection) -> bool {
        connection.outlasts_cancel()
    }

    fn look(&self, connection: &mut Connection, others_lost: bool) -> Result<(), Error> {
        let looked = connection.look();
        looked.map_err(|error| Error::custom(error.reason()))?;
        // A server that has become read-only, or is promoted, keeps its connections, so only asking
        // helps.
        if others_lost && self.wanted.may_change() {
            return self.is_valid(connection);
        }
        Ok(())
    }

    fn is_suspect(&self, connection: &Connection) -> bool {
        connection.is_suspect()
    }

    fn begin_job(&self, connection: &mut Connection, worker: &Arc<WorkerState>) {
        connection.begin_job(worker.clone());
    }

    fn end_job(&self, connection: &mut Connection) {
        connection.end_job();
    }

    fn reset(&self, connection: &mut Connection) {
        connection.reset();
    }

    fn silence(&self) -> String {
        Server::silence(&self.servers)
    }

    fn close(&self) {
        self.listening.close();
    }

    fn release(&self, connection: Connection) {
        if connection.is_unanswered() {
            // The drop waits until the server answers or TCP gives it up. A worker must not, nor
            // r2d2; there are never more such threads than a pool of connections had frozen.
            let release = thread::Builder::new().name("db-release".into());
            if let Err(error) = release.spawn(move || drop(connection)) {
                warn!(target: LOG, "no thread to release a frozen connection: {error}");
            }
        }
    }
}
