//! How sessions begin and end: WELCOME, ABORT, GOODBYE, protocol errors, shutdown.

use super::script::{play, play_on, realm};
use crate::{refuse_realm, tests::script::decode};
use wamp::{Message, PublicationId, SessionId};

#[test]
fn hello_is_welcomed() {
    play(
        r#"
        1 says [1,"realm1",{"roles":{"caller":{}}}]
        1 < [2,101,{"roles":{"broker":{"features":{"publisher_exclusion":true,"publisher_identification":true,"subscriber_blackwhite_listing":true}},"dealer":{"features":{"call_canceling":true,"call_timeout":true,"caller_identification":true,"progressive_call_results":true,"registration_revocation":true}}},"realm":"realm1","authid":"101","authrole":"anonymous","authmethod":"anonymous","authprovider":"static","agent":"wampgres-test"}]
        2 says [1,"realm1",{"roles":{"publisher":{},"subscriber":{}},"authmethods":["ticket","anonymous"]}]
        2 < [2,102,{…"authid":"102"…}]
        # offering no method in particular is offering none
        3 says [1,"realm1",{"roles":{"callee":{}},"authmethods":[]}]
        3 < [2,103,…]
        "#,
    );
}

#[test]
fn hello_that_cannot_be_welcomed_is_aborted() {
    for (hello, abort) in [
        (
            r#"[1,"realm2",{"roles":{"caller":{}}}]"#,
            r#"[3,{"message":"there is no realm 'realm2' here…"},"wamp.error.no_such_realm"]"#,
        ),
        (
            r#"[1,"a realm",{"roles":{"caller":{}}}]"#,
            r#"[3,{"message":"…a realm…is not a valid realm URI"},"wamp.error.invalid_uri"]"#,
        ),
        (
            r#"[1,"realm1",{}]"#,
            r#"[3,{"message":"HELLO announces no role…"},"wamp.error.protocol_violation"]"#,
        ),
        (
            r#"[1,"realm1",{"roles":{}}]"#,
            r#"[3,{"message":"HELLO announces no role…"},"wamp.error.protocol_violation"]"#,
        ),
        (
            r#"[1,"realm1",{"roles":{"caller":{}},"authmethods":["ticket","wampcra"]}]"#,
            r#"[3,{"message":"…(ticket, wampcra) none is served: offer 'anonymous'"},"wamp.error.no_matching_auth_method"]"#,
        ),
    ] {
        play(&format!(
            "1 says {hello}
             1 < {abort}
             1 closed
             # and is not heard any more
             1 > [32,1,{{}},\"com.t\"]
             1 garbles
             1 gone"
        ));
    }
}

#[test]
fn a_role_that_the_realm_lacks_is_named() {
    let mut without_roles = realm();
    without_roles.roles.clear();
    play_on(
        without_roles,
        r#"
        1 says [1,"realm1",{"roles":{"caller":{}}}]
        1 < [3,{"message":"the realm 'realm1' has no role 'anonymous'…"},"wamp.error.no_such_role"]
        1 closed
        "#,
    );
}

#[test]
fn a_realm_without_a_router_is_refused_in_the_same_words() {
    let Message::Hello(hello) = decode(r#"[1,"realm9",{}]"#) else {
        panic!("not a HELLO")
    };
    let abort = refuse_realm(&hello);
    assert_eq!(abort.reason.as_str(), "wamp.error.no_such_realm");
    assert!(abort.details.message.unwrap().contains("'realm9'"));
}

#[test]
fn a_session_id_in_use_is_drawn_again() {
    struct Repeats(u64);
    impl crate::IdSource for Repeats {
        fn session(&mut self) -> SessionId {
            self.0 += 1;
            SessionId::new(self.0.div_ceil(3)).unwrap()
        }
        fn publication(&mut self) -> PublicationId {
            PublicationId::new(1).unwrap()
        }
    }
    let mut router = crate::Router::new(realm(), Box::new(Repeats(0)));
    let mut ids = Vec::new();
    for peer in 1..=3 {
        let Message::Hello(hello) = decode(r#"[1,"realm1",{"roles":{"caller":{}}}]"#) else {
            panic!("not a HELLO")
        };
        let mut out = Vec::new();
        router.handle(
            std::time::Instant::now(),
            crate::Input::Hello {
                peer: crate::PeerId(peer),
                hello,
                authrole: wamp::ANONYMOUS.into(),
                transport: wamp::TransportKind::Memory,
                capacity: None,
            },
            &mut out,
        );
        let [
            crate::Output::Send {
                message: Message::Welcome(welcome),
                ..
            },
        ] = &out[..]
        else {
            panic!("no WELCOME: {out:?}")
        };
        ids.push(welcome.session.value());
    }
    assert_eq!(ids, [1, 2, 3]);
    router.check();
}

#[test]
fn protocol_errors_end_the_session_and_nothing_later_is_heard() {
    for (offence, words) in [
        (
            r#"> [1,"realm1",{"roles":{"caller":{}}}]"#,
            "HELLO after the session was established…",
        ),
        (
            r#"says [1,"realm1",{"roles":{"caller":{}}}]"#,
            "HELLO after the session was established…",
        ),
        ("> [2,1,{}]", "WELCOME is for routers to send…"),
        ("> [17,1,1]", "PUBLISHED is for routers to send…"),
        ("> [33,1,1]", "SUBSCRIBED is for routers to send…"),
        ("> [35,1]", "UNSUBSCRIBED is for routers to send…"),
        ("> [36,1,1,{}]", "EVENT is for routers to send…"),
        ("> [50,1,{}]", "RESULT is for routers to send…"),
        ("> [65,1,1]", "REGISTERED is for routers to send…"),
        ("> [67,1]", "UNREGISTERED is for routers to send…"),
        ("> [68,1,1,{}]", "INVOCATION is for routers to send…"),
        ("> [69,1,{}]", "INTERRUPT is for routers to send…"),
        (r#"> [8,48,1,{},"com.x"]"#, "ERROR for CALL…"),
        (r#"> [8,32,1,{},"com.x"]"#, "ERROR for SUBSCRIBE…"),
        (
            r#"> [8,68,1,{},"com.x"]"#,
            "an answer to INVOCATION 1, which was never sent",
        ),
        (
            "> [70,1,{}]",
            "an answer to INVOCATION 1, which was never sent",
        ),
        ("garbles", "not a list"),
    ] {
        let router = play(&format!(
            r#"
            1 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            1 > [32,2,{{}},"com.t"]
            1 < [33,2,1]
            1 {offence}
            1 < [3,{{"message":"{words}"}},"wamp.error.protocol_violation"]
            1 closed
            1 > [48,3,{{}},"com.p"]
            1 > [6,{{}},"wamp.close.close_realm"]
            1 garbles
            1 gone
            1 gone
            "#
        ));
        let stats = router.stats();
        assert_eq!(
            (stats.sessions, stats.registrations, stats.subscriptions),
            (0, 0, 0),
            "{offence}"
        );
    }
}

#[test]
fn goodbye_is_answered_and_abort_is_not() {
    let router = play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        1 > [32,2,{},"com.t"]
        1 < [33,2,1]
        1 > [6,{},"wamp.close.close_realm"]
        1 < [6,{},"wamp.close.goodbye_and_out"]
        1 closed
        2 > [48,1,{},"com.p"]
        2 < [8,48,1,{},"wamp.error.no_such_procedure",["…'com.p'…"]]
        2 > [3,{},"wamp.close.system_shutdown"]
        2 closed
        "#,
    );
    assert_eq!(router.stats().sessions, 0);
    assert_eq!(router.stats().subscriptions, 0);
}

#[test]
fn a_peer_that_never_said_hello_is_not_heard() {
    play(
        r#"
        1 > [32,1,{},"com.t"]
        1 > [6,{},"wamp.close.close_realm"]
        1 garbles
        1 gone
        "#,
    );
}

#[test]
fn shutdown_answers_every_call_then_sends_everyone_away_without_goodbye() {
    let router = play(
        r#"
        1 joins
        2 joins
        3 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        3 > [32,1,{},"com.t"]
        3 < [33,1,1]
        2 > [48,7,{},"com.p"]
        1 < [68,1,1,{}]
        3 > [48,8,{},"com.p"]
        1 < [68,2,1,{}]
        shutdown
        2 < [8,48,7,{},"wamp.error.canceled",["the router shut down…"]]
        3 < [8,48,8,{},"wamp.error.canceled",["the router shut down…"]]
        1 away
        2 away
        3 away
        # what crossed with it is ignored
        1 > [70,1,{},["late"]]
        2 > [16,2,{"acknowledge":true},"com.t"]
        2 > [1,"realm1",{"roles":{"caller":{}}}]
        2 > [50,1,{}]
        # once is enough
        shutdown
        1 > [6,{},"wamp.close.goodbye_and_out"]
        2 > [3,{},"wamp.close.goodbye_and_out"]
        3 garbles
        3 gone
        # who comes too late is sent away too, after WELCOME: not every client knows the one
        # without the other for a reason to come again
        4 says [1,"realm1",{"roles":{"caller":{}}}]
        4 < [2,104,…]
        4 away
        5 says [1,"realm9",{"roles":{"caller":{}}}]
        5 < [3,{"message":"there is no realm 'realm9' here…"},"wamp.error.no_such_realm"]
        5 closed
        "#,
    );
    assert_eq!(router.stats().sessions, 0);
}

#[test]
fn draining_refuses_calls_and_finishes_what_is_pending() {
    let router = play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        drain
        drain
        2 > [48,2,{},"com.p"]
        2 < [8,48,2,{},"wamp.error.unavailable",["the router is shutting down…"]]
        3 says [1,"realm1",{"roles":{"caller":{}}}]
        3 < [2,103,…]
        3 > [48,1,{},"com.p"]
        3 < [8,48,1,{},"wamp.error.unavailable",["the router is shutting down…"]]
        1 > [70,1,{},["done"]]
        2 < [50,1,{},["done"]]
        shutdown
        1 away
        2 away
        3 away
        "#,
    );
    assert_eq!(router.stats().pending_invocations, 0);
}
