//! Real AutobahnJS and AutobahnPython as callers, callees, publishers and subscribers, each with
//! itself and with the other. What the router sends byte by byte is tested elsewhere.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    autobahn::{Autobahn, BOTH, Client},
    node::{Node, config, router},
};

fn start() -> Node {
    Node::start(&config(&[router()]))
}

fn both(node: &Node) -> [Client; 2] {
    BOTH.map(|kind| Client::join(kind, &node.websocket_url()))
}

#[test]
fn everyone_can_call_everyone() {
    let node = start();
    let mut clients = both(&node);
    for (kind, client) in BOTH.iter().zip(&mut clients) {
        client.register(&format!("com.example.{kind:?}.echo").to_lowercase(), "echo");
        client.register(&format!("com.example.{kind:?}.fail").to_lowercase(), "fail");
    }
    let args = json!([1, -2.5, "größer €", null, true, [1, [2]], {"a": {"b": "c"}}]);
    let kwargs = json!({"name": "Müller", "list": [1, 2, 3], "none": null});
    for (caller, client) in BOTH.iter().zip(&mut clients) {
        for callee in BOTH {
            let echo = format!("com.example.{callee:?}.echo").to_lowercase();
            let fail = format!("com.example.{callee:?}.fail").to_lowercase();
            for (args, kwargs) in [
                (json!([]), json!({})),
                (json!(["one"]), json!({})),
                (json!([]), json!({"only": "kwargs"})),
                (args.clone(), kwargs.clone()),
            ] {
                let result = client.call(&echo, args.clone(), kwargs.clone());
                let expected = json!({"args": args, "kwargs": kwargs});
                assert_eq!(result, expected, "{caller:?} calls {callee:?}");
            }
            let error = client.call_error(&fail, args.clone(), kwargs.clone());
            let expected = json!({"uri": "com.example.failed", "args": args, "kwargs": kwargs});
            assert_eq!(error, expected, "{caller:?} calls {callee:?}");
        }
        let error = client.call_error("com.example.nobody", json!([]), json!({}));
        assert_eq!(error["uri"], "wamp.error.no_such_procedure", "{caller:?}");
        let error = client.call_error("org.forbidden", json!([]), json!({}));
        assert_eq!(error["uri"], "wamp.error.not_authorized", "{caller:?}");
    }
}

#[test]
fn everyone_hears_what_anyone_publishes() {
    let topic = "com.example.topic";
    let node = start();
    let mut clients = both(&node);
    for client in &mut clients {
        client.subscribe(topic);
    }
    let publish = |client: &mut Client, text: &str, options: Value| {
        let mut command = json!({
            "op": "publish", "topic": topic, "args": [text, 1], "kwargs": {"from": text}
        });
        for (key, value) in options.as_object().expect("options are an object") {
            command[key] = value.clone();
        }
        client.send(command);
        client.expect("published");
    };
    let event = |text: &str| json!({"topic": topic, "args": [text, 1], "kwargs": {"from": text}});

    for publisher in 0..2 {
        let unacknowledged = json!({"exclude_me": false});
        for (text, options) in [
            ("not to myself", json!({"acknowledge": true})),
            ("to all", json!({"acknowledge": true, "exclude_me": false})),
            ("to all, unacknowledged", unacknowledged),
        ] {
            publish(&mut clients[publisher], text, options);
        }
        // Nothing in front of it and nothing between: the first one was not for its publisher.
        let [publisher, other] = match publisher {
            0 => [0, 1],
            _ => [1, 0],
        };
        for text in ["not to myself", "to all", "to all, unacknowledged"] {
            assert_eq!(clients[other].expect_aside("event"), event(text));
        }
        for text in ["to all", "to all, unacknowledged"] {
            assert_eq!(clients[publisher].expect_aside("event"), event(text));
        }
    }
}

#[test]
fn an_event_reaches_those_whom_its_publisher_names() {
    let topic = "com.example.topic";
    let node = start();
    for publishes in BOTH {
        let mut publisher = Client::join(publishes, &node.websocket_url());
        let mut subscribers = Vec::new();
        for kind in [BOTH, BOTH].concat() {
            let mut client = Client::connect(kind, &node.websocket_url(), "realm1");
            let session = client.expect("joined")["session"].clone();
            client.subscribe(topic);
            subscribers.push((session, client));
        }
        let ids: Vec<Value> = (subscribers.iter().map(|(id, _)| id.clone())).collect();
        let authids: Vec<Value> = ids.iter().map(|id| json!(id.to_string())).collect();
        for (text, receivers, to) in [
            ("one", json!({"eligible": [ids[1]]}), &[1][..]),
            ("nobody", json!({"eligible": []}), &[]),
            ("two", json!({"eligible": [ids[0], ids[3]]}), &[0, 3]),
            ("not two", json!({"exclude": [ids[0], ids[3]]}), &[1, 2]),
            (
                "one of two",
                json!({"eligible": [ids[0], ids[3]], "exclude": [ids[0]]}),
                &[3],
            ),
            ("by name", json!({"eligible_authid": [authids[2]]}), &[2]),
            (
                "not by name",
                json!({"exclude_authid": [authids[2]]}),
                &[0, 1, 3],
            ),
            (
                "a role",
                json!({"eligible_authrole": ["anonymous"]}),
                &[0, 1, 2, 3],
            ),
            (
                "not a role",
                json!({"exclude_authrole": ["anonymous"]}),
                &[],
            ),
            ("the last", json!({}), &[0, 1, 2, 3]),
        ] {
            publisher.send(json!({
                "op": "publish", "topic": topic, "args": [text], "acknowledge": true,
                "receivers": receivers
            }));
            publisher.expect("published");
            // What comes to somebody it is not for would come before what comes next.
            for at in to {
                let event = subscribers[*at].1.expect_aside("event");
                assert_eq!(event["args"], json!([text]), "{publishes:?} to {at}");
            }
        }
    }
}

#[test]
fn results_come_in_parts() {
    let node = start();
    for callee in BOTH {
        let mut callee_client = Client::join(callee, &node.websocket_url());
        callee_client.register("com.example.count", "count");
        for caller in BOTH {
            let mut client = Client::join(caller, &node.websocket_url());
            client.send(json!({
                "op": "call_progressively", "procedure": "com.example.count", "args": [3]
            }));
            let part = |n| json!({"args": [n], "kwargs": {"of": 3}});
            let end = json!({"args": ["counted"], "kwargs": {}});
            assert_eq!(
                client.expect("result"),
                json!({"parts": [part(1), part(2), part(3)], "end": end}),
                "{caller:?} calls {callee:?}"
            );
            // Who takes no parts is given none.
            let result = client.call("com.example.count", json!([3]), json!({}));
            assert_eq!(result, end, "{caller:?} calls {callee:?}");
        }
        // The procedure is free again when its GOODBYE is answered.
        callee_client.send(json!({"op": "leave"}));
        callee_client.expect("left");
    }
}

#[test]
fn a_procedure_is_taken_over_and_both_sessions_go_on() {
    let procedure = "com.example.taken";
    let node = start();
    let mut caller = Client::join(Autobahn::Js, &node.websocket_url());
    for (old, new) in [BOTH, [BOTH[1], BOTH[0]]].map(|[old, new]| (old, new)) {
        let mut old_client = Client::join(old, &node.websocket_url());
        let mut new_client = Client::join(new, &node.websocket_url());
        old_client.send(json!({
            "op": "register", "procedure": procedure, "behaviour": "fail",
            "force_reregister": true
        }));
        old_client.expect("registered");
        caller.call_error(procedure, json!([]), json!({}));
        new_client.send(json!({
            "op": "register", "procedure": procedure, "behaviour": "echo",
            "force_reregister": true
        }));
        new_client.expect("registered");
        let result = caller.call(procedure, json!(["new"]), json!({}));
        assert_eq!(result["args"], json!(["new"]), "{new:?} after {old:?}");
        // It has been told, and goes on.
        let result = old_client.call(procedure, json!(["too"]), json!({}));
        assert_eq!(result["args"], json!(["too"]), "{new:?} after {old:?}");
    }
}

#[test]
fn events_come_in_the_order_of_publishing() {
    let topic = "com.example.counted";
    let node = start();
    let mut clients = both(&node);
    for client in &mut clients {
        client.subscribe(topic);
    }
    for publisher in 0..2 {
        for number in 0..100 {
            let args = json!([number]);
            let command =
                json!({"op": "publish", "topic": topic, "args": args, "exclude_me": false});
            clients[publisher].send(command);
        }
        for client in &mut clients {
            for number in 0..100 {
                assert_eq!(client.expect_aside("event")["args"], json!([number]));
            }
        }
        for _ in 0..100 {
            clients[publisher].expect("published");
        }
    }
}

#[test]
fn the_call_of_a_killed_callee_ends_in_an_error() {
    let node = start();
    for (kind, mut callee) in BOTH.into_iter().zip(both(&node)) {
        let mut caller = Client::join(kind, &node.websocket_url());
        callee.register("com.example.hang", "hang");
        caller.send(json!({"op": "call", "procedure": "com.example.hang", "args": ["hello"]}));
        let invoked = callee.expect_aside("invoked");
        assert_eq!(invoked, json!({"args": ["hello"], "kwargs": {}}));
        callee.kill();
        let error = caller.expect("error");
        assert_eq!(error["uri"], "wamp.error.canceled", "{kind:?}: {error}");
        let again = caller.call_error("com.example.hang", json!([]), json!({}));
        assert_eq!(again["uri"], "wamp.error.no_such_procedure", "{kind:?}");
    }
}

#[test]
fn a_client_that_leaves_is_bidden_farewell() {
    let node = start();
    for (kind, mut client) in BOTH.into_iter().zip(both(&node)) {
        client.send(json!({"op": "leave"}));
        let left = client.expect("left");
        assert_eq!(left["reason"], "wamp.close.goodbye_and_out", "{kind:?}");
        assert_eq!(client.exit_code(), Some(0), "{kind:?}");
    }
}

#[test]
fn an_unknown_realm_is_refused() {
    let node = start();
    for kind in BOTH {
        let mut client = Client::connect(kind, &node.websocket_url(), "realm9");
        let failed = client.expect("failed");
        assert_eq!(failed["reason"], "wamp.error.no_such_realm", "{kind:?}");
        assert_eq!(client.exit_code(), Some(1), "{kind:?}");
    }
}

#[test]
fn a_node_that_is_stopped_is_lost_to_its_clients_and_has_not_ended_their_sessions() {
    let mut node = start();
    let clients = both(&node);
    node.signal(Signal::SIGTERM);
    for (kind, mut client) in BOTH.into_iter().zip(clients) {
        // What Autobahn says of a transport that is gone, and connects again after.
        let lost = client.expect("lost");
        let reason = match kind {
            Autobahn::Js => "lost",
            Autobahn::Python => "wamp.close.transport_lost",
        };
        assert_eq!(lost["reason"], reason, "{kind:?}");
    }
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn a_node_that_is_stopped_waits_for_the_calls_under_way() {
    let mut node = start();
    let mut callee = Client::join(Autobahn::Js, &node.websocket_url());
    let mut caller = Client::join(Autobahn::Python, &node.websocket_url());
    callee.register("com.example.hang", "hang");
    caller.send(json!({"op": "call", "procedure": "com.example.hang"}));
    callee.expect_aside("invoked");
    node.signal(Signal::SIGTERM);
    node.wait_for_log("stopping");
    callee.kill();
    let error = caller.expect("error");
    assert_eq!(error["uri"], "wamp.error.canceled", "{error}");
    caller.expect("lost");
    assert_eq!(node.wait().code(), Some(0));
}
