//! The container rule: a node whose component serves another node, which may be late, may die
//! and come again.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    hello::assert_serves,
    support::{
        autobahn::{Autobahn, Client},
        node::{Node, config, container, router},
        port,
        postgres::Postgres,
        wait,
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
    let mut container = start_container(port);
    container.wait_for_log("the router cannot be reached");

    let router = start_router(port);
    wait_until_registered(&mut container, 1);
    assert_serves(&router);

    // Dropped, the router is killed (SIGKILL): nobody says GOODBYE.
    drop(router);
    container.wait_for_log("lost the connection to the router");
    let router = start_router(port);
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
    let mut router = start_router(port);
    let mut container = start_container(port);
    wait_until_registered(&mut container, 1);

    router.signal(Signal::SIGTERM);
    assert_eq!(router.wait().code(), Some(0));
    let router = start_router(port);
    wait_until_registered(&mut container, 2);
    assert_serves(&router);
}
