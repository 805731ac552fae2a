//! Many sessions at once on one node, and more sessions or connections to its database than it has files for.

use std::{
    net::TcpStream,
    process::Command,
    sync::{Barrier, mpsc::channel},
    thread,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::support::{
    node::{HERE, Node, config, container, router},
    postgres::Postgres,
    websocket::{Client, Echo, code, connect},
};

const SESSIONS: usize = 2_000;
/// So many threads play the clients, each as many of them.
const THREADS: usize = 8;
const NOW: &str = "com.example.now.v1";

#[test]
fn two_thousand_sessions_joined_at_once_are_all_answered() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit of open files");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be raised");
    assert!(
        hard > SESSIONS as u64 + 500,
        "{hard} open files are too few for this test: ulimit -Hn {}",
        SESSIONS + 1000
    );
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let address = node.address();
    let all = Barrier::new(THREADS);
    let ids: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let all = &all;
                scope.spawn(move || {
                    let mut clients: Vec<_> = (0..SESSIONS / THREADS)
                        .map(|_| Client::join(address))
                        .collect();
                    all.wait();
                    for round in 0..2 {
                        call_with_all(&mut clients, thread, round);
                        all.wait();
                    }
                    let ids: Vec<_> = clients.iter().map(Client::session).collect();
                    clients.into_iter().for_each(Client::leave);
                    ids
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("every client is answered"))
            .collect()
    });
    assert_eq!(ids.len(), SESSIONS);
    let distinct: std::collections::HashSet<_> = ids.into_iter().collect();
    assert_eq!(
        distinct.len(),
        SESSIONS,
        "every session has an id of its own"
    );
}

/// Each client calls before the first reads, and each gets the value it sent.
fn call_with_all(clients: &mut [Client], thread: usize, round: usize) {
    let calls: Vec<_> = clients
        .iter_mut()
        .enumerate()
        .map(|(n, client)| client.call("com.example.echo", &json!([thread, n, round])))
        .collect();
    for (n, (client, request)) in clients.iter_mut().zip(calls).enumerate() {
        client.expect(&json!([code::RESULT, request, {}, [thread, n, round]]));
    }
}

#[test]
fn a_node_without_files_for_more_clients_serves_those_it_has_and_later_ones() {
    let mut node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let mut client = Client::join(node.address());
    limit_files(&node, 64);
    let crowd: Vec<TcpStream> = (0..100).map(|_| connect(node.address())).collect();
    node.wait_for_log("could not be accepted");
    assert!(node.log().contains("ulimit -n"), "{}", node.log());
    for n in 0..100 {
        assert_eq!(
            client.result_of("com.example.echo", &json!([n])),
            json!([n])
        );
    }
    // Time for many a try to accept more.
    let (_keep, nothing) = channel::<()>();
    let _ = nothing.recv_timeout(Duration::from_millis(500));
    let complaints = node.log().matches("could not be accepted").count();
    assert_eq!(complaints, 1, "one line for one state: {}", node.log());

    drop(crowd);
    let mut latecomer = Client::join(node.address());
    assert_eq!(
        latecomer.result_of("com.example.echo", &json!([])),
        json!([])
    );
}

#[test]
fn a_node_that_had_no_file_left_to_reach_its_database_reaches_it_later() {
    let mut database = Postgres::shared().create_database("no_files").extra();
    database["cp_min"] = json!(0);
    database["cp_max"] = json!(2);
    database["connect_timeout"] = json!(1);
    let component = json!({"database": database});
    let component = container("hello.MyDatabaseComponent", HERE, component);
    let node = Node::start(&config(&[router(), component]));
    let mut client = Client::join(node.address());
    limit_files(&node, 3);
    let calls = [0; 4].map(|_| client.call(NOW, &json!([])));
    for _ in calls {
        let error = client.answer().error("wamp.error.unavailable");
        assert!(
            error.message.contains("no file descriptor left"),
            "{error:?}"
        );
    }
    limit_files(&node, 1000);
    let calls = [0; 4].map(|_| client.call(NOW, &json!([])));
    for _ in calls {
        client.answer().result();
    }
}

/// Gives a node's process no files with a number as high as this or higher. What is open stays so.
fn limit_files(node: &Node, limit: usize) {
    let limited = Command::new("prlimit")
        .args(["--pid", &node.pid().to_string()])
        .arg(format!("--nofile={limit}:"))
        .status();
    let limited = limited.expect("prlimit of util-linux: apt-get install util-linux");
    assert!(limited.success());
}
