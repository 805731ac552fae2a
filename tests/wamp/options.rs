//! Options on the wire that restrict who receives or who is called, that want more than one
//! answer, or that this version does not serve.

use serde_json::{Value, json};

use crate::support::{
    node::{Node, config, router},
    websocket::{ANY, Client, code},
};

const TOPIC: &str = "com.example.topic";
const PROCEDURE: &str = "com.example.procedure";

/// What the node does with the options of a PUBLISH by a fourth session, of three subscribers.
fn receivers(options: impl Fn(&[u64]) -> Value) -> (Option<Value>, Vec<usize>) {
    let node = Node::start(&config(&[router()]));
    let mut clients = [(); 3].map(|()| Client::join(node.address()));
    let mut publisher = Client::join(node.address());
    let sessions: Vec<u64> = clients.iter().map(Client::session).collect();
    for client in &mut clients {
        client.subscribe(TOPIC);
    }
    let options = options(&sessions);
    let request = publisher.next_request();
    publisher.send(&json!([code::PUBLISH, request, options, TOPIC, ["secret"]]));
    let answer = (options["acknowledge"] == true).then(|| publisher.message());
    publisher.publish(TOPIC, &json!(["for all"]));
    let received = (clients.iter_mut().enumerate()).filter_map(|(at, client)| {
        let mut got_it = false;
        loop {
            let event = client.expect(&json!([code::EVENT, ANY, ANY, {}, [ANY]]));
            match event[4][0].as_str() {
                Some("secret") => got_it = true,
                _ => return got_it.then_some(at),
            }
        }
    });
    let received = received.collect();
    (answer, received)
}

#[test]
fn an_event_for_one_goes_to_one() {
    let (answer, received) = receivers(|ids| json!({"eligible": [ids[1]], "acknowledge": true}));
    assert_eq!(answer.expect("asked for")[0], code::PUBLISHED);
    assert_eq!(received, [1]);

    let (_, received) = receivers(|ids| json!({"exclude": [ids[1]]}));
    assert_eq!(received, [0, 2]);
    let (_, received) = receivers(|ids| json!({"eligible_authid": [ids[2].to_string()]}));
    assert_eq!(received, [2]);
    let (_, received) = receivers(|_| json!({"exclude_authrole": ["anonymous"]}));
    assert_eq!(received, [0; 0]);
    let (_, received) = receivers(|_| json!({"eligible": []}));
    assert_eq!(received, [0; 0]);
}

#[test]
fn an_event_whose_receivers_cannot_be_read_goes_to_nobody() {
    let (answer, received) = receivers(|ids| json!({"eligible": ids[1], "acknowledge": true}));
    let answer = answer.expect("asked for");
    assert_eq!(
        (&answer[0], &answer[4]),
        (&json!(code::ERROR), &json!("wamp.error.invalid_argument"))
    );
    assert!(answer[5][0].as_str().expect("words").contains("eligible"));
    assert_eq!(received, [0; 0]);
    let (_, received) = receivers(|ids| json!({"eligible": ids[1]}));
    assert_eq!(received, [0; 0]);
}

#[test]
fn what_is_not_served_is_refused_by_its_name() {
    let node = Node::start(&config(&[router()]));
    let mut client = Client::join(node.address());
    client.register(PROCEDURE);
    for (code, option, value) in [
        (code::PUBLISH, "retain", json!(true)),
        (code::PUBLISH, "rkey", json!("k")),
        (code::PUBLISH, "forward_for", json!([{"session": 1}])),
        (code::PUBLISH, "enc_algo", json!("x_mine")),
        (code::SUBSCRIBE, "match", json!("prefix")),
        (code::SUBSCRIBE, "match", json!("wildcard")),
        (code::SUBSCRIBE, "get_retained", json!(true)),
        (code::SUBSCRIBE, "nkey", json!("k")),
        (code::REGISTER, "match", json!("prefix")),
        (code::REGISTER, "invoke", json!("roundrobin")),
        (code::REGISTER, "disclose_caller", json!(true)),
        (code::REGISTER, "nkey", json!("k")),
        (code::CALL, "progress", json!(true)),
        (code::CALL, "runmode", json!("partition")),
        (code::CALL, "rkey", json!("k")),
        (code::CALL, "forward_for", json!([{"session": 1}])),
    ] {
        let request = client.next_request();
        let mut options = json!({"acknowledge": true});
        options[option] = value;
        client.send(&json!([code, request, options, PROCEDURE]));
        let error = client.expect_error(code, request, "wamp.error.option_not_allowed");
        assert!(error.contains(option), "{option}: {error}");
    }
}

#[test]
fn options_that_only_say_more_are_let_pass() {
    let node = Node::start(&config(&[router()]));
    let mut client = Client::join(node.address());
    let options = json!({
        "x_mine": 1, "transaction_hash": "h", "trace_id": "t", "retain": false, "rkey": null,
        "match": "exact", "invoke": "single", "acknowledge": true
    });
    for (code, answer) in [
        (code::REGISTER, code::REGISTERED),
        (code::SUBSCRIBE, code::SUBSCRIBED),
        (code::PUBLISH, code::PUBLISHED),
        (code::CALL, code::INVOCATION),
    ] {
        let request = client.next_request();
        client.send(&json!([code, request, options, PROCEDURE]));
        assert_eq!(client.message()[0], answer);
    }
}

#[test]
fn a_procedure_is_taken_over_and_each_call_answered_once() {
    let node = Node::start(&config(&[router()]));
    let [mut old, mut new, mut caller] = [(); 3].map(|()| Client::join(node.address()));
    let registration = old.register(PROCEDURE);
    let first = caller.call(PROCEDURE, &json!(["first"]));
    let invoked = old.expect(&json!([code::INVOCATION, ANY, registration, {}, ["first"]]));
    let request = new.next_request();
    new.send(&json!([code::REGISTER, request, {"force_reregister": true}, PROCEDURE]));
    new.expect(&json!([code::REGISTERED, request, ANY]));
    let why = json!({"registration": registration, "reason": "wamp.error.unregistered"});
    old.expect(&json!([code::UNREGISTERED, 0, why]));

    let second = caller.call(PROCEDURE, &json!(["second"]));
    let taken = new.expect(&json!([code::INVOCATION, ANY, ANY, {}, ["second"]]));
    new.send(&json!([code::YIELD, taken[1], {}, ["by the new one"]]));
    assert_eq!(caller.expect_result(second), "by the new one");
    old.send(&json!([code::YIELD, invoked[1], {}, ["by the old one"]]));
    assert_eq!(caller.expect_result(first), "by the old one");
}

#[test]
fn a_result_in_parts_is_not_over_with_the_first() {
    let node = Node::start(&config(&[router()]));
    let mut caller = Client::join(node.address());
    let mut callee = Client::open(node.address());
    let features = json!({"progressive_call_results": true, "call_canceling": true});
    callee.send(&json!([1, "realm1", {"roles": {"callee": {"features": features}}}]));
    callee.welcomed();
    callee.register(PROCEDURE);
    let request = caller.next_request();
    caller.send(&json!([code::CALL, request, {"receive_progress": true}, PROCEDURE]));
    let details = json!({"receive_progress": true});
    let invoked = callee.expect(&json!([code::INVOCATION, ANY, ANY, details]))[1].clone();
    for part in 1..=3 {
        callee.send(&json!([code::YIELD, invoked, {"progress": true}, [part]]));
        caller.expect(&json!([code::RESULT, request, {"progress": true}, [part]]));
    }
    callee.send(&json!([code::YIELD, invoked, {}, ["end"]]));
    caller.expect(&json!([code::RESULT, request, {}, ["end"]]));

    // A part that was not asked for is not the answer.
    let request = caller.call(PROCEDURE, &json!([]));
    let invoked = callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, []]))[1].clone();
    callee.send(&json!([code::YIELD, invoked, {"progress": true}, ["part"]]));
    callee.send(&json!([code::YIELD, invoked, {}, ["end"]]));
    assert_eq!(caller.expect_result(request), "end");
}

#[test]
fn whoever_wishes_is_disclosed() {
    let node = Node::start(&config(&[router()]));
    let [mut receiver, mut sender] = [(); 2].map(|()| Client::join(node.address()));
    receiver.register(PROCEDURE);
    receiver.subscribe(TOPIC);
    let (session, options) = (sender.session(), json!({"disclose_me": true}));
    let request = sender.next_request();
    sender.send(&json!([code::CALL, request, options, PROCEDURE]));
    let caller = json!({
        "caller": session, "caller_authid": session.to_string(), "caller_authrole": "anonymous"
    });
    receiver.expect(&json!([code::INVOCATION, ANY, ANY, caller]));
    let request = sender.next_request();
    sender.send(&json!([code::PUBLISH, request, options, TOPIC]));
    let publisher = json!({
        "publisher": session, "publisher_authid": session.to_string(),
        "publisher_authrole": "anonymous"
    });
    receiver.expect(&json!([code::EVENT, ANY, ANY, publisher]));
}
