//! A component that registers and subscribes later than at its start, in this process and on a router
//! that is dialled.

use std::sync::{Mutex, mpsc};

use serde_json::{Value, json};
use wampgres::component::{
    Component, Deferred, Error, Event, Procedure, RegistrationHandle, Reply, SessionHandle, Setup,
    Subscription, SubscriptionHandle,
};

use crate::support::{
    autobahn::{Autobahn, Client},
    in_process::InProcess,
    node::{HERE, Node, config, container, router},
    port,
    wait::{self, PATIENCE},
    websocket,
};

/// A component that lends its session to the test.
struct Lending;

/// The sessions, by the name that the test has written into `extra`.
static SESSIONS: Mutex<Vec<(Value, SessionHandle)>> = Mutex::new(Vec::new());
const CLASSNAME: &str = "test.Lending";

impl Component for Lending {
    const REGISTERS_LATER: bool = true;

    fn on_join(setup: Setup) -> Result<Self, Error> {
        let name = setup.extra["name"].clone();
        SESSIONS
            .lock()
            .expect("no panic")
            .push((name, setup.session));
        Ok(Self)
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        Vec::new()
    }
}

fn session(name: &str) -> SessionHandle {
    let sessions = SESSIONS.lock().expect("no panic");
    let found = sessions.iter().find(|(known, _)| *known == name);
    found.expect("it has joined").1.clone()
}

fn wait<T: Send + 'static>(result: Deferred<T>) -> T {
    let result = result.wait_timeout(PATIENCE);
    let result = result.unwrap_or_else(|_| panic!("no result in time"));
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn double(session: &SessionHandle) -> RegistrationHandle {
    let double = |call: wampgres::component::Invocation| Reply::now(2 * call.args::<(i64,)>()?.0);
    wait(session.register(Procedure::function("com.example.double", double)))
}

fn hear(session: &SessionHandle) -> (SubscriptionHandle, mpsc::Receiver<i64>) {
    let (tell, heard) = mpsc::channel();
    let note = move |event: Event| {
        let _ = tell.send(event.args::<(i64,)>()?.0);
        Ok(())
    };
    let subscription = Subscription::function("com.example.news", note);
    (wait(session.subscribe(subscription)), heard)
}

fn assert_serves(url: &str, heard: &mpsc::Receiver<i64>) {
    let mut client = Client::join(Autobahn::Python, url);
    let doubled = client.call("com.example.double", json!([21]), json!({}));
    assert_eq!(doubled["args"], json!([42]));
    client.send(json!({"op": "publish", "topic": "com.example.news", "args": [7]}));
    client.expect("published");
    assert_eq!(heard.recv_timeout(PATIENCE), Ok(7));
}

#[test]
fn a_component_in_process_registers_later_and_ends_it() {
    let component = container(CLASSNAME, HERE, json!({"name": "in process"}));
    let node = InProcess::start::<Lending>(CLASSNAME, &[router(), component]);
    let session = session("in process");
    let registration = double(&session);
    let (subscription, heard) = hear(&session);
    assert_serves(&node.websocket_url(), &heard);

    wait(registration.unregister());
    wait(subscription.unsubscribe());
    let mut client = Client::join(Autobahn::Python, &node.websocket_url());
    let error = client.call_error("com.example.double", json!([21]), json!({}));
    assert_eq!(error["uri"], "wamp.error.no_such_procedure");
    client.send(json!({
        "op": "publish", "topic": "com.example.news", "args": [8], "acknowledge": true
    }));
    client.expect("published");
    // Again, and dropped this time.
    drop(double(&session));
    wait::until("the end of the registration", || {
        let second = session.register(Procedure::function("com.example.double", |_| Reply::now(0)));
        let second = second.wait_timeout(PATIENCE).expect("an answer");
        second.ok().map(drop)
    });
    assert!(heard.try_recv().is_err(), "nothing comes after the end");
}

#[test]
fn its_concurrency_is_that_of_the_configuration() {
    let extra = json!({
        "name": "limited", "procedures": {"com.example.slow": {"concurrency": 2}}
    });
    let node =
        InProcess::start::<Lending>(CLASSNAME, &[router(), container(CLASSNAME, HERE, extra)]);
    let (begun, begins) = mpsc::channel();
    let slow = move |_| {
        let (promise, deferred) = wampgres::component::deferred::<i64>();
        let _ = begun.send(promise);
        Reply::later(deferred)
    };
    let slow = Procedure::function("com.example.slow", slow);
    let _slow = wait(session("limited").register(slow));
    let mut client = websocket::Client::join(node.address());
    let calls = [(); 3].map(|()| client.call("com.example.slow", &json!([])));
    let first = begins.recv_timeout(PATIENCE).expect("the first");
    let _second = begins.recv_timeout(PATIENCE).expect("the second");
    // An answer to another request says that the third was looked at and waits.
    client.subscribe("com.example.t");
    assert!(begins.try_recv().is_err(), "two at once");
    first.resolve(Ok(1));
    assert_eq!(client.expect_result(calls[0]), json!(1));
    begins.recv_timeout(PATIENCE).expect("the third");
}

/// A node with a router alone, on this port.
fn start_router(port: u16) -> Node {
    let mut router = router();
    router["transports"][0]["endpoint"]["port"] = json!(port);
    Node::start(&config(&[router]))
}

#[test]
fn what_came_later_comes_back_when_the_router_does() {
    let port = port::reserved();
    let router = start_router(port.number());
    let url = router.websocket_url();
    let component = container(CLASSNAME, &url, json!({"name": "dialled"}));
    let _node = InProcess::start::<Lending>(CLASSNAME, &[component]);
    let session = session("dialled");
    // It waits for the session.
    let _registration = double(&session);
    let (_subscription, heard) = hear(&session);
    assert_serves(&url, &heard);

    drop(router);
    wait::until("the loss", || (!session.is_joined()).then_some(()));
    let router = start_router(port.number());
    let mut client = websocket::Client::join(router.address());
    wait::until("the procedure", || {
        let request = client.call("com.example.double", &json!([1]));
        client.answer_to(request).outcome.ok()
    });
    // It was subscribed to along with that.
    assert_serves(&url, &heard);
}
