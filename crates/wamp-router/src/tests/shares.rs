//! What callers have in common: the share of each, and the turns they take.

use super::script::{play, play_on, realm};
use crate::{Limits, RealmOptions};

/// A realm with these limits.
fn limited(change: impl FnOnce(&mut Limits)) -> RealmOptions {
    let mut realm = realm();
    change(&mut realm.limits);
    realm
}

/// A callee of `com.p` that takes one invocation at a time and has one, of peer 9.
const BUSY: &str = r#"
    1 joins
    9 joins
    1 > [64,1,{"concurrency":1},"com.p"]
    1 < [65,1,1]
    9 > [48,1,{},"com.p"]
    1 < [68,1,1,{}]
"#;

/// A caller calls so many times, and nothing comes of it yet.
fn waits(caller: u64, requests: std::ops::RangeInclusive<u64>) -> String {
    let mut lines: Vec<_> = requests
        .map(|request| format!(r#"{caller} > [48,{request},{{}},"com.p",["{caller}.{request}"]]"#))
        .collect();
    lines.insert(0, format!("{caller} joins"));
    lines.join("\n")
}

/// A caller calls so many times, and the callee is invoked: the peer with the registration's number.
fn invoked(
    caller: u64,
    procedure: &str,
    registration: u64,
    requests: std::ops::RangeInclusive<u64>,
    first: u64,
) -> String {
    let callee = registration;
    let begin = *requests.start();
    let lines: Vec<_> = requests
        .map(|request| {
            let invocation = first + request - begin;
            format!(
                "{caller} > [48,{request},{{}},\"{procedure}\"]\n\
                 {callee} < [68,{invocation},{registration},{{}}]"
            )
        })
        .collect();
    lines.join("\n")
}

#[test]
fn callers_take_turns_and_the_calls_of_each_keep_their_order() {
    let (many, few, one) = (waits(2, 1..=4), waits(3, 1..=2), waits(4, 1..=1));
    let (mut served, mut turns) = ((9, 1), String::new());
    let order = [(2, 1), (3, 1), (4, 1), (2, 2), (3, 2), (2, 3), (2, 4)];
    for (invocation, (caller, request)) in (1..).zip(order) {
        let next = invocation + 1;
        turns += &format!(
            "1 > [70,{invocation},{{}}]\n\
             {} < [50,{},{{}}]\n\
             1 < [68,{next},1,{{}},[\"{caller}.{request}\"]]\n",
            served.0, served.1
        );
        served = (caller, request);
    }
    play(&format!("{BUSY}\n{many}\n{few}\n{one}\n{turns}"));
}

#[test]
fn whoever_waits_no_longer_has_no_turn_and_comes_last_when_it_calls_again() {
    let (first, second) = (waits(2, 1..=1), waits(3, 1..=2));
    play(&format!(
        r#"{BUSY}
        {first}
        {second}
        2 > [49,1,{{}}]
        2 < [8,48,1,{{}},"wamp.error.canceled",["…"]]
        2 > [48,2,{{}},"com.p",["again"]]
        1 > [70,1,{{}}]
        9 < [50,1,{{}}]
        1 < [68,2,1,{{}},["3.1"]]
        1 > [70,2,{{}}]
        3 < [50,1,{{}}]
        1 < [68,3,1,{{}},["again"]]
        3 gone
        1 > [70,3,{{}}]
        2 < [50,2,{{}}]
        "#
    ));
}

#[test]
fn one_caller_has_half_of_a_queue_and_the_next_half_of_the_rest() {
    let (half, quarter, newcomer) = (waits(2, 1..=10), waits(3, 1..=5), waits(4, 1..=4));
    let router = play_on(
        limited(|limits| limits.queued_calls_per_registration = 20),
        &format!(
            r#"{BUSY}
            {half}
            2 > [48,11,{{}},"com.p"]
            2 < [8,48,11,{{}},"wamp.error.unavailable",["this session has its share of the limit queued_calls_per_registration of 20: it has 10, and 10 are free for all others: wait for answers before calling on, or register the procedure with a higher concurrency"],{{"retryable":true}}]
            {quarter}
            3 > [48,6,{{}},"com.p"]
            3 < [8,48,6,{{}},"wamp.error.unavailable",["this session has its share…"],{{"retryable":true}}]
            {newcomer}
            # a few are anybody's as long as there is room
            9 > [48,2,{{}},"com.p"]
            9 > [48,3,{{}},"com.p"]
            9 < [8,48,3,{{}},"wamp.error.unavailable",["the limit queued_calls_per_registration of 20 is reached…"],{{"retryable":true}}]
            "#
        ),
    );
    assert_eq!(router.stats().queued_calls, 20);
}

#[test]
fn queued_calls_are_bounded_in_octets_in_all_and_for_each_caller() {
    let big = "x".repeat(96);
    // 100 octets with the brackets and quotes.
    let call =
        |caller: u64, request: u64| format!(r#"{caller} > [48,{request},{{}},"com.p",["{big}"]]"#);
    let (a, b, c) = (call(2, 1), call(2, 2), call(2, 3));
    let (d, e, f) = (call(3, 1), call(3, 2), call(4, 1));
    let router = play_on(
        limited(|limits| limits.queued_octets_per_registration = 450),
        &format!(
            r#"{BUSY}
            2 joins
            3 joins
            4 joins
            {a}
            {b}
            {c}
            2 < [8,48,3,{{}},"wamp.error.unavailable",["this session has its share of the limit queued_octets_per_registration of 450: it has 200, and 250 are free…"],{{"retryable":true}}]
            # what needs less is still taken
            2 > [48,4,{{}},"com.p"]
            {d}
            {e}
            3 < [8,48,2,{{}},"wamp.error.unavailable",["this session has its share…"],{{"retryable":true}}]
            {f}
            4 > [48,2,{{}},"com.p",["{big}"]]
            4 < [8,48,2,{{}},"wamp.error.unavailable",["the limit queued_octets_per_registration of 450 is reached…"],{{"retryable":true}}]
            # an answer makes room again
            1 > [70,1,{{}}]
            9 < [50,1,{{}}]
            1 < [68,2,1,{{}},["{big}"]]
            4 > [48,3,{{}},"com.p",[1]]
            2 gone
            "#
        ),
    );
    let stats = router.stats();
    assert_eq!((stats.queued_calls, stats.queued_octets), (3, 203));
}

#[test]
fn one_caller_has_half_of_a_callee_and_is_served_elsewhere() {
    let (half, quarter) = (
        invoked(2, "com.p", 1, 1..=8, 1),
        invoked(3, "com.p", 1, 1..=4, 9),
    );
    let elsewhere = invoked(2, "com.other", 4, 21..=28, 1);
    play_on(
        limited(|limits| limits.invocations_per_session = 16),
        &format!(
            r#"
            1 joins
            2 joins
            3 joins
            4 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            4 > [64,1,{{}},"com.q"]
            4 < [65,1,2]
            4 > [64,2,{{}},"com.r"]
            4 < [65,2,3]
            4 > [64,3,{{}},"com.other"]
            4 < [65,3,4]
            {half}
            2 > [48,9,{{}},"com.p"]
            2 < [8,48,9,{{}},"wamp.error.unavailable",["this session has its share of the limit invocations_per_session of 16: it has 8, and 8 are free…"],{{"retryable":true}}]
            {quarter}
            3 > [48,5,{{}},"com.p"]
            3 < [8,48,5,{{}},"wamp.error.unavailable",["this session has its share…"],{{"retryable":true}}]
            # what waits at one callee is nothing to another
            {elsewhere}
            2 > [48,29,{{}},"com.other"]
            2 < [8,48,29,{{}},"wamp.error.unavailable",["this session has its share…"],{{"retryable":true}}]
            # an answer makes room for one more where nobody else has calls
            1 > [70,1,{{}}]
            2 < [50,1,{{}}]
            2 > [48,30,{{}},"com.p"]
            2 < [8,48,30,{{}},"wamp.error.unavailable",["this session has its share…"],{{"retryable":true}}]
            4 > [70,1,{{}}]
            2 < [50,21,{{}}]
            2 > [48,31,{{}},"com.other"]
            4 < [68,9,4,{{}}]
            "#
        ),
    );
}

#[test]
fn callees_of_one_pool_share_its_capacity_and_leave_it_to_the_pool_to_refuse() {
    let (here, there) = (
        invoked(3, "com.p", 1, 1..=3, 1),
        invoked(3, "com.q", 2, 4..=6, 1),
    );
    let others = invoked(4, "com.p", 1, 1..=4, 4);
    play(&format!(
        r#"
        1 joins in pool 12
        2 joins in pool 12
        1 > [64,1,{{}},"com.p"]
        1 < [65,1,1]
        2 > [64,1,{{}},"com.q"]
        2 < [65,1,2]
        3 joins
        4 joins
        {here}
        {there}
        3 > [48,7,{{}},"com.p"]
        3 < [8,48,7,{{}},"wamp.error.unavailable",["this session has its share of the limit queue_limit of 12: it has 6, and 6 are free…"],{{"retryable":true}}]
        {others}
        # a few are anybody's, and whether there is room for them the pool knows best
        5 joins
        5 > [48,1,{{}},"com.q"]
        2 < [68,4,2,{{}}]
        5 > [48,2,{{}},"com.q"]
        2 < [68,5,2,{{}}]
        5 > [48,3,{{}},"com.q"]
        2 < [68,6,2,{{}}]
        # one that has left is not counted
        2 gone
        3 < [8,48,4,{{}},"wamp.error.canceled",["…"]]
        3 < [8,48,5,{{}},"wamp.error.canceled",["…"]]
        3 < [8,48,6,{{}},"wamp.error.canceled",["…"]]
        5 < [8,48,1,{{}},"wamp.error.canceled",["…"]]
        5 < [8,48,2,{{}},"wamp.error.canceled",["…"]]
        5 < [8,48,3,{{}},"wamp.error.canceled",["…"]]
        3 > [48,8,{{}},"com.p"]
        1 < [68,8,1,{{}}]
        "#
    ));
}
