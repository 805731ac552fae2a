//! Procedures that are taken over from their callee by `force_reregister`.

use super::script::{play, play_on, realm};

const TAKEN: &str = r#"1 < [67,0,{"registration":1,"reason":"wamp.error.unregistered"}]"#;

#[test]
fn a_procedure_is_taken_over_and_its_callee_told() {
    let router = play(&format!(
        r#"
        1 joins
        2 joins
        3 joins
        1 > [64,1,{{}},"com.p"]
        1 < [65,1,1]
        3 > [48,1,{{}},"com.p"]
        1 < [68,1,1,{{}}]
        # not without the option
        2 > [64,1,{{"force_reregister":false}},"com.p"]
        2 < [8,64,1,{{}},"wamp.error.procedure_already_exists",["…"]]
        2 > [64,2,{{"force_reregister":true}},"com.p"]
        {TAKEN}
        2 < [65,2,2]
        # new calls go to the new callee, and what the old one has it may still answer
        3 > [48,2,{{}},"com.p"]
        2 < [68,1,2,{{}}]
        1 > [70,1,{{}},["old"]]
        3 < [50,1,{{}},["old"]]
        2 > [70,1,{{}},["new"]]
        3 < [50,2,{{}},["new"]]
        # the old registration is over
        1 > [66,2,1]
        1 < [8,66,2,{{}},"wamp.error.no_such_registration",["…"]]
        # and may be had back in the same way
        1 > [64,3,{{"force_reregister":true}},"com.p"]
        2 < [67,0,{{"registration":2,"reason":"wamp.error.unregistered"}}]
        1 < [65,3,3]
        # the session that has lost it takes nothing along
        2 gone
        3 > [48,3,{{}},"com.p"]
        1 < [68,2,3,{{}}]
        "#
    ));
    assert_eq!(router.stats().registrations, 1);
}

#[test]
fn nobody_to_take_it_from_is_no_hindrance() {
    play(
        r#"
        1 joins
        1 > [64,1,{"force_reregister":true},"com.p"]
        1 < [65,1,1]
        "#,
    );
}

#[test]
fn each_call_under_way_is_answered_once() {
    for end in [
        // the old callee answers, or fails, or is lost
        "1 > [70,1,{},[\"A\"]]\n 2 < [50,1,{},[\"A\"]]",
        "1 > [8,68,1,{},\"com.failed\"]\n 2 < [8,48,1,{},\"com.failed\"]",
        "1 gone\n 2 < [8,48,1,{},\"wamp.error.canceled\",[\"the callee's session ended…\"]]",
        // its caller cancels or is gone
        "2 > [49,1,{}]\n 2 < [8,48,1,{},\"wamp.error.canceled\",[\"…\"]]",
        "2 gone",
        "shutdown\n 2 < [8,48,1,{},\"wamp.error.canceled\",[\"…\"]]\n \
         1 away\n 2 away\n 3 away\n 4 away",
    ] {
        let router = play(&format!(
            r#"
            1 joins
            2 joins
            3 joins
            4 joins
            1 > [64,1,{{"concurrency":1}},"com.p"]
            1 < [65,1,1]
            2 > [48,1,{{}},"com.p",["a"]]
            1 < [68,1,1,{{}},["a"]]
            3 > [48,1,{{"timeout":100}},"com.p",["b"]]
            3 > [48,2,{{}},"com.p",["c"]]
            4 > [64,1,{{"force_reregister":true,"concurrency":1}},"com.p"]
            {TAKEN}
            4 < [65,1,2]
            # what waited has not run, and may be called again
            3 < [8,48,1,{{}},"wamp.error.unavailable",["another callee has taken over the procedure…has not run"]]
            3 < [8,48,2,{{}},"wamp.error.unavailable",["another callee has taken over the procedure…has not run"]]
            deadline none
            {end}
            "#
        ));
        let stats = router.stats();
        assert_eq!(
            (stats.pending_invocations, stats.queued_calls),
            (0, 0),
            "{end}"
        );
    }
    // The slots of the old registration are not those of the new one.
    play(&format!(
        r#"
        1 joins
        2 joins
        3 joins
        1 > [64,1,{{"concurrency":1}},"com.p"]
        1 < [65,1,1]
        2 > [48,1,{{}},"com.p"]
        1 < [68,1,1,{{}}]
        3 > [64,1,{{"force_reregister":true,"concurrency":1}},"com.p"]
        {TAKEN}
        3 < [65,1,2]
        2 > [48,2,{{}},"com.p"]
        3 < [68,1,2,{{}}]
        2 > [48,3,{{}},"com.p"]
        1 > [70,1,{{}}]
        2 < [50,1,{{}}]
        3 > [70,1,{{}}]
        2 < [50,2,{{}}]
        3 < [68,2,2,{{}}]
        "#
    ));
}

#[test]
fn a_session_may_register_its_own_procedure_anew() {
    let mut small = realm();
    small.limits.registrations_per_session = 1;
    let router = play_on(
        small,
        &format!(
            r#"
            1 joins
            2 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            2 > [48,1,{{}},"com.p"]
            1 < [68,1,1,{{}}]
            # in place of the one it has, so there is room
            1 > [64,2,{{"force_reregister":true}},"com.p"]
            {TAKEN}
            1 < [65,2,2]
            1 > [70,1,{{}}]
            2 < [50,1,{{}}]
            2 > [48,2,{{}},"com.p"]
            1 < [68,2,2,{{}}]
            "#
        ),
    );
    assert_eq!(router.stats().registrations, 1);
}

#[test]
fn what_is_refused_takes_nothing_over() {
    let mut small = realm();
    small.limits.registrations_per_session = 1;
    small.roles[1].permissions[0].allow.register = false;
    let router = play_on(
        small,
        r#"
        1 joins
        2 joins
        3 joins as open
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 > [64,1,{},"com.q"]
        2 < [65,1,2]
        2 > [64,2,{"force_reregister":true},"com.p"]
        2 < [8,64,2,{},"wamp.error.unavailable",["the limit registrations_per_session…"]]
        2 > [64,3,{"force_reregister":1},"com.p"]
        2 < [8,64,3,{},"wamp.error.invalid_argument",["the option force_reregister is not valid: …"]]
        2 > [64,4,{"force_reregister":true,"invoke":"last"},"com.p"]
        2 < [8,64,4,{},"wamp.error.option_not_allowed",["the option invoke …"]]
        3 > [64,1,{"force_reregister":true},"com.p"]
        3 < [8,64,1,{},"wamp.error.not_authorized",["…"]]
        2 > [48,5,{},"com.p"]
        1 < [68,1,1,{}]
        "#,
    );
    assert_eq!(router.stats().registrations, 2);
}
