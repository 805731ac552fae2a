//! What a role may do, enforced on all four actions.

use serde_json::{Value, json};

use crate::support::{
    node::{Node, config, router},
    websocket::{ANY, Client, code},
};

const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";

fn node_with(permissions: Value) -> Node {
    let mut router = router();
    router["realms"][0]["roles"][0]["permissions"] = permissions;
    Node::start(&config(&[router]))
}

/// Tries the four actions on a URI, and says which are authorized.
fn authorized(client: &mut Client, uri: &str) -> [bool; 4] {
    let requests = [
        (code::CALL, json!({})),
        (code::REGISTER, json!({})),
        (code::PUBLISH, json!({"acknowledge": true})),
        (code::SUBSCRIBE, json!({})),
    ];
    requests.map(|(code, options)| {
        let request = client.next_request();
        client.send(&json!([code, request, options, uri]));
        let answer = client.message();
        if answer[0] != code::ERROR {
            return true;
        }
        assert_eq!((&answer[1], &answer[2]), (&json!(code), &json!(request)));
        let is_refused = answer[4] == NOT_AUTHORIZED;
        let message = answer[5][0].as_str().expect("a message");
        assert!(!is_refused || message.contains("anonymous"), "{message}");
        // A call of what is not there yet is authorized, too.
        assert!(
            is_refused || answer[4] == "wamp.error.no_such_procedure",
            "{answer}"
        );
        !is_refused
    })
}

#[test]
fn of_all_permissions_that_match_the_longest_counts() {
    let node = node_with(json!([
        {"uri": "com.", "match": "prefix",
         "allow": {"call": true, "register": true, "publish": true, "subscribe": true}},
        {"uri": "com.secret.", "match": "prefix", "allow": {}},
        {"uri": "com.secret.reports.", "match": "prefix", "allow": {"subscribe": true}},
        {"uri": "com.secret.open", "allow": {"call": true, "register": true}},
        {"uri": "org.*", "allow": {"publish": true}},
        {"uri": "net..read", "match": "wildcard", "allow": {"call": true}}
    ]));
    let mut client = Client::join(node.address());
    let nothing = [false; 4];
    for (uri, expected) in [
        ("com.example", [true; 4]),
        ("com.secret", [true; 4]),
        ("com.secret.plan", nothing),
        ("com.secret.reports.daily", [false, false, false, true]),
        ("com.secret.open", [true, true, false, false]),
        ("com.secret.open.door", nothing),
        ("org.example", [false, false, true, false]),
        ("net.example.read", [true, false, false, false]),
        ("net.example.write", nothing),
        ("edu.example", nothing),
    ] {
        assert_eq!(authorized(&mut client, uri), expected, "{uri}");
    }
}

#[test]
fn what_is_refused_has_no_effect_and_the_session_goes_on() {
    let node = node_with(json!([
        {"uri": "com.", "match": "prefix", "allow": {"call": true, "subscribe": true}}
    ]));
    let mut client = Client::join(node.address());
    let subscription = client.subscribe("com.example.topic");
    let request = client.next_request();
    client.send(&json!([
        code::REGISTER,
        request,
        {},
        "com.example.procedure"
    ]));
    client.expect_error(code::REGISTER, request, NOT_AUTHORIZED);
    let request = client.call("com.example.procedure", &json!([]));
    client.expect_error(code::CALL, request, "wamp.error.no_such_procedure");

    let mut publisher = Client::join(node.address());
    // Who does not ask for an acknowledgement is not told of a refusal either.
    publisher.publish("com.example.topic", &json!([1]));
    let request = publisher.next_request();
    publisher.send(&json!([code::PUBLISH, request, {"acknowledge": true}, "com.example.topic"]));
    publisher.expect_error(code::PUBLISH, request, NOT_AUTHORIZED);
    // An event would come before this answer.
    let request = client.next_request();
    client.send(&json!([code::UNSUBSCRIBE, request, subscription]));
    client.expect(&json!([code::UNSUBSCRIBED, request]));
}

#[test]
fn identities_are_disclosed_where_the_permission_says_so() {
    let node = node_with(json!([
        {"uri": "com.", "match": "prefix",
         "allow": {"call": true, "register": true, "publish": true, "subscribe": true}},
        {"uri": "com.open.", "match": "prefix",
         "allow": {"call": true, "register": true, "publish": true, "subscribe": true},
         "disclose": {"caller": true, "publisher": true}}
    ]));
    let mut receiver = Client::join(node.address());
    let mut sender = Client::join(node.address());
    let session = sender.session();
    for (uri, invocation, event) in [
        (
            "com.open.x",
            json!({"caller": session, "caller_authid": session.to_string(), "caller_authrole": "anonymous"}),
            json!({"publisher": session, "publisher_authid": session.to_string(), "publisher_authrole": "anonymous"}),
        ),
        ("com.closed.x", json!({}), json!({})),
    ] {
        receiver.register(uri);
        receiver.subscribe(uri);
        sender.call(uri, &json!([]));
        let invoked = receiver.expect(&json!([code::INVOCATION, ANY, ANY, {}, []]));
        assert_eq!(invoked[3], invocation);
        sender.publish(uri, &json!([]));
        let received = receiver.expect(&json!([code::EVENT, ANY, ANY, {}, []]));
        assert_eq!(received[3], event);
    }
}
