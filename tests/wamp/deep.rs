//! Messages nested 100,000 deep cost nobody anything but their sender, and payloads not even a
//! session.

use serde_json::json;

use crate::support::{
    node::{Node, config, router},
    websocket::{ANY, Client, Echo, Received, code},
};

const LEVELS: usize = 100_000;
const VIOLATION: &str = "wamp.error.protocol_violation";
const INVALID_ARGUMENT: &str = "wamp.error.invalid_argument";

fn lists(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

fn dicts(levels: usize) -> String {
    format!("{}0{}", r#"{"k":"#.repeat(levels), "}".repeat(levels))
}

#[test]
fn a_payload_nested_too_deep_is_refused_and_its_senders_session_goes_on() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let mut subscriber = Client::join(node.address());
    subscriber.subscribe("com.example.topic");
    let mut sender = Client::join(node.address());
    for levels in [513, LEVELS] {
        let (lists, dicts) = (lists(levels), dicts(levels));
        for payload in [&lists, &format!("[{dicts}]"), &format!("[],{dicts}")] {
            let request = sender.next_request();
            let rest = format!(r#""com.example.echo",{payload}]"#);
            sender.send_text(&format!("[48,{request},{{}},{rest}"));
            let why = sender.expect_error(code::CALL, request, INVALID_ARGUMENT);
            assert!(why.contains("deeper than 512 levels"), "{why}");
        }
        let request = sender.next_request();
        sender.send_text(&format!(
            r#"[16,{request},{{"acknowledge":true}},"com.example.topic",{lists}]"#
        ));
        sender.expect_error(code::PUBLISH, request, INVALID_ARGUMENT);
        let request = sender.next_request();
        sender.send_text(&format!(
            r#"[16,{request},{{}},"com.example.topic",{lists}]"#
        ));
        // Nothing comes of that one, neither here nor there.
        let result = sender.result_of("com.example.echo", &json!([levels]));
        assert_eq!(result, json!([levels]));
    }
    sender.publish("com.example.topic", &json!(["flat"]));
    subscriber.expect(&json!([code::EVENT, ANY, ANY, {}, ["flat"]]));
}

#[test]
fn a_caller_cannot_end_its_callees_session_by_what_the_callee_makes_of_the_arguments() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::join(node.address());
    callee.register("com.example.wrap");
    let mut caller = Client::join(node.address());
    let deepest = lists(512);
    for answer in [
        "70,{request},{}",
        r#"8,68,{request},{},"com.example.failed""#,
    ] {
        let request = caller.next_request();
        caller.send_text(&format!(
            r#"[48,{request},{{}},"com.example.wrap",{deepest}]"#
        ));
        let Received::Text(invocation) = callee.receive() else {
            panic!("no INVOCATION");
        };
        assert!(invocation.ends_with(&format!(",{{}},{deepest}]")));
        let id = invocation.split(',').nth(1).expect("an id");
        let answer = answer.replace("{request}", id);
        callee.send_text(&format!("[{answer},[{deepest}]]"));
        let why = caller.expect_error(code::CALL, request, INVALID_ARGUMENT);
        assert!(why.contains("the callee's answer"), "{why}");
    }

    let mut other = Client::join(node.address());
    let request = other.call("com.example.wrap", &json!([1]));
    let invocation = callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, [1]]));
    callee.send(&json!([code::YIELD, invocation[1], {}, [[1]]]));
    other.expect(&json!([code::RESULT, request, {}, [[1]]]));
}

#[test]
fn deep_nesting_elsewhere_ends_its_senders_session_while_others_are_answered() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    // As many as sit on every I/O thread, that of the sender too.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut others: Vec<_> = (0..processors)
        .map(|_| Client::join(node.address()))
        .collect();

    let (lists, dicts) = (lists(LEVELS), dicts(LEVELS));
    for text in [
        format!(r#"[48,{lists},{{}},"com.example.echo"]"#),
        format!("[48,1,{{}},{lists}]"),
        format!(r#"[48,1,{{}},"com.example.echo",{dicts}]"#),
        lists.clone(),
        dicts.clone(),
        "[".repeat(LEVELS),
        r#"{"k":"#.repeat(LEVELS),
    ] {
        let mut sender = Client::join(node.address());
        sender.send_text(&text);
        for other in &mut others {
            assert_eq!(other.result_of("com.example.echo", &json!([1])), json!([1]));
        }
        sender.expect_abort(VIOLATION);
    }
}

#[test]
fn deep_nesting_in_an_option_that_nobody_reads_is_skipped() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let lists = lists(LEVELS);
    let mut client = Client::open(node.address());
    client.send_text(&format!(
        r#"[1,"realm1",{{"roles":{{"caller":{{}}}},"x_deep":{lists}}}]"#
    ));
    client.welcomed();
    client.send_text(&format!(
        r#"[48,1,{{"x_deep":{lists}}},"com.example.echo",["answered"]]"#
    ));
    client.expect(&json!([code::RESULT, 1, {}, ["answered"]]));
}
