//! Servers that stand still (SIGSTOP): what is answered meanwhile, and that all goes on afterwards.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    crowd::{Calls, Crowd, Failed},
    workbench::{Bench, HELD, HOLD, QUICK},
};
use crate::support::{
    backends::{Backend, on_each_backend},
    postgres::{Frozen, Postgres},
    websocket::Echo,
};

const ECHO: &str = "com.example.echo";
/// How late an answer may be that a timeout gives, on a slow machine.
const MARGIN: Duration = Duration::from_millis(1500);

on_each_backend![
    calls_at_frozen_backends_end_with_their_timeouts_and_the_others_with_the_thaw,
    a_server_that_freezes_under_load_costs_no_more_than_the_timeouts_and_serves_on,
];

fn calls_at_frozen_backends_end_with_their_timeouts_and_the_others_with_the_thaw(backend: Backend) {
    let bench = Bench::start(
        backend,
        "frozen_backends",
        json!({"cp_min": 3, "cp_max": 3}),
    );
    let _echo = Echo::start(bench.node.address(), ECHO);
    let mut client = bench.join();
    let timeout = Duration::from_secs(1);

    let hold = bench.hold();
    let patient = client.call(HOLD, &json!([1]));
    let killed = client.call(HOLD, &json!([6]));
    bench.observe().wait_for(2, HELD);
    let began = Instant::now();
    let hasty = client.call_within(1000, HOLD, &json!([2]));
    bench.observe().wait_for(3, HELD);
    let frozen = Frozen::new(&bench.observe().backends());
    drop(hold);
    let queued = client.call_within(1000, QUICK, &json!([3]));

    let asked = Instant::now();
    client.cancel(killed, Some("kill"));
    client.answer_to(killed).error("wamp.error.canceled");
    assert!(asked.elapsed() < MARGIN, "{:?}", asked.elapsed());
    let mut errors = [client.answer(), client.answer()];
    let waited = began.elapsed();
    errors.sort_by_key(|answer| answer.request);
    assert_eq!(errors.each_ref().map(|e| e.request), [hasty, queued]);
    for answer in errors {
        answer.error("wamp.error.timeout");
    }
    eprintln!("a timeout of {timeout:?} ended after {waited:?}");
    assert!(timeout <= waited && waited < timeout + MARGIN, "{waited:?}");
    let asked = Instant::now();
    assert_eq!(client.result_of(ECHO, &json!([4])), json!([4]));
    assert!(asked.elapsed() < MARGIN, "{:?}", asked.elapsed());

    let unthawed = client.call(QUICK, &json!([5]));
    drop(frozen);
    let mut results = [client.answer(), client.answer()];
    results.sort_by_key(|answer| answer.request);
    assert_eq!(results.each_ref().map(|r| r.request), [patient, unthawed]);
    assert_eq!(results.map(|answer| answer.result()), [json!(1), json!(5)]);
    client.leave();
    bench.assert_whole(3);
}

fn a_server_that_freezes_under_load_costs_no_more_than_the_timeouts_and_serves_on(
    backend: Backend,
) {
    let postgres = Postgres::stopped();
    postgres.start();
    let bench = Bench::start_on(
        postgres.database().on(backend),
        json!({"cp_min": 5, "cp_max": 5}),
    );
    let _echo = Echo::start(bench.node.address(), ECHO);
    let mut crowd = Crowd::join(bench.node.address(), 50);
    let mut client = bench.join();
    let args = json!([7]);
    let calls = Calls {
        timeout: 300,
        ..Calls::of(QUICK, &args)
    };
    let tally = crowd.call_while(calls, |progress| {
        progress.results_for_all(3);
        let frozen = postgres.freeze();
        progress.errors_for_all(2);
        for n in 0..20 {
            let asked = Instant::now();
            assert_eq!(client.result_of(ECHO, &json!([n])), json!([n]));
            assert!(asked.elapsed() < MARGIN, "{:?}", asked.elapsed());
        }
        drop(frozen);
        let thawed = Instant::now();
        progress.results_for_all(3);
        eprintln!("all served {:?} after the thaw", thawed.elapsed());
    });
    for Failed { error, after } in &tally.errors {
        assert_eq!(error.uri, "wamp.error.timeout", "{error:?}");
        assert!(*after < Duration::from_millis(300) + MARGIN, "{after:?}");
    }
    let slowest = tally.errors.iter().map(|failed| failed.after).max();
    let timeouts = tally.errors.len();
    eprintln!("{timeouts} timeouts of 300 ms, the slowest after {slowest:?}");
    crowd.leave();
    client.leave();
    bench.assert_whole(5);
}

/// adbapi asks a connection that has idled before it uses it; txpostgres looks at the socket alone.
#[cfg(feature = "adbapi")]
#[test]
fn idle_connections_to_frozen_backends_are_replaced() {
    let bench = Bench::start(
        Backend::Adbapi,
        "frozen_idle",
        json!({"cp_min": 3, "cp_max": 3}),
    );
    let mut client = bench.join();
    bench.assert_whole(3);
    let frozen = Frozen::new(&bench.observe().backends());
    let asked = Instant::now();
    for n in 0..6 {
        assert_eq!(client.result_of(QUICK, &json!([n])), json!([n]));
    }
    let waited = asked.elapsed();
    eprintln!("six calls past three frozen connections took {waited:?}");
    assert!(waited < crate::support::wait::PATIENCE / 5, "{waited:?}");
    drop(frozen);
    client.leave();
    bench.assert_whole(3);
}
