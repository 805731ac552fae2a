//! The container rule: a node whose component serves another node, which may be late, may die
//! and come again.

use std::{collections::HashMap, sync::mpsc};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    hello::assert_serves,
    support::{
        autobahn::{Autobahn, Client},
        fake_router::{self, say},
        node::{Node, config, container, router},
        port,
        postgres::Postgres,
        wait::{self, PATIENCE},
        websocket::code,
    },
};

/// A node with a router alone, on this port.
fn start_router(port: u16) -> Node {
    let mut router = router();
    router["transports"][0]["endpoint"]["port"] = json!(port);
    Node::start(&config(&[router]))
}

/// A node with a container alone, whose component serves the router on this port.
fn start_container(port: u16) -> Node {
    let extra = json!({"database": Postgres::shared().database().extra()});
    let url = format!("ws://127.0.0.1:{port}/ws");
    let component = container("hello.MyDatabaseComponent", &url, extra);
    Node::start(&config(&[component]))
}

/// Waits until the container has registered its procedures for the `nth` time.
fn wait_until_registered(container: &mut Node, nth: usize) {
    wait::until(&format!("registration number {nth}"), || {
        let log = container.log();
        (log.matches("registered 4 procedures").count() == nth).then_some(())
    });
}

#[test]
fn a_container_serves_another_node_and_finds_it_again() {
    let port = port::reserved();
    let mut container = start_container(port.number());
    container.wait_for_log("the router cannot be reached");

    let router = start_router(port.number());
    wait_until_registered(&mut container, 1);
    assert_serves(&router);

    // Dropped, the router is killed (SIGKILL): nobody says GOODBYE.
    drop(router);
    container.wait_for_log("lost the connection to the router");
    let router = start_router(port.number());
    wait_until_registered(&mut container, 2);
    assert_serves(&router);

    container.signal(Signal::SIGTERM);
    assert_eq!(container.wait().code(), Some(0));
    let mut client = Client::join(Autobahn::Js, &router.websocket_url());
    wait::until("the procedures' end", || {
        client.send(json!({"op": "call", "procedure": "com.example.now.v1"}));
        let error = client.expect("error");
        (error["uri"] == "wamp.error.no_such_procedure").then_some(())
    });
}

#[test]
fn a_container_dials_again_when_its_router_takes_leave() {
    let port = port::reserved();
    let mut router = start_router(port.number());
    let mut container = start_container(port.number());
    wait_until_registered(&mut container, 1);

    router.signal(Signal::SIGTERM);
    assert_eq!(router.wait().code(), Some(0));
    let router = start_router(port.number());
    wait_until_registered(&mut container, 2);
    assert_serves(&router);
}

#[test]
fn a_container_that_is_aborted_says_nothing_more_and_dials_again() {
    for abort in [r#"[3,{},"com.example.why",["more"],{"k":1}]"#, "[3]"] {
        let (tell, told) = mpsc::channel();
        let router = fake_router::start(move |connection, message| {
            let is_first = message[1] == 1;
            let _ = tell.send((connection, message[0].as_u64()));
            // Once on a connection, for the first of its REGISTERs.
            let said = is_first.then(|| (connection, abort.to_owned()));
            said.into_iter().collect()
        });
        let _container = start_container(router.port());
        loop {
            let (connection, message) = told.recv_timeout(PATIENCE).expect("a REGISTER");
            assert_eq!(message, Some(code::REGISTER), "{abort}");
            if connection > 0 {
                break;
            }
        }
    }
}

/// What stands in an INVOCATION after its ids is its caller's doing, so it ends no session: a
/// router may pass on what this version cannot read.
#[test]
fn an_invocation_that_cannot_be_read_is_refused_and_the_next_is_answered() {
    let deep = format!("{}{}", "[".repeat(513), "]".repeat(513));
    let (refused, answered) = ([1, 2, 3], [4, 5]);
    let invocations = [
        r#"{},"a payload in passthru mode""#,
        &format!("{{}},{deep}"),
        r#"{"caller":"somebody"}"#,
        r#"{"timeout":18446744073709551616}"#,
        "{}",
    ];
    let invocations: Vec<String> = (1..)
        .zip(invocations)
        .map(|(request, rest)| format!("[{},{request},1,{rest}]", code::INVOCATION))
        .collect();
    let (tell, told) = mpsc::channel();
    let mut registrations = 0;
    let router = fake_router::start(move |connection, message| {
        if message[0] != code::REGISTER {
            let _ = tell.send((connection, message.clone()));
            return Vec::new();
        }
        registrations += 1;
        let mut said = say(
            connection,
            json!([code::REGISTERED, message[1], registrations]),
        );
        if registrations == 4 {
            said.extend(invocations.iter().map(|text| (connection, text.clone())));
        }
        said
    });
    let _container = start_container(router.port());

    let mut answers = HashMap::new();
    for _ in refused.iter().chain(&answered) {
        let (connection, answer) = told.recv_timeout(PATIENCE).expect("an answer");
        assert_eq!(connection, 0, "the session goes on: {answer}");
        let request = match answer[0].as_u64() {
            Some(code::ERROR) => &answer[2],
            Some(code::YIELD) => &answer[1],
            _ => panic!("no answer to an INVOCATION: {answer}"),
        };
        answers.insert(request.as_u64().expect("an id"), answer);
    }
    for request in refused {
        let answer = &answers[&request];
        assert_eq!(answer[1], code::INVOCATION, "{answer}");
        assert_eq!(answer[4], "wamp.error.invalid_argument", "{answer}");
        let why = answer[5][0].as_str().expect("a message");
        assert!(why.contains("INVOCATION"), "{why}");
    }
    for request in answered {
        assert_eq!(answers[&request][0], code::YIELD, "{request}");
    }
}
