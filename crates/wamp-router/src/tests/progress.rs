//! Results in parts: who may give them, who receives them, and what ends them.

use super::script::play;

/// A callee that may give parts, and a caller that takes them, with a call under way.
const ASKED: &str = r#"
    1 joins with progressive_call_results call_canceling
    2 joins
    1 > [64,1,{},"com.p"]
    1 < [65,1,1]
    2 > [48,7,{"receive_progress":true},"com.p",["all"]]
    1 < [68,1,1,{"receive_progress":true},["all"]]
"#;

#[test]
fn a_result_comes_in_parts_and_ends_with_the_answer() {
    for (end, answer) in [
        (r#"[70,1,{},["end"]]"#, r#"[50,7,{},["end"]]"#),
        (r#"[70,1,{"progress":false}]"#, "[50,7,{}]"),
        (
            r#"[8,68,1,{},"com.failed",["late"]]"#,
            r#"[8,48,7,{},"com.failed",["late"]]"#,
        ),
    ] {
        let router = play(&format!(
            r#"{ASKED}
            1 > [70,1,{{"progress":true}},[1],{{"k":2}}]
            2 < [50,7,{{"progress":true}},[1],{{"k":2}}]
            1 > [70,1,{{"progress":true}}]
            2 < [50,7,{{"progress":true}}]
            1 > {end}
            2 < {answer}
            # what comes after the end is ignored
            1 > [70,1,{{"progress":true}},["late"]]
            1 > [70,1,{{}},["late"]]
            "#
        ));
        let stats = router.stats();
        assert_eq!((stats.results + stats.errors, stats.calls), (1, 1), "{end}");
        assert_eq!(stats.pending_invocations, 0, "{end}");
    }
}

#[test]
fn a_callee_is_asked_for_parts_only_where_both_sides_want_them() {
    for (features, options, details) in [
        (
            "progressive_call_results",
            r#""receive_progress":true"#,
            r#""receive_progress":true"#,
        ),
        (
            "progressive_call_results",
            r#""receive_progress":false"#,
            "",
        ),
        ("progressive_call_results", "", ""),
        ("call_canceling", r#""receive_progress":true"#, ""),
    ] {
        play(&format!(
            r#"
            1 joins with {features}
            2 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            2 > [48,7,{{{options}}},"com.p"]
            1 < [68,1,1,{{{details}}}]
            "#
        ));
    }
}

#[test]
fn parts_that_were_not_asked_for_are_not_taken_for_the_answer() {
    for (features, options) in [
        ("progressive_call_results", "{}"),
        ("call_canceling", r#"{"receive_progress":true}"#),
    ] {
        let router = play(&format!(
            r#"
            1 joins with {features}
            2 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            2 > [48,7,{options},"com.p"]
            1 < [68,1,1,{{}}]
            1 > [70,1,{{"progress":true}},["part"]]
            1 > [70,1,{{"progress":true}},["part"]]
            1 > [70,1,{{}},["end"]]
            2 < [50,7,{{}},["end"]]
            "#
        ));
        assert_eq!(router.stats().results, 1);
    }
}

#[test]
fn a_part_of_what_was_never_asked_breaks_the_protocol() {
    play(&format!(
        r#"{ASKED}
        1 > [70,2,{{"progress":true}}]
        2 < [8,48,7,{{}},"wamp.error.canceled",["…"]]
        1 < [3,{{"message":"an answer to INVOCATION 2, which was never sent"}},"wamp.error.protocol_violation"]
        1 closed
        "#
    ));
}

#[test]
fn each_part_begins_the_timeout_anew() {
    play(
        r#"
        1 joins with progressive_call_results call_canceling
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [48,7,{"receive_progress":true,"timeout":100},"com.p"]
        1 < [68,1,1,{"receive_progress":true}]
        deadline 100
        later 80
        1 > [70,1,{"progress":true},[1]]
        2 < [50,7,{"progress":true},[1]]
        deadline 100
        later 99
        1 > [70,1,{"progress":true},[2]]
        2 < [50,7,{"progress":true},[2]]
        later 100
        tick
        2 < [8,48,7,{},"wamp.error.timeout",["…"]]
        1 < [69,1,{"mode":"killnowait","reason":"wamp.error.timeout"}]
        deadline none
        1 > [70,1,{"progress":true},[3]]
        # parts that nobody takes do not keep a call alive
        2 > [48,8,{"timeout":100},"com.p"]
        1 < [68,2,1,{}]
        later 80
        1 > [70,2,{"progress":true},[1]]
        deadline 20
        "#,
    );
}

#[test]
fn a_call_with_parts_is_canceled_like_any_other() {
    for (mode, interrupt) in [
        ("skip", ""),
        (
            "killnowait",
            r#"1 < [69,1,{"mode":"killnowait","reason":"wamp.error.canceled"}]"#,
        ),
    ] {
        let router = play(&format!(
            r#"{ASKED}
            1 > [70,1,{{"progress":true}},[1]]
            2 < [50,7,{{"progress":true}},[1]]
            2 > [49,7,{{"mode":"{mode}"}}]
            2 < [8,48,7,{{}},"wamp.error.canceled",["…"]]
            {interrupt}
            1 > [70,1,{{"progress":true}},[2]]
            1 > [70,1,{{}},["end"]]
            "#
        ));
        assert_eq!(router.stats().pending_invocations, 0, "{mode}");
    }
    // Who waits for the callee has what it still gives.
    play(&format!(
        r#"{ASKED}
        2 > [49,7,{{"mode":"kill"}}]
        1 < [69,1,{{"mode":"kill","reason":"wamp.error.canceled"}}]
        1 > [70,1,{{"progress":true}},["nearly"]]
        2 < [50,7,{{"progress":true}},["nearly"]]
        1 > [8,68,1,{{}},"wamp.error.canceled"]
        2 < [8,48,7,{{}},"wamp.error.canceled"]
        "#
    ));
}

#[test]
fn a_caller_that_leaves_has_its_parts_stopped_and_a_callee_leaves_an_answer() {
    play(&format!(
        r#"{ASKED}
        1 > [70,1,{{"progress":true}},[1]]
        2 < [50,7,{{"progress":true}},[1]]
        2 gone
        1 < [69,1,{{"mode":"killnowait","reason":"wamp.error.canceled"}}]
        1 > [70,1,{{"progress":true}},[2]]
        "#
    ));
    play(&format!(
        r#"{ASKED}
        1 > [70,1,{{"progress":true}},[1]]
        2 < [50,7,{{"progress":true}},[1]]
        1 gone
        2 < [8,48,7,{{}},"wamp.error.canceled",["the callee's session ended…"]]
        "#
    ));
}

#[test]
fn a_part_makes_no_room_for_the_next_call() {
    play(
        r#"
        1 joins with progressive_call_results
        2 joins
        1 > [64,1,{"concurrency":1},"com.p"]
        1 < [65,1,1]
        2 > [48,1,{"receive_progress":true},"com.p"]
        1 < [68,1,1,{"receive_progress":true}]
        2 > [48,2,{"receive_progress":true,"timeout":100},"com.p"]
        1 > [70,1,{"progress":true}]
        2 < [50,1,{"progress":true}]
        1 > [70,1,{}]
        2 < [50,1,{}]
        1 < [68,2,1,{"receive_progress":true}]
        later 90
        1 > [70,2,{"progress":true}]
        2 < [50,2,{"progress":true}]
        deadline 100
        # one that is canceled while it goes on keeps its place
        2 > [48,3,{},"com.p"]
        2 > [49,2,{"mode":"killnowait"}]
        2 < [8,48,2,{},"wamp.error.canceled",["…"]]
        1 > [70,2,{"progress":true}]
        1 > [70,2,{}]
        1 < [68,3,1,{}]
        "#,
    );
}

#[test]
fn a_part_that_is_too_deep_ends_its_call() {
    let router = play(&format!(
        r#"{ASKED}
        1 deeply > [70,1,{{"progress":true}}]
        2 < [8,48,7,{{}},"wamp.error.invalid_argument",["a part of the callee's answer is not passed on…"]]
        1 < [69,1,{{"mode":"killnowait","reason":"wamp.error.invalid_argument"}}]
        1 > [70,1,{{"progress":true}}]
        1 > [70,1,{{}}]
        # one that nobody takes ends nothing
        2 > [48,8,{{}},"com.p"]
        1 < [68,2,1,{{}}]
        1 deeply > [70,2,{{"progress":true}}]
        1 > [70,2,{{}}]
        2 < [50,8,{{}}]
        "#
    ));
    assert_eq!(router.stats().pending_invocations, 0);
}
