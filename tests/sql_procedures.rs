//! Procedures in SQL by the class `sql.Procedures`: files as data, the real node, real clients.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    autobahn::{Autobahn, Client},
    node::{HERE, Node, config, container, router},
    postgres::{Database, Postgres},
    websocket::{Client as Socket, code},
};

const CLASS: &str = "sql.Procedures";
const TABLES: &str = "CREATE TABLE goods (id serial PRIMARY KEY, name text, price numeric);
                      CREATE TABLE orders (id serial PRIMARY KEY, goods int, amount int);
                      INSERT INTO goods (name, price) VALUES ('tea', 3.50), ('pot', 20), ('cup', 5)";

/// A database with the tables of a shop.
fn database(name: &str) -> Database {
    let database = Postgres::shared().create_database(name);
    database.client().batch_execute(TABLES).expect("tables");
    database
}

/// The `extra` of the files in one of the directories beside this file.
fn extra(database: &Database, backend: &str, directory: &str) -> Value {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sql")
        .join(directory);
    let mut settings = database.extra();
    settings["backend"] = json!(backend);
    json!({"database": settings, "directory": directory, "prefix": "com.shop"})
}

fn start(extra: Value) -> Node {
    Node::start(&config(&[router(), container(CLASS, HERE, extra)]))
}

#[test]
fn files_are_procedures_on_both_backends() {
    for backend in ["adbapi", "txpostgres"] {
        let database = database(&format!("sql_files_{backend}"));
        let mut extra = extra(&database, backend, "shop");
        extra["procedures"] = json!({
            "com.shop.goods.cheap": {"max_rows": 2},
            "com.shop.names": {"sql": "SELECT name FROM goods ORDER BY name", "returns": "arrays"}
        });
        let mut node = start(extra);
        node.wait_for_log("procedures in SQL are prepared");
        let mut client = Client::join(Autobahn::Python, &node.websocket_url());
        let mut result = |uri: &str, args: Value, kwargs: Value| {
            let result = client.call(uri, args, kwargs);
            result["args"][0].clone()
        };
        let tea = json!({"id": 1, "name": "tea", "price": "3.50"});
        let cup = json!({"id": 3, "name": "cup", "price": "5"});
        let cheap = "com.shop.goods.cheap";
        assert_eq!(result(cheap, json!([10]), json!({})), json!([tea, cup]));
        assert_eq!(result(cheap, json!([10, 1]), json!({})), json!([tea]));
        assert_eq!(
            result(cheap, json!([]), json!({"price": 10, "n": 1})),
            json!([tea])
        );
        let add = "com.shop.goods.add";
        assert_eq!(result(add, json!(["jug", "7.25"]), json!({})), 4);
        let names = json!([["cup"], ["jug"], ["pot"], ["tea"]]);
        assert_eq!(result("com.shop.names", json!([]), json!({})), names);
        let order = json!({"order": {"id": 1, "goods": 4, "amount": 1}, "orders": 1});
        assert_eq!(result("com.shop.order", json!([4]), json!({})), order);

        let error = client.call_error(cheap, json!([100]), json!({}));
        assert_eq!(error["uri"], "wamp.error.payload_size_exceeded");
        let error = client.call_error(cheap, json!([]), json!({"n": 1}));
        assert_eq!(error["uri"], "wamp.error.invalid_argument");
        let told = error["args"][0].as_str().expect("a message");
        assert_eq!(told, "argument `price` is missing: wanted numeric");
    }
}

#[test]
fn what_cannot_be_prepared_is_logged_with_its_place_and_the_rest_is_served() {
    for backend in ["adbapi", "txpostgres"] {
        let database = database(&format!("sql_faulty_{backend}"));
        let mut node = start(extra(&database, backend, "faulty"));
        node.wait_for_log("faulty/bad.sql:3:3: column \\\"nam\\\" does not exist");
        node.wait_for_log("procedures in SQL are prepared");
        let mut client = Socket::join(node.address());
        let one = client.result_of("com.shop.good", &json!([]));
        assert_eq!(one, json!([[{"one": 1}]]));
        let call = client.call("com.shop.bad", &json!([]));
        let error = client.expect(&json!([
            code::ERROR,
            code::CALL,
            call,
            {},
            "wamp.error.runtime_error"
        ]));
        assert!(error[5][0].to_string().contains("nam"), "{error}");
        // What it lacks is made, and it works.
        let alter = "ALTER TABLE goods ADD nam text";
        database.client().batch_execute(alter).expect("a column");
        assert_eq!(
            client.result_of("com.shop.bad", &json!([]))[0][0],
            json!({"nam": null})
        );
    }
}
