//! The closing handshake, begun by either end, and ends without one.

use serde_json::json;
use tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::support::{
    node::{Node, config, router, router_with},
    wait,
    websocket::{Client, Received, code},
};

/// How many files the node has open, its sockets among them.
fn open_files(node: &Node) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", node.pid()))
        .expect("Linux lists the files of a process")
        .count()
}

#[test]
fn a_close_frame_is_answered_with_its_code_and_ends_the_session() {
    let node = Node::start(&config(&[router()]));
    let mut observer = Client::join(node.address());
    for close in [
        Some((CloseCode::Normal, "enough")),
        Some((CloseCode::Away, "")),
        None,
    ] {
        let mut client = Client::join(node.address());
        client.register("com.example.closing");
        client.send_message(Message::Close(close.map(|(code, reason)| CloseFrame {
            code,
            reason: reason.into(),
        })));
        match client.receive() {
            Received::Close(answer) => {
                assert_eq!(answer.map(|(code, _)| code), close.map(|(code, _)| code));
            }
            other => panic!("awaited a close frame, received {other:?}"),
        }
        assert_eq!(client.receive(), Received::End { orderly: true });
        let request = observer.call("com.example.closing", &json!([]));
        observer.expect_error(code::CALL, request, "wamp.error.no_such_procedure");
    }
}

#[test]
fn a_client_that_does_not_answer_a_close_frame_is_dropped() {
    let options = json!({"close_handshake_timeout": 200});
    let node = Node::start(&config(&[router_with(options)]));
    let before = open_files(&node);
    let mut client = Client::join(node.address());
    client.send_text("[]");
    // It reads nothing, so it answers nothing.
    wait::until("the node to let the connection go", || {
        (open_files(&node) == before).then_some(())
    });
    assert_eq!(client.message()[0], code::ABORT);
}
