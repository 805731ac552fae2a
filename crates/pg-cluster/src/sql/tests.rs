//! Owns the proof that the cluster's own connection understands a real server.

use std::sync::OnceLock;

use super::{
    super::{ADMIN_DATABASE, TemporaryCluster},
    *,
};

fn cluster() -> &'static TemporaryCluster {
    static SHARED: OnceLock<TemporaryCluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let cluster = TemporaryCluster::create("app", None).unwrap();
        cluster.start().unwrap();
        cluster
    })
}

fn open(user: &str) -> Result<Connection, Error> {
    Connection::open(
        cluster().socket_directory(),
        cluster().port(),
        user,
        ADMIN_DATABASE,
    )
}

fn refused<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Sql(refusal)) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[test]
fn rows_are_counted_and_what_else_the_server_sends_is_passed_over() {
    let mut connection = open("app").unwrap();
    for (sql, rows) in [
        ("", 0),
        ("SELECT", 1),
        ("SELECT WHERE false", 0),
        ("CREATE TABLE counted (n int)", 0),
        // More than one read of the socket takes, and a second statement.
        (
            "SELECT repeat('x', 10000) FROM generate_series(1, 99); SELECT 1",
            100,
        ),
        ("DO $$BEGIN RAISE NOTICE 'noted'; END$$", 0),
        ("SET application_name = 'a parameter that is reported'", 0),
        ("DROP TABLE counted", 0),
    ] {
        assert_eq!(connection.run(sql).unwrap(), rows, "{sql}");
    }
}

#[test]
fn an_error_is_told_in_postgresqls_words_and_the_connection_serves_on() {
    let mut connection = open("app").unwrap();
    let refusal = refused(connection.run("SELECT missing"));
    assert_eq!(refusal, "ERROR: column \"missing\" does not exist");
    let raise = "DO $$BEGIN RAISE 'no' USING DETAIL = 'in detail', HINT = 'mend it'; END$$";
    let refusal = refused(connection.run(raise));
    assert_eq!(refusal, "ERROR: no\nDETAIL: in detail\nHINT: mend it");
    // Rows before it do not hide it.
    let refusal = refused(connection.run("SELECT 1; SELECT 1 / 0"));
    assert_eq!(refusal, "ERROR: division by zero");
    assert_eq!(connection.run("SELECT 1").unwrap(), 1);
}

#[test]
fn an_error_that_ends_the_session_is_told_too() {
    assert_eq!(
        refused(open("nobody")),
        "FATAL: role \"nobody\" does not exist"
    );
    let mut connection = open("app").unwrap();
    let ended = refused(connection.run("SELECT pg_terminate_backend(pg_backend_pid())"));
    let why = "FATAL: terminating connection due to administrator command";
    assert_eq!(ended, why);
    let error = connection.run("SELECT 1").unwrap_err().to_string();
    assert!(error.starts_with("cannot talk to the embedded"), "{error}");
}

#[test]
fn a_server_that_asks_for_a_password_is_told_of() {
    let cluster = TemporaryCluster::create("app", None).unwrap();
    cluster
        .set_access_rules("local all all scram-sha-256\n")
        .unwrap();
    cluster.start().unwrap();
    let opened = Connection::open(
        cluster.socket_directory(),
        cluster.port(),
        "app",
        ADMIN_DATABASE,
    );
    let error = opened.err().expect("it has no password").to_string();
    assert!(error.contains("no answer here"), "{error}");
}
