//! Owns how a server is reached and who logs in there: libpq's settings without a driver. Must not
//! know how a connection is opened.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use super::{
    ssl_mode::{SslMode, TlsVersion},
    tls::TlsSettings,
};

/// Where a database is, how its connections are secured, and who logs in: the settings of libpq that
/// have a meaning here. See ["Parameter key
/// words"](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS) in
/// PostgreSQL's manual.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// The servers to try, in this order; at least one.
    pub servers: Vec<Server>,
    /// `load_balance_hosts`: whether the servers are tried in random order.
    pub load_balance_hosts: bool,
    /// What a session must be able to do for its server to be taken.
    pub target_session_attrs: TargetSessionAttrs,
    /// The name of the database.
    pub database: String,
    /// The role to log in as.
    pub user: String,
    /// Its password, if the server asks for one.
    pub password: Option<Password>,
    /// The file in which to look for a password where there is none; it need not be there.
    pub passfile: Option<PathBuf>,
    /// Whether a password must be bound to the encrypted channel.
    pub channel_binding: ChannelBinding,
    /// `sslmode`, if it is set.
    pub sslmode: Option<SslMode>,
    /// `sslrootcert`: a PEM file, or `system`.
    pub sslrootcert: Option<PathBuf>,
    /// `sslcert` and `sslkey`: PEM files.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// `sslsni`: whether the server is told the name of the host.
    pub sslsni: bool,
    /// `ssl_min_protocol_version` and `ssl_max_protocol_version`.
    pub tls_versions: (TlsVersion, TlsVersion),
    /// Whether `sslnegotiation` is `direct`: TLS begins at once.
    pub is_direct_tls: bool,
    /// What PostgreSQL calls the sessions.
    pub application_name: String,
    /// Command line options for each session (`-c name=value`).
    pub options: Option<String>,
    /// How the other end of an idle TCP connection is probed; `None` leaves it unprobed.
    pub keepalives: Option<Keepalives>,
    /// How long data may stay unacknowledged before the connection counts as lost; `None` leaves it
    /// to the system.
    pub tcp_user_timeout: Option<Duration>,
}

impl ConnectionSettings {
    /// Settings with libpq's defaults for a database on one server.
    pub fn new(server: Server, database: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            servers: vec![server],
            load_balance_hosts: false,
            target_session_attrs: TargetSessionAttrs::Any,
            database: database.into(),
            user: user.into(),
            password: None,
            passfile: None,
            channel_binding: ChannelBinding::Prefer,
            sslmode: None,
            sslrootcert: None,
            client_certificate: None,
            sslsni: true,
            tls_versions: (TlsVersion::V1_2, TlsVersion::V1_3),
            is_direct_tls: false,
            application_name: String::new(),
            options: None,
            keepalives: None,
            tcp_user_timeout: None,
        }
    }

    /// What they say of encryption.
    pub fn tls(&self) -> TlsSettings<'_> {
        TlsSettings {
            sslmode: self.sslmode,
            sslrootcert: self.sslrootcert.as_ref(),
            client_certificate: self.client_certificate.as_ref(),
            sslsni: self.sslsni,
            versions: self.tls_versions,
            is_direct: self.is_direct_tls,
        }
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name, an address, or the directory of a Unix socket (then it begins with `/`).
    pub host: String,
    /// `hostaddr`: where to connect, if not to where `host` leads.
    pub address: Option<IpAddr>,
    /// The TCP port, or the number in the Unix socket's name.
    pub port: u16,
}

impl Server {
    /// The path of the server's Unix socket, if it is reached by one.
    pub fn socket(&self) -> Option<PathBuf> {
        let is_directory = self.host.starts_with('/') && self.address.is_none();
        let name = || PathBuf::from(&self.host).join(format!(".s.PGSQL.{}", self.port));
        is_directory.then(name)
    }
}

impl fmt::Display for Server {
    /// `db.example:5432`, `[::1]:5432`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What a session must be able to do: libpq's `target_session_attrs`. A server whose sessions cannot
/// is passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetSessionAttrs {
    /// Nothing in particular.
    #[default]
    Any,
    /// Write.
    ReadWrite,
    /// Not write.
    ReadOnly,
    /// The server is no standby.
    Primary,
    /// The server is a standby.
    Standby,
    /// A standby if there is one, else any.
    PreferStandby,
}

/// Whether a password is bound to the channel it is sent through, so that nobody between can use
/// it: libpq's `channel_binding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// If the server can.
    #[default]
    Prefer,
    /// Always. A server that cannot gets no password.
    Require,
}

/// How the other end of an idle TCP connection is probed. Zero leaves it to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalives {
    /// After which silence the first probe is sent; whole seconds.
    pub idle: Duration,
    /// How long the answer to a probe may take before the next one; whole seconds.
    pub interval: Duration,
    /// After how many unanswered probes the connection counts as lost.
    pub count: u32,
}

/// A password, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<[u8]>);

impl Password {
    /// Hides `bytes`.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into_boxed_slice())
    }

    /// The bytes themselves, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, address: Option<IpAddr>) -> Server {
        let host = host.to_owned();
        Server {
            host,
            address,
            port: 5433,
        }
    }

    #[test]
    fn a_directory_is_the_place_of_a_unix_socket() {
        let socket = server("/run/pg", None).socket();
        assert_eq!(socket, Some("/run/pg/.s.PGSQL.5433".into()));
        let localhost = Some(IpAddr::from([127, 0, 0, 1]));
        assert_eq!(server("/run/pg", localhost).socket(), None);
        assert_eq!(server("db.example", None).socket(), None);
    }

    #[test]
    fn debug_never_shows_the_password() {
        let mut settings = ConnectionSettings::new(server("a", None), "shop", "app");
        settings.password = Some(Password::new("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(!format!("{settings:?}").contains("104"));
    }
}
