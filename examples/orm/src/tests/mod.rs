//! Owns what the example's tests share: nodes with the component in this process, and WAMP callers.
//! PostgreSQL is the real server, in clusters of the tests' own.

mod faults;
mod limits;
mod models;
mod support;

use serde_json::{Value, json};
use wampgres::adbapi;

use super::{pool::Settings, shop::Shop};
use support::{
    answer::Answer,
    in_process::InProcess,
    postgres::{Database, Postgres},
    websocket::{Client, code},
};

/// A database of one test's own, with the tables.
fn database(name: &str) -> Database {
    let database = Postgres::shared().create_database(name);
    make_tables(&database);
    database
}

fn make_tables(database: &Database) {
    let tables = include_str!("../../schema.sql");
    database.client().batch_execute(tables).expect("the tables");
}

/// The component's `extra`, that of `config.json` but for where the database is.
fn extra(database: &Database, cp_max: u32, queue_limit: usize) -> Value {
    let there = database.extra();
    let text = |key: &str| there[key].to_string().replace('"', "");
    json!({
        "libpq": {
            "host": text("host"), "port": text("port"), "dbname": text("database"),
            "user": text("user"), "password": text("password"),
            "connect_timeout": "5", "application_name": "wampgres"
        },
        "cp_max": cp_max, "queue_limit": queue_limit
    })
}

/// A node of `config.json` with this `extra`.
fn node(extra: Value) -> InProcess {
    let mut config: Value = serde_json::from_str(include_str!("../../config.json")).expect("JSON");
    let worker = &mut config["workers"][0];
    // At the path that the tests' client opens.
    worker["transports"][0] = json!({
        "type": "web", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
        "paths": {"/": {"type": "static", "directory": "web"}, "ws": {"type": "websocket"}}
    });
    worker["components"][0]["extra"] = extra;
    InProcess::start_config::<Shop>("shop.Shop", &config)
}

/// The pool alone, as the component makes it.
fn pool(extra: Value) -> super::pool::Db {
    let settings: Settings = serde_json::from_value(extra).expect("the settings");
    super::pool::open(&settings).expect("a pool")
}

/// Adds goods, and gives their id.
fn stock_up(caller: &mut Client, name: &str, stock: i32) -> i64 {
    let answer = stock_up_by(caller, &json!({"name": name, "price": 2.5, "stock": stock}));
    answer.outcome.expect("a row")["id"]
        .as_i64()
        .expect("an id")
}

fn stock_up_by(caller: &mut Client, kwargs: &Value) -> Answer {
    let request = caller.next_request();
    let call = json!([code::CALL, request, {}, "com.example.stock_up", [], kwargs]);
    caller.send(&call);
    caller.answer_to(request)
}

/// Calls a procedure and awaits its answer.
fn call(caller: &mut Client, procedure: &str, args: Value) -> Answer {
    let request = caller.call(procedure, &args);
    caller.answer_to(request)
}

/// The result of a deferred that must come.
fn outcome<T: Send + 'static>(deferred: adbapi::Deferred<T>) -> Result<T, adbapi::Error> {
    let limit = support::wait::PATIENCE;
    deferred.wait_timeout(limit).expect("a result comes")
}
