//! `extra.database`: defaults, the environment, and the secrecy of passwords.

use std::time::Duration;

use super::{NODE, check_in, node, node_with};
use crate::config::{Component, ConfigError, Database, Secret};

/// The database of [`NODE`]'s container with these fields in this environment.
fn database(fields: &str, environment: &[(&str, &str)]) -> Database {
    let text = node_with(&[(r#"{"user": "testuser", "password": "s3cret"}"#, fields)]);
    let mut node = check_in(&text, environment).unwrap_or_else(|error| panic!("{error}"));
    node.components.remove(1).database.unwrap()
}

/// The faults of an empty database in this environment.
fn faults(environment: &[(&str, &str)]) -> String {
    let text = node_with(&[(r#"{"user": "testuser", "password": "s3cret"}"#, "{}")]);
    match check_in(&text, environment) {
        Err(error @ ConfigError::Faults(_)) => format!("{error}\n{error:?}"),
        other => panic!("expected faults, got {other:?}"),
    }
}

#[test]
fn an_empty_database_has_the_defaults_of_libpq_and_adbapi() {
    let expected = Database {
        host: "localhost".into(),
        port: 5432,
        database: "postgres".into(),
        user: "postgres".into(),
        password: None,
        cp_min: 3,
        cp_max: 10,
        cp_noisy: false,
        cp_reconnect: true,
        cp_good_sql: "SELECT 1".into(),
        cp_name: None,
        queue_limit: 1024,
        connect_timeout: Duration::from_secs(5),
        statement_cache: 100,
    };
    assert_eq!(database("{}", &[]), expected);
    let user = database("{}", &[("USER", "joe")]);
    assert_eq!((user.user.as_str(), user.database.as_str()), ("joe", "joe"));
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
    assert_eq!((filled.host.as_str(), filled.port), ("pg.example", 6543));
    assert_eq!(
        (filled.user.as_str(), filled.database.as_str()),
        ("pguser", "pgdb")
    );
    assert_eq!(filled.password, Some(Secret::new("pgpass")));

    let written = database(
        r#"{"host": "h", "port": 1, "database": "d", "user": "u", "password": ""}"#,
        &environment,
    );
    assert_eq!((written.host.as_str(), written.port), ("h", 1));
    assert_eq!(
        (written.user.as_str(), written.database.as_str()),
        ("u", "d")
    );
    assert_eq!(written.password, Some(Secret::new("")));

    let mixed = database(r#"{"host": "h"}"#, &environment[4..]);
    assert_eq!((mixed.host.as_str(), mixed.port), ("h", 7654));
    assert_eq!(
        (mixed.user.as_str(), mixed.database.as_str()),
        ("url", "pgdb")
    );
    assert_eq!(mixed.password, Some(Secret::new("urlpass")));
}

#[test]
fn a_class_with_a_database_needs_no_extra() {
    let text = node_with(&[(
        r#""extra": {"database": {"user": "testuser", "password": "s3cret"}}"#,
        r#""extra": {}"#,
    )]);
    let node = check_in(&text, &[("PGDATABASE", "test"), ("PGHOST", "")]).unwrap();
    let database = node.components[1].database.clone().unwrap();
    assert_eq!(
        (database.host.as_str(), database.database.as_str()),
        ("localhost", "test")
    );
    assert_eq!(node.components[0].database, None, "a plain class has none");
}

#[test]
fn any_class_may_have_a_database() {
    let text = node_with(&[(
        r#""classname": "test.Plain", "#,
        r#""classname": "test.Plain", "extra": {"a": 1, "database": {"database": "x"}}, "#,
    )]);
    let plain: Component = node(&text).components.remove(0);
    assert_eq!(plain.database.unwrap().database, "x");
    assert_eq!(
        plain.extra,
        serde_json::json!({"a": 1}),
        "without its database"
    );
}

#[test]
fn urls_are_taken_apart() {
    let url = |url: &str| database("{}", &[("DATABASE_URL", url)]);
    let whole = url("postgresql://jo%40e:p%3A%2F%25@[::1]:5433/my%20db?sslmode=disable");
    assert_eq!((whole.host.as_str(), whole.port), ("::1", 5433));
    assert_eq!(
        (whole.user.as_str(), whole.database.as_str()),
        ("jo@e", "my db")
    );
    assert_eq!(whole.password, Some(Secret::new("p:/%")));
    let socket = url("postgres://%2Frun%2Fpostgresql/test");
    assert_eq!(
        (socket.host.as_str(), socket.port),
        ("/run/postgresql", 5432)
    );
    assert_eq!(url("postgres://").host, "localhost");
}

#[test]
fn a_malformed_environment_is_a_fault_that_says_why_and_shows_no_value() {
    let place = "workers[1].components[0].extra.database: the environment's ";
    for (variable, value, why) in [
        (
            "PGPORT",
            "hunter2",
            "PGPORT fills in `port`, but is not a number from 1 to 65535",
        ),
        (
            "PGPORT",
            "0",
            "PGPORT fills in `port`, but is not a number from 1 to 65535",
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
            "postgres://u:hunter2@a,b/d",
            "it names several hosts; one is served",
        ),
        (
            "DATABASE_URL",
            "postgres://u:hunter2@h/d?sslmode=require",
            "its only parameter may be sslmode=disable, allow or prefer",
        ),
    ] {
        let found = faults(&[(variable, value)]);
        assert!(
            found.starts_with(&format!("1 fault\n  {place}{variable}")),
            "{found}"
        );
        assert!(found.contains(why), "{value}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn a_password_is_in_no_output() {
    let text = node_with(&[(
        r#""classname": "test.Plain", "#,
        r#""classname": "test.Plain", "extra": {"api_key": "s3cret"}, "#,
    )]);
    let node = node(&text);
    let password = node.components[1]
        .database
        .as_ref()
        .unwrap()
        .password
        .as_ref()
        .unwrap();
    assert_eq!(password.expose(), "s3cret");
    for shown in [
        node.to_string(),
        format!("{node:?}"),
        format!("{node:#?}"),
        password.to_string(),
    ] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    assert!(NODE.contains("s3cret"));
}
