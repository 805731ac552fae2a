//! The newcomer's way: the project's own configuration on a PostgreSQL that the node makes for
//! itself. How the cluster is kept is tested with the cluster.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use postgres::NoTls;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    hello::assert_serves,
    support::{
        node::{HERE, Node},
        wait,
        websocket::{ANY, Client, code},
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
    let cluster = cluster.to_str().expect("a path in UTF-8");
    Node::start_with(&config(), &["--embedded-postgres", cluster])
}

/// The server's process, by its own account.
fn server(cluster: &Path) -> Option<u32> {
    let pid_file = fs::read_to_string(cluster.join("data/postmaster.pid")).ok()?;
    pid_file.lines().next()?.trim().parse().ok()
}

/// A client that comes to the node's server over TCP, with the password.
fn connect(node: &mut Node, config: &Value) -> Result<postgres::Client, postgres::Error> {
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

#[test]
fn the_projects_configuration_runs_on_a_private_cluster() {
    let parent = parent();
    let cluster = parent.path().join("cluster");

    let mut node = start(&cluster);
    assert_serves(&node);
    node.wait_for_log("making a PostgreSQL");
    let (over_tcp, over_socket) = connections(&mut node, &config());
    assert_eq!(over_tcp, 0, "the socket is faster");
    assert!(over_socket > 0);
    stop(node, &cluster, Signal::SIGTERM);

    let mut node = start(&cluster);
    assert_serves(&node);
    assert!(
        !node.log().contains("making a PostgreSQL"),
        "{}",
        node.log()
    );
    stop(node, &cluster, Signal::SIGINT);
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

/// Starts a node in a PID namespace of its own, as a container has it: numbers begin at 1 there, and each start gets the
/// numbers of the last.
fn start_in_container(parent: &Path, cluster: &Path) -> Node {
    let tried = std::process::Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .output()
        .expect("unshare runs (apt-get install util-linux)");
    assert!(
        tried.status.success(),
        "this test needs the right to make a PID namespace, which root has: {}",
        String::from_utf8_lossy(&tried.stderr)
    );
    let program = parent.join("wampgres-in-container");
    let text = format!(
        "#!/bin/sh\nexec unshare --pid --fork --mount-proc --kill-child {} \"$@\"\n",
        env!("CARGO_BIN_EXE_wampgres")
    );
    fs::write(&program, text).expect("the script is written");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("it can be run");
    let cluster = cluster.to_str().expect("a path in UTF-8");
    Node::start_program(&program, &config(), &["--embedded-postgres", cluster])
}

/// Sends a signal to the first process of the container, which is the node.
fn signal_inside(node: &Node, signal: Signal) {
    let pid = node.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.expect("the kernel tells children");
    let inside = children.trim().parse().expect("one child");
    kill(Pid::from_raw(inside), signal).expect("it is the node of this test");
}

#[test]
fn a_node_starts_again_in_a_container_that_was_killed() {
    let parent = parent();
    let cluster = parent.path().join("cluster");

    let mut node = start_in_container(parent.path(), &cluster);
    assert_serves(&node);
    signal_inside(&node, Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0), "{}", node.log());

    let mut numbers = Vec::new();
    for _ in 0..3 {
        let mut node = start_in_container(parent.path(), &cluster);
        assert_serves(&node);
        numbers.push(server(&cluster));
        signal_inside(&node, Signal::SIGKILL);
        node.wait();
    }
    assert!(
        numbers.windows(2).any(|pair| pair[0] == pair[1]),
        "no server had the number of the last: {numbers:?}"
    );
    let mut node = start_in_container(parent.path(), &cluster);
    assert_serves(&node);
    signal_inside(&node, Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0), "{}", node.log());
}

#[test]
fn a_stop_with_a_private_server_and_an_unanswered_call_is_over_in_time() {
    let parent = parent();
    let cluster = parent.path().join("cluster");
    let mut node = start(&cluster);
    let mut callee = Client::join(node.address());
    callee.register("com.example.never");
    let mut caller = Client::join(node.address());
    caller.call("com.example.never", &json!([]));
    callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, []]));
    let began = Instant::now();
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0), "{}", node.log());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(server(&cluster), None, "the server has stopped in order");
}
