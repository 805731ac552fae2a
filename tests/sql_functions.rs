//! Functions of schemas by the class `sql.Procedures`: the real node, real clients.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    sql_procedures::{CLASS, check, start},
    support::{
        autobahn::{Autobahn, Client},
        backends::{Backend, on_each_backend},
        node::{HERE, Node, config, container, router},
        postgres::{Database, Postgres},
        websocket::Client as Socket,
    },
};

const TABLES: &str = include_str!("sql/functions.sql");

fn database(name: &str, backend: Backend) -> Database {
    let database = Database::create(name, backend);
    database.client().batch_execute(TABLES).expect("functions");
    database
}

fn extra(database: &Database) -> Value {
    json!({"database": database.extra(), "schemas": ["api", "Other"], "prefix": "com.shop"})
}

on_each_backend!(
    functions_are_procedures,
    a_function_runs_as_it_says_itself,
    a_call_that_is_canceled_ends_its_function,
    functions_come_as_soon_as_postgresql_does,
    a_node_that_waits_for_postgresql_stops_at_once,
    rights_are_respected_and_said,
    a_check_covers_functions,
    what_cannot_be_served_is_logged,
);

fn functions_are_procedures(backend: Backend) {
    let database = database("functions_served", backend);
    let mut extra = extra(&database);
    extra["procedures"] = json!({
        "com.shop.names": {"sql": "SELECT name FROM goods ORDER BY id", "returns": "values"},
        "com.shop.add": {"description": "Adds goods."}
    });
    let mut node = start(extra);
    node.wait_for_log("functions of schemas are registered functions=9");
    node.wait_for_log("functions of schemas are prepared prepared=10 faulty=0");
    let mut client = Client::join(Autobahn::Js, &node.websocket_url());
    let mut result = |name: &str, args: Value, kwargs: Value| {
        let result = client.call(&format!("com.shop.{name}"), args, kwargs);
        result["args"][0].clone()
    };
    let tea = json!({"id": 1, "name": "tea", "price": "3.50"});
    let cup = json!({"id": 3, "name": "cup", "price": "5"});
    for (name, args, kwargs, answer) in [
        ("cheap", json!([10]), json!({}), json!([tea, cup])),
        (
            "cheap",
            json!([]),
            json!({"price": 10, "n": 1}),
            json!([tea]),
        ),
        ("add", json!(["jug"]), json!({"price": "7.25"}), json!(4)),
        ("nameOf", json!([]), json!({"id": 4}), json!("jug")),
        ("nameOf", json!([]), json!({"aName": "x"}), json!("x")),
        (
            "rename",
            json!([4, "mug"]),
            json!({}),
            json!({"name": "mug"}),
        ),
        (
            "names",
            json!([]),
            json!({}),
            json!(["tea", "pot", "cup", "mug"]),
        ),
        (
            "more",
            json!([]),
            json!({"a": [1, null]}),
            json!({"a": [1, null]}),
        ),
    ] {
        let told = result(name, args.clone(), kwargs.clone());
        assert_eq!(told, answer, "{name} {args} {kwargs}");
    }
    let error = client.call_error("com.shop.cheap", json!([100]), json!({}));
    assert_eq!(error["uri"], "wamp.error.payload_size_exceeded");
    let error = client.call_error("com.shop.nameOf", json!([1]), json!({}));
    assert_eq!(error["uri"], "wamp.error.invalid_argument");
    let told = error["args"][0].as_str().expect("a message");
    assert!(
        told.ends_with("nameOf(id integer), nameOf(aName text)"),
        "{told}"
    );
}

fn a_function_runs_as_it_says_itself(backend: Backend) {
    let database = database("functions_running", backend);
    let mut node = start(extra(&database));
    node.wait_for_log("functions of schemas are registered");
    let mut client = Socket::join(node.address());
    for (name, uri, why) in [
        ("slow", "wamp.error.canceled", "statement timeout"),
        (
            "sneaky",
            "wamp.error.runtime_error",
            "read-only transaction",
        ),
    ] {
        let call = client.call(&format!("com.shop.{name}"), &json!([]));
        let error = client.answer_to(call).error(uri);
        assert!(error.message.contains(why), "{}", error.message);
    }
    let count = "SELECT count(*) FROM goods";
    let count: i64 = database
        .client()
        .query_one(count, &[])
        .expect("a count")
        .get(0);
    assert_eq!(count, 3);
}

fn a_call_that_is_canceled_ends_its_function(backend: Backend) {
    let database = database("functions_canceled", backend);
    let mut node = start(extra(&database));
    node.wait_for_log("functions of schemas are prepared");
    let mut observer = database.observe();
    let mut client = Socket::join(node.address());
    let calls = [(); 2].map(|()| client.call("com.shop.endless", &json!([])));
    observer.wait_for(1, "endless");
    // An answer to another request says that both were looked at, and the second one waits.
    client.subscribe("com.shop.topic");
    assert_eq!(observer.running("endless"), 1);
    for call in calls {
        observer.wait_for(1, "endless");
        client.cancel(call, None);
        client.answer_to(call).error("wamp.error.canceled");
    }
    observer.wait_for(0, "endless");
}

fn functions_come_as_soon_as_postgresql_does(backend: Backend) {
    let postgres = Postgres::stopped();
    postgres.start();
    let database = postgres.database().on(backend);
    database.client().batch_execute(TABLES).expect("functions");
    postgres.stop();
    let mut extra = extra(&database);
    extra["database"]["connect_timeout"] = json!(1);
    extra["procedures"] = json!({"com.shop.one": {"sql": "SELECT 1 AS one"}});
    let mut node = start(extra);
    node.wait_for_log("the functions of schemas come as soon as PostgreSQL can be asked");
    let mut client = Socket::join(node.address());
    // What needs no catalogue is there, and a function is not.
    let call = client.call("com.shop.one", &json!([]));
    client.answer_to(call).error("wamp.error.unavailable");
    let call = client.call("com.shop.add", &json!(["jug", 7]));
    client.answer_to(call).error("wamp.error.no_such_procedure");
    postgres.start();
    node.wait_for_log("functions of schemas are registered");
    assert_eq!(
        client.result_of("com.shop.add", &json!(["jug", 7])),
        json!([4])
    );
    assert_eq!(
        client.result_of("com.shop.one", &json!([])),
        json!([[{"one": 1}]])
    );
}

fn a_node_that_waits_for_postgresql_stops_at_once(backend: Backend) {
    let database = Postgres::stopped().database().on(backend);
    let mut node = start(extra(&database));
    node.wait_for_log("the functions of schemas come as soon as PostgreSQL can be asked");
    node.signal(Signal::SIGTERM);
    assert!(node.wait().success());
}

/// The same database for a role that may do little.
fn as_caller(database: &Database, backend: Backend) -> Value {
    let role = format!("caller_{}", backend.name());
    let create = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'the-caller'; GRANT USAGE ON SCHEMA api TO {role}"
    );
    database.client().batch_execute(&create).expect("a role");
    let mut extra = extra(database);
    extra["database"]["user"] = json!(role);
    extra["database"]["password"] = json!("the-caller");
    extra
}

fn rights_are_respected_and_said(backend: Backend) {
    let database = database("functions_rights", backend);
    let extra = as_caller(&database, backend);
    let role = extra["database"]["user"]
        .as_str()
        .expect("a role")
        .to_owned();
    let mut node = start(extra.clone());
    node.wait_for_log("functions of schemas are registered functions=7");
    for words in [
        format!(
            "not served: the role {role} may not execute it: GRANT EXECUTE ON FUNCTION api.hidden() \
             TO {role} function=\"api.hidden()\""
        ),
        format!(
            "extra.schemas[\"Other\"]: the role {role} may not use it: GRANT USAGE ON SCHEMA \
             \"Other\" TO {role}"
        ),
    ] {
        node.wait_for_log(&words);
    }
    let mut client = Socket::join(node.address());
    let call = client.call("com.shop.hidden", &json!([]));
    client.answer_to(call).error("wamp.error.no_such_procedure");

    let grant = format!(
        "GRANT EXECUTE ON FUNCTION api.hidden() TO {role}; GRANT USAGE ON SCHEMA \"Other\" TO {role}"
    );
    database.client().batch_execute(&grant).expect("rights");
    let mut node = start(extra);
    node.wait_for_log("functions of schemas are registered functions=9");
    let mut client = Socket::join(node.address());
    assert_eq!(client.result_of("com.shop.hidden", &json!([])), json!([1]));
}

fn a_check_covers_functions(backend: Backend) {
    let database = database("functions_checked", backend);
    let mut extra = extra(&database);
    let (code, printed, faults) = check(extra.clone());
    assert_eq!((code, faults.as_str()), (Some(0), ""), "{printed}");
    for words in [
        "PostgreSQL has prepared 9 procedures",
        "not served: api.stamp(): it is a trigger function",
    ] {
        assert!(printed.contains(words), "{printed}");
    }

    let more = "CREATE FUNCTION \"Other\".add(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
                CREATE FUNCTION api.\"two words\"() RETURNS int LANGUAGE sql AS 'SELECT 1';
                COMMENT ON FUNCTION api.slow IS '@timeout soon'";
    database.client().batch_execute(more).expect("functions");
    extra["schemas"] = json!(["api", "Other", "shop"]);
    extra["procedures"] = json!({"com.shop.gone": {"max_rows": 1}});
    let (code, printed, faults) = check(extra.clone());
    assert_eq!(code, Some(2), "{printed}");
    assert!(
        printed.contains("PostgreSQL has prepared 8 procedures"),
        "{printed}"
    );
    for words in [
        "5 faults in the SQL",
        "extra.schemas[\"shop\"]: there is no schema `shop` in the database",
        "\"Other\".add: the procedure com.shop.add is there already, from api.add(name text, price numeric)",
        "api.\"two words\": \"com.shop.two words\" is no URI of a procedure",
        "COMMENT ON FUNCTION api.slow():1:1: `timeout`: must be a time above 0",
        "extra.procedures[\"com.shop.gone\"]: has no `sql`, and there is no file and no function",
    ] {
        assert!(faults.contains(words), "{words}: {faults}");
    }

    extra["database"]["port"] = json!(1);
    extra["database"]["connect_timeout"] = json!(1);
    let (code, _, faults) = check(extra.clone());
    assert_eq!(code, Some(1), "{faults}");
    assert!(
        faults.contains("PostgreSQL could not be asked for all procedures"),
        "{faults}"
    );

    extra["schemas"] = json!(["pg_catalog", "api", "api"]);
    let (code, _, faults) = check(extra);
    assert_eq!(code, Some(2));
    for words in [
        "extra.schemas[\"pg_catalog\"]: is PostgreSQL's own",
        "extra.schemas[\"api\"]: is there twice",
    ] {
        assert!(faults.contains(words), "{words}: {faults}");
    }
}

fn what_cannot_be_served_is_logged(backend: Backend) {
    let database = database("functions_logged", backend);
    let more = "CREATE FUNCTION \"Other\".add(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
                CREATE FUNCTION api.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'";
    database.client().batch_execute(more).expect("functions");
    let component = container(CLASS, HERE, extra(&database));
    let config = config(&[router(), component.clone(), component]);
    let log = [("RUST_LOG", "wampgres::component=debug")];
    let mut node = Node::start_in(&config, &log);
    node.wait_for_log("functions of schemas are registered");
    for words in [
        "\"Other\".add: the procedure com.shop.add is there already",
        "not served: it is a trigger function function=\"api.stamp()\"",
        "one of the functions of schemas is prepared procedure=\"com.shop.cheap\" takes=\"cheap(price numeric, [n integer])\" \
         does=\"The goods below a price, cheapest first.\"",
        // One of the two components is too late for it.
        "the router does not register a procedure procedure=\"com.shop.now\"",
    ] {
        node.wait_for_log(words);
    }
}
