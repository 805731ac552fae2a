//! CANCEL in its modes, and callers that disappear while somebody works for them.

use super::script::play;
use crate::Stats;

/// A callee that can be interrupted, one that cannot, and a caller, with a call pending at each.
const PENDING: &str = r#"
    1 joins with call_canceling
    2 joins
    3 joins
    1 > [64,1,{},"com.p"]
    1 < [65,1,1]
    2 > [64,1,{},"com.q"]
    2 < [65,1,2]
    3 > [48,7,{},"com.p"]
    1 < [68,1,1,{}]
    3 > [48,8,{},"com.q"]
    2 < [68,1,2,{}]
"#;

#[test]
fn skip_answers_the_caller_and_leaves_the_callee_alone() {
    let router = play(&format!(
        r#"{PENDING}
        3 > [49,7,{{"mode":"skip"}}]
        3 < [8,48,7,{{}},"wamp.error.canceled",["the caller has canceled the call: the procedure may have run or not"]]
        3 > [49,8,{{"mode":"skip"}}]
        3 < [8,48,8,{{}},"wamp.error.canceled",["the caller has canceled…"]]
        # what the callees answer is discarded
        1 > [70,1,{{}},["late"]]
        2 > [8,68,1,{{}},"com.late"]
        # also when the request id is used again
        3 > [48,7,{{}},"com.p"]
        1 < [68,2,1,{{}}]
        1 > [70,1,{{}},["twice"]]
        1 > [70,2,{{}},["right"]]
        3 < [50,7,{{}},["right"]]
        "#
    ));
    let stats = router.stats();
    assert_eq!((stats.pending_invocations, stats.cancels), (0, 2));
}

#[test]
fn skip_interrupts_a_callee_that_asks_for_it() {
    for (features, concurrency, interrupt) in [
        (
            "call_canceling _interrupt_on_skip",
            "{}",
            r#"1 < [69,1,{"mode":"killnowait","reason":"wamp.error.canceled"}]"#,
        ),
        // Its slot has to come back.
        (
            "call_canceling _interrupt_on_skip",
            r#"{"concurrency":1}"#,
            r#"1 < [69,1,{"mode":"kill","reason":"wamp.error.canceled"}]"#,
        ),
        // To be interrupted is announced first of all.
        ("_interrupt_on_skip", "{}", ""),
    ] {
        play(&format!(
            r#"
            1 joins with {features}
            2 joins
            1 > [64,1,{concurrency},"com.p"]
            1 < [65,1,1]
            2 > [48,7,{{}},"com.p"]
            1 < [68,1,1,{{}}]
            2 > [49,7,{{"mode":"skip"}}]
            2 < [8,48,7,{{}},"wamp.error.canceled",["the caller has canceled…"]]
            {interrupt}
            1 > [8,68,1,{{}},"wamp.error.canceled"]
            2 > [49,7,{{"mode":"skip"}}]
            "#
        ));
    }
}

#[test]
fn kill_interrupts_the_callee_whose_answer_the_caller_gets() {
    for (answer, received) in [
        (
            r#"[8,68,1,{},"wamp.error.canceled",["stopped"]]"#,
            r#"[8,48,7,{},"wamp.error.canceled",["stopped"]]"#,
        ),
        // It had finished before.
        (r#"[70,1,{},["done"]]"#, r#"[50,7,{},["done"]]"#),
    ] {
        let router = play(&format!(
            r#"{PENDING}
            3 > [49,7,{{"mode":"kill"}}]
            1 < [69,1,{{"mode":"kill","reason":"wamp.error.canceled"}}]
            # once is enough
            3 > [49,7,{{"mode":"kill"}}]
            1 > {answer}
            3 < {received}
            # the call is over
            3 > [49,7,{{"mode":"kill"}}]
            1 > {answer}
            "#
        ));
        assert_eq!(router.stats().pending_invocations, 1, "{answer}");
    }
}

#[test]
fn killnowait_interrupts_the_callee_and_answers_the_caller_at_once() {
    for mode in [r#"{"mode":"killnowait"}"#, "{}"] {
        let router = play(&format!(
            r#"{PENDING}
            3 > [49,7,{mode}]
            3 < [8,48,7,{{}},"wamp.error.canceled",["the caller has canceled…"]]
            1 < [69,1,{{"mode":"killnowait","reason":"wamp.error.canceled"}}]
            # a callee may answer, and need not
            1 > [8,68,1,{{}},"wamp.error.canceled"]
            1 > [8,68,1,{{}},"wamp.error.canceled"]
            3 > [49,7,{mode}]
            "#
        ));
        assert_eq!(router.stats().cancels, 1, "{mode}");
    }
}

#[test]
fn a_callee_that_does_not_know_interrupt_is_skipped() {
    for mode in ["skip", "kill", "killnowait"] {
        play(&format!(
            r#"{PENDING}
            3 > [49,8,{{"mode":"{mode}"}}]
            3 < [8,48,8,{{}},"wamp.error.canceled",["the caller has canceled…"]]
            2 > [70,1,{{}},["late"]]
            "#
        ));
    }
}

#[test]
fn who_waits_after_kill_may_stop_waiting() {
    for mode in ["skip", "killnowait"] {
        play(&format!(
            r#"{PENDING}
            3 > [49,7,{{"mode":"kill"}}]
            1 < [69,1,{{"mode":"kill","reason":"wamp.error.canceled"}}]
            # the callee is not told twice
            3 > [49,7,{{"mode":"{mode}"}}]
            3 < [8,48,7,{{}},"wamp.error.canceled",["the caller has canceled…"]]
            1 > [8,68,1,{{}},"wamp.error.canceled"]
            "#
        ));
    }
}

#[test]
fn a_killed_call_is_answered_when_its_callee_disappears() {
    play(&format!(
        r#"{PENDING}
        3 > [49,7,{{"mode":"kill"}}]
        1 < [69,1,{{"mode":"kill","reason":"wamp.error.canceled"}}]
        1 gone
        3 < [8,48,7,{{}},"wamp.error.canceled",["the callee's session ended…"]]
        "#
    ));
}

#[test]
fn a_cancel_for_what_is_not_pending_is_ignored() {
    let router = play(&format!(
        r#"{PENDING}
        1 > [70,1,{{}}]
        3 < [50,7,{{}}]
        # it crossed with the answer
        3 > [49,7,{{}}]
        3 > [49,7,{{"mode":"kill"}}]
        # there was never such a call
        3 > [49,4711,{{"mode":"skip"}}]
        # somebody else's
        1 > [49,8,{{}}]
        # an invocation is not a call
        2 > [49,1,{{}}]
        2 > [70,1,{{}},["still wanted"]]
        3 < [50,8,{{}},["still wanted"]]
        "#
    ));
    assert_eq!(router.stats().cancels, 0);
}

#[test]
fn a_session_may_cancel_its_call_to_itself() {
    play(
        r#"
        1 joins with call_canceling
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        1 > [48,2,{},"com.p"]
        1 < [68,1,1,{}]
        1 > [49,2,{}]
        1 < [8,48,2,{},"wamp.error.canceled",["…"]]
        1 < [69,1,{"mode":"killnowait",…}]
        1 > [48,3,{},"com.p"]
        1 < [68,2,1,{}]
        1 > [49,3,{"mode":"kill"}]
        1 < [69,2,{"mode":"kill",…}]
        1 > [8,68,2,{},"com.stopped"]
        1 < [8,48,3,{},"com.stopped"]
        # and leave with one pending, which interrupts nobody
        1 > [48,4,{},"com.p"]
        1 < [68,3,1,{}]
        1 gone
        "#,
    );
}

#[test]
fn the_callee_of_a_caller_that_disappears_is_interrupted() {
    for leaves in [
        "3 gone\n SAID",
        "3 > [3,{},\"wamp.close.system_shutdown\"]\n SAID 3 closed",
        "3 > [6,{},\"wamp.close.close_realm\"]\n SAID 3 < [6,{},\"wamp.close.goodbye_and_out\"]\n 3 closed",
        "3 garbles\n SAID 3 < [3,…]\n 3 closed",
        "3 > [48,7,{},\"com.p\"]\n SAID 3 < [3,…]\n 3 closed",
    ] {
        let leaves = leaves.replace(
            "SAID",
            r#"1 < [69,1,{"mode":"killnowait","reason":"wamp.error.canceled"}]
            1 < [69,2,{"mode":"killnowait","reason":"wamp.error.canceled"}]
            "#,
        );
        let router = play(&format!(
            r#"{PENDING}
            3 > [48,9,{{}},"com.p"]
            1 < [68,2,1,{{}}]
            # one that is killed already is not interrupted again
            3 > [48,10,{{}},"com.p"]
            1 < [68,3,1,{{}}]
            3 > [49,10,{{"mode":"kill"}}]
            1 < [69,3,{{"mode":"kill","reason":"wamp.error.canceled"}}]
            {leaves}
            1 > [8,68,1,{{}},"wamp.error.canceled"]
            1 > [70,2,{{}}]
            1 > [8,68,3,{{}},"wamp.error.canceled"]
            2 > [70,1,{{}}]
            "#
        ));
        assert_eq!(
            router.stats(),
            Stats {
                sessions: 2,
                registrations: 2,
                cancels: 1,
                ..router.stats()
            }
        );
        assert_eq!(router.stats().pending_invocations, 0, "{leaves}");
    }
}

#[test]
fn draining_does_not_keep_anyone_from_canceling() {
    play(&format!(
        r#"{PENDING}
        drain
        3 > [49,7,{{}}]
        3 < [8,48,7,{{}},"wamp.error.canceled",["…"]]
        1 < [69,1,{{"mode":"killnowait",…}}]
        shutdown
        3 < [8,48,8,{{}},"wamp.error.canceled",["the router shut down…"]]
        1 away
        2 away
        3 away
        3 > [49,8,{{}}]
        "#
    ));
}
