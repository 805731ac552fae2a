//! CALL.Options.timeout: when a call's time is up, and what is left of its deadline afterwards.

use super::script::{decode, play, realm};
use crate::{Input, PeerId, Router, tests::script::Counted};
use std::time::{Duration, Instant};
use wamp::Message;

#[test]
fn a_call_whose_time_is_up_is_answered_and_its_callee_interrupted() {
    let router = play(
        r#"
        1 joins with call_canceling
        2 joins
        3 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [64,1,{},"com.q"]
        2 < [65,1,2]
        deadline none
        3 > [48,7,{"timeout":200},"com.p"]
        1 < [68,1,1,{}]
        deadline 200
        3 > [48,8,{"timeout":100},"com.q"]
        2 < [68,1,2,{}]
        deadline 100
        later 99
        tick
        later 1
        tick
        3 < [8,48,8,{},"wamp.error.timeout",["the call's timeout ended before the callee answered: the procedure may have run or not"]]
        deadline 100
        later 100
        tick
        3 < [8,48,7,{},"wamp.error.timeout",["the call's timeout ended…"]]
        1 < [69,1,{"mode":"killnowait","reason":"wamp.error.timeout"}]
        deadline none
        tick
        # what comes late is discarded
        1 > [8,68,1,{},"wamp.error.canceled"]
        2 > [70,1,{},["late"]]
        3 > [49,7,{}]
        "#,
    );
    let stats = router.stats();
    assert_eq!((stats.pending_invocations, stats.timeouts), (0, 2));
    assert_eq!((stats.errors, stats.cancels), (2, 0));
}

#[test]
fn zero_and_the_end_of_time_are_no_timeout() {
    play(
        r#"
        1 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        1 > [48,2,{"timeout":0},"com.p"]
        1 < [68,1,1,{}]
        deadline none
        later 1000000000
        tick
        1 > [48,3,{"timeout":18446744073709551615},"com.p"]
        1 < [68,2,1,{}]
        tick
        "#,
    );
}

#[test]
fn a_call_that_was_refused_has_no_deadline() {
    play(
        r#"
        1 joins
        1 > [48,2,{"timeout":100},"com.p"]
        1 < [8,48,2,{},"wamp.error.no_such_procedure",["…"]]
        deadline none
        "#,
    );
}

#[test]
fn time_that_is_up_counts_whatever_the_router_is_told_first() {
    play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [48,7,{"timeout":100},"com.p"]
        1 < [68,1,1,{}]
        later 100
        1 > [70,1,{},["a moment too late"]]
        2 < [8,48,7,{},"wamp.error.timeout",["…"]]
        # the request id is free again by then
        2 > [48,8,{"timeout":100},"com.p"]
        1 < [68,2,1,{}]
        later 100
        2 > [48,8,{},"com.p"]
        2 < [8,48,8,{},"wamp.error.timeout",["…"]]
        1 < [68,3,1,{}]
        "#,
    );
}

#[test]
fn however_a_call_ends_its_deadline_ends_with_it() {
    for end in [
        "1 > [70,1,{}]\n 2 < [50,7,{}]",
        "1 > [8,68,1,{},\"com.failed\"]\n 2 < [8,48,7,{},\"com.failed\"]",
        "2 > [49,7,{\"mode\":\"skip\"}]\n 2 < [8,48,7,…]",
        "2 gone",
        "1 gone\n 2 < [8,48,7,…]",
        "shutdown\n 2 < [8,48,7,…]\n 1 away\n 2 away",
    ] {
        play(&format!(
            r#"
            1 joins
            2 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            2 > [48,7,{{"timeout":100}},"com.p"]
            1 < [68,1,1,{{}}]
            {end}
            deadline none
            later 100
            tick
            "#
        ));
    }
}

#[test]
fn a_killed_call_still_has_its_deadline() {
    play(
        r#"
        1 joins with call_canceling
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [48,7,{"timeout":100},"com.p"]
        1 < [68,1,1,{}]
        2 > [49,7,{"mode":"kill"}]
        1 < [69,1,{"mode":"kill",…}]
        deadline 100
        later 100
        tick
        2 < [8,48,7,{},"wamp.error.timeout",["…"]]
        1 > [8,68,1,{},"wamp.error.canceled"]
        "#,
    );
}

#[test]
fn callees_that_ask_for_it_are_told_the_timeout() {
    play(
        r#"
        1 joins with call_timeout
        2 joins with call_canceling
        3 joins as open
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [64,1,{},"com.q"]
        2 < [65,1,2]
        3 > [48,1,{"timeout":1500},"com.p"]
        1 < [68,1,1,{"caller":103,"caller_authid":"103","caller_authrole":"open","timeout":1500}]
        3 > [48,2,{},"com.p"]
        1 < [68,2,1,{"caller":103,"caller_authid":"103","caller_authrole":"open"}]
        3 > [48,3,{"timeout":1500},"com.q"]
        2 < [68,1,2,{"caller":103,"caller_authid":"103","caller_authrole":"open"}]
        # it may keep it by itself
        later 1499
        1 > [8,68,1,{},"wamp.error.timeout",["statement timeout"]]
        3 < [8,48,1,{},"wamp.error.timeout",["statement timeout"]]
        # or not: the router does not rely on that
        3 > [48,4,{"timeout":10},"com.p"]
        1 < [68,3,1,{…"timeout":10}]
        later 10
        tick
        3 < [8,48,3,{},"wamp.error.timeout",["…"]]
        2 < [69,1,{"mode":"killnowait","reason":"wamp.error.timeout"}]
        3 < [8,48,4,{},"wamp.error.timeout",["…"]]
        "#,
    );
}

#[test]
fn deadlines_of_answered_calls_do_not_pile_up() {
    let mut router = Router::new(realm(), Counted::boxed());
    let (now, peer, mut out) = (Instant::now(), PeerId(1), Vec::new());
    let Message::Hello(hello) = decode(r#"[1,"realm1",{"roles":{"callee":{}}}]"#) else {
        panic!("not a HELLO")
    };
    let hello = Input::Hello {
        peer,
        hello,
        authrole: wamp::ANONYMOUS.to_owned(),
        transport: wamp::TransportKind::Memory,
        capacity: None,
    };
    router.handle(now, hello, &mut out);
    let mut say = |at: u64, text: &str| {
        let message = decode(text);
        let at = now + Duration::from_millis(at);
        router.handle(at, Input::Message { peer, message }, &mut out);
        router.next_deadline()
    };
    say(0, r#"[64,1,{},"com.p"]"#);
    for call in 1..=10_000 {
        let next = say(
            call,
            &format!(r#"[48,{call},{{"timeout":3600000}},"com.p"]"#),
        );
        // Only the one call that is pending can be seen, not the thousands before.
        assert_eq!(next, Some(now + Duration::from_millis(call + 3_600_000)));
        assert_eq!(say(call, &format!("[70,{call},{{}}]")), None);
    }
    // This compares the deadlines with the pending calls, of which there are none.
    router.check();
    assert_eq!(router.stats().results, 10_000);
}
