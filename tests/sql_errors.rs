//! Errors of SQL as callers get them and as operators read them: the real node and raw clients.

use serde_json::{Value, json};

use crate::support::{
    backends::{Backend, on_each_backend},
    node::{HERE, Node, config, container, router},
    postgres::Database,
    websocket::{Client, code},
};

on_each_backend!(
    sql_raises_wamp_errors,
    what_is_about_the_inside_is_logged_and_told_only_for_debugging,
    constraints_are_told_as_far_as_the_setting_goes,
);

const SCHEMA: &str = "
    CREATE TABLE goods (name text PRIMARY KEY, stock int CHECK (stock >= 0));
    INSERT INTO goods VALUES ('tea', 1);
    CREATE FUNCTION buy(goods text, amount int) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE has int := (SELECT stock FROM goods WHERE name = buy.goods);
    BEGIN
        IF has IS NULL THEN
            RAISE EXCEPTION 'there is no %', goods USING ERRCODE = 'WAMP0', HINT = 'com.shop.no_such_goods';
        END IF;
        IF has < amount THEN
            RAISE EXCEPTION 'sold out' USING ERRCODE = 'WAMP0', DETAIL = json_build_object(
                'uri', 'com.shop.sold_out', 'args', json_build_array(goods, amount),
                'kwargs', json_build_object('left', has));
        END IF;
        IF amount = 0 THEN
            RAISE EXCEPTION 'nothing' USING ERRCODE = 'WAMP0', DETAIL = '{uri: com.shop.nothing}';
        END IF;
        RETURN has - amount;
    END $$";

fn start(database: &Database, details: &str) -> Node {
    let client = database.client().batch_execute(SCHEMA);
    client.expect("a shop");
    serve(database, details)
}

fn serve(database: &Database, details: &str) -> Node {
    let mut settings = database.extra();
    settings["error_details"] = json!(details);
    let extra = json!({"database": settings, "procedures": {
        "com.shop.buy": {"sql": "SELECT buy(:goods, :amount)", "returns": "value"},
        "com.shop.add": {"sql": "INSERT INTO goods VALUES (:name, :stock)"},
        "com.shop.broken": {"sql": "SELECT nothing_there FROM goods"},
        "com.shop.stolen": {"sql": "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'XX001', \
                                    MESSAGE = 'page 7 of base/5/16384 is torn'; END $$"}
    }});
    Node::start(&config(&[
        router(),
        container("sql.Procedures", HERE, extra),
    ]))
}

/// The ERROR of a call: its URI, arguments and keyword arguments.
fn error(client: &mut Client, uri: &str, args: Value) -> (Value, Value, Value) {
    let request = client.call(uri, &args);
    let message = client.message();
    assert_eq!(message[0], code::ERROR, "{message}");
    assert_eq!(message[2], request);
    let kwargs = message.get(6).cloned().unwrap_or_default();
    (message[4].clone(), message[5].clone(), kwargs)
}

fn sql_raises_wamp_errors(backend: Backend) {
    let database = Database::create("sql_raises", backend);
    let mut node = start(&database, "none");
    let mut client = Client::join(node.address());
    assert_eq!(
        client.result_of("com.shop.buy", &json!(["tea", 1])),
        json!([0])
    );
    assert_eq!(
        error(&mut client, "com.shop.buy", json!(["pot", 1])),
        (
            json!("com.shop.no_such_goods"),
            json!(["there is no pot"]),
            Value::Null
        )
    );
    assert_eq!(
        error(&mut client, "com.shop.buy", json!(["tea", 3])),
        (
            json!("com.shop.sold_out"),
            json!(["tea", 3]),
            json!({"left": 1})
        )
    );
    let (uri, args, _) = error(&mut client, "com.shop.buy", json!(["tea", 0]));
    assert_eq!(uri, "wamp.error.runtime_error");
    let told = args[0].as_str().expect("a text");
    let why = "SQL has raised SQLSTATE WAMP0, which is to be a WAMP error, and is none: its DETAIL is \
               to be an object in JSON";
    assert!(told.starts_with(why), "{told}");
    node.wait_for_log("which is to be a WAMP error, and is none");
    let log = node.log();
    let line = log.lines().find(|line| line.contains("and is none"));
    assert!(line.expect("it").contains("com.shop.buy"), "{log}");
    assert!(!log.contains("sold out"), "{log}");
}

fn what_is_about_the_inside_is_logged_and_told_only_for_debugging(backend: Backend) {
    let database = Database::create("sql_inside", backend);
    let mut node = start(&database, "all");
    let mut client = Client::join(node.address());
    for (uri, sqlstate, words) in [
        ("com.shop.broken", "42703", "nothing_there"),
        ("com.shop.stolen", "XX001", "base/5/16384"),
    ] {
        let (error_uri, args, kwargs) = error(&mut client, uri, json!([]));
        assert_eq!(error_uri, "wamp.error.runtime_error");
        assert!(!args.to_string().contains(words), "{args}");
        assert_eq!(kwargs, json!({"severity": "ERROR", "sqlstate": sqlstate}));
        node.wait_for_log(&format!("(SQLSTATE {sqlstate})"));
        let log = node.log();
        let line = log
            .lines()
            .find(|line| line.contains("a call has failed") && line.contains(sqlstate));
        let line = line.expect("operators hear of it");
        assert!(line.contains(words) && line.contains(uri), "{line}");
    }
    drop(node);
    let node = serve(&database, "debug");
    let mut client = Client::join(node.address());
    let (_, args, kwargs) = error(&mut client, "com.shop.broken", json!([]));
    assert!(args.to_string().contains("nothing_there"), "{args}");
    assert_eq!(kwargs["message"], "column \"nothing_there\" does not exist");
}

fn constraints_are_told_as_far_as_the_setting_goes(backend: Backend) {
    let database = Database::create("sql_constraints", backend);
    let mut node = start(&database, "none");
    let message = "duplicate key value violates unique constraint \"goods_pkey\"";
    for (details, names, detail) in [
        ("none", Value::Null, Value::Null),
        ("names", json!("goods_pkey"), Value::Null),
        (
            "all",
            json!("goods_pkey"),
            json!("Key (name)=(tea) already exists."),
        ),
    ] {
        node = match details {
            "none" => node,
            details => serve(&database, details),
        };
        let mut client = Client::join(node.address());
        let (uri, args, kwargs) = error(&mut client, "com.shop.add", json!(["tea", 1]));
        assert_eq!(uri, "wampgres.error.conflict");
        assert_eq!(kwargs["sqlstate"], "23505");
        assert_eq!(kwargs["message"], message);
        assert_eq!(kwargs["constraint"], names, "{details}");
        assert_eq!(kwargs["detail"], detail, "{details}");
        assert_eq!(
            args.to_string().contains("already exists"),
            details == "all"
        );
        let (uri, _, kwargs) = error(&mut client, "com.shop.add", json!(["pot", -1]));
        assert_eq!(uri, "wamp.error.invalid_argument");
        assert_eq!(kwargs["sqlstate"], "23514");
    }
    assert!(!node.log().contains("a call has failed"));
}
