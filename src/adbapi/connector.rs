//! Owns how connections are made, tried and thrown away, as r2d2 asks for it. Knows no queue and no job.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use postgres::{CancelToken, NoTls};
use r2d2::{HandleError, ManageConnection};
use r2d2_postgres::PostgresConnectionManager;
use tracing::{info, warn};

use super::builder::{Builder, OpenFun};
use super::connection::Connection;
use super::error::{Error, describe, panic_message};
use super::health::Health;
use super::watch::{Brake, Order};
use super::{LOG, notices};

/// How connections are secured. TLS takes its place here: a type that makes TLS streams, and its value in `Connector`.
pub(super) type Tls = NoTls;

/// A connection that worked this short a time ago is taken to work still: looking would cost more than a query.
const TRUSTED: Duration = Duration::from_millis(10);
/// A connection that idled for this long is tried with `cp_good_sql`: a firewall between may have forgotten it.
const STALE: Duration = Duration::from_secs(30);
/// How long a connection has to answer when it is tried, before it counts as dead.
const TRIAL: Duration = Duration::from_secs(1);

/// Our side of r2d2, around the one that `r2d2_postgres` has.
pub(super) struct Connector {
    dial: PostgresConnectionManager<Tls>,
    health: Arc<Health>,
    openfun: Option<OpenFun>,
    reconnect: bool,
    good_sql: String,
    noisy: bool,
    target: String,
    statement_cache: usize,
    /// Sent once to each new session.
    setup: Option<String>,
    orders: Sender<Order>,
}

impl Connector {
    pub(super) fn new(settings: &Builder, health: Arc<Health>, orders: Sender<Order>) -> Self {
        let mut config = settings.config.clone();
        config.notice_callback(notices::log);
        if config.get_application_name().is_none() {
            config.application_name(settings.cp_name.as_deref().unwrap_or("adbapi"));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(settings.connect_timeout);
        }
        Self {
            dial: PostgresConnectionManager::new(config, NoTls),
            health,
            openfun: settings.cp_openfun.clone(),
            reconnect: settings.cp_reconnect,
            good_sql: settings.cp_good_sql.clone(),
            noisy: settings.cp_noisy,
            target: settings.target(),
            statement_cache: settings.statement_cache,
            setup: settings
                .statement_timeout
                .map(|limit| format!("SET statement_timeout = {}", limit.as_millis())),
            orders,
        }
    }

    fn open(&self) -> Result<Connection, String> {
        let mut client = self.dial.connect().map_err(|error| describe(&error))?;
        if let Some(setup) = &self.setup {
            client
                .batch_execute(setup)
                .map_err(|error| describe(&error))?;
        }
        if let Some(openfun) = &self.openfun {
            // r2d2 would lose count of its connections if this panicked.
            match catch_unwind(AssertUnwindSafe(|| openfun(&mut client))) {
                Ok(opened) => {
                    opened.map_err(|error| format!("cp_openfun failed: {}", describe(&error)))?
                }
                Err(panic) => {
                    return Err(format!("cp_openfun panicked: {}", panic_message(&*panic)));
                }
            }
        }
        let brake = Brake {
            token: Arc::new(client.cancel_token()),
            orders: self.orders.clone(),
        };
        Ok(Connection::new(
            client,
            Arc::new(brake),
            self.statement_cache,
        ))
    }

    /// Tries a connection as hard as its past asks for.
    fn examine(&self, connection: &mut Connection) -> Result<(), Error> {
        let idle = connection.last_used.elapsed();
        let in_doubt = connection.is_suspect();
        if !in_doubt && idle < TRUSTED && !self.health.lost_since(connection.last_used) {
            return Ok(());
        }
        connection.look()?;
        if in_doubt || idle > STALE {
            connection.ask(&self.good_sql, TRIAL)?;
        }
        Ok(())
    }
}

impl ManageConnection for Connector {
    type Connection = Connection;
    type Error = Refusal;

    fn connect(&self) -> Result<Connection, Refusal> {
        self.health.admit().map_err(Refusal)?;
        if self.noisy {
            info!(target: LOG, "adbapi connecting: {}", self.target);
        }
        match self.open() {
            Ok(connection) => {
                self.health.connected();
                Ok(connection)
            }
            Err(reason) => {
                self.health.refused(&reason);
                Err(Refusal(reason))
            }
        }
    }

    fn is_valid(&self, connection: &mut Connection) -> Result<(), Refusal> {
        if connection.is_suspect() || self.reconnect {
            self.examine(connection).map_err(|error| {
                self.health.lost();
                if self.noisy {
                    info!(target: LOG, "adbapi: an idle connection was lost, reconnecting: {error}");
                }
                Refusal(error.to_string())
            })?;
        }
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        let broken = connection.is_broken();
        if broken && self.noisy {
            info!(target: LOG, "adbapi closing: {}", self.target);
        }
        broken
    }
}

/// Asks the server to stop the statement that runs on the connection of `token`.
///
/// Opens a connection of its own for that; a server that cannot be reached runs the statement no further either.
pub(super) fn stop_statement(token: &CancelToken) {
    if let Err(error) = token.cancel_query(NoTls) {
        warn!(target: LOG, "a statement could not be cancelled: {}", describe(&error));
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(String);

/// [`Health`] has logged it, once; r2d2 would log it for each attempt.
#[derive(Debug)]
pub(super) struct AlreadyLogged;

impl HandleError<Refusal> for AlreadyLogged {
    fn handle_error(&self, _: Refusal) {}
}
