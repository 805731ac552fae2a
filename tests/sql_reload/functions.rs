//! Functions of schemas that become others while the node runs.

use super::*;

on_each_backend![functions_of_schemas_are_followed_too];

const FUNCTIONS: &str = "CREATE SCHEMA api;
         CREATE TABLE goods (id int); INSERT INTO goods VALUES (1);
         CREATE FUNCTION api.same() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION api.changed() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION api.gone() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION api.moved() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION api.goods() RETURNS SETOF goods LANGUAGE sql AS 'SELECT * FROM goods'";
const OTHERS: &str = "CREATE FUNCTION api.added(n int = 5) RETURNS int LANGUAGE sql AS 'SELECT n';
         DROP FUNCTION api.changed();
         CREATE FUNCTION api.changed(a int, b text = 'x') RETURNS TABLE (c text) STABLE LANGUAGE sql
             AS 'SELECT a || b';
         COMMENT ON FUNCTION api.changed IS E'Two of them.\\n@returns stream\\n@concurrency 2';
         COMMENT ON FUNCTION api.same IS '@timout 2s';
         DROP FUNCTION api.gone();
         ALTER TABLE goods ADD name text DEFAULT 'tea'";

fn functions_of_schemas_are_followed_too(backend: Backend) {
    let database = Database::create("sql_reloaded_functions", backend);
    let mut sql = database.client();
    let mut run = |text: &str| sql.batch_execute(text).expect("DDL");
    run(FUNCTIONS);
    let files = tempfile::tempdir().expect("a directory");
    let extra = json!({
        "database": database.extra(), "schemas": ["api"], "directory": files.path(), "prefix": "com.shop"
    });
    let mut node = Node::start(&config(&[
        router(),
        container("sql.Procedures", HERE, extra),
    ]));
    node.wait_for_log("functions of schemas are prepared prepared=5 faulty=0");
    let mut client = Client::join(node.address());
    for name in ["same", "changed", "gone", "moved"] {
        assert_eq!(call(&mut client, &format!("com.shop.{name}")), Ok(json!(1)));
    }
    let goods = client.result_of("com.shop.goods", &json!([]));
    assert_eq!(goods, json!([[{"id": 1}]]));

    run(OTHERS);
    // A file takes the URI of a function over.
    fs::write(files.path().join("moved.sql"), value("SELECT 2")).expect("a file");
    node.signal(Signal::SIGHUP);
    node.wait_for_log(
        "functions of schemas are reloaded added=1 replaced=1 removed=1 prepared=3 faulty=2",
    );
    node.wait_for_log(
        "procedures in SQL are reloaded added=0 replaced=1 removed=0 prepared=1 faulty=0",
    );
    for words in [
        "unknown option `timout`, did you mean `timeout`?",
        "the procedure stays as it was before this fault procedure=\"com.shop.same\"",
        "the procedure com.shop.moved is there already, with SQL of its own",
    ] {
        assert!(node.log().contains(words), "{words}");
    }
    assert_eq!(call(&mut client, "com.shop.same"), Ok(json!(1)));
    assert_eq!(call(&mut client, "com.shop.added"), Ok(json!(5)));
    assert_eq!(call(&mut client, "com.shop.moved"), Ok(json!(2)));
    assert_eq!(error_of(&mut client, "com.shop.gone"), NO_SUCH_PROCEDURE);
    let goods = client.result_of("com.shop.goods", &json!([]));
    assert_eq!(goods, json!([[{"id": 1, "name": "tea"}]]));
    let whole = client.result_of("com.shop.changed", &json!([7]));
    assert_eq!(whole, json!([[{"c": "7x"}]]));
    let request = client.next_request();
    let progress = json!({"receive_progress": true});
    client.send(&json!([
        code::CALL,
        request,
        progress,
        "com.shop.changed",
        [8, "y"]
    ]));
    client.expect(&json!([code::RESULT, request, {"progress": true}, [[{"c": "8y"}]]]));
    client.expect(&json!([code::RESULT, request, {}]));

    // It is taken back.
    fs::remove_file(files.path().join("moved.sql")).expect("it is there");
    node.signal(Signal::SIGHUP);
    wait::until("the function", || {
        (call(&mut client, "com.shop.moved") == Ok(json!(1))).then_some(())
    });
}
