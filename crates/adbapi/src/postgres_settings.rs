//! Owns the settings that only PostgreSQL has, their defaults and their checks. Opens nothing.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use postgres::Client;
use sql::{SslMode, TlsVersion};

use super::session_attrs::TargetSessionAttrs;

/// Called once for each new connection, before its first job.
pub(super) type OpenFun = Arc<dyn Fn(&mut Client) -> Result<(), postgres::Error> + Send + Sync>;

/// What a [`Builder`](crate::Builder) holds for a pool on PostgreSQL: the connection config and what
/// its setters set.
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
