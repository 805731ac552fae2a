//! Procedures in SQL by the class `sql.Procedures`: files as data, the real node, real clients.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    autobahn::{Autobahn, Client},
    node::{ENVIRONMENT, HERE, Node, config, container, router},
    postgres::{Database, Postgres},
    websocket::{ANY, Client as Socket, code},
};

pub const CLASS: &str = "sql.Procedures";
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

pub fn start(extra: Value) -> Node {
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
        let mut client = Client::join(Autobahn::Js, &node.websocket_url());
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
        node.wait_for_log("faulty/bad.sql:3:3: column \"nam\" does not exist");
        node.wait_for_log("procedures in SQL are prepared");
        let mut client = Socket::join(node.address());
        let one = client.result_of("com.shop.good", &json!([]));
        assert_eq!(one, json!([[{"one": 1}]]));
        let call = client.call("com.shop.bad", &json!([]));
        let refused = json!([
            code::ERROR,
            code::CALL,
            call,
            {},
            "wamp.error.runtime_error",
            ANY,
            ANY
        ]);
        let error = client.expect(&refused);
        assert!(error[5][0].to_string().contains("42703"), "{error}");
        // What it lacks is made, and it works.
        let alter = "ALTER TABLE goods ADD nam text";
        database.client().batch_execute(alter).expect("a column");
        assert_eq!(
            client.result_of("com.shop.bad", &json!([]))[0][0],
            json!({"nam": null})
        );
    }
}

/// `check --database` of the files of a directory: the exit code, what is printed, and the faults.
pub fn check(extra: Value) -> (Option<i32>, String, String) {
    check_all(&config(&[router(), container(CLASS, HERE, extra)]))
}

/// The same of a whole configuration.
fn check_all(config: &Value) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("web")).expect("the page's place");
    let file = directory.path().join("config.json");
    std::fs::write(&file, config.to_string()).expect("a configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wampgres"));
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    command.args(["check", "--database", "--config"]).arg(&file);
    let output = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_check_prepares_all_sql_and_starts_nothing() {
    for backend in ["adbapi", "txpostgres"] {
        let database = database(&format!("sql_check_{backend}"));
        let (code, printed, faults) = check(extra(&database, backend, "shop"));
        assert_eq!((code, faults.as_str()), (Some(0), ""), "{printed}");
        assert!(
            printed.contains("PostgreSQL has prepared 3 procedures"),
            "{printed}"
        );

        let mut faulty = extra(&database, backend, "faulty");
        faulty["procedures"] = json!({"com.shop.none": {"sql": "SELECT :n := now()"}});
        let (code, printed, faults) = check(faulty);
        assert_eq!(code, Some(2), "{printed}");
        assert!(
            printed.contains("PostgreSQL has prepared 1 procedures"),
            "{printed}"
        );
        for words in [
            "2 faults in the SQL",
            "faulty/bad.sql:3:3: column \"nam\" does not exist",
            "extra.procedures[\"com.shop.none\"].sql:1:8: its default is to be a number",
        ] {
            assert!(faults.contains(words), "{faults}");
        }

        let mut nowhere = extra(&database, backend, "shop");
        nowhere["database"]["port"] = json!(1);
        nowhere["database"]["connect_timeout"] = json!(1);
        let (code, _, faults) = check(nowhere);
        assert_eq!(code, Some(1), "{faults}");
        assert!(
            faults.contains("PostgreSQL could not be asked for all procedures"),
            "{faults}"
        );
        let password = database.extra()["password"].to_string();
        assert!(!faults.contains(password.trim_matches('"')), "{faults}");
    }
}

#[test]
fn faults_of_options_are_listed_with_their_places() {
    let database = database("sql_unread");
    let mut extra = extra(&database, "adbapi", "faulty");
    extra["procedures"] = json!({
        "com.shop.good": {"timeout": "2 days", "returns": "streams"},
        "com.shop.gone": {"max_rows": 1}
    });
    let (code, _, faults) = check(extra);
    assert_eq!(code, Some(2));
    for words in [
        "extra.procedures[\"com.shop.good\"].returns: `returns`: must be one of rows, arrays, row, value, values, count, none, stream, did you mean `stream`?",
        "extra.procedures[\"com.shop.good\"].timeout: `timeout`: must be a time above 0",
        "extra.procedures[\"com.shop.gone\"]: has no `sql`, and no file of this name",
    ] {
        assert!(faults.contains(words), "{faults}");
    }
}

/// A node with the databases `main`, `copy` and `reports`, of which the last one keeps most to itself, and
/// where they are.
fn several_of(test: &str, backend: &str) -> (Value, [Value; 3]) {
    let databases =
        ["main", "copy", "reports"].map(|name| database(&format!("sql_{test}_{name}_{backend}")));
    let [mut main, copy, mut reports] = databases.each_ref().map(|database| {
        let mut settings = database.extra();
        settings["backend"] = json!(backend);
        settings
    });
    main["error_details"] = json!("all");
    reports["error_details"] = json!("none");
    let mut config = config(&[router(), container(CLASS, HERE, json!({}))]);
    config["databases"] = json!({"main": main, "copy": copy, "reports": reports});
    (config, databases.map(|database| json!(database.name())))
}

#[test]
fn procedures_ask_the_database_that_they_name() {
    const WHERE: &str = "SELECT current_database()";
    const AGAIN: &str = "INSERT INTO goods (id) VALUES (1)";
    for backend in ["adbapi", "txpostgres"] {
        let (mut config, [main, copy, reports]) = several_of("each", backend);
        let streamed = format!("-- @database reports\n-- @returns stream\n{WHERE} AS it");
        config["workers"][1]["components"][0]["extra"] = json!({
            "database": "main", "replica": "copy",
            "procedures": {
                "com.shop.plain": {"sql": WHERE, "returns": "value"},
                "com.shop.reading": {"sql": WHERE, "returns": "value", "read_only": true},
                "com.shop.report": {"sql": WHERE, "returns": "value", "database": "reports"},
                "com.shop.named": {
                    "sql": WHERE, "returns": "value", "database": "main", "read_only": true
                },
                "com.shop.header": {"sql": streamed},
                "com.shop.open": {"sql": AGAIN},
                "com.shop.strict": {"sql": AGAIN, "database": "reports"},
            }
        });
        let mut node = Node::start(&config);
        node.wait_for_log("procedures in SQL are prepared prepared=7 faulty=0");
        let mut client = Socket::join(node.address());
        for (uri, is) in [
            ("plain", &main),
            ("reading", &copy),
            ("report", &reports),
            ("named", &main),
            ("header", &json!([{"it": reports}])),
        ] {
            let result = client.result_of(&format!("com.shop.{uri}"), &json!([]));
            assert_eq!(&result[0], is, "{uri}");
        }
        // What callers get of an error is the lesser of what both databases say.
        for (uri, shows) in [("open", true), ("strict", false)] {
            let call = client.call(&format!("com.shop.{uri}"), &json!([]));
            let error = client.answer_to(call).error("wampgres.error.conflict");
            assert_eq!(error.details["sqlstate"], "23505");
            assert_eq!(error.details.get("detail").is_some(), shows, "{error:?}");
            assert_eq!(error.message.contains("already exists"), shows, "{error:?}");
        }
    }
}

#[test]
fn a_database_that_has_no_such_name_is_told() {
    let (mut config, _) = several_of("nobody", "txpostgres");
    config["workers"][1]["components"][0]["extra"] = json!({
        "database": "main", "replica": "cpy",
        "procedures": {"com.shop.wrong": {"sql": "SELECT 1", "database": "report"}}
    });
    let (code, _, faults) = check_all(&config);
    assert_eq!(code, Some(2), "{faults}");
    for words in [
        "extra.replica: must be the name of one of the node's `databases`, which has: copy, main, \
         reports, did you mean `copy`?",
        "extra.procedures[\"com.shop.wrong\"].database: `database`: must be the name of one of the \
         node's `databases`, which has: copy, main, reports, did you mean `reports`?",
    ] {
        assert!(faults.contains(words), "{faults}");
    }
}
