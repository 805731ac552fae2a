//! A component's session with a router end that the test plays itself.

mod calls;
mod later;
mod streaming;

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
    mpsc::{self, Receiver},
};

use serde_json::{Value, json};

use super::*;
use crate::{
    Answer, Classes, Component, Error, Invocation, Procedure, RealmHandle, ReloadHandle, Reply,
    SessionHandle, Setup,
};
use deferred::deferred;
use sql::Deferred;
use wamp::{
    ClosingDetails, Goodbye, Outbound, Payload, Registered, RegistrationId, RequestId, RequestType,
    SessionId, Sparse, Welcome, WelcomeDetails, Work,
};

/// Answers in every way there is.
struct Answers {
    later: Mutex<Vec<Deferred<i64>>>,
}

impl Answers {
    fn now(&self, call: Invocation) -> Answer {
        let (n,): (i64,) = call.args()?;
        Reply::now(n + 1)
    }

    fn later(&self, _: Invocation) -> Answer {
        let deferred = self.later.lock().unwrap().pop();
        Reply::later(deferred.expect("the test has left one"))
    }

    fn refused(&self, _: Invocation) -> Answer {
        let mut deep = json!(1);
        for _ in 0..600 {
            deep = json!([deep]);
        }
        Err(Error::new("com.example.no", "not today").with_detail("why", deep))
    }

    fn panicking(&self, _: Invocation) -> Answer {
        panic!("hunter2, as the test wants it");
    }
}

impl Component for Answers {
    fn on_join(_: Setup) -> Result<Self, Error> {
        Ok(Self {
            later: Mutex::default(),
        })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.now", Self::now),
            Procedure::new("com.example.later", Self::later),
            Procedure::new("com.example.refused", Self::refused),
            Procedure::new("com.example.panicking", Self::panicking),
        ]
    }
}

/// Answers who calls: to the component alone, and to everybody.
struct WhoCalls;

impl Component for WhoCalls {
    fn on_join(_: Setup) -> Result<Self, Error> {
        Ok(Self)
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![Procedure::new("com.example.who", |_, call| {
            let known = (call.identity())
                .map(|known| (known.session, known.authid.clone(), known.authrole.clone()));
            let disclosed = call.caller().map(|caller| caller.session);
            Reply::now((format!("{known:?}"), disclosed))
        })]
    }
}

/// A session and the messages it sends.
struct Played {
    session: Arc<Session>,
    transport: Arc<dyn Transport>,
    sent: Receiver<Message>,
}

impl Played {
    fn new(instance: Instance) -> Self {
        let (sender, sent) = mpsc::channel();
        let send = move |message| sender.send(message).unwrap();
        Self::on(Arc::new(send), sent, instance)
    }

    /// The router says this.
    fn hear(&self, text: &str) {
        let message = wamp::Serializer::Json.decode(text.as_bytes()).unwrap();
        self.session.on_message(message);
    }

    fn on(transport: Arc<dyn Transport>, sent: Receiver<Message>, instance: Instance) -> Self {
        Self {
            session: Session::new("test", "realm1".into(), Arc::new(instance)),
            transport,
            sent,
        }
    }

    /// Lets the session say HELLO.
    fn open(&self) {
        self.session.on_open(self.transport.clone());
    }

    fn of_answers() -> Self {
        Self::with_deferreds([])
    }

    fn with_deferreds(deferreds: impl IntoIterator<Item = Deferred<i64>>) -> Self {
        let answers = Answers {
            later: Mutex::new(deferreds.into_iter().collect()),
        };
        Self::new(Instance::of(answers, SessionHandle::default()))
    }

    /// What the session has sent since it was asked last, as it stands on the wire.
    fn sent(&self) -> Vec<Value> {
        let encode = |message| wamp::Serializer::Json.encode(&message);
        let value = |bytes: Vec<u8>| serde_json::from_slice(&bytes).unwrap();
        self.sent.try_iter().map(encode).map(value).collect()
    }

    /// Joins, with registration ids 101, 102, … in the order of the procedures.
    fn join(&self) {
        self.open();
        self.session.on_message(welcome());
        let procedures = self.session.client.handler().instance.procedures.len() as u64;
        for n in 1..=procedures {
            self.session.on_message(registered(n));
        }
        assert_eq!(
            self.session.status(),
            Status::Joined(usize::try_from(procedures).unwrap())
        );
        self.sent();
    }

    fn invoke(&self, request: u64, registration: u64, args: &Value) {
        self.session.on_message(
            wamp::Invocation {
                request: RequestId::new(request).unwrap(),
                registration: RegistrationId::new(registration).unwrap(),
                details: Sparse::default(),
                payload: Payload::from_args(args).unwrap(),
            }
            .into(),
        );
    }
}

fn welcome() -> Message {
    Welcome {
        session: SessionId::new(1).unwrap(),
        details: WelcomeDetails {
            authid: "1".into(),
            authrole: "anonymous".into(),
            agent: "test".into(),
            ..WelcomeDetails::default()
        }
        .into(),
    }
    .into()
}

fn registered(n: u64) -> Message {
    Registered {
        request: RequestId::new(n).unwrap(),
        registration: RegistrationId::new(100 + n).unwrap(),
    }
    .into()
}

fn goodbye(reason: &str) -> Message {
    Goodbye {
        details: ClosingDetails::default(),
        reason: reason.into(),
    }
    .into()
}

#[test]
fn it_joins_as_a_callee_and_registers_everything() {
    let played = Played::of_answers();
    played.open();
    let hello = &played.sent()[0];
    assert_eq!((&hello[0], &hello[1]), (&json!(1), &json!("realm1")));
    let callee = json!({"features": {
        "call_canceling": true, "caller_identification": true, "progressive_call_results": true,
        "registration_revocation": true, "_interrupt_on_skip": true
    }});
    let caller = json!({"features": {
        "call_canceling": true, "caller_identification": true, "progressive_call_results": true
    }});
    let roles = json!({"caller": caller, "callee": callee, "publisher": {}, "subscriber": {}});
    assert_eq!(hello[2]["roles"], roles);
    played.session.on_message(welcome());
    let expected: Vec<_> = ["now", "later", "refused", "panicking"]
        .iter()
        .enumerate()
        .map(|(n, name)| json!([64, n + 1, {}, format!("com.example.{name}")]))
        .collect();
    assert_eq!(played.sent(), expected);
    for n in 1..=3 {
        played.session.on_message(registered(n));
    }
    assert_eq!(played.session.status(), Status::Joining);
    played.session.on_message(registered(4));
    assert_eq!(played.session.status(), Status::Joined(4));
}

#[test]
fn a_procedure_that_may_not_be_registered_ends_the_session() {
    let played = Played::of_answers();
    played.open();
    played.session.on_message(welcome());
    played.sent();
    let refused = wamp::Error {
        request_type: RequestType::Register,
        request: RequestId::new(2).unwrap(),
        details: wamp::ErrorDetails::default(),
        error: error_uri::PROCEDURE_ALREADY_EXISTS.into(),
        payload: Payload::from_args(&["it is registered already"]).unwrap(),
    };
    played.session.on_message(refused.into());
    assert_eq!(played.sent(), [json!([6, {}, "wamp.close.close_realm"])]);
    let Status::Ended(why) = played.session.status() else {
        panic!("{:?}", played.session.status());
    };
    for part in ["com.example.later", "procedure_already_exists", "already"] {
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn every_invocation_is_answered_once() {
    let (promise, deferred) = deferred();
    let failing = Deferred::ready(Err(sql::Error::new(sql::ErrorKind::Panicked, "hunter2")));
    let played = Played::with_deferreds([failing, deferred]);
    played.join();

    played.invoke(1, 101, &json!([41]));
    assert_eq!(played.sent(), [json!([70, 1, {}, [42]])]);
    played.invoke(2, 101, &json!(["x"]));
    let error = &played.sent()[0];
    assert_eq!(error[4], "wamp.error.invalid_argument");

    played.invoke(3, 102, &json!([]));
    assert_eq!(played.sent(), [] as [Value; 0], "not before the database");
    promise.resolve(Ok(7));
    assert_eq!(played.sent(), [json!([70, 3, {}, [7]])]);

    let bug = "the procedure has failed with a bug of its own";
    played.invoke(4, 102, &json!([]));
    played.invoke(5, 104, &json!([]));
    let expected = |n| json!([8, 68, n, {}, "wamp.error.runtime_error", [bug]]);
    assert_eq!(played.sent(), [expected(4), expected(5)]);

    // Details that no message can carry are left out; the error is not.
    played.invoke(6, 103, &json!([]));
    let refusal = json!([8, 68, 6, {}, "com.example.no", ["not today"]]);
    assert_eq!(played.sent(), [refusal]);

    played.invoke(7, 999, &json!([]));
    assert_eq!(played.sent()[0][4], "wamp.error.no_such_registration");
}

#[test]
fn a_procedure_that_is_taken_over_is_no_longer_its_own_and_the_others_are() {
    let played = Played::of_answers();
    played.join();
    let revoked = |registration| {
        let text = format!(r#"[67,0,{{"registration":{registration},"reason":"why"}}]"#);
        wamp::Serializer::Json.decode(text.as_bytes()).unwrap()
    };
    played.session.on_message(revoked(103));
    // One that it never had, or has no longer, is no matter.
    played.session.on_message(revoked(103));
    played.session.on_message(revoked(999));
    assert_eq!(played.session.status(), Status::Joined(4));
    played.invoke(1, 103, &json!([]));
    assert_eq!(played.sent()[0][4], "wamp.error.no_such_registration");
    played.invoke(2, 101, &json!([1]));
    assert_eq!(played.sent(), [json!([70, 2, {}, [2]])]);
}

/// A way to the router from an I/O thread that the test plays as well.
struct FromIoThread {
    sent: mpsc::Sender<Message>,
    io_thread: Arc<IoThread>,
}

struct IoThread {
    posted: mpsc::Sender<Message>,
    is_over: AtomicBool,
}

impl Transport for FromIoThread {
    fn send(&self, message: Message) {
        self.sent.send(message).unwrap();
    }
    fn outbound(&self) -> Option<Arc<dyn Outbound>> {
        Some(self.io_thread.clone())
    }
}

impl Outbound for IoThread {
    fn post(&self, message: Message) -> Result<(), Message> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(message);
        }
        self.posted.send(message).unwrap();
        Ok(())
    }

    fn run(&self, work: Work) -> Result<(), Work> {
        Err(work)
    }
}

#[test]
fn an_answer_that_comes_later_is_sent_from_the_thread_its_invocation_came_on() {
    let (sender, sent) = mpsc::channel();
    let (posted, post) = mpsc::channel();
    let io_thread = Arc::new(IoThread {
        posted,
        is_over: AtomicBool::new(false),
    });
    let transport = FromIoThread {
        sent: sender,
        io_thread: io_thread.clone(),
    };
    let (promises, deferreds): (Vec<_>, Vec<Deferred<i64>>) = (0..2).map(|_| deferred()).unzip();
    let answers = Answers {
        later: Mutex::new(deferreds),
    };
    let played = Played::on(
        Arc::new(transport),
        sent,
        Instance::of(answers, SessionHandle::default()),
    );
    played.join();
    played.invoke(1, 102, &json!([]));
    played.invoke(2, 102, &json!([]));
    let mut promises = promises.into_iter().rev();
    promises.next().unwrap().resolve(Ok(41));
    assert_eq!(played.sent(), Vec::<Value>::new());
    played.session.on_posted(post.recv().unwrap());
    assert_eq!(played.sent(), [json!([70, 1, {}, [41]])]);
    assert_eq!(played.session.client.handler().count_under_way(), 1);

    // The thread has ended.
    io_thread.is_over.store(true, Ordering::Relaxed);
    promises.next().unwrap().resolve(Ok(42));
    assert_eq!(played.sent(), [json!([70, 2, {}, [42]])]);
    assert_eq!(played.session.client.handler().count_under_way(), 0);
}

#[test]
fn each_goodbye_is_answered_and_answers_are_not() {
    let theirs = Played::of_answers();
    theirs.join();
    theirs
        .session
        .on_message(goodbye(error_uri::SYSTEM_SHUTDOWN));
    let answer = json!([6, {}, "wamp.close.goodbye_and_out"]);
    assert_eq!(theirs.sent(), [answer]);
    theirs.session.leave();
    assert_eq!(theirs.sent(), [] as [Value; 0]);

    let ours = Played::of_answers();
    ours.join();
    ours.session.leave();
    assert_eq!(ours.sent(), [json!([6, {}, "wamp.close.system_shutdown"])]);
    ours.session.on_message(goodbye(error_uri::GOODBYE_AND_OUT));
    assert_eq!(ours.sent(), [] as [Value; 0]);
}

#[test]
fn a_class_without_procedures_is_joined_when_it_is_welcome() {
    struct Silent;
    impl Component for Silent {
        fn on_join(_: Setup) -> Result<Self, Error> {
            Ok(Self)
        }
        fn procedures(&self) -> Vec<Procedure<Self>> {
            Vec::new()
        }
    }
    let setup = Setup {
        realm_handle: RealmHandle::default(),
        extra: Value::Null,
        #[cfg(feature = "adbapi")]
        database: None,
        realm: "realm1".into(),
        databases: std::collections::BTreeMap::new(),
        session: SessionHandle::default(),
        reload: ReloadHandle::default(),
    };
    let classes = Classes::default().with::<Silent>("test.Silent");
    let played = Played::new(classes.make("test.Silent", setup).unwrap());
    played.join();
}

#[test]
fn an_interrupt_stops_what_is_under_way_and_is_answered_once() {
    let (promise, later) = deferred();
    let played = Played::with_deferreds([later]);
    played.join();
    played.invoke(1, 102, &json!([]));
    assert_eq!(played.sent(), Vec::<Value>::new());

    let interrupt = |request| wamp::Interrupt {
        request: RequestId::new(request).unwrap(),
        options: wamp::InterruptOptions {
            mode: wamp::CancelMode::Kill,
            reason: None,
        },
    };
    played.session.on_message(interrupt(1).into());
    let answers = played.sent();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0][4], "wamp.error.canceled");

    // Too late for either of them to matter.
    promise.resolve(Ok(7));
    played.session.on_message(interrupt(1).into());
    played.session.on_message(interrupt(2).into());
    assert_eq!(played.sent(), Vec::<Value>::new());
}

#[test]
fn what_is_under_way_ends_with_the_session() {
    let (promise, later): (_, Deferred<i64>) = deferred();
    let played = Played::with_deferreds([later]);
    played.join();
    played.invoke(1, 102, &json!([]));
    played.session.on_close();
    assert_eq!(played.sent()[0][4], "wamp.error.canceled");
    drop(promise);
}

#[test]
fn concurrency_is_asked_for_in_register() {
    let answers = Answers {
        later: Mutex::default(),
    };
    let mut instance = Instance::of(answers, SessionHandle::default());
    let three = std::num::NonZeroU64::new(3).unwrap();
    instance.limit("com.example.later", three).unwrap();
    let error = instance.limit("com.example.latter", three).unwrap_err();
    assert!(error.to_string().contains("com.example.later, "), "{error}");

    let played = Played::new(instance);
    played.open();
    played.session.on_message(welcome());
    let sent = played.sent();
    assert_eq!(sent[1][2], json!({}));
    assert_eq!(sent[2][2], json!({"concurrency": 3}));
}

#[test]
fn a_procedure_knows_who_calls_from_its_own_router_or_by_disclosure() {
    let played = Played::new(Instance::of(WhoCalls, SessionHandle::default()));
    played.join();
    let invocation = |details: Value| {
        let text = json!([68, 1, 101, details]).to_string();
        match wamp::Serializer::Json.decode(text.as_bytes()) {
            Ok(Message::Invocation(invocation)) => invocation,
            other => panic!("not an INVOCATION: {other:?}"),
        }
    };
    let said = || played.sent()[0][3][0].clone();

    let session = SessionId::new(7).unwrap();
    let caller = Identity::anonymous(session, "clerk".into(), wamp::TransportKind::Memory);
    played
        .session
        .on_invocation(invocation(json!({})), caller.into());
    let known = r#"Some((SessionId(7), Some("7"), Some("clerk")))"#;
    assert_eq!(said(), json!([known, null]));

    // Another router tells what it discloses and no more.
    played.session.on_message(invocation(json!({})).into());
    assert_eq!(said(), json!(["None", null]));
    let details = json!({"caller": 8, "caller_authrole": "guest"});
    played.session.on_message(invocation(details).into());
    let known = r#"Some((SessionId(8), None, Some("guest")))"#;
    assert_eq!(said(), json!([known, 8]));
}
