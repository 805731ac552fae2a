//! Owns the tests of TLS and passwords in which psql, and so libpq, must give the same answer.

use std::{
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use postgres::config::ChannelBinding;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{
    super::{ConnectionPool, Error, SslMode, TlsVersion},
    cluster::Cluster,
    outcome, value,
};

/// How long to try a connection that is refused.
const REFUSED: Duration = Duration::from_secs(1);

/// Certificates and keys, as files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), private).unwrap();
    }

    fn openssl(&self, args: &str) {
        let status = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(&self.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("this test needs openssl; scripts/test installs it");
        assert!(status.success(), "openssl {args}");
    }

    /// An authority, as `NAME.crt` and `NAME.key`.
    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut params = params(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        self.write(
            &format!("{name}.crt"),
            &params.self_signed(&key).unwrap().pem(),
        );
        self.write(&format!("{name}.key"), &key.serialize_pem());
        Issuer::new(params, key)
    }

    /// A certificate of an authority, as `NAME.crt` and `NAME.key`.
    fn certify(&self, name: &str, params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// A certificate of version 1, as the recipe of PostgreSQL's manual makes it with the OpenSSL
    /// of Debian 12.
    fn certify_in_version_1(&self, name: &str, common_name: &str, authority: &str) {
        self.openssl(&format!(
            "req -new -nodes -newkey rsa:2048 -subj /CN={common_name} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -out {name}.crt"
        ));
    }
}

/// A certificate for these alternative names and this common one.
fn params(names: &[&str], common_name: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

/// Whether psql gets in.
fn psql_gets_in(conninfo: &str) -> bool {
    let psql = Command::new("psql")
        .args([conninfo, "-w", "-X", "-c", "SELECT 1"])
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .expect("this test needs psql; scripts/test installs it");
    psql.status.success()
}

/// Whether a pool gets in, or why not.
fn get_in(pool: &ConnectionPool) -> Result<(), String> {
    match outcome(pool.run_query("SELECT 1", ())) {
        Ok(_) => Ok(()),
        Err(Error::Unavailable { reason, .. }) => Err(reason.into()),
        Err(error) => panic!("{error}"),
    }
}

fn config(cluster: &Cluster, host: &str, user: &str) -> postgres::Config {
    let mut config = postgres::Config::new();
    config
        .host(host)
        .hostaddr(IpAddr::from([127, 0, 0, 1]))
        .port(cluster.port())
        .user(user)
        .dbname("postgres");
    config
}

fn builder(config: postgres::Config, mode: SslMode, root: &Path) -> super::Builder {
    ConnectionPool::builder(config)
        .cp_max(1)
        .cp_min(0)
        .connect_timeout(REFUSED)
        .sslmode(mode)
        .sslrootcert(root)
}

/// Certificates as servers have them, right and wrong ones, and who signed them.
fn certificates_of_all_kinds() -> Files {
    let files = Files::new();
    let own = files.authority("own");
    files.authority("other");
    files.openssl(
        "req -new -x509 -nodes -newkey rsa:2048 -subj /CN=rsa -keyout rsa.key -out rsa.crt",
    );
    files.openssl("req -new -nodes -newkey rsa:2048 -subj /CN=old -keyout old.key -out old.csr");
    files.openssl("x509 -req -in old.csr -signkey old.key -out old.crt");
    files.certify("common", &params(&[], "pg.example"), &own);
    files.certify("star", &params(&[], "*.example"), &own);
    files.certify("address", &params(&[], "127.0.0.1"), &own);
    files.certify(
        "both",
        &params(&["alternative.example"], "pg.example"),
        &own,
    );
    files.certify(
        "mixed",
        &params(&["alternative.example"], "127.0.0.1"),
        &own,
    );
    files.certify_in_version_1("first", "pg.example", "rsa");
    files.certify_in_version_1("curve", "pg.example", "own");
    files.certify_in_version_1("oldest", "pg.example", "old");
    // Not an authority, though it has signed one.
    files.certify("leaf", &params(&[], "leaf"), &own);
    files.certify_in_version_1("stray", "pg.example", "leaf");
    files
}

#[test]
fn the_servers_certificate_is_judged_as_by_libpq() {
    let files = certificates_of_all_kinds();
    let cluster = Cluster::new();
    let mut is_running = false;
    for (server, root, host, expected) in [
        ("common", "own", "pg.example", true),
        ("common", "own", "PG.Example", true),
        ("common", "own", "db.example", false),
        ("common", "other", "pg.example", false),
        ("star", "own", "pg.example", true),
        ("star", "own", "a.pg.example", false),
        ("address", "own", "127.0.0.1", true),
        ("both", "own", "pg.example", false),
        ("both", "own", "alternative.example", true),
        ("mixed", "own", "127.0.0.1", true),
        ("first", "rsa", "pg.example", true),
        ("first", "rsa", "db.example", false),
        ("first", "other", "pg.example", false),
        ("first", "first", "pg.example", true),
        ("curve", "own", "pg.example", true),
        ("oldest", "old", "pg.example", true),
        ("stray", "leaf", "pg.example", false),
    ] {
        cluster.offer_tls(
            &files.read(&format!("{server}.crt")),
            &files.read(&format!("{server}.key")),
        );
        if is_running {
            cluster.restart("immediate");
        } else {
            cluster.start();
        }
        is_running = true;
        let root = files.path(&format!("{root}.crt"));
        for (mode, word, expected) in [
            (SslMode::VerifyFull, "verify-full", expected),
            (
                SslMode::VerifyCa,
                "verify-ca",
                !root.ends_with("other.crt") && server != "stray",
            ),
        ] {
            let what = format!("{server} for {host} below {}, {word}", root.display());
            let found = get_in(
                &builder(config(&cluster, host, "app"), mode, &root)
                    .build()
                    .unwrap(),
            );
            assert_eq!(found.is_ok(), expected, "{what}: {found:?}");
            let psql = psql_gets_in(&format!(
                "host={host} hostaddr=127.0.0.1 port={} user=app dbname=postgres sslmode={word} sslrootcert={}",
                cluster.port(),
                root.display()
            ));
            // OpenSSL also wants the issuer of a certificate that it trusts.
            if (server, root.file_stem().unwrap().to_str()) != ("first", Some("first")) {
                assert_eq!(psql, expected, "psql: {what}");
            }
        }
    }
}

#[test]
fn who_must_show_a_certificate_shows_it_and_is_let_in_as_with_libpq() {
    let files = Files::new();
    let own = files.authority("own");
    let stranger = files.authority("stranger");
    files.certify("server", &params(&["pg.example"], "pg.example"), &own);
    files.certify("app", &params(&[], "app"), &own);
    files.certify("forged", &params(&[], "app"), &stranger);
    files.certify_in_version_1("first", "app", "own");
    let cluster = Cluster::new();
    cluster.offer_tls(&files.read("server.crt"), &files.read("server.key"));
    cluster.ask_for_certificates_of(&files.read("own.crt"));
    cluster.let_in("local all all trust\nhostssl all all all cert\n");
    cluster.start();
    let root = files.path("own.crt");
    let conninfo = format!(
        "host=pg.example hostaddr=127.0.0.1 port={} user=app dbname=postgres sslmode=verify-full sslrootcert={}",
        cluster.port(),
        root.display()
    );
    let base = || {
        builder(
            config(&cluster, "pg.example", "app"),
            SslMode::VerifyFull,
            &root,
        )
    };
    for (name, expected) in [("app", true), ("forged", false), ("first", true)] {
        let [certificate, key] = ["crt", "key"].map(|end| files.path(&format!("{name}.{end}")));
        let found = get_in(
            &base()
                .client_certificate(&certificate, &key)
                .build()
                .unwrap(),
        );
        assert_eq!(found.is_ok(), expected, "{name}: {found:?}");
        let psql = psql_gets_in(&format!(
            "{conninfo} sslcert={} sslkey={}",
            certificate.display(),
            key.display()
        ));
        assert_eq!(psql, expected, "psql: {name}");
    }
    let reason = get_in(&base().build().unwrap()).unwrap_err();
    assert!(reason.contains("certificate"), "{reason}");

    // A certificate that could never work is a fault before anything connects.
    files.openssl("pkey -in app.key -aes256 -passout pass:hunter2 -out locked.key");
    files.write("locked.key", &files.read("locked.key"));
    std::fs::copy(files.path("app.key"), files.path("open.key")).unwrap();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(files.path("open.key"), open).unwrap();
    for (certificate, key, said) in [
        ("app.crt", "locked.key", "take that off with openssl pkey"),
        ("app.crt", "open.key", "others may read"),
        ("app.crt", "server.key", "is not the key of"),
        ("app.key", "app.key", "holds no certificate"),
    ] {
        let built = base().client_certificate(files.path(certificate), files.path(key));
        let error = built.build().map(drop).unwrap_err().to_string();
        assert!(error.contains(said), "{certificate} {key}: {error}");
    }
}

#[test]
fn a_password_is_bound_or_not_sent_as_with_libpq() {
    let files = Files::new();
    let own = files.authority("own");
    files.certify("server", &params(&["pg.example"], "pg.example"), &own);
    let cluster = Cluster::new();
    cluster.offer_tls(&files.read("server.crt"), &files.read("server.key"));
    cluster.let_in(
        "local all all trust\nhost all trusted all trust\nhost all plain all password\n\
         host all hashed all md5\nhost all bound all scram-sha-256\n",
    );
    cluster.start();
    cluster
        .client()
        .batch_execute(
            "CREATE ROLE trusted LOGIN; CREATE ROLE plain LOGIN PASSWORD 'right';
             SET password_encryption = md5; CREATE ROLE hashed LOGIN PASSWORD 'right';
             SET password_encryption = 'scram-sha-256'; CREATE ROLE bound LOGIN PASSWORD 'right'",
        )
        .unwrap();
    let root = files.path("own.crt");
    let bindings = [
        (ChannelBinding::Disable, "disable"),
        (ChannelBinding::Prefer, "prefer"),
        (ChannelBinding::Require, "require"),
    ];
    for user in ["trusted", "plain", "hashed", "bound"] {
        for (mode, mode_word) in [(SslMode::Prefer, "prefer"), (SslMode::Require, "require")] {
            for (binding, word) in bindings {
                let mut config = config(&cluster, "pg.example", user);
                config.password("right").channel_binding(binding);
                let found = get_in(&builder(config, mode, &root).build().unwrap());
                let psql = psql_gets_in(&format!(
                    "host=pg.example hostaddr=127.0.0.1 port={} user={user} password=right dbname=postgres \
                     sslmode={mode_word} channel_binding={word}",
                    cluster.port()
                ));
                assert_eq!(found.is_ok(), psql, "{user} {mode_word} {word}: {found:?}");
                assert_eq!(
                    psql,
                    binding != ChannelBinding::Require || user == "bound",
                    "psql: {user} {mode_word} {word}"
                );
            }
        }
    }
}

#[test]
fn only_the_versions_of_tls_are_spoken_that_are_asked_for() {
    use TlsVersion::{V1_2, V1_3};
    let files = Files::new();
    let own = files.authority("own");
    files.certify("server", &params(&["pg.example"], "pg.example"), &own);
    let cluster = Cluster::new();
    cluster.offer_tls(&files.read("server.crt"), &files.read("server.key"));
    cluster.start();
    let root = files.path("own.crt");
    let base = || {
        builder(
            config(&cluster, "pg.example", "app"),
            SslMode::VerifyFull,
            &root,
        )
    };
    for (oldest, newest, spoken) in [
        (V1_2, V1_3, "TLSv1.3"),
        (V1_3, V1_3, "TLSv1.3"),
        (V1_2, V1_2, "TLSv1.2"),
    ] {
        let pool = base().tls_versions(oldest, newest).sslsni(false);
        let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        assert_eq!(value::<String>(&pool.build().unwrap(), sql), spoken);
    }
    // A certificate of version 1 also works in the older version of TLS.
    files.certify_in_version_1("first", "pg.example", "own");
    cluster.offer_tls(&files.read("first.crt"), &files.read("first.key"));
    cluster.restart("fast");
    let old = base().tls_versions(V1_2, V1_2).build().unwrap();
    assert_eq!(get_in(&old), Ok(()));
    let none = base().tls_versions(V1_3, V1_2).build().map(drop);
    assert!(
        none.unwrap_err()
            .to_string()
            .contains("older than the oldest")
    );
}
