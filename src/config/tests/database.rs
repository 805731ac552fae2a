//! `extra.database`: defaults, what is written there, its faults, and the secrecy of passwords.

use std::{path::Path, time::Duration};

use super::{NODE, check_in, faults, me, node, node_with, server};
use crate::config::{
    Backend, ChannelBinding, ClientCertificate, Component, Database, ErrorDetails, Keepalives,
    Reset, Secret, Server, SslMode, SslRootCert, TargetSessionAttrs, TlsVersion,
    database::socket_directory,
};

/// The database of [`NODE`]'s container with these fields.
const PLACE: &str = "workers[1].components[0].extra.database";

fn database(fields: &str) -> Database {
    super::database(fields, &[])
}

#[test]
fn an_empty_database_has_the_defaults_of_libpq_and_adbapi() {
    let expected = Database {
        json_path: PLACE.to_owned(),
        name: None,
        backend: Backend::default(),
        servers: vec![server(socket_directory(), 5432)],
        database: me(),
        user: me(),
        password: None,
        passfile: Some("/home/joe/.pgpass".into()),
        channel_binding: ChannelBinding::Prefer,
        sslmode: SslMode::Prefer,
        sslrootcert: None,
        client_certificate: None,
        direct_tls: false,
        sslsni: true,
        tls_versions: (TlsVersion::V1_2, TlsVersion::V1_3),
        load_balance_hosts: false,
        target_session_attrs: TargetSessionAttrs::Any,
        application_name: "wampgres".into(),
        options: None,
        keepalives: Some(Keepalives {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
        }),
        tcp_user_timeout: Some(Duration::from_secs(30)),
        cp_min: 3,
        cp_max: 10,
        cp_noisy: false,
        cp_reconnect: true,
        cp_good_sql: "SELECT 1".into(),
        cp_name: None,
        queue_limit: 1024,
        queue_timeout: None,
        connect_timeout: Some(Duration::from_secs(5)),
        statement_timeout: None,
        idle_timeout: Some(Duration::from_secs(600)),
        max_lifetime: Some(Duration::from_secs(1800)),
        schema_file: None,
        slow_query: None,
        statement_cache: 100,
        reset: Reset::None,
        error_details: ErrorDetails::None,
    };
    // USER is anybody's word; libpq asks the system who runs the program.
    let environment = [("USER", "root"), ("HOME", "/home/joe")];
    assert_eq!(super::database("{}", &environment), expected);
}

#[test]
fn adbapi_or_txpostgres_is_taken_if_it_is_built_in_and_else_says_how_to_get_it() {
    for backend in Backend::ALL {
        let fields = format!(r#"{{"backend": "{backend}"}}"#);
        if backend.is_built_in() {
            assert_eq!(database(&fields).backend, backend);
            let shown = database(&fields).to_string();
            let is_told = shown.ends_with(&format!(" connections by {backend}"));
            assert_eq!(is_told, backend != Backend::Adbapi, "{shown}");
        } else {
            let written = (r#"{"user": "testuser", "password": "s3cret"}"#, &*fields);
            let told = faults(&node_with(&[written])).join("\n");
            assert!(told.starts_with(&format!("{PLACE}.backend: ")), "{told}");
            assert!(told.contains("cargo build"), "{told}");
        }
    }
}

/// Each key of a database with a value that is not its default.
const ALL: &str = r#"{
    "backend": "txpostgres", "host": "one.example, two.example,::1", "port": "5433,,5434", "database": "shop", "user": "app",
    "password": "s3cret", "sslmode": "verify-ca", "sslrootcert": "Cargo.toml",
    "target_session_attrs": "read-write", "application_name": "till", "options": "-c geqo=off",
    "search_path": "shop,public", "cp_min": 1, "cp_max": 4, "cp_noisy": true, "cp_reconnect": false,
    "cp_good_sql": "SELECT 2", "cp_name": "shop", "queue_limit": 10, "queue_timeout": 1.5,
    "connect_timeout": 0.5, "statement_timeout": 30, "idle_timeout": "1min", "max_lifetime": "1h",
    "slow_query_ms": 250, "statement_cache": 0, "keepalives": true, "keepalives_idle": 60,
    "keepalives_interval": "5s", "keepalives_count": 4, "tcp_user_timeout": "20000ms",
    "hostaddr": "127.0.0.1,127.0.0.2,::1", "passfile": "pass", "channel_binding": "require",
    "require_auth": "scram-sha-256", "sslcert": "Cargo.toml", "sslkey": "Cargo.lock",
    "sslcertmode": "allow", "sslnegotiation": "direct", "sslsni": false,
    "ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.3",
    "load_balance_hosts": "random", "reset": "discard",
    "error_details": "names"
}"#;

/// How that is shown.
const SHOWN: &str = "database shop of app at one.example:5433, two.example:5432, [::1]:5434, \
                     1 to 4 connections by txpostgres";

#[test]
fn everything_can_be_written() {
    let here = |file| Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let at = |address: &str, server| Server {
        address: Some(address.parse().unwrap()),
        ..server
    };
    let expected = Database {
        json_path: PLACE.to_owned(),
        name: None,
        backend: Backend::Txpostgres,
        servers: vec![
            at("127.0.0.1", server("one.example", 5433)),
            at("127.0.0.2", server("two.example", 5432)),
            at("::1", server("::1", 5434)),
        ],
        database: "shop".into(),
        user: "app".into(),
        password: Some(Secret::new("s3cret")),
        passfile: Some(here("pass")),
        channel_binding: ChannelBinding::Require,
        sslmode: SslMode::VerifyCa,
        sslrootcert: Some(SslRootCert::File(here("Cargo.toml"))),
        client_certificate: Some(ClientCertificate {
            certificate: here("Cargo.toml"),
            key: here("Cargo.lock"),
        }),
        direct_tls: true,
        sslsni: false,
        tls_versions: (TlsVersion::V1_3, TlsVersion::V1_3),
        load_balance_hosts: true,
        target_session_attrs: TargetSessionAttrs::ReadWrite,
        application_name: "till".into(),
        options: Some("-c geqo=off -c search_path=shop,public".into()),
        keepalives: Some(Keepalives {
            idle: Duration::from_secs(60),
            interval: Duration::from_secs(5),
            count: 4,
        }),
        tcp_user_timeout: Some(Duration::from_secs(20)),
        cp_min: 1,
        cp_max: 4,
        cp_noisy: true,
        cp_reconnect: false,
        cp_good_sql: "SELECT 2".into(),
        cp_name: Some("shop".into()),
        queue_limit: 10,
        queue_timeout: Some(Duration::from_millis(1500)),
        connect_timeout: Some(Duration::from_millis(500)),
        statement_timeout: Some(Duration::from_secs(30)),
        idle_timeout: Some(Duration::from_secs(60)),
        max_lifetime: Some(Duration::from_secs(3600)),
        schema_file: None,
        slow_query: Some(Duration::from_millis(250)),
        statement_cache: 0,
        reset: Reset::Discard,
        error_details: ErrorDetails::Names,
    };
    let database = database(ALL);
    assert_eq!(database, expected);
    assert_eq!(database.to_string(), SHOWN);
}

#[test]
fn times_are_seconds_or_have_a_unit() {
    for (written, millis) in [
        ("2", 2000),
        ("0.25", 250),
        ("99.9", 99_900),
        (r#""500ms""#, 500),
        (r#""1500000 us""#, 1500),
        (r#""90s""#, 90_000),
        (r#""1.5min""#, 90_000),
        (r#"" 2 h ""#, 7_200_000),
        (r#""1d""#, 86_400_000),
    ] {
        let database = database(&format!(r#"{{"statement_timeout": {written}}}"#));
        assert_eq!(
            database.statement_timeout,
            Some(Duration::from_millis(millis)),
            "{written}"
        );
    }
}

#[test]
fn zero_turns_a_limit_off() {
    let off = database(
        r#"{"queue_timeout": 0, "statement_timeout": 0, "idle_timeout": "0s", "max_lifetime": 0.0,
            "tcp_user_timeout": 0, "keepalives": 0}"#,
    );
    let limits = [
        off.queue_timeout,
        off.statement_timeout,
        off.idle_timeout,
        off.max_lifetime,
        off.tcp_user_timeout,
    ];
    assert_eq!(limits, [None; 5]);
    assert_eq!(off.keepalives, None);
    // As PostgreSQL's log_min_duration_statement has it.
    let every = database(r#"{"slow_query_ms": 0}"#);
    assert_eq!(every.slow_query, Some(Duration::ZERO));
}

#[test]
fn a_search_path_is_one_argument_of_the_options() {
    for (written, options) in [
        ("app", "-c search_path=app"),
        ("app, public", r"-c search_path=app,\ public"),
        (r#"\"My App\",b"#, r#"-c search_path="My\ App",b"#),
        (r"a\\b\tc", "-c search_path=a\\\\b\\\tc"),
    ] {
        let database = database(&format!(r#"{{"search_path": "{written}"}}"#));
        assert_eq!(database.options.as_deref(), Some(options), "{written}");
    }
}

#[test]
fn one_port_is_for_all_hosts() {
    for (fields, servers) in [
        (
            r#"{"host": "a,b", "port": 6000}"#,
            vec![server("a", 6000), server("b", 6000)],
        ),
        (
            r#"{"host": "a,b", "port": "6000"}"#,
            vec![server("a", 6000), server("b", 6000)],
        ),
        (
            r#"{"host": "a,,/run/pg"}"#,
            vec![
                server("a", 5432),
                server(socket_directory(), 5432),
                server("/run/pg", 5432),
            ],
        ),
    ] {
        assert_eq!(database(fields).servers, servers, "{fields}");
    }
}

#[test]
fn whoever_verifies_knows_whom_to_trust() {
    use SslMode::*;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let file = || Some(SslRootCert::File(file.clone()));
    let system = || Some(SslRootCert::System);
    for (fields, mode, cert) in [
        ("", Prefer, None),
        (r#""sslmode": "disable""#, Disable, None),
        (r#""sslmode": "allow""#, Allow, None),
        (r#""sslmode": "prefer""#, Prefer, None),
        (r#""sslmode": "require""#, Require, None),
        (r#""sslrootcert": "system""#, VerifyFull, system()),
        (
            r#""sslmode": "verify-full", "sslrootcert": "system""#,
            VerifyFull,
            system(),
        ),
        (
            r#""sslmode": "require", "sslrootcert": "Cargo.toml""#,
            Require,
            file(),
        ),
        (
            r#""sslmode": "verify-full", "sslrootcert": "Cargo.toml""#,
            VerifyFull,
            file(),
        ),
        (r#""sslrootcert": "Cargo.toml""#, Prefer, file()),
    ] {
        let database = database(&format!("{{{fields}}}"));
        assert_eq!(
            (database.sslmode, database.sslrootcert),
            (mode, cert),
            "{fields}"
        );
    }
}

#[test]
fn a_root_certificate_that_nobody_asks_for_is_noted() {
    let text = node_with(&[(
        r#""user": "testuser""#,
        r#""sslmode": "disable", "sslrootcert": "Cargo.toml""#,
    )]);
    let notes: Vec<String> = node(&text).notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "workers[1].components[0].extra.database.sslrootcert: has no effect: \
             with this `sslmode` there is no TLS"
        ]
    );
}

#[test]
fn a_database_that_is_written_nowhere_is_noted() {
    let written = r#""extra": {"database": {"user": "testuser", "password": "s3cret"}}"#;
    let text = node_with(&[(written, r#""extra": {}"#)]);
    let notes: Vec<String> = node(&text).notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("workers[1].components[0]: has no extra.database"),
        "{notes:?}"
    );
}

#[test]
fn a_database_is_moved_as_a_whole() {
    let mut database = database(
        r#"{"host": "a,b", "sslrootcert": "system", "target_session_attrs": "read-only"}"#,
    );
    database.move_to("127.0.0.1", 6000);
    assert_eq!(
        database,
        super::database(
            r#"{"host": "127.0.0.1", "port": 6000, "sslmode": "disable"}"#,
            &[]
        )
    );
}

/// Fields of a database, and the one fault they have.
const FAULTS: &[(&str, &str)] = &[
    (
        r#""cp_min": 11"#,
        "cp_min: seen 11; must be at most cp_max, which is 10",
    ),
    (
        r#""port": 0"#,
        "port: seen 0; must be an integer from 1 to 65535, or one for each host as in \"5432,5433\"",
    ),
    (
        r#""port": "5432,x""#,
        "port: seen \"5432,x\"; must be an integer from 1 to 65535, or one for each host as in \"5432,5433\"",
    ),
    (
        r#""host": "a,b,c", "port": "1,2""#,
        "port: seen \"1,2\"; must be one port for all hosts or one for each: there are 2 ports for 3 hosts",
    ),
    (
        r#""port": "1,2""#,
        "port: seen \"1,2\"; must be one port for all hosts or one for each: there are 2 ports for 1 host",
    ),
    (
        r#""dbname": "test""#,
        "dbname: not a key here; write `database`",
    ),
    (r#""ssl": true"#, "ssl: not a key here; write `sslmode`"),
    (
        r#""sslcert": "Cargo.toml""#,
        "sslcert: seen \"Cargo.toml\"; must have an `sslkey` beside it, a PEM file",
    ),
    (r#""user": """#, "user: seen \"\"; must not be empty"),
    (
        r#""user": "a\u0000b""#,
        "user: seen \"a\\0b\"; must not hold a NUL",
    ),
    (
        r#""password": {"is": "s3cret"}"#,
        "password: seen a value that is not shown; must be a string",
    ),
    (
        r#""sslmode": "verify_full""#,
        "sslmode: seen \"verify_full\"; must be `disable`, `allow`, `prefer`, `require`, `verify-ca` or \
         `verify-full`, did you mean `verify-full`?",
    ),
    (
        r#""sslmode": "verify-ca""#,
        "sslmode: seen \"verify-ca\"; must have an `sslrootcert` beside it: a PEM file, \
         or with `verify-full` also `system`",
    ),
    (
        r#""sslmode": "verify-full""#,
        "sslmode: seen \"verify-full\"; must have an `sslrootcert` beside it: a PEM file, \
         or with `verify-full` also `system`",
    ),
    (
        r#""sslmode": "require", "sslrootcert": "system""#,
        "sslmode: seen \"require\"; must be `verify-full` where `sslrootcert` is `system`, \
         which vouches for every host there is",
    ),
    (
        r#""target_session_attrs": "master""#,
        "target_session_attrs: seen \"master\"; must be `any`, `read-write`, `read-only`, `primary`, `standby` or \
         `prefer-standby`",
    ),
    (
        r#""connect_timeout": 0.01"#,
        "connect_timeout: seen 0.01; must be 0 for no limit or from 0.1 to 86400 seconds, \
         as a number or with a unit as in \"500ms\" or \"2min\"",
    ),
    (
        r#""queue_timeout": "5 minutes""#,
        "queue_timeout: seen \"5 minutes\"; must be 0 for no limit or from 0.001 to 86400 seconds, \
         as a number or with a unit as in \"500ms\" or \"2min\"",
    ),
    (
        r#""idle_timeout": "30""#,
        "idle_timeout: seen \"30\"; must be 0 for no limit or from 1 to 2592000 seconds, \
         as a number or with a unit as in \"500ms\" or \"2min\"",
    ),
    (
        r#""max_lifetime": -1"#,
        "max_lifetime: seen -1; must be 0 for no limit or from 1 to 2592000 seconds, \
         as a number or with a unit as in \"500ms\" or \"2min\"",
    ),
    (
        r#""statement_timeout": 30000"#,
        "statement_timeout: seen 30000; a plain number is seconds, and so many may have been meant as \
         milliseconds: write \"30000ms\" or \"30000s\"",
    ),
    (
        r#""tcp_user_timeout": 0.5"#,
        "tcp_user_timeout: seen 0.5; must be 0 for no limit or from 1 to 86400 seconds, \
         as a number or with a unit as in \"500ms\" or \"2min\"",
    ),
    (
        r#""slow_query_ms": 0.5"#,
        "slow_query_ms: seen 0.5; must be an integer from 0 to 86400000",
    ),
    (
        r#""keepalives": 2"#,
        "keepalives: seen 2; must be true or false, or libpq's 1 or 0",
    ),
    (
        r#""keepalives_count": 128"#,
        "keepalives_count: seen 128; must be an integer from 0 to 127",
    ),
    (
        r#""queue_timout": 5"#,
        "queue_timout: unknown key, did you mean `queue_timeout`?; allowed: backend, host, port, database, user, password, \
         hostaddr, service, passfile, channel_binding, require_auth, sslmode, sslrootcert, sslcert, sslkey, \
         sslcertmode, sslnegotiation, sslsni, ssl_min_protocol_version, ssl_max_protocol_version, \
         load_balance_hosts, target_session_attrs, application_name, options, search_path, cp_min, cp_max, \
         cp_noisy, cp_reconnect, cp_good_sql, cp_name, queue_limit, queue_timeout, connect_timeout, \
         statement_timeout, idle_timeout, max_lifetime, schema_file, slow_query_ms, statement_cache, reset, error_details, \
         keepalives, keepalives_idle, keepalives_interval, keepalives_count, tcp_user_timeout",
    ),
];

#[test]
fn each_fault_names_its_path_the_value_and_what_is_allowed() {
    for (fields, expected) in FAULTS {
        let text = node_with(&[(
            r#"{"user": "testuser", "password": "s3cret"}"#,
            &format!("{{{fields}}}"),
        )]);
        let expected = format!("{PLACE}.{expected}");
        assert_eq!(faults(&text), [expected], "{fields}");
    }
}

#[test]
fn a_missing_root_certificate_is_named_in_full() {
    for mode in ["require", "verify-ca", "verify-full"] {
        let text = node_with(&[(
            r#""user": "testuser""#,
            &format!(r#""sslmode": "{mode}", "sslrootcert": "no/such.pem""#),
        )]);
        let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("no/such.pem");
        assert_eq!(
            faults(&text),
            [format!(
                "workers[1].components[0].extra.database.sslrootcert: seen \"no/such.pem\"; \
                 there is no file {}; relative ones are relative to the config file",
                full.display()
            )]
        );
    }
}

#[test]
fn a_class_with_a_database_needs_no_extra() {
    let text = node_with(&[(
        r#""extra": {"database": {"user": "testuser", "password": "s3cret"}}"#,
        r#""extra": {}"#,
    )]);
    let node = check_in(&text, &[("PGDATABASE", "test"), ("PGHOST", "")]).unwrap();
    let database = &node.databases[node.components[1].database.unwrap()];
    assert_eq!(database.servers, [server(socket_directory(), 5432)]);
    assert_eq!(database.database, "test");
    assert_eq!(node.components[0].database, None, "a plain class has none");
}

#[test]
fn any_class_may_have_a_database() {
    let text = node_with(&[(
        r#""classname": "test.Plain", "#,
        r#""classname": "test.Plain", "extra": {"a": 1, "database": {"database": "x"}}, "#,
    )]);
    let mut node = node(&text);
    let plain: Component = node.components.remove(0);
    assert_eq!(node.databases[plain.database.unwrap()].database, "x");
    assert_eq!(
        plain.extra,
        serde_json::json!({"a": 1}),
        "without its database"
    );
}

#[test]
fn a_password_is_in_no_output() {
    let text = node_with(&[(
        r#""classname": "test.Plain", "#,
        r#""classname": "test.Plain", "extra": {"api_key": "s3cret"}, "#,
    )]);
    let node = node(&text);
    let password = node.databases[0].password.as_ref().unwrap();
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
