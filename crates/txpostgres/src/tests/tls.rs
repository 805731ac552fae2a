//! Owns the tests of encrypted connections, with certificates that are made here.

use std::{io::Write, path::Path, sync::OnceLock, time::Duration};

use pg_cluster::Shutdown;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sql::{ChannelBinding, ConnectionSettings, ErrorKind, Password, SslMode};
use tempfile::NamedTempFile;

use super::{
    Cluster, faults::thirty_calls_after_a_restart, observer, outcome, reactors, run, until_running,
    value,
};
use crate::ConnectionPool;

/// How long to try a connection that is refused.
const REFUSED: Duration = Duration::from_secs(1);

/// The certificate of a server that is called localhost, its key, and the file of its CA.
fn certified(ca: &str) -> (String, String, NamedTempFile) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, ca);
    let key = KeyPair::generate().unwrap();
    let mut file = NamedTempFile::new().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    file.write_all(pem.as_bytes()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    (certificate.pem(), key.serialize_pem(), file)
}

/// A server with TLS, and files with its CA and with another one.
struct Secured {
    cluster: Cluster,
    ca: NamedTempFile,
    other_ca: NamedTempFile,
}

/// The server that the tests share.
fn secured() -> &'static Secured {
    static SHARED: OnceLock<Secured> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (certificate, key, ca) = certified("own");
        let cluster = Cluster::new();
        cluster.offer_tls(&certificate, &key);
        cluster.let_in(
            "local     all all           trust\n\
             host      all app       all trust\n\
             hostssl   all encrypted all trust\n\
             hostnossl all plain     all trust\n\
             hostssl   all bound     all scram-sha-256\n",
        );
        cluster.start();
        let admin = observer(&cluster);
        run(&admin, "CREATE ROLE encrypted LOGIN");
        run(&admin, "CREATE ROLE plain LOGIN");
        run(&admin, "CREATE ROLE bound LOGIN PASSWORD 'right-secret'");
        Secured {
            cluster,
            ca,
            other_ca: certified("other").2,
        }
    })
}

/// How to reach a cluster by a name, which its certificate may have.
fn named(cluster: &Cluster, host: &str) -> ConnectionSettings {
    let mut settings = cluster.tcp_settings();
    settings.servers[0].host = host.to_owned();
    settings.servers[0].address = Some([127, 0, 0, 1].into());
    settings
}

fn pool_with(
    mut settings: ConnectionSettings,
    mode: SslMode,
    root: Option<&Path>,
) -> ConnectionPool {
    settings.sslmode = Some(mode);
    settings.sslrootcert = root.map(Path::to_owned);
    let builder = ConnectionPool::builder(settings).cp_max(1).cp_min(0);
    builder.connect_timeout(REFUSED).build(reactors()).unwrap()
}

/// How a connection ends up.
#[derive(Debug, PartialEq)]
enum End {
    Encrypted,
    Plain,
    Refused(String),
}

fn end(pool: &ConnectionPool) -> End {
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    match outcome(pool.run_query(sql, ())) {
        Ok(rows) if rows.row(0).unwrap().get(0) == Ok(true) => End::Encrypted,
        Ok(_) => End::Plain,
        Err(error) if error.kind() == ErrorKind::Unavailable => End::Refused(error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

fn assert_refused(pool: &ConnectionPool, parts: &[&str]) {
    let End::Refused(reason) = end(pool) else {
        panic!("connected although it should be refused: {parts:?}");
    };
    assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
}

#[test]
fn a_server_without_tls_serves_the_modes_that_do_without() {
    let pool =
        |mode, root: Option<&Path>| pool_with(named(Cluster::shared(), "localhost"), mode, root);
    for mode in [SslMode::Disable, SslMode::Allow, SslMode::Prefer] {
        assert_eq!(end(&pool(mode, None)), End::Plain, "{mode}");
    }
    let ca = secured().ca.path();
    for (mode, root, shown) in [
        (SslMode::Require, None, "require"),
        (SslMode::VerifyCa, Some(ca), "verify-ca"),
        (SslMode::VerifyFull, Some(ca), "verify-full"),
    ] {
        let shown = format!("server does not support TLS (sslmode is {shown})");
        assert_refused(&pool(mode, root), &[&shown]);
    }
}

#[test]
fn a_server_with_tls_is_believed_as_far_as_its_certificate_reaches() {
    let Secured {
        cluster,
        ca,
        other_ca,
    } = secured();
    let (ca, other) = (Some(ca.path()), Some(other_ca.path()));
    for (mode, root, host, expected) in [
        (SslMode::Disable, None, "127.0.0.1", End::Plain),
        (SslMode::Allow, None, "127.0.0.1", End::Plain),
        (SslMode::Prefer, None, "127.0.0.1", End::Encrypted),
        (SslMode::Prefer, ca, "127.0.0.1", End::Encrypted),
        // As libpq does: rather without TLS than with the wrong certificate.
        (SslMode::Prefer, other, "127.0.0.1", End::Plain),
        (SslMode::Require, None, "127.0.0.1", End::Encrypted),
        (SslMode::Require, ca, "127.0.0.1", End::Encrypted),
        (SslMode::VerifyCa, ca, "127.0.0.1", End::Encrypted),
        (SslMode::VerifyFull, ca, "localhost", End::Encrypted),
    ] {
        let pool = pool_with(named(cluster, host), mode, root);
        assert_eq!(end(&pool), expected, "{mode}, {root:?}, {host}");
    }
    let unknown = "no CA in sslrootcert has signed the server's certificate";
    let wrong_name = "not valid for name \"127.0.0.1\"";
    for (mode, root, host, parts) in [
        (SslMode::Require, other, "localhost", ["verify-ca", unknown]),
        (
            SslMode::VerifyCa,
            other,
            "localhost",
            ["verify-ca", unknown],
        ),
        (
            SslMode::VerifyFull,
            other,
            "localhost",
            ["verify-full", unknown],
        ),
        (
            SslMode::VerifyFull,
            ca,
            "127.0.0.1",
            [wrong_name, "localhost"],
        ),
    ] {
        assert_refused(&pool_with(named(cluster, host), mode, root), &parts);
    }
}

#[test]
fn allow_and_prefer_try_the_other_way_when_pg_hba_refuses_the_first() {
    let pool = |user: &str, mode| {
        let mut settings = named(&secured().cluster, "localhost");
        settings.user = user.to_owned();
        pool_with(settings, mode, None)
    };
    assert_eq!(end(&pool("encrypted", SslMode::Allow)), End::Encrypted);
    assert_eq!(end(&pool("plain", SslMode::Prefer)), End::Plain);
    assert_refused(
        &pool("encrypted", SslMode::Disable),
        &["no pg_hba.conf entry"],
    );
    assert_refused(&pool("plain", SslMode::Require), &["no pg_hba.conf entry"]);
    let both = ["SSL encryption (", "; and then: ", "no encryption ("];
    assert_refused(&pool("nobody", SslMode::Prefer), &both);
}

#[test]
fn a_unix_socket_is_never_encrypted() {
    let Secured { cluster, ca, .. } = secured();
    let pool = pool_with(cluster.settings(), SslMode::VerifyFull, Some(ca.path()));
    assert_eq!(end(&pool), End::Plain);
}

#[test]
fn a_password_is_bound_to_the_encrypted_channel() {
    let Secured { cluster, ca, .. } = secured();
    let pool = |password: &str, mode, binding| {
        let mut settings = named(cluster, "localhost");
        settings.user = "bound".to_owned();
        settings.password = Some(Password::new(password));
        settings.channel_binding = binding;
        pool_with(settings, mode, Some(ca.path()))
    };
    let bound = pool("right-secret", SslMode::VerifyFull, ChannelBinding::Require);
    assert_eq!(end(&bound), End::Encrypted);
    let unbound = pool("right-secret", SslMode::VerifyFull, ChannelBinding::Disable);
    assert_eq!(end(&unbound), End::Encrypted);
    let wrong = pool("wrong-secret", SslMode::VerifyFull, ChannelBinding::Require);
    let End::Refused(reason) = end(&wrong) else {
        panic!("the password is wrong");
    };
    assert!(reason.contains("password authentication failed") && !reason.contains("-secret"));
    // A server that lets in without a password binds none.
    let mut trusted = named(cluster, "localhost");
    trusted.channel_binding = ChannelBinding::Require;
    let trusted = pool_with(trusted, SslMode::Require, None);
    assert_refused(&trusted, &["channel binding"]);
}

#[test]
fn a_restart_costs_idle_encrypted_connections_no_call() {
    let (certificate, key, ca) = certified("restarted");
    let cluster = Cluster::new();
    cluster.offer_tls(&certificate, &key);
    cluster.start();
    let mut settings = named(&cluster, "localhost");
    settings.sslmode = Some(SslMode::VerifyFull);
    settings.sslrootcert = Some(ca.path().to_owned());
    thirty_calls_after_a_restart(Shutdown::Fast, &cluster, settings);
}

/// Nobody but an encrypted client gets in, and that goes for cancel requests by the same address.
#[test]
fn a_cancelled_query_on_an_encrypted_connection_stops() {
    let Secured { cluster, ca, .. } = secured();
    let pool = pool_with(
        named(cluster, "localhost"),
        SslMode::VerifyFull,
        Some(ca.path()),
    );
    let admin = observer(cluster);
    let job = pool.run_query("SELECT pg_sleep(60) /* encrypted */", ());
    until_running(&admin, "/* encrypted */", 1);
    job.cancel();
    assert_eq!(outcome(job).unwrap_err().kind(), ErrorKind::Cancelled);
    until_running(&admin, "/* encrypted */", 0);
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    assert_eq!(pool.stats().opened, 1);
}

/// Large values cross in many records, in both directions.
#[test]
fn large_values_cross_an_encrypted_connection() {
    let Secured { cluster, ca, .. } = secured();
    let pool = pool_with(
        named(cluster, "localhost"),
        SslMode::VerifyCa,
        Some(ca.path()),
    );
    let large = "x".repeat(5_000_000);
    let echo = pool.run_query("SELECT $1::text", sql::params![large.clone()]);
    let rows = outcome(echo).unwrap();
    assert_eq!(rows.row(0).unwrap().value(0), Some(large.as_bytes()));
}
