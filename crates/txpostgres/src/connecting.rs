//! Owns how the servers of a pool are reached: which of them, at which address, encrypted or not,
//! with which password. Must not know jobs.

mod attempt;
mod password;
mod resolver;
mod socket;

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use sql::{ConnectionSettings, Error, Server, SslMode, TargetSessionAttrs};

use super::connection::Encryption;

pub(crate) use attempt::{Attempt, Next};
pub(crate) use password::Hint;
pub(crate) use resolver::Resolver;

/// What is wrong when an attempt neither succeeds nor fails.
pub(crate) const SILENT: &str = "PostgreSQL does not answer to connecting";

/// The servers of a pool, and how they are reached.
pub(crate) struct Servers {
    pub(crate) settings: ConnectionSettings,
    mode: SslMode,
    tls: Arc<ClientConfig>,
    /// How long an attempt at one address may take.
    pub(crate) limit: Duration,
    pub(crate) resolver: Arc<Resolver>,
}

/// Where an attempt goes, and how.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The number of the server in the settings.
    pub(crate) server: usize,
    pub(crate) place: Place,
    pub(crate) way: Way,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Whether an attempt is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    /// If the server has TLS.
    Prefer,
    Tls,
}

impl Servers {
    /// # Errors
    /// If the settings for TLS contradict each other, or name files that are of no use.
    pub(crate) fn new(
        settings: ConnectionSettings,
        connect_timeout: Duration,
    ) -> Result<Self, Error> {
        let (mode, tls) = settings.tls().read()?;
        let servers = u32::try_from(settings.servers.len()).unwrap_or(u32::MAX);
        Ok(Self {
            mode,
            tls: Arc::new(tls),
            // A silent server must leave time for the next one.
            limit: connect_timeout / servers.max(1),
            settings,
            resolver: Arc::new(Resolver::new()),
        })
    }

    pub(crate) fn server(&self, number: usize) -> &Server {
        &self.settings.servers[number]
    }

    /// The servers in the order in which to try them.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.settings.servers.len()).collect();
        if self.settings.load_balance_hosts {
            shuffle(&mut order);
        }
        order
    }

    /// The ways to connect to a place, one to be tried after the other.
    fn ways(&self, place: &Place) -> &'static [Way] {
        match (place, self.mode) {
            (Place::Unix(_), _) | (_, SslMode::Disable) => &[Way::Plain],
            (_, SslMode::Allow) => &[Way::Plain, Way::Tls],
            (_, SslMode::Prefer) => &[Way::Prefer, Way::Plain],
            (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => &[Way::Tls],
        }
    }

    /// How a connection to a target is encrypted.
    pub(crate) fn encryption(&self, target: &Target) -> Encryption {
        let (config, is_required) = match target.way {
            Way::Plain => return Encryption::None,
            Way::Prefer => (self.tls.clone(), false),
            Way::Tls => (self.tls.clone(), true),
        };
        let name = self.server_name(target);
        if self.settings.is_direct_tls && is_required {
            return Encryption::Direct { config, name };
        }
        Encryption::Asked {
            config,
            name,
            is_required,
        }
    }

    /// Whose certificate is asked for. A host that is no name has its address.
    fn server_name(&self, target: &Target) -> ServerName<'static> {
        let host = &self.server(target.server).host;
        ServerName::try_from(host.clone()).unwrap_or_else(|_| match target.place {
            Place::Tcp(address) => ServerName::from(address.ip()),
            Place::Unix(_) => ServerName::from(IpAddr::from([127, 0, 0, 1])),
        })
    }

    /// Says more about a fault of TLS.
    pub(crate) fn explain_tls(&self, fault: &str) -> String {
        let mut text = format!("{fault} (sslmode is {})", self.mode);
        if fault.contains("UnknownIssuer") {
            text.push_str("; no CA in sslrootcert has signed the server's certificate");
        }
        text
    }

    /// What to ask all servers for, one wish after the other, until one of them fits.
    fn rounds(wanted: TargetSessionAttrs) -> &'static [TargetSessionAttrs] {
        use TargetSessionAttrs as Wanted;
        match wanted {
            Wanted::Any => &[Wanted::Any],
            Wanted::ReadWrite => &[Wanted::ReadWrite],
            Wanted::ReadOnly => &[Wanted::ReadOnly],
            Wanted::Primary => &[Wanted::Primary],
            Wanted::Standby => &[Wanted::Standby],
            Wanted::PreferStandby => &[Wanted::Standby, Wanted::Any],
        }
    }

    /// What the listening connection needs: nobody can listen on a standby.
    pub(crate) fn wanted_to_listen(&self) -> TargetSessionAttrs {
        match self.settings.target_session_attrs {
            writing @ (TargetSessionAttrs::ReadWrite | TargetSessionAttrs::Primary) => writing,
            _ => TargetSessionAttrs::Primary,
        }
    }
}

/// A question to a session, the answer of a server that is not wanted, and what to say then.
pub(crate) struct Question {
    pub(crate) sql: &'static str,
    pub(crate) unwanted: &'static str,
    pub(crate) objection: &'static str,
}

/// What to ask a session so as to see whether its server is wanted.
pub(crate) fn question(wanted: TargetSessionAttrs) -> Option<Question> {
    let (sql, unwanted, objection) = match wanted {
        TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => return None,
        TargetSessionAttrs::ReadWrite => (
            "SHOW transaction_read_only",
            "on",
            "the server is read-only (target_session_attrs is read-write)",
        ),
        TargetSessionAttrs::ReadOnly => (
            "SHOW transaction_read_only",
            "off",
            "the server is not read-only (target_session_attrs is read-only)",
        ),
        TargetSessionAttrs::Primary => (
            "SELECT pg_catalog.pg_is_in_recovery()",
            "t",
            "the server is a standby (target_session_attrs is primary)",
        ),
        TargetSessionAttrs::Standby => (
            "SELECT pg_catalog.pg_is_in_recovery()",
            "f",
            "the server is no standby (target_session_attrs is standby)",
        ),
    };
    Some(Question {
        sql,
        unwanted,
        objection,
    })
}

/// Whether a server can stop being the wanted kind and keep its connections.
pub(crate) fn may_change(wanted: TargetSessionAttrs) -> bool {
    use TargetSessionAttrs as Wanted;
    matches!(
        wanted,
        Wanted::ReadWrite | Wanted::Primary | Wanted::Standby
    )
}

fn shuffle<T>(list: &mut [T]) {
    list.sort_by_cached_key(|_| RandomState::new().hash_one(0));
}
