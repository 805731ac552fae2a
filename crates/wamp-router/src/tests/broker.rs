//! Topics: subscribing, publishing, and who receives what.

use super::script::{play, play_on, realm};
use crate::Stats;

#[test]
fn an_event_goes_to_all_subscribers_at_once_but_not_to_its_publisher() {
    let router = play(
        r#"
        1 joins
        2 joins
        3 joins
        4 joins
        3 > [32,713845233,{},"com.t"]
        3 < [33,713845233,1]
        1 > [32,1,{"match":"exact"},"com.t"]
        1 < [33,1,1]
        2 > [32,1,{},"com.other"]
        2 < [33,1,2]
        4 > [16,1,{},"com.t",["Hello"],{"k":[ ]}]
        1,3 < [36,1,501,{},["Hello"],{"k":[ ]}]
        1 > [16,1,{},"com.t"]
        3 < [36,1,502,{}]
        1 > [16,2,{"exclude_me":false},"com.t"]
        1,3 < [36,1,503,{}]
        1 > [16,3,{"exclude_me":true},"com.t"]
        3 < [36,1,504,{}]
        2 > [16,4,{},"com.nobody.listens"]
        "#,
    );
    assert_eq!(
        router.stats(),
        Stats {
            sessions: 4,
            subscriptions: 2,
            publications: 5,
            events: 6,
            ..Stats::default()
        }
    );
}

#[test]
fn publications_are_acknowledged_where_asked_for() {
    play(
        r#"
        1 joins
        1 > [32,1,{},"com.t"]
        1 < [33,1,1]
        1 > [16,2,{"acknowledge":true},"com.t"]
        1 < [17,2,501]
        1 > [16,3,{"acknowledge":true,"exclude_me":false},"com.t"]
        1 < [17,3,502]
        1 < [36,1,502,{}]
        1 > [16,4,{"acknowledge":false},"com.t"]
        "#,
    );
}

#[test]
fn refused_publications_are_answered_only_where_asked_for() {
    for (topic, error) in [
        (
            "com.t#",
            r#""wamp.error.invalid_uri",["…is not a valid URI…"]"#,
        ),
        (
            "wamp.t",
            r#""wamp.error.invalid_uri",["'wamp.t' is reserved…"]"#,
        ),
    ] {
        let router = play(&format!(
            r#"
            1 joins
            1 > [16,1,{{}},"{topic}"]
            1 > [16,2,{{"acknowledge":true}},"{topic}"]
            1 < [8,16,2,{{}},{error}]
            "#
        ));
        assert_eq!(router.stats().publications, 0);
    }
}

#[test]
fn subscribing_twice_gives_the_same_subscription_and_one_event() {
    play(
        r#"
        1 joins
        2 joins
        1 > [32,1,{},"com.t"]
        1 < [33,1,1]
        1 > [32,2,{},"com.t"]
        1 < [33,2,1]
        2 > [16,1,{},"com.t"]
        1 < [36,1,501,{}]
        1 > [34,3,1]
        1 < [35,3]
        2 > [16,2,{},"com.t"]
        1 > [34,4,1]
        1 < [8,34,4,{},"wamp.error.no_such_subscription",["this session has no subscription 1…"]]
        "#,
    );
}

#[test]
fn a_subscription_lives_as_long_as_it_has_a_subscriber() {
    let router = play(
        r#"
        1 joins
        2 joins
        1 > [32,1,{},"com.t"]
        1 < [33,1,1]
        2 > [32,1,{},"com.t"]
        2 < [33,1,1]
        1 gone
        2 > [16,2,{"exclude_me":false},"com.t"]
        2 < [36,1,501,{}]
        2 > [34,3,1]
        2 < [35,3]
        2 > [32,4,{},"com.t"]
        2 < [33,4,2]
        2 > [34,5,1]
        2 < [8,34,5,{},"wamp.error.no_such_subscription",["…"]]
        "#,
    );
    assert_eq!(router.stats().subscriptions, 1);
}

#[test]
fn subscriptions_that_cannot_be_are_refused() {
    for (request, error) in [
        (
            r#"[32,1,{"match":"prefix"},"com"]"#,
            r#"[8,32,1,{},"wamp.error.option_not_allowed",["the option match …prefix…ask for …exact…"]]"#,
        ),
        (
            r#"[32,1,{"get_retained":true},"com.t"]"#,
            r#"[8,32,1,{},"wamp.error.option_not_allowed",["the option get_retained is not served…"]]"#,
        ),
        (
            r#"[32,1,{"match":1},"com.t"]"#,
            r#"[8,32,1,{},"wamp.error.invalid_argument",["the option match is not valid: …"]]"#,
        ),
        (
            r#"[32,1,{},"com..t"]"#,
            r#"[8,32,1,{},"wamp.error.invalid_uri",["…"]]"#,
        ),
        (
            r#"[34,1,7]"#,
            r#"[8,34,1,{},"wamp.error.no_such_subscription",["this session has no subscription 7…"]]"#,
        ),
    ] {
        let router = play(&format!("1 joins\n 1 > {request}\n 1 < {error}"));
        assert_eq!(router.stats().subscriptions, 0);
    }
    // Topics of WAMP's own may be listened to.
    play("1 joins\n 1 > [32,1,{},\"wamp.session.on_join\"]\n 1 < [33,1,1]");
}

#[test]
fn the_publisher_is_disclosed_where_its_permission_says_so() {
    play(
        r#"
        1 joins
        2 joins as open
        1 > [32,1,{},"com.t"]
        1 < [33,1,1]
        2 > [16,1,{},"com.t"]
        1 < [36,1,501,{"publisher":102,"publisher_authid":"102","publisher_authrole":"open"}]
        "#,
    );
}

#[test]
fn the_limit_of_subscriptions_is_an_answer() {
    let mut small = realm();
    small.limits.subscriptions_per_session = 1;
    play_on(
        small,
        r#"
        1 joins
        1 > [32,1,{},"com.t"]
        1 < [33,1,1]
        1 > [32,2,{},"com.u"]
        1 < [8,32,2,{},"wamp.error.unavailable",["the limit subscriptions_per_session of 1 is reached…"]]
        # the one there is may be asked for again
        1 > [32,3,{},"com.t"]
        1 < [33,3,1]
        "#,
    );
}

#[test]
fn a_thousand_subscribers_are_one_output() {
    let mut script = "1 joins\n".to_owned();
    let mut to = Vec::new();
    for peer in 2..=1_001 {
        script += &format!("{peer} joins\n {peer} > [32,1,{{}},\"com.t\"]\n {peer} < [33,1,1]\n");
        to.push(peer.to_string());
    }
    let to = to.join(",");
    script += &format!("1 > [16,1,{{}},\"com.t\",[1]]\n {to} < [36,1,501,{{}},[1]]\n");
    assert_eq!(play(&script).stats().events, 1_000);
}
