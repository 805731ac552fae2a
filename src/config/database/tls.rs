//! Owns what is written of TLS to PostgreSQL, by libpq's rules (PostgreSQL's manual, 34.19), except
//! that nothing is looked for in the user's home. Reads no certificate.

use std::path::{Path, PathBuf};

use super::{
    parameter_value::{Origin, ParameterValue},
    sources::Sources,
};
use crate::config::{
    model::{ClientCertificate, SslMode, SslRootCert, TlsVersion},
    words::unless_secret,
};

pub(super) struct Tls {
    pub(super) sslmode: SslMode,
    pub(super) sslrootcert: Option<SslRootCert>,
    pub(super) client_certificate: Option<ClientCertificate>,
    pub(super) direct: bool,
    pub(super) versions: (TlsVersion, TlsVersion),
}

pub(super) fn tls(sources: &Sources<'_>, base_dir: &Path) -> Tls {
    let (sslmode, sslrootcert) = trust(sources, base_dir);
    let client_certificate = client_certificate(sources, base_dir);
    let direct = direct(sources, sslmode);
    let versions = versions(sources);
    Tls {
        sslmode,
        sslrootcert,
        client_certificate,
        direct,
        versions,
    }
}

fn trust(sources: &Sources<'_>, base_dir: &Path) -> (SslMode, Option<SslRootCert>) {
    let given_mode = sources.find("sslmode");
    let given_cert = sources.find("sslrootcert");
    let cert = (given_cert.as_ref()).and_then(|given| root_cert(given, base_dir));
    let Some(given_mode) = given_mode else {
        let mode = match cert {
            Some(SslRootCert::System) => SslMode::VerifyFull,
            _ => SslMode::Prefer,
        };
        return (mode, cert);
    };
    let mode = match given_mode.one_of() {
        Some("disable") => SslMode::Disable,
        Some("allow") => SslMode::Allow,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(_) => SslMode::Prefer,
        None => return (SslMode::default(), cert),
    };
    match (mode, &given_cert) {
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => given_mode.fault(
            "must have an `sslrootcert` beside it: a PEM file, or with `verify-full` also `system`",
        ),
        (SslMode::Disable, Some(given)) if matches!(given.origin, Origin::Written(_)) => {
            given.note("has no effect: with this `sslmode` there is no TLS");
        }
        _ => {}
    }
    if mode != SslMode::VerifyFull && cert == Some(SslRootCert::System) {
        given_mode.fault(
            "must be `verify-full` where `sslrootcert` is `system`, which vouches for every host there is",
        );
    }
    (mode, cert)
}

fn root_cert(given: &ParameterValue<'_>, base_dir: &Path) -> Option<SslRootCert> {
    if given.text()? == "system" {
        return Some(SslRootCert::System);
    }
    existing(given, base_dir, "`system` or a file that exists").map(SslRootCert::File)
}

fn existing(given: &ParameterValue<'_>, base_dir: &Path, what: &str) -> Option<PathBuf> {
    let file = given.file(base_dir)?;
    if file.is_file() {
        return Some(file);
    }
    match &given.origin {
        Origin::Written(member) => member.fault(format!(
            "there is no file {}; relative ones are relative to the config file",
            unless_secret(file.display().to_string())
        )),
        Origin::Elsewhere { .. } => given.fault(format!("must be {what}")),
    }
    None
}

fn client_certificate(sources: &Sources<'_>, base_dir: &Path) -> Option<ClientCertificate> {
    if sources.word("sslcertmode") == Some("disable") {
        return None;
    }
    let file = |given: &ParameterValue<'_>| existing(given, base_dir, "a file that exists");
    match (sources.find("sslcert"), sources.find("sslkey")) {
        (Some(certificate), Some(key)) => Some(ClientCertificate {
            certificate: file(&certificate)?,
            key: file(&key)?,
        }),
        (Some(certificate), None) => {
            certificate.fault("must have an `sslkey` beside it, a PEM file");
            None
        }
        (None, Some(key)) => {
            key.note("has no effect without an `sslcert`");
            None
        }
        (None, None) => None,
    }
}

fn direct(sources: &Sources<'_>, mode: SslMode) -> bool {
    let given = sources.find("sslnegotiation");
    let Some(given) = given.filter(|given| given.one_of() == Some("direct")) else {
        return false;
    };
    if matches!(mode, SslMode::Disable | SslMode::Allow | SslMode::Prefer) {
        given.fault("must have an `sslmode` of `require` or more beside it, if it is `direct`");
    }
    true
}

/// The oldest and the newest version. Versions before 1.2 are never spoken.
fn versions(sources: &Sources<'_>) -> (TlsVersion, TlsVersion) {
    let least = sources.find("ssl_min_protocol_version");
    let newest = sources.find("ssl_max_protocol_version");
    let word = |given: &Option<ParameterValue<'_>>| {
        (given.as_ref()).and_then(ParameterValue::one_of_in_any_case)
    };
    let from = match word(&least) {
        Some("TLSv1.3") => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    };
    let to = match word(&newest) {
        Some("TLSv1.2") => TlsVersion::V1_2,
        _ => TlsVersion::V1_3,
    };
    if let (true, Some(newest)) = (from > to, newest) {
        newest.fault("must not be older than `ssl_min_protocol_version`");
    }
    (from, to)
}
