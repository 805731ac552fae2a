//! Sessions that leave with more than can be cleared away at once.

use super::script::{Counted, play_with, realm};
use crate::Router;

/// Plays a script on a router that clears away one entry with each input.
fn play_slowly(text: &str) -> Router {
    let mut router = Router::new(realm(), Counted::boxed());
    router.cleared_at_once = 1;
    play_with(router, text)
}

/// A session that has registered and subscribed to three of each.
const RICH: &str = r#"
    1 joins
    2 joins
    1 > [64,1,{},"com.a"]
    1 < [65,1,1]
    1 > [64,2,{},"com.b"]
    1 < [65,2,2]
    1 > [64,3,{"concurrency":1},"com.c"]
    1 < [65,3,3]
    1 > [32,4,{},"com.a"]
    1 < [33,4,1]
    1 > [32,5,{},"com.b"]
    1 < [33,5,2]
    1 > [32,6,{},"com.c"]
    1 < [33,6,3]
"#;

#[test]
fn what_a_session_has_left_behind_is_cleared_away_bit_by_bit() {
    let router = play_slowly(&format!(
        r#"{RICH}
        deadline none
        1 gone
        deadline 0
        tick
        tick
        # any input clears away
        2 > [48,1,{{}},"com.nothing"]
        2 < [8,48,1,{{}},"wamp.error.no_such_procedure",["…"]]
        tick
        deadline 0
        tick
        deadline none
        "#
    ));
    let stats = router.stats();
    assert_eq!((stats.registrations, stats.subscriptions), (0, 0));
}

#[test]
fn its_procedures_are_free_at_once() {
    let router = play_slowly(&format!(
        r#"{RICH}
        1 gone
        2 > [48,1,{{}},"com.c"]
        2 < [8,48,1,{{}},"wamp.error.no_such_procedure",["no callee has registered 'com.c'…"]]
        # what is left behind needs no force, and nobody is told
        2 > [64,2,{{}},"com.c"]
        2 < [65,2,4]
        2 > [64,3,{{"force_reregister":true}},"com.b"]
        2 < [65,3,5]
        2 > [48,4,{{}},"com.c"]
        2 < [68,1,4,{{}}]
        # the new ones are not cleared away
        tick
        tick
        tick
        deadline none
        2 > [48,5,{{}},"com.b"]
        2 < [68,2,5,{{}}]
        "#
    ));
    assert_eq!(router.stats().registrations, 2);
}

#[test]
fn no_event_goes_to_it_and_its_topics_go_on() {
    play_slowly(&format!(
        r#"{RICH}
        3 joins
        3 > [32,1,{{}},"com.c"]
        3 < [33,1,3]
        1 gone
        2 > [16,1,{{}},"com.b"]
        2 > [16,2,{{}},"com.c"]
        3 < [36,3,502,{{}}]
        2 > [16,3,{{"eligible_authrole":["anonymous"]}},"com.c"]
        3 < [36,3,503,{{}}]
        # whoever subscribes to what is not cleared away yet stays
        3 > [32,2,{{}},"com.c"]
        3 < [33,2,3]
        2 > [32,2,{{}},"com.c"]
        2 < [33,2,3]
        tick
        tick
        deadline none
        3 > [16,3,{{}},"com.c"]
        2 < [36,3,504,{{}}]
        "#
    ));
}

#[test]
fn those_who_wait_for_it_are_answered_at_once() {
    let router = play_slowly(&format!(
        r#"{RICH}
        3 joins
        3 > [48,1,{{}},"com.c"]
        1 < [68,1,3,{{}}]
        2 > [48,1,{{}},"com.c"]
        3 > [48,2,{{}},"com.c"]
        1 gone
        3 < [8,48,1,{{}},"wamp.error.canceled",["…"]]
        2 < [8,48,1,{{}},"wamp.error.no_such_procedure",["…has not run"]]
        3 < [8,48,2,{{}},"wamp.error.no_such_procedure",["…has not run"]]
        shutdown
        2 away
        3 away
        deadline none
        "#
    ));
    assert_eq!(router.stats().pending_invocations, 0);
}
