//! Owns the tests of what the procedures answer with.

use serde_json::{Value, json};

use super::{call, database, extra, node, stock_up, stock_up_by, support::websocket::Client};

#[test]
fn models_are_written_and_read_by_a_wamp_caller() {
    let database = database("models");
    let node = node(extra(&database, 4, 1024));
    let mut caller = Client::join(node.address());
    let tea = stock_up(&mut caller, "tea", 3);
    let cups = stock_up(&mut caller, "cups", 8);

    let all = call(&mut caller, "com.example.goods", json!([])).result();
    let expected = json!([
        {"id": tea, "name": "tea", "price": 2.5, "stock": 3},
        {"id": cups, "name": "cups", "price": 2.5, "stock": 8},
    ]);
    assert_eq!(all, expected);

    let left = call(&mut caller, "com.example.sell", json!([tea, 2])).result();
    assert_eq!(left, json!(1));
    call(&mut caller, "com.example.sell", json!([cups, 4])).result();
    call(&mut caller, "com.example.sell", json!([cups, 1])).result();
    let report = call(&mut caller, "com.example.report", json!([])).result();
    assert_eq!(report, json!([["cups", 5], ["tea", 2]]));
}

#[test]
fn a_closure_is_one_transaction() {
    let database = database("transactions");
    let node = node(extra(&database, 4, 1024));
    let mut caller = Client::join(node.address());
    let tea = stock_up(&mut caller, "tea", 3);
    // The sale has been written by then.
    let error = call(&mut caller, "com.example.sell", json!([tea, 4]))
        .outcome
        .unwrap_err();
    assert_eq!(error.uri, "com.example.sold_out");
    let mut client = database.client();
    let sales: i64 = client
        .query_one("SELECT count(*) FROM sales", &[])
        .expect("a row")
        .get(0);
    assert_eq!(sales, 0);
    let all = call(&mut caller, "com.example.goods", json!([])).result();
    assert_eq!(all[0]["stock"], 3);
}

/// What PostgreSQL said of the rows stays with the node.
#[test]
fn errors_of_postgresql_are_told_as_those_of_the_other_drivers() {
    let database = database("errors");
    let node = node(extra(&database, 4, 1024));
    let mut caller = Client::join(node.address());
    let tea = stock_up(&mut caller, "tea", 3);
    let twice = stock_up_by(&mut caller, &json!({"name": "tea", "price": 1}));
    let error = twice.outcome.unwrap_err();
    assert_eq!(error.uri, "wampgres.error.conflict");
    assert_eq!(error.details["severity"], "ERROR");
    assert_eq!(error.details["sqlstate"], "23505");
    assert_eq!(error.details.get("detail"), None);
    assert!(
        error.message.contains("(SQLSTATE 23505)"),
        "{}",
        error.message
    );
    assert!(!error.message.contains("(tea)"), "{}", error.message);
    for (args, sqlstate) in [(json!([tea, 0]), "23514"), (json!([666, 1]), "23503")] {
        let error = call(&mut caller, "com.example.sell", args)
            .outcome
            .unwrap_err();
        assert_eq!(error.details["sqlstate"], sqlstate);
    }
    let error = call(&mut caller, "com.example.sell", json!(["tea"]))
        .outcome
        .unwrap_err();
    assert_eq!(error.uri, "wamp.error.invalid_argument");
    assert_eq!(error.details, Value::Null);
}
