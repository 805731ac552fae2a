//! Connections that break under load, because the server restarts or its backends are ended.

use serde_json::json;

use super::{
    crowd::{Calls, Crowd, LOST, nothing},
    workbench::{self, Bench, NOTE, QUICK, SLEEP, SLEEPING},
};
use crate::support::{
    backends::{Backend, on_each_backend},
    node::{HERE, Node, config, container, router},
    postgres::{Database, Postgres},
    wait,
};

const CALLERS: usize = 200;
const CONNECTIONS: usize = 10;
const PROCEDURE: &str = "com.example.now.v1";

/// A node with the reference's component, whose pool opens all its connections at once.
fn start(database: &Database) -> Node {
    let mut extra = database.extra();
    extra["cp_min"] = json!(CONNECTIONS);
    extra["cp_max"] = json!(CONNECTIONS);
    // A slow machine takes its time for a restart.
    extra["connect_timeout"] = json!(wait::PATIENCE.as_secs());
    let extra = json!({"database": extra});
    let component = container("hello.MyDatabaseComponent", HERE, extra);
    let node = Node::start(&config(&[router(), component]));
    wait_until_full(database);
    node
}

/// How many statements may be under way on a connection.
fn under_way(backend: Backend) -> usize {
    match backend {
        Backend::Adbapi => 1,
        Backend::Txpostgres => 16,
    }
}

/// Waits until the pool has all its connections.
fn wait_until_full(database: &Database) {
    database.observe().wait_for_backends(CONNECTIONS);
}

on_each_backend![
    a_restart_under_load_costs_only_calls_whose_statement_was_under_way,
    a_statement_under_way_is_lost_with_its_connection_and_not_repeated,
    ending_all_backends_again_and_again_costs_a_call_for_each_at_most,
];

fn a_restart_under_load_costs_only_calls_whose_statement_was_under_way(backend: Backend) {
    let postgres = Postgres::stopped();
    postgres.start();
    let node = start(&postgres.database().on(backend));
    let mut crowd = Crowd::join(node.address(), CALLERS);
    let args = nothing();
    let calls = Calls::of(PROCEDURE, &args);
    for mode in ["fast", "immediate"] {
        let tally = crowd.call_while(calls, |progress| {
            progress.results_for_all(3);
            postgres.restart(mode);
            progress.results_for_all(3);
        });
        tally.assert_lost_at_most(CONNECTIONS * under_way(backend), mode);

        // While nobody calls it costs nothing.
        wait_until_full(&postgres.database().on(backend));
        postgres.restart(mode);
        let tally = crowd.call_once(calls);
        assert_eq!(tally.results, CALLERS as u64, "{mode}, idle: {tally:?}");
    }
    crowd.leave();
}

fn a_statement_under_way_is_lost_with_its_connection_and_not_repeated(backend: Backend) {
    let postgres = Postgres::stopped();
    postgres.start();
    let bench = Bench::start_on(
        postgres.database().on(backend),
        json!({"cp_min": 2, "cp_max": 2}),
    );
    let mut client = bench.join();
    let ways: [(&str, &dyn Fn()); 3] = [
        ("its backend is ended", &|| {
            bench.observe().terminate_backends();
        }),
        ("fast", &|| postgres.restart("fast")),
        ("immediate", &|| postgres.restart("immediate")),
    ];
    for (what, interrupts) in ways {
        let calls = [
            client.call(SLEEP, &json!([600])),
            client.call(NOTE, &json!([1, 600])),
        ];
        bench.observe().wait_for(2, SLEEPING);
        interrupts();
        let mut answers = [client.answer(), client.answer()];
        answers.sort_by_key(|answer| answer.request);
        assert_eq!(answers.each_ref().map(|answer| answer.request), calls);
        for answer in answers {
            let error = answer.error("wamp.error.runtime_error");
            assert!(error.message.contains(LOST), "{what}: {error:?}");
            assert_eq!(error.details["retryable"], true, "{what}: {error:?}");
        }
        assert_eq!(client.result_of(QUICK, &json!([1])), json!([1]), "{what}");
        assert_eq!(bench.observe().running(SLEEPING), 0, "{what}");
        assert_eq!(workbench::notes(&bench.database), [] as [i64; 0], "{what}");
        bench.assert_whole(2);
    }
    client.leave();
}

fn ending_all_backends_again_and_again_costs_a_call_for_each_at_most(backend: Backend) {
    let database = Database::create("terminated", backend);
    let node = start(&database);
    let mut crowd = Crowd::join(node.address(), CALLERS);
    let args = nothing();
    let calls = Calls::of(PROCEDURE, &args);
    let mut observer = database.observe();
    let mut ended = 0;
    let tally = crowd.call_while(calls, |progress| {
        for _ in 0..5 {
            progress.results_for_all(2);
            ended += observer.terminate_backends();
        }
        progress.results_for_all(2);
    });
    assert!(ended >= 5, "{ended} backends ended");
    let most = ended * under_way(backend);
    tally.assert_lost_at_most(most, &format!("{ended} backends ended"));

    observer.wait_for_backends(CONNECTIONS);
    let old = observer.backends();
    observer.terminate_backends();
    if backend == Backend::Txpostgres {
        // It does not ask a connection before it sends: what crosses with its end was under way.
        wait::until("the end of the backends", || {
            let there = observer.backends();
            (!old.iter().any(|pid| there.contains(pid))).then_some(())
        });
    }
    let tally = crowd.call_once(calls);
    assert_eq!(tally.results, CALLERS as u64, "idle: {tally:?}");
    observer.wait_for_backends(CONNECTIONS);
    crowd.leave();
}
