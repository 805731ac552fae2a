//! Owns how the connections of a pool are encrypted, and what the client library says when they
//! cannot be; opens nothing and knows no pool.

use postgres::{
    config::{self, Host, SslNegotiation},
    error::SqlState,
};
use rustls::CertificateError;
use sql::{SslMode, TlsSettings};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    error::{describe, rustls_error},
    postgres_settings::PostgresSettings,
};

/// How the connections of a pool are encrypted.
#[derive(Clone)]
pub(super) struct Tls {
    mode: SslMode,
    /// Makes TLS streams, also for cancel requests.
    pub(super) streams: MakeRustlsConnect,
}

impl Tls {
    /// Checks the settings and reads the certificates that they name.
    pub(super) fn new(settings: &PostgresSettings) -> Result<Self, String> {
        let of_config = match settings.config.get_ssl_mode() {
            config::SslMode::Disable => Some(SslMode::Disable),
            config::SslMode::Require => Some(SslMode::Require),
            _ => None,
        };
        let settings = TlsSettings {
            sslmode: settings.sslmode.or(of_config),
            sslrootcert: settings.sslrootcert.as_ref(),
            client_certificate: settings.client_certificate.as_ref(),
            sslsni: settings.sslsni,
            versions: settings.tls_versions,
            is_direct: settings.config.get_ssl_negotiation() == SslNegotiation::Direct,
        };
        let (mode, config) = settings.read().map_err(|error| error.to_string())?;
        Ok(Self {
            mode,
            streams: MakeRustlsConnect::new(config),
        })
    }

    /// The ways to connect, one to be tried after the other.
    pub(super) fn ways(&self, config: &config::Config) -> Vec<config::SslMode> {
        use config::SslMode as Way;
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        if config.get_hostaddrs().is_empty() && config.get_hosts().iter().all(is_local) {
            return vec![Way::Disable];
        }
        match self.mode {
            SslMode::Disable => vec![Way::Disable],
            SslMode::Allow => vec![Way::Disable, Way::Require],
            SslMode::Prefer => vec![Way::Prefer, Way::Disable],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => vec![Way::Require],
        }
    }

    /// Why there is no connection, in one line.
    pub(super) fn describe(&self, error: &postgres::Error) -> String {
        let mut text = describe(error);
        if is_of_tls(error) {
            text = format!("{text} (sslmode is {})", self.mode);
        }
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        if rustls_error(error) == Some(&unknown) {
            text.push_str("; no CA in sslrootcert has signed the server's certificate");
        }
        text
    }
}

/// Whether the next way to connect may succeed where this one failed.
pub(super) fn may_depend_on_encryption(error: &postgres::Error) -> bool {
    // PostgreSQL's code when no line of pg_hba.conf lets the client in.
    let refused = error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    refused || is_of_tls(error)
}

/// Whether the server has no TLS, or the handshake failed. Only the words of the client library's
/// error tell.
fn is_of_tls(error: &postgres::Error) -> bool {
    error
        .to_string()
        .starts_with("error performing TLS handshake")
}
