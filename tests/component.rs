//! A component of the test's own, run by the library in this process: what callers get of its
//! results, errors and panics, and what an interaction that fails leaves in the database.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
#[cfg(feature = "txpostgres")]
use wampgres::sql;
use wampgres::{
    component::{Answer, Component, Error, Invocation, Pool, Procedure, Reply, Setup},
    sql::params,
};

use crate::support::{
    autobahn::{Autobahn, Client},
    backends::{Backend, on_each_backend},
    in_process::InProcess,
    node::{HERE, container, router},
    postgres::Database,
    python_datetime,
};

/// What the component's panics say: it may name what no caller should know.
const BUG: &str = "a bug with a secret in it";
const CLASSNAME: &str = "test.Orders";

/// Takes orders into a table, and fails in all ways there are.
struct Orders {
    db: Pool,
}

impl Component for Orders {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let db = setup.database()?;
        Ok(Self { db })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.order", Self::order),
            Procedure::new("com.example.order_and_fail", Self::order_and_fail),
            Procedure::new("com.example.order_and_panic", Self::order_and_panic),
            Procedure::new("com.example.order_twice", Self::order_twice),
            Procedure::new("com.example.panic", Self::panic),
            Procedure::new("com.example.caller", Self::caller),
            Procedure::new("com.disclosed.caller", Self::caller),
        ]
    }
}

const INSERT: &str = "INSERT INTO orders (id, placed) VALUES ($1, now()) RETURNING placed";

fn shown(placed: DateTime<Utc>) -> String {
    placed.format("%Y-%m-%d %H:%M:%S%.f%:z").to_string()
}

impl Orders {
    /// Answers when the order was placed.
    fn order(&self, call: Invocation) -> Answer {
        let (id,): (i32,) = call.args()?;
        match &self.db {
            #[cfg(feature = "adbapi")]
            Pool::Adbapi(db) => Reply::later(db.run_interaction(move |txn| {
                let rows = txn.query(INSERT, params![id])?;
                Ok(shown(rows[0].get(0)))
            })),
            #[cfg(feature = "txpostgres")]
            Pool::Txpostgres(db) => Reply::later(db.run_interaction(move |mut txn| async move {
                let rows = txn.query(INSERT, params![id]).await?;
                rows.row(0).expect("the new row").get(0).map(shown)
            })),
        }
    }

    fn order_and_fail(&self, call: Invocation) -> Answer {
        let (id,): (i32,) = call.args()?;
        match &self.db {
            #[cfg(feature = "adbapi")]
            Pool::Adbapi(db) => Reply::later(db.run_interaction(move |txn| {
                txn.execute(INSERT, params![id])?;
                Err::<(), _>(wampgres::adbapi::Error::custom("out of stock"))
            })),
            #[cfg(feature = "txpostgres")]
            Pool::Txpostgres(db) => Reply::later(db.run_interaction(move |mut txn| async move {
                txn.execute(INSERT, params![id]).await?;
                Err::<(), _>(sql::Error::custom("out of stock"))
            })),
        }
    }

    fn order_and_panic(&self, call: Invocation) -> Answer {
        let (id,): (i32,) = call.args()?;
        match &self.db {
            #[cfg(feature = "adbapi")]
            Pool::Adbapi(db) => Reply::later(db.run_interaction(move |txn| -> Result<(), _> {
                txn.execute(INSERT, params![id])?;
                panic!("{BUG}");
            })),
            #[cfg(feature = "txpostgres")]
            Pool::Txpostgres(db) => Reply::later(db.run_interaction(move |mut txn| async move {
                txn.execute(INSERT, params![id]).await?;
                if id > 0 {
                    panic!("{BUG}");
                }
                Ok(())
            })),
        }
    }

    fn order_twice(&self, call: Invocation) -> Answer {
        let (id,): (i32,) = call.args()?;
        match &self.db {
            #[cfg(feature = "adbapi")]
            Pool::Adbapi(db) => Reply::later(db.run_interaction(move |txn| {
                txn.execute(INSERT, params![id])?;
                txn.execute(INSERT, params![id])
            })),
            #[cfg(feature = "txpostgres")]
            Pool::Txpostgres(db) => Reply::later(db.run_interaction(move |mut txn| async move {
                txn.execute(INSERT, params![id]).await?;
                txn.execute(INSERT, params![id]).await
            })),
        }
    }

    fn panic(&self, _: Invocation) -> Answer {
        panic!("{BUG}");
    }

    fn caller(&self, call: Invocation) -> Answer {
        let caller = call.caller();
        Reply::now(caller.map(|caller| {
            json!({
                "session": caller.session,
                "authid": caller.authid,
                "authrole": caller.authrole
            })
        }))
    }
}

/// A client that is about to join.
fn connect(node: &InProcess) -> Client {
    Client::connect(Autobahn::Python, &node.websocket_url(), "realm1")
}

/// A client that has joined.
fn join(node: &InProcess) -> Client {
    Client::join(Autobahn::Python, &node.websocket_url())
}

/// A database with the table, and a node with the component on it.
fn start(backend: Backend, database: &str) -> (InProcess, Database) {
    start_with(backend, database, json!({}))
}

/// The same, with more settings for the component's database.
fn start_with(backend: Backend, database: &str, more: Value) -> (InProcess, Database) {
    let database = Database::create(database, backend);
    let table = "CREATE TABLE orders (id int PRIMARY KEY, placed timestamptz)";
    database.client().batch_execute(table).expect("a table");
    // One connection: what one call leaves on it, the next one finds.
    let mut extra = database.extra();
    extra["cp_min"] = json!(1);
    extra["cp_max"] = json!(1);
    for (key, value) in more.as_object().expect("an object") {
        extra[key] = value.clone();
    }
    let component = container(CLASSNAME, HERE, json!({"database": extra}));
    let mut router = router();
    let permissions = &mut router["realms"][0]["roles"][0]["permissions"];
    permissions.as_array_mut().expect("a list").push(json!({
        "uri": "com.disclosed.", "match": "prefix",
        "allow": {"call": true, "register": true}, "disclose": {"caller": true}
    }));
    let node = InProcess::start::<Orders>(CLASSNAME, &[router, component]);
    (node, database)
}

/// The orders that another connection sees.
fn orders(database: &Database) -> Vec<i32> {
    let rows = database
        .client()
        .query("SELECT id FROM orders ORDER BY id", &[]);
    rows.expect("the orders").iter().map(|r| r.get(0)).collect()
}

on_each_backend![
    an_interaction_that_fails_half_way_leaves_nothing_behind,
    callers_get_as_much_of_postgresqls_report_as_the_setting_says,
    a_wrong_argument_is_named,
    a_procedure_that_panics_is_an_error_for_its_caller_alone,
];

fn an_interaction_that_fails_half_way_leaves_nothing_behind(backend: Backend) {
    let (node, database) = start(backend, "half_way");
    let mut client = join(&node);

    let error = client.call_error("com.example.order_and_fail", json!([1]), json!({}));
    assert_eq!(error["uri"], "wamp.error.runtime_error");
    assert_eq!(error["args"], json!(["out of stock"]));
    assert_eq!(orders(&database), [] as [i32; 0]);

    let error = client.call_error("com.example.order_and_panic", json!([2]), json!({}));
    assert_eq!(error["uri"], "wamp.error.runtime_error");
    assert!(!error.to_string().contains(BUG), "for operators: {error}");
    assert_eq!(orders(&database), [] as [i32; 0]);

    let error = client.call_error("com.example.order_twice", json!([3]), json!({}));
    assert_eq!(error["uri"], "wampgres.error.conflict");
    let message = error["args"][0].as_str().expect("a message");
    assert!(message.contains("duplicate key value"), "{message}");
    let details = &error["kwargs"];
    assert_eq!(details["sqlstate"], "23505", "{error}");
    assert_eq!(details["severity"], "ERROR", "{error}");
    assert_eq!(orders(&database), [] as [i32; 0]);

    // The pool works on, and what succeeds stays.
    let placed = client.call("com.example.order", json!([4]), json!({}));
    python_datetime::parse(placed["args"][0].as_str().expect("one string"));
    assert_eq!(orders(&database), [4]);
}

fn callers_get_as_much_of_postgresqls_report_as_the_setting_says(backend: Backend) {
    const QUOTED: &str = "Key (id)=(3) already exists.";
    for (setting, names, detail) in [
        (None, Value::Null, Value::Null),
        (Some("none"), Value::Null, Value::Null),
        (Some("names"), json!("orders_pkey orders"), Value::Null),
        (Some("all"), json!("orders_pkey orders"), json!(QUOTED)),
    ] {
        let more = setting.map_or(json!({}), |setting| json!({"error_details": setting}));
        let name = format!("details_{}", setting.unwrap_or("default"));
        let (node, _database) = start_with(backend, &name, more);
        let mut client = join(&node);
        let error = client.call_error("com.example.order_twice", json!([3]), json!({}));
        let details = &error["kwargs"];
        assert_eq!(details["sqlstate"], "23505", "{setting:?}: {error}");
        assert_eq!(details["severity"], "ERROR", "{setting:?}: {error}");
        let told = match (&details["constraint"], &details["table"]) {
            (Value::String(constraint), Value::String(table)) => {
                json!(format!("{constraint} {table}"))
            }
            _ => Value::Null,
        };
        assert_eq!(told, names, "{setting:?}: {error}");
        assert_eq!(details["detail"], detail, "{setting:?}: {error}");
        let quotes = error.to_string().contains(QUOTED);
        assert_eq!(quotes, setting == Some("all"), "{setting:?}: {error}");
    }
}

fn a_wrong_argument_is_named(backend: Backend) {
    let (node, _database) = start(backend, "arguments");
    let mut client = join(&node);
    for (args, words) in [
        (json!(["four"]), "argument 1: invalid type: string \"four\""),
        (json!([4_000_000_000_u32]), "argument 1: invalid value"),
        (json!([]), "arguments: invalid length 0"),
        (json!([4, 5]), "arguments: invalid length 2"),
    ] {
        let error = client.call_error("com.example.order", args, json!({}));
        assert_eq!(error["uri"], "wamp.error.invalid_argument", "{error}");
        let message = error["args"][0].as_str().expect("a message");
        assert!(message.starts_with(words), "{message}");
    }
}

fn a_procedure_that_panics_is_an_error_for_its_caller_alone(backend: Backend) {
    let (node, _database) = start(backend, "panics");
    let mut client = join(&node);
    let error = client.call_error("com.example.panic", json!([]), json!({}));
    assert_eq!(error["uri"], "wamp.error.runtime_error", "{error}");
    assert!(!error.to_string().contains(BUG), "for operators: {error}");
    // The same thread serves on, for this session and for another.
    client.call("com.example.order", json!([1]), json!({}));
    join(&node).call("com.example.order", json!([2]), json!({}));
}

#[test]
fn the_caller_is_disclosed_where_the_permission_says_so() {
    let (node, _database) = start(Backend::default(), "disclosed");
    let mut client = connect(&node);
    let session = client.expect("joined")["session"].clone();
    let caller = client.value("com.disclosed.caller");
    assert_eq!(caller["session"], session, "{caller}");
    assert_eq!(caller["authrole"], "anonymous", "{caller}");
    let nobody = client.call("com.example.caller", json!([]), json!({}));
    assert_eq!(nobody["args"], json!([]), "a null, which Autobahn drops");
}
