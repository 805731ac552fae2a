//! More calls than the pool has room for, and slow ones before quick ones.

use std::time::{Duration, Instant};

use serde_json::json;

#[cfg(feature = "adbapi")]
use super::workbench::{BUSY, TEND};
use super::workbench::{Bench, FEW, HELD, HOLD, HOLD_FEW, QUICK};
use crate::support::{
    backends::{Backend, on_each_backend},
    websocket::Echo,
};

const ECHO: &str = "com.example.echo";
/// What "at once" is on a slow machine.
const AT_ONCE: Duration = Duration::from_secs(1);

on_each_backend![
    a_call_beyond_the_queue_is_refused_at_once_and_others_are_answered,
    slow_calls_with_a_concurrency_leave_workers_to_a_quick_one,
];

fn a_call_beyond_the_queue_is_refused_at_once_and_others_are_answered(backend: Backend) {
    let settings = json!({"cp_min": 1, "cp_max": 1, "queue_limit": 2});
    let bench = Bench::start(backend, "queue_full", settings);
    let _echo = Echo::start(bench.node.address(), ECHO);
    let mut client = bench.join();
    let hold = bench.hold();
    let mut held = vec![client.call(HOLD, &json!([0]))];
    bench.observe().wait_for(1, HELD);
    held.extend((1..3).map(|n| client.call(HOLD, &json!([n]))));
    bench.wait_for_queue(&mut client, 2);

    let mut other = bench.join();
    for n in 0..10 {
        let asked = Instant::now();
        let excess = client.call(HOLD, &json!([99]));
        let error = client.answer_to(excess).error("wamp.error.unavailable");
        assert!(error.message.contains("queue_limit"), "{error:?}");
        assert!(error.message.contains("2 jobs"), "{error:?}");
        assert_eq!(error.details["retryable"], true, "{error:?}");
        assert_eq!(other.result_of(ECHO, &json!([n])), json!([n]));
        assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    }

    drop(hold);
    for (n, request) in held.into_iter().enumerate() {
        assert_eq!(client.expect_result(request), json!(n));
    }
    client.leave();
    other.leave();
    bench.assert_whole(1);
}

fn slow_calls_with_a_concurrency_leave_workers_to_a_quick_one(backend: Backend) {
    let bench = Bench::start(backend, "few", json!({"cp_min": 3, "cp_max": 3}));
    let mut client = bench.join();
    let mut other = bench.join();
    let hold = bench.hold();
    let slow: Vec<_> = (0..30)
        .map(|n| client.call(HOLD_FEW, &json!([n])))
        .collect();
    let few = usize::try_from(FEW).expect("a few");
    bench.observe().wait_for(few, HELD);

    // From another session and from the one that made the slow calls.
    for quick in [&mut other, &mut client] {
        let asked = Instant::now();
        assert_eq!(quick.result_of(QUICK, &json!([1])), json!([1]));
        let waited = asked.elapsed();
        eprintln!("a quick call after thirty slow ones took {waited:?}");
        assert!(waited < AT_ONCE, "{waited:?}");
    }
    assert_eq!(
        bench.observe().running(HELD),
        few,
        "the slow ones still run"
    );

    drop(hold);
    let mut answered: Vec<_> = (0..30)
        .map(|_| {
            let answer = client.answer();
            let request = answer.request;
            answer.result();
            request
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, slow);
    client.leave();
    other.leave();
    bench.assert_whole(3);
}

#[cfg(feature = "adbapi")]
#[test]
fn a_cancelled_call_keeps_its_slot_while_it_keeps_a_worker() {
    for mode in [None, Some("kill"), Some("killnowait")] {
        let database = format!("slot_{}", mode.unwrap_or("default"));
        let bench = Bench::start(
            Backend::Adbapi,
            &database,
            json!({"cp_min": 2, "cp_max": 2}),
        );
        let mut client = bench.join();
        let cancelled = client.call(BUSY, &json!([]));
        bench.wait_for_busy(&mut client, 1);
        client.cancel(cancelled, mode);
        if mode != Some("kill") {
            client.answer_to(cancelled).error("wamp.error.canceled");
        }
        let next = client.call(BUSY, &json!([]));

        let asked = Instant::now();
        assert_eq!(client.result_of(QUICK, &json!([1])), json!([1]), "{mode:?}");
        assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());

        // From another session: it is not said whose answer comes first.
        let mut other = bench.join();
        other.result_of(TEND, &json!([]));
        if mode == Some("kill") {
            client.answer_to(cancelled).error("wamp.error.canceled");
        }
        client.expect_result(next);
        client.leave();
        other.leave();
        bench.assert_whole(2);
    }
}
