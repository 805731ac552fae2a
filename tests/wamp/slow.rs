//! Clients that do not read what they are sent, and those who are not to notice.

use std::io::Write;

use serde_json::json;

use crate::support::{
    node::{Node, config, router_with},
    websocket::{ANY, Client, Echo, Received, code, frame, is_timeout},
};

#[test]
fn a_subscriber_that_does_not_read_is_dropped_and_nobody_else_loses_anything() {
    const TOPIC: &str = "com.example.flood";
    const MOST: u64 = 20_000;
    const AFTER: u64 = 100;
    let options = json!({"outbox_limit": 65536});
    let mut node = Node::start(&config(&[router_with(options)]));
    let [mut slow, mut reading, mut publisher] = [(); 3].map(|()| Client::join(node.address()));
    slow.subscribe(TOPIC);
    reading.subscribe(TOPIC);
    let ballast = "x".repeat(16 * 1024);

    let mut publish = |n: u64| {
        let request = publisher.next_request();
        let options = json!({"acknowledge": true});
        publisher.send(&json!([
            code::PUBLISH,
            request,
            options,
            TOPIC,
            [n, ballast]
        ]));
        publisher.expect(&json!([code::PUBLISHED, request, ANY]));
        reading.expect(&json!([code::EVENT, ANY, ANY, {}, [n, ANY]]));
    };
    let dropped_at = (0..MOST).find(|n| {
        publish(*n);
        node.log().contains("outbox_limit")
    });
    let dropped_at = dropped_at.expect("the subscriber that does not read is dropped");
    for n in dropped_at + 1..=dropped_at + AFTER {
        publish(n);
    }
    let log = node.log();
    assert_eq!(log.matches("does not read").count(), 1, "{log}");
    assert!(log.contains("limit=65536"), "{log}");

    let mut received = 0;
    let end = loop {
        match slow.receive() {
            Received::Text(_) => received += 1,
            end => break end,
        }
    };
    assert_eq!(end, Received::End { orderly: false });
    assert!(received <= dropped_at, "{received} of {dropped_at}");
    Client::join(node.address()).leave();
}

#[test]
fn a_client_that_asks_on_and_never_reads_the_answers_is_dropped() {
    // Far more than all buffers on the way hold.
    const MOST: usize = 1 << 30;
    let options = json!({"outbox_limit": 65536});
    let mut node = Node::start(&config(&[router_with(options)]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let mut bystander = Client::join(node.address());
    let asking = Client::join(node.address());
    let calls = frame(0x81, br#"[48,1,{},"com.example.nothing"]"#).repeat(100);
    let mut written = 0;
    let error = loop {
        match asking.stream().write_all(&calls) {
            Ok(()) => written += calls.len(),
            Err(error) => break error,
        }
        assert!(written < MOST, "{written} bytes are taken without an end");
        let answer = bystander.result_of("com.example.echo", &json!([written]));
        assert_eq!(answer, json!([written]));
    };
    assert!(!is_timeout(&error), "the node does not read on: {error}");
    node.wait_for_log("outbox_limit");
}
