//! Owns the settings of a pool, their defaults and their checks; opens nothing.

use std::{
    fmt, io,
    net::{IpAddr, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use postgres::Client;
use sql::{SslMode, TlsVersion};

use super::{active_workers::QUICK, session_attrs::TargetSessionAttrs};

/// What no limit needs to exceed: 24 days, as much as PostgreSQL's own limits hold. An instant much
/// further away may not exist.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// Called once for each new connection, before its first job.
pub(super) type OpenFun = Arc<dyn Fn(&mut Client) -> Result<(), postgres::Error> + Send + Sync>;

/// The settings of a [`ConnectionPool`](crate::ConnectionPool), with Twisted's names where Twisted
/// has them. Cloning it copies settings only.
#[derive(Clone)]
pub struct Builder {
    pub(super) config: postgres::Config,
    pub(super) cp_min: u32,
    pub(super) cp_max: u32,
    pub(super) cp_noisy: bool,
    pub(super) cp_openfun: Option<OpenFun>,
    pub(super) cp_reconnect: bool,
    pub(super) cp_good_sql: String,
    pub(super) cp_name: Option<String>,
    pub(super) queue_limit: usize,
    pub(super) connect_timeout: Duration,
    pub(super) statement_cache: usize,
    pub(super) close_grace: Duration,
    pub(super) statement_timeout: Option<Duration>,
    pub(super) queue_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) slow_query: Option<Duration>,
    pub(super) sslmode: Option<SslMode>,
    pub(super) sslrootcert: Option<PathBuf>,
    pub(super) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(super) sslsni: bool,
    pub(super) tls_versions: (TlsVersion, TlsVersion),
    pub(super) passfile: Option<PathBuf>,
    pub(super) target_session_attrs: Option<TargetSessionAttrs>,
    pub(super) reset: Reset,
    pub(super) wait_awake: bool,
    /// How quick jobs are for some workers to be sent away. Only tests set it.
    pub(super) quick: Duration,
    /// Where names lead. Only tests set it.
    pub(super) resolve: fn(&str) -> io::Result<Vec<IpAddr>>,
}

/// What becomes of what a job leaves in its session: settings, the role, temporary tables, open
/// cursors, advisory locks, LISTEN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// It stays for the next job on the connection, as in Twisted.
    #[default]
    None,
    /// It is undone before the next job, as by `DISCARD ALL`; prepared statements stay.
    Discard,
}

impl Builder {
    pub(super) fn new(config: postgres::Config) -> Self {
        Self {
            config,
            cp_min: 3,
            cp_max: 5,
            cp_noisy: false,
            cp_openfun: None,
            cp_reconnect: true,
            cp_good_sql: "SELECT 1".to_owned(),
            cp_name: None,
            queue_limit: 1024,
            connect_timeout: Duration::from_secs(5),
            statement_cache: 256,
            close_grace: Duration::from_secs(5),
            statement_timeout: None,
            queue_timeout: None,
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            slow_query: None,
            sslmode: None,
            sslrootcert: None,
            client_certificate: None,
            sslsni: true,
            tls_versions: (TlsVersion::V1_2, TlsVersion::V1_3),
            passfile: None,
            target_session_attrs: None,
            reset: Reset::None,
            wait_awake: true,
            quick: QUICK,
            resolve: |name| {
                Ok((name, 0)
                    .to_socket_addrs()?
                    .map(|address| address.ip())
                    .collect())
            },
        }
    }

    /// How many idle connections are kept open (3). They are opened in the background when the pool
    /// starts.
    pub fn cp_min(mut self, connections: u32) -> Self {
        self.cp_min = connections;
        self
    }

    /// How many connections there are at most, and how many workers (5).
    pub fn cp_max(mut self, connections: u32) -> Self {
        self.cp_max = connections;
        self
    }

    /// Whether opening, losing and closing connections is logged (no), at level INFO.
    pub fn cp_noisy(mut self, noisy: bool) -> Self {
        self.cp_noisy = noisy;
        self
    }

    /// Called once for each new connection before its first job, to set up the session. An error,
    /// or a panic, discards the connection and counts as a failure to connect. It runs on a thread
    /// of the pool and may block.
    pub fn cp_openfun<F>(mut self, openfun: F) -> Self
    where
        F: Fn(&mut Client) -> Result<(), postgres::Error> + Send + Sync + 'static,
    {
        self.cp_openfun = Some(Arc::new(openfun));
        self
    }

    /// Whether connections that died while they idled are replaced without failing a job (yes;
    /// Twisted's default is no). Without it the job that finds a dead connection fails with
    /// [`Error::ConnectionLost`](crate::Error::ConnectionLost).
    pub fn cp_reconnect(mut self, reconnect: bool) -> Self {
        self.cp_reconnect = reconnect;
        self
    }

    /// A query that always succeeds and changes nothing (`SELECT 1`), to try a connection that
    /// idled for long or is in doubt.
    pub fn cp_good_sql(mut self, sql: impl Into<String>) -> Self {
        self.cp_good_sql = sql.into();
        self
    }

    /// The pool's name in the log, and the `application_name` PostgreSQL shows unless the config
    /// has one.
    pub fn cp_name(mut self, name: impl Into<String>) -> Self {
        self.cp_name = Some(name.into());
        self
    }

    /// How many jobs may wait for a worker (1024); one more fails at once with
    /// [`Error::QueueFull`](crate::Error::QueueFull).
    pub fn queue_limit(mut self, jobs: usize) -> Self {
        self.queue_limit = jobs;
        self
    }

    /// Within which time of its submission a job fails with
    /// [`Error::Unavailable`](crate::Error::Unavailable) when no connection can be had (5 s).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How many prepared statements each connection keeps (256).
    ///
    /// With 0 nothing outlives a transaction, as a pooler in transaction mode wants it: a
    /// `run_operation` without parameters is sent unprepared, any other single statement in a
    /// transaction of its own, at three more round trips.
    pub fn statement_cache(mut self, statements: usize) -> Self {
        self.statement_cache = statements;
        self
    }

    /// How long [`close`](crate::ConnectionPool::close) lets running jobs run on (5 s) before their
    /// statements are cancelled.
    pub fn close_grace(mut self, grace: Duration) -> Self {
        self.close_grace = grace;
        self
    }

    /// How long a statement may run (no limit): PostgreSQL then ends it with SQLSTATE 57014. If
    /// PostgreSQL does not even do that, being frozen, the job fails with
    /// [`Error::Timeout`](crate::Error::Timeout) half a second later. Whole milliseconds. A job may
    /// set another for itself (`SET LOCAL statement_timeout`).
    pub fn statement_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.statement_timeout = timeout.into();
        self
    }

    /// How long a job may wait for a worker (no limit) before it fails with
    /// [`Error::QueueTimeout`](crate::Error::QueueTimeout).
    pub fn queue_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.queue_timeout = timeout.into();
        self
    }

    /// After which time without a job a connection is closed (10 min), and up to the half minute
    /// between two looks later. Up to `cp_min` are replaced by new ones.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }

    /// How old a connection may become (30 min), less up to a tenth at random so that they do not
    /// all end at once. It is closed between two jobs.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.max_lifetime = lifetime.into();
        self
    }

    /// From which duration on a statement is logged as slow (never): a warning with its SQL and
    /// without its parameters. Statements on the bare
    /// [`Connection::client`](super::Connection::client) are not seen.
    pub fn slow_query(mut self, threshold: impl Into<Option<Duration>>) -> Self {
        self.slow_query = threshold.into();
        self
    }

    /// Whether and how connections are encrypted (as the connection config says,
    /// [`SslMode::Prefer`] by default).
    pub fn sslmode(mut self, mode: SslMode) -> Self {
        self.sslmode = Some(mode);
        self
    }

    /// A PEM file with the certificates of the CAs to trust (none), read by [`build`](Self::build).
    /// `"system"` stands for the CAs that the system trusts, and for [`SslMode::VerifyFull`]: with
    /// a weaker mode they prove nothing.
    pub fn sslrootcert(mut self, file: impl Into<PathBuf>) -> Self {
        self.sslrootcert = Some(file.into());
        self
    }

    /// A certificate to show to servers that ask for one, and its key: PEM files, read by
    /// [`build`](Self::build). Nobody else may read that of the key, which must not be encrypted.
    pub fn client_certificate(
        mut self,
        sslcert: impl Into<PathBuf>,
        sslkey: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some((sslcert.into(), sslkey.into()));
        self
    }

    /// Whether the name of the server is told to it in the clear (yes), as proxies need it.
    pub fn sslsni(mut self, tell: bool) -> Self {
        self.sslsni = tell;
        self
    }

    /// The oldest and the newest version of TLS to speak (1.2 and 1.3).
    pub fn tls_versions(mut self, oldest: TlsVersion, newest: TlsVersion) -> Self {
        self.tls_versions = (oldest, newest);
        self
    }

    /// The file in which each attempt to connect looks for its password where the connection config
    /// has none (no file): libpq's `.pgpass`, with its format and its demand that nobody else may
    /// read it. It need not be there.
    pub fn passfile(mut self, file: impl Into<PathBuf>) -> Self {
        self.passfile = Some(file.into());
        self
    }

    /// Which of the servers to take (as the connection config says, which knows three of the six).
    pub fn target_session_attrs(mut self, wanted: TargetSessionAttrs) -> Self {
        self.target_session_attrs = Some(wanted);
        self
    }

    /// What is undone of what a job left in its session ([`Reset::None`]). [`Reset::Discard`] costs
    /// a round trip after each job. The settings that [`cp_openfun`](Self::cp_openfun) made are
    /// kept, whatever else it did is undone, too.
    pub fn reset(mut self, reset: Reset) -> Self {
        self.reset = reset;
        self
    }

    /// Whether a worker that has had a job looks for the next one for some microseconds before it
    /// sleeps (yes). Waking a sleeping thread can take longer than a query; looking takes processor
    /// time while jobs come quickly. While they come quickly and are done within microseconds, only
    /// two workers for each processor and one more do so, and the others sleep until those do not
    /// keep up.
    pub fn wait_awake(mut self, awake: bool) -> Self {
        self.wait_awake = awake;
        self
    }

    /// Cuts times that no clock can count.
    pub(super) fn limit_times(&mut self) {
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

    /// Whether the settings fit together.
    pub(super) fn check(&self) -> Result<(), String> {
        let (min, max) = (self.cp_min, self.cp_max);
        if max == 0 {
            return Err("cp_max is 0: the pool needs at least one connection".into());
        }
        if min > max {
            return Err(format!(
                "cp_min ({min}) is greater than cp_max ({max}): lower the one or raise the other"
            ));
        }
        if self.queue_limit == 0 {
            return Err("queue_limit is 0: no job could ever wait; set it to 1 or more".into());
        }
        if self.connect_timeout.is_zero() {
            return Err(
                "connect_timeout is 0: no connection could ever be made; set it to some seconds"
                    .into(),
            );
        }
        if self
            .statement_timeout
            .is_some_and(|limit| limit < Duration::from_millis(1))
        {
            return Err(
                "statement_timeout is less than a millisecond: leave it out for no limit".into(),
            );
        }
        for (name, limit) in [
            ("idle_timeout", self.idle_timeout),
            ("max_lifetime", self.max_lifetime),
        ] {
            if limit.is_some_and(|limit| limit.is_zero()) {
                return Err(format!(
                    "{name} is 0: no connection could live; leave it out for no limit"
                ));
            }
        }
        if self.queue_timeout.is_some_and(|limit| limit.is_zero()) {
            return Err(
                "queue_timeout is 0: no job could ever wait; leave it out for no limit".into(),
            );
        }
        if self.servers() == 0 {
            return Err("the connection config names no host: set host to a name, an address or a socket directory".into());
        }
        let (hosts, addresses, ports) = (
            self.config.get_hosts().len(),
            self.config.get_hostaddrs().len(),
            self.config.get_ports().len(),
        );
        if hosts > 0 && addresses > 0 && hosts != addresses {
            return Err(format!(
                "the connection config names {hosts} hosts and {addresses} addresses (hostaddr): name one for each, or none"
            ));
        }
        if ports > 1 && ports != self.servers() {
            return Err(format!(
                "the connection config names {} hosts and {ports} ports: name one port for each, or one for all",
                self.servers()
            ));
        }
        Ok(())
    }

    /// Which servers are wanted.
    pub(super) fn wanted(&self) -> TargetSessionAttrs {
        (self.target_session_attrs).unwrap_or(TargetSessionAttrs::of_config(&self.config))
    }

    /// How many servers the connection config names.
    pub(super) fn servers(&self) -> usize {
        let hosts = self.config.get_hosts().len();
        hosts.max(self.config.get_hostaddrs().len())
    }

    /// What the pool is called in the log.
    pub(super) fn subject(&self) -> String {
        self.cp_name.clone().unwrap_or_else(|| self.target())
    }

    /// Where the connections go: host, port and database, and nothing that is secret.
    pub(super) fn target(&self) -> String {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| match host {
                postgres::config::Host::Tcp(name) => name.clone(),
                postgres::config::Host::Unix(path) => path.display().to_string(),
            })
            .chain(self.config.get_hostaddrs().iter().map(ToString::to_string))
            .collect();
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let database = self
            .config
            .get_dbname()
            .or(self.config.get_user())
            .unwrap_or_default();
        format!("{}:{port}/{database}", hosts.join(","))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("target", &self.target())
            .field("cp_min", &self.cp_min)
            .field("cp_max", &self.cp_max)
            .field("cp_reconnect", &self.cp_reconnect)
            .field("queue_limit", &self.queue_limit)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(Builder) -> Builder) -> String {
        let config = "host=db.example port=6432 user=app password=hunter2 dbname=shop"
            .parse()
            .unwrap();
        change(Builder::new(config))
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
            fault(|b| Builder {
                config: postgres::Config::new(),
                ..b
            })
            .contains("names no host")
        );
        let with = |config: &str| {
            fault(|b| Builder {
                config: config.parse().unwrap(),
                ..b
            })
        };
        assert!(with("host=a,b hostaddr=127.0.0.1").contains("2 hosts and 1 addresses"));
        assert!(with("host=a,b,c port=1,2").contains("3 hosts and 2 ports"));
    }

    #[test]
    fn debug_shows_the_target_and_never_the_password() {
        let builder = Builder::new(
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
