//! A component that guards topics: it is asked before somebody may subscribe, in this process.

use std::sync::{Mutex, mpsc};

use serde_json::{Value, json};
use wampgres::component::{
    Component, Deferred, Error, Event, GuardHandle, MatchPolicy, Pattern, Procedure, Promise,
    SessionHandle, Setup, SubscribeRequest, Subscription, deferred as later,
};

use crate::support::{
    autobahn::{self, Autobahn},
    in_process::InProcess,
    node::{HERE, Node, config, container, router},
    wait::{self, PATIENCE},
    websocket::{ANY, Client, code},
};

/// A component that lends its session to the test, and subscribes to the topic in its `extra`.
struct Lending {
    name: Value,
    topic: Option<String>,
}

/// The sessions, by the name that the test has written into `extra`.
static SESSIONS: Mutex<Vec<(Value, SessionHandle)>> = Mutex::new(Vec::new());
/// The names of those that are ready.
static READY: Mutex<Vec<Value>> = Mutex::new(Vec::new());
/// The guard that is there from the start, and what it was asked.
static EARLY: Mutex<Vec<(GuardHandle, mpsc::Receiver<Asked>)>> = Mutex::new(Vec::new());
const CLASSNAME: &str = "test.Lending";

impl Component for Lending {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let name = setup.extra["name"].clone();
        if name == "early" {
            let (ask, asked) = guard();
            let session = setup.session.clone();
            let guarding = session.guard_topics(Pattern::exact("com.early"), ask);
            guarding.on_result(|handle| {
                let handle = handle.expect("a guard");
                EARLY.lock().expect("no panic").push((handle, asked));
            });
        }
        SESSIONS
            .lock()
            .expect("no panic")
            .push((name.clone(), setup.session));
        Ok(Self {
            name,
            topic: setup.extra["topic"].as_str().map(str::to_owned),
        })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        Vec::new()
    }

    fn subscriptions(&self) -> Vec<Subscription<Self>> {
        let topics = self.topic.iter();
        topics
            .map(|topic| Subscription::new(topic.as_str(), |_: &Self, _: Event| Ok(())))
            .collect()
    }

    fn on_ready(&self) {
        READY.lock().expect("no panic").push(self.name.clone());
    }
}

type Asked = (SubscribeRequest, Promise<()>);

/// A guard that hands on what it is asked, and what it was asked.
fn guard() -> (
    impl Fn(SubscribeRequest) -> Deferred<()> + Send + Sync + 'static,
    mpsc::Receiver<Asked>,
) {
    let (tell, asked) = mpsc::channel();
    let ask = move |subscribe| {
        let (promise, deferred) = later();
        let _ = tell.send((subscribe, promise));
        deferred
    };
    (ask, asked)
}

fn session(name: &str) -> SessionHandle {
    let sessions = SESSIONS.lock().expect("no panic");
    let found = sessions.iter().find(|(known, _)| *known == name);
    found.expect("it has joined").1.clone()
}

fn lending(name: &str) -> (InProcess, SessionHandle) {
    let component = container(CLASSNAME, HERE, json!({"name": name}));
    let node = InProcess::start::<Lending>(CLASSNAME, &[router(), component]);
    (node, session(name))
}

fn claim(session: &SessionHandle, topics: Pattern) -> (GuardHandle, mpsc::Receiver<Asked>) {
    let (ask, asked) = guard();
    let handle = session.guard_topics(topics, ask).wait();
    (handle.expect("a guard"), asked)
}

fn next(asked: &mpsc::Receiver<Asked>) -> Asked {
    asked.recv_timeout(PATIENCE).expect("a question")
}

fn request(client: &mut Client, topic: &str) -> u64 {
    let request = client.next_request();
    client.send(&json!([code::SUBSCRIBE, request, {}, topic]));
    request
}

#[test]
fn subscribed_comes_when_the_component_says_so() {
    let (node, session) = lending("says so");
    let (handle, asked) = claim(&session, Pattern::prefix("com.guarded."));
    let mut client = Client::join(node.address());
    let subscribe = request(&mut client, "com.guarded.a");
    let (who, promise) = next(&asked);
    assert_eq!(who.topic().as_str(), "com.guarded.a");
    assert_eq!(who.match_policy(), MatchPolicy::Exact);
    assert_eq!(who.identity().session.value(), client.session());
    let authid = client.session().to_string();
    assert_eq!(who.identity().authid.as_deref(), Some(&*authid));
    assert_eq!(who.shared_identity().authrole.as_deref(), Some("anonymous"));

    // Others go on, and what it does itself comes after.
    let mut other = Client::join(node.address());
    other.subscribe("com.open");
    let call = client.call("com.nobody", &json!([]));
    promise.resolve(Ok(()));
    client.expect(&json!([code::SUBSCRIBED, subscribe, ANY]));
    client.expect_error(code::CALL, call, "wamp.error.no_such_procedure");
    session.publish("com.guarded.a", (7,)).expect("a session");
    assert_eq!(client.message()[4], json!([7]));

    let subscribe = request(&mut client, "com.guarded.b");
    let error = Error::new("com.example.sold_out", "no seat is left").with_detail("seats", 0);
    next(&asked).1.resolve(Err(error));
    let expected = json!([
        code::ERROR, code::SUBSCRIBE, subscribe, {}, "com.example.sold_out",
        ["no seat is left"], {"seats": 0}
    ]);
    assert_eq!(client.message(), expected);

    // A guard that lets its promise go has failed.
    let subscribe = request(&mut client, "com.guarded.c");
    drop(next(&asked).1);
    client.expect_error(code::SUBSCRIBE, subscribe, "wamp.error.runtime_error");
    handle.end();
    client.subscribe("com.guarded.d");
    assert!(asked.try_recv().is_err(), "nobody is asked any more");
}

#[test]
fn real_clients_wait_for_their_subscription() {
    let (node, session) = lending("real clients");
    let (_handle, asked) = claim(&session, Pattern::exact("com.guarded"));
    for kind in autobahn::BOTH {
        let mut client = autobahn::Client::join(kind, &node.websocket_url());
        let subscribe = json!({"op": "subscribe", "topic": "com.guarded"});
        client.send(subscribe.clone());
        next(&asked).1.resolve(Ok(()));
        client.expect("subscribed");
        session.publish("com.guarded", (1,)).expect("a session");
        assert_eq!(client.expect_aside("event")["args"], json!([1]));

        client.send(subscribe);
        let error = Error::new("com.example.not_yours", "it is somebody else's");
        next(&asked).1.resolve(Err(error));
        let error = client.expect("error");
        assert_eq!(error["uri"], "com.example.not_yours", "{kind:?}");
        assert_eq!(error["args"], json!(["it is somebody else's"]), "{kind:?}");
    }
}

#[test]
fn what_nobody_waits_for_any_more_is_canceled() {
    let (node, session) = lending("canceled");
    let (_handle, asked) = claim(&session, Pattern::exact("com.guarded"));
    let mut client = Client::join(node.address());
    request(&mut client, "com.guarded");
    let (_, promise) = next(&asked);
    let control = promise.control();
    assert!(control.failure().is_none());
    drop(client);
    wait::until("the end of what decides", || control.failure());

    // So does a node that stops.
    let mut client = Client::join(node.address());
    request(&mut client, "com.guarded");
    let control = next(&asked).1.control();
    node.stop();
    assert!(control.failure().is_some());
}

#[test]
fn a_guard_that_panics_lets_nobody_in() {
    let (node, session) = lending("panics");
    let guard = session.guard_topics(Pattern::exact("com.guarded"), |_| panic!("on purpose"));
    let _guard = guard.wait().expect("a guard");
    let mut client = Client::join(node.address());
    let subscribe = request(&mut client, "com.guarded");
    client.expect_error(code::SUBSCRIBE, subscribe, "wamp.error.runtime_error");
}

#[test]
fn a_component_that_waits_for_another_s_guard_keeps_no_node_from_starting() {
    let early = container(CLASSNAME, HERE, json!({"name": "early"}));
    let waits = container(
        CLASSNAME,
        HERE,
        json!({"name": "waits", "topic": "com.early"}),
    );
    let _node = InProcess::start::<Lending>(CLASSNAME, &[router(), early, waits]);
    let is_ready = || READY.lock().expect("no panic").contains(&json!("waits"));
    assert!(!is_ready());
    let (_handle, asked) = EARLY.lock().expect("no panic").pop().expect("a guard");
    let (who, promise) = next(&asked);
    assert_eq!(who.topic().as_str(), "com.early");
    promise.resolve(Ok(()));
    wait::until("the component that waits", || is_ready().then_some(()));
}

#[test]
fn at_a_router_that_is_dialled_nobody_would_be_asked() {
    let router = Node::start(&config(&[router()]));
    let component = container(
        CLASSNAME,
        &router.websocket_url(),
        json!({"name": "dialled"}),
    );
    let _node = InProcess::start::<Lending>(CLASSNAME, &[component]);
    let session = session("dialled");
    // It waits for the session.
    let guard = session.guard_topics(Pattern::prefix("com."), |_| Deferred::ready(Ok(())));
    let guard = guard.wait_timeout(PATIENCE).expect("an answer");
    let error = guard.expect_err("no guard");
    assert_eq!(error.uri().as_str(), "wamp.error.option_not_allowed");
    assert!(error.message().contains("(com.)"), "{error}");
    let mut client = autobahn::Client::join(Autobahn::Python, &router.websocket_url());
    client.subscribe("com.a");
}
