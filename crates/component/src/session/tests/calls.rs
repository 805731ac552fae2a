//! What a component asks of its router, and what it subscribes to.

use std::num::NonZeroU64;

use super::*;
use crate::{CallResult, Event, Subscription};

/// Calls, publishes and subscribes. What it notes is for the test.
struct Asking {
    session: SessionHandle,
    notes: mpsc::Sender<String>,
}

impl Component for Asking {
    fn on_join(_: Setup) -> Result<Self, Error> {
        unreachable!("the test makes it itself")
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        let one = NonZeroU64::new(1).unwrap();
        vec![
            Procedure::new("com.example.ask", Self::ask),
            Procedure::new("com.example.ask_in_turn", Self::ask).concurrency(one),
        ]
    }

    fn subscriptions(&self) -> Vec<Subscription<Self>> {
        vec![
            Subscription::new("com.example.news", Self::on_news),
            Subscription::new("com.example.news", Self::on_news),
            Subscription::new("com.example.trouble", |_: &Self, _| {
                panic!("as the test wants")
            }),
        ]
    }

    fn on_ready(&self) {
        let published = self.session.publish("com.example.ready", ());
        self.note(format!("ready {published:?}"));
    }
}

impl Asking {
    fn ask(&self, call: Invocation) -> Answer {
        let (n,): (i64,) = call.args()?;
        let double = |result: CallResult| Ok(2 * result.value::<i64>()?);
        Reply::later(self.session.call("com.example.half", (n,)).and_then(double))
    }

    fn on_news(&self, event: Event) -> Result<(), Error> {
        let (text,): (String,) = event.args()?;
        self.note(format!("{} {text}", event.topic()));
        Ok(())
    }

    fn note(&self, text: String) {
        self.notes.send(text).unwrap();
    }
}

/// Such a component, its session's handle and its notes.
fn asking() -> (Arc<Instance>, SessionHandle, Receiver<String>) {
    let (notes, noted) = mpsc::channel();
    let session = SessionHandle::default();
    let asking = Asking {
        session: session.clone(),
        notes,
    };
    let instance = Instance::of(asking, session.clone());
    (Arc::new(instance), session, noted)
}

/// Joins. The procedures are the registrations 1 and 2, the topics the subscriptions 11 and 12.
fn join(instance: &Arc<Instance>) -> Played {
    let (sender, sent) = mpsc::channel();
    let send = move |message| sender.send(message).unwrap();
    let played = Played {
        session: Session::new("test", "realm1".into(), instance.clone()),
        transport: Arc::new(send),
        sent,
    };
    played.open();
    played.session.on_message(welcome());
    let asked = &played.sent()[1..];
    assert_eq!(
        asked,
        [
            json!([64, 1, {}, "com.example.ask"]),
            json!([64, 2, {"concurrency": 1}, "com.example.ask_in_turn"]),
            json!([32, 3, {}, "com.example.news"]),
            json!([32, 4, {}, "com.example.news"]),
            json!([32, 5, {}, "com.example.trouble"]),
        ]
    );
    for answer in ["[65, 1, 1]", "[65, 2, 2]", "[33, 3, 11]", "[33, 4, 11]"] {
        played.hear(answer);
        assert_eq!(played.session.status(), Status::Joining);
    }
    played.hear("[33, 5, 12]");
    assert_eq!(played.session.status(), Status::Joined(2));
    let published = &played.sent()[0];
    assert_eq!((&published[0], &published[1]), (&json!(16), &json!(6)));
    played
}

#[test]
fn it_subscribes_on_each_new_session_and_events_find_their_methods() {
    let (instance, _, noted) = asking();
    for _ in 0..2 {
        let played = join(&instance);
        assert_eq!(noted.try_iter().collect::<Vec<_>>(), ["ready Ok(())"]);
        // A method that panics, or cannot use an event, misses no other.
        played.hear("[36, 12, 1, {}]");
        played.hear("[36, 11, 2, {}, [5]]");
        played.hear("[36, 99, 3, {}, [\"whose?\"]]");
        played.hear("[36, 11, 4, {}, [\"rain\"]]");
        let news = ["com.example.news rain", "com.example.news rain"];
        assert_eq!(noted.try_iter().collect::<Vec<_>>(), news);
        played.session.on_close();
    }
}

#[test]
fn a_topic_that_may_not_be_subscribed_to_ends_the_session() {
    let (instance, _, _) = asking();
    let played = Played::new(Instance::of(
        Asking {
            session: instance.session.clone(),
            notes: mpsc::channel().0,
        },
        SessionHandle::default(),
    ));
    played.open();
    played.session.on_message(welcome());
    played.sent();
    played.hear(r#"[8, 32, 4, {}, "wamp.error.not_authorized", ["no permission"]]"#);
    assert_eq!(played.sent(), [json!([6, {}, "wamp.close.close_realm"])]);
    let why = "cannot subscribe to com.example.news: wamp.error.not_authorized: no permission";
    assert_eq!(played.session.status(), Status::Ended(why.to_owned()));
}

#[test]
fn a_procedure_answers_with_what_another_one_has_answered() {
    let (instance, _, _noted) = asking();
    let played = join(&instance);
    played.invoke(1, 1, &json!([7]));
    assert_eq!(played.sent(), [json!([48, 7, {}, "com.example.half", [7]])]);
    played.hear("[50, 7, {}, [3]]");
    assert_eq!(played.sent(), [json!([70, 1, {}, [6]])]);

    // Its error goes to the caller as it came.
    played.invoke(2, 1, &json!([7]));
    played.hear(r#"[8, 48, 8, {}, "com.example.odd", ["it is odd", 7], {"by": 1}]"#);
    let error = json!([8, 68, 2, {}, "com.example.odd", ["it is odd", 7], {"by": 1}]);
    assert_eq!(played.sent()[1..], [error]);

    // What it cannot use is no fault of its caller.
    played.invoke(3, 1, &json!([7]));
    played.hear(r#"[50, 9, {}, ["three"]]"#);
    let error = &played.sent()[1];
    assert_eq!(error[4], "wamp.error.runtime_error", "{error}");
    assert!(
        error[5][0].as_str().unwrap().contains("argument 1"),
        "{error}"
    );
}

#[test]
fn an_invocation_that_is_interrupted_cancels_the_call_it_waits_for() {
    let (instance, _, _noted) = asking();
    let played = join(&instance);
    // Without a limit of invocations the answer comes at once.
    played.invoke(1, 1, &json!([7]));
    played.sent();
    played.hear("[69, 1, {}]");
    let sent = played.sent();
    assert_eq!(sent[0], json!([49, 7, {"mode": "killnowait"}]));
    assert_eq!(sent[1][4], "wamp.error.canceled", "{sent:?}");
    played.hear(r#"[8, 48, 7, {}, "wamp.error.canceled"]"#);
    assert_eq!(played.sent(), [] as [Value; 0]);

    // With one it comes when the other callee has ended.
    played.invoke(2, 2, &json!([7]));
    played.sent();
    played.hear("[69, 2, {}]");
    assert_eq!(played.sent(), [json!([49, 8, {"mode": "kill"}])]);
    played.hear(r#"[8, 48, 8, {}, "wamp.error.canceled", ["at last"]]"#);
    let error = json!([8, 68, 2, {}, "wamp.error.canceled", ["at last"]]);
    assert_eq!(played.sent(), [error]);
}

#[test]
fn a_handle_is_of_use_while_there_is_a_session() {
    let (instance, session, _noted) = asking();
    let unavailable = |session: &SessionHandle| {
        let called = session.call("com.example.p", ()).wait().unwrap_err();
        let published = session.publish("com.example.t", ()).unwrap_err();
        for error in [called, published] {
            assert_eq!(error.uri().as_str(), error_uri::UNAVAILABLE);
        }
        assert!(!session.is_joined());
    };
    unavailable(&session);
    let first = join(&instance);
    assert!(session.is_joined());
    let pending = session.call("com.example.p", ());
    first.session.on_close();
    let error = pending.wait().unwrap_err();
    assert_eq!(error.uri().as_str(), error_uri::CANCELED);
    unavailable(&session);

    let second = join(&instance);
    // That the first connection has gone is told late.
    first.session.on_close();
    let pending = session.call("com.example.p", json!([1]));
    assert_eq!(second.sent(), [json!([48, 7, {}, "com.example.p", [1]])]);
    second.hear(r#"[50, 7, {}, [], {"k": 2}]"#);
    let kwargs: Value = pending.wait().unwrap().kwargs().unwrap();
    assert_eq!(kwargs, json!({"k": 2}));
    let no_list = session.publish("com.example.t", 5).unwrap_err();
    assert_eq!(no_list.uri().as_str(), error_uri::RUNTIME_ERROR);
}

#[test]
fn parts_of_a_result_come_before_it_and_a_panic_there_costs_nothing() {
    let (instance, session, _noted) = asking();
    let played = join(&instance);
    let (tell, parts) = mpsc::channel();
    let payload = wamp::Payload::empty();
    let options = wamp::CallOptions::default();
    let result = session.call_progressive("com.example.count", payload, options, move |part| {
        tell.send(part.value::<i64>().unwrap()).unwrap();
    });
    let asked = json!([48, 7, {"receive_progress": true}, "com.example.count"]);
    assert_eq!(played.sent(), [asked]);
    for part in ["[1]", "[\"a bug\"]", "[3]"] {
        played.hear(&format!(r#"[50, 7, {{"progress": true}}, {part}]"#));
    }
    played.hear("[50, 7, {}, [\"counted\"]]");
    assert_eq!(result.wait().unwrap().value::<String>().unwrap(), "counted");
    assert_eq!(parts.iter().collect::<Vec<_>>(), [1, 3]);
}
