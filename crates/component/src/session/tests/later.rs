//! Procedures and subscriptions that come later than the start of a component, and go.

use std::num::NonZeroU64;

use super::*;
use crate::{Deferred, Event, RegistrationHandle, Subscription};

/// A class that registers later.
struct Late;

impl Component for Late {
    const REGISTERS_LATER: bool = true;

    fn on_join(_: Setup) -> Result<Self, Error> {
        Ok(Self)
    }
    fn procedures(&self) -> Vec<Procedure<Self>> {
        Vec::new()
    }
}

/// A component and its handle, with as many sessions as the test wants.
struct Lately {
    instance: Arc<Instance>,
    handle: SessionHandle,
}

impl Lately {
    fn new() -> Self {
        let handle = SessionHandle::default();
        let instance = Arc::new(Instance::of(Late, handle.clone()));
        Self { instance, handle }
    }

    /// A session that is joined, without what the component cannot do without.
    fn join(&self) -> Played {
        let played = self.begin();
        assert_eq!(played.session.status(), Status::Joined(0));
        played
    }

    /// A session that is welcome.
    fn begin(&self) -> Played {
        let (sender, sent) = mpsc::channel();
        let transport = move |message| sender.send(message).unwrap();
        let played = Played {
            session: Session::new("test", "realm1".into(), self.instance.clone()),
            transport: Arc::new(transport),
            sent,
        };
        played.open();
        played.session.on_message(welcome());
        assert_eq!(played.sent.recv().unwrap().message_type().name(), "HELLO");
        played
    }

    fn register(&self, uri: &str) -> Deferred<RegistrationHandle> {
        let echo = Procedure::function(uri, |call| Reply::now(call.args::<(Value,)>()?.0));
        self.handle.register(echo)
    }

    fn subscribe(&self, heard: &mpsc::Sender<u64>) -> Deferred<crate::SubscriptionHandle> {
        let heard = heard.clone();
        let note = move |event: Event| {
            heard.send(event.args::<(u64,)>()?.0).unwrap();
            Ok(())
        };
        (self.handle).subscribe(Subscription::function("com.example.t", note))
    }
}

fn register(request: u64, uri: &str) -> Value {
    json!([64, request, {}, uri])
}

#[test]
fn a_procedure_is_there_from_registered_to_unregistered() {
    let lately = Lately::new();
    let played = lately.join();
    let registered = lately.register("com.example.late");
    assert_eq!(played.sent(), [register(1, "com.example.late")]);
    played.hear("[65, 1, 101]");
    let handle = registered.wait().unwrap();
    played.invoke(1, 101, &json!([7]));
    assert_eq!(played.sent(), [json!([70, 1, {}, [7]])]);

    let unregistered = handle.unregister();
    assert_eq!(played.sent(), [json!([66, 2, 101])]);
    // One that has crossed.
    played.invoke(2, 101, &json!([8]));
    assert_eq!(played.sent(), [json!([70, 2, {}, [8]])]);
    played.hear("[67, 2]");
    unregistered.wait().unwrap();
    played.invoke(3, 101, &json!([9]));
    assert_eq!(played.sent()[0][4], "wamp.error.no_such_registration");

    // Nobody waits for it any more when it is there.
    drop(lately.register("com.example.late"));
    assert_eq!(played.sent(), [register(3, "com.example.late")]);
    played.hear("[65, 3, 102]");
    assert_eq!(played.sent(), [json!([66, 4, 102])]);
}

#[test]
fn it_waits_for_a_session_and_comes_back_on_the_next_one() {
    let lately = Lately::new();
    let registered = lately.register("com.example.late");
    let first = lately.join();
    assert_eq!(first.sent(), [register(1, "com.example.late")]);
    // The connection is lost before the answer, which is no answer.
    first.session.on_close();
    let second = lately.join();
    assert_eq!(second.sent(), [register(1, "com.example.late")]);
    second.hear("[65, 1, 101]");
    let handle = registered.wait().unwrap();
    second.session.on_close();

    let third = lately.join();
    assert_eq!(third.sent(), [register(1, "com.example.late")]);
    third.hear("[65, 1, 201]");
    third.invoke(1, 201, &json!([7]));
    assert_eq!(third.sent(), [json!([70, 1, {}, [7]])]);
    third.session.on_close();

    // Without a session it ends at once, and is not asked for again.
    handle.unregister().wait().unwrap();
    assert_eq!(lately.join().sent(), [] as [Value; 0]);
}

#[test]
fn one_that_is_refused_at_first_is_the_callers_matter_and_later_the_sessions() {
    let lately = Lately::new();
    let first = lately.join();
    let refused = lately.register("com.example.taken");
    let kept = lately.register("com.example.late");
    first.sent();
    let error = r#"[8, 64, 1, {}, "wamp.error.procedure_already_exists"]"#;
    first.hear(error);
    first.hear("[65, 2, 102]");
    let refused = refused.wait().unwrap_err();
    assert_eq!(
        refused.uri().as_str(),
        "wamp.error.procedure_already_exists"
    );
    assert_eq!(first.session.status(), Status::Joined(0));
    let _kept = kept.wait().unwrap();
    first.session.on_close();

    let second = lately.join();
    assert_eq!(second.sent(), [register(1, "com.example.late")]);
    second.hear(error);
    assert_eq!(second.sent(), [json!([6, {}, "wamp.close.close_realm"])]);
    assert!(matches!(second.session.status(), Status::Ended(_)));
}

#[test]
fn its_concurrency_is_the_configurations_or_its_own() {
    let number = |n| NonZeroU64::new(n).unwrap();
    let handle = SessionHandle::default();
    let early = || Procedure::function("com.example.a", |_| Reply::now(1));
    let _early = handle.register(early().concurrency(number(7)));
    let mut instance = Instance::of(Late, handle.clone());
    // Both come in any order: on_join registers before the limits are known.
    instance.limit("com.example.a", number(2)).unwrap();
    instance.limit("com.example.b", number(3)).unwrap();
    let lately = Lately {
        instance: Arc::new(instance),
        handle,
    };
    let played = lately.join();
    let _second = lately.register("com.example.b");
    let third = Procedure::function("com.example.c", |_| Reply::now(1));
    let _third = lately.handle.register(third.concurrency(number(4)));
    let asked = |request, n, uri| json!([64, request, {"concurrency": n}, uri]);
    assert_eq!(
        played.sent(),
        [
            asked(1, 2, "com.example.a"),
            asked(2, 3, "com.example.b"),
            asked(3, 4, "com.example.c"),
        ]
    );
}

#[test]
fn a_topic_is_unsubscribed_from_with_its_last_subscriber() {
    let lately = Lately::new();
    let played = lately.join();
    let (heard, hears) = mpsc::channel();
    let subscribed = [(); 2].map(|()| lately.subscribe(&heard));
    let subscribe = |request| json!([32, request, {}, "com.example.t"]);
    assert_eq!(played.sent(), [subscribe(1), subscribe(2)]);
    played.hear("[33, 1, 301]");
    played.hear("[33, 2, 301]");
    let [first, second] = subscribed.map(|one| one.wait().unwrap());
    played.hear("[36, 301, 1, {}, [1]]");
    first.unsubscribe().wait().unwrap();
    played.hear("[36, 301, 2, {}, [2]]");
    assert_eq!(hears.try_iter().collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!(played.sent(), [] as [Value; 0]);

    // One more is on its way when the last one ends, and so ends with it at the router.
    let third = lately.subscribe(&heard);
    drop(second);
    assert_eq!(played.sent(), [subscribe(3), json!([34, 4, 301])]);
    played.hear("[33, 3, 301]");
    let third = third.wait().unwrap();
    played.hear("[35, 4]");
    assert_eq!(played.sent(), [subscribe(5)]);
    played.hear("[33, 5, 302]");
    played.hear("[36, 302, 3, {}, [3]]");
    assert_eq!(hears.try_iter().collect::<Vec<_>>(), [3]);
    let ended = third.unsubscribe();
    assert_eq!(played.sent(), [json!([34, 6, 302])]);
    // Its session ends, and it does too.
    played.session.on_close();
    ended.wait().unwrap();
}

#[test]
fn a_component_that_has_left_registers_no_more_and_lets_go_of_what_it_called() {
    let lately = Lately::new();
    let held = Arc::new(());
    let holding = held.clone();
    let procedure = Procedure::function("com.example.late", move |_| {
        let _ = &holding;
        Reply::now(1)
    });
    let registered = lately.handle.register(procedure);
    lately.instance.leave();
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(registered.wait().is_err());
    let refused = lately.register("com.example.late").wait().unwrap_err();
    assert_eq!(refused.uri().as_str(), "wamp.error.unavailable");
}

#[test]
fn one_takes_the_place_of_another_without_a_moment_between() {
    let lately = Lately::new();
    let played = lately.join();
    let uri = "com.example.late";
    let registered = lately.register(uri);
    played.sent();
    played.hear("[65, 1, 101]");
    let former = registered.wait().unwrap();

    let nine = || Procedure::function(uri, |_| Reply::now(9));
    let replaced = lately.handle.replace(&former, nine());
    let forced = |request| json!([64, request, {"force_reregister": true}, uri]);
    assert_eq!(played.sent(), [forced(2)]);
    // One that has crossed.
    played.invoke(1, 101, &json!([7]));
    assert_eq!(played.sent(), [json!([70, 1, {}, [7]])]);
    played.hear(r#"[67, 0, {"registration": 101, "reason": "wamp.error.unregistered"}]"#);
    played.hear("[65, 2, 102]");
    let second = replaced.wait().unwrap();
    drop(former);
    played.invoke(2, 102, &json!([7]));
    assert_eq!(played.sent(), [json!([70, 2, {}, [9]])]);

    // A router that knows nothing of it keeps the former one.
    let refused = lately.handle.replace(&second, nine());
    assert_eq!(played.sent(), [forced(3)]);
    played.hear(r#"[8, 64, 3, {}, "wamp.error.procedure_already_exists"]"#);
    assert!(refused.wait().is_err());
    played.invoke(3, 102, &json!([7]));
    assert_eq!(played.sent(), [json!([70, 3, {}, [9]])]);

    // On another session there is nobody to take it over from.
    played.session.on_close();
    assert_eq!(lately.join().sent(), [register(1, uri)]);
}

#[test]
fn what_a_component_cannot_do_without_is_counted_and_ends_the_session_if_it_is_refused() {
    let handle = SessionHandle::default();
    let echo = |uri: &str| Procedure::function(uri, |_| Reply::now(1));
    let own = ["com.example.a", "com.example.b"].map(|uri| handle.register_own(echo(uri)).unwrap());
    let instance = Arc::new(Instance::of(Late, handle.clone()));
    let lately = Lately { instance, handle };
    let played = lately.begin();
    assert_eq!(
        played.sent(),
        [register(1, "com.example.a"), register(2, "com.example.b")]
    );
    played.hear("[65, 1, 101]");
    assert_eq!(played.session.status(), Status::Joining);
    played.hear("[65, 2, 102]");
    assert_eq!(played.session.status(), Status::Joined(2));
    played.session.on_close();

    let played = lately.begin();
    played.sent();
    played.hear(r#"[8, 64, 1, {}, "wamp.error.procedure_already_exists"]"#);
    assert!(matches!(played.session.status(), Status::Ended(_)));
    drop(own);
    assert_eq!(lately.join().sent(), [] as [Value; 0]);
}
