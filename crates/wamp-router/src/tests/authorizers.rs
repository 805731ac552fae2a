//! Authorizers: procedures that are asked what the sessions of a role may do.

use std::time::Duration;

use super::script::{play_on, prefix, realm};
use crate::{Allow, Authorizer, RealmOptions, Role, Router};

/// [`realm`] with the role `user`, whose permissions allow everything on `com.open.` and nothing on
/// `com.shut.`. For the rest `com.auth` is asked.
fn realm_with_users() -> RealmOptions {
    let mut realm = realm();
    realm.roles.push(Role {
        name: "user".into(),
        permissions: vec![
            prefix("com.open.", Allow::ALL),
            prefix("com.shut.", Allow::default()),
        ],
        authorizer: Some(Authorizer {
            procedure: "com.auth".into(),
            timeout: Duration::from_secs(5),
            cache_ttl: Duration::from_secs(60),
        }),
    });
    realm
}

/// Plays a script in which session 9 (101) registers the authorizer, 5 (102) `com.p`, and 1 (103) is
/// a user.
fn play(text: &str) -> Router {
    let begin = r#"
        9 joins with call_canceling
        9 > [64,1,{},"com.auth"]
        9 < [65,1,1]
        5 joins
        5 > [64,1,{},"com.p"]
        5 < [65,1,2]
        1 joins as user
    "#;
    play_on(realm_with_users(), &format!("{begin}\n{text}"))
}

#[test]
fn the_authorizer_is_told_who_wants_what() {
    play(
        r#"
        1 > [48,7,{"timeout":900},"com.p",["not told"]]
        9 < [68,1,1,{},[{"authextra":null,"authid":"103","authmethod":"anonymous","authprovider":"static","authrole":"user","realm":"realm1","session":103,"transport":{"type":"memory"}},"com.p","call",{"timeout":900}]]
        9 > [70,1,{},[true]]
        5 < [68,1,2,{},["not told"]]
        5 > [70,1,{},["done"]]
        1 < [50,7,{},["done"]]
        1 > [16,8,{"acknowledge":true,"eligible":[5]},"com.t"]
        9 < [68,2,1,{},[{…"session":103…},"com.t","publish",{"acknowledge":true,"eligible":[5],"exclude_me":true}]]
        9 > [70,2,{},[true]]
        1 < [17,8,501]
        1 > [32,9,{},"com.t"]
        9 < [68,3,1,{},[{…},"com.t","subscribe",{"match":"exact"}]]
        9 > [70,3,{},[true]]
        1 < [33,9,1]
        1 > [64,10,{"concurrency":2},"com.q"]
        9 < [68,4,1,{},[{…},"com.q","register",{"concurrency":2,"match":"exact"}]]
        9 > [70,4,{},[true]]
        1 < [65,10,3]
        "#,
    );
}

#[test]
fn where_a_permission_decides_nobody_is_asked() {
    play(
        r#"
        1 > [32,1,{},"com.open.t"]
        1 < [33,1,1]
        1 > [48,2,{},"com.shut.p"]
        1 < [8,48,2,{},"wamp.error.not_authorized",["role 'user' may not call 'com.shut.p'…"]]
        # nor about what is refused anyway
        1 > [48,3,{},"com..p"]
        1 < [8,48,3,{},"wamp.error.invalid_uri",["…"]]
        1 > [64,4,{},"wamp.p"]
        1 < [8,64,4,{},"wamp.error.invalid_uri",["…"]]
        1 > [32,5,{"match":"prefix"},"com.t"]
        1 < [8,32,5,{},"wamp.error.option_not_allowed",["…"]]
        1 > [16,6,{"retain":true,"acknowledge":true},"com.t"]
        1 < [8,16,6,{},"wamp.error.option_not_allowed",["…"]]
        # other roles have no authorizer
        2 joins
        2 > [48,1,{},"com.p"]
        5 < [68,1,2,{}]
        "#,
    );
}

#[test]
fn what_it_does_not_allow_is_refused_whatever_the_action() {
    play(
        r#"
        1 > [48,1,{},"com.unknown"]
        9 < [68,1,1,{},[{…},"com.unknown","call",{}]]
        9 > [70,1,{},[false]]
        1 < [8,48,1,{},"wamp.error.not_authorized",["role 'user' may not call 'com.unknown': its authorizer 'com.auth' does not allow it"]]
        1 > [64,2,{},"com.q"]
        9 < [68,2,1,{},[…]]
        9 > [70,2,{},[{"allow":false}]]
        1 < [8,64,2,{},"wamp.error.not_authorized",["…may not register 'com.q'…"]]
        1 > [32,3,{},"com.t"]
        9 < [68,3,1,{},[…]]
        9 > [70,3,{},[{"allow":false}]]
        1 < [8,32,3,{},"wamp.error.not_authorized",["…may not subscribe to 'com.t'…"]]
        1 > [16,4,{"acknowledge":true},"com.t"]
        9 < [68,4,1,{},[…]]
        9 > [70,4,{},[false]]
        1 < [8,16,4,{},"wamp.error.not_authorized",["…may not publish to 'com.t'…"]]
        1 > [16,5,{},"com.t"]
        9 < [68,5,1,{},[…]]
        9 > [70,5,{},[false]]
        # allowed, and not there
        1 > [48,6,{},"com.unknown"]
        9 < [68,6,1,{},[…]]
        9 > [70,6,{},[true]]
        1 < [8,48,6,{},"wamp.error.no_such_procedure",["…"]]
        "#,
    );
}

#[test]
fn it_says_whether_others_learn_who_calls_and_publishes() {
    play(
        r#"
        5 > [32,2,{},"com.t"]
        5 < [33,2,1]
        1 > [48,1,{},"com.p"]
        9 < [68,1,1,{},[…]]
        9 > [70,1,{},[{"allow":true,"disclose":true}]]
        5 < [68,1,2,{"caller":103,"caller_authid":"103","caller_authrole":"user"}]
        1 > [16,2,{},"com.t"]
        9 < [68,2,1,{},[…]]
        9 > [70,2,{},[{"allow":true,"disclose":true}]]
        5 < [36,1,501,{"publisher":103,"publisher_authid":"103","publisher_authrole":"user"}]
        1 > [48,3,{},"com.p"]
        9 < [68,3,1,{},[…]]
        9 > [70,3,{},[{"allow":true,"disclose":false}]]
        5 < [68,2,2,{}]
        # the client's own wish counts besides
        1 > [48,4,{"disclose_me":true},"com.p"]
        9 < [68,4,1,{},[{…},"com.p","call",{"disclose_me":true}]]
        9 > [70,4,{},[true]]
        5 < [68,3,2,{"caller":103,"caller_authid":"103","caller_authrole":"user"}]
        "#,
    );
}

#[test]
fn requests_are_asked_about_at_once_and_carried_out_in_their_order() {
    play(
        r#"
        5 > [32,2,{},"com.t"]
        5 < [33,2,1]
        1 > [48,1,{},"com.p",[1]]
        9 < [68,1,1,{},[…]]
        1 > [16,2,{},"com.t",[2]]
        9 < [68,2,1,{},[…]]
        1 > [48,3,{},"com.p",[3]]
        9 < [68,3,1,{},[…]]
        1 > [16,4,{},"com.open.t",[4]]
        1 > [48,5,{},"com.p",[5]]
        9 < [68,4,1,{},[…]]
        9 > [70,4,{},[true]]
        9 > [70,2,{},[true]]
        # what is refused waits for nobody
        9 > [70,3,{},[false]]
        1 < [8,48,3,{},"wamp.error.not_authorized",["…"]]
        9 > [70,1,{},[true]]
        5 < [68,1,2,{},[1]]
        5 < [36,1,501,{},[2]]
        5 < [68,2,2,{},[5]]
        "#,
    );
}

#[test]
fn without_its_authorizer_a_role_may_do_nothing_that_no_permission_allows() {
    let router = play_on(
        realm_with_users(),
        r#"
        1 joins as user
        1 > [48,1,{},"com.p"]
        1 < [8,48,1,{},"wamp.error.authorization_failed",["the authorizer 'com.auth' cannot be asked: no callee has registered 'com.auth': …"],{"retryable":true}]
        1 > [32,2,{},"com.open.t"]
        1 < [33,2,1]
        # not even to register itself
        1 > [64,3,{},"com.auth"]
        1 < [8,64,3,{},"wamp.error.authorization_failed",["…"],{"retryable":true}]
        "#,
    );
    let missing = router.missing_authorizers();
    assert_eq!(missing, [("user", &"com.auth".into())]);
    let router = play("");
    assert_eq!(router.missing_authorizers(), []);
}

#[test]
fn an_authorizer_that_fails_or_answers_nonsense_allows_nothing() {
    play(
        r#"
        1 > [48,1,{},"com.p"]
        9 < [68,1,1,{},[…]]
        9 > [8,68,1,{},"com.db.down",["a secret of the authorizer's"]]
        1 < [8,48,1,{},"wamp.error.authorization_failed",["the authorizer 'com.auth' has failed with com.db.down: …"]]
        1 > [48,2,{},"com.p"]
        9 < [68,2,1,{},[…]]
        9 > [70,2,{},["yes"]]
        1 < [8,48,2,{},"wamp.error.authorization_failed",["the authorizer 'com.auth' has given an answer that is none: it is neither a boolean nor an object"]]
        1 > [48,3,{},"com.p"]
        9 < [68,3,1,{},[…]]
        9 > [70,3,{},[{"allow":true,"role":"x"}]]
        1 < [8,48,3,{},"wamp.error.authorization_failed",["…it has the key 'role'…"]]
        1 > [48,4,{},"com.p"]
        9 < [68,4,1,{},[…]]
        9 deeply > [70,4,{}]
        1 < [8,48,4,{},"wamp.error.authorization_failed",["…failed with wamp.error.invalid_argument…"]]
        # parts of an answer are none
        1 > [48,5,{},"com.p"]
        9 < [68,5,1,{},[…]]
        9 > [70,5,{"progress":true},[true]]
        9 > [70,5,{},[false]]
        1 < [8,48,5,{},"wamp.error.not_authorized",["…"]]
        1 > [48,6,{},"com.p"]
        9 < [68,6,1,{},[…]]
        9 gone
        1 < [8,48,6,{},"wamp.error.authorization_failed",["…failed with wamp.error.canceled…"],{"retryable":true}]
        "#,
    );
}

#[test]
fn an_authorizer_has_so_much_time_and_a_call_no_more_than_its_own() {
    let router = play(
        r#"
        1 > [16,1,{"acknowledge":true},"com.t"]
        9 < [68,1,1,{},[…]]
        deadline 5000
        later 4000
        1 > [48,2,{"timeout":500},"com.p"]
        9 < [68,2,1,{},[…]]
        deadline 500
        later 500
        tick
        9 < [69,2,{"mode":"killnowait","reason":"wamp.error.canceled"}]
        1 < [8,48,2,{},"wamp.error.timeout",["the call's timeout ended: …has not run"]]
        later 500
        tick
        9 < [69,1,{"mode":"killnowait","reason":"wamp.error.canceled"}]
        1 < [8,16,1,{},"wamp.error.authorization_failed",["the authorizer 'com.auth' has not answered within 5s: …"],{"retryable":true}]
        9 > [70,1,{},[true]]
        9 > [70,2,{},[true]]
        deadline none
        "#,
    );
    let stats = router.stats();
    assert_eq!((stats.pending_invocations, stats.timeouts), (0, 1));
}

#[test]
fn who_cancels_or_leaves_interrupts_the_authorizer() {
    for (end, told) in [
        (
            r#"1 > [49,7,{}]"#,
            r#"1 < [8,48,7,{},"wamp.error.canceled",["…has not run"]]"#,
        ),
        ("1 gone", ""),
        (
            r#"1 > [6,{},"x"]"#,
            "1 < [6,{},\"wamp.close.goodbye_and_out\"]\n1 closed",
        ),
    ] {
        let router = play(&format!(
            r#"
            1 > [48,7,{{}},"com.p"]
            9 < [68,1,1,{{}},[…]]
            {end}
            9 < [69,1,{{"mode":"killnowait","reason":"wamp.error.canceled"}}]
            {told}
            9 > [70,1,{{}},[true]]
            deadline none
            "#
        ));
        let stats = router.stats();
        assert_eq!((stats.waiting_requests, stats.pending_invocations), (0, 0));
    }
}

#[test]
fn a_session_may_be_asked_about_itself() {
    play(
        r#"
        2 joins
        9 > [66,2,1]
        9 < [67,2]
        1 > [64,1,{},"com.open.auth"]
        1 < [65,1,3]
        2 > [64,1,{"force_reregister":true},"com.auth"]
        2 < [65,1,4]
        # a user that is asked what users may do, itself included
        3 joins
        3 > [48,1,{},"com.open.auth"]
        1 < [68,1,3,{}]
        1 > [48,2,{},"com.p"]
        2 < [68,1,4,{},[…]]
        1 > [70,1,{},["in the meantime"]]
        3 < [50,1,{},["in the meantime"]]
        2 > [70,1,{},[true]]
        5 < [68,1,2,{}]
        "#,
    );
}

#[test]
fn guards_are_asked_after_the_authorizer() {
    play(
        r#"
        8 joins
        8 guards 1 com.t
        1 > [32,1,{},"com.t"]
        9 < [68,1,1,{},[…]]
        later 4000
        9 > [70,1,{},[true]]
        8 asked 2 by 1: com.t for 103
        deadline 10000
        8 allows 2
        1 < [33,1,1]
        1 > [32,2,{},"com.t"]
        9 < [68,2,1,{},[…]]
        9 > [70,2,{},[false]]
        1 < [8,32,2,{},"wamp.error.not_authorized",["…"]]
        1 > [32,3,{},"com.t"]
        9 < [68,3,1,{},[…]]
        9 > [70,3,{},[true]]
        8 asked 5 by 1: com.t for 103
        8 denies 5 com.no
        1 < [8,32,3,{},"com.no",["no"]]
        1 > [32,4,{},"com.t"]
        9 < [68,4,1,{},[…]]
        8 gone
        9 > [70,4,{},[true]]
        1 < [8,32,4,{},"wamp.error.authorization_failed",["…has left…"]]
        "#,
    );
}

#[test]
fn an_answer_is_kept_for_its_session_where_it_says_so() {
    play(
        r#"
        2 joins as user
        1 > [48,1,{},"com.p"]
        9 < [68,1,1,{},[…]]
        9 > [70,1,{},[{"allow":true,"disclose":true,"cache":true}]]
        5 < [68,1,2,{"caller":103,"caller_authid":"103","caller_authrole":"user"}]
        1 > [48,2,{},"com.p"]
        5 < [68,2,2,{"caller":103,"caller_authid":"103","caller_authrole":"user"}]
        # other options are another question
        1 > [48,3,{"timeout":5000},"com.p"]
        9 < [68,2,1,{},[…]]
        9 > [70,2,{},[false]]
        1 < [8,48,3,{},"wamp.error.not_authorized",["…"]]
        # and so is another session
        2 > [48,1,{},"com.p"]
        9 < [68,3,1,{},[…]]
        9 > [70,3,{},[{"allow":false,"cache":true}]]
        2 < [8,48,1,{},"wamp.error.not_authorized",["…"]]
        2 > [48,2,{},"com.p"]
        2 < [8,48,2,{},"wamp.error.not_authorized",["role 'user' may not call 'com.p': its authorizer 'com.auth' does not allow it"]]
        # for so long
        later 60000
        1 > [48,4,{},"com.p"]
        9 < [68,4,1,{},[…]]
        "#,
    );
}

#[test]
fn an_answer_is_kept_for_its_role_where_it_says_so() {
    play(
        r#"
        2 joins as user
        1 > [32,1,{},"com.t"]
        9 < [68,1,1,{},[…]]
        9 > [70,1,{},[{"allow":true,"cache":"role"}]]
        1 < [33,1,1]
        1 gone
        2 > [32,1,{},"com.t"]
        2 < [33,1,2]
        # what was asked before is still to be answered
        2 > [16,2,{"acknowledge":true},"com.t"]
        9 < [68,2,1,{},[…]]
        2 > [32,3,{},"com.t"]
        9 > [70,2,{},[true]]
        2 < [17,2,501]
        2 < [33,3,2]
        "#,
    );
}

#[test]
fn what_is_kept_can_be_forgotten() {
    play(
        r#"
        2 joins as user
        5 > [48,2,{},"wampgres.authorization.clear_cache"]
        5 < [50,2,{},[0]]
        1 > [48,1,{},"com.p"]
        9 < [68,1,1,{},[…]]
        9 > [70,1,{},[{"allow":true,"cache":true}]]
        5 < [68,1,2,{}]
        2 > [48,1,{},"com.p"]
        9 < [68,2,1,{},[…]]
        9 > [70,2,{},[{"allow":true,"cache":true}]]
        5 < [68,2,2,{}]
        2 > [32,2,{},"com.t"]
        9 < [68,3,1,{},[…]]
        9 > [70,3,{},[{"allow":true,"cache":"role"}]]
        2 < [33,2,1]
        5 > [48,3,{},"wampgres.authorization.clear_cache",[],{"session":103}]
        5 < [50,3,{},[1]]
        2 > [48,3,{},"com.p"]
        5 < [68,3,2,{}]
        1 > [48,2,{},"com.p"]
        9 < [68,4,1,{},[…]]
        5 > [48,4,{},"wampgres.authorization.clear_cache",[],{"authrole":"user"}]
        5 < [50,4,{},[1]]
        5 > [48,5,{},"wampgres.authorization.clear_cache"]
        5 < [50,5,{},[1]]
        2 > [48,4,{},"com.p"]
        9 < [68,5,1,{},[…]]
        5 > [48,6,{},"wampgres.authorization.clear_cache",[1]]
        5 < [8,48,6,{},"wamp.error.invalid_argument",["…takes no arguments, or…"]]
        5 > [48,7,{},"wampgres.authorization.clear_cache",[],{"session":"x"}]
        5 < [8,48,7,{},"wamp.error.invalid_argument",["…"]]
        # who may do it is for permissions and authorizers to say
        1 > [48,3,{},"wampgres.authorization.clear_cache"]
        9 < [68,6,1,{},[…]]
        9 > [70,4,{},[false]]
        1 < [8,48,2,{},"wamp.error.not_authorized",["…"]]
        9 > [70,6,{},[true]]
        1 < [50,3,{},[0]]
        # it is nobody else's
        5 > [64,8,{},"wampgres.authorization.clear_cache"]
        5 < [8,64,8,{},"wamp.error.procedure_already_exists",["…the router's own…"]]
        "#,
    );
    // Without an authorizer there is nothing to forget.
    play_on(
        realm(),
        r#"
        1 joins
        1 > [48,1,{},"wampgres.authorization.clear_cache"]
        1 < [8,48,1,{},"wamp.error.no_such_procedure",["…"]]
        "#,
    );
}

#[test]
fn questions_wait_for_a_slow_authorizer_and_sessions_take_turns() {
    play(
        r#"
        9 > [64,2,{"concurrency":1,"force_reregister":true},"com.auth"]
        9 < [67,0,{"registration":1,"reason":"wamp.error.unregistered"}]
        9 < [65,2,3]
        2 joins as user
        1 > [48,1,{},"com.p",[11]]
        9 < [68,1,3,{},[{…"session":103…}…]]
        1 > [48,2,{},"com.p",[12]]
        1 > [48,3,{},"com.p",[13]]
        2 > [48,1,{},"com.p",[21]]
        9 > [70,1,{},[true]]
        9 < [68,2,3,{},[{…"session":103…}…]]
        5 < [68,1,2,{},[11]]
        9 > [70,2,{},[true]]
        9 < [68,3,3,{},[{…"session":104…}…]]
        5 < [68,2,2,{},[12]]
        9 > [70,3,{},[true]]
        9 < [68,4,3,{},[{…"session":103…}…]]
        5 < [68,3,2,{},[21]]
        # who takes it over has not heard what was asked
        1 > [48,4,{},"com.p",[14]]
        9 > [66,3,3]
        9 < [67,3]
        1 < [8,48,4,{},"wamp.error.authorization_failed",["…failed with wamp.error.no_such_procedure…"]]
        9 > [70,4,{},[true]]
        5 < [68,4,2,{},[13]]
        "#,
    );
}

#[test]
fn a_router_that_stops_goes_on_with_what_it_has_accepted() {
    play(
        r#"
        1 > [48,1,{},"com.p",[1]]
        9 < [68,1,1,{},[…]]
        1 > [48,2,{},"com.p",[2]]
        9 < [68,2,1,{},[…]]
        drain
        1 > [48,3,{},"com.p",[3]]
        1 < [8,48,3,{},"wamp.error.unavailable",["the router is shutting down…"]]
        9 > [70,1,{},[true]]
        5 < [68,1,2,{},[1]]
        9 > [70,2,{},[false]]
        1 < [8,48,2,{},"wamp.error.not_authorized",["…"]]
        1 > [32,4,{},"com.t"]
        9 < [68,3,1,{},[…]]
        shutdown
        1 < [8,32,4,{},"wamp.error.canceled",["the router shut down…"]]
        1 < [8,48,1,{},"wamp.error.canceled",["…"]]
        1 away
        5 away
        9 away
        "#,
    );
}
