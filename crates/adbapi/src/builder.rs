//! Owns the settings of a pool as its users set them, and makes the pool. What they mean is
//! `pool/settings.rs`'s, and the driver's.

use std::{fmt, time::Duration};

use super::{
    driver::Driver,
    error::Error,
    pool::{ConnectionPool, settings::PoolSettings},
    postgres_driver::Postgres,
    postgres_settings::PostgresSettings,
    tls::Tls,
};

/// The settings of a [`ConnectionPool`], with Twisted's names where Twisted has them, and its
/// driver or the settings of that.
#[derive(Clone)]
pub struct Builder<S = PostgresSettings> {
    pub(super) pool: PoolSettings,
    pub(super) driver: S,
}

impl ConnectionPool {
    /// Starts the settings of a pool for the PostgreSQL database that `config` names.
    pub fn builder(config: postgres::Config) -> Builder {
        Builder::with(PostgresSettings::new(config))
    }
}

impl Builder {
    /// Makes the pool. It connects when it is [started](ConnectionPool::start), so this needs no
    /// PostgreSQL. Times of more than 24 days count as 24 days.
    ///
    /// # Errors
    /// [`Error::Config`] if the settings contradict each other, or if `sslrootcert` cannot be read.
    ///
    /// # Blocking
    /// While it reads `sslrootcert`.
    pub fn build(mut self) -> Result<ConnectionPool, Error> {
        self.pool.limit_times();
        self.pool.target = self.driver.target();
        let checked = self.pool.check().and_then(|()| self.driver.check());
        let tls = checked.and_then(|()| Tls::new(&self.driver));
        let tls = tls.map_err(|fault| Error::Config(fault.into()))?;
        let driver = Postgres::new(&self, tls);
        Ok(ConnectionPool::new(self.pool, driver))
    }
}

impl<D: Driver> Builder<D> {
    /// Makes the pool. It connects when it is [started](ConnectionPool::start). Times of more than
    /// 24 days count as 24 days.
    ///
    /// # Errors
    /// [`Error::Config`] if the settings contradict each other.
    pub fn build(mut self) -> Result<ConnectionPool<D>, Error> {
        self.pool.limit_times();
        let checked = self.pool.check();
        checked.map_err(|fault| Error::Config(fault.into()))?;
        Ok(ConnectionPool::new(self.pool, self.driver))
    }
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
    /// [`Error::ConnectionLost`].
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
    /// [`Error::QueueFull`].
    pub fn queue_limit(mut self, jobs: usize) -> Self {
        self.pool.queue_limit = jobs;
        self
    }

    /// How long a job may wait for a connection, counted from its submission (5 s), before it fails
    /// with [`Error::Unavailable`].
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.pool.connect_timeout = timeout;
        self
    }

    /// How long [`close`](ConnectionPool::close) lets running jobs run on (5 s) before their
    /// statements are cancelled.
    pub fn close_grace(mut self, grace: Duration) -> Self {
        self.pool.close_grace = grace;
        self
    }

    /// How long a statement may run (no limit), in whole milliseconds: PostgreSQL then ends it with
    /// SQLSTATE 57014. If PostgreSQL is frozen and does not even do that, the job fails with
    /// [`Error::Timeout`] half a second later. A job may set another limit for itself (`SET LOCAL
    /// statement_timeout`).
    pub fn statement_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.pool.statement_timeout = timeout.into();
        self
    }

    /// How long a job may wait for a worker (no limit) before it fails with
    /// [`Error::QueueTimeout`].
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
    /// time while jobs come quickly. While they come quickly and are done within microseconds, only
    /// two workers for each processor and one more do so, and the others sleep until those do not
    /// keep up.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(Builder) -> Builder) -> String {
        let config = "host=db.example port=6432 user=app password=hunter2 dbname=shop"
            .parse()
            .unwrap();
        change(ConnectionPool::builder(config))
            .build()
            .map(drop)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn contradictions_are_named_with_their_values() {
        assert_eq!(
            fault(|b| b.cp_min(6)),
            "cp_min (6) is greater than cp_max (5): lower the one or raise the other"
        );
        assert!(fault(|b| b.cp_max(0).cp_min(0)).contains("cp_max is 0"));
        assert!(fault(|b| b.queue_limit(0)).contains("queue_limit is 0"));
        assert!(fault(|b| b.connect_timeout(Duration::ZERO)).contains("connect_timeout is 0"));
        assert!(
            fault(|mut b| {
                b.driver.config = postgres::Config::new();
                b
            })
            .contains("names no host")
        );
        let with = |config: &str| {
            fault(|mut b| {
                b.driver.config = config.parse().unwrap();
                b
            })
        };
        assert!(with("host=a,b hostaddr=127.0.0.1").contains("2 hosts and 1 addresses"));
        assert!(with("host=a,b,c port=1,2").contains("3 hosts and 2 ports"));
    }

    #[test]
    fn debug_shows_the_target_and_never_the_password() {
        let builder = ConnectionPool::builder(
            "host=db.example user=app password=hunter2 dbname=shop"
                .parse()
                .unwrap(),
        );
        let text = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(
            text.contains("db.example:5432/shop") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
