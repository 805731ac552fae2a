//! Owns the settings of a pool, their defaults and their checks. Opens nothing.

use std::{fmt, sync::Arc, time::Duration};

pub use sql::Reset;
use sql::{ConnectionSettings, Error, Sql};

/// What no limit needs to exceed: 24 days, as much as PostgreSQL's own limits hold. An instant much
/// further away may not exist.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// What a new session is, for [`Builder::on_connect`](crate::Builder::on_connect).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The process id of its backend.
    pub process_id: i32,
}

/// Gives the SQL that sets a new session up.
pub type OnConnect = Arc<dyn Fn(&Opened) -> Result<Vec<Sql>, Error> + Send + Sync>;

/// What the setters of the same names on [`Builder`](crate::Builder) set.
#[derive(Clone)]
pub(crate) struct PoolSettings {
    pub(crate) cp_min: u32,
    pub(crate) cp_max: u32,
    pub(crate) cp_noisy: bool,
    pub(crate) cp_reconnect: bool,
    pub(crate) cp_good_sql: String,
    pub(crate) cp_name: Option<String>,
    pub(crate) queue_limit: usize,
    pub(crate) queue_timeout: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) statement_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) slow_query: Option<Duration>,
    pub(crate) statement_cache: usize,
    pub(crate) reset: Reset,
    pub(crate) close_grace: Duration,
    pub(crate) on_connect: Option<OnConnect>,
    /// Where the connections go, for the log.
    pub(crate) target: String,
}

impl PoolSettings {
    pub(crate) fn new(connection: &ConnectionSettings) -> Self {
        Self {
            cp_min: 3,
            cp_max: 5,
            cp_noisy: false,
            cp_reconnect: true,
            cp_good_sql: "SELECT 1".to_owned(),
            cp_name: None,
            queue_limit: 1024,
            queue_timeout: None,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: None,
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            slow_query: None,
            statement_cache: 256,
            reset: Reset::None,
            close_grace: Duration::from_secs(5),
            on_connect: None,
            target: target(connection),
        }
    }

    /// Shortens times that are too long for an instant.
    pub(crate) fn limit_times(&mut self) {
        for limit in [&mut self.connect_timeout, &mut self.close_grace]
            .into_iter()
            .chain(&mut self.statement_timeout)
            .chain(&mut self.queue_timeout)
            .chain(&mut self.idle_timeout)
            .chain(&mut self.max_lifetime)
        {
            *limit = LONGEST.min(*limit);
        }
    }

    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// What does not, with its values.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (min, max) = (self.cp_min, self.cp_max);
        let is_zero = |limit: Option<Duration>| limit == Some(Duration::ZERO);
        let is_short = |limit: Duration| limit < Duration::from_millis(1);
        let faults = [
            (
                max == 0,
                "cp_max is 0: the pool needs at least one connection",
            ),
            (
                self.queue_limit == 0,
                "queue_limit is 0: no job could ever wait; set it to 1 or more",
            ),
            (
                self.connect_timeout.is_zero(),
                "connect_timeout is 0: no connection could ever be made; set it to some seconds",
            ),
            (
                self.statement_timeout.is_some_and(is_short),
                "statement_timeout is less than a millisecond: leave it out for no limit",
            ),
            (
                is_zero(self.idle_timeout),
                "idle_timeout is 0: no connection could live; leave it out for no limit",
            ),
            (
                is_zero(self.max_lifetime),
                "max_lifetime is 0: no connection could live; leave it out for no limit",
            ),
            (
                is_zero(self.queue_timeout),
                "queue_timeout is 0: no job could ever wait; leave it out for no limit",
            ),
        ];
        if let Some((_, fault)) = faults.iter().find(|(is_so, _)| *is_so) {
            return Err((*fault).to_owned());
        }
        if min > max {
            return Err(format!(
                "cp_min ({min}) is greater than cp_max ({max}): lower the one or raise the other"
            ));
        }
        Ok(())
    }

    /// What the log calls the pool.
    pub(crate) fn subject(&self) -> &str {
        self.cp_name.as_deref().unwrap_or(&self.target)
    }
}

/// Where connections go: host, port and database, and nothing that is secret.
fn target(connection: &ConnectionSettings) -> String {
    let hosts = connection.servers.iter().map(|server| &*server.host);
    let port = connection
        .servers
        .first()
        .map_or(5432, |server| server.port);
    let hosts: Vec<_> = hosts.collect();
    format!("{}:{port}/{}", hosts.join(","), connection.database)
}

impl fmt::Debug for PoolSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("target", &self.target)
            .field("cp_min", &self.cp_min)
            .field("cp_max", &self.cp_max)
            .field("cp_reconnect", &self.cp_reconnect)
            .field("queue_limit", &self.queue_limit)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}
