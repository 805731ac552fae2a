//! Guards of topics: who is asked before a SUBSCRIBE is granted, and what becomes of what waits.

use super::script::{play, play_on, realm};

#[test]
fn subscribed_comes_when_the_guard_allows_it() {
    play(
        r#"
        9 joins
        9 guards 1 com.t
        1 joins
        2 joins
        1 > [32,5,{},"com.t"]
        9 asked 1 by 1: com.t for 102
        # no event before it
        2 > [16,1,{},"com.t"]
        # others, and other topics, wait for nobody
        2 > [32,2,{},"com.u"]
        2 < [33,2,1]
        9 allows 1
        1 < [33,5,2]
        2 > [16,3,{},"com.t",[7]]
        1 < [36,2,502,{},[7]]
        # once more is asked once more
        1 > [32,6,{},"com.t"]
        9 asked 2 by 1: com.t for 102
        9 allows 2
        1 < [33,6,2]
        # an answer that nobody waits for does no harm
        9 allows 2
        9 denies 2 com.no
        2 allows 77
        "#,
    );
}

#[test]
fn who_is_denied_gets_the_guard_s_error() {
    play(
        r#"
        9 joins
        9 guards 1 com.t
        1 joins
        1 > [32,5,{},"com.t"]
        9 asked 1 by 1: com.t for 102
        9 denies 1 com.shop.not_yours
        1 < [8,32,5,{},"com.shop.not_yours",["no"]]
        # an error that is no URI would end the session at some clients
        1 > [32,6,{},"com.t"]
        9 asked 2 by 1: com.t for 102
        9 denies 2 no..uri
        1 < [8,32,6,{},"wamp.error.runtime_error",["no"]]
        1 > [16,7,{"acknowledge":true,"exclude_me":false},"com.t"]
        1 < [17,7,501]
        "#,
    );
}

#[test]
fn all_that_match_are_asked_but_oneself() {
    play(
        r#"
        8 joins
        9 joins
        8 guards 1 prefix com.
        9 guards 1 com.a.b
        9 guards 2 wildcard com..b
        9 guards 3 com.c
        1 joins
        1 > [32,5,{},"com.a.b"]
        8 asked 1 by 1: com.a.b for 103
        9 asked 2 by 1: com.a.b for 103
        9 asked 3 by 2: com.a.b for 103
        9 allows 3
        # only who was asked can answer
        9 allows 1
        8 allows 1
        9 allows 2
        1 < [33,5,1]
        # the first that denies decides
        1 > [32,6,{},"com.a.b"]
        8 asked 4 by 1: com.a.b for 103
        9 asked 5 by 1: com.a.b for 103
        9 asked 6 by 2: com.a.b for 103
        9 denies 5 com.no
        8 unasked 4
        9 unasked 6
        1 < [8,32,6,{},"com.no",["no"]]
        9 > [32,1,{},"com.a.b"]
        8 asked 7 by 1: com.a.b for 102
        8 allows 7
        9 < [33,1,1]
        # another topic of the same number takes its place
        9 guards 2 com.d
        9 ends 1
        8 ends 1
        1 > [32,7,{},"com.a.b"]
        1 < [33,7,1]
        1 > [32,8,{},"com.d"]
        9 asked 8 by 2: com.d for 103
        9 allows 8
        1 < [33,8,2]
        "#,
    );
}

#[test]
fn what_is_refused_anyway_is_not_asked_about() {
    let mut realm = realm();
    realm.roles[0].permissions[0].allow.subscribe = false;
    realm.limits.subscriptions_per_session = 1;
    play_on(
        realm,
        r#"
        9 joins as open
        9 guards 1 prefix com.
        1 joins
        1 > [32,1,{},"com.t"]
        1 < [8,32,1,{},"wamp.error.not_authorized",["…"]]
        2 joins as open
        2 > [32,1,{},"com..t"]
        2 < [8,32,1,{},"wamp.error.invalid_uri",["…"]]
        2 > [32,2,{"match":"prefix"},"com.t"]
        2 < [8,32,2,{},"wamp.error.option_not_allowed",["…"]]
        2 > [32,3,{},"com.t"]
        9 asked 1 by 1: com.t for 103
        # whether there is room shows when it is its turn
        2 > [32,4,{},"com.u"]
        9 asked 2 by 1: com.u for 103
        9 allows 1
        2 < [33,3,1]
        9 allows 2
        2 < [8,32,4,{},"wamp.error.unavailable",["…subscriptions_per_session…"]]
        "#,
    );
}

#[test]
fn what_a_session_requests_meanwhile_waits_in_its_order() {
    play(
        r#"
        9 joins
        9 guards 1 com.t
        5 joins
        5 > [64,1,{},"com.p"]
        5 < [65,1,1]
        5 > [32,2,{},"com.u"]
        5 < [33,2,1]
        1 joins
        1 > [32,1,{},"com.t"]
        9 asked 1 by 1: com.t for 103
        1 > [48,2,{},"com.p",[2]]
        1 > [16,3,{},"com.u",[3]]
        1 > [32,4,{},"com.t"]
        9 asked 2 by 1: com.t for 103
        1 > [48,5,{},"com.p",[5]]
        1 > [64,6,{},"com.q"]
        1 > [34,7,1]
        1 > [66,8,1]
        # the second answer comes first, and waits for its turn
        9 allows 2
        9 allows 1
        1 < [33,1,2]
        5 < [68,1,1,{},[2]]
        5 < [36,1,501,{},[3]]
        1 < [33,4,2]
        5 < [68,2,1,{},[5]]
        1 < [65,6,2]
        1 < [8,34,7,{},"wamp.error.no_such_subscription",["…"]]
        1 < [8,66,8,{},"wamp.error.no_such_registration",["…"]]
        1 > [48,9,{},"com.p"]
        5 < [68,3,1,{}]
        "#,
    );
}

#[test]
fn what_answers_others_does_not_wait() {
    play(
        r#"
        9 joins
        9 guards 1 com.t
        1 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        2 joins
        1 > [32,2,{},"com.t"]
        9 asked 1 by 1: com.t for 102
        2 > [48,1,{},"com.p"]
        1 < [68,1,1,{}]
        1 > [70,1,{},["done"]]
        2 < [50,1,{},["done"]]
        2 > [48,2,{},"com.p"]
        1 < [68,2,1,{}]
        1 > [8,68,2,{},"com.failed"]
        2 < [8,48,2,{},"com.failed"]
        # who answers may be who is waited for
        9 > [48,7,{},"com.p"]
        1 < [68,3,1,{}]
        1 > [70,3,{},["yes"]]
        9 < [50,7,{},["yes"]]
        9 allows 1
        1 < [33,2,1]
        "#,
    );
}

#[test]
fn who_has_no_answer_in_time_is_refused() {
    let router = play(
        r#"
        9 joins
        9 guards 1 com.t
        1 joins
        1 > [32,1,{},"com.t"]
        9 asked 1 by 1: com.t for 102
        deadline 10000
        later 4000
        1 > [32,2,{},"com.t"]
        9 asked 2 by 1: com.t for 102
        1 > [16,3,{"acknowledge":true},"com.u"]
        deadline 6000
        9 allows 2
        later 5999
        tick
        later 1
        tick
        9 unasked 1
        1 < [8,32,1,{},"wamp.error.authorization_failed",["…not answered in time…"],{"retryable":true}]
        1 < [33,2,1]
        1 < [17,3,501]
        deadline none
        9 allows 1
        "#,
    );
    assert_eq!(router.stats().waiting_requests, 0);
}

#[test]
fn a_call_that_waits_can_be_canceled_and_times_out() {
    let router = play(
        r#"
        9 joins
        9 guards 1 com.t
        5 joins with call_timeout
        5 > [64,1,{},"com.p"]
        5 < [65,1,1]
        1 joins
        1 > [32,1,{},"com.t"]
        9 asked 1 by 1: com.t for 103
        1 > [48,2,{},"com.p",[2]]
        1 > [48,3,{"timeout":300},"com.p",[3]]
        1 > [48,4,{"timeout":900},"com.p",[4]]
        deadline 300
        1 > [49,2,{"mode":"kill"}]
        1 < [8,48,2,{},"wamp.error.canceled",["the caller has canceled the call: …has not run"]]
        later 300
        tick
        1 < [8,48,3,{},"wamp.error.timeout",["the call's timeout ended: …has not run"]]
        deadline 600
        later 100
        # what is left of its timeout is left to its callee
        9 allows 1
        1 < [33,1,1]
        5 < [68,1,1,{"timeout":500},[4]]
        deadline 500
        # one that crossed with its end
        1 > [49,2,{}]
        "#,
    );
    let stats = router.stats();
    assert_eq!((stats.cancels, stats.timeouts), (1, 1));
}

#[test]
fn the_same_id_twice_breaks_the_protocol_while_the_first_waits() {
    for again in [
        r#"1 > [48,2,{},"com.p"]"#,
        r#"1 deeply > [48,2,{},"com.p"]"#,
    ] {
        play(&format!(
            r#"
            9 joins
            9 guards 1 com.t
            1 joins
            1 > [32,1,{{}},"com.t"]
            9 asked 1 by 1: com.t for 102
            1 > [48,2,{{}},"com.p"]
            {again}
            9 unasked 1
            1 < [3,{{"message":"CALL with request id 2…"}},"wamp.error.protocol_violation"]
            1 closed
            "#
        ));
    }
    // The first is at its callee.
    play(
        r#"
        9 joins
        9 guards 1 com.t
        1 joins
        1 > [64,1,{},"com.p"]
        1 < [65,1,1]
        1 > [48,2,{},"com.p"]
        1 < [68,1,1,{}]
        1 > [32,3,{},"com.t"]
        9 asked 1 by 1: com.t for 102
        1 > [48,2,{},"com.p"]
        9 unasked 1
        1 < [3,{"message":"CALL with request id 2…"},"wamp.error.protocol_violation"]
        1 closed
        "#,
    );
}

#[test]
fn who_leaves_takes_what_waits_along() {
    for end in [
        "1 gone\n9 unasked 1\n9 unasked 2",
        "1 > [6,{},\"x\"]\n9 unasked 1\n9 unasked 2\n1 < [6,{},\"wamp.close.goodbye_and_out\"]\n1 closed",
        "1 > [3,{},\"x\"]\n9 unasked 1\n9 unasked 2\n1 closed",
        "1 garbles\n9 unasked 1\n9 unasked 2\n1 < [3,{…}…]\n1 closed",
    ] {
        let router = play(&format!(
            r#"
            9 joins
            9 guards 1 com.t
            5 joins
            5 > [64,1,{{}},"com.p"]
            5 < [65,1,1]
            1 joins
            1 > [32,1,{{}},"com.t"]
            9 asked 1 by 1: com.t for 103
            1 > [48,2,{{}},"com.p"]
            1 > [32,3,{{}},"com.t"]
            9 asked 2 by 1: com.t for 103
            {end}
            9 allows 1
            9 denies 2 com.no
            deadline none
            "#
        ));
        let stats = router.stats();
        assert_eq!((stats.waiting_requests, stats.pending_invocations), (0, 0));
    }
}

#[test]
fn who_says_goodbye_has_published_what_it_published() {
    play(
        r#"
        9 joins
        9 guards 1 com.t
        5 joins
        5 > [32,2,{},"com.u"]
        5 < [33,2,1]
        1 joins
        1 > [32,1,{},"com.t"]
        9 asked 1 by 1: com.t for 103
        1 > [48,2,{},"com.p"]
        1 > [16,3,{},"com.u",[3]]
        1 > [32,4,{},"com.t"]
        9 asked 2 by 1: com.t for 103
        # nothing holds up its publication any more
        1 > [6,{},"wamp.close.close_realm"]
        9 unasked 1
        9 unasked 2
        5 < [36,1,501,{},[3]]
        1 < [6,{},"wamp.close.goodbye_and_out"]
        1 closed
        "#,
    );
}

#[test]
fn topics_stay_shut_when_their_guard_has_left() {
    play(
        r#"
        9 joins
        9 guards 1 com.t
        1 joins
        1 > [32,1,{},"com.t"]
        9 asked 1 by 1: com.t for 102
        1 > [16,2,{"acknowledge":true},"com.u"]
        9 gone
        1 < [8,32,1,{},"wamp.error.authorization_failed",["…has left…"]]
        1 < [17,2,501]
        1 > [32,3,{},"com.t"]
        1 < [8,32,3,{},"wamp.error.authorization_failed",["…has left…"]]
        1 > [32,4,{},"com.u"]
        1 < [33,4,1]
        # until somebody guards them again
        8 joins
        8 guards 5 com.t
        1 > [32,5,{},"com.t"]
        8 asked 2 by 5: com.t for 102
        8 allows 2
        1 < [33,5,2]
        # who ends its guard opens them, and still has to answer what it was asked
        1 > [32,6,{},"com.t"]
        8 asked 3 by 5: com.t for 102
        8 ends 5
        8 gone
        1 < [8,32,6,{},"wamp.error.authorization_failed",["…has left…"]]
        1 > [32,6,{},"com.t"]
        1 < [33,6,2]
        "#,
    );
}

#[test]
fn so_many_requests_wait_and_no_more() {
    let mut realm = realm();
    realm.limits.waiting_requests_per_session = 3;
    realm.limits.waiting_octets_per_session = 10;
    let router = play_on(
        realm,
        r#"
        9 joins
        9 guards 1 com.t
        1 joins
        1 > [32,1,{},"com.t"]
        9 asked 1 by 1: com.t for 102
        1 > [16,2,{"acknowledge":true},"com.u",["123456"]]
        1 > [16,3,{"acknowledge":true},"com.u",[1]]
        1 < [8,16,3,{},"wamp.error.unavailable",["the limit waiting_octets_per_session of 10 is reached…"],{"retryable":true}]
        1 > [16,4,{},"com.u"]
        1 > [32,5,{},"com.t"]
        1 < [8,32,5,{},"wamp.error.unavailable",["the limit waiting_requests_per_session of 3 is reached…"],{"retryable":true}]
        # an answer that nobody asked for is not given
        1 > [16,6,{},"com.u"]
        # each session has its own
        2 joins
        2 > [32,1,{},"com.t"]
        9 asked 2 by 1: com.t for 103
        "#,
    );
    let stats = router.stats();
    assert_eq!((stats.waiting_requests, stats.waiting_octets), (4, 10));
    assert_eq!(router.held_octets(), 10);
}

#[test]
fn what_waited_goes_on_some_at_a_time() {
    let mut script = String::from(
        r#"
        9 joins
        9 guards 1 com.t
        1 joins
        1 > [32,1,{},"com.t"]
        9 asked 1 by 1: com.t for 102
        "#,
    );
    for request in 2..=40 {
        script += &format!("1 > [16,{request},{{\"acknowledge\":true}},\"com.u\"]\n");
    }
    script += "9 allows 1\n1 < [33,1,1]\n";
    let mut published = 2..=40;
    let mut next = |count: usize| -> String {
        (published.by_ref().take(count))
            .map(|request| format!("1 < [17,{request},{}]\n", 499 + request))
            .collect()
    };
    script += &next(15);
    // The clock has to come back at once; anything else that happens will do as well.
    script += "deadline 0\ntick\n";
    script += &next(16);
    script += "deadline 0\n1 > [16,41,{\"acknowledge\":true},\"com.u\"]\n";
    script += &next(8);
    script += "1 < [17,41,540]\ndeadline none\n";
    play(&script);
}

#[test]
fn a_router_that_stops_answers_what_waits() {
    play(
        r#"
        9 joins
        9 guards 1 com.t
        5 joins
        5 > [64,1,{},"com.p"]
        5 < [65,1,1]
        1 joins
        1 > [32,1,{},"com.t"]
        9 asked 1 by 1: com.t for 103
        1 > [48,2,{},"com.p",[2]]
        2 joins
        2 > [32,1,{},"com.t"]
        9 asked 2 by 1: com.t for 104
        drain
        # what came before may still be done
        9 allows 1
        1 < [33,1,1]
        5 < [68,1,1,{},[2]]
        1 > [48,3,{},"com.p"]
        1 < [8,48,3,{},"wamp.error.unavailable",["…"]]
        shutdown
        2 < [8,32,1,{},"wamp.error.canceled",["the router shut down…"]]
        1 < [8,48,2,{},"wamp.error.canceled",["…"]]
        1 away
        2 away
        5 away
        9 away
        "#,
    );
}
