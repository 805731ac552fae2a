//! What libpq takes: its parameters, its variables, its files. psql of this machine is the judge
//! where it can be.

use std::{fs, process::Command, time::Duration};

use tempfile::TempDir;

use super::{check_in, database, node_with, server};
use crate::config::{
    ChannelBinding, ConfigError, SslMode, TargetSessionAttrs, TlsVersion,
    keys::DATABASE,
    libpq::{Means, PARAMETERS},
};

const MARKER: &str = r#"{"user": "testuser", "password": "s3cret"}"#;

/// The notes of a database with these fields in this environment.
fn notes(fields: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let node = check_in(&node_with(&[(MARKER, fields)]), environment);
    let node = node.unwrap_or_else(|error| panic!("{error}"));
    node.notes.iter().map(ToString::to_string).collect()
}

/// The one fault of a database with these fields in this environment.
fn fault(fields: &str, environment: &[(&str, &str)]) -> String {
    match check_in(&node_with(&[(MARKER, fields)]), environment) {
        Err(ConfigError::Faults(faults)) if faults.len() == 1 => faults[0].to_string(),
        other => panic!("{environment:?}: expected one fault, got {other:?}"),
    }
}

#[test]
fn every_parameter_is_a_key_or_has_a_word_for_who_writes_it() {
    for parameter in PARAMETERS.iter().filter(|one| !one.name.is_empty()) {
        let used = DATABASE.usage(parameter.name);
        assert!(used.is_some(), "{}", parameter.name);
        if let Means::Key(key) = parameter.means
            && key != "fallback_application_name"
        {
            assert!(DATABASE.value(key).is_some(), "{key}");
        }
    }
}

/// Those that libpq has had since version 16 or 17.
const NEWER: [&str; 5] = [
    "require_auth",
    "sslcertmode",
    "gssdelegation",
    "load_balance_hosts",
    "sslnegotiation",
];

#[test]
fn psql_knows_every_parameter_too() {
    let parameters = PARAMETERS.iter().map(|parameter| parameter.name);
    for name in parameters.filter(|name| !name.is_empty() && !NEWER.contains(name)) {
        let url = format!("postgresql://127.0.0.1:1/d?{name}=");
        let psql = Command::new("psql")
            .args([&url, "-X", "-c", "SELECT 1"])
            .output();
        let psql = psql.expect("this test needs psql; scripts/test installs it");
        let said = String::from_utf8_lossy(&psql.stderr).into_owned();
        assert!(
            !said.contains("invalid URI query parameter"),
            "{name}: {said}"
        );
    }
}

/// What a URL may say of each parameter, and the note on it, if there is one.
const HONOURED_OR_NOTED: &[(&str, Option<&str>)] = &[
    (
        "client_encoding=LATIN1",
        Some("has no effect: sessions speak UTF-8"),
    ),
    (
        "sslcompression=1",
        Some("has no effect: TLS never compresses here"),
    ),
    (
        "sslpassword=hunter2",
        Some("has no effect: an `sslkey` must not be encrypted"),
    ),
    (
        "krbsrvname=x",
        Some("has no effect: there is no GSSAPI here"),
    ),
    (
        "gsslib=gssapi",
        Some("has no effect: there is no GSSAPI here"),
    ),
    (
        "gssdelegation=1",
        Some("has no effect: there is no GSSAPI here"),
    ),
    ("replication=false", None),
    ("gssencmode=prefer", None),
    ("gssencmode=disable", None),
    ("requiressl=1", None),
    ("ssl=true", None),
    ("sslmode=require&channel_binding=require", None),
    ("fallback_application_name=x", None),
    (
        "sslmode=disable&sslcrl=x",
        Some("has no effect on this database"),
    ),
    (
        "requirepeer=postgres",
        Some("has no effect on this database"),
    ),
    ("sslcertmode=disable", None),
    (
        "sslkey=Cargo.toml",
        Some("fills in `sslkey`, which has no effect without an `sslcert`"),
    ),
    ("sslsni=0&load_balance_hosts=random", None),
    (
        "keepalives_idle=0&keepalives_interval=0&keepalives_count=0&connect_timeout=0",
        None,
    ),
];

/// What a URL must not say of a parameter, and what is said of it.
const REFUSED: &[(&str, &str)] = &[
    (
        "sslcrl=x",
        "has a `sslcrl`, which is not served: revocation lists are not read",
    ),
    (
        "sslcrldir=x",
        "has a `sslcrldir`, which is not served: revocation lists are not read",
    ),
    (
        "host=/tmp&requirepeer=x",
        "has a `requirepeer`, which is not served: who serves",
    ),
    (
        "gssencmode=require",
        "has a `gssencmode`, which asks for what cannot be had: there is no GSSAPI",
    ),
    (
        "replication=database",
        "has a `replication`, which asks for what cannot be had",
    ),
    (
        "require_auth=md5",
        "`require_auth`, which must be `scram-sha-256`",
    ),
    (
        "require_auth=scram-sha-256",
        "`require_auth`, which must have `channel_binding` `require` beside it",
    ),
    (
        "sslcertmode=require",
        "`sslcertmode`, which must be `disable` or `allow`",
    ),
    (
        "channel_binding=require&sslmode=disable",
        "`channel_binding`, which cannot be `require` where `sslmode`",
    ),
    (
        "channel_binding=require&host=/tmp",
        "`channel_binding`, which cannot be `require` on a Unix socket",
    ),
    (
        "sslnegotiation=direct",
        "`sslnegotiation`, which must have an `sslmode` of `require` or more",
    ),
    (
        "sslcert=Cargo.toml",
        "`sslcert`, which must have an `sslkey` beside it",
    ),
    (
        "sslcert=/no/such&sslkey=Cargo.toml",
        "`sslcert`, which must be a file that exists",
    ),
    (
        "ssl_min_protocol_version=SSLv3",
        "`ssl_min_protocol_version`, which must be `TLSv1`, `TLSv1.1`,",
    ),
    (
        "ssl_max_protocol_version=TLSv1.1",
        "`ssl_max_protocol_version`, which must be `TLSv1.2` or `TLSv1.3`",
    ),
    (
        "ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
        "which must not be older than `ssl_min_protocol_version`",
    ),
    ("hostaddr=here", "`hostaddr`, which must be an IP address"),
    (
        "hostaddr=::1,::2",
        "`hostaddr`, which must be one address for each host: there are 2 for 1",
    ),
    (
        "pgbouncer=true",
        "it has a parameter `pgbouncer`, which libpq does not know: remove it",
    ),
    (
        "password=a&hunter2=b",
        "it has a parameter that is not shown, which libpq does not know",
    ),
];

/// All parameters that psql's libpq has, one URL for each.
#[test]
fn what_a_url_may_say_is_honoured_noted_or_refused_by_its_name() {
    for &(parameter, note) in HONOURED_OR_NOTED {
        let url = format!("postgresql://u:p@h/d?{parameter}");
        let found = notes("{}", &[("DATABASE_URL", &url)]);
        let expected = usize::from(note.is_some());
        assert_eq!(found.len(), expected, "{parameter}: {found:?}");
        if let Some(note) = note {
            assert!(found[0].contains(note), "{parameter}: {found:?}");
            assert!(!found[0].contains("hunter2"), "{found:?}");
        }
    }
    for &(parameter, said) in REFUSED {
        let url = format!("postgresql://u:p@h/d?{parameter}");
        let found = fault("{}", &[("DATABASE_URL", &url)]);
        assert!(found.contains(said), "{parameter}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn parameters_of_a_url_come_to_what_they_say() {
    let of = |parameters: &str| {
        let url = format!("postgresql://u@h/d?{parameters}");
        database("{}", &[("DATABASE_URL", &url)])
    };
    let provider = of("sslmode=require&channel_binding=require");
    assert_eq!(
        (provider.sslmode, provider.channel_binding),
        (SslMode::Require, ChannelBinding::Require)
    );
    assert_eq!(of("requiressl=1").sslmode, SslMode::Require);
    assert_eq!(of("ssl=true").sslmode, SslMode::Require);
    for word in ["0", "-1"] {
        assert_eq!(of(&format!("connect_timeout={word}")).connect_timeout, None);
    }
    let keepalives = of("keepalives_idle=0&keepalives_count=0")
        .keepalives
        .unwrap();
    assert_eq!((keepalives.idle, keepalives.count), (Duration::ZERO, 0));
    assert_eq!(of("tcp_user_timeout=0").tcp_user_timeout, None);
    assert_eq!(of("fallback_application_name=x").application_name, "x");
    assert_eq!(
        of("fallback_application_name=x&application_name=y").application_name,
        "y"
    );
    assert_eq!(
        of("ssl_min_protocol_version=tlsv1.3").tls_versions,
        (TlsVersion::V1_3, TlsVersion::V1_3)
    );
    for (word, wanted) in [
        ("any", TargetSessionAttrs::Any),
        ("read-write", TargetSessionAttrs::ReadWrite),
        ("read-only", TargetSessionAttrs::ReadOnly),
        ("primary", TargetSessionAttrs::Primary),
        ("standby", TargetSessionAttrs::Standby),
        ("prefer-standby", TargetSessionAttrs::PreferStandby),
    ] {
        let found = of(&format!("target_session_attrs={word}"));
        assert_eq!(found.target_session_attrs, wanted, "{word}");
    }
    let only = of("hostaddr=127.0.0.1&host=pg.example").servers.remove(0);
    assert_eq!(
        (only.host.as_str(), only.address),
        ("pg.example", "127.0.0.1".parse().ok())
    );
    let bare = database("{}", &[("PGHOSTADDR", "127.0.0.1,::1")]).servers;
    let bare: Vec<String> = bare.iter().map(ToString::to_string).collect();
    assert_eq!(bare, ["127.0.0.1:5432", "[::1]:5432"]);
}

#[test]
fn a_foreign_url_is_nobodys_fault_when_a_server_is_named() {
    let url = ("DATABASE_URL", "mysql://u:hunter2@h/d");
    for (fields, environment) in [
        (r#"{"host": "h"}"#, vec![url]),
        ("{}", vec![url, ("PGHOST", "h")]),
        ("{}", vec![url, ("PGHOSTADDR", "127.0.0.1")]),
    ] {
        let notes = notes(fields, &environment);
        assert_eq!(
            notes,
            [
                "workers[1].components[0].extra.database: the environment's DATABASE_URL has no effect: \
              it is not one of PostgreSQL's"
            ]
        );
    }
    let fault = fault(r#"{"user": "u"}"#, &[url]);
    assert!(
        fault.contains("must begin with postgresql:// or postgres://"),
        "{fault}"
    );
}

#[test]
fn the_variables_of_libpq_count_or_are_spoken_of() {
    let session = [
        ("PGTZ", "Europe/Berlin"),
        ("PGDATESTYLE", "SQL, DMY"),
        ("PGGEQO", "off"),
        ("PGOPTIONS", "-c jit=off"),
    ];
    let found = database(r#"{"search_path": "shop"}"#, &session);
    assert_eq!(
        found.options.as_deref(),
        Some(
            "-c jit=off -c TimeZone=Europe/Berlin -c DateStyle=SQL,\\ DMY -c geqo=off -c search_path=shop"
        )
    );
    for parameter in PARAMETERS.iter().filter(|one| !one.variable.is_empty()) {
        let found = check_in(
            &node_with(&[(MARKER, r#"{"host": "h"}"#)]),
            &[(parameter.variable, "\u{1}")],
        );
        let told = match &found {
            Err(error) => error.to_string().contains(parameter.variable),
            Ok(node) => node
                .notes
                .iter()
                .any(|note| note.text.contains(parameter.variable)),
        };
        // What takes any text takes this one.
        let takes_any = matches!(
            parameter.variable,
            "PGHOST"
                | "PGDATABASE"
                | "PGUSER"
                | "PGPASSWORD"
                | "PGPASSFILE"
                | "PGAPPNAME"
                | "PGOPTIONS"
                | "PGTZ"
                | "PGDATESTYLE"
                | "PGGEQO"
                | "PGREQUIRESSL"
        );
        assert_eq!(told, !takes_any, "{}: {found:?}", parameter.variable);
    }
    let refused = fault(
        "{}",
        &[
            ("PGHOST", "h"),
            ("PGCHANNELBINDING", "require"),
            ("PGSSLMODE", "disable"),
        ],
    );
    assert!(
        refused.contains("PGCHANNELBINDING fills in `channel_binding`, which cannot be `require`"),
        "{refused}"
    );
}

type Variables<'a> = &'a [(&'a str, &'a str)];

/// A home and the system's directory in one, with service files.
struct Services(TempDir);

impl Services {
    fn new() -> Self {
        let services = Self(TempDir::new().unwrap());
        for (file, text) in [
            (
                ".pg_service.conf",
                "[shop]\nhost=own.example\ndbname=shop\nuser=till\nsslmode=require\n",
            ),
            (
                "pg_service.conf",
                "[shop]\nhost=system.example\n[all]\nhost=all.example\n",
            ),
            ("other", "[shop]\nhost=other.example\n[bad]\nhots=x\n"),
        ] {
            fs::write(services.0.path().join(file), text).unwrap();
        }
        services
    }

    /// The environment that leads there, with more variables.
    fn with<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let directory = self.0.path().to_str().unwrap();
        let base = [("HOME", directory), ("PGSYSCONFDIR", directory)];
        base.iter().chain(more).copied().collect()
    }

    /// A file of services that no directory leads to.
    fn other(&self) -> String {
        self.0.path().join("other").to_str().unwrap().to_owned()
    }
}

#[test]
fn a_service_stands_between_what_is_written_and_the_variables() {
    let services = Services::new();
    let other = services.other();
    let shop = ("PGSERVICE", "shop");
    let url = |url| [("DATABASE_URL", url)];
    let cases: [(&str, Variables<'_>, &str); 8] = [
        (r#"{"service": "shop"}"#, &[], "own.example"),
        ("{}", &[shop], "own.example"),
        ("{}", &[shop, ("PGHOST", "env.example")], "own.example"),
        (r#"{"host": "written.example"}"#, &[shop], "written.example"),
        ("{}", &[("PGSERVICE", "all")], "all.example"),
        ("{}", &[shop, ("PGSERVICEFILE", &other)], "other.example"),
        ("{}", &url("postgres://?service=shop"), "own.example"),
        (
            "{}",
            &url("postgres://url.example?service=shop"),
            "url.example",
        ),
    ];
    for (fields, more, expected) in cases {
        let found = database(fields, &services.with(more));
        assert_eq!(found.servers, [server(expected, 5432)], "{fields} {more:?}");
    }
    let variables = [shop, ("PGDATABASE", "env"), ("PGPASSWORD", "p")];
    let whole = database("{}", &services.with(&variables));
    assert_eq!(
        (whole.database.as_str(), whole.user.as_str()),
        ("shop", "till")
    );
    assert_eq!(whole.sslmode, SslMode::Require);
}

#[test]
fn a_service_that_cannot_be_read_is_a_fault_that_says_why() {
    let services = Services::new();
    let other = services.other();
    let cases: [(Variables<'_>, &str); 3] = [
        (
            &[("PGSERVICE", "none")],
            "PGSERVICE fills in `service`, which must be a service of ",
        ),
        (
            &[("PGSERVICE", "bad"), ("PGSERVICEFILE", &other)],
            "whose line 4 has a parameter that libpq does not know",
        ),
        (
            &[("PGSERVICE", "shop"), ("PGSERVICEFILE", "/no/such")],
            "but /no/such is no file",
        ),
    ];
    for (more, said) in cases {
        let fault = fault("{}", &services.with(more));
        assert!(fault.contains(said), "{fault}");
    }
}
