//! Owns how a pool is set up: the names of its settings as its users know them, and what is checked
//! before it is made. What the settings mean is the pool's.

use std::{fmt, sync::Arc, time::Duration};

use sql::{ConnectionSettings, Error, Sql};

use super::{
    connecting::Servers,
    pool::{ConnectionPool, Pool},
    reactors::Reactors,
    settings::{Opened, PoolSettings, Reset},
};

/// The settings of a [`ConnectionPool`], with Twisted's names where Twisted has them.
#[derive(Clone)]
pub struct Builder {
    connection: ConnectionSettings,
    pool: PoolSettings,
}

impl ConnectionPool {
    /// Starts the settings of a pool for the database that `connection` names.
    pub fn builder(connection: ConnectionSettings) -> Builder {
        let pool = PoolSettings::new(&connection);
        Builder { connection, pool }
    }
}

impl Builder {
    /// How many connections are kept open (3). They are opened when the pool starts.
    pub fn cp_min(mut self, connections: u32) -> Self {
        self.pool.cp_min = connections;
        self
    }

    /// How many connections there are at most (5). Each I/O thread has its share; with more threads
    /// than connections some have none, and their jobs go to another thread.
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
    /// [`ErrorKind::ConnectionLost`](sql::ErrorKind::ConnectionLost).
    pub fn cp_reconnect(mut self, reconnect: bool) -> Self {
        self.pool.cp_reconnect = reconnect;
        self
    }

    /// A query that always succeeds and changes nothing (`SELECT 1`), to try a connection that has
    /// idled for half a minute, because a firewall between may have forgotten it.
    pub fn cp_good_sql(mut self, sql: impl Into<String>) -> Self {
        self.pool.cp_good_sql = sql.into();
        self
    }

    /// The pool's name in the log, and the `application_name` PostgreSQL shows unless the
    /// connection's settings have one.
    pub fn cp_name(mut self, name: impl Into<String>) -> Self {
        self.pool.cp_name = Some(name.into());
        self
    }

    /// How many jobs may wait for a connection (1024), all I/O threads together; one more fails at
    /// once with [`ErrorKind::QueueFull`](sql::ErrorKind::QueueFull). What was sent ahead to a
    /// connection does not wait.
    pub fn queue_limit(mut self, jobs: usize) -> Self {
        self.pool.queue_limit = jobs;
        self
    }

    /// How long a job may wait before it is sent (no limit), before it fails with
    /// [`ErrorKind::QueueTimeout`](sql::ErrorKind::QueueTimeout).
    pub fn queue_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.pool.queue_timeout = timeout.into();
        self
    }

    /// How long a job may wait while there is no connection, counted from its submission (5 s),
    /// before it fails with [`ErrorKind::Unavailable`](sql::ErrorKind::Unavailable).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.pool.connect_timeout = timeout;
        self
    }

    /// How long a statement may run (no limit), in whole milliseconds: PostgreSQL then ends it with
    /// SQLSTATE 57014. If PostgreSQL is frozen and does not even do that, the job fails with
    /// [`ErrorKind::Timeout`](sql::ErrorKind::Timeout) half a second later. A job may set another
    /// limit for itself.
    pub fn statement_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.pool.statement_timeout = timeout.into();
        self
    }

    /// How long a connection may be idle before it is closed (10 min). Up to `cp_min` are replaced
    /// by new ones.
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

    /// A job that takes this long is logged as slow (never): a warning with its SQL and without its
    /// parameters.
    pub fn slow_query(mut self, threshold: impl Into<Option<Duration>>) -> Self {
        self.pool.slow_query = threshold.into();
        self
    }

    /// How many prepared statements each connection keeps (256). With 0 nothing outlives a
    /// transaction, as a pooler in transaction mode wants it.
    pub fn statement_cache(mut self, statements: usize) -> Self {
        self.pool.statement_cache = statements;
        self
    }

    /// Whether the pool undoes what a job left in its session ([`Reset::None`]: no). The settings
    /// that [`on_connect`](Self::on_connect) made are kept.
    pub fn reset(mut self, reset: Reset) -> Self {
        self.pool.reset = reset;
        self
    }

    /// How long [`close`](ConnectionPool::close) lets running jobs run on (5 s) before their
    /// statements are cancelled.
    pub fn close_grace(mut self, grace: Duration) -> Self {
        self.pool.close_grace = grace;
        self
    }

    /// Called once for each new connection before its first job, for SQL that sets up the session.
    /// An error of it or of its SQL discards the connection and counts as a failure to connect. It
    /// runs on an I/O thread and must not block.
    pub fn on_connect<F>(mut self, on_connect: F) -> Self
    where
        F: Fn(&Opened) -> Result<Vec<Sql>, Error> + Send + Sync + 'static,
    {
        self.pool.on_connect = Some(Arc::new(on_connect));
        self
    }

    /// Makes the pool, for jobs that these I/O threads run. It connects when it is
    /// [started](ConnectionPool::start), or with its first job, so this needs no PostgreSQL. Times
    /// of more than 24 days count as 24 days.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](sql::ErrorKind::Config) if the settings contradict each other, or if
    /// the files that they name cannot be read.
    ///
    /// # Blocking
    /// While it reads `sslrootcert` and the client's certificate.
    pub fn build<M: Send + 'static>(
        mut self,
        reactors: Reactors<M>,
    ) -> Result<ConnectionPool, Error> {
        self.pool.limit_times();
        self.pool.check().map_err(Error::config)?;
        if self.connection.servers.is_empty() {
            let fault = "the connection config names no host: set host to a name, an address or a socket directory";
            return Err(Error::config(fault));
        }
        let homes = reactors.homes();
        if homes.is_empty() {
            return Err(Error::config("the pool needs at least one I/O thread"));
        }
        let name = (self.pool.cp_name.as_deref()).unwrap_or("txpostgres");
        if self.connection.application_name.is_empty() {
            name.clone_into(&mut self.connection.application_name);
        }
        let servers = Servers::new(self.connection, self.pool.connect_timeout)?;
        Ok(ConnectionPool::new(Pool::new(self.pool, servers, homes)))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}
