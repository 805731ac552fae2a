//! Owns the words for how connections are encrypted, libpq's; does nothing about it.

use std::{fmt, str::FromStr};

use super::error::Error;

/// Whether and how connections are encrypted: libpq's `sslmode`, see ["SSL
/// support"](https://www.postgresql.org/docs/current/libpq-ssl.html) in PostgreSQL's manual.
///
/// Unix sockets are never encrypted, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If PostgreSQL does not let an unencrypted connection in.
    Allow,
    /// If PostgreSQL can. Protects from no attacker who can change what is sent.
    #[default]
    Prefer,
    /// Always. Nobody can listen, but the other end may be anybody, unless there is an
    /// `sslrootcert`: then this is [`VerifyCa`](Self::VerifyCa).
    Require,
    /// Always, with a server whose certificate was signed by a CA in `sslrootcert`.
    VerifyCa,
    /// As [`VerifyCa`](Self::VerifyCa), and the certificate is for the host that the connection
    /// config names.
    VerifyFull,
}

/// A version of TLS, of those that there are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// The modes and libpq's words for them.
const MODES: [(SslMode, &str); 6] = [
    (SslMode::Disable, "disable"),
    (SslMode::Allow, "allow"),
    (SslMode::Prefer, "prefer"),
    (SslMode::Require, "require"),
    (SslMode::VerifyCa, "verify-ca"),
    (SslMode::VerifyFull, "verify-full"),
];

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, word) = MODES
            .iter()
            .find(|(mode, _)| mode == self)
            .expect("all modes are listed");
        f.pad(word)
    }
}

impl FromStr for SslMode {
    type Err = Error;

    /// Reads libpq's word.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) with the words there are.
    fn from_str(word: &str) -> Result<Self, Error> {
        let found = MODES.iter().find(|(_, known)| *known == word);
        found.map(|(mode, _)| *mode).ok_or_else(|| {
            let known = MODES.map(|(_, word)| word).join(", ");
            Error::config(format!("sslmode is {word:?}: use one of {known}"))
        })
    }
}
