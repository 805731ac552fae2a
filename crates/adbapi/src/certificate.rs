//! Owns what rustls does not do with a server's certificate and libpq does: names in the common
//! name, and version 1 of X.509. Opens nothing and knows no settings.

use rustls::{
    CertificateError, DigitallySignedStruct,
    client::verify_server_name,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_cert::{
    Certificate,
    certificate::Version,
    der::{
        AnyRef, Decode, Encode,
        asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef},
        oid::db::rfc4519::CN,
    },
    ext::pkix::{BasicConstraints, SubjectAltName, name::GeneralName},
    spki::AlgorithmIdentifierOwned,
};

pub(super) fn parse(certificate: &CertificateDer<'_>) -> Result<Certificate, CertificateError> {
    Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)
}

/// Whether a certificate has no extensions, as `openssl x509 -req` makes them. rustls can't read
/// such certificates.
pub(super) fn is_version_1(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_ok_and(|parsed| parsed.tbs_certificate.version == Version::V1)
}

pub(super) fn check_dates(
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let validity = parse(certificate)?.tbs_certificate.validity;
    let [not_before, not_after] = [validity.not_before, validity.not_after]
        .map(|time| UnixTime::since_unix_epoch(time.to_unix_duration()));
    let time = now;
    if time < not_before {
        return Err(CertificateError::NotValidYetContext { time, not_before });
    }
    if time > not_after {
        return Err(CertificateError::ExpiredContext { time, not_after });
    }
    Ok(())
}

/// Checks that one of `roots` itself has signed a certificate of version 1, and that the
/// certificate is valid now.
pub(super) fn check_version_1(
    certificate: &CertificateDer<'_>,
    roots: &[CertificateDer<'_>],
    now: UnixTime,
    provider: &CryptoProvider,
) -> Result<(), CertificateError> {
    check_dates(certificate, now)?;
    let parsed = parse(certificate)?;
    let mut issuers = roots.iter().filter_map(|root| parse(root).ok());
    let is_signed = issuers.any(|root| {
        root.tbs_certificate.subject == parsed.tbs_certificate.issuer
            && may_sign(&root)
            && has_signed(&root, &parsed, provider).unwrap_or(false)
    });
    if !is_signed {
        return Err(CertificateError::UnknownIssuer);
    }
    Ok(())
}

/// Whether a certificate belongs to an authority. One of version 1 does not say.
fn may_sign(root: &Certificate) -> bool {
    let constraints = root.tbs_certificate.get::<BasicConstraints>();
    match root.tbs_certificate.version {
        Version::V3 => matches!(constraints, Ok(Some((_, constraints))) if constraints.ca),
        _ => true,
    }
}

fn has_signed(
    root: &Certificate,
    signed: &Certificate,
    provider: &CryptoProvider,
) -> Result<bool, x509_cert::der::Error> {
    if signed.signature_algorithm != signed.tbs_certificate.signature {
        return Ok(false);
    }
    let key = &root.tbs_certificate.subject_public_key_info;
    let (of_key, of_signature) = (
        content(&key.algorithm)?,
        content(&signed.signature_algorithm)?,
    );
    let message = signed.tbs_certificate.to_der()?;
    let algorithms = provider.signature_verification_algorithms.all;
    let mut fitting = algorithms.iter().filter(|algorithm| {
        *algorithm.public_key_alg_id() == of_key[..]
            && *algorithm.signature_alg_id() == of_signature[..]
    });
    Ok(fitting.any(|algorithm| {
        algorithm
            .verify_signature(
                key.subject_public_key.raw_bytes(),
                &message,
                signed.signature.raw_bytes(),
            )
            .is_ok()
    }))
}

/// Checks a signature of TLS 1.2 by the key of a certificate of version 1.
pub(super) fn check_signature(
    certificate: &CertificateDer<'_>,
    message: &[u8],
    signed: &DigitallySignedStruct,
    provider: &CryptoProvider,
) -> Result<(), rustls::Error> {
    let parsed = parse(certificate)?;
    let key = &parsed.tbs_certificate.subject_public_key_info;
    let of_key = content(&key.algorithm).map_err(|_| CertificateError::BadEncoding)?;
    let mapping = provider.signature_verification_algorithms.mapping;
    let of_scheme = mapping
        .iter()
        .filter(|(scheme, _)| *scheme == signed.scheme);
    let mut fitting = of_scheme
        .flat_map(|(_, algorithms)| algorithms.iter())
        .filter(|algorithm| *algorithm.public_key_alg_id() == of_key[..]);
    let is_signed = fitting.any(|algorithm| {
        let key = key.subject_public_key.raw_bytes();
        let verified = algorithm.verify_signature(key, message, signed.signature());
        verified.is_ok()
    });
    if !is_signed {
        return Err(CertificateError::BadSignature.into());
    }
    Ok(())
}

/// The content of an algorithm's SEQUENCE.
fn content(algorithm: &AlgorithmIdentifierOwned) -> Result<Vec<u8>, x509_cert::der::Error> {
    let der = algorithm.to_der()?;
    Ok(AnyRef::from_der(&der)?.value().to_vec())
}

/// Checks that a certificate is for this server: by its alternative names, or by its common name if
/// it has no alternative name of the same kind.
pub(super) fn check_name(
    certificate: &CertificateDer<'_>,
    server: &ServerName<'_>,
) -> Result<(), rustls::Error> {
    let parsed = parse(certificate)?;
    if !has_alternative_names(&parsed, server) {
        let wanted = server.to_str();
        if common_names(&parsed).any(|name| is_same_host(&name, &wanted)) {
            return Ok(());
        }
        if parsed.tbs_certificate.version == Version::V1 {
            return Err(CertificateError::NotValidForNameContext {
                expected: server.to_owned(),
                presented: common_names(&parsed).collect(),
            }
            .into());
        }
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server)
}

/// Whether there are alternative names of the same kind as the server's.
fn has_alternative_names(certificate: &Certificate, server: &ServerName<'_>) -> bool {
    let is_address = matches!(server, ServerName::IpAddress(_));
    match certificate.tbs_certificate.get::<SubjectAltName>() {
        Ok(None) => false,
        Ok(Some((_, SubjectAltName(names)))) => names.iter().any(|name| match name {
            GeneralName::DnsName(_) => !is_address,
            GeneralName::IpAddress(_) => is_address,
            _ => false,
        }),
        // A name that can't be read tells nothing.
        Err(_) => true,
    }
}

fn common_names(certificate: &Certificate) -> impl Iterator<Item = String> {
    let names = certificate.tbs_certificate.subject.0.iter();
    let attributes = names.flat_map(|name| name.0.iter());
    attributes.filter(|one| one.oid == CN).filter_map(|one| {
        let value = &one.value;
        let text =
            (value.decode_as::<Utf8StringRef<'_>>().ok()).map(|text| text.as_str().to_owned());
        text.or_else(|| {
            let text = value.decode_as::<PrintableStringRef<'_>>().ok();
            text.map(|text| text.as_str().to_owned())
        })
        .or_else(|| {
            let text = value.decode_as::<Ia5StringRef<'_>>().ok();
            text.map(|text| text.as_str().to_owned())
        })
        .or_else(|| {
            let text = value.decode_as::<TeletexStringRef<'_>>().ok();
            text.map(|text| text.as_str().to_owned())
        })
    })
}

/// Compares as libpq does: `*.` stands for one label at the front.
fn is_same_host(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(domain), Some((label, rest))) = (pattern.strip_prefix("*."), host.split_once('.'))
    else {
        return false;
    };
    !label.is_empty() && !domain.is_empty() && domain.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        for (pattern, host, is_same) in [
            ("pg.example", "PG.example", true),
            ("*.example", "pg.example", true),
            ("*.example", "a.pg.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("*", "pg", false),
            ("*.", "pg.", false),
            ("p*.example", "pg.example", false),
            ("pg.example", "pg.example.org", false),
        ] {
            assert_eq!(is_same_host(pattern, host), is_same, "{pattern} {host}");
        }
    }
}
