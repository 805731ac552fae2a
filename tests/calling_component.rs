//! Components that call, publish and subscribe, in this process and on a router that is dialled:
//! the example of one, and a class whose session the test uses itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc},
};

use serde_json::{Value, json};
use wampgres::component::{
    CallOptions, Component, Deferred, Error, Event, Payload, Procedure, PublishOptions,
    SessionHandle, Setup, Subscription,
};

use crate::support::{
    autobahn::{Autobahn, Client},
    example::example,
    in_process::InProcess,
    node::{HERE, Node, config, container, router},
    port,
    wait::{self, PATIENCE},
};

/// What the example does for its clients.
fn assert_serves(url: &str) {
    let mut client = Client::join(Autobahn::Python, url);
    client.subscribe("com.example.ordered");
    client.send(json!({
        "op": "publish", "topic": "com.example.price_changed", "args": ["tea", 4],
        "acknowledge": true
    }));
    client.expect("published");
    await_price(&mut client, 4);
    let total = client.call("com.example.order", json!(["tea", 2]), json!({}));
    assert_eq!(total["args"], json!([8]));
    let event = client.expect_aside("event");
    assert_eq!(event["args"], json!(["tea", 2, 8]));

    client.send(json!({
        "op": "publish", "topic": "com.example.price_changed", "args": ["tea", 5],
        "acknowledge": true
    }));
    client.expect("published");
    await_price(&mut client, 5);
    let total = client.call("com.example.order", json!(["tea", 2]), json!({}));
    assert_eq!(total["args"], json!([10]));

    // What the procedure that it calls fails with is what its caller gets.
    let error = client.call_error("com.example.order", json!(["coffee", 1]), json!({}));
    assert_eq!(error["uri"], "com.example.no_such_item", "{error}");
    assert_eq!(error["args"], json!(["coffee"]), "{error}");
}

/// An event takes its time.
fn await_price(client: &mut Client, price: i64) {
    wait::until("the price", || {
        let now = client.call("com.example.price", json!(["tea"]), json!({}));
        (now["args"] == json!([price])).then_some(())
    });
}

#[test]
fn the_example_calls_publishes_and_subscribes_in_process() {
    let text = include_str!("../examples/calling_component.json");
    let mut config: Value = serde_json::from_str(text).expect("JSON");
    config["workers"][0]["transports"][0]["endpoint"]["port"] = json!(0);
    let node = Node::start_program(&example("calling_component"), &config, &[]);
    assert_serves(&format!("ws://{}/", node.address()));
}

/// A node with a router alone, on this port.
fn start_router(port: u16) -> Node {
    let mut router = router();
    router["transports"][0]["endpoint"]["port"] = json!(port);
    Node::start(&config(&[router]))
}

#[test]
fn the_example_serves_another_router_and_subscribes_again_when_that_is_back() {
    let port = port::reserved();
    let router = start_router(port.number());
    let mut client = Client::join(Autobahn::Python, &router.websocket_url());
    client.subscribe("com.example.opened");
    let url = format!("ws://127.0.0.1:{}/ws", port.number());
    let component = container("shop.Shop", &url, json!({}));
    let mut shop = Node::start_program(&example("calling_component"), &config(&[component]), &[]);
    let opened = client.expect_aside("event");
    assert_eq!(opened["topic"], "com.example.opened");
    assert_serves(&router.websocket_url());

    // Dropped, the router is killed (SIGKILL): nobody says GOODBYE.
    drop(router);
    shop.wait_for_log("lost the connection to the router");
    let router = start_router(port.number());
    wait::until("the second session", || {
        let ready = "registered 2 procedures, subscribed to 1 topics";
        (shop.log().matches(ready).count() == 2).then_some(())
    });
    assert_serves(&router.websocket_url());
}

/// A component that does nothing but lend its session to the test.
#[derive(Clone)]
struct Probe {
    session: SessionHandle,
    /// The arguments of the events that have come.
    events: Arc<Mutex<Vec<Value>>>,
    ready: mpsc::Sender<()>,
}

type Probes = BTreeMap<String, (Probe, mpsc::Receiver<()>)>;

/// The components, by the name that the test has written into `extra`.
static PROBES: Mutex<Probes> = Mutex::new(BTreeMap::new());
const CLASSNAME: &str = "test.Probe";

impl Component for Probe {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let early = setup.session.publish("com.example.early", ());
        assert_eq!(
            early.expect_err("it fails").uri().as_str(),
            "wamp.error.unavailable"
        );
        let (ready, is_ready) = mpsc::channel();
        let probe = Self {
            session: setup.session,
            events: Arc::default(),
            ready,
        };
        let name = setup.extra["name"].as_str().expect("a name").to_owned();
        let mut probes = PROBES.lock().expect("no panic");
        probes.insert(name, (probe.clone(), is_ready));
        Ok(probe)
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        Vec::new()
    }

    fn subscriptions(&self) -> Vec<Subscription<Self>> {
        let news = |probe: &Self, event: Event| {
            probe.events.lock().expect("no panic").push(event.args()?);
            Ok(())
        };
        vec![Subscription::new("com.example.news", news)]
    }

    fn on_ready(&self) {
        let _ = self.ready.send(());
    }
}

impl Probe {
    /// The component of this name, once it is ready.
    fn ready(name: &str) -> (Self, mpsc::Receiver<()>) {
        let probe = PROBES.lock().expect("no panic").remove(name);
        let (probe, is_ready) = probe.expect("it has joined");
        is_ready.recv_timeout(PATIENCE).expect("it becomes ready");
        (probe, is_ready)
    }
}

fn wait<T: Send + 'static>(result: Deferred<T>) -> Result<T, Error> {
    let result = result.wait_timeout(PATIENCE);
    result.unwrap_or_else(|_| panic!("no result in time"))
}

fn uri<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.expect_err("it fails");
    error.uri().to_string()
}

/// What a component gets of a procedure that another client has registered.
fn assert_calls(session: &SessionHandle, client: &mut Client) {
    for behaviour in ["echo", "fail", "hang", "count"] {
        client.register(&format!("com.example.{behaviour}"), behaviour);
    }
    let both = wait(session.call("com.example.echo", (1, "b"))).expect("a result");
    assert_eq!(
        both.args::<(i64, String)>().expect("both"),
        (1, "b".to_owned())
    );
    let error = both.value::<i64>().expect_err("it fails").to_string();
    assert!(error.contains("another than expected"), "{error}");
    let none = wait(session.call("com.example.echo", ())).expect("a result");
    none.args::<()>().expect("nothing");
    let kwargs = Payload::from_args_kwargs(&[1], &json!({"k": 2})).expect("a payload");
    let options = CallOptions::default();
    let named =
        wait(session.call_with("com.example.echo", kwargs.clone(), options)).expect("a payload");
    assert_eq!(named.kwargs::<Value>().expect("a map"), json!({"k": 2}));

    let failed = session.call_with("com.example.fail", kwargs, CallOptions::default());
    let failed = wait(failed).expect_err("it fails");
    assert_eq!(failed.uri().as_str(), "com.example.failed");
    assert_eq!(failed.details()["k"], 2);
    let missing = wait(session.call("com.example.nobody", ()));
    assert_eq!(uri(missing), "wamp.error.no_such_procedure");

    let (tell, parts) = mpsc::channel();
    let three = Payload::from_args(&[3]).expect("a payload");
    let options = CallOptions::default();
    let counted = session.call_progressive("com.example.count", three, options, move |part| {
        let _ = tell.send(part.value::<Value>().expect("a number"));
    });
    assert_eq!(
        wait(counted)
            .expect("a result")
            .value::<String>()
            .expect("a text"),
        "counted"
    );
    assert_eq!(parts.iter().count(), 3);

    let options = CallOptions {
        timeout: 50,
        ..CallOptions::default()
    };
    let late = session.call_with("com.example.hang", Payload::empty(), options);
    assert_eq!(uri(wait(late)), "wamp.error.timeout");
    client.expect_aside("invoked");
    let hanging = session.call("com.example.hang", ());
    client.expect_aside("invoked");
    hanging.cancel();
    assert_eq!(uri(wait(hanging)), "wamp.error.canceled");
}

/// What a component publishes reaches others, and what they publish reaches it.
fn assert_publishes(probe: &Probe, client: &mut Client) {
    client.subscribe("com.example.told");
    let session = &probe.session;
    (session.publish("com.example.told", (1, "b"))).expect("it is sent");
    let payload = || Payload::from_args_kwargs(&[2], &json!({"k": 3})).expect("a payload");
    let options = PublishOptions::default;
    let accepted = session.publish_acknowledged("com.example.told", payload(), options());
    wait(accepted).expect("it is accepted");
    let first = client.expect_aside("event");
    assert_eq!(first["args"], json!([1, "b"]), "{first}");
    let second = client.expect_aside("event");
    assert_eq!(second["kwargs"], json!({"k": 3}), "{second}");
    let refused = session.publish_acknowledged("org.example.told", payload(), options());
    assert_eq!(uri(wait(refused)), "wamp.error.not_authorized");

    client.send(json!({"op": "publish", "topic": "com.example.news", "args": [7, 8]}));
    client.expect("published");
    // One that it publishes itself comes if it asks for it.
    let own = PublishOptions {
        exclude_me: false,
        ..PublishOptions::default()
    };
    let own = session.publish_acknowledged("com.example.news", payload(), own);
    wait(own).expect("it is accepted");
    wait::until("both events", || {
        let mut events = probe.events.lock().expect("no panic").clone();
        events.sort_by_key(|event| event[0].as_i64());
        (events == [json!([2]), json!([7, 8])]).then_some(())
    });
}

#[test]
fn a_component_in_process_calls_publishes_and_subscribes() {
    let component = container(CLASSNAME, HERE, json!({"name": "in process"}));
    let node = InProcess::start::<Probe>(CLASSNAME, &[router(), component]);
    let (probe, _) = Probe::ready("in process");
    let mut client = Client::join(Autobahn::Python, &node.websocket_url());
    assert_calls(&probe.session, &mut client);
    assert_publishes(&probe, &mut client);
    drop(node);
    assert!(!probe.session.is_joined(), "it has ended with its node");
}

#[test]
fn a_component_on_another_router_calls_publishes_and_subscribes() {
    let router = Node::start(&config(&[router()]));
    let component = container(
        CLASSNAME,
        &router.websocket_url(),
        json!({"name": "dialled"}),
    );
    let _node = InProcess::start::<Probe>(CLASSNAME, &[component]);
    let (probe, _) = Probe::ready("dialled");
    let mut client = Client::join(Autobahn::Python, &router.websocket_url());
    assert_calls(&probe.session, &mut client);
    assert_publishes(&probe, &mut client);
}

#[test]
fn pending_calls_end_with_the_connection_and_the_next_one_is_used_again() {
    let port = port::reserved();
    let router = start_router(port.number());
    let url = router.websocket_url();
    let component = container(CLASSNAME, &url, json!({"name": "lost"}));
    let _node = InProcess::start::<Probe>(CLASSNAME, &[component]);
    let (probe, is_ready) = Probe::ready("lost");
    let session = &probe.session;
    let mut client = Client::join(Autobahn::Python, &url);
    client.register("com.example.hang", "hang");
    let hanging = session.call("com.example.hang", ());
    client.expect_aside("invoked");

    drop(router);
    let error = wait(hanging).expect_err("it fails");
    assert_eq!(error.uri().as_str(), "wamp.error.canceled");
    assert!(error.message().contains("the connection"), "{error}");
    assert_eq!(
        uri(wait(session.call("com.example.hang", ()))),
        "wamp.error.unavailable"
    );
    let unsent = session.publish("com.example.told", ());
    assert_eq!(uri(unsent), "wamp.error.unavailable");

    let router = start_router(port.number());
    is_ready.recv_timeout(PATIENCE).expect("it is ready again");
    let mut client = Client::join(Autobahn::Python, &router.websocket_url());
    assert_publishes(&probe, &mut client);
}
