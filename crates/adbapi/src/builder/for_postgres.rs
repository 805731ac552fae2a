//! The settings of a pool on PostgreSQL that its users set. What they mean is the driver's.

use std::{path::PathBuf, sync::Arc, time::Duration};

use postgres::Client;
use sql::{Reset, Sql, SslMode, TargetSessionAttrs, TlsVersion};

use super::Builder;

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

    /// The same without a client library's type, so that it serves any backend: it is told the
    /// process id of the connection's backend, and gives the SQL that sets up the session. Called
    /// after [`cp_openfun`](Self::cp_openfun).
    pub fn on_connect<F>(mut self, on_connect: F) -> Self
    where
        F: Fn(i32) -> Result<Vec<Sql>, sql::Error> + Send + Sync + 'static,
    {
        self.driver.on_connect = Some(Arc::new(on_connect));
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
    /// [`Connection::client`](crate::Connection::client).
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
