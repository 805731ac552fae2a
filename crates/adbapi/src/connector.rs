//! Owns how connections are made, tried and thrown away, as r2d2 asks for it. Knows no queue and no
//! job.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use r2d2::{CustomizeConnection, HandleError, ManageConnection};
use tracing::{info, warn};

use super::{
    LOG,
    builder::{Builder, Reset},
    connection::{Connection, ConnectionSettings, TRIAL, reset_script},
    error::{Error, describe},
    pool::{
        cancel::{Command, StatementCanceller},
        health::{Health, jitter},
    },
    server::Server,
    session_attrs::TargetSessionAttrs,
    tls::Tls,
};

/// A connection that worked this short a time ago is taken to work still: looking would cost more
/// than a query.
pub(super) const TRUSTED: Duration = Duration::from_millis(10);
/// A connection that idled for this long is tried with `cp_good_sql`: a firewall between may have
/// forgotten it.
const STALE: Duration = Duration::from_secs(30);

/// Our side of r2d2.
pub(super) struct Connector {
    /// To be tried in turn.
    servers: Vec<Server>,
    settings: Builder,
    health: Arc<Health>,
    commands: Sender<Command>,
    wanted: TargetSessionAttrs,
}

impl Connector {
    pub(super) fn new(
        settings: &Builder,
        tls: &Tls,
        health: Arc<Health>,
        commands: Sender<Command>,
    ) -> Self {
        Self {
            servers: Server::all(settings, tls),
            settings: settings.clone(),
            health,
            commands,
            wanted: settings.wanted(),
        }
    }

    fn open(&self) -> Result<Connection, String> {
        let mut client = Server::connect(&self.servers, &self.health)?;
        if let Some(openfun) = &self.settings.cp_openfun {
            openfun(&mut client)
                .map_err(|error| format!("cp_openfun failed: {}", describe(&error)))?;
        }
        let reset = match self.settings.reset {
            Reset::None => None,
            Reset::Discard => Some(reset_script(&mut client).map_err(|error| describe(&error))?),
        };
        let canceller = StatementCanceller {
            token: Arc::new(client.cancel_token()),
            commands: self.commands.clone(),
        };
        let settings = ConnectionSettings {
            statement_cache: self.settings.statement_cache,
            slow_query: self.settings.slow_query,
            wanted: self.wanted,
            statement_timeout: self.settings.statement_timeout,
            limit_is_doubtful: self.settings.cp_openfun.is_some(),
            reset,
            expires: self
                .settings
                .max_lifetime
                .map(|lifetime| Instant::now() + lifetime - jitter(lifetime / 10)),
        };
        let mut connection = Connection::new(client, Arc::new(canceller), settings);
        connection.measure().map_err(|error| error.reason())?;
        Ok(connection)
    }

    /// Tries a connection as hard as its past asks for.
    fn examine(&self, connection: &mut Connection) -> Result<(), Error> {
        let idle = connection.last_used.elapsed();
        let others_lost = self.health.lost_since(connection.last_used);
        if !connection.is_suspect() && idle < TRUSTED && !others_lost {
            return Ok(());
        }
        if self.health.silent_since(connection.last_used) {
            // Trying each would take its second from the time the job has.
            return Err(Error::custom("another connection gave no answer"));
        }
        let began = Instant::now();
        let mut tried = connection.look();
        // A server that has become read-only, or is promoted, keeps its connections, so only asking
        // helps.
        if tried.is_ok()
            && (connection.is_suspect()
                || idle > STALE
                || (others_lost && self.wanted.may_change()))
        {
            tried = connection.ask(&self.settings.cp_good_sql);
        }
        if tried.is_err() && began.elapsed() >= TRIAL {
            self.health.silent();
        }
        tried
    }
}

impl ManageConnection for Connector {
    /// Boxed, because workers and pool move it from hand to hand.
    type Connection = Box<Connection>;
    type Error = Refusal;

    fn connect(&self) -> Result<Box<Connection>, Refusal> {
        self.health.admit().map_err(Refusal)?;
        // One line for an outage, not one for each of its attempts.
        if self.settings.cp_noisy && !self.health.is_down() {
            info!(target: LOG, "adbapi connecting: {}", self.settings.target());
        }
        // A panic would make r2d2 lose count of its connections. cp_openfun may, and the client
        // library does when the system has no file for it.
        let open = || {
            catch_unwind(AssertUnwindSafe(|| self.open())).unwrap_or_else(|panic| {
                let message = deferred::panic_message(&*panic);
                Err(format!("there was a panic while connecting: {message}"))
            })
        };
        match self.health.connecting(open) {
            Ok(connection) => {
                self.health.connected();
                Ok(Box::new(connection))
            }
            Err(reason) => {
                self.health.refused(&reason);
                Err(Refusal(reason))
            }
        }
    }

    fn is_valid(&self, connection: &mut Box<Connection>) -> Result<(), Refusal> {
        if connection.is_expired(Instant::now()) {
            return Err(Refusal("the connection has reached max_lifetime".into()));
        }
        if connection.is_suspect() || self.settings.cp_reconnect {
            self.examine(connection).map_err(|error| {
                self.health.lost();
                let reason = error.reason();
                if self.settings.cp_noisy {
                    info!(target: LOG, "adbapi: an idle connection was lost, reconnecting: {reason}");
                }
                Refusal(reason)
            })?;
        }
        Ok(())
    }

    fn has_broken(&self, connection: &mut Box<Connection>) -> bool {
        let broken = connection.is_broken() || connection.is_expired(connection.last_used);
        if broken && self.settings.cp_noisy {
            info!(target: LOG, "adbapi closing: {}", self.settings.target());
        }
        broken
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(String);

/// Throws connections away.
#[derive(Debug)]
pub(super) struct Release;

impl CustomizeConnection<Box<Connection>, Refusal> for Release {
    fn on_release(&self, connection: Box<Connection>) {
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

/// [`Health`] has logged it, once; r2d2 would log it for each attempt.
#[derive(Debug)]
pub(super) struct AlreadyLogged;

impl HandleError<Refusal> for AlreadyLogged {
    fn handle_error(&self, _: Refusal) {}
}
