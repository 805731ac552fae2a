//! What is too large, and answers that repeat what was sent: bounded, and told to whom it concerns.

use serde_json::{Value, json};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{
    node::{Node, config, router, router_with},
    websocket::{ANY, Client, Echo, Received, code, frame, hello},
};

/// A callee that has been asked, with its session, and the caller with its request.
fn asked(node: &Node) -> (Client, Value, Client, u64) {
    let mut callee = Client::join(node.address());
    callee.register("com.example.large");
    let mut caller = Client::join(node.address());
    let request = caller.call("com.example.large", &json!([]));
    let invocation = callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, []]));
    (callee, invocation[1].clone(), caller, request)
}

#[test]
fn who_breaks_a_limit_of_size_is_named_in_the_log_and_its_callers_learn_why() {
    const LIMIT: usize = 50_000;
    for (option, in_pieces) in [
        ("max_message_size", false),
        ("max_message_size", true),
        ("max_frame_size", false),
    ] {
        let mut node = Node::start(&config(&[router_with(json!({ (option): LIMIT }))]));
        let (mut callee, invocation, mut caller, request) = asked(&node);
        let text = "x".repeat(LIMIT);
        let result = json!([code::YIELD, invocation, {}, [text]]).to_string();
        let (first, rest) = result.as_bytes().split_at(LIMIT / 2);
        if in_pieces {
            callee.send_bytes(&[frame(0x01, first), frame(0x80, rest)].concat());
        } else {
            callee.send_text(&result);
        }
        let (close, reason) = callee.expect_close();
        assert_eq!(close, CloseCode::Size);
        let limit = format!("{option}, which is {LIMIT} bytes");
        assert!(reason.contains(&limit), "{reason}");
        let why = caller.expect_error(code::CALL, request, "wamp.error.canceled");
        assert!(why.contains(&limit), "{why}");
        node.wait_for_log(&limit);
        let log = node.log();
        assert!(
            log.contains(&format!("session={}", callee.session())),
            "{log}"
        );
        assert!(log.contains("raise the option"), "{log}");
    }
}

#[test]
fn a_callee_that_breaks_the_protocol_is_logged_and_its_callers_learn_why() {
    let mut node = Node::start(&config(&[router()]));
    let (mut callee, _, mut caller, request) = asked(&node);
    callee.send_text(r#"[70,1,{},"no list"]"#);
    callee.expect_abort("wamp.error.protocol_violation");
    let why = caller.expect_error(code::CALL, request, "wamp.error.canceled");
    assert!(why.contains("because it broke the protocol"), "{why}");
    node.wait_for_log("invalid YIELD message: Arguments must be a list");
    let session = format!("session={}", callee.session());
    let log = node.log();
    let line = log.lines().find(|line| line.contains("invalid YIELD"));
    assert!(line.is_some_and(|line| line.contains(&session)), "{log}");

    let (mut callee, _, mut caller, request) = asked(&node);
    callee.send_bytes(&frame(0x83, b""));
    callee.expect_close();
    let why = caller.expect_error(code::CALL, request, "wamp.error.canceled");
    assert!(why.contains("broke the WebSocket protocol"), "{why}");
}

#[test]
fn null_is_taken_for_no_arguments() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::join(node.address());
    let registration = callee.register("com.example.procedure");
    let mut caller = Client::join(node.address());
    for (sent, passed_on) in [
        (",null", ""),
        (",null,null", ""),
        (", null , null ", ""),
        (",[1],null", ",[1]"),
        (r#",null,{"a":1}"#, r#",[],{"a":1}"#),
    ] {
        let request = caller.next_request();
        caller.send_text(&format!(
            r#"[48,{request},{{}},"com.example.procedure"{sent}]"#
        ));
        let Received::Text(invocation) = callee.receive() else {
            panic!("no INVOCATION for {sent}");
        };
        let id = invocation.split(',').nth(1).expect("an id");
        assert_eq!(
            invocation,
            format!("[68,{id},{registration},{{}}{passed_on}]")
        );
        callee.send_text(&format!("[70,{id},{{}}{sent}]"));
        let result = format!("[50,{request},{{}}{passed_on}]");
        assert_eq!(caller.receive(), Received::Text(result));
    }
    caller.send_text(r#"[48,99,{},"com.example.procedure",null,null,null]"#);
    caller.expect_abort("wamp.error.protocol_violation");
}

#[test]
fn a_callee_for_whom_a_message_is_too_large_is_logged_and_its_callers_learn_why() {
    let mut node = Node::start(&config(&[router()]));
    let (mut callee, _, mut caller, request) = asked(&node);
    callee.send_bytes(&frame(0x88, b"\x03\xf1message of 5 exceeds limit of 4"));
    let why = caller.expect_error(code::CALL, request, "wamp.error.canceled");
    assert!(why.contains("a message was too large for it"), "{why}");
    node.wait_for_log("message of 5 exceeds limit of 4");
    let log = node.log();
    assert!(log.contains("code=1009"), "{log}");
    assert!(
        log.contains(&format!("session={}", callee.session())),
        "{log}"
    );

    // Who goes away has nothing to complain of.
    let (mut callee, _, mut caller, request) = asked(&node);
    callee.send_bytes(&frame(0x88, b"\x03\xe9"));
    let why = caller.expect_error(code::CALL, request, "wamp.error.canceled");
    assert!(!why.contains("because"), "{why}");
    assert_eq!(node.log().matches("complaint").count(), 1);
}

/// A text that takes six times as much where it is escaped.
fn long() -> String {
    "\u{1}é\"".repeat(300_000)
}

#[test]
fn no_answer_repeats_all_of_what_was_sent() {
    const MOST: usize = 8_000;
    let mut node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let long = long();
    let before_hello = [
        hello(&long),
        hello(&format!("realm.{}", "x".repeat(1_000_000))),
        json!([code::HELLO, "realm1", {"roles": {"caller": {}}, "authmethods": [long]}]),
        json!([code::HELLO, "realm1", {"roles": long}]),
        json!([long]),
    ];
    let in_session = [
        json!([code::CALL, long, {}, "com.example.echo"]),
        json!([code::CALL, 1, {"timeout": long}, "com.example.echo"]),
        json!([code::CALL, 1, {}, long]),
        json!([code::CALL, 1, {}, format!("com.{}", "x".repeat(1_000_000))]),
        json!([code::CALL, 1, {}, "x".repeat(1_000_000)]),
        json!([code::REGISTER, 1, {}, long]),
        json!([code::REGISTER, 1, {"match": long}, "com.a"]),
        json!([
            code::REGISTER,
            1,
            {},
            format!("wamp.{}", "x".repeat(1_000_000))
        ]),
        json!([code::SUBSCRIBE, 1, {"match": long}, "com.a"]),
        json!([code::PUBLISH, 1, {"acknowledge": true}, long]),
    ];
    let open = before_hello.map(|message| (Client::open(node.address()), message));
    let joined = in_session.map(|message| (Client::join(node.address()), message));
    for (mut client, message) in open.into_iter().chain(joined) {
        client.send(&message);
        let Received::Text(answer) = client.receive() else {
            panic!("no ERROR nor ABORT");
        };
        let begin: String = answer.chars().take(200).collect();
        assert!(matches!(&answer[..2], "[3" | "[8"), "{begin}");
        assert!(answer.len() < MOST, "{} bytes: {begin}", answer.len());
    }
    let log = node.log();
    for line in log.lines() {
        assert!(line.len() < MOST, "{} bytes of log: {line}", line.len());
    }
}
