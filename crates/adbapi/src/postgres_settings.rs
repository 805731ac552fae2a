//! Owns the settings that only PostgreSQL has, their defaults and their checks. Opens nothing.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use postgres::{Client, config};
use sql::{
    ChannelBinding, ConnectionSettings, Reset, Sql, SslMode, TargetSessionAttrs, TlsVersion,
};

use super::session_attrs::SessionAttrs;

/// Called once for each new connection, before its first job.
pub(super) type OpenFun = Arc<dyn Fn(&mut Client) -> Result<(), postgres::Error> + Send + Sync>;

/// Told the process id of each new connection's backend; gives the SQL to set the session up.
pub(super) type OnConnect = Arc<dyn Fn(i32) -> Result<Vec<Sql>, sql::Error> + Send + Sync>;

/// What a [`Builder`](crate::Builder) holds for a pool on PostgreSQL: the connection config and what
/// its setters set.
#[derive(Clone)]
pub struct PostgresSettings {
    pub(super) config: postgres::Config,
    pub(super) cp_openfun: Option<OpenFun>,
    pub(super) on_connect: Option<OnConnect>,
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

impl PostgresSettings {
    pub(super) fn new(config: postgres::Config) -> Self {
        Self {
            config,
            cp_openfun: None,
            on_connect: None,
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

    /// What `settings` say.
    pub(super) fn of(settings: &ConnectionSettings) -> Self {
        Self {
            sslmode: settings.sslmode,
            sslrootcert: settings.sslrootcert.clone(),
            client_certificate: settings.client_certificate.clone(),
            sslsni: settings.sslsni,
            tls_versions: settings.tls_versions,
            passfile: settings.passfile.clone(),
            target_session_attrs: Some(settings.target_session_attrs),
            ..Self::new(config_of(settings))
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

/// The part of `settings` that a connection config can say.
fn config_of(settings: &ConnectionSettings) -> postgres::Config {
    let mut config = postgres::Config::new();
    for server in &settings.servers {
        config.host(&server.host).port(server.port);
        server.address.map(|address| config.hostaddr(address));
    }
    config
        .dbname(&settings.database)
        .user(&settings.user)
        .channel_binding(match settings.channel_binding {
            ChannelBinding::Disable => config::ChannelBinding::Disable,
            ChannelBinding::Prefer => config::ChannelBinding::Prefer,
            ChannelBinding::Require => config::ChannelBinding::Require,
        })
        .ssl_negotiation(if settings.is_direct_tls {
            config::SslNegotiation::Direct
        } else {
            config::SslNegotiation::Postgres
        })
        .load_balance_hosts(if settings.load_balance_hosts {
            config::LoadBalanceHosts::Random
        } else {
            config::LoadBalanceHosts::Disable
        })
        .keepalives(settings.keepalives.is_some())
        // Zero tells a socket that the system decides.
        .tcp_user_timeout(settings.tcp_user_timeout.unwrap_or_default());
    if let Some(keepalives) = &settings.keepalives {
        config
            .keepalives_idle(keepalives.idle)
            .keepalives_interval(keepalives.interval)
            .keepalives_retries(keepalives.count);
    }
    if !settings.application_name.is_empty() {
        config.application_name(&settings.application_name);
    }
    (settings.password.as_ref()).map(|password| config.password(password.expose()));
    (settings.options.as_ref()).map(|options| config.options(options));
    config
}

#[cfg(test)]
mod tests {
    use sql::{Keepalives, Server};

    use super::*;

    #[test]
    fn what_is_set_of_tcp_is_what_a_socket_is_told() {
        let server = Server {
            host: "db.example".to_owned(),
            address: None,
            port: 5433,
        };
        let mut settings = ConnectionSettings::new(server, "shop", "app");
        let tcp = |settings: &ConnectionSettings| {
            let config = PostgresSettings::of(settings).config;
            let idle = config.get_keepalives_idle();
            (
                config.get_keepalives().then_some(idle),
                config.get_keepalives_interval(),
                config.get_keepalives_retries(),
                config.get_tcp_user_timeout().copied(),
            )
        };
        let off = (None, None, None, Some(Duration::ZERO));
        assert_eq!(tcp(&settings), off);
        let seconds = Duration::from_secs;
        settings.keepalives = Some(Keepalives {
            idle: seconds(60),
            interval: seconds(5),
            count: 2,
        });
        settings.tcp_user_timeout = Some(seconds(20));
        let set = (
            Some(seconds(60)),
            Some(seconds(5)),
            Some(2),
            Some(seconds(20)),
        );
        assert_eq!(tcp(&settings), set);
    }
}
