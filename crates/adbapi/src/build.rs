//! Makes pools of their settings. Knows the driver for PostgreSQL, and what is checked before one is
//! made.

use sql::ConnectionSettings;

use super::{
    builder::Builder, driver::Driver, error::Error, pool::ConnectionPool,
    postgres_driver::Postgres, postgres_settings::PostgresSettings, tls::Tls,
};

impl ConnectionPool {
    /// Starts the settings of a pool for the PostgreSQL database that `config` names.
    pub fn builder(config: postgres::Config) -> Builder {
        Builder::with(PostgresSettings::new(config))
    }

    /// The same of settings that no driver owns: [`Builder`] has setters for what they do not say.
    /// Empty texts there are not set.
    pub fn with_settings(settings: &ConnectionSettings) -> Builder {
        Builder::with(PostgresSettings::of(settings))
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

impl<D: Driver> ConnectionPool<D> {
    /// Starts the settings of a pool with another driver than that of
    /// [`builder`](ConnectionPool::builder): for another database, or another client library.
    pub fn with_driver(driver: D) -> Builder<D> {
        Builder::with(driver)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
