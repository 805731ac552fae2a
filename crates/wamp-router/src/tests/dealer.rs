//! Procedures: registering, calling, answering, and callees and callers that disappear.

use super::script::{play, play_on, realm};
use crate::Stats;

#[test]
fn a_call_is_invoked_and_its_result_returned() {
    let router = play(
        r#"
        1 joins
        2 joins
        1 > [64,25349185,{},"com.myapp.add2"]
        1 < [65,25349185,1]
        2 > [48,7814135,{},"com.myapp.add2",[23, 7],{"k": null}]
        1 < [68,1,1,{},[23, 7],{"k": null}]
        1 > [70,1,{},[30],{"n":1}]
        2 < [50,7814135,{},[30],{"n":1}]
        # a request id may be used again once it is answered
        2 > [48,7814135,{},"com.myapp.add2"]
        1 < [68,2,1,{}]
        1 > [70,2,{}]
        2 < [50,7814135,{}]
        "#,
    );
    assert_eq!(
        router.stats(),
        Stats {
            sessions: 2,
            registrations: 1,
            calls: 2,
            results: 2,
            ..Stats::default()
        }
    );
}

#[test]
fn errors_of_the_callee_reach_the_caller() {
    for (error, received) in [
        (
            r#""com.myapp.error.write_protected",["why"],{"severity":3}"#,
            r#""com.myapp.error.write_protected",["why"],{"severity":3}"#,
        ),
        (
            r#""wamp.error.invalid_argument""#,
            r#""wamp.error.invalid_argument""#,
        ),
        // An invalid error URI must not take the answer away from the caller.
        (
            r#""not a uri",["why"]"#,
            r#""wamp.error.runtime_error",["why"]"#,
        ),
    ] {
        let router = play(&format!(
            r#"
            1 joins
            2 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            2 > [48,9,{{}},"com.p"]
            1 < [68,1,1,{{}}]
            1 > [8,68,1,{{}},{error}]
            2 < [8,48,9,{{}},{received}]
            "#
        ));
        assert_eq!((router.stats().errors, router.stats().results), (1, 0));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn requests_that_cannot_be_fulfilled_are_answered_by_errors_that_help() {
    for (request, error) in [
        (
            r#"[64,5,{},"com.p"]"#,
            r#"[8,64,5,{},"wamp.error.procedure_already_exists",["'com.p' is registered already…"]]"#,
        ),
        (
            r#"[64,5,{"match":"prefix"},"com.q"]"#,
            r#"[8,64,5,{},"wamp.error.option_not_allowed",["the option match …prefix…ask for …exact…"]]"#,
        ),
        (
            r#"[64,5,{"invoke":"roundrobin"},"com.q"]"#,
            r#"[8,64,5,{},"wamp.error.option_not_allowed",["the option invoke …roundrobin…ask for …single…"]]"#,
        ),
        (
            r#"[64,5,{},"com..q"]"#,
            r#"[8,64,5,{},"wamp.error.invalid_uri",["…com..q… is not a valid URI…"]]"#,
        ),
        (
            r#"[64,5,{},"wamp.q"]"#,
            r#"[8,64,5,{},"wamp.error.invalid_uri",["'wamp.q' is reserved…"]]"#,
        ),
        (
            r#"[66,5,2]"#,
            r#"[8,66,5,{},"wamp.error.no_such_registration",["this session has no registration 2…"]]"#,
        ),
        (
            r#"[64,5,{"disclose_caller":true},"com.q"]"#,
            r#"[8,64,5,{},"wamp.error.option_not_allowed",["the option disclose_caller is not served…"]]"#,
        ),
        (
            r#"[64,5,{"concurrency":0},"com.q"]"#,
            r#"[8,64,5,{},"wamp.error.invalid_argument",["the option concurrency is not valid: …"]]"#,
        ),
        (
            r#"[48,5,{"timeout":"1s"},"com.p"]"#,
            r#"[8,48,5,{},"wamp.error.invalid_argument",["the option timeout is not valid: …"]]"#,
        ),
        (
            r#"[48,5,{"progress":true},"com.p"]"#,
            r#"[8,48,5,{},"wamp.error.option_not_allowed",["the option progress is not served…"]]"#,
        ),
        (
            r#"[48,5,{"runmode":"partition","rkey":"k"},"com.p"]"#,
            r#"[8,48,5,{},"wamp.error.option_not_allowed",["the option runmode is not served…"]]"#,
        ),
        // somebody else's
        (
            r#"[66,5,1]"#,
            r#"[8,66,5,{},"wamp.error.no_such_registration",["this session has no registration 1…"]]"#,
        ),
        (
            r#"[48,5,{},"com.q"]"#,
            r#"[8,48,5,{},"wamp.error.no_such_procedure",["no callee has registered 'com.q'…"]]"#,
        ),
        (
            r#"[48,5,{},"wamp.session.count"]"#,
            r#"[8,48,5,{},"wamp.error.no_such_procedure",["…'wamp.session.count'…"]]"#,
        ),
        (
            r#"[48,5,{},"com.q "]"#,
            r#"[8,48,5,{},"wamp.error.invalid_uri",["…com.q … is not a valid URI…"]]"#,
        ),
    ] {
        let router = play(&format!(
            r#"
            1 joins
            2 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            2 > {request}
            2 < {error}
            # and nothing has changed
            2 > [48,6,{{}},"com.p"]
            1 < [68,1,1,{{}}]
            "#
        ));
        assert_eq!(router.stats().registrations, 1, "{request}");
    }
}

#[test]
fn the_options_that_are_the_only_ones_may_be_written_out() {
    play(
        r#"
        1 joins
        1 > [64,1,{"match":"exact","invoke":"single","x_unknown":[1]},"com.p"]
        1 < [65,1,1]
        "#,
    );
}

#[test]
fn unregistering_ends_the_registration_and_leaves_what_is_pending() {
    let router = play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        1 > [66,2,1]
        1 < [67,2]
        2 > [48,2,{},"com.p"]
        2 < [8,48,2,{},"wamp.error.no_such_procedure",["…"]]
        1 > [66,3,1]
        1 < [8,66,3,{},"wamp.error.no_such_registration",["…"]]
        1 > [70,1,{},["still answered"]]
        2 < [50,1,{},["still answered"]]
        # the procedure is free for others
        2 > [64,3,{},"com.p"]
        2 < [65,3,2]
        "#,
    );
    assert_eq!(router.stats().registrations, 1);
}

#[test]
fn a_callee_that_disappears_leaves_every_caller_an_answer() {
    for leaves in [
        "1 gone",
        "1 > [3,{},\"wamp.close.system_shutdown\"]\n SAID 1 closed",
        "1 > [6,{},\"wamp.close.close_realm\"]\n SAID 1 < [6,{},\"wamp.close.goodbye_and_out\"]\n 1 closed",
        "1 garbles\n SAID 1 < [3,…]\n 1 closed",
    ] {
        let canceled = r#"
            2 < [8,48,7,{},"wamp.error.canceled",["the callee's session ended…"]]
            3 < [8,48,7,{},"wamp.error.canceled",["the callee's session ended…"]]
            2 < [8,48,8,{},"wamp.error.canceled",["the callee's session ended…"]]
        "#;
        let leaves = if leaves.contains("SAID") {
            leaves.replace("SAID", canceled)
        } else {
            format!("{leaves}\n{canceled}")
        };
        let router = play(&format!(
            r#"
            1 joins
            2 joins
            3 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            1 > [64,2,{{}},"com.q"]
            1 < [65,2,2]
            2 > [48,7,{{}},"com.p"]
            1 < [68,1,1,{{}}]
            3 > [48,7,{{}},"com.q"]
            1 < [68,2,2,{{}}]
            2 > [48,8,{{}},"com.q"]
            1 < [68,3,2,{{}}]
            {leaves}
            # another callee may take over
            3 > [64,9,{{}},"com.p"]
            3 < [65,9,3]
            2 > [48,7,{{}},"com.p"]
            3 < [68,1,3,{{}}]
            "#
        ));
        assert_eq!(router.stats().pending_invocations, 1, "{leaves}");
    }
}

#[test]
fn a_caller_that_disappears_is_forgotten() {
    let router = play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [48,7,{},"com.p"]
        1 < [68,1,1,{}]
        2 > [48,8,{},"com.p"]
        1 < [68,2,1,{}]
        2 gone
        # answers that come late are ignored
        1 > [70,1,{},["late"]]
        1 > [8,68,2,{},"com.late"]
        # also for a peer that has joined since with the same request ids
        3 joins
        3 > [48,7,{},"com.p"]
        1 < [68,3,1,{}]
        1 > [70,1,{},["twice"]]
        1 > [70,3,{},["right"]]
        3 < [50,7,{},["right"]]
        "#,
    );
    assert_eq!(router.stats().pending_invocations, 0);
}

#[test]
fn a_second_answer_is_ignored_and_an_answer_to_nothing_is_a_violation() {
    play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [48,7,{},"com.p"]
        1 < [68,1,1,{}]
        1 > [70,1,{},["first"]]
        2 < [50,7,{},["first"]]
        1 > [70,1,{},["second"]]
        1 > [8,68,1,{},"com.second"]
        1 > [70,2,{}]
        1 < [3,{"message":"an answer to INVOCATION 2, which was never sent"},"wamp.error.protocol_violation"]
        1 closed
        "#,
    );
}

#[test]
fn a_pending_request_id_cannot_be_used_again() {
    for drains in ["", "drain"] {
        play(&format!(
            r#"
            1 joins
            2 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            2 > [48,7,{{}},"com.p"]
            1 < [68,1,1,{{}}]
            {drains}
            2 > [48,7,{{}},"com.p"]
            2 < [3,{{"message":"CALL with request id 7, which a pending call has…"}},"wamp.error.protocol_violation"]
            2 closed
            1 > [70,1,{{}},["to nobody"]]
            "#
        ));
    }
}

#[test]
fn a_session_may_call_itself() {
    let script = r#"
        1 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        1 > [48,2,{},"com.p",["me"]]
        1 < [68,1,1,{},["me"]]
        1 > [70,1,{},["myself"]]
        1 < [50,2,{},["myself"]]
        1 > [48,3,{},"com.p"]
        1 < [68,2,1,{}]
    "#;
    // Leaving with such a call pending answers nobody.
    let router = play(&format!("{script}\n 1 gone"));
    assert_eq!(
        router.stats(),
        Stats {
            calls: 2,
            results: 1,
            ..Stats::default()
        }
    );
    play(&format!(
        r#"{script}
        shutdown
        1 < [8,48,3,{{}},"wamp.error.canceled",["…"]]
        1 away
        "#
    ));
}

#[test]
fn invocations_come_in_the_order_of_the_calls_and_answers_in_any() {
    play(
        r#"
        1 joins
        2 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        1 > [64,2,{},"com.q"]
        1 < [65,2,2]
        2 > [48,30,{},"com.p",["a"]]
        1 < [68,1,1,{},["a"]]
        2 > [48,20,{},"com.q",["b"]]
        1 < [68,2,2,{},["b"]]
        2 > [48,10,{},"com.p",["c"]]
        1 < [68,3,1,{},["c"]]
        1 > [70,3,{},["C"]]
        2 < [50,10,{},["C"]]
        1 > [70,1,{},["A"]]
        2 < [50,30,{},["A"]]
        1 > [70,2,{},["B"]]
        2 < [50,20,{},["B"]]
        "#,
    );
}

#[test]
fn the_caller_is_disclosed_where_its_permission_says_so() {
    play(
        r#"
        1 joins
        2 joins as open
        3 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [48,1,{},"com.p"]
        1 < [68,1,1,{"caller":102,"caller_authid":"102","caller_authrole":"open"}]
        3 > [48,1,{},"com.p"]
        1 < [68,2,1,{}]
        # or where the caller wishes
        3 > [48,2,{"disclose_me":true},"com.p"]
        1 < [68,3,1,{"caller":103,"caller_authid":"103","caller_authrole":"anonymous"}]
        3 > [48,3,{"disclose_me":false},"com.p"]
        1 < [68,4,1,{}]
        # what a permission discloses is not taken back
        2 > [48,2,{"disclose_me":false},"com.p"]
        1 < [68,5,1,{"caller":102,"caller_authid":"102","caller_authrole":"open"}]
        "#,
    );
}

#[test]
fn limits_are_answers() {
    let mut small = realm();
    small.limits.registrations_per_session = 2;
    small.limits.calls_per_session = 2;
    small.limits.invocations_per_session = 3;
    play_on(
        small,
        r#"
        1 joins
        2 joins
        3 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        1 > [64,2,{},"com.q"]
        1 < [65,2,2]
        1 > [64,3,{},"com.r"]
        1 < [8,64,3,{},"wamp.error.unavailable",["the limit registrations_per_session of 2 is reached…"]]
        2 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        2 > [48,2,{},"com.p"]
        1 < [68,2,1,{}]
        2 > [48,3,{},"com.p"]
        2 < [8,48,3,{},"wamp.error.unavailable",["the limit calls_per_session of 2 is reached…"],{"retryable":true}]
        3 > [48,1,{},"com.p"]
        1 < [68,3,1,{}]
        3 > [48,2,{},"com.p"]
        3 < [8,48,2,{},"wamp.error.unavailable",["the limit invocations_per_session of 3 is reached…"],{"retryable":true}]
        # what is given back can be used again
        1 > [70,1,{}]
        2 < [50,1,{}]
        2 > [48,3,{},"com.p"]
        1 < [68,4,1,{}]
        1 > [66,4,2]
        1 < [67,4]
        1 > [64,5,{},"com.r"]
        1 < [65,5,3]
        "#,
    );
}

#[test]
fn calls_that_will_never_be_answered_are_canceled_in_the_order_they_came() {
    let mut script = "1 joins\n 2 joins\n 1 > [64,1,{},\"com.p\"]\n 1 < [65,1,1]\n".to_owned();
    for call in 1..=40 {
        script += &format!("2 > [48,{call},{{}},\"com.p\"]\n 1 < [68,{call},1,{{}}]\n");
    }
    script += "1 gone\n";
    for call in 1..=40 {
        script += &format!("2 < [8,48,{call},{{}},\"wamp.error.canceled\",[\"…\"]]\n");
    }
    play(&script);
}
