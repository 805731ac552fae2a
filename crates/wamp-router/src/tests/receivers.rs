//! Events for some: the lists of PUBLISH that say which subscribers receive an event.

use super::script::{play, play_on, realm};
use crate::Stats;

/// Sessions 101 and 102 of the role `anonymous` and 103 and 104 of the role `open`, all
/// subscribed, and 105 that publishes and is subscribed as well.
const FOUR: &str = r#"
    1 joins
    2 joins
    3 joins as open
    4 joins as open
    5 joins
    1 > [32,1,{},"com.t"]
    1 < [33,1,1]
    2 > [32,1,{},"com.t"]
    2 < [33,1,1]
    3 > [32,1,{},"com.t"]
    3 < [33,1,1]
    4 > [32,1,{},"com.t"]
    4 < [33,1,1]
    5 > [32,1,{},"com.t"]
    5 < [33,1,1]
"#;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn an_event_goes_to_those_whom_every_list_admits() {
    for (options, to) in [
        (r#""x_nothing":1"#, "1,2,3,4"),
        (r#""eligible":[102]"#, "2"),
        (r#""eligible":[104,101,104]"#, "1,4"),
        // more than there are, some unknown, one that is not subscribed
        (r#""eligible":[101,9,102,8,103,7,6,4711]"#, "1,2,3"),
        (r#""eligible":[]"#, ""),
        (r#""eligible":[9]"#, ""),
        (r#""exclude":[102]"#, "1,3,4"),
        (r#""exclude":[]"#, "1,2,3,4"),
        (r#""exclude":[101,102,103,104]"#, ""),
        (r#""eligible_authid":["101","103","x"]"#, "1,3"),
        (r#""eligible_authid":[]"#, ""),
        (r#""exclude_authid":["101","103","x"]"#, "2,4"),
        (r#""exclude_authid":[]"#, "1,2,3,4"),
        (r#""eligible_authrole":["open","x"]"#, "3,4"),
        (r#""eligible_authrole":[]"#, ""),
        (r#""exclude_authrole":["open"]"#, "1,2"),
        (r#""exclude_authrole":[]"#, "1,2,3,4"),
        (r#""exclude_authrole":["open","anonymous"]"#, ""),
        // all hold at once
        (r#""eligible":[101,103],"eligible_authrole":["open"]"#, "3"),
        (r#""eligible":[101,103],"eligible_authid":["104"]"#, ""),
        (r#""eligible":[101,103],"exclude":[101]"#, "3"),
        (r#""eligible":[101,103],"exclude_authrole":["open"]"#, "1"),
        (r#""eligible":[101],"eligible_authrole":[]"#, ""),
        (
            r#""eligible_authrole":["anonymous"],"exclude_authid":["102"]"#,
            "1",
        ),
        (
            r#""exclude":[101],"exclude_authid":["102"],"exclude_authrole":["open"]"#,
            "",
        ),
        // exclude_me is one of the conditions
        (r#""eligible":[105]"#, ""),
        (r#""eligible":[105],"exclude_me":false"#, "5"),
        (r#""eligible":[105],"exclude_me":false,"exclude":[105]"#, ""),
        (r#""exclude":[104],"exclude_me":false"#, "1,2,3,5"),
    ] {
        for acknowledge in [false, true] {
            let published = if acknowledge { "5 < [17,2,501]" } else { "" };
            let event = match to {
                "" => String::new(),
                to => format!(r#"{to} < [36,1,501,{{}},["secret"]]"#),
            };
            let router = play(&format!(
                r#"{FOUR}
                5 > [16,2,{{{options},"acknowledge":{acknowledge}}},"com.t",["secret"]]
                {published}
                {event}
                "#
            ));
            let events = to.split(',').filter(|to| !to.is_empty()).count() as u64;
            assert_eq!(
                router.stats(),
                Stats {
                    sessions: 5,
                    subscriptions: 1,
                    publications: 1,
                    events,
                    ..Stats::default()
                }
            );
        }
    }
}

#[test]
fn a_publication_whose_options_cannot_be_kept_to_reaches_nobody() {
    let invalid = |option: &str| {
        format!(r#""wamp.error.invalid_argument",["the option {option} is not valid: …"]"#)
    };
    let not_served = |option: &str| {
        format!(r#""wamp.error.option_not_allowed",["the option {option} is not served…"]"#)
    };
    for (options, error) in [
        (r#""eligible":102"#, invalid("eligible")),
        (r#""eligible":"102""#, invalid("eligible")),
        (r#""eligible":null"#, invalid("eligible")),
        (r#""eligible":["102"]"#, invalid("eligible")),
        (r#""eligible":[102,0]"#, invalid("eligible")),
        (r#""exclude":{"102":true}"#, invalid("exclude")),
        (r#""exclude":true"#, invalid("exclude")),
        (r#""eligible_authid":"102""#, invalid("eligible_authid")),
        (r#""eligible_authrole":[1]"#, invalid("eligible_authrole")),
        (r#""exclude_authid":[["102"]]"#, invalid("exclude_authid")),
        (r#""exclude_authrole":null"#, invalid("exclude_authrole")),
        (r#""exclude_me":"yes""#, invalid("exclude_me")),
        (r#""disclose_me":1"#, invalid("disclose_me")),
        (r#""eligible":[102],"exclude":7"#, invalid("exclude")),
        (r#""retain":true"#, not_served("retain")),
        (r#""rkey":"k""#, not_served("rkey")),
        (
            r#""forward_for":[{"session":1}]"#,
            not_served("forward_for"),
        ),
    ] {
        let router = play(&format!(
            r#"{FOUR}
            5 > [16,2,{{{options}}},"com.t",["secret"]]
            5 > [16,3,{{{options},"acknowledge":true}},"com.t",["secret"]]
            5 < [8,16,3,{{}},{error}]
            # the session goes on
            5 > [16,4,{{"exclude_me":true}},"com.t"]
            1,2,3,4 < [36,1,501,{{}}]
            "#
        ));
        assert_eq!(router.stats().publications, 1, "{options}");
    }
}

#[test]
fn whoever_asks_to_be_acknowledged_in_vain_is_told() {
    let router = play(&format!(
        r#"{FOUR}
        5 > [16,2,{{"acknowledge":"yes"}},"com.t",["secret"]]
        5 < [8,16,2,{{}},"wamp.error.invalid_argument",["the option acknowledge is not valid: …"]]
        "#
    ));
    assert_eq!(router.stats().publications, 0);
}

#[test]
fn an_event_for_one_of_a_thousand_is_one_output() {
    let mut script = "1 joins\n".to_owned();
    for peer in 2..=1_001 {
        script += &format!("{peer} joins\n {peer} > [32,1,{{}},\"com.t\"]\n {peer} < [33,1,1]\n");
    }
    // Peer 700 has session 800.
    script += "1 > [16,1,{\"eligible\":[800]},\"com.t\",[1]]\n 700 < [36,1,501,{},[1]]\n";
    assert_eq!(play(&script).stats().events, 1);
}

#[test]
fn a_publisher_is_disclosed_where_it_wishes() {
    play(
        r#"
        1 joins
        2 joins
        3 joins as open
        1 > [32,1,{},"com.t"]
        1 < [33,1,1]
        2 > [16,1,{"disclose_me":true},"com.t"]
        1 < [36,1,501,{"publisher":102,"publisher_authid":"102","publisher_authrole":"anonymous"}]
        2 > [16,2,{"disclose_me":false},"com.t"]
        1 < [36,1,502,{}]
        # a permission that discloses is not taken back by its session
        3 > [16,1,{"disclose_me":false},"com.t"]
        1 < [36,1,503,{"publisher":103,"publisher_authid":"103","publisher_authrole":"open"}]
        "#,
    );
}

#[test]
fn a_session_that_has_left_is_not_eligible_and_nobody_else_in_its_place() {
    let mut realm = realm();
    realm.limits.subscriptions_per_session = 1;
    let router = play_on(
        realm,
        r#"
        1 joins
        2 joins
        3 joins
        1 > [32,1,{},"com.t"]
        1 < [33,1,1]
        2 > [32,1,{},"com.t"]
        2 < [33,1,1]
        1 gone
        1 joins
        1 > [32,1,{},"com.t"]
        1 < [33,1,1]
        3 > [16,1,{"eligible":[101]},"com.t"]
        3 > [16,2,{"eligible":[104]},"com.t"]
        1 < [36,1,502,{}]
        "#,
    );
    assert_eq!(router.stats().events, 1);
}
