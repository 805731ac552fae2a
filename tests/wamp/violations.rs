//! What breaks the protocol ends the session that does it, with a word why, and no other.

use serde_json::json;
use tungstenite::Message;

use crate::support::{
    node::{Node, config, router},
    websocket::{Client, Echo, code},
};

const VIOLATION: &str = "wamp.error.protocol_violation";

/// Texts that break the protocol wherever they come, and words of the explanation.
const NO_MESSAGES: &[(&str, &str)] = &[
    ("", "EOF"),
    ("garbage", "expected value"),
    ("{}", "list"),
    ("[]", "MessageType|integer is missing"),
    ("[", "EOF"),
    ("\"48\"", "list"),
    ("null", "list"),
    ("[4711]", "no message of type 4711"),
    ("[-1]", "integer `-1`"),
    ("[1.5]", "floating point"),
    ("[\"48\"]", "string"),
    ("[[48]]", "sequence"),
    (r#"[48,1,{},"com.a"] [48,2,{},"com.a"]"#, "trailing"),
];

/// Messages that no joined client may send.
const FORBIDDEN: &[(&str, &str)] = &[
    (r#"[1,"realm1",{"roles":{"caller":{}}}]"#, "HELLO after"),
    (r#"[2,1,{}]"#, "WELCOME is for routers"),
    ("[17,1,1]", "PUBLISHED is for routers"),
    ("[33,1,1]", "SUBSCRIBED is for routers"),
    ("[35,1]", "UNSUBSCRIBED is for routers"),
    ("[36,1,1,{}]", "EVENT is for routers"),
    ("[50,1,{}]", "RESULT is for routers"),
    ("[65,1,1]", "REGISTERED is for routers"),
    ("[67,1]", "UNREGISTERED is for routers"),
    ("[68,1,1,{}]", "INVOCATION is for routers"),
    ("[70,1,{}]", "INVOCATION 1, which was never sent"),
    (
        r#"[8,68,1,{},"com.a"]"#,
        "INVOCATION 1, which was never sent",
    ),
    (r#"[8,48,1,{},"com.a"]"#, "ERROR for CALL"),
    (r#"[8,16,1,{},"com.a"]"#, "ERROR for PUBLISH"),
    (r#"[8,50,1,{},"com.a"]"#, "REQUEST.Type 50"),
];

/// Messages whose elements are not what they should be.
const MALFORMED: &[(&str, &str)] = &[
    ("[48]", "Request|id is missing"),
    (r#"[48,0,{},"com.a"]"#, "the id 0"),
    (r#"[48,-1,{},"com.a"]"#, "integer `-1`"),
    (r#"[48,1.5,{},"com.a"]"#, "floating point"),
    (r#"[48,"1",{},"com.a"]"#, "string"),
    (r#"[48,null,{},"com.a"]"#, "null"),
    (r#"[48,9007199254740993,{},"com.a"]"#, "9007199254740993"),
    (r#"[48,18446744073709551616,{},"com.a"]"#, "invalid CALL"),
    (r#"[48,1,[],"com.a"]"#, "invalid CALL"),
    (r#"[48,1,null,"com.a"]"#, "invalid CALL"),
    ("[48,1,{},7]", "URI string"),
    ("[48,1,{}]", "Procedure|uri is missing"),
    (r#"[48,1,{},"com.a",{}]"#, "Arguments must be a list"),
    (r#"[48,1,{},"com.a",[],[]]"#, "ArgumentsKw must be a dict"),
    (r#"[48,1,{},"com.a",[],{},1]"#, "more elements"),
    (
        r#"[16,1,{"ppt_scheme":"x_mine"},"com.a",[1]]"#,
        "ppt_scheme is not served",
    ),
    (
        r#"[48,1,{"ppt_scheme":"x_mine"},"com.a",[1]]"#,
        "ppt_scheme is not served",
    ),
    (r#"[49,1,{"mode":"murder"}]"#, "unknown variant `murder`"),
    (r#"[70,1,{"progress":"yes"}]"#, "boolean"),
    (r#"[32,1,{}]"#, "Topic|uri is missing"),
    ("[34,1,0]", "the id 0"),
    (r#"[64,1,{},"com.a","x"]"#, "more elements"),
    ("[66,1,9007199254740993]", "9007199254740993"),
    ("[70,1]", "Options|dict is missing"),
    ("[6,{}]", "Reason|uri is missing"),
];

#[test]
fn before_hello_anything_else_is_a_violation() {
    let node = Node::start(&config(&[router()]));
    let too_early = [
        (r#"[48,1,{},"com.a"]"#, "CALL before"),
        (r#"[16,1,{},"com.a"]"#, "PUBLISH before"),
        (r#"[6,{},"wamp.close.close_realm"]"#, "GOODBYE before"),
        ("[2,1,{}]", "WELCOME before"),
        (r#"[1,"realm1",{"roles":{"caller":true}}]"#, "invalid HELLO"),
        (r#"[1,"realm1"]"#, "Details|dict is missing"),
        (r#"[1,7,{"roles":{"caller":{}}}]"#, "URI string"),
    ];
    for (text, words) in too_early.iter().chain(NO_MESSAGES) {
        let mut client = Client::open(node.address());
        client.send_text(text);
        let message = client.expect_abort(VIOLATION);
        assert!(message.contains(words), "{text}: {words} in {message}");
    }
    Client::join(node.address()).leave();
}

#[test]
fn in_a_session_each_violation_ends_it_and_no_other() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let mut bystander = Client::join(node.address());
    for (text, words) in NO_MESSAGES.iter().chain(FORBIDDEN).chain(MALFORMED) {
        let mut client = Client::join(node.address());
        client.register("com.example.of.the.violator");
        client.send_text(text);
        let message = client.expect_abort(VIOLATION);
        assert!(message.contains(words), "{text}: {words} in {message}");
        assert_eq!(
            bystander.result_of("com.example.echo", &json!([text])),
            json!([text])
        );
    }
}

#[test]
fn a_binary_message_is_a_violation_of_wamp_2_json() {
    let node = Node::start(&config(&[router()]));
    for joined in [false, true] {
        let mut client = if joined {
            Client::join(node.address())
        } else {
            Client::open(node.address())
        };
        client.send_message(Message::binary(
            br#"[1,"realm1",{"roles":{"caller":{}}}]"#.to_vec(),
        ));
        let message = client.expect_abort(VIOLATION);
        assert!(message.contains("wamp.2.json"), "{message}");
    }
}

#[test]
fn a_request_id_that_a_pending_call_has_is_a_violation() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::join(node.address());
    callee.register("com.example.silent");
    let mut caller = Client::join(node.address());
    for _ in 0..2 {
        caller.send(&json!([code::CALL, 7, {}, "com.example.silent"]));
    }
    let message = caller.expect_abort(VIOLATION);
    assert!(message.contains("request id 7"), "{message}");
}

#[test]
fn what_follows_a_violation_is_not_heard() {
    let node = Node::start(&config(&[router()]));
    let mut client = Client::join(node.address());
    let mut subscriber = Client::join(node.address());
    subscriber.subscribe("com.example.topic");
    client.send_text("[]");
    client.publish("com.example.topic", &json!(["too late"]));
    client.expect_abort(VIOLATION);
    let mut publisher = Client::join(node.address());
    publisher.publish("com.example.topic", &json!(["heard"]));
    let event = subscriber.message();
    assert_eq!(event[4], json!(["heard"]));
}
