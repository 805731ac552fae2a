//! Owns the settings of a pool that hold for any database, their defaults and their checks. Knows
//! no database and opens nothing.

use std::{fmt, time::Duration};

/// What no limit needs to exceed: 24 days, as much as PostgreSQL's own limits hold. An instant much
/// further away may not exist.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// What the setters of the same names on [`Builder`](crate::Builder) set.
#[derive(Clone)]
pub(crate) struct PoolSettings {
    pub(crate) cp_min: u32,
    pub(crate) cp_max: u32,
    pub(crate) cp_noisy: bool,
    pub(crate) cp_reconnect: bool,
    pub(crate) cp_name: Option<String>,
    pub(crate) queue_limit: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) close_grace: Duration,
    pub(crate) statement_timeout: Option<Duration>,
    pub(crate) queue_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) wait_awake: bool,
    /// Where the connections go, for the log.
    pub(crate) target: String,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            cp_min: 3,
            cp_max: 5,
            cp_noisy: false,
            cp_reconnect: true,
            cp_name: None,
            queue_limit: 1024,
            connect_timeout: Duration::from_secs(5),
            close_grace: Duration::from_secs(5),
            statement_timeout: None,
            queue_timeout: None,
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            wait_awake: true,
            target: String::new(),
        }
    }
}

impl PoolSettings {
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
        let millisecond = Duration::from_millis(1);
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
                self.statement_timeout
                    .is_some_and(|limit| limit < millisecond),
                "statement_timeout is less than a millisecond: leave it out for no limit",
            ),
            (
                self.idle_timeout == Some(Duration::ZERO),
                "idle_timeout is 0: no connection could live; leave it out for no limit",
            ),
            (
                self.max_lifetime == Some(Duration::ZERO),
                "max_lifetime is 0: no connection could live; leave it out for no limit",
            ),
            (
                self.queue_timeout == Some(Duration::ZERO),
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
