//! Frames: whole, in pieces, too large, and such as RFC 6455 does not have.

use serde_json::json;
use tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::support::{
    node::{Node, config, router, router_with},
    websocket::{Client, Echo, Received, code, frame, unmasked_frame},
};

#[test]
fn a_ping_is_answered_with_its_payload() {
    let node = Node::start(&config(&[router()]));
    let mut client = Client::join(node.address());
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        client.send_message(Message::Ping(payload.to_vec().into()));
        assert_eq!(client.receive(), Received::Pong(payload.to_vec()));
    }
}

#[test]
fn a_fragmented_message_is_one_message() {
    let node = Node::start(&config(&[router()]));
    let mut client = Client::join(node.address());
    let call = r#"[48,1,{},"com.example.nöthing"]"#.as_bytes();
    // The cut goes through the two bytes of a letter; a ping comes in between.
    let cut = 1 + call.iter().position(|byte| *byte == 0xc3).expect("an ö");
    client.send_bytes(&frame(0x01, &call[..5]));
    client.send_bytes(&frame(0x00, &call[5..cut]));
    client.send_bytes(&frame(0x89, b"between"));
    client.send_bytes(&frame(0x80, &call[cut..]));
    assert_eq!(client.receive(), Received::Pong(b"between".to_vec()));
    let message = client.expect_error(code::CALL, 1, "wamp.error.no_such_procedure");
    assert!(message.contains("com.example.nöthing"), "{message}");
}

#[test]
fn many_messages_in_one_segment_are_all_answered_in_order() {
    let node = Node::start(&config(&[router()]));
    let mut client = Client::join(node.address());
    let bytes: Vec<u8> = (1..=1000)
        .flat_map(|n| frame(0x81, format!(r#"[48,{n},{{}},"com.x"]"#).as_bytes()))
        .collect();
    client.send_bytes(&bytes);
    for n in 1..=1000 {
        client.expect_error(code::CALL, n, "wamp.error.no_such_procedure");
    }
}

/// A call that takes so many bytes.
fn call_of(length: usize) -> String {
    let (begin, end) = (r#"[48,1,{},"com.example.echo",["#, "\"]]");
    let argument = "x".repeat(length - begin.len() - end.len() - 1);
    format!("{begin}\"{argument}{end}")
}

#[test]
fn a_message_may_be_as_large_as_max_message_size_and_no_larger() {
    const LIMIT: usize = 100_000;
    let node = Node::start(&config(&[router_with(json!({"max_message_size": LIMIT}))]));
    let mut echo = Client::join(node.address());
    echo.register("com.example.echo");

    let mut client = Client::join(node.address());
    client.send_text(&call_of(LIMIT));
    assert_eq!(
        echo.message()[4][0].as_str().map(|x| x.len() > LIMIT / 2),
        Some(true)
    );

    client.send_text(&call_of(LIMIT + 1));
    assert_eq!(client.expect_close().0, CloseCode::Size);

    // The same in pieces, none of which is too large, and which never end.
    let mut client = Client::join(node.address());
    client.send_bytes(&frame(0x01, &[b' '; LIMIT / 2]));
    client.send_bytes(&frame(0x00, &[b' '; LIMIT / 2]));
    client.send_bytes(&frame(0x00, b" "));
    assert_eq!(client.expect_close().0, CloseCode::Size);
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_the_message_comes() {
    let node = Node::start(&config(&[router()]));
    let mut client = Client::join(node.address());
    let mut head = vec![0x81, 0xff];
    head.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    client.send_bytes(&head);
    assert_eq!(client.expect_close().0, CloseCode::Size);
}

#[test]
fn max_frame_size_limits_a_frame() {
    let options = json!({"max_frame_size": 1000});
    let node = Node::start(&config(&[router_with(options)]));
    let mut callee = Client::join(node.address());
    callee.register("com.example.echo");
    let mut client = Client::join(node.address());
    let call = call_of(1500);
    client.send_bytes(&frame(0x01, &call.as_bytes()[..1000]));
    client.send_bytes(&frame(0x80, &call.as_bytes()[1000..]));
    assert_eq!(callee.message()[0], code::INVOCATION);
    client.send_text(&call_of(1001));
    assert_eq!(client.expect_close().0, CloseCode::Size);
}

/// Frames that no client may send, and the close code that answers them.
fn broken() -> [(&'static str, Vec<u8>, CloseCode); 13] {
    [
        (
            "a short length in 16 bits",
            [&[0x81, 0xfe, 0, 2, 0, 0, 0, 0][..], b"[]"].concat(),
            CloseCode::Protocol,
        ),
        (
            "a short length in 64 bits",
            [&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0][..], b"[]"].concat(),
            CloseCode::Protocol,
        ),
        (
            "a length with its top bit",
            vec![0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0],
            CloseCode::Protocol,
        ),
        ("no mask", unmasked_frame(0x81, b"[]"), CloseCode::Protocol),
        (
            "invalid UTF-8",
            frame(0x81, b"\"\xff\xfe\""),
            CloseCode::Invalid,
        ),
        ("half a letter", frame(0x81, b"\"\xc3"), CloseCode::Invalid),
        ("a reserved bit", frame(0xc1, b"[]"), CloseCode::Protocol),
        ("an unknown opcode", frame(0x83, b"[]"), CloseCode::Protocol),
        ("an unknown control", frame(0x8b, b""), CloseCode::Protocol),
        ("a long ping", frame(0x89, &[0; 126]), CloseCode::Protocol),
        ("half a ping", frame(0x09, b""), CloseCode::Protocol),
        (
            "nothing to go on with",
            frame(0x80, b"[]"),
            CloseCode::Protocol,
        ),
        (
            "a message inside of another",
            [frame(0x01, b"["), frame(0x81, b"[]")].concat(),
            CloseCode::Protocol,
        ),
    ]
}

#[test]
fn what_is_no_websocket_ends_the_connection_with_the_code_for_it() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let mut bystander = Client::join(node.address());
    for (what, bytes, code) in broken() {
        let mut client = Client::join(node.address());
        client.register("com.example.of.the.violator");
        client.send_bytes(&bytes);
        assert_eq!(client.expect_close().0, code, "{what}");
        assert_eq!(
            bystander.result_of("com.example.echo", &json!([what])),
            json!([what])
        );
    }
}

#[test]
fn with_fail_by_drop_no_close_frame_follows_a_violation() {
    let node = Node::start(&config(&[router_with(json!({"fail_by_drop": true}))]));
    for (what, bytes, _) in broken() {
        let mut client = Client::join(node.address());
        client.send_bytes(&bytes);
        assert_eq!(client.receive(), Received::End { orderly: false }, "{what}");
    }
    // WAMP has its word for a violation, which comes before the end; in a session or not.
    for mut client in [Client::open(node.address()), Client::join(node.address())] {
        client.send_text("[]");
        let abort = client.message();
        assert_eq!(
            (&abort[0], &abort[2]),
            (&json!(3), &json!("wamp.error.protocol_violation"))
        );
        assert_eq!(client.receive(), Received::End { orderly: false });
    }
    // What is refused or leaves without a violation is closed as ever.
    let mut client = Client::open(node.address());
    client.send(&crate::support::websocket::hello("realm2"));
    client.expect_abort("wamp.error.no_such_realm");
    Client::join(node.address()).leave();
}
