//! Clients that say nothing, or nothing more.

use std::time::{Duration, Instant};

use serde_json::json;
use tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::support::{
    http::Connection,
    node::{Node, config, router_with},
    websocket::{Client, Echo, Received, code},
};

#[test]
fn who_connects_and_says_nothing_is_told_and_closed() {
    let node = Node::start(&config(&[router_with(
        json!({"open_handshake_timeout": 200}),
    )]));
    for beginning in ["", "GET /ws HTTP/1.1\r\nHost: node\r\nUpgr"] {
        let mut connection = Connection::open(node.address());
        connection.send(beginning);
        let response = connection.response();
        assert_eq!(response.status, 408, "after {beginning:?}");
        assert_eq!(response.field("connection"), Some("close"));
        connection.expect_end();
    }
}

#[test]
fn who_never_says_hello_is_closed() {
    let node = Node::start(&config(&[router_with(
        json!({"open_handshake_timeout": 200}),
    )]));
    let mut silent = Client::open(node.address());
    let (code, reason) = silent.expect_close();
    assert_eq!(code, CloseCode::Policy);
    assert!(reason.contains("HELLO"), "{reason}");

    // Life is no HELLO.
    let mut pinging = Client::open(node.address());
    let until = loop {
        pinging.send_message(Message::Ping(Vec::new().into()));
        match pinging.receive() {
            Received::Pong(_) => {}
            other => break other,
        }
    };
    assert!(matches!(until, Received::Close(Some(_))), "{until:?}");
}

#[test]
fn a_joined_session_may_be_silent_for_longer_than_its_handshake_may_take() {
    const TIMEOUT: u64 = 200;
    let options = json!({"open_handshake_timeout": TIMEOUT});
    let node = Node::start(&config(&[router_with(options)]));
    let mut joined = Client::join(node.address());
    // Time passes, measured by a client to which the node applies the timeout.
    Client::open(node.address()).expect_close();
    Client::open(node.address()).expect_close();
    let request = joined.call("com.example.nothing", &json!([]));
    joined.expect_error(code::CALL, request, "wamp.error.no_such_procedure");
}

#[test]
fn who_answers_no_ping_is_dropped_and_who_does_stays() {
    let options = json!({
        "auto_ping_interval": 100, "auto_ping_timeout": 3000, "auto_ping_size": 10
    });
    let mut node = Node::start(&config(&[router_with(options)]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let began = Instant::now();
    let mut dead = Client::join(node.address());
    dead.register("com.example.of.the.dead");
    let mut caller = Client::join(node.address());
    let request = caller.call("com.example.of.the.dead", &json!([]));

    // The caller reads, and so answers pings, until the dead callee is given up.
    let mut pings = 0;
    let error = loop {
        match caller.receive() {
            Received::Ping(payload) => {
                assert_eq!(payload.len(), 10);
                pings += 1;
            }
            Received::Text(text) => break text,
            other => panic!("the living is dropped: {other:?}"),
        }
    };
    assert!(error.starts_with(&format!("[8,48,{request},")), "{error}");
    assert!(error.contains("wamp.error.canceled"), "{error}");
    assert!(began.elapsed() >= Duration::from_secs(3), "too early");
    assert!(pings >= 2, "{pings} pings");
    node.wait_for_log("answers no ping");
    let end = loop {
        match dead.receive() {
            Received::Text(_) | Received::Ping(_) => {}
            end => break end,
        }
    };
    assert_eq!(end, Received::End { orderly: false });
    assert_eq!(
        caller.result_of("com.example.echo", &json!([1])),
        json!([1])
    );
}
