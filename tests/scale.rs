//! Many sessions at once on one node.

use std::{sync::Barrier, thread};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::support::{
    node::{Node, config, router},
    websocket::{Client, Echo, code},
};

const SESSIONS: usize = 2_000;
/// So many threads play the clients, each as many of them.
const THREADS: usize = 8;

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
