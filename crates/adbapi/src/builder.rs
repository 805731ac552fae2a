//! Owns the settings of a pool as its users set them. What they mean is `pool/settings.rs`'s and
//! the driver's.

mod for_postgres;

use std::{fmt, time::Duration};

use super::{pool::settings::PoolSettings, postgres_settings::PostgresSettings};

/// The settings of a [`ConnectionPool`](crate::ConnectionPool), with Twisted's names where Twisted
/// has them, and its driver or the settings of that.
#[derive(Clone)]
pub struct Builder<S = PostgresSettings> {
    pub(super) pool: PoolSettings,
    pub(super) driver: S,
}

impl<S> Builder<S> {
    pub(super) fn with(driver: S) -> Self {
        let pool = PoolSettings::default();
        Self { pool, driver }
    }

    /// How many idle connections are kept open (3). They are opened in the background when the pool
    /// starts.
    pub fn cp_min(mut self, connections: u32) -> Self {
        self.pool.cp_min = connections;
        self
    }

    /// How many connections there are at most, and how many workers (5).
    pub fn cp_max(mut self, connections: u32) -> Self {
        self.pool.cp_max = connections;
        self
    }

    /// Whether opening, losing and closing connections is logged (no), at level INFO.
    pub fn cp_noisy(mut self, noisy: bool) -> Self {
        self.pool.cp_noisy = noisy;
        self
    }

    /// Whether connections that died while they were idle are replaced without failing a job (yes;
    /// Twisted's default is no). Without it the job that finds a dead connection fails with
    /// [`Error::ConnectionLost`](crate::Error::ConnectionLost).
    pub fn cp_reconnect(mut self, reconnect: bool) -> Self {
        self.pool.cp_reconnect = reconnect;
        self
    }

    /// The pool's name in the log, and the `application_name` PostgreSQL shows unless the config
    /// has one.
    pub fn cp_name(mut self, name: impl Into<String>) -> Self {
        self.pool.cp_name = Some(name.into());
        self
    }

    /// How many jobs may wait for a worker (1024); one more fails at once with
    /// [`Error::QueueFull`](crate::Error::QueueFull).
    pub fn queue_limit(mut self, jobs: usize) -> Self {
        self.pool.queue_limit = jobs;
        self
    }

    /// How long a job may wait for a connection, counted from its submission (5 s), before it fails
    /// with [`Error::Unavailable`](crate::Error::Unavailable).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.pool.connect_timeout = timeout;
        self
    }

    /// How long [`close`](crate::ConnectionPool::close) lets running jobs run on (5 s) before their
    /// statements are cancelled.
    pub fn close_grace(mut self, grace: Duration) -> Self {
        self.pool.close_grace = grace;
        self
    }

    /// How long a statement may run (no limit), in whole milliseconds: PostgreSQL then ends it with
    /// SQLSTATE 57014. If PostgreSQL is frozen and does not even do that, the job fails with
    /// [`Error::Timeout`](crate::Error::Timeout) half a second later. A job may set another limit
    /// for itself (`SET LOCAL statement_timeout`).
    pub fn statement_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.pool.statement_timeout = timeout.into();
        self
    }

    /// How long a job may wait for a worker (no limit) before it fails with
    /// [`Error::QueueTimeout`](crate::Error::QueueTimeout).
    pub fn queue_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.pool.queue_timeout = timeout.into();
        self
    }

    /// How long a connection may be idle before it is closed (10 min; the pool looks every half
    /// minute). Up to `cp_min` are replaced by new ones.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.pool.idle_timeout = timeout.into();
        self
    }

    /// How old a connection may become (30 min), less up to a tenth at random so that they do not
    /// all end at once. It is closed between two jobs.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.pool.max_lifetime = lifetime.into();
        self
    }

    /// Whether a worker that has had a job looks for the next one for some microseconds before it
    /// sleeps (yes). Waking a sleeping thread can take longer than a query; looking takes processor
    /// time while jobs come quickly.
    pub fn wait_awake(mut self, awake: bool) -> Self {
        self.pool.wait_awake = awake;
        self
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pool = self.pool.clone();
        pool.target = self.driver.target();
        pool.fmt(f)
    }
}
