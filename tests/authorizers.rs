//! Dynamic authorization: a procedure is asked what the sessions of a role may do. It is a real client's,
//! a component's or one in SQL.

use std::sync::Mutex;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use wampgres::component::{
    Answer, Component, Error, Invocation, Procedure, Promise, Reply, Setup, deferred as later,
};

use crate::support::{
    autobahn::{self, Autobahn},
    backends::{Backend, on_each_backend},
    in_process::InProcess,
    node::{Node, config, router},
    postgres::Postgres,
    wait,
    websocket::{ANY, Client, code},
};

const AUTHORIZER: &str = "com.auth";
const FAILED: &str = "wamp.error.authorization_failed";
const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";

/// A router whose clients may register the authorizer, and for the rest are what it allows.
fn asking_router(options: &Value) -> Value {
    let mut router = router();
    let role = &mut router["realms"][0]["roles"][0];
    role["permissions"] = json!([{"uri": AUTHORIZER, "allow": {"register": true}}]);
    role["authorizer"] = json!(AUTHORIZER);
    for (key, value) in options.as_object().expect("options") {
        role[key] = value.clone();
    }
    router
}

/// Adds the role of components that register what they like.
fn add_backend(router: &mut Value) {
    let roles = router["realms"][0]["roles"].as_array_mut();
    roles.expect("roles").push(json!({
        "name": "backend", "permissions": [{"uri": "com.*", "allow": {"register": true}}]
    }));
}

fn asking_node() -> Node {
    Node::start(&config(&[asking_router(&json!({}))]))
}

/// A real client that has registered the authorizer.
fn authorizer(kind: Autobahn, node: &Node) -> autobahn::Client {
    let mut client = autobahn::Client::join(kind, &node.websocket_url());
    client.register(AUTHORIZER, "authorize");
    client
}

fn request(client: &mut Client, code: u64, options: Value, uri: &str) -> u64 {
    let request = client.next_request();
    client.send(&json!([code, request, options, uri]));
    request
}

#[test]
fn a_real_client_says_what_others_may_do() {
    for kind in autobahn::BOTH {
        let node = asking_node();
        let mut authorizer = authorizer(kind, &node);
        let mut asked = || authorizer.expect_aside("invoked")["args"].take();
        let mut client = Client::join(node.address());
        let session = client.session();

        let call = request(&mut client, code::CALL, json!({}), "com.denied");
        let told = asked();
        assert_eq!(told[0]["session"], session, "{kind:?}");
        assert_eq!(told[0]["realm"], "realm1");
        assert_eq!(told[0]["authid"], session.to_string());
        assert_eq!(told[0]["authrole"], "anonymous");
        assert_eq!(told[0]["transport"]["type"], "websocket");
        let [uri, action, options] = [&told[1], &told[2], &told[3]];
        assert_eq!(
            (uri, action, options),
            (&json!("com.denied"), &json!("call"), &json!({}))
        );
        let told = client.expect_error(code::CALL, call, NOT_AUTHORIZED);
        assert!(
            told.contains("its authorizer 'com.auth' does not allow it"),
            "{told}"
        );

        let options = json!({"match": "exact"});
        let subscribe = request(&mut client, code::SUBSCRIBE, options.clone(), "com.topic");
        assert_eq!(asked()[3], options);
        client.expect(&json!([code::SUBSCRIBED, subscribe, ANY]));
        let register = request(&mut client, code::REGISTER, json!({}), "com.denied");
        let told = asked();
        assert_eq!((&told[2], &told[3]), (&json!("register"), &options));
        client.expect_error(code::REGISTER, register, NOT_AUTHORIZED);
        let options = json!({"acknowledge": true, "exclude_me": false});
        let publish = request(&mut client, code::PUBLISH, options.clone(), "com.topic");
        let told = asked();
        assert_eq!((&told[2], &told[3]), (&json!("publish"), &options));
        client.expect(&json!([code::PUBLISHED, publish, ANY]));
        client.expect(&json!([code::EVENT, ANY, ANY, {}]));
    }
}

#[test]
fn its_answer_says_who_is_told_and_whether_it_is_kept() {
    for kind in autobahn::BOTH {
        let node = asking_node();
        let mut authorizer = authorizer(kind, &node);
        let mut callee = Client::join(node.address());
        for uri in ["com.disclosed", "com.kept"] {
            request(&mut callee, code::REGISTER, json!({}), uri);
            authorizer.expect_aside("invoked");
            callee.expect(&json!([code::REGISTERED, ANY, ANY]));
        }
        let mut caller = Client::join(node.address());
        let session = caller.session();
        request(&mut caller, code::CALL, json!({}), "com.disclosed");
        let details = callee.message()[3].take();
        assert_eq!(details["caller"], session, "{kind:?}");
        assert_eq!(details["caller_authrole"], "anonymous");
        authorizer.expect_aside("invoked");
        for _ in 0..3 {
            request(&mut caller, code::CALL, json!({}), "com.kept");
            assert_eq!(callee.message()[3], json!({}));
        }
        assert_eq!(authorizer.expect_aside("invoked")["args"][1], "com.kept");
        // What one session may is nobody else's, until it is forgotten.
        let mut other = Client::join(node.address());
        request(&mut other, code::CALL, json!({}), "com.kept");
        callee.message();
        let told = authorizer.expect_aside("invoked")["args"].take();
        assert_eq!(told[0]["session"], other.session());
        let clear = "wampgres.authorization.clear_cache";
        let call = request(&mut caller, code::CALL, json!({}), clear);
        assert_eq!(authorizer.expect_aside("invoked")["args"][1], clear);
        // The callee's own answer about it is kept as well.
        caller.expect(&json!([code::RESULT, call, {}, [3]]));
        request(&mut caller, code::CALL, json!({}), "com.kept");
        callee.message();
        assert_eq!(authorizer.expect_aside("invoked")["args"][1], "com.kept");
    }
}

#[test]
fn a_missing_authorizer_is_named_at_start_and_to_whoever_is_refused() {
    let mut node = asking_node();
    node.wait_for_log("nobody has registered the authorizer");
    let log = node.log().to_owned();
    let mut lines = log.lines();
    let line = lines.find(|line| line.contains("nobody has registered the authorizer"));
    let line = line.expect("it was there");
    assert!(
        line.contains(AUTHORIZER) && line.contains("anonymous"),
        "{line}"
    );
    let mut client = Client::join(node.address());
    let call = request(&mut client, code::CALL, json!({}), "com.x");
    let told = client.answer_to(call);
    let error = told.outcome.expect_err("an error");
    assert_eq!(error.uri, FAILED);
    assert!(
        error
            .message
            .contains("no callee has registered 'com.auth'"),
        "{error:?}"
    );

    // One that goes is missing as well, and what waits for it fails.
    let mut authorizer = authorizer(Autobahn::Js, &node);
    let call = request(&mut client, code::CALL, json!({}), "com.pending");
    authorizer.expect_aside("invoked");
    authorizer.kill();
    let error = client.answer_to(call).outcome.expect_err("an error");
    assert_eq!(error.uri, FAILED);
    assert!(error.message.contains("wamp.error.canceled"), "{error:?}");
}

#[test]
fn an_authorizer_that_does_not_answer_makes_its_session_wait_and_nobody_else() {
    let options = json!({"authorizer_timeout": "500ms"});
    let mut node = Node::start(&config(&[asking_router(&options)]));
    let mut authorizer = authorizer(Autobahn::Js, &node);
    let mut client = Client::join(node.address());
    let pending = request(&mut client, code::CALL, json!({}), "com.pending");
    let behind = request(&mut client, code::CALL, json!({}), "com.unknown");
    let mut other = Client::join(node.address());
    let call = request(&mut other, code::CALL, json!({}), "com.unknown");
    other.expect_error(code::CALL, call, "wamp.error.no_such_procedure");
    for _ in 0..3 {
        authorizer.expect_aside("invoked");
    }
    let error = client.answer_to(pending).outcome.expect_err("an error");
    assert_eq!(error.uri, FAILED);
    assert!(error.message.contains("within 500ms"), "{error:?}");
    client.expect_error(code::CALL, behind, "wamp.error.no_such_procedure");
    // A node that stops does not wait for it either.
    request(&mut client, code::CALL, json!({}), "com.pending");
    authorizer.expect_aside("invoked");
    node.signal(Signal::SIGTERM);
    assert!(node.wait().success());
}

/// An authorizer in this process, which lets the test answer.
struct Deciding;

type Asked = (Value, String, String, Promise<Value>, Option<u64>);
static ASKED: Mutex<Vec<Asked>> = Mutex::new(Vec::new());
const CLASSNAME: &str = "test.Deciding";

impl Component for Deciding {
    fn on_join(_: Setup) -> Result<Self, Error> {
        Ok(Self)
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new(AUTHORIZER, Self::decide),
            Procedure::new("com.who", Self::who),
        ]
    }
}

impl Deciding {
    fn decide(&self, call: Invocation) -> Answer {
        let (details, uri, action, _): (Value, String, String, Value) = call.args()?;
        let (promise, decision) = later();
        let who = call.identity().map(|identity| identity.session.value());
        let mut asked = ASKED.lock().expect("no panic");
        asked.push((details, uri, action, promise, who));
        Reply::later(decision)
    }

    fn who(&self, call: Invocation) -> Answer {
        Reply::now(call.caller().map(|caller| caller.session.value()))
    }
}

#[test]
fn a_component_decides_later_and_knows_about_whom() {
    let mut router = asking_router(&json!({}));
    add_backend(&mut router);
    router["components"] = json!([{
        "type": "class", "classname": CLASSNAME, "realm": "realm1", "role": "backend"
    }]);
    let node = InProcess::start::<Deciding>(CLASSNAME, &[router]);
    let next = || wait::until("a question", || ASKED.lock().expect("no panic").pop());
    let mut client = Client::join(node.address());
    let call = request(&mut client, code::CALL, json!({}), "com.who");
    let (details, uri, action, promise, who) = next();
    assert_eq!((&*uri, &*action), ("com.who", "call"));
    assert_eq!(details["session"], client.session());
    assert_eq!(who, Some(client.session()), "the call is made in its name");
    promise.resolve(Ok(json!({"allow": true, "disclose": true})));
    client.expect(&json!([code::RESULT, call, {}, [client.session()]]));

    // Whoever leaves takes the question along.
    request(&mut client, code::CALL, json!({}), "com.who");
    let (.., promise, _) = next();
    let control = promise.control();
    drop(client);
    wait::until("the end of the question", || control.failure());
    let mut client = Client::join(node.address());
    let call = request(&mut client, code::CALL, json!({}), "com.who");
    let error = Error::new("com.example.broken", "with a secret");
    next().3.resolve(Err(error));
    let error = client.answer_to(call).outcome.expect_err("an error");
    assert_eq!(error.uri, FAILED);
    assert!(error.message.contains("com.example.broken"), "{error:?}");
    assert!(!error.message.contains("secret"), "{error:?}");
}

on_each_backend!(a_procedure_in_sql_decides);

/// Rights are rows: who may do what, by role and prefix.
fn a_procedure_in_sql_decides(backend: Backend) {
    let database = Postgres::shared().create_database(&format!("authorizer_{}", backend.name()));
    let tables = "CREATE TABLE rights (role text, action text, prefix text);
                  INSERT INTO rights VALUES ('anonymous', 'call', 'com.shop.'),
                                            ('anonymous', 'subscribe', 'com.news.')";
    database.client().batch_execute(tables).expect("tables");
    let mut settings = database.extra();
    settings["backend"] = json!(backend.name());
    let allowed = "SELECT jsonb_build_object('allow', EXISTS (
                       SELECT FROM rights
                       WHERE role = :details::jsonb ->> 'authrole' AND starts_with(:uri::text, prefix)
                           AND action = :action::text AND :options::jsonb IS NOT NULL),
                   'cache', true)";
    let mut router = asking_router(&json!({}));
    add_backend(&mut router);
    router["components"] = json!([{
        "type": "class", "classname": "sql.Procedures", "realm": "realm1", "role": "backend",
        "extra": {
            "database": settings,
            "procedures": {
                AUTHORIZER: {"sql": allowed, "returns": "value", "read_only": true},
                "com.shop.total": {"sql": "SELECT 42", "returns": "value"}
            }
        }
    }]);
    let mut node = Node::start(&config(&[router]));
    node.wait_for_log("procedures in SQL are prepared");
    let mut client = Client::join(node.address());
    for _ in 0..2 {
        let call = request(&mut client, code::CALL, json!({}), "com.shop.total");
        client.expect(&json!([code::RESULT, call, {}, [42]]));
    }
    let call = request(&mut client, code::CALL, json!({}), "com.other");
    client.expect_error(code::CALL, call, NOT_AUTHORIZED);
    let subscribe = request(&mut client, code::SUBSCRIBE, json!({}), "com.news.today");
    client.expect(&json!([code::SUBSCRIBED, subscribe, ANY]));
    let subscribe = request(&mut client, code::SUBSCRIBE, json!({}), "com.shop.total");
    client.expect_error(code::SUBSCRIBE, subscribe, NOT_AUTHORIZED);
}
