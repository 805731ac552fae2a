//! URIs that are longer than the router takes.

use super::script::play;
use wamp::MAX_URI_LEN;

/// A URI of so many bytes.
fn uri(len: usize) -> String {
    format!("com.{}", "x".repeat(len - 4))
}

#[test]
fn a_uri_of_the_greatest_length_is_served() {
    let longest = uri(MAX_URI_LEN);
    let stats = play(&format!(
        r#"
        1 joins
        1 > [32,1,{{}},"{longest}"]
        1 < [33,1,1]
        1 > [64,2,{{}},"{longest}"]
        1 < [65,2,1]
        1 > [48,3,{{}},"{longest}"]
        1 < [68,1,1,{{}}]
        "#
    ))
    .stats();
    assert_eq!((stats.subscriptions, stats.registrations), (1, 1));
}

#[test]
fn a_longer_uri_costs_its_request_and_leaves_nothing_behind() {
    let longer = uri(MAX_URI_LEN + 1);
    let stats = play(&format!(
        r#"
        1 joins
        1 > [32,1,{{}},"{longer}"]
        1 < [8,32,1,{{}},"wamp.error.invalid_uri",["…"]]
        1 > [64,2,{{}},"{longer}"]
        1 < [8,64,2,{{}},"wamp.error.invalid_uri",["…"]]
        1 > [48,3,{{}},"{longer}"]
        1 < [8,48,3,{{}},"wamp.error.invalid_uri",["…"]]
        1 > [16,4,{{"acknowledge":true}},"{longer}"]
        1 < [8,16,4,{{}},"wamp.error.invalid_uri",["…"]]
        "#
    ))
    .stats();
    assert_eq!((stats.subscriptions, stats.registrations), (0, 0));
}

#[test]
fn the_error_of_a_callee_is_passed_on_unless_its_uri_is_too_long() {
    let (longest, longer) = (uri(MAX_URI_LEN), uri(MAX_URI_LEN + 1));
    play(&format!(
        r#"
        1 joins
        1 > [64,1,{{}},"com.a"]
        1 < [65,1,1]
        2 joins
        2 > [48,1,{{}},"com.a"]
        1 < [68,1,1,{{}}]
        1 > [8,68,1,{{}},"{longest}"]
        2 < [8,48,1,{{}},"{longest}"]
        2 > [48,2,{{}},"com.a"]
        1 < [68,2,1,{{}}]
        1 > [8,68,2,{{}},"{longer}"]
        2 < [8,48,2,{{}},"wamp.error.runtime_error"]
        "#
    ));
}
