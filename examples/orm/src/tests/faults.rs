//! Owns the tests of what Diesel's jobs come to when PostgreSQL fails, and of the node's stop.

use serde_json::json;

use super::{
    call, database, extra, make_tables, node, outcome, pool, stock_up,
    support::{postgres::Postgres, websocket::Client},
};
use crate::error::failed;

#[test]
fn connections_that_died_while_they_were_idle_cost_no_call() {
    let database = database("killed");
    let node = node(extra(&database, 3, 1024));
    let mut caller = Client::join(node.address());
    let mut observer = database.observe();
    stock_up(&mut caller, "tea", 1);
    observer.wait_for_backends(3);
    for _ in 0..3 {
        assert!(observer.terminate_backends() > 0);
        for _ in 0..6 {
            call(&mut caller, "com.example.goods", json!([])).result();
        }
    }
}

#[test]
fn a_connection_that_is_lost_under_a_statement_is_told_and_replaced() {
    let database = database("lost");
    let node = node(extra(&database, 1, 1024));
    let mut caller = Client::join(node.address());
    let mut observer = database.observe();
    let mut locked = database.client();
    let lock = "BEGIN; LOCK TABLE sales IN ACCESS EXCLUSIVE MODE";
    locked.batch_execute(lock).expect("the lock");
    let request = caller.call("com.example.report", &json!([]));
    observer.wait_for(1, "sales");
    observer.terminate_backends();
    let error = caller.answer_to(request).outcome.unwrap_err();
    assert_eq!(error.uri, "wamp.error.runtime_error");
    assert_eq!(error.details, json!({"retryable": true}));
    assert!(
        error.message.contains("may or may not have run"),
        "{}",
        error.message
    );
    call(&mut caller, "com.example.goods", json!([])).result();
}

#[test]
fn calls_work_again_after_a_restart_and_are_told_why_they_do_not_before() {
    let postgres = Postgres::stopped();
    let mut extra = extra(&postgres.database(), 2, 1024);
    extra["connect_timeout_ms"] = json!(300);
    let node = node(extra);
    let mut caller = Client::join(node.address());
    let error = call(&mut caller, "com.example.goods", json!([]))
        .outcome
        .unwrap_err();
    assert_eq!(error.uri, "wamp.error.unavailable");
    assert_eq!(error.details, json!({"retryable": true}));
    assert!(
        !error.message.contains(super::support::postgres::PASSWORD),
        "{}",
        error.message
    );
    postgres.start();
    make_tables(&postgres.database());
    super::support::wait::until("a call that works", || {
        call(&mut caller, "com.example.goods", json!([]))
            .outcome
            .ok()
    });
    postgres.restart("fast");
    call(&mut caller, "com.example.goods", json!([])).result();
}

#[test]
fn a_panic_costs_its_connection_and_no_other_job() {
    let database = database("panics");
    let pool = pool(extra(&database, 1, 1024));
    let panicked = pool.run_interaction::<(), _>(|_| panic!("as the test wants it"));
    assert!(outcome(panicked).is_err());
    let select = |connection: &mut diesel::PgConnection| {
        diesel::connection::SimpleConnection::batch_execute(connection, "SELECT 1").map_err(failed)
    };
    outcome(pool.run_interaction(select)).expect("a new connection");
}

#[test]
fn a_node_that_stops_answers_what_runs_and_leaves_nothing_in_postgresql() {
    let database = database("stopped");
    let node = node(extra(&database, 2, 1024));
    let mut caller = Client::join(node.address());
    let mut observer = database.observe();
    let mut locked = database.client();
    let lock = "BEGIN; LOCK TABLE sales IN ACCESS EXCLUSIVE MODE";
    locked.batch_execute(lock).expect("the lock");
    let request = caller.call("com.example.report", &json!([]));
    observer.wait_for(1, "sales");
    let stopping = std::thread::spawn(move || node.stop());
    assert!(caller.answer_to(request).outcome.is_err());
    // The node waits until its clients have closed.
    drop(caller);
    let took = stopping.join().expect("it stops");
    assert!(took <= wampgres::node::STOP_TIMEOUT, "{took:?}");
    observer.wait_for_backends(0);
}
