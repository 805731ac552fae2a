//! Owns how connections are made, tried and thrown away, as r2d2 asks for it, whatever the driver.
//! Knows no queue and no job.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use deferred::Interrupt;
use r2d2::{CustomizeConnection, HandleError, ManageConnection};
use tracing::info;

use super::{
    cancel::{Command, StatementCanceller},
    health::{Health, jitter},
    settings::PoolSettings,
};
use crate::{LOG, driver::Driver, error::Error};

/// A connection that worked this short a time ago is trusted to work still: a look would cost more
/// than a query.
const TRUSTED: Duration = Duration::from_millis(10);

/// A connection that has idled for this long is tried, because a firewall between may have
/// forgotten it.
const STALE: Duration = Duration::from_secs(30);

/// A check that took this long and failed means that the database does not answer.
pub(crate) const SILENT: Duration = Duration::from_secs(1);

/// A connection, and what the pool knows of it.
pub(crate) struct PoolConnection<C> {
    connection: C,
    canceller: Arc<dyn Interrupt<Error>>,
    /// The same.
    statement_canceller: Arc<StatementCanceller>,
    /// When it was made or its last job ended.
    last_used: Instant,
    /// When it has reached its `max_lifetime`.
    expires: Option<Instant>,
    /// Must not be used again, whatever its driver says.
    discarded: bool,
}

impl<C> PoolConnection<C> {
    /// Takes the connection out of use.
    pub(super) fn discard(&mut self) {
        self.discarded = true;
    }

    /// A job has ended on it.
    pub(super) fn used(&mut self) {
        self.last_used = Instant::now();
    }

    /// Whether it worked so short a time ago that it may be used unseen.
    pub(super) fn is_trusted(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_used) < TRUSTED
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Ends the cancel requests of its last job: see [`StatementCanceller::end_requests`].
    pub(super) fn end_cancel_requests(&self, limit: Duration) -> Option<u32> {
        self.statement_canceller.end_requests(limit)
    }

    pub(super) fn canceller(&self) -> &Arc<dyn Interrupt<Error>> {
        &self.canceller
    }

    /// Whether it must be closed. It was in use until now.
    fn must_close(&mut self, driver: &impl Driver<Connection = C>) -> bool {
        self.discarded || driver.has_broken(self) || self.is_expired(self.last_used)
    }

    /// Whether it may serve the next job as it is.
    pub(super) fn is_fit(&mut self, driver: &impl Driver<Connection = C>) -> bool {
        !self.must_close(driver) && !driver.is_suspect(self)
    }

    /// Undoes what its last job left in the session.
    pub(super) fn reset(&mut self, driver: &impl Driver<Connection = C>) {
        if !self.discarded {
            driver.reset(self);
        }
    }
}

impl<C> Deref for PoolConnection<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for PoolConnection<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

/// The manager that r2d2 sees: the driver, and the pool's rules for using it.
pub(super) struct Manager<D: Driver> {
    pub(super) driver: Arc<D>,
    pub(super) settings: PoolSettings,
    pub(super) health: Arc<Health>,
    pub(super) commands: Sender<Command>,
}

impl<D: Driver> Manager<D> {
    fn open(&self) -> Result<Box<PoolConnection<D::Connection>>, String> {
        // A panic would make r2d2 lose count of its connections. What a user runs for each new
        // connection may panic, and client libraries do when the system has no file for them.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let opened = self.driver.connect();
            let mut connection = opened.map_err(|error| error.to_string())?;
            let stop = self.driver.canceller(&mut connection);
            Ok((connection, stop))
        }));
        let (connection, stop) = opened.unwrap_or_else(|panic| {
            let message = deferred::panic_message(&*panic);
            Err(format!("there was a panic while connecting: {message}"))
        })?;
        let now = Instant::now();
        let lifetime = self.settings.max_lifetime;
        let canceller = Arc::new(StatementCanceller::new(stop, self.commands.clone()));
        Ok(Box::new(PoolConnection {
            connection,
            canceller: canceller.clone(),
            statement_canceller: canceller,
            last_used: now,
            expires: lifetime.map(|lifetime| now + lifetime - jitter(lifetime / 10)),
            discarded: false,
        }))
    }

    /// Tries a connection as hard as its past asks for.
    fn examine(&self, connection: &mut PoolConnection<D::Connection>) -> Result<(), String> {
        let last_used = connection.last_used;
        let is_suspect = self.driver.is_suspect(connection);
        let others_lost = self.health.lost_since(last_used);
        if !is_suspect && !others_lost && connection.is_trusted(Instant::now()) {
            return Ok(());
        }
        if self.health.silent_since(last_used) {
            // To try each would take its second from the time that the job has.
            return Err("another connection gave no answer".to_owned());
        }
        let began = Instant::now();
        let mut tried = self.driver.look(connection, others_lost);
        if tried.is_ok() && (is_suspect || last_used.elapsed() > STALE) {
            tried = self.driver.is_valid(connection);
        }
        if tried.is_err() && began.elapsed() >= SILENT {
            self.health.silent();
        }
        tried.map_err(|error| error.to_string())
    }
}

impl<D: Driver> ManageConnection for Manager<D> {
    /// Boxed, because workers and pool move it from hand to hand.
    type Connection = Box<PoolConnection<D::Connection>>;
    type Error = Refusal;

    fn connect(&self) -> Result<Self::Connection, Refusal> {
        self.health.admit().map_err(Refusal)?;
        // One line for an outage, not one for each of its attempts.
        if self.settings.cp_noisy && !self.health.is_down() {
            info!(target: LOG, "adbapi connecting: {}", self.settings.target);
        }
        match self.health.connecting(|| self.open()) {
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

    fn is_valid(&self, connection: &mut Self::Connection) -> Result<(), Refusal> {
        if connection.is_expired(Instant::now()) {
            return Err(Refusal("the connection has reached max_lifetime".into()));
        }
        if !self.settings.cp_reconnect && !self.driver.is_suspect(connection) {
            return Ok(());
        }
        self.examine(connection).map_err(|reason| {
            self.health.lost();
            if self.settings.cp_noisy {
                info!(target: LOG, "adbapi: an idle connection was lost, reconnecting: {reason}");
            }
            Refusal(reason)
        })
    }

    fn has_broken(&self, connection: &mut Self::Connection) -> bool {
        let must_close = connection.must_close(&*self.driver);
        if must_close && self.settings.cp_noisy {
            info!(target: LOG, "adbapi closing: {}", self.settings.target);
        }
        must_close
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(String);

/// Has the driver close what r2d2 throws away.
pub(super) struct Release<D>(pub(super) Arc<D>);

impl<D: Driver> CustomizeConnection<Box<PoolConnection<D::Connection>>, Refusal> for Release<D> {
    fn on_release(&self, connection: Box<PoolConnection<D::Connection>>) {
        self.0.release(connection.connection);
    }
}

impl<D> fmt::Debug for Release<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Release")
    }
}

/// [`Health`] has logged it, once; r2d2 would log it for each attempt.
#[derive(Debug)]
pub(super) struct AlreadyLogged;

impl HandleError<Refusal> for AlreadyLogged {
    fn handle_error(&self, _: Refusal) {}
}
