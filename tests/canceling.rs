//! Calls whose answer nobody waits for any more, because they are canceled, have run out of time or
//! have lost their caller: what the caller gets, and that the SQL stops on the server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    faults::workbench::{self, Bench, FEW, HOLD, NOTE, QUICK, SLEEP, SLEEP_FEW, SLEEPING},
    support::{
        autobahn::{Autobahn, Client as AutobahnClient},
        backends::{Backend, on_each_backend},
        node::{Node, config, router},
        postgres::{Database, Observer},
        wait,
        websocket::{Client, code},
    },
};

/// All modes, and none.
const MODES: [Option<&str>; 4] = [Some("skip"), Some("kill"), Some("killnowait"), None];
const CANCELED: &str = "wamp.error.canceled";
/// How long no call of these tests would last by itself.
const LONG: f64 = 600.0;
/// Half a second is the bar; a machine may be slow.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);

/// Begins a call that lasts, and waits until its SQL runs.
fn begin(client: &mut Client, observer: &mut Observer, procedure: &str, args: &Value) -> u64 {
    let request = client.call(procedure, args);
    observer.wait_for(1, SLEEPING);
    request
}

/// Asserts that no SQL runs on, soon after `since`.
fn assert_stopped(observer: &mut Observer, since: Instant, what: &str) {
    observer.wait_for(0, SLEEPING);
    let took = since.elapsed();
    eprintln!("{what}: the SQL has stopped after {took:?}");
    assert!(took < STOPPED_WITHIN, "{what}: {took:?}");
}

on_each_backend![
    a_canceled_call_is_answered_once_and_its_sql_stops,
    a_canceled_interaction_leaves_nothing_behind,
    a_call_that_waits_for_a_worker_is_canceled_before_it_begins,
    many_calls_canceled_at_once_all_stop,
    a_call_whose_timeout_ends_is_answered_then_and_its_sql_stops,
    the_sql_of_a_caller_that_is_gone_stops,
    autobahn_clients_cancel,
    the_sql_of_a_component_on_another_router_stops_too,
];

fn a_canceled_call_is_answered_once_and_its_sql_stops(backend: Backend) {
    let bench = Bench::start(backend, "canceled", json!({"cp_min": 1, "cp_max": 3}));
    let mut observer = bench.observe();
    let mut client = bench.join();
    for procedure in [SLEEP, SLEEP_FEW] {
        for mode in MODES {
            // More often than there are slots, each of which has to come back.
            for _ in 0..=FEW {
                let request = begin(&mut client, &mut observer, procedure, &json!([LONG]));
                let canceled = Instant::now();
                client.cancel(request, mode);
                client.answer_to(request).error(CANCELED);
                let answered = canceled.elapsed();
                assert!(answered < STOPPED_WITHIN, "{mode:?}: {answered:?}");
                assert_stopped(&mut observer, canceled, &format!("{procedure}, {mode:?}"));
                // Too late: it has no effect and no answer.
                client.cancel(request, mode);
                assert_eq!(client.result_of(procedure, &json!([0.0])), json!([0.0]));
            }
        }
    }
    client.leave();
    bench.assert_whole(3);
}

fn a_canceled_interaction_leaves_nothing_behind(backend: Backend) {
    let bench = Bench::start(
        backend,
        "canceled_half_way",
        json!({"cp_min": 1, "cp_max": 1}),
    );
    let mut observer = bench.observe();
    let mut client = bench.join();
    for (n, mode) in MODES.into_iter().enumerate() {
        let request = begin(&mut client, &mut observer, NOTE, &json!([n, LONG]));
        client.cancel(request, mode);
        client.answer_to(request).error(CANCELED);
        // There is one connection: what is left on it this finds.
        assert_eq!(
            client.result_of(NOTE, &json!([100 + n, 0.0])),
            json!([100 + n])
        );
    }
    let mut notes = workbench::notes(&bench.database);
    notes.sort_unstable();
    assert_eq!(notes, [100, 101, 102, 103]);
    client.leave();
    bench.assert_whole(1);
}

fn a_call_that_waits_for_a_worker_is_canceled_before_it_begins(backend: Backend) {
    let bench = Bench::start(
        backend,
        "canceled_in_queue",
        json!({"cp_min": 1, "cp_max": 1}),
    );
    let mut client = bench.join();
    let hold = bench.hold();
    let held = client.call(HOLD, &json!([7]));
    for (n, mode) in MODES.into_iter().enumerate() {
        let request = client.call(NOTE, &json!([n, 0.0]));
        // A worker of adbapi throws away what was cancelled when its turn comes.
        let waiting = match backend {
            Backend::Adbapi => n as u64 + 1,
            Backend::Txpostgres => 1,
        };
        bench.wait_for_queue(&mut bench.join(), waiting);
        client.cancel(request, mode);
        client.answer_to(request).error(CANCELED);
    }
    drop(hold);
    assert_eq!(client.expect_result(held), json!(7));
    assert_eq!(client.result_of(QUICK, &json!([8])), json!([8]));
    assert_eq!(workbench::notes(&bench.database), [] as [i64; 0]);
    client.leave();
    bench.assert_whole(1);
}

fn many_calls_canceled_at_once_all_stop(backend: Backend) {
    const MANY: usize = 60;
    let bench = Bench::start(
        backend,
        "canceled_many",
        json!({"cp_min": 10, "cp_max": 10}),
    );
    let mut observer = bench.observe();
    let mut client = bench.join();
    let calls: Vec<_> = (0..MANY)
        .map(|_| client.call(SLEEP, &json!([LONG])))
        .collect();
    observer.wait_for(10, SLEEPING);
    let canceled = Instant::now();
    for (request, mode) in calls.iter().zip(MODES.into_iter().cycle()) {
        client.cancel(*request, mode);
    }
    let mut answered: Vec<_> = (0..MANY)
        .map(|_| {
            let answer = client.answer();
            let request = answer.request;
            answer.error(CANCELED);
            request
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, calls);
    assert_stopped(&mut observer, canceled, "sixty at once");
    client.leave();
    bench.assert_whole(10);
}

fn a_call_whose_timeout_ends_is_answered_then_and_its_sql_stops(backend: Backend) {
    let bench = Bench::start(backend, "timed_out", json!({"cp_min": 1, "cp_max": 3}));
    let mut observer = bench.observe();
    let mut client = bench.join();
    let timeout = Duration::from_millis(200);
    for procedure in [SLEEP, SLEEP_FEW] {
        let called = Instant::now();
        let request = client.call_within(200, procedure, &json!([LONG]));
        client.answer_to(request).error("wamp.error.timeout");
        let waited = called.elapsed();
        eprintln!("a timeout of {timeout:?} ended after {waited:?}");
        assert!(
            timeout <= waited && waited < timeout + STOPPED_WITHIN,
            "{waited:?}"
        );
        assert_stopped(&mut observer, called + timeout, procedure);
    }
    // One that is answered in time has no other answer later.
    let request = client.call_within(200, SLEEP, &json!([0.01]));
    client.expect_result(request);
    let request = client.call_within(300, SLEEP, &json!([LONG]));
    client.answer_to(request).error("wamp.error.timeout");
    client.leave();
    bench.assert_whole(3);
}

fn the_sql_of_a_caller_that_is_gone_stops(backend: Backend) {
    let bench = Bench::start(backend, "caller_gone", json!({"cp_min": 1, "cp_max": 3}));
    let mut observer = bench.observe();
    type Leave = fn(Client);
    let ways: [(&str, Leave); 4] = [
        ("the socket is dropped", drop),
        ("GOODBYE", Client::leave),
        ("ABORT", |mut client| {
            client.send(&json!([code::ABORT, {}, "com.example.enough"]));
        }),
        ("a violation of the protocol", |mut client| {
            client.send(&json!([code::WELCOME, 1, {}]));
        }),
    ];
    for procedure in [SLEEP, NOTE] {
        for (way, leave) in ways {
            let mut client = bench.join();
            let args = match procedure {
                NOTE => json!([1, LONG]),
                _ => json!([LONG]),
            };
            begin(&mut client, &mut observer, procedure, &args);
            let gone = Instant::now();
            leave(client);
            assert_stopped(&mut observer, gone, way);
        }
    }
    for kind in [Autobahn::Python, Autobahn::Js] {
        let mut client = AutobahnClient::join(kind, &bench.node.websocket_url());
        client.send(json!({"op": "begin", "procedure": SLEEP, "args": [LONG]}));
        client.expect("begun");
        observer.wait_for(1, SLEEPING);
        let gone = Instant::now();
        client.kill();
        assert_stopped(&mut observer, gone, "the process is killed");
    }
    assert_eq!(workbench::notes(&bench.database), [] as [i64; 0]);
    bench.assert_whole(3);
}

/// AutobahnPython's future has no mode to its cancel, and takes its own word for the ERROR. When
/// AutobahnJS cancels in any mode but `kill`, it takes the ERROR that the specification has the
/// router send for a violation, and closes the connection; that is its fault.
fn autobahn_clients_cancel(backend: Backend) {
    let bench = Bench::start(
        backend,
        "autobahn_cancels",
        json!({"cp_min": 1, "cp_max": 3}),
    );
    let mut observer = bench.observe();
    for (kind, cancel, uri) in [
        (Autobahn::Python, json!({"op": "cancel"}), "client.error"),
        (
            Autobahn::Js,
            json!({"op": "cancel", "mode": "kill"}),
            CANCELED,
        ),
    ] {
        let mut client = AutobahnClient::join(kind, &bench.node.websocket_url());
        for _ in 0..2 {
            client.send(json!({"op": "begin", "procedure": SLEEP, "args": [LONG]}));
            client.expect("begun");
            observer.wait_for(1, SLEEPING);
            let canceled = Instant::now();
            client.send(cancel.clone());
            assert_eq!(client.expect("error")["uri"], uri, "{kind:?}");
            assert_stopped(&mut observer, canceled, &format!("{kind:?}"));
            let quick = client.call(QUICK, json!([1]), json!({}));
            assert_eq!(quick["args"], json!([1]), "{kind:?}");
        }
    }
    bench.assert_whole(3);
}

fn the_sql_of_a_component_on_another_router_stops_too(backend: Backend) {
    let database = Database::create("canceled_from_afar", backend);
    let near = Node::start(&config(&[router()]));
    let far = {
        let settings = json!({"cp_min": 1, "cp_max": 3});
        let component = workbench::component(&database, &near.websocket_url(), settings);
        workbench::node(&[component])
    };
    let mut observer = database.observe();
    let mut client = Client::join(near.address());
    wait::until("the component's registration", || {
        let request = client.call(QUICK, &json!([1]));
        client.answer_to(request).outcome.ok()
    });

    for procedure in [SLEEP, SLEEP_FEW] {
        for mode in MODES {
            for _ in 0..=FEW {
                let request = begin(&mut client, &mut observer, procedure, &json!([LONG]));
                let canceled = Instant::now();
                client.cancel(request, mode);
                client.answer_to(request).error(CANCELED);
                assert_stopped(&mut observer, canceled, &format!("from afar, {mode:?}"));
            }
        }
    }
    let request = client.call_within(200, SLEEP, &json!([LONG]));
    client.answer_to(request).error("wamp.error.timeout");
    assert_stopped(&mut observer, Instant::now(), "from afar, timeout");

    begin(&mut client, &mut observer, SLEEP, &json!([LONG]));
    let gone = Instant::now();
    drop(client);
    assert_stopped(&mut observer, gone, "from afar, the socket is dropped");

    // The router goes, and nobody is left to answer to.
    let mut client = Client::join(near.address());
    assert_eq!(client.result_of(QUICK, &json!([2])), json!([2]));
    begin(&mut client, &mut observer, SLEEP, &json!([LONG]));
    let gone = Instant::now();
    // Dropped, it is killed.
    drop(near);
    assert_stopped(&mut observer, gone, "from afar, the router is killed");
    far.stop();
}
