//! `wampgres publish` and `wampgres subscribe`: events in and out of a shell.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    cli::{Cli, run},
    fake_router::{self, say},
    node::{Node, config, router},
    websocket::{Client, code},
};

const TOPIC: &str = "com.example.topic";

fn node() -> Node {
    Node::start(&config(&[router()]))
}

fn subscribed(node: &Node, args: &[&str]) -> Cli {
    let mut subscriber = Cli::start_at(node.address(), "subscribe", args);
    subscriber.expect_on_stderr("subscribed to");
    subscriber
}

#[test]
fn an_event_goes_from_one_shell_to_another() {
    let node = node();
    let mut subscriber = subscribed(&node, &[TOPIC]);
    let args = [TOPIC, "1", "tea", "-k", "a=1.50"];
    let published = run(node.address(), "publish", &args).value();
    let line = subscriber.line();
    let publication = &published["publication"];
    let expected = format!(
        r#"{{"topic":"{TOPIC}","publication":{publication},"args":[1,"tea"],"kwargs":{{"a":1.50}}}}"#
    );
    assert_eq!(line, expected);

    let silent = run(node.address(), "publish", &[TOPIC, "2", "--no-acknowledge"]);
    assert_eq!(
        (silent.code, silent.stdout.len()),
        (Some(0), 0),
        "{silent:?}"
    );
    assert_eq!(subscriber.json()["args"], json!([2]));

    subscriber.signal(Signal::SIGINT);
    let outcome = subscriber.finish();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

#[test]
fn each_value_of_an_input_is_an_event_as_soon_as_it_is_read() {
    let node = node();
    let mut subscriber = subscribed(&node, &[TOPIC]);
    let mut publisher = Cli::start_at(node.address(), "publish", &[TOPIC, "--input", "-"]);
    let mut passes = |text: &str, args: Value, kwargs: Value| {
        publisher.write(text);
        let event = subscriber.json();
        assert_eq!((&event["args"], &event["kwargs"]), (&args, &kwargs));
        assert_eq!(publisher.json()["publication"], event["publication"]);
    };
    passes("[1, 2]\n", json!([1, 2]), json!({}));
    passes("{\"kwargs\": {\"a\": 1}}\n", json!([]), json!({"a": 1}));
    // More than may wait at once.
    let many: String = (0..1000).map(|n| format!("[{n}]\n")).collect();
    publisher.write(&many);
    for n in 0..1000 {
        assert_eq!(subscriber.json()["args"], json!([n]));
    }
    publisher.write("[1000] 7");
    let outcome = publisher.finish();
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert_eq!(outcome.stdout.len(), 1001, "all before it are published");
    assert!(
        outcome.stderr.contains("value 1004: must be a JSON list"),
        "{outcome:?}"
    );
}

#[test]
fn a_subscriber_ends_after_so_many_events_or_so_long() {
    let node = node();
    let two = subscribed(&node, &[TOPIC, "com.example.other", "--count", "2"]);
    let mut publisher = Client::join(node.address());
    // Its second subscription may not be there yet; the first is.
    for n in 1..=3 {
        publisher.publish(TOPIC, &json!([n]));
    }
    let outcome = two.finish();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let args = |line: &String| serde_json::from_str::<Value>(line).expect("JSON")["args"].clone();
    let args: Vec<_> = outcome.stdout.iter().map(args).collect();
    assert_eq!(args, [json!([1]), json!([2])]);

    let none = run(node.address(), "subscribe", &[TOPIC, "--timeout", "0.1"]);
    none.assert_fails(4, "wampgres subscribe: --timeout is over");
    let mut unfinished = subscribed(&node, &[TOPIC, "--count", "1"]);
    unfinished.signal(Signal::SIGTERM);
    assert_eq!(unfinished.wait(), Some(130));
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_subscriber() {
    let node = node();
    let mut subscriber = subscribed(&node, &[TOPIC]);
    subscriber.close_stdout();
    let mut publisher = Client::join(node.address());
    // Its reader notices when the next line comes, and the subscriber with the one after.
    publisher.publish(TOPIC, &json!([1]));
    let ended = crate::support::wait::until("the end of the subscriber", || {
        publisher.publish(TOPIC, &json!([2]));
        subscriber.try_wait()
    });
    assert_eq!(ended, 0);
}

#[test]
fn refusals_and_losses_have_their_exit_codes() {
    let node = node();
    let refused = run(node.address(), "publish", &["org.example.topic"]);
    refused.assert_fails(3, "wampgres publish: wamp.error.not_authorized");
    let refused = run(node.address(), "subscribe", &["org.example.topic"]);
    refused.assert_fails(3, "wampgres subscribe: wamp.error.not_authorized");
    let pattern = run(node.address(), "subscribe", &[TOPIC, "--match", "prefix"]);
    pattern.assert_fails(3, "wamp.error.option_not_allowed");

    let lost = fake_router::start(|from, message| match message[0].as_u64() {
        Some(code::SUBSCRIBE) => {
            let mut answers = say(from, json!([code::SUBSCRIBED, message[1], 1]));
            answers.push((from, String::new()));
            answers
        }
        _ => panic!("not {message}"),
    });
    let lost = run(lost, "subscribe", &[TOPIC]);
    lost.assert_fails(1, "wampgres subscribe: the session has ended");
}

#[test]
fn events_of_a_pattern_name_their_topic_and_disclosed_publishers() {
    let address = fake_router::start(|from, message| {
        assert_eq!(message[2], json!({"match": "prefix"}));
        let details =
            json!({"topic": "com.example.topic.a", "publisher": 7, "publisher_authid": "joe"});
        let event = json!([code::EVENT, 1, 9, details, [], {"a": 1}]);
        let mut answers = say(from, json!([code::SUBSCRIBED, message[1], 1]));
        answers.extend(say(from, event));
        answers
    });
    let args = [TOPIC, "--match", "prefix", "--count", "1"];
    let event = run(address, "subscribe", &args).value();
    assert_eq!(event["topic"], "com.example.topic.a");
    assert_eq!(event["kwargs"], json!({"a": 1}));
    assert_eq!(event["details"]["publisher_authid"], "joe");
}
