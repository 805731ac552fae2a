//! A client with a router end that the test plays itself.

mod threads;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::{self, Receiver, Sender},
};

use serde_json::{Value, json};

use super::*;
use wamp::{
    CallOptions, CancelMode, HelloDetails, Message, Payload, Peer, PeerRoles, PublishOptions,
    Receipt, RequestId, RequestType, Serializer, SubscribeOptions, Transport,
};

/// Writes down what it is told.
struct Notes(Sender<String>);

impl Handler for Notes {
    fn on_join(&self, _: &Client<Self>, welcome: wamp::Welcome) {
        self.note(format!("joined {}", welcome.session));
    }
    fn on_event(&self, _: &Client<Self>, event: wamp::Event) {
        let args: Value = event.payload.args().unwrap();
        self.note(format!("event {} {args}", event.subscription));
    }
    fn on_interrupt(&self, _: &Client<Self>, interrupt: wamp::Interrupt) {
        self.note(format!("interrupt {}", interrupt.request));
    }
    fn on_revoked(&self, _: &Client<Self>, revoked: wamp::Revoked) {
        self.note(format!("revoked {}", revoked.registration));
    }
    fn on_ignored(&self, message: Message) {
        self.note(format!("ignored {}", message.message_type().name()));
    }
    fn on_left(&self, _: &Client<Self>) {
        self.note("left".to_owned());
    }
    fn on_end(&self, client: &Client<Self>, end: &End) {
        client.call("com.example.late".into(), options(), Payload::empty(), {
            let notes = self.0.clone();
            move |result| {
                notes
                    .send(format!("late: {}", result.unwrap_err()))
                    .unwrap()
            }
        });
        self.note(format!("ended: {end}"));
    }
}

impl Notes {
    fn note(&self, text: String) {
        self.0.send(text).unwrap();
    }
}

/// A client, what it sends, and what it and its callbacks have told.
struct Played {
    client: Arc<Client<Notes>>,
    sent: Receiver<Message>,
    transport: Arc<dyn Transport>,
    told: Receiver<String>,
    tell: Sender<String>,
}

impl Played {
    fn new(limits: Limits) -> Self {
        let (sender, sent) = mpsc::channel();
        let transport = move |message| sender.send(message).unwrap();
        let (tell, told) = mpsc::channel();
        let details = HelloDetails {
            roles: PeerRoles::ALL,
            ..HelloDetails::default()
        };
        Self {
            client: Client::new("realm1".into(), details, limits, Notes(tell.clone())),
            sent,
            transport: Arc::new(transport),
            told,
            tell,
        }
    }

    fn joined() -> Self {
        let played = Self::new(Limits::default());
        played.join();
        played
    }

    fn join(&self) {
        self.client.on_open(self.transport.clone());
        self.hear(r#"[2, 7, {"roles": {"broker": {}, "dealer": {}}}]"#);
        assert_eq!(self.sent()[0][..2], [json!(1), json!("realm1")]);
        assert_eq!(self.told(), ["joined 7"]);
    }

    /// The router says this.
    fn hear(&self, text: &str) {
        let message = Serializer::Json.decode(text.as_bytes()).unwrap();
        self.client.on_message(message);
    }

    /// What the client has sent since it was asked last, as it stands on the wire.
    fn sent(&self) -> Vec<Vec<Value>> {
        let encode = |message| Serializer::Json.encode(&message);
        let value = |bytes: Vec<u8>| serde_json::from_slice(&bytes).unwrap();
        self.sent.try_iter().map(encode).map(value).collect()
    }

    fn told(&self) -> Vec<String> {
        self.told.try_iter().collect()
    }

    /// A callback that tells what it gets.
    fn callback<T: std::fmt::Debug>(
        &self,
        name: &'static str,
    ) -> impl FnOnce(Result<T, Error>) + Send + 'static {
        let tell = self.tell.clone();
        move |result| {
            let outcome = match result {
                Ok(value) => format!("{value:?}"),
                Err(error) => error.to_string(),
            };
            tell.send(format!("{name}: {outcome}")).unwrap();
        }
    }

    fn call(&self) -> Option<RequestId> {
        let tell = self.tell.clone();
        let payload = Payload::from_args(&(1, 2)).unwrap();
        (self.client).call("com.example.add2".into(), options(), payload, move |r| {
            let text = match r {
                Ok(payload) => payload.args::<Value>().unwrap().to_string(),
                Err(error) => error.to_string(),
            };
            tell.send(format!("call: {text}")).unwrap();
        })
    }
}

fn options() -> CallOptions {
    CallOptions::default()
}

#[test]
fn requests_count_from_one_and_each_answer_finds_its_own() {
    let played = Played::joined();
    let client = &played.client;
    played.call();
    client.register(
        "com.example.p".into(),
        Default::default(),
        played.callback("register"),
    );
    let topic = || "com.example.t".into();
    client.subscribe(
        topic(),
        SubscribeOptions::default(),
        played.callback("subscribe"),
    );
    let event = || Payload::from_args(&["news"]).unwrap();
    let default = PublishOptions::default;
    client.publish(topic(), default(), event()).unwrap();
    client.publish_acknowledged(topic(), default(), event(), played.callback("publish"));
    client.unsubscribe(
        wamp::SubscriptionId::new(9).unwrap(),
        played.callback("unsubscribe"),
    );
    client.unregister(
        wamp::RegistrationId::new(8).unwrap(),
        played.callback("unregister"),
    );
    assert_eq!(
        json!(played.sent()),
        json!([
            [48, 1, {}, "com.example.add2", [1, 2]],
            [64, 2, {}, "com.example.p"],
            [32, 3, {}, "com.example.t"],
            [16, 4, {"acknowledge": false, "exclude_me": true}, "com.example.t", ["news"]],
            [16, 5, {"acknowledge": true, "exclude_me": true}, "com.example.t", ["news"]],
            [34, 6, 9],
            [66, 7, 8],
        ])
    );
    for (heard, told) in [
        ("[67, 7]", "unregister: ()"),
        ("[35, 6]", "unsubscribe: ()"),
        ("[17, 5, 55]", "publish: PublicationId(55)"),
        ("[33, 3, 9]", "subscribe: SubscriptionId(9)"),
        ("[65, 2, 8]", "register: RegistrationId(8)"),
        ("[50, 1, {}, [3]]", "call: [3]"),
        // Nobody waits for any of these.
        ("[50, 1, {}, [3]]", "ignored RESULT"),
        ("[17, 4, 55]", "ignored PUBLISHED"),
        (r#"[8, 48, 99, {}, "com.example.no"]"#, "ignored ERROR"),
    ] {
        played.hear(heard);
        assert_eq!(played.told(), [told], "{heard}");
    }
}

#[test]
fn an_error_brings_its_uri_and_payload_to_the_request_of_its_type() {
    let played = Played::joined();
    played.call();
    played.client.subscribe(
        "com.example.t".into(),
        SubscribeOptions::default(),
        played.callback("subscribe"),
    );
    played.hear(r#"[8, 32, 1, {}, "com.example.other"]"#);
    assert_eq!(played.told(), ["ignored ERROR"]);
    played.hear(r#"[8, 48, 1, {}, "com.example.no", ["not today", 5], {"why": 1}]"#);
    assert_eq!(played.told(), ["call: com.example.no: not today"]);
    played.hear(r#"[8, 32, 2, {}, "wamp.error.not_authorized"]"#);
    assert_eq!(played.told(), ["subscribe: wamp.error.not_authorized"]);
}

#[test]
fn a_result_comes_in_parts_to_whoever_takes_them() {
    let played = Played::joined();
    let tell = played.tell.clone();
    let client = played.client.clone();
    let on_progress = move |part: Payload| {
        // It may make requests, to the same session as well.
        let topic = "com.example.seen".into();
        (client.publish(topic, PublishOptions::default(), Payload::empty())).unwrap();
        let part: Value = part.args().unwrap();
        tell.send(format!("part {part}")).unwrap();
    };
    let options = CallOptions {
        timeout: 1500,
        ..CallOptions::default()
    };
    played.client.call_progressive(
        "com.example.count".into(),
        options,
        Payload::empty(),
        on_progress,
        played.callback("count"),
    );
    let asked = json!([[48, 1, {"timeout": 1500, "receive_progress": true}, "com.example.count"]]);
    assert_eq!(json!(played.sent()), asked);
    played.hear(r#"[50, 1, {"progress": true}, [1]]"#);
    played.hear(r#"[50, 1, {"progress": true}, [2]]"#);
    assert_eq!(played.told(), ["part [1]", "part [2]"]);
    assert_eq!(played.sent().len(), 2);
    played.hear(r#"[8, 48, 1, {}, "wamp.error.timeout"]"#);
    assert_eq!(played.told(), ["count: wamp.error.timeout"]);
    played.hear(r#"[50, 1, {"progress": true}, [3]]"#);
    assert_eq!(played.told(), ["ignored RESULT"]);
}

#[test]
fn a_call_can_be_canceled_while_it_has_no_result() {
    let played = Played::joined();
    let call = played.call().unwrap();
    played.sent();
    played.client.cancel(call, CancelMode::Kill);
    assert_eq!(json!(played.sent()), json!([[49, 1, {"mode": "kill"}]]));
    played.hear(r#"[8, 48, 1, {}, "wamp.error.canceled"]"#);
    assert_eq!(played.told(), ["call: wamp.error.canceled"]);
    played.client.cancel(call, CancelMode::KillNoWait);
    assert_eq!(played.sent(), [] as [Vec<Value>; 0]);
}

#[test]
fn whatever_ends_the_session_fails_its_requests_and_later_ones() {
    let goodbye = json!([[6, {}, "wamp.close.goodbye_and_out"]]);
    let shutdown = "wamp.close.system_shutdown";
    type Ending = fn(&Played);
    let endings: [(Ending, &str, Value); 4] = [
        (
            |played| played.hear(r#"[6, {"message": "so long"}, "wamp.close.system_shutdown"]"#),
            "wamp.close.system_shutdown: so long",
            goodbye,
        ),
        (
            |played| played.hear(r#"[3, {}, "wamp.error.protocol_violation"]"#),
            "wamp.error.protocol_violation",
            json!([]),
        ),
        (
            |played| played.client.on_close(),
            "the connection to the router has ended",
            json!([]),
        ),
        (
            |played| played.client.leave("wamp.close.system_shutdown"),
            "the client has left: wamp.close.system_shutdown",
            json!([[6, {}, shutdown]]),
        ),
    ];
    for (end, why, said) in endings {
        let played = Played::joined();
        played.call();
        played.client.unsubscribe(
            wamp::SubscriptionId::new(9).unwrap(),
            played.callback("unsubscribe"),
        );
        played.sent();
        end(&played);
        let unanswered =
            format!("wamp.error.canceled: the session has ended before the answer came: {why}");
        let told = [
            format!("late: wamp.error.unavailable: the session has ended: {why}"),
            format!("ended: {why}"),
            format!("call: {unanswered}"),
            format!("unsubscribe: {unanswered}"),
        ];
        assert_eq!(played.told(), told);
        assert_eq!(json!(played.sent()), said);
        // It ends once.
        played.client.on_close();
        played.client.leave(shutdown);
        assert_eq!(played.told(), [] as [&str; 0]);
        // The router may have more to say.
        played.hear("[50, 1, {}]");
        played.hear(r#"[3, {}, "wamp.error.protocol_violation"]"#);
        played.hear(r#"[6, {}, "wamp.close.goodbye_and_out"]"#);
        assert_eq!(played.told(), ["ignored RESULT", "ignored ABORT", "left"]);
        assert_eq!(played.sent(), [] as [Vec<Value>; 0]);
    }
}

#[test]
fn so_many_requests_wait_and_no_more() {
    let limits = Limits {
        pending: 2,
        ..Limits::default()
    };
    let played = Played::new(limits);
    assert_eq!(played.call(), None);
    let early = "call: wamp.error.unavailable: the session is not open yet";
    assert_eq!(played.told(), [early]);
    played.join();
    assert!(played.call().is_some() && played.call().is_some());
    assert_eq!(played.call(), None);
    let full = "call: wamp.error.unavailable: 2 requests of this session wait already";
    assert_eq!(played.told(), [full]);
    played.hear("[50, 2, {}]");
    assert_eq!(played.told(), ["call: []"]);
    // What was refused has taken no id; what its caller sends itself takes the next one.
    assert_eq!(played.call(), RequestId::new(3));
    assert_eq!(Some(played.client.reserve_request()), RequestId::new(4));
    played.hear("[50, 4, {}]");
    played.hear("[50, 3, {}]");
    assert_eq!(played.told(), ["ignored RESULT", "call: []"]);
    assert_eq!(played.call(), RequestId::new(5));
}

/// A way to a router that reads slowly.
struct Slow(AtomicUsize);

impl Transport for Slow {
    fn send(&self, message: Message) {
        self.0
            .fetch_add(message.approximate_len(), Ordering::Relaxed);
    }
    fn unsent(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn nothing_is_added_to_what_a_slow_router_does_not_read() {
    let limits = Limits {
        unsent: 10_000,
        ..Limits::default()
    };
    let mut played = Played::new(limits);
    let slow = Arc::new(Slow(AtomicUsize::new(0)));
    played.transport = slow.clone();
    played.client.on_open(played.transport.clone());
    played.hear(r#"[2, 7, {"roles": {}}]"#);
    let publish = || {
        let payload = Payload::from_args(&["x".repeat(1000)]).unwrap();
        let topic = "com.example.t".into();
        (played.client).publish(topic, PublishOptions::default(), payload)
    };
    let refused = (0..100).find_map(|_| publish().err()).unwrap();
    assert_eq!(refused.uri.as_str(), "wamp.error.unavailable");
    assert!(slow.unsent() < 12_000, "{refused}");
    slow.0.store(0, Ordering::Relaxed);
    publish().unwrap();
}

#[test]
fn what_comes_unasked_goes_to_the_owner() {
    let played = Played::joined();
    for (heard, told) in [
        (r#"[36, 9, 1, {}, ["news"]]"#, "event 9 [\"news\"]"),
        ("[69, 4, {}]", "interrupt 4"),
        (r#"[67, 0, {"registration": 8}]"#, "revoked 8"),
        (r#"[2, 8, {"roles": {}}]"#, "ignored WELCOME"),
        (
            r#"[1, "realm1", {"roles": {"caller": {}}}]"#,
            "ignored HELLO",
        ),
    ] {
        played.hear(heard);
        assert_eq!(played.told(), [told], "{heard}");
    }
    // A client that has no procedures says so, and answers can be posted as well.
    played.hear("[68, 5, 8, {}]");
    assert_eq!(played.sent()[0][4], "wamp.error.no_such_registration");
    let six = RequestId::new(6).unwrap();
    played.client.on_posted(answer(six, Ok(Payload::empty())));
    played
        .client
        .progress(six, Payload::empty(), Receipt::new(|| {}));
    assert_eq!(
        json!(played.sent()),
        json!([[70, 6, {}], [70, 6, {"progress": true}]])
    );
    let error = Error::new("com.example.no", "why");
    let Message::Error(message) = answer(six, Err(error)) else {
        panic!("an error is an ERROR");
    };
    assert_eq!(message.request_type, RequestType::Invocation);
}
