//! Owns the settings that only PostgreSQL has, their defaults and their checks. Opens nothing.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use postgres::Client;

use super::{
    builder::Builder,
    session_attrs::TargetSessionAttrs,
    ssl_mode::{SslMode, TlsVersion},
};

/// Called once for each new connection, before its first job.
pub(super) type OpenFun = Arc<dyn Fn(&mut Client) -> Result<(), postgres::Error> + Send + Sync>;

/// What a [`Builder`] holds for a pool on PostgreSQL: the connection config and what the setters
/// below set.
#[derive(Clone)]
pub struct PostgresSettings {
    pub(super) config: postgres::Config,
    pub(super) cp_openfun: Option<OpenFun>,
    pub(super) cp_good_sql: String,
    pub(super) statement_cache: usize,
    pub(super) slow_query: Option<Duration>,
    pub(super) sslmode: Option<SslMode>,
    pub(super) sslrootcert: Option<PathBuf>,
    pub(super) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(super) sslsni: bool,
    pub(super) tls_versions: (TlsVersion, TlsVersion),
    pub(super) passfile: Option<PathBuf>,
    pub(super) target_session_attrs: Option<TargetSessionAttrs>,
    pub(super) reset: Reset,
    /// How host names are resolved. Only tests set it.
    pub(super) resolve: fn(&str) -> io::Result<Vec<IpAddr>>,
}

/// What happens to the things that a job leaves in its session: settings, the role, temporary
/// tables, open cursors, advisory locks, LISTEN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// They stay for the next job on the connection, as in Twisted.
    #[default]
    None,
    /// They are undone before the next job, as by `DISCARD ALL`; prepared statements stay.
    Discard,
}

impl PostgresSettings {
    pub(super) fn new(config: postgres::Config) -> Self {
        Self {
            config,
            cp_openfun: None,
            cp_good_sql: "SELECT 1".to_owned(),
            statement_cache: 256,
            slow_query: None,
            sslmode: None,
            sslrootcert: None,
            client_certificate: None,
            sslsni: true,
            tls_versions: (TlsVersion::V1_2, TlsVersion::V1_3),
            passfile: None,
            target_session_attrs: None,
            reset: Reset::None,
            resolve: |name| {
                Ok((name, 0)
                    .to_socket_addrs()?
                    .map(|address| address.ip())
                    .collect())
            },
        }
    }

    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// What does not, with its values.
    pub(super) fn check(&self) -> Result<(), String> {
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

/// The settings of a pool on PostgreSQL.
impl Builder {
    /// Called once for each new connection before its first job, to set up the session. An error,
    /// or a panic, discards the connection and counts as a failure to connect. It runs on a thread
    /// of the pool and may block.
    pub fn cp_openfun<F>(mut self, openfun: F) -> Self
    where
        F: Fn(&mut Client) -> Result<(), postgres::Error> + Send + Sync + 'static,
    {
        self.driver.cp_openfun = Some(Arc::new(openfun));
        self
    }

    /// A query that always succeeds and changes nothing (`SELECT 1`), to try a connection that was
    /// idle for long or is suspect.
    pub fn cp_good_sql(mut self, sql: impl Into<String>) -> Self {
        self.driver.cp_good_sql = sql.into();
        self
    }

    /// How many prepared statements each connection keeps (256).
    ///
    /// With 0 nothing outlives a transaction, as a pooler in transaction mode wants it: a
    /// `run_operation` without parameters is sent unprepared, any other single statement in a
    /// transaction of its own, at three more round trips.
    pub fn statement_cache(mut self, statements: usize) -> Self {
        self.driver.statement_cache = statements;
        self
    }

    /// A statement that takes this long is logged as slow (never): a warning with its SQL and
    /// without its parameters. The pool does not see statements on the bare
    /// [`Connection::client`](super::Connection::client).
    pub fn slow_query(mut self, threshold: impl Into<Option<Duration>>) -> Self {
        self.driver.slow_query = threshold.into();
        self
    }

    /// Whether and how connections are encrypted (as the connection config says,
    /// [`SslMode::Prefer`] by default).
    pub fn sslmode(mut self, mode: SslMode) -> Self {
        self.driver.sslmode = Some(mode);
        self
    }

    /// A PEM file with the certificates of the CAs to trust (none), read by [`build`](Self::build).
    /// `"system"` stands for the CAs that the system trusts, and for [`SslMode::VerifyFull`]: with
    /// a weaker mode they prove nothing.
    pub fn sslrootcert(mut self, file: impl Into<PathBuf>) -> Self {
        self.driver.sslrootcert = Some(file.into());
        self
    }

    /// A certificate to show to servers that ask for one, and its key: PEM files, read by
    /// [`build`](Self::build). Nobody else may read the file of the key, and the key must not be
    /// encrypted.
    pub fn client_certificate(
        mut self,
        sslcert: impl Into<PathBuf>,
        sslkey: impl Into<PathBuf>,
    ) -> Self {
        self.driver.client_certificate = Some((sslcert.into(), sslkey.into()));
        self
    }

    /// Whether the handshake names the server in the clear (yes), which proxies need.
    pub fn sslsni(mut self, tell: bool) -> Self {
        self.driver.sslsni = tell;
        self
    }

    /// The oldest and the newest version of TLS to speak (1.2 and 1.3).
    pub fn tls_versions(mut self, oldest: TlsVersion, newest: TlsVersion) -> Self {
        self.driver.tls_versions = (oldest, newest);
        self
    }

    /// The file in which each attempt to connect looks for its password where the connection config
    /// has none (no file): libpq's `.pgpass`, with its format and its demand that nobody else may
    /// read it. It need not be there.
    pub fn passfile(mut self, file: impl Into<PathBuf>) -> Self {
        self.driver.passfile = Some(file.into());
        self
    }

    /// Which servers to take (as the connection config says, but that knows three of the six).
    pub fn target_session_attrs(mut self, wanted: TargetSessionAttrs) -> Self {
        self.driver.target_session_attrs = Some(wanted);
        self
    }

    /// Whether the pool undoes what a job left in its session ([`Reset::None`]: no).
    /// [`Reset::Discard`] costs a round trip after each job. The settings that
    /// [`cp_openfun`](Self::cp_openfun) made are kept, whatever else it did is undone, too.
    pub fn reset(mut self, reset: Reset) -> Self {
        self.driver.reset = reset;
        self
    }
}
