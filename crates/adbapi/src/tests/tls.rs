//! Owns the tests of encrypted connections, with certificates that are made here.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use postgres::config::{ChannelBinding, SslNegotiation};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::NamedTempFile;

use super::{
    super::{ConnectionPool, Error, SslMode},
    LIMIT,
    cluster::Cluster,
    eventually,
    faults::thirty_calls_after_a_restart,
    limits::until_active,
    outcome,
    upkeep::{lines, logged},
};

/// How long to try a connection that is refused.
const REFUSED: Duration = Duration::from_secs(1);

/// The certificate of a CA, or of a server, and its key.
struct Certified {
    certificate: String,
    key: String,
}

/// A CA with one server that is called localhost and nothing else.
struct Authority {
    server: Certified,
    file: NamedTempFile,
}

fn authority(name: &str) -> Authority {
    let (key, params) = (KeyPair::generate().unwrap(), ca_params(name));
    let file = pem_file(&params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Authority {
        server: Certified {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        },
        file,
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// The usual self-signed certificate: it says that it is a CA's.
fn self_signed(params: &CertificateParams) -> Certified {
    let key = KeyPair::generate().unwrap();
    Certified {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn pem_file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

/// A server with TLS, and files with its CA and with another one.
struct Secured {
    cluster: Cluster,
    ca: NamedTempFile,
    other_ca: NamedTempFile,
}

/// The server that the tests share if they don't change it.
fn secured() -> &'static Secured {
    static SHARED: OnceLock<Secured> = OnceLock::new();
    SHARED.get_or_init(|| {
        let own = authority("own");
        let cluster = Cluster::new();
        cluster.offer_tls(&own.server.certificate, &own.server.key);
        cluster.let_in(
            "local     all all           trust\n\
             host      all app       all trust\n\
             hostssl   all encrypted all trust\n\
             hostnossl all plain     all trust\n\
             hostssl   all bound     all scram-sha-256\n",
        );
        cluster.start();
        let roles = "CREATE ROLE encrypted LOGIN; CREATE ROLE plain LOGIN;
                     CREATE ROLE bound LOGIN PASSWORD 'right-secret'";
        cluster.client().batch_execute(roles).unwrap();
        Secured {
            cluster,
            ca: own.file,
            other_ca: authority("other").file,
        }
    })
}

/// How to reach a cluster by a name, which its certificate may have.
fn named(cluster: &Cluster, host: &str) -> postgres::Config {
    let mut config = postgres::Config::new();
    config
        .host(host)
        .hostaddr([127, 0, 0, 1].into())
        .port(cluster.port())
        .user("app")
        .dbname("postgres");
    config
}

fn pool_with(config: postgres::Config, mode: SslMode, root: Option<&Path>) -> ConnectionPool {
    let builder = ConnectionPool::builder(config).cp_max(1).cp_min(0);
    let builder = builder.connect_timeout(REFUSED).sslmode(mode);
    match root {
        Some(root) => builder.sslrootcert(root),
        None => builder,
    }
    .build()
    .unwrap()
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
        Ok(rows) if rows[0].get(0) => End::Encrypted,
        Ok(_) => End::Plain,
        Err(Error::Unavailable { reason, .. }) => End::Refused(reason.into()),
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
    let system = Some(Path::new("system"));
    let unknown = "no CA in sslrootcert has signed the server's certificate";
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
            system,
            "localhost",
            ["verify-full", unknown],
        ),
        (
            SslMode::VerifyFull,
            ca,
            "127.0.0.1",
            ["not valid for name \"127.0.0.1\"", "localhost"],
        ),
    ] {
        assert_refused(&pool_with(named(cluster, host), mode, root), &parts);
    }
}

#[test]
fn allow_and_prefer_try_the_other_way_when_pg_hba_refuses_the_first() {
    let config = |user| {
        let mut config = named(&secured().cluster, "localhost");
        config.user(user);
        config
    };
    let pool = |user, mode| pool_with(config(user), mode, None);
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
fn the_connection_config_may_say_the_mode_and_give_only_an_address() {
    let cluster = &secured().cluster;
    let end_of = |text: &str| {
        let config = format!(
            "hostaddr=127.0.0.1 port={} user=app dbname=postgres {text}",
            cluster.port()
        );
        end(&ConnectionPool::builder(config.parse().unwrap())
            .build()
            .unwrap())
    };
    assert_eq!(end_of(""), End::Encrypted);
    assert_eq!(end_of("sslmode=require"), End::Encrypted);
    assert_eq!(end_of("sslmode=disable"), End::Plain);
}

#[test]
fn a_unix_socket_is_never_encrypted() {
    let Secured { cluster, ca, .. } = secured();
    let pool = pool_with(cluster.config(), SslMode::VerifyFull, Some(ca.path()));
    assert_eq!(end(&pool), End::Plain);
}

#[test]
fn a_password_is_bound_to_the_encrypted_channel() {
    let Secured { cluster, ca, .. } = secured();
    let end_with = |password, mode| {
        let mut config = named(cluster, "localhost");
        config.user("bound").password(password);
        config.channel_binding(ChannelBinding::Require);
        end(&pool_with(config, mode, Some(ca.path())))
    };
    assert_eq!(
        end_with("right-secret", SslMode::VerifyFull),
        End::Encrypted
    );
    let End::Refused(reason) = end_with("wrong-secret", SslMode::VerifyFull) else {
        panic!("the password is wrong");
    };
    assert!(reason.contains("password authentication failed") && !reason.contains("-secret"));
}

#[test]
fn a_self_signed_certificate_is_trusted_when_it_is_in_sslrootcert_itself_and_not_out_of_date() {
    let (valid, expired, early) = ((2020, 2999), (2020, 2021), (2998, 2999));
    for ((from, to), fault) in [
        (valid, None),
        (expired, Some("certificate expired")),
        (early, Some("certificate not valid yet")),
    ] {
        let mut params = ca_params("self");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let server = self_signed(&params);
        let cluster = Cluster::new();
        cluster.offer_tls(&server.certificate, &server.key);
        cluster.start();
        let root = pem_file(&server.certificate);
        let pool = |mode, host| pool_with(named(&cluster, host), mode, Some(root.path()));
        for mode in [SslMode::VerifyCa, SslMode::VerifyFull] {
            match fault {
                Some(fault) => assert_refused(&pool(mode, "localhost"), &[fault]),
                None => assert_eq!(end(&pool(mode, "localhost")), End::Encrypted),
            }
        }
        let stranger = pool(SslMode::VerifyFull, "127.0.0.1");
        assert_refused(&stranger, &[fault.unwrap_or("not valid for name")]);
    }
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_connects() {
    let fault = |set: &dyn Fn(super::Builder) -> super::Builder| {
        let config = "host=db.example user=app password=hunter2".parse().unwrap();
        match set(ConnectionPool::builder(config)).build() {
            Err(Error::Config(fault)) => fault,
            other => panic!("{other:?}"),
        }
    };
    let missing = fault(&|b| b.sslrootcert("/no/such/ca.pem"));
    assert!(
        missing.contains("/no/such/ca.pem cannot be read (No such file"),
        "{missing}"
    );
    let empty = pem_file("nothing\n");
    let none = fault(&|b| b.sslrootcert(empty.path()));
    assert!(none.contains("holds no certificate"), "{none}");
    let broken = pem_file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let invalid = fault(&|b| b.sslrootcert(broken.path()));
    assert!(invalid.contains("that is no certificate"), "{invalid}");
    for mode in [SslMode::VerifyCa, SslMode::VerifyFull] {
        let without = fault(&|b| b.sslmode(mode));
        assert!(
            without.contains(&format!("sslmode is {mode} without sslrootcert")),
            "{without}"
        );
    }
    let weak = fault(&|b| b.sslmode(SslMode::Require).sslrootcert("system"));
    assert!(weak.contains("too weak: use verify-full"), "{weak}");
    let direct = fault(&|mut b| {
        b.driver.config.ssl_negotiation(SslNegotiation::Direct);
        b
    });
    assert!(
        direct.contains("sslnegotiation is direct and sslmode is prefer"),
        "{direct}"
    );
    let config = "host=db.example user=app".parse().unwrap();
    ConnectionPool::builder(config)
        .sslrootcert("system")
        .build()
        .unwrap();
    assert_eq!("verify-ca".parse::<SslMode>().unwrap(), SslMode::VerifyCa);
    let unknown = "yes".parse::<SslMode>().unwrap_err().to_string();
    assert!(
        unknown.contains("\"yes\": use one of disable, allow, prefer, require"),
        "{unknown}"
    );
}

#[test]
fn tls_that_is_refused_is_logged_once_and_serves_once_it_is_there() {
    logged();
    let cluster = Cluster::start_new();
    let pool = ConnectionPool::builder(named(&cluster, "localhost"))
        .cp_name("tls-refused")
        .connect_timeout(REFUSED)
        .sslmode(SslMode::Require)
        .build()
        .unwrap();
    for _ in 0..5 {
        assert_refused(&pool, &["server does not support TLS"]);
    }
    assert_eq!(lines(&["ERROR", "tls-refused", "does not support TLS"]), 1);
    let own = authority("late").server;
    cluster.offer_tls(&own.certificate, &own.key);
    cluster
        .client()
        .batch_execute("SELECT pg_reload_conf()")
        .unwrap();
    eventually("it has TLS", || end(&pool) == End::Encrypted);
    assert_eq!(lines(&["INFO", "tls-refused", "answers again"]), 1);
}

#[test]
fn a_restart_costs_idle_encrypted_connections_no_call() {
    let own = authority("restarted").server;
    for mode in ["fast", "immediate"] {
        let cluster = Cluster::new();
        cluster.offer_tls(&own.certificate, &own.key);
        cluster.start();
        let mut config = named(&cluster, "localhost");
        config.ssl_mode(postgres::config::SslMode::Require);
        thirty_calls_after_a_restart(mode, &cluster, config);
    }
}

/// Passes connections on to `port` and tells what each asks for first, PostgreSQL's code of it.
fn relay(port: u16) -> (u16, mpsc::Receiver<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own_port = listener.local_addr().unwrap().port();
    let (told, asked) = mpsc::channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut first) = (client.unwrap(), [0; 8]);
            client.read_exact(&mut first).unwrap();
            let _ = told.send(u32::from_be_bytes(first[4..].try_into().unwrap()));
            let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            server.write_all(&first).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || pass(&mut from, &mut to));
            thread::spawn(move || pass(&mut server, &mut client));
        }
    });
    (own_port, asked)
}

fn pass(from: &mut TcpStream, to: &mut TcpStream) {
    let _ = std::io::copy(from, to);
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn a_cancelled_query_stops_and_the_request_to_stop_it_is_encrypted() {
    let Secured { cluster, ca, .. } = secured();
    let (port, asked) = relay(cluster.port());
    let mut config = postgres::Config::new();
    config
        .host("localhost")
        .hostaddr([127, 0, 0, 1].into())
        .port(port);
    config
        .user("app")
        .dbname("postgres")
        .application_name("cancel-tls");
    let pool = ConnectionPool::builder(config)
        .cp_max(1)
        .cp_min(0)
        .sslmode(SslMode::VerifyFull)
        .sslrootcert(ca.path())
        .build()
        .unwrap();
    let query = pool.run_query("SELECT pg_sleep(600)", ());
    until_active(cluster, "cancel-tls", 1);
    let began = Instant::now();
    query.cancel();
    assert!(matches!(outcome(query), Err(Error::Cancelled)));
    until_active(cluster, "cancel-tls", 0);
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    // The manual's "Message Formats": SSLRequest. Unencrypted it would be CancelRequest, 80877102.
    for connection in ["the pool's", "the request's"] {
        assert_eq!(
            asked.recv_timeout(LIMIT).unwrap(),
            80_877_103,
            "{connection}"
        );
    }
}
