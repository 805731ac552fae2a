//! The reference's component on a real PostgreSQL: what it answers, and what becomes of calls
//! while the database is away. How the pool works inside is tested with the pool.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    autobahn::{Autobahn, Client},
    backends::{Backend, on_each_backend},
    node::{HERE, Node, config, container, router},
    postgres::{Database, PASSWORD, Postgres},
    python_datetime, wait,
    websocket::{Client as RawClient, unmasked_frame},
};

const PROCEDURES: [&str; 4] = [
    "com.example.now.v1",
    "com.example.now.v2",
    "com.example.now.v3",
    "com.example.now.v4",
];

/// A node with the component on this database, and these settings of its pool.
fn start(database: &Database, settings: Value) -> Node {
    let mut extra = database.extra();
    for (key, value) in settings.as_object().expect("settings are an object") {
        extra[key] = value.clone();
    }
    let extra = json!({"database": extra});
    let component = container("hello.MyDatabaseComponent", HERE, extra);
    Node::start(&config(&[router(), component]))
}

/// The backend in `New DB connection created (backend PID n)`.
fn created_backend(node: &mut Node) -> i32 {
    let line = node.stdout_line("a new connection");
    line.strip_prefix("New DB connection created (backend PID ")
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|pid| pid.parse().ok())
        .unwrap_or_else(|| panic!("unexpected on stdout: {line:?}"))
}

/// Asserts that clients of this node get the database's time from all four.
pub(crate) fn assert_serves(router: &Node) {
    let mut client = Client::join(Autobahn::Js, &router.websocket_url());
    for procedure in PROCEDURES {
        python_datetime::parse(client.value(procedure).as_str().expect("one string"));
    }
}

on_each_backend![
    all_four_answer_the_databases_time_as_python_prints_it,
    each_new_connection_is_told_of_with_its_backend,
    a_database_that_comes_up_later_is_waited_for,
    a_restart_of_the_database_costs_idle_connections_no_call,
    a_reader_of_stdout_that_is_gone_keeps_nobody_from_the_database,
    a_reader_of_the_log_that_is_gone_keeps_nobody_from_the_database,
];

fn all_four_answer_the_databases_time_as_python_prints_it(backend: Backend) {
    let database = Database::create("four", backend);
    let node = start(&database, json!({}));
    let mut client = Client::join(Autobahn::Python, &node.websocket_url());
    let mut clock = database.client();
    let mut now = || -> DateTime<Utc> {
        let row = clock.query_one("SELECT clock_timestamp()", &[]);
        row.expect("the database's time").get(0)
    };
    for procedure in PROCEDURES {
        let before = now();
        let answer = client.value(procedure);
        let after = now();
        let time = python_datetime::parse(answer.as_str().expect("one string"));
        assert!(
            before <= time && time <= after,
            "{procedure}: {time} is not between {before} and {after}"
        );
    }
}

fn each_new_connection_is_told_of_with_its_backend(backend: Backend) {
    let database = Database::create("backends", backend);
    let mut node = start(&database, json!({"cp_min": 2, "cp_max": 2}));
    let told = BTreeSet::from([created_backend(&mut node), created_backend(&mut node)]);
    let mut client = database.client();
    let rows = client.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name = 'wampgres'",
        &[&database.name()],
    );
    let real: BTreeSet<i32> = rows
        .expect("the backends")
        .iter()
        .map(|r| r.get(0))
        .collect();
    assert_eq!(told, real);
}

fn a_database_that_comes_up_later_is_waited_for(backend: Backend) {
    let postgres = Postgres::stopped();
    let connect_timeout = Duration::from_secs(1);
    let mut node = start(
        &postgres.database().on(backend),
        json!({"connect_timeout": connect_timeout.as_secs(), "cp_noisy": true}),
    );
    std::fs::write(node.directory().join("web/index.html"), "the page").expect("a page");
    assert!(get(&node, "/").ends_with("the page"), "{}", get(&node, "/"));

    let mut client = Client::join(Autobahn::Python, &node.websocket_url());
    for procedure in PROCEDURES {
        let asked = Instant::now();
        let error = client.call_error(procedure, json!([]), json!({}));
        let waited = asked.elapsed();
        assert!(waited < connect_timeout + wait::PATIENCE / 10, "{waited:?}");
        assert_eq!(error["uri"], "wamp.error.unavailable", "{error}");
        let message = error["args"][0].as_str().expect("a message");
        assert!(message.contains("no connection to PostgreSQL"), "{message}");
        assert!(message.contains("refused"), "{message}");
        assert_eq!(error["kwargs"]["retryable"], true, "{error}");
        assert!(!error.to_string().contains(PASSWORD), "{error}");
    }
    node.wait_for_log("refused");
    // Those of the start, side by side; not one for each attempt since.
    let attempts = node.log().matches(&format!("{backend} connecting")).count();
    assert!((1..=3).contains(&attempts), "{}", node.log());

    postgres.start();
    wait::until("an answer of the database that is up", || {
        client.send(json!({"op": "call", "procedure": PROCEDURES[0]}));
        let answer = client.answer();
        let time = answer["result"]["args"][0].as_str()?;
        Some(python_datetime::parse(time))
    });
    for procedure in PROCEDURES {
        client.value(procedure);
    }
    assert!(!node.log().contains(PASSWORD), "{}", node.log());
}

fn a_restart_of_the_database_costs_idle_connections_no_call(backend: Backend) {
    let postgres = Postgres::stopped();
    postgres.start();
    let mut node = start(
        &postgres.database().on(backend),
        json!({"cp_min": 10, "cp_max": 10}),
    );
    let old: BTreeSet<i32> = (0..10).map(|_| created_backend(&mut node)).collect();
    assert_eq!(old.len(), 10);
    let mut client = Client::join(Autobahn::Python, &node.websocket_url());
    client.value(PROCEDURES[0]);

    postgres.restart("fast");
    for call in 0..30 {
        client.value(PROCEDURES[call % PROCEDURES.len()]);
    }
}

fn a_reader_of_stdout_that_is_gone_keeps_nobody_from_the_database(backend: Backend) {
    let database = Database::create("unread", backend);
    let mut node = start(&database, json!({"cp_min": 1, "cp_max": 1}));
    let mut backend = created_backend(&mut node);
    node.close_stdout();
    let mut client = Client::join(Autobahn::Python, &node.websocket_url());
    let mut admin = database.client();
    // The first of these lines is still read, the others are not.
    for _ in 0..3 {
        let terminated = admin.query("SELECT pg_terminate_backend($1, 10000)", &[&backend]);
        terminated.expect("the tests' user is a superuser");
        backend = wait::until("a new connection that answers", || {
            client.send(json!({"op": "call", "procedure": PROCEDURES[0]}));
            client.answer().get("result")?;
            let rows = admin.query(
                "SELECT pid FROM pg_stat_activity
                 WHERE datname = $1 AND application_name = 'wampgres'",
                &[&database.name()],
            );
            Some(rows.expect("the backends").first()?.get(0))
        });
    }
}

fn a_reader_of_the_log_that_is_gone_keeps_nobody_from_the_database(backend: Backend) {
    let postgres = Postgres::stopped();
    let settings = json!({"connect_timeout": 1, "cp_min": 1, "cp_max": 1});
    let mut node = start(&postgres.database().on(backend), settings);
    node.wait_for_log("cannot connect");
    node.close_stderr();
    // Each is told of in the log. The first line is still read, the others are not.
    for _ in 0..3 {
        let mut offender = RawClient::open(node.address());
        offender.send_bytes(&unmasked_frame(0x81, b"unmasked"));
        offender.expect_close();
    }

    postgres.start();
    let mut client = Client::join(Autobahn::Python, &node.websocket_url());
    wait::until("an answer of the database that is up", || {
        client.send(json!({"op": "call", "procedure": PROCEDURES[0]}));
        client.answer().get("result").map(|_| ())
    });
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0));
}

/// What a plain GET answers, head and all.
fn get(node: &Node, path: &str) -> String {
    let mut socket = TcpStream::connect(node.address()).expect("the node listens");
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .expect("the node reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer
}
