//! Owns how connections are encrypted and whose certificates they trust: libpq's settings as a
//! configuration of rustls. Opens no socket and must not know a backend.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore,
    SignatureScheme, SupportedProtocolVersion,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{self, CryptoProvider},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
        pem::PemObject,
    },
    server::ParsedCertificate,
    sign::{CertifiedKey, SingleCertAndKey},
};
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::der::Encode;

use super::{
    certificate::{check_dates, check_name, check_signature, check_version_1, is_version_1, parse},
    error::Error,
    ssl_mode::{SslMode, TlsVersion},
};

/// The `sslrootcert` that names no file: it stands for the certificates that the system trusts.
const SYSTEM: &str = "system";

/// What libpq's settings say of encryption; see
/// ["SSL support"](https://www.postgresql.org/docs/current/libpq-ssl.html) in PostgreSQL's manual.
#[derive(Clone, Copy, Debug)]
pub struct TlsSettings<'a> {
    /// `sslmode`, if it is set.
    pub sslmode: Option<SslMode>,
    /// `sslrootcert`: a PEM file, or `system`.
    pub sslrootcert: Option<&'a PathBuf>,
    /// `sslcert` and `sslkey`: PEM files.
    pub client_certificate: Option<&'a (PathBuf, PathBuf)>,
    /// `sslsni`: whether the server is told the name of the host.
    pub sslsni: bool,
    /// `ssl_min_protocol_version` and `ssl_max_protocol_version`.
    pub versions: (TlsVersion, TlsVersion),
    /// Whether `sslnegotiation` is `direct`.
    pub is_direct: bool,
}

impl TlsSettings<'_> {
    /// The mode that the settings come down to, and how rustls keeps it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if they contradict each other, or name files
    /// that are of no use.
    ///
    /// # Blocking
    /// While it reads the files.
    pub fn read(&self) -> Result<(SslMode, ClientConfig), Error> {
        self.to_rustls().map_err(Error::config)
    }

    fn to_rustls(self) -> Result<(SslMode, ClientConfig), String> {
        let mode = mode(&self)?;
        let trust = match self.sslrootcert {
            Some(source) if mode != SslMode::Disable => Some(Trust::read(source)?),
            _ => None,
        };
        let provider = Arc::new(crypto::ring::default_provider());
        let identity = match self.client_certificate {
            Some((certificate, key)) if mode != SslMode::Disable => {
                Some(identity(certificate, key, &provider)?)
            }
            _ => None,
        };
        let verifier = Verifier {
            trust,
            host: mode == SslMode::VerifyFull,
            provider: provider.clone(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(self.versions)?)
            .expect("ring has what TLS 1.2 and 1.3 need")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match identity {
            Some(identity) => config.with_client_cert_resolver(Arc::new(identity)),
            None => config.with_no_client_auth(),
        };
        config.enable_sni = self.sslsni;
        // As libpq 17 does, so that no server of another protocol answers.
        // sslnegotiation=direct needs it.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok((mode, config))
    }
}

/// The mode that follows from the settings.
fn mode(settings: &TlsSettings<'_>) -> Result<SslMode, String> {
    let asked = settings.sslmode.unwrap_or_default();
    let mode = match settings.sslrootcert {
        // Any server can have a certificate of a public CA, so it proves nothing without the name.
        Some(source) if is_system(source) && settings.sslmode.is_none() => SslMode::VerifyFull,
        Some(source) if is_system(source) && asked != SslMode::VerifyFull => {
            return Err(format!(
                "sslrootcert is system and sslmode is {asked}, which is too weak: use verify-full"
            ));
        }
        Some(_) if asked == SslMode::Require => SslMode::VerifyCa,
        None if matches!(asked, SslMode::VerifyCa | SslMode::VerifyFull) => {
            return Err(format!(
                "sslmode is {asked} without sslrootcert: set it to a PEM file with the certificate of the server's \
                 CA, or to system"
            ));
        }
        _ => asked,
    };
    let is_weak = matches!(mode, SslMode::Disable | SslMode::Allow | SslMode::Prefer);
    if is_weak && settings.is_direct {
        return Err(format!(
            "sslnegotiation is direct and sslmode is {mode}, which is too weak: use require or more"
        ));
    }
    Ok(mode)
}

/// The versions of TLS from one to another.
fn versions(
    (from, to): (TlsVersion, TlsVersion),
) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let all = [
        (TlsVersion::V1_2, &rustls::version::TLS12),
        (TlsVersion::V1_3, &rustls::version::TLS13),
    ];
    let within = (all.into_iter()).filter(|(version, _)| (from..=to).contains(version));
    let within: Vec<_> = within.map(|(_, version)| version).collect();
    if within.is_empty() {
        return Err("the newest version of TLS is older than the oldest: exchange them".into());
    }
    Ok(within)
}

/// The client's certificate and key.
fn identity(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<SingleCertAndKey, String> {
    let of_certificate = certificate.display();
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("sslcert: {of_certificate} cannot be read ({error})"))?;
    if chain.is_empty() {
        return Err(format!("sslcert: {of_certificate} holds no certificate"));
    }
    let of_key = key.display();
    let found = fs::metadata(key).map_err(|error| format!("sslkey: {of_key}: {error}"))?;
    // libpq's rule: if the key belongs to root, its group may read it.
    let others = if found.uid() == 0 { 0o037 } else { 0o077 };
    if found.mode() & others != 0 {
        return Err(format!(
            "sslkey: others may read {of_key}: chmod 600 {of_key}"
        ));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|_| {
        format!(
            "sslkey: {of_key} holds no private key that can be read; if it has a passphrase, take that off with \
             openssl pkey -in {of_key} -out NEW"
        )
    })?;
    let key = (provider.key_provider.load_private_key(key))
        .map_err(|error| format!("sslkey: {of_key} cannot be used ({error})"))?;
    let identity = CertifiedKey::new(chain, key);
    if let Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) =
        identity.keys_match()
    {
        return Err(format!(
            "sslkey: {of_key} is not the key of {of_certificate}"
        ));
    }
    Ok(SingleCertAndKey::from(identity))
}

fn is_system(source: &Path) -> bool {
    source == Path::new(SYSTEM)
}

/// The certificates to trust.
#[derive(Debug)]
struct Trust {
    roots: RootCertStore,
    /// The certificates of `roots`, as they were read.
    given: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Reads a PEM file, or the system's certificates.
    fn read(source: &Path) -> Result<Self, String> {
        if is_system(source) {
            return Self::system();
        }
        let file = source.display();
        let pem = fs::read(source).map_err(|error| {
            format!("sslrootcert: {file} cannot be read ({error}): name a PEM file, or system")
        })?;
        let mut trust = Self {
            roots: RootCertStore::empty(),
            given: Vec::new(),
        };
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let invalid = |error: String| {
                format!("sslrootcert: {file} holds something that is no certificate ({error})")
            };
            let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
            let added = trust.roots.add(certificate.clone());
            added.map_err(|error| invalid(error.to_string()))?;
            trust.given.push(certificate);
        }
        if trust.given.is_empty() {
            return Err(format!(
                "sslrootcert: {file} holds no certificate: it should begin with -----BEGIN CERTIFICATE-----"
            ));
        }
        Ok(trust)
    }

    fn system() -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // A system's store may hold certificates that can't be read.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let faults: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(format!(
                "sslrootcert is system, but the system trusts no certificate: install ca-certificates or name a PEM \
                 file {}",
                faults.join("; ")
            ));
        }
        Ok(Self {
            roots,
            given: Vec::new(),
        })
    }
}

/// What a password is bound to on a channel with a server that has shown this certificate (DER): its
/// hash by the algorithm of its signature, or by SHA-256 in place of a weaker one (RFC 5929, 4.1).
/// `None` if the signature's algorithm names no hash.
pub fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let parsed = parse(&CertificateDer::from(certificate)).ok()?;
    let algorithm = parsed.signature_algorithm.oid.to_string();
    Some(match algorithm.as_str() {
        // MD5, SHA-1 and SHA-256 with RSA; SHA-1 and SHA-256 with ECDSA.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Sha256::digest(certificate).to_vec(),
        // SHA-384 and SHA-512 with RSA and with ECDSA.
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Sha384::digest(certificate).to_vec(),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Sha512::digest(certificate).to_vec(),
        _ => return None,
    })
}

/// Checks the certificate of the server as the mode demands.
#[derive(Debug)]
struct Verifier {
    /// `None` accepts any certificate.
    trust: Option<Trust>,
    /// Whether the certificate must be for the host.
    host: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(trust) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        // The usual self-signed certificate says that it belongs to a CA, and webpki refuses a
        // server with such a certificate.
        if trust.given.contains(end_entity) {
            check_dates(end_entity, now)?;
        } else if is_version_1(end_entity) {
            check_version_1(end_entity, &trust.given, now, &self.provider)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                &trust.roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        if self.host {
            check_name(end_entity, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if is_version_1(cert) {
            check_signature(cert, message, signature, &self.provider)?;
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    /// Even where any certificate is accepted, the server must have its key: channel binding relies
    /// on that.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // The recipe in PostgreSQL's manual makes certificates of version 1. rustls can't read
        // them, but it can use their key.
        let parsed = parse(cert)?;
        let key = parsed.tbs_certificate.subject_public_key_info.to_der();
        let key = SubjectPublicKeyInfoDer::from(key.map_err(|_| CertificateError::BadEncoding)?);
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
