//! Owns the checked database: where it is, how it is reached and the limits of its pool. Knows
//! nothing of JSON keys or of how the values came to be.

use std::{fmt, path::PathBuf, time::Duration};

use super::Backend;

pub use sql::{ChannelBinding, Keepalives, Reset, Server, SslMode, TargetSessionAttrs, TlsVersion};

/// A PostgreSQL database and the pool of connections to it; the `cp_` names are those of Twisted's
/// adbapi, the others those of libpq where it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Where it stands in the document, for messages about it; the component where it stands
    /// nowhere and comes from the environment.
    pub json_path: String,
    /// Its name in the node's `databases`; `None` for one component's own.
    pub name: Option<String>,
    /// Who speaks with it; a backend that this program has.
    pub backend: Backend,
    /// The servers to try in this order; at least one.
    pub servers: Vec<Server>,
    /// The database's name.
    pub database: String,
    /// The role to log in as.
    pub user: String,
    /// Its password, if the server asks for one.
    pub password: Option<Secret>,
    /// The file in which to look for a password where there is none; it need not be there.
    pub passfile: Option<PathBuf>,
    /// Whether passwords must be bound to the encrypted channel.
    pub channel_binding: ChannelBinding,
    /// How connections are secured.
    pub sslmode: SslMode,
    /// Whose certificates are trusted; there whenever `sslmode` verifies, and the system's with
    /// `VerifyFull` only.
    pub sslrootcert: Option<SslRootCert>,
    /// The certificate that we show.
    pub client_certificate: Option<ClientCertificate>,
    /// Whether TLS begins at once (libpq's `sslnegotiation` `direct`), where it is certain that
    /// there is TLS.
    pub direct_tls: bool,
    /// Whether the server is told by which name it is called.
    pub sslsni: bool,
    /// The oldest and the newest version of TLS.
    pub tls_versions: (TlsVersion, TlsVersion),
    /// Whether the servers are tried in random order.
    pub load_balance_hosts: bool,
    /// What a session must be able to do for its server to be taken.
    pub target_session_attrs: TargetSessionAttrs,
    /// What PostgreSQL calls the sessions.
    pub application_name: String,
    /// Command line options for each session (`-c name=value`), the `search_path` among them.
    pub options: Option<String>,
    /// How the other end of an idle connection is probed; `None` leaves it unprobed.
    pub keepalives: Option<Keepalives>,
    /// How long data may stay unacknowledged before the connection counts as lost; `None` leaves it
    /// to the system.
    pub tcp_user_timeout: Option<Duration>,
    /// Connections that are kept open; at most `cp_max`.
    pub cp_min: u32,
    /// Connections at most, and worker threads.
    pub cp_max: u32,
    /// Whether the pool logs what it does.
    pub cp_noisy: bool,
    /// Whether connections that were lost are replaced.
    pub cp_reconnect: bool,
    /// What is run to see whether a connection is good.
    pub cp_good_sql: String,
    /// The pool's name in logs and thread names.
    pub cp_name: Option<String>,
    /// Jobs that may wait for a worker.
    pub queue_limit: usize,
    /// How long a job may wait for a worker; `None` sets no limit.
    pub queue_timeout: Option<Duration>,
    /// How long a job may wait for a connection, and connecting to all servers may take; `None`
    /// sets no limit.
    pub connect_timeout: Option<Duration>,
    /// How long a statement may run; `None` sets no limit.
    pub statement_timeout: Option<Duration>,
    /// How long a connection beyond `cp_min` may be without a job before it is closed; `None` keeps
    /// it.
    pub idle_timeout: Option<Duration>,
    /// How old a connection may become; `None` sets no limit.
    pub max_lifetime: Option<Duration>,
    /// The SQL that makes what is in it, for a server that the node brings along.
    pub schema_file: Option<PathBuf>,
    /// How long a statement may take before it is logged as slow; `None` logs none.
    pub slow_query: Option<Duration>,
    /// Prepared statements kept by each connection; 0 keeps none.
    pub statement_cache: usize,
    /// What is undone of what a job left in its session.
    pub reset: Reset,
    /// What callers get of PostgreSQL's report of an error.
    pub error_details: ErrorDetails,
}

impl Database {
    /// What to call it: its name or, for a component's own, its place in the document.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.json_path)
    }

    /// Moves the database to a server of its own on this machine, which has no TLS and is no cluster.
    pub fn move_to(&mut self, host: impl Into<String>, port: u16) {
        let (host, address) = (host.into(), None);
        self.servers = vec![Server {
            host,
            address,
            port,
        }];
        self.sslmode = SslMode::Disable;
        self.sslrootcert = None;
        self.client_certificate = None;
        self.direct_tls = false;
        self.channel_binding = ChannelBinding::Prefer;
        self.target_session_attrs = TargetSessionAttrs::Any;
    }
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SslRootCert {
    /// Those that the operating system trusts.
    System,
    /// Those in this PEM file. Absolute, and there when it was checked.
    File(PathBuf),
}

/// A certificate to show to servers, and its key. Absolute, and there when they were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// A PEM file.
    pub certificate: PathBuf,
    /// A PEM file that nobody else may read.
    pub key: PathBuf,
}

/// What callers get of what PostgreSQL reports with an error, besides its message, its hint,
/// `sqlstate` and `severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorDetails {
    /// No more.
    #[default]
    None,
    /// The names of the constraint, the table and the column.
    Names,
    /// These and the `detail`.
    All,
    /// All, also of what is about the inside of a procedure.
    Debug,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}
