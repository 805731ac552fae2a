//! Memory that large messages took is given back, while the sessions that sent them stay.

use serde_json::json;

use crate::support::{
    node::{Node, config, router},
    wait,
    websocket::{Client, Echo},
};

/// Near the largest that the default allows. Each session kept as much.
const LARGE: usize = 3 << 20;
const SESSIONS: usize = 6;
/// How much more than at the start is near it: a third of what was kept.
const NEAR: usize = 6 << 20;

/// The resident memory of the node, in bytes.
pub fn resident(node: &Node) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("proc(5)");
    let line = (status.lines())
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("the resident memory");
    let kib: usize = (line.trim().trim_end_matches(" kB").parse()).expect("a number");
    kib * 1024
}

#[test]
fn memory_that_large_messages_took_comes_back() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let mut clients = [(); SESSIONS].map(|()| Client::join(node.address()));
    let call = |client: &mut Client, size: usize| {
        let args = json!(["x".repeat(size)]);
        let result = client.result_of("com.example.echo", &args);
        assert_eq!(result, args, "the whole message");
    };
    clients.iter_mut().for_each(|client| call(client, 1));
    let start = resident(&node);
    for size in [LARGE / 2, LARGE] {
        clients.iter_mut().for_each(|client| call(client, size));
    }
    wait::until("the memory of the large messages to be given back", || {
        (resident(&node) < start + NEAR).then_some(())
    });
    // They are there yet.
    clients.iter_mut().for_each(|client| call(client, 1));
}
