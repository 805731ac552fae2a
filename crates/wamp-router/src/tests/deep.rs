//! Payloads nested too deep: the request is refused, and nobody's session ends by it.

use super::script::play;

#[test]
fn calls_and_publications_are_refused_where_they_are_answered() {
    let router = play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        1 > [32,2,{},"com.t"]
        1 < [33,2,1]
        2 deeply > [48,1,{},"com.p"]
        2 < [8,48,1,{},"wamp.error.invalid_argument",["the call is not passed on: the payload is nested deeper than 512 levels"]]
        2 deeply > [16,2,{"acknowledge":true},"com.t"]
        2 < [8,16,2,{},"wamp.error.invalid_argument",["the event…512 levels"]]
        2 deeply > [16,3,{},"com.t"]
        2 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        "#,
    );
    assert_eq!(router.stats().publications, 0);
    assert_eq!(router.stats().calls, 2);
}

#[test]
fn an_answer_is_an_error_to_its_caller_and_makes_room_for_the_next() {
    for answer in ["[70,1,{}]", r#"[8,68,1,{},"com.failed"]"#] {
        play(&format!(
            r#"
            1 joins
            2 joins
            3 joins
            1 > [64,1,{{"concurrency":1}},"com.p"]
            1 < [65,1,1]
            2 > [48,7,{{"timeout":50}},"com.p"]
            1 < [68,1,1,{{}}]
            3 > [48,8,{{}},"com.p"]
            1 deeply > {answer}
            2 < [8,48,7,{{}},"wamp.error.invalid_argument",["the callee's answer…512 levels"]]
            1 < [68,2,1,{{}}]
            deadline none
            # it was the answer, and another is ignored
            1 deeply > {answer}
            1 > {answer}
            1 > [70,2,{{}},["well"]]
            3 < [50,8,{{}},["well"]]
            "#
        ));
    }
}

#[test]
fn what_breaks_the_protocol_breaks_it_at_any_depth() {
    for (offence, words) in [
        ("[70,9,{}]", "…INVOCATION 9, which was never sent"),
        (
            r#"[8,68,9,{},"com.x"]"#,
            "…INVOCATION 9, which was never sent",
        ),
        (r#"[8,48,1,{},"com.x"]"#, "ERROR for CALL…"),
        ("[36,1,1,{}]", "EVENT is for routers to send…"),
        (r#"[48,1,{},"com.p"]"#, "CALL with request id 1…"),
    ] {
        play(&format!(
            r#"
            1 joins
            2 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            2 > [48,1,{{}},"com.p"]
            1 < [68,1,1,{{}}]
            2 deeply > {offence}
            2 < [3,{{"message":"{words}"}},"wamp.error.protocol_violation"]
            2 closed
            "#
        ));
    }
}

#[test]
fn what_crosses_with_the_shutdown_is_ignored() {
    play(
        r#"
        1 joins
        shutdown
        1 away
        1 deeply > [48,1,{},"com.p"]
        1 deeply > [70,9,{}]
        2 deeply > [48,1,{},"com.p"]
        "#,
    );
}
