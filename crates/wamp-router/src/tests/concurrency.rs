//! REGISTER.Options.concurrency: calls that wait for their turn, have it, or never do.

use super::script::{play, play_on, realm};
use crate::Stats;

/// A callee that takes one at a time, with a call at work and two that wait.
const BUSY: &str = r#"
    1 joins with call_canceling
    2 joins
    3 joins
    1 > [64,1,{"concurrency":1},"com.slow"]
    1 < [65,1,1]
    1 > [64,2,{},"com.quick"]
    1 < [65,2,2]
    2 > [48,1,{},"com.slow",["a"]]
    1 < [68,1,1,{},["a"]]
    3 > [48,1,{},"com.slow",["b"]]
    2 > [48,2,{},"com.slow",["c"]]
"#;

#[test]
fn calls_have_their_turn_in_the_order_they_came() {
    let router = play(&format!(
        r#"{BUSY}
        # other procedures are not held up
        2 > [48,3,{{}},"com.quick"]
        1 < [68,2,2,{{}}]
        1 > [70,2,{{}},["quick"]]
        2 < [50,3,{{}},["quick"]]
        # an answer makes room for one
        1 > [70,1,{{}},["A"]]
        2 < [50,1,{{}},["A"]]
        1 < [68,3,1,{{}},["b"]]
        # whoever comes now is behind those who wait
        3 > [48,2,{{}},"com.slow",["d"]]
        1 > [8,68,3,{{}},"com.failed",["B"]]
        3 < [8,48,1,{{}},"com.failed",["B"]]
        1 < [68,4,1,{{}},["c"]]
        1 > [70,4,{{}},["C"]]
        2 < [50,2,{{}},["C"]]
        1 < [68,5,1,{{}},["d"]]
        1 > [70,5,{{}},["D"]]
        3 < [50,2,{{}},["D"]]
        # with nobody waiting a call is invoked at once
        3 > [48,3,{{}},"com.slow"]
        1 < [68,6,1,{{}}]
        "#
    ));
    let stats = router.stats();
    assert_eq!((stats.pending_invocations, stats.queued_calls), (1, 0));
}

#[test]
fn so_many_invocations_are_at_the_callee_and_no_more() {
    let router = play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{"concurrency":2},"com.p"]
        1 < [65,1,1]
        2 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        2 > [48,2,{},"com.p"]
        1 < [68,2,1,{}]
        2 > [48,3,{},"com.p"]
        2 > [48,4,{},"com.p"]
        2 > [48,5,{},"com.p"]
        1 > [70,2,{}]
        2 < [50,2,{}]
        1 < [68,3,1,{}]
        1 > [70,3,{}]
        2 < [50,3,{}]
        1 < [68,4,1,{}]
        # a second answer makes no room
        1 > [70,3,{}]
        1 > [70,2,{}]
        "#,
    );
    assert_eq!(
        router.stats(),
        Stats {
            sessions: 2,
            registrations: 1,
            pending_invocations: 3,
            queued_calls: 1,
            calls: 5,
            results: 2,
            ..Stats::default()
        }
    );
}

#[test]
fn a_slot_is_taken_until_the_callee_answers_whatever_becomes_of_the_call() {
    for end in [
        "2 > [49,1,{\"mode\":\"skip\"}]\n 2 < [8,48,1,{},\"wamp.error.canceled\",[\"…\"]]",
        // The callee has to answer, and is told so.
        "2 > [49,1,{}]\n 2 < [8,48,1,{},\"wamp.error.canceled\",[\"…\"]]\n 1 < [69,1,{\"mode\":\"kill\",\"reason\":\"wamp.error.canceled\"}]",
        "2 gone\n 1 < [69,1,{\"mode\":\"kill\",\"reason\":\"wamp.error.canceled\"}]",
    ] {
        let router = play(&format!(
            r#"
            1 joins with call_canceling
            2 joins
            3 joins
            1 > [64,1,{{"concurrency":1}},"com.p"]
            1 < [65,1,1]
            2 > [48,1,{{}},"com.p"]
            1 < [68,1,1,{{}}]
            {end}
            3 > [48,1,{{}},"com.p",["waits"]]
            1 > [8,68,1,{{}},"wamp.error.canceled"]
            1 < [68,2,1,{{}},["waits"]]
            "#
        ));
        assert_eq!(router.stats().pending_invocations, 1, "{end}");
    }
}

#[test]
fn a_killed_call_makes_room_when_it_is_answered() {
    play(&format!(
        r#"{BUSY}
        2 > [49,1,{{"mode":"kill"}}]
        1 < [69,1,{{"mode":"kill","reason":"wamp.error.canceled"}}]
        1 > [8,68,1,{{}},"wamp.error.canceled",["stopped"]]
        2 < [8,48,1,{{}},"wamp.error.canceled",["stopped"]]
        1 < [68,2,1,{{}},["b"]]
        "#
    ));
}

#[test]
fn calls_that_wait_can_be_canceled_in_every_mode() {
    for mode in ["skip", "kill", "killnowait"] {
        let router = play(&format!(
            r#"{BUSY}
            3 > [49,1,{{"mode":"{mode}"}}]
            3 < [8,48,1,{{}},"wamp.error.canceled",["the caller has canceled the call: the call still waited for its turn, so the procedure has not run"]]
            1 > [70,1,{{}}]
            2 < [50,1,{{}}]
            1 < [68,2,1,{{}},["c"]]
            "#
        ));
        assert_eq!(router.stats().queued_calls, 0, "{mode}");
    }
}

#[test]
fn calls_that_wait_run_out_of_time() {
    play(
        r#"
        1 joins with call_timeout call_canceling
        2 joins
        1 > [64,1,{"concurrency":1},"com.p"]
        1 < [65,1,1]
        2 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        2 > [48,2,{"timeout":100},"com.p"]
        2 > [48,3,{"timeout":200},"com.p"]
        deadline 100
        later 100
        tick
        2 < [8,48,2,{},"wamp.error.timeout",["the call's timeout ended…has not run"]]
        # the callee is told what is left
        later 50
        1 > [70,1,{}]
        2 < [50,1,{}]
        1 < [68,2,1,{"timeout":50}]
        deadline 50
        later 50
        tick
        2 < [8,48,3,{},"wamp.error.timeout",["…may have run or not"]]
        1 < [69,2,{"mode":"kill","reason":"wamp.error.timeout"}]
        "#,
    );
}

#[test]
fn callers_that_wait_may_disappear() {
    let router = play(&format!(
        r#"{BUSY}
        3 gone
        1 > [70,1,{{}}]
        2 < [50,1,{{}}]
        1 < [68,2,1,{{}},["c"]]
        2 gone
        1 < [69,2,{{"mode":"kill","reason":"wamp.error.canceled"}}]
        1 > [70,2,{{}}]
        "#
    ));
    assert_eq!(router.stats().pending_invocations, 0);
}

#[test]
fn the_end_of_the_registration_answers_those_who_wait() {
    play(&format!(
        r#"{BUSY}
        1 > [66,3,1]
        1 < [67,3]
        3 < [8,48,1,{{}},"wamp.error.no_such_procedure",["the registration ended: …has not run"]]
        2 < [8,48,2,{{}},"wamp.error.no_such_procedure",["the registration ended: …has not run"]]
        # what was invoked is still answered, and nobody has a turn
        1 > [70,1,{{}},["A"]]
        2 < [50,1,{{}},["A"]]
        # not even when the procedure is registered again
        1 > [64,4,{{"concurrency":1}},"com.slow"]
        1 < [65,4,3]
        2 > [48,4,{{}},"com.slow"]
        1 < [68,2,3,{{}}]
        2 > [48,5,{{}},"com.slow"]
        1 > [70,1,{{}},["again"]]
        "#
    ));
}

#[test]
fn an_answer_to_a_registration_that_has_ended_makes_no_room_elsewhere() {
    play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{"concurrency":1},"com.p"]
        1 < [65,1,1]
        2 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        1 > [66,2,1]
        1 < [67,2]
        1 > [64,3,{"concurrency":1},"com.p"]
        1 < [65,3,2]
        2 > [48,2,{},"com.p"]
        1 < [68,2,2,{}]
        2 > [48,3,{},"com.p"]
        1 > [70,1,{}]
        2 < [50,1,{}]
        1 > [70,2,{}]
        2 < [50,2,{}]
        1 < [68,3,2,{}]
        "#,
    );
}

#[test]
fn a_callee_that_disappears_answers_those_who_wait() {
    let router = play(&format!(
        r#"{BUSY}
        1 gone
        2 < [8,48,1,{{}},"wamp.error.canceled",["the callee's session ended…may have run or not"]]
        3 < [8,48,1,{{}},"wamp.error.no_such_procedure",["…has not run"]]
        2 < [8,48,2,{{}},"wamp.error.no_such_procedure",["…has not run"]]
        "#
    ));
    assert_eq!(router.stats().pending_invocations, 0);
}

#[test]
fn a_callee_that_waits_for_itself_may_disappear() {
    let router = play(
        r#"
        1 joins with call_canceling
        2 joins
        1 > [64,1,{"concurrency":1},"com.p"]
        1 < [65,1,1]
        1 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        1 > [48,2,{"timeout":9},"com.p"]
        2 > [48,1,{},"com.p"]
        1 gone
        2 < [8,48,1,{},"wamp.error.no_such_procedure",["…has not run"]]
        "#,
    );
    assert_eq!(router.stats().pending_invocations, 0);
}

#[test]
fn shutdown_waits_for_those_who_wait_and_then_answers_them() {
    play(&format!(
        r#"{BUSY}
        drain
        # they still have their turn
        1 > [70,1,{{}}]
        2 < [50,1,{{}}]
        1 < [68,2,1,{{}},["b"]]
        2 > [48,9,{{}},"com.slow"]
        2 < [8,48,9,{{}},"wamp.error.unavailable",["the router is shutting down…"]]
        shutdown
        3 < [8,48,1,{{}},"wamp.error.canceled",["the router shut down…may have run or not"]]
        2 < [8,48,2,{{}},"wamp.error.canceled",["the router shut down…has not run"]]
        1 away
        2 away
        3 away
        "#
    ));
}

#[test]
fn the_queue_is_bounded() {
    let mut small = realm();
    small.limits.queued_calls_per_registration = 2;
    small.limits.invocations_per_session = 1;
    let router = play_on(
        small,
        &format!(
            r#"{BUSY}
            3 > [48,2,{{}},"com.slow"]
            3 < [8,48,2,{{}},"wamp.error.unavailable",["the limit queued_calls_per_registration of 2 is reached…"],{{"retryable":true}}]
            # the callee itself has room for one only
            3 > [48,3,{{}},"com.quick"]
            3 < [8,48,3,{{}},"wamp.error.unavailable",["the limit invocations_per_session of 1 is reached…"],{{"retryable":true}}]
            1 > [70,1,{{}}]
            2 < [50,1,{{}}]
            1 < [68,2,1,{{}},["b"]]
            3 > [48,4,{{}},"com.slow"]
            2 > [48,5,{{}},"com.slow"]
            2 < [8,48,5,{{}},"wamp.error.unavailable",["the limit queued_calls_per_registration…"],{{"retryable":true}}]
            "#
        ),
    );
    assert_eq!(router.stats().queued_calls, 2);
}

#[test]
fn a_call_that_waits_is_pending_to_its_caller() {
    let mut small = realm();
    small.limits.calls_per_session = 2;
    play_on(
        small,
        &format!(
            r#"{BUSY}
            2 > [48,3,{{}},"com.quick"]
            2 < [8,48,3,{{}},"wamp.error.unavailable",["the limit calls_per_session of 2 is reached…"],{{"retryable":true}}]
            2 > [48,2,{{}},"com.quick"]
            1 < [69,1,{{"mode":"kill",…}}]
            2 < [3,{{"message":"CALL with request id 2, which a pending call has…"}},…]
            2 closed
            1 > [70,1,{{}}]
            1 < [68,2,1,{{}},["b"]]
            "#
        ),
    );
}

#[test]
fn the_caller_is_disclosed_as_if_it_had_not_waited() {
    play(
        r#"
        1 joins
        2 joins as open
        1 > [64,1,{"concurrency":1},"com.p"]
        1 < [65,1,1]
        1 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        2 > [48,1,{},"com.p",[1],{"k":2}]
        1 > [70,1,{}]
        1 < [50,1,{}]
        1 < [68,2,1,{"caller":102,"caller_authid":"102","caller_authrole":"open"},[1],{"k":2}]
        "#,
    );
}
