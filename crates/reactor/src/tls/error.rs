//! What goes wrong with TLS, in words that name the mend. Must not know connections.

use std::{error, fmt, io};

use rustls::{AlertDescription, CertificateError, Error};

/// Why a TLS session failed. It stands inside the error of
/// [`Protocol::on_error`](crate::Protocol::on_error).
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The first bytes of the other end were no TLS.
    PlainText,
    /// The other end closed the connection before the handshake was complete.
    EndedInHandshake,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The connection ended without `close_notify` (RFC 8446, 6.1): what the other end, or
    /// somebody between, did not let through is missing.
    Truncated,
    /// What rustls found wrong.
    Session(Error),
}

impl TlsError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::EndedInHandshake | Self::Truncated => io::ErrorKind::UnexpectedEof,
            Self::HandshakeTimeout => io::ErrorKind::TimedOut,
            Self::PlainText | Self::Session(_) => io::ErrorKind::InvalidData,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainText => f.write_str(
                "The other end speaks plain text where TLS is spoken. Turn TLS on there, or use \
                 the port for plain text.",
            ),
            Self::EndedInHandshake => f.write_str(
                "The other end closed the connection during the TLS handshake. Its log says why; \
                 most often it does not trust the certificate, or does not speak TLS here.",
            ),
            Self::HandshakeTimeout => f.write_str(
                "The other end did not complete the TLS handshake in time. Check that it speaks \
                 TLS on this port.",
            ),
            Self::Truncated => f.write_str(
                "The connection ended without TLS close_notify, so the last data may be missing. \
                 The other end crashed, or something between cut the connection.",
            ),
            Self::Session(error) => match mend(error) {
                Some(mend) => write!(f, "TLS failed: {error}. {mend}"),
                None => write!(f, "TLS failed: {error}."),
            },
        }
    }
}

/// What to do about it, where that can be told.
fn mend(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::InvalidCertificate(error) => mend_certificate(error)?,
        Error::NoCertificatesPresented => "Give the client a certificate.",
        Error::PeerIncompatible(_) => {
            "Let both ends speak TLS 1.2 or 1.3 with a cipher suite in common."
        }
        Error::NoApplicationProtocol => "Let both ends offer an ALPN protocol in common.",
        Error::AlertReceived(alert) => mend_alert(*alert)?,
        _ => return None,
    })
}

fn mend_certificate(error: &CertificateError) -> Option<&'static str> {
    Some(match error {
        CertificateError::UnknownIssuer => {
            "Add the authority that signed the other end's certificate to the trusted ones."
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "Renew the other end's certificate, or set the clock."
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "Set the clock, or wait until the other end's certificate is valid."
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "Use a name that the certificate is for, or a certificate for this name."
        }
        CertificateError::Revoked => "Give the other end a new certificate.",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "Use a certificate that is made for this end, client or server."
        }
        _ => return None,
    })
}

fn mend_alert(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::UnknownCA => {
            "The other end does not know the authority that signed the certificate of this end. \
             Add it there to the trusted ones."
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => {
            "The other end refuses the certificate of this end. Its log says why."
        }
        AlertDescription::CertificateExpired => "Renew the certificate of this end.",
        AlertDescription::CertificateRequired => {
            "The other end wants a client certificate. Give this end one."
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            "Let both ends speak TLS 1.2 or 1.3 with a cipher suite in common."
        }
        AlertDescription::UnrecognisedName => "Use a name that the other end serves.",
        _ => return None,
    })
}

impl error::Error for TlsError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Session(error) => Some(error),
            Self::PlainText | Self::EndedInHandshake | Self::HandshakeTimeout | Self::Truncated => {
                None
            }
        }
    }
}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(error.kind(), error)
    }
}
