//! How sessions begin and end on the wire.

use serde_json::{Value, json};

use crate::support::{
    node::{Node, config, router},
    websocket::{ANY, Client, REALM, code, hello},
};

const MAX_ID: u64 = 1 << 53;

#[test]
fn welcome_says_who_the_session_is_and_what_the_router_can_do() {
    let node = Node::start(&config(&[router()]));
    let mut client = Client::open(node.address());
    client.send(&hello(REALM));
    let details = client.welcomed();
    assert!((1..=MAX_ID).contains(&client.session()));
    let dealer = json!({"features": {
        "call_canceling": true, "call_timeout": true, "caller_identification": true,
        "progressive_call_results": true, "registration_revocation": true,
    }});
    let broker = json!({"features": {
        "publisher_exclusion": true, "publisher_identification": true,
        "subscriber_blackwhite_listing": true,
    }});
    assert_eq!(
        details["roles"],
        json!({"broker": broker, "dealer": dealer})
    );
    assert_eq!(details["realm"], REALM);
    assert_eq!(details["authrole"], "anonymous");
    assert_eq!(details["authmethod"], "anonymous");
    let agent = details["agent"].as_str().expect("an agent");
    assert!(agent.starts_with("wampgres-"), "{agent}");

    let other = Client::join(node.address());
    assert_ne!(other.session(), client.session());
}

#[test]
fn a_session_that_cannot_be_is_aborted_with_the_reason() {
    let node = Node::start(&config(&[router()]));
    let roles = json!({"caller": {}});
    let refused: [(Value, &str, &str); 5] = [
        (hello("realm2"), "wamp.error.no_such_realm", "realm2"),
        (hello("REALM1"), "wamp.error.no_such_realm", "REALM1"),
        (hello("no realm"), "wamp.error.invalid_uri", "no realm"),
        (
            json!([code::HELLO, REALM, {"roles": {}}]),
            "wamp.error.protocol_violation",
            "at least one of caller",
        ),
        (
            json!([code::HELLO, REALM, {"roles": roles, "authmethods": ["wampcra"]}]),
            "wamp.error.no_matching_auth_method",
            "wampcra",
        ),
    ];
    for (hello, reason, words) in refused {
        let mut client = Client::open(node.address());
        client.send(&hello);
        let message = client.expect_abort(reason);
        assert!(message.contains(words), "{words} in {message}");
    }
    Client::join(node.address()).leave();
}

#[test]
fn goodbye_is_answered_and_ends_what_the_session_held() {
    let node = Node::start(&config(&[router()]));
    let mut leaver = Client::join(node.address());
    leaver.register("com.example.leaving");
    let topic = "com.example.topic";
    leaver.subscribe(topic);
    leaver.leave();

    let mut stayer = Client::join(node.address());
    let request = stayer.call("com.example.leaving", &json!([]));
    stayer.expect_error(code::CALL, request, "wamp.error.no_such_procedure");
    stayer.register("com.example.leaving");
}

#[test]
fn abort_of_a_client_ends_its_session_without_an_answer() {
    let node = Node::start(&config(&[router()]));
    for abort in [
        r#"[3,{},"wamp.error.not_authorized"]"#,
        r#"[3,{},"wamp.error.not_authorized",["why"]]"#,
        r#"[3,{},"wamp.error.not_authorized",["why"],{"how":"so"}]"#,
        "[3]",
    ] {
        let mut early = Client::open(node.address());
        early.send_text(abort);
        early.expect_close();

        let mut client = Client::join(node.address());
        client.register("com.example.aborting");
        client.send_text(abort);
        client.expect_close();
    }
    let mut stayer = Client::join(node.address());
    stayer.register("com.example.aborting");
}

#[test]
fn every_request_of_the_basic_profile_is_answered() {
    let node = Node::start(&config(&[router()]));
    let mut client = Client::join(node.address());
    let registration = client.register("com.example.procedure");
    let subscription = client.subscribe("com.example.topic");
    assert_eq!(client.subscribe("com.example.topic"), subscription);

    let request = client.call("com.example.procedure", &json!([1]));
    let invocation = client.expect(&json!([code::INVOCATION, ANY, registration, {}, [1]]));
    client.send(&json!([code::YIELD, invocation[1], {}, [2]]));
    client.expect(&json!([code::RESULT, request, {}, [2]]));

    let request = client.next_request();
    client.send(&json!([code::UNREGISTER, request, registration]));
    client.expect(&json!([code::UNREGISTERED, request]));
    let request = client.next_request();
    client.send(&json!([code::UNREGISTER, request, registration]));
    client.expect_error(code::UNREGISTER, request, "wamp.error.no_such_registration");

    let request = client.next_request();
    client.send(&json!([code::UNSUBSCRIBE, request, subscription]));
    client.expect(&json!([code::UNSUBSCRIBED, request]));
    let request = client.next_request();
    client.send(&json!([code::UNSUBSCRIBE, request, subscription]));
    client.expect_error(
        code::UNSUBSCRIBE,
        request,
        "wamp.error.no_such_subscription",
    );
    client.leave();
}

#[test]
fn realms_know_nothing_of_each_other() {
    let mut first = router();
    let mut second_realm = first["realms"][0].clone();
    second_realm["name"] = json!("realm2");
    let realms = first["realms"].as_array_mut().expect("a list of realms");
    realms.push(second_realm);
    // Another router has a realm of the same name and does not know this one either.
    let node = Node::start(&config(&[first, router()]));
    let (procedure, topic) = ("com.example.procedure", "com.example.topic");
    let mut sessions: Vec<_> = [(0, "realm1"), (0, "realm2"), (1, "realm1")]
        .into_iter()
        .map(|(listener, realm)| {
            let mut client = Client::open(node.addresses()[listener]);
            client.send(&hello(realm));
            assert_eq!(client.welcomed()["realm"], realm);
            client.register(procedure);
            client.subscribe(topic);
            client
        })
        .collect();
    for (n, session) in sessions.iter_mut().enumerate() {
        let request = session.next_request();
        let options = json!({"exclude_me": false});
        session.send(&json!([code::PUBLISH, request, options, topic, [n]]));
        session.call(procedure, &json!([n]));
    }
    for (n, session) in sessions.iter_mut().enumerate() {
        // Calls do not wait for events, so either may come first.
        let mut received = [session.message(), session.message()];
        received.sort_by_key(|message| message[0].as_u64());
        let [event, invocation] = received;
        assert_eq!((&event[0], &event[4]), (&json!(code::EVENT), &json!([n])));
        assert_eq!(invocation[0], json!(code::INVOCATION));
        assert_eq!(invocation[4], json!([n]));
    }
    let mut stranger = Client::open(node.addresses()[1]);
    stranger.send(&hello("realm2"));
    stranger.expect_abort("wamp.error.no_such_realm");
}
