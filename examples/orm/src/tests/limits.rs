//! Owns the tests of the pool's limits around Diesel's jobs: they are those of any driver.

use std::collections::BTreeSet;

use diesel::{connection::SimpleConnection, prelude::*};
use serde_json::json;

use super::{
    super::models::goods,
    call, database, extra, node, outcome, pool, stock_up,
    support::{postgres::Database, wait, websocket::Client},
};
use crate::error::failed;

/// Keeps every statement on the sales waiting, until it is dropped.
fn lock(database: &Database) -> postgres::Client {
    let mut client = database.client();
    let lock = "BEGIN; LOCK TABLE sales IN ACCESS EXCLUSIVE MODE";
    client.batch_execute(lock).expect("the lock");
    client
}

#[test]
fn what_finds_no_room_in_the_queue_is_told_so_and_the_others_are_answered() {
    let database = database("queue");
    let node = node(extra(&database, 2, 2));
    let mut caller = Client::join(node.address());
    let tea = stock_up(&mut caller, "tea", 10);
    let locked = lock(&database);
    let mut observer = database.observe();
    let sell = json!([tea, 1]);
    let mut calls: BTreeSet<u64> = BTreeSet::new();
    for running in 1..=2 {
        calls.insert(caller.call("com.example.sell", &sell));
        observer.wait_for(running, "sales");
    }
    // Each worker has one, and two more may wait.
    for _ in 0..2 {
        calls.insert(caller.call("com.example.sell", &sell));
    }
    let refused = call(&mut caller, "com.example.sell", sell);
    let error = refused.outcome.unwrap_err();
    assert_eq!(error.uri, "wamp.error.unavailable");
    assert_eq!(error.details, json!({"retryable": true}));
    drop(locked);
    while !calls.is_empty() {
        let answer = caller.answer();
        assert!(calls.remove(&answer.request), "{answer:?}");
        answer.result();
    }
    let all = call(&mut caller, "com.example.goods", json!([])).result();
    assert_eq!(all[0]["stock"], 6);
}

#[test]
fn a_concurrency_leaves_workers_to_the_others() {
    let database = database("concurrency");
    let node = node(extra(&database, 3, 1024));
    let mut slow = Client::join(node.address());
    let mut quick = Client::join(node.address());
    stock_up(&mut quick, "tea", 10);
    let locked = lock(&database);
    let reports: Vec<u64> = (0..5)
        .map(|_| slow.call("com.example.report", &json!([])))
        .collect();
    let mut observer = database.observe();
    observer.wait_for(2, "sales");
    // Two of three workers have reports, three reports wait in the router.
    for _ in 0..3 {
        let all = call(&mut quick, "com.example.goods", json!([])).result();
        assert_eq!(all.as_array().map(Vec::len), Some(1));
    }
    assert_eq!(observer.running("sales"), 2);
    drop(locked);
    let mut answered: Vec<u64> = reports.iter().map(|_| slow.answer().request).collect();
    answered.sort_unstable();
    assert_eq!(answered, reports);
}

#[test]
fn a_call_that_is_cancelled_or_too_late_stops_in_postgresql() {
    let database = database("cancel");
    let mut extra = extra(&database, 1, 1024);
    extra["statement_timeout_ms"] = json!(60_000);
    let node = node(extra);
    let mut caller = Client::join(node.address());
    let mut observer = database.observe();
    let locked = lock(&database);
    let request = caller.call("com.example.report", &json!([]));
    observer.wait_for(1, "sales");
    caller.cancel(request, Some("killnowait"));
    let error = caller.answer_to(request).outcome.unwrap_err();
    assert_eq!(error.uri, "wamp.error.canceled");
    observer.wait_for(0, "sales");
    // The only worker is free again, with a connection on which no request can come late.
    call(&mut caller, "com.example.goods", json!([])).result();

    let request = caller.call_within(200, "com.example.report", &json!([]));
    let error = caller.answer_to(request).outcome.unwrap_err();
    assert_eq!(error.uri, "wamp.error.timeout");
    observer.wait_for(0, "sales");
    drop(locked);
    let report = call(&mut caller, "com.example.report", json!([])).result();
    assert_eq!(report, json!([]));
}

#[test]
fn a_job_that_reaches_the_pools_own_time_limit_stops_in_postgresql() {
    let database = database("timeout");
    let mut extra = extra(&database, 1, 1024);
    extra["statement_timeout_ms"] = json!(100);
    let node = node(extra);
    let mut caller = Client::join(node.address());
    let locked = lock(&database);
    let error = call(&mut caller, "com.example.report", json!([]))
        .outcome
        .unwrap_err();
    assert_eq!(error.uri, "wamp.error.timeout");
    database.observe().wait_for(0, "sales");
    drop(locked);
    call(&mut caller, "com.example.report", json!([])).result();
}

#[test]
fn the_figures_are_those_of_any_driver() {
    let database = database("figures");
    let pool = pool(extra(&database, 2, 1024));
    let count = || {
        pool.run_interaction(|connection| {
            goods::table
                .count()
                .get_result::<i64>(connection)
                .map_err(failed)
        })
    };
    assert_eq!(outcome(count()).expect("a count"), 0);
    let wrong = pool.run_with_connection(|connection| {
        connection
            .batch_execute("INSERT INTO sales (goods, count) VALUES (1, 1)")
            .map_err(failed)
    });
    let error = outcome(wrong).unwrap_err();
    assert_eq!(wampgres::sql::Error::from(error).sqlstate(), Some("23503"));
    let locked = lock(&database);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            pool.run_interaction(|connection| {
                connection
                    .batch_execute("SELECT FROM sales")
                    .map_err(failed)
            })
        })
        .collect();
    wait::until("two that run and one that waits", || {
        let stats = pool.stats();
        (stats.busy == 2 && stats.waiting == 1).then_some(())
    });
    drop(locked);
    for job in waiting {
        outcome(job).expect("it runs in the end");
    }
    wait::until("nothing to do", || (pool.stats().busy == 0).then_some(()));
    let stats = pool.stats();
    assert_eq!((stats.jobs, stats.errors.database, stats.lost), (5, 1, 0));
    pool.close();
    assert!(matches!(
        outcome(count()),
        Err(wampgres::adbapi::Error::Closed)
    ));
    database.observe().wait_for_backends(0);
}

#[test]
fn a_wrong_extra_is_told_without_its_values() {
    let wrong = json!({"libpq": {"password": 4711}});
    let error = serde_json::from_value::<super::Settings>(wrong.clone())
        .map(drop)
        .unwrap_err();
    assert!(
        error.to_string().contains("4711"),
        "what must not be repeated"
    );
    let started = std::panic::catch_unwind(|| node(wrong))
        .map(drop)
        .unwrap_err();
    let text = started.downcast_ref::<String>().expect("a text");
    assert!(text.contains("extra") && !text.contains("4711"), "{text}");
}
