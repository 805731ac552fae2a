//! The newcomer's way: the project's own configuration on a PostgreSQL that the node makes for
//! itself. How the cluster is kept is tested with the cluster.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use postgres::{Client, NoTls};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    hello::assert_serves,
    support::{
        backends::{Backend, on_each_backend},
        node::{HERE, Node},
        wait,
    },
};

/// The configuration that comes with the project, on free ports.
fn config() -> Value {
    let text = include_str!("../config.json");
    let mut config: Value = serde_json::from_str(text).expect("config.json is JSON");
    let workers = &mut config["workers"];
    workers[0]["transports"][0]["endpoint"] =
        json!({"type": "tcp", "interface": "127.0.0.1", "port": 0});
    let transport = &mut workers[1]["components"][0]["transport"];
    transport["endpoint"]["port"] = json!(0);
    transport["url"] = json!(HERE);
    config
}

/// Root's node lets another user run the server, who has to get there.
fn parent() -> TempDir {
    let mut parent = tempfile::Builder::new();
    let parent = parent.permissions(Permissions::from_mode(0o755)).tempdir();
    parent.expect("a temporary directory")
}

fn start(cluster: &Path) -> Node {
    start_on(cluster, Backend::default())
}

fn start_on(cluster: &Path, backend: Backend) -> Node {
    let cluster = cluster.to_str().expect("a path in UTF-8");
    let backend = ["--backend", backend.name()];
    let arguments = [&["--embedded-postgres", cluster][..], &backend].concat();
    Node::start_with(&config(), &arguments)
}

/// The server's process, by its own account.
fn server(cluster: &Path) -> Option<u32> {
    let pid_file = fs::read_to_string(cluster.join("data/postmaster.pid")).ok()?;
    pid_file.lines().next()?.trim().parse().ok()
}

/// A client that comes to the node's server over TCP, with the password.
fn connect(node: &mut Node, config: &Value) -> Result<Client, postgres::Error> {
    node.wait_for_log(" runs on 127.0.0.1:");
    let log = node.log();
    let port = log
        .split_once(" runs on 127.0.0.1:")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|port| port.parse().ok())
        .unwrap_or_else(|| panic!("no port of the server in {log}"));
    let database = &config["workers"][1]["components"][0]["extra"]["database"];
    let setting = |name: &str| database[name].as_str().expect("a string").to_owned();
    postgres::Config::new()
        .host("127.0.0.1")
        .port(port)
        .user(&setting("user"))
        .password(setting("password"))
        .dbname(&setting("database"))
        .connect(NoTls)
}

/// How many of the node's connections to its server come over TCP, and how many over the socket.
fn connections(node: &mut Node, config: &Value) -> (i64, i64) {
    let mut client = connect(node, config).expect("the password lets in over TCP");
    let row = client
        .query_one(
            "SELECT count(client_addr), count(*) - count(client_addr) FROM pg_stat_activity
             WHERE usename = current_user AND pid <> pg_backend_pid()",
            &[],
        )
        .expect("it answers");
    (row.get(0), row.get(1))
}

/// Stops the node with this signal; its server has to go with it.
fn stop(mut node: Node, cluster: &Path, signal: Signal) {
    let server = server(cluster).expect("the server runs");
    node.signal(signal);
    assert_eq!(node.wait().code(), Some(0), "{signal}: {}", node.log());
    assert_eq!(
        self::server(cluster),
        None,
        "{signal}: the pid file is there"
    );
    let process = format!("/proc/{server}/cmdline");
    let runs = fs::read(process).is_ok_and(|line| !line.is_empty());
    assert!(!runs, "{signal}: the server still runs");
}

on_each_backend![the_projects_configuration_runs_on_a_private_cluster,];

fn the_projects_configuration_runs_on_a_private_cluster(backend: Backend) {
    let parent = parent();
    let cluster = parent.path().join("cluster");

    let mut node = start_on(&cluster, backend);
    assert_serves(&node);
    node.wait_for_log("making a PostgreSQL");
    let (over_tcp, over_socket) = connections(&mut node, &config());
    assert_eq!(over_tcp, 0, "the socket is faster");
    assert!(over_socket > 0);
    stop(node, &cluster, Signal::SIGTERM);

    let mut node = start_on(&cluster, backend);
    assert_serves(&node);
    assert!(
        !node.log().contains("making a PostgreSQL"),
        "{}",
        node.log()
    );
    stop(node, &cluster, Signal::SIGINT);
}

/// A program that runs the node as the first process of a container, which dies with it.
fn container(directory: &Path) -> PathBuf {
    let program = directory.join("container");
    let text = format!(
        "#!/bin/sh\nexec unshare --pid --fork --mount-proc --kill-child {} \"$@\"\n",
        env!("CARGO_BIN_EXE_wampgres")
    );
    fs::write(&program, text).expect("the program is written");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("its mode is set");
    program
}

/// The node in the container, as the system around it counts.
fn inside(container: &Node) -> Pid {
    let pid = container.pid();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(children).expect("unshare has forked");
    let child = children.trim().parse().expect("unshare has one child");
    Pid::from_raw(child)
}

#[test]
fn a_container_that_was_killed_starts_again() {
    let parent = parent();
    let cluster = parent.path().join("cluster");
    let program = container(parent.path());
    let cluster = cluster.to_str().expect("a path in UTF-8");
    let start = || Node::start_program(&program, &config(), &["--embedded-postgres", cluster]);

    // In a container of its own each run gives its processes much the same numbers.
    for signal in [
        Signal::SIGTERM,
        Signal::SIGKILL,
        Signal::SIGKILL,
        Signal::SIGTERM,
    ] {
        let mut node = start();
        assert_serves(&node);
        kill(inside(&node), signal).expect("it is the node of this test");
        node.wait();
    }
}

#[test]
fn a_private_server_that_is_killed_comes_back_and_calls_with_it() {
    let parent = parent();
    let cluster = parent.path().join("cluster");

    let mut node = start(&cluster);
    assert_serves(&node);
    let killed = server(&cluster).expect("the server runs");
    let pid = i32::try_from(killed).expect("a process number");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it is the server of this test");
    node.wait_for_log("has ended by itself");
    wait::until("the server", || connect(&mut node, &config()).ok());
    assert_serves(&node);
    assert_ne!(server(&cluster), Some(killed));
    stop(node, &cluster, Signal::SIGTERM);
}

#[test]
fn a_private_server_ends_with_a_node_that_is_killed_and_loses_nothing() {
    let parent = parent();
    let cluster = parent.path().join("cluster");

    let mut rows = 0;
    for signal in [Signal::SIGABRT, Signal::SIGKILL] {
        let mut node = start(&cluster);
        let mut client = connect(&mut node, &config()).expect("the password lets in");
        rows += 1;
        let write = "CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (1)";
        client.batch_execute(write).expect("it writes");
        let orphan = server(&cluster).expect("the server runs");
        node.signal(signal);
        node.wait();
        let killed = Instant::now();
        wait::until("the server's end", || {
            let line = fs::read(format!("/proc/{orphan}/cmdline")).unwrap_or_default();
            line.is_empty().then_some(())
        });
        assert!(killed.elapsed() < Duration::from_secs(10), "{signal}");
    }
    // One that is started at once finds the server still there, or on its way out.
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut node = start(&cluster);
        let mut client = connect(&mut node, &config()).expect("the password lets in");
        let count = client.query_one("SELECT count(*) FROM kept", &[]);
        assert_eq!(count.expect("the table is there").get::<_, i64>(0), rows);
        assert_serves(&node);
        if signal == Signal::SIGTERM {
            stop(node, &cluster, signal);
        } else {
            node.signal(signal);
            node.wait();
        }
    }
}
