//! What the environment says of databases: libpq's variables and `DATABASE_URL`.

use std::{path::Path, time::Duration};

use super::{check_in, database, node_with, server};
use crate::config::{
    ConfigError, Secret, SslMode, SslRootCert, TargetSessionAttrs, database::socket_directory,
};

/// The faults of an empty database in this environment.
fn faults(environment: &[(&str, &str)]) -> String {
    let text = node_with(&[(r#"{"user": "testuser", "password": "s3cret"}"#, "{}")]);
    match check_in(&text, environment) {
        Err(error @ ConfigError::Faults(_)) => format!("{error}\n{error:?}"),
        other => panic!("expected faults, got {other:?}"),
    }
}

#[test]
fn the_environment_fills_in_what_is_not_written_and_overrides_nothing() {
    let environment = [
        ("PGHOST", "pg.example"),
        ("PGPORT", "6543"),
        ("PGUSER", "pguser"),
        ("PGPASSWORD", "pgpass"),
        ("PGDATABASE", "pgdb"),
        (
            "DATABASE_URL",
            "postgres://url:urlpass@url.example:7654/urldb",
        ),
        ("USER", "joe"),
    ];
    let filled = database("{}", &environment);
    assert_eq!(filled.servers, [server("pg.example", 6543)]);
    assert_eq!(
        (filled.user.as_str(), filled.database.as_str()),
        ("pguser", "pgdb")
    );
    assert_eq!(filled.password, Some(Secret::new("pgpass")));

    let written = database(
        r#"{"host": "h", "port": 1, "database": "d", "user": "u", "password": ""}"#,
        &environment,
    );
    assert_eq!(written.servers, [server("h", 1)]);
    assert_eq!(
        (written.user.as_str(), written.database.as_str()),
        ("u", "d")
    );
    assert_eq!(written.password, Some(Secret::new("")));

    let mixed = database(r#"{"host": "h"}"#, &environment[4..]);
    assert_eq!(mixed.servers, [server("h", 7654)]);
    assert_eq!(
        (mixed.user.as_str(), mixed.database.as_str()),
        ("url", "pgdb")
    );
    assert_eq!(mixed.password, Some(Secret::new("urlpass")));
}

const SETTINGS: [(&str, &str); 6] = [
    ("PGSSLMODE", "verify-full"),
    ("PGSSLROOTCERT", "system"),
    ("PGTARGETSESSIONATTRS", "read-write"),
    ("PGAPPNAME", "till"),
    ("PGOPTIONS", "-c geqo=off"),
    ("PGCONNECT_TIMEOUT", "2"),
];

#[test]
fn variables_fill_in_how_connections_are_made() {
    let filled = database(r#"{"search_path": "shop"}"#, &SETTINGS);
    assert_eq!(
        (filled.sslmode, filled.sslrootcert),
        (SslMode::VerifyFull, Some(SslRootCert::System))
    );
    assert_eq!(filled.target_session_attrs, TargetSessionAttrs::ReadWrite);
    assert_eq!(filled.application_name, "till");
    assert_eq!(
        filled.options.as_deref(),
        Some("-c geqo=off -c search_path=shop")
    );
    assert_eq!(filled.connect_timeout, Some(Duration::from_secs(2)));

    let written = database(
        r#"{"sslmode": "verify-full", "sslrootcert": "Cargo.toml", "target_session_attrs": "any",
            "application_name": "a", "options": "-c jit=off", "connect_timeout": 3}"#,
        &SETTINGS,
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert_eq!(written.sslrootcert, Some(SslRootCert::File(file)));
    assert_eq!(written.target_session_attrs, TargetSessionAttrs::Any);
    assert_eq!(written.application_name, "a");
    assert_eq!(written.options.as_deref(), Some("-c jit=off"));
    assert_eq!(written.connect_timeout, Some(Duration::from_secs(3)));
}

#[test]
fn variables_name_several_servers() {
    let several = database("{}", &[("PGHOST", "a,b"), ("PGPORT", "5433,5434")]);
    assert_eq!(several.servers, [server("a", 5433), server("b", 5434)]);
}

#[test]
fn urls_are_taken_apart() {
    let url = |url: &str| database("{}", &[("DATABASE_URL", url)]);
    let whole = url("postgresql://jo%40e:p%3A%2F%25@[::1]:5433/my%20db?sslmode=disable");
    assert_eq!(whole.servers, [server("::1", 5433)]);
    assert_eq!(
        (whole.user.as_str(), whole.database.as_str()),
        ("jo@e", "my db")
    );
    assert_eq!(whole.password, Some(Secret::new("p:/%")));
    assert_eq!(whole.sslmode, SslMode::Disable);
    for (text, servers) in [
        (
            "postgres://%2Frun%2Fpostgresql/test",
            vec![server("/run/postgresql", 5432)],
        ),
        ("postgres://", vec![server(socket_directory(), 5432)]),
        (
            "postgres://a,b/test",
            vec![server("a", 5432), server("b", 5432)],
        ),
        (
            "postgres://u@a:1,[::1]:2,c/test",
            vec![server("a", 1), server("::1", 2), server("c", 5432)],
        ),
        (
            "postgres:///test?host=/run/postgresql&port=5433",
            vec![server("/run/postgresql", 5433)],
        ),
    ] {
        assert_eq!(url(text).servers, servers, "{text}");
    }
}

#[test]
fn a_url_has_parameters_in_libpqs_units() {
    let url = "postgres://h?dbname=shop&user=app&password=x&sslmode=require&target_session_attrs=read-only\
               &application_name=a%20b&options=-c%20geqo%3Doff&connect_timeout=7&keepalives=1&keepalives_idle=60\
               &keepalives_interval=5&keepalives_count=2&tcp_user_timeout=20000";
    let database = database("{}", &[("DATABASE_URL", url)]);
    assert_eq!(
        (database.database.as_str(), database.user.as_str()),
        ("shop", "app")
    );
    assert_eq!(database.password, Some(Secret::new("x")));
    assert_eq!(database.sslmode, SslMode::Require);
    assert_eq!(database.target_session_attrs, TargetSessionAttrs::ReadOnly);
    assert_eq!(database.application_name, "a b");
    assert_eq!(database.options.as_deref(), Some("-c geqo=off"));
    assert_eq!(database.connect_timeout, Some(Duration::from_secs(7)));
    assert_eq!(database.tcp_user_timeout, Some(Duration::from_secs(20)));
    let keepalives = database.keepalives.unwrap();
    assert_eq!(
        (keepalives.idle, keepalives.interval, keepalives.count),
        (Duration::from_secs(60), Duration::from_secs(5), 2)
    );
}

#[test]
fn a_url_has_no_say_where_the_place_is_known() {
    let whole = r#"{"host": "h", "port": 1, "database": "d", "user": "u", "password": "p"}"#;
    for url in ["mysql://elsewhere", "postgres://h?sslmode=require"] {
        let database = database(whole, &[("DATABASE_URL", url)]);
        assert_eq!(database.sslmode, SslMode::Prefer, "{url}");
    }
}

/// A variable, a value that is malformed, and what is said of it.
const MALFORMED: &[(&str, &str, &str)] = &[
    (
        "PGPORT",
        "hunter2",
        "PGPORT fills in `port`, which must be an integer from 1 to 65535, or one for each host",
    ),
    (
        "PGPORT",
        "0",
        "PGPORT fills in `port`, which must be an integer from 1 to 65535, or one for each host",
    ),
    (
        "PGPORT",
        "5432,5433",
        "which must be one port for all hosts or one for each: there are 2 ports for 1 host",
    ),
    (
        "PGSSLMODE",
        "hunter2",
        "PGSSLMODE fills in `sslmode`, which must be `disable`, `allow`, `prefer`, `require`, `verify-ca` \
         or `verify-full`",
    ),
    (
        "PGSSLMODE",
        "verify-ca",
        "which must have an `sslrootcert` beside it: a PEM file,",
    ),
    (
        "PGSSLROOTCERT",
        "hunter2",
        "PGSSLROOTCERT fills in `sslrootcert`, which must be `system` or a file that exists",
    ),
    (
        "PGTARGETSESSIONATTRS",
        "hunter2",
        "which must be `any`, `read-write`, `read-only`, `primary`, `standby` or `prefer-standby`",
    ),
    (
        "PGCONNECT_TIMEOUT",
        "soon",
        "which must be a whole number of seconds, 0 for no limit or from 0.1 to 86400 seconds",
    ),
    (
        "DATABASE_URL",
        "mysql://u:hunter2@h/d",
        "it must begin with postgresql:// or postgres://",
    ),
    (
        "DATABASE_URL",
        "postgres://u:hunter2@h:x/d",
        "its port must be a number from 0 to 65535",
    ),
    (
        "DATABASE_URL",
        "postgres://u:hunter2@h:0/d",
        "its port must not be 0",
    ),
    (
        "DATABASE_URL",
        "postgres://u:hunter2@[::1/d",
        "a `]` is missing",
    ),
    (
        "DATABASE_URL",
        "postgres://u:hunter2%zz@h/d",
        "a `%` is not followed by two hexadecimal digits",
    ),
    (
        "DATABASE_URL",
        "postgres://u:hunter2%ff@h/d",
        "its percent-encoded bytes are not UTF-8",
    ),
    (
        "DATABASE_URL",
        "postgres://u:hunter2%00@h/d",
        "it holds an encoded NUL",
    ),
    (
        "DATABASE_URL",
        "postgres://u:?hunter2@h/d",
        "it has a parameter that is not shown, which libpq does not know: remove it",
    ),
    (
        "DATABASE_URL",
        "postgres://u:hunter2@h/d?tcp_user_timeout=5",
        "`tcp_user_timeout`, which must be a whole number of milliseconds, \
         0 for no limit or from 1 to 86400 seconds",
    ),
    (
        "DATABASE_URL",
        "postgres://u:hunter2@h/d?keepalives=yes",
        "`keepalives`, which must be true or false, or libpq's 1 or 0",
    ),
    (
        "DATABASE_URL",
        "postgres://u:hunter2@h/d?keepalives_count=x",
        "`keepalives_count`, which must be an integer from 0 to 127",
    ),
];

#[test]
fn a_malformed_environment_is_a_fault_that_says_why_and_shows_no_value() {
    let place = "workers[1].components[0].extra.database: the environment's ";
    for &(variable, value, why) in MALFORMED {
        let found = faults(&[(variable, value)]);
        assert!(
            found.starts_with(&format!("1 fault\n  {place}{variable}")),
            "{found}"
        );
        assert!(found.contains(why), "{value}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}
