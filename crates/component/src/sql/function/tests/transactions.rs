//! The transactions in which functions run: read only, what they set for themselves, limits.

use super::*;

const SCHEMA: &[&str] = &[
    "CREATE SCHEMA runs",
    "CREATE TABLE runs.log (word text)",
    "CREATE FUNCTION runs.write(word text) RETURNS void LANGUAGE sql
     AS 'INSERT INTO runs.log VALUES (word)'",
    "CREATE FUNCTION runs.sneaky() RETURNS void LANGUAGE plpgsql STABLE
     AS $$BEGIN PERFORM runs.write('sneaky'); END$$",
    "CREATE FUNCTION runs.shown() RETURNS TABLE (isolation text, read_only text, timeout text)
     LANGUAGE sql AS $$SELECT current_setting('transaction_isolation'),
     current_setting('transaction_read_only'), current_setting('statement_timeout')$$",
    "CREATE FUNCTION runs.stable() RETURNS text LANGUAGE sql STABLE
     AS $$SELECT current_setting('transaction_read_only')$$",
    "CREATE FUNCTION runs.immutable() RETURNS text LANGUAGE sql IMMUTABLE
     AS $$SELECT current_setting('transaction_read_only')$$",
    "CREATE FUNCTION runs.set() RETURNS TABLE (isolation text, read_only text)
     LANGUAGE sql SET default_transaction_isolation = 'repeatable read'
     SET default_transaction_read_only = on
     AS $$SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')$$",
    "CREATE FUNCTION runs.slow() RETURNS void LANGUAGE sql SET statement_timeout = '50ms'
     AS 'SELECT pg_sleep(30)'",
    "CREATE FUNCTION runs.longer() RETURNS text LANGUAGE sql SET statement_timeout = '50ms'
     AS $$SELECT pg_sleep(0.1); SELECT 'done'$$",
    "COMMENT ON FUNCTION runs.longer() IS '@timeout 1min'",
    "CREATE FUNCTION runs.many(n int) RETURNS SETOF int LANGUAGE sql AS
     $$INSERT INTO runs.log VALUES ('many'); SELECT generate_series(1, n)$$",
    "COMMENT ON FUNCTION runs.many IS '@max_rows 3'",
    "CREATE FUNCTION runs.single(n int) RETURNS SETOF int LANGUAGE sql AS
     $$INSERT INTO runs.log VALUES ('single'); SELECT generate_series(1, n)$$",
    "COMMENT ON FUNCTION runs.single IS '@returns value'",
    "CREATE FUNCTION runs.dry() RETURNS bigint LANGUAGE sql AS
     $$INSERT INTO runs.log VALUES ('dry'); SELECT count(*) FROM runs.log WHERE word = 'dry'$$",
    "COMMENT ON FUNCTION runs.dry IS E'Only tries.\\n@dry_run'",
    "CREATE PROCEDURE runs.commits(INOUT n int = 1) LANGUAGE plpgsql AS $$BEGIN
     INSERT INTO runs.log VALUES ('commits'); COMMIT; ROLLBACK; n := n + 1; END$$",
    "CREATE PROCEDURE runs.commits_alone() LANGUAGE plpgsql AS $$BEGIN
     INSERT INTO runs.log VALUES ('commits'); COMMIT; END$$",
    "CREATE FUNCTION runs.\"with\"(a int = 1, b int = 2, c int = 3, d int = 4, e int = 5, f int = 6,
     g int = 7) RETURNS int LANGUAGE sql AS 'SELECT a + b + c + d + e + f + g'",
    "CREATE FUNCTION runs.raises() RETURNS void LANGUAGE plpgsql
     AS $$BEGIN RAISE 'no more tea'; END$$",
];

fn made(db: &Arc<dyn Database>) -> Functions {
    static ONCE: OnceLock<()> = OnceLock::new();
    make(&ONCE, SCHEMA);
    functions(db, &["runs"], json!({"timeout": "5min"}))
}

fn logged(db: &Arc<dyn Database>, word: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM runs.log WHERE word = '{word}'");
    let rows = run(&**db, &sql, Vec::new());
    rows.row(0).unwrap().get(0).unwrap()
}

#[test]
fn what_may_not_write_runs_read_only() {
    for db in databases() {
        let functions = made(&db);
        let result = |name: &str| call(&functions, name, json!([]), json!({}));
        assert_eq!(result("stable"), Ok(json!("on")));
        assert_eq!(result("immutable"), Ok(json!("on")));
        let shown = json!([{"isolation": "read committed", "read_only": "off", "timeout": "5min"}]);
        assert_eq!(result("shown"), Ok(shown));
        let before = logged(&db, "sneaky");
        let told = result("sneaky").unwrap_err();
        assert!(
            told.contains("cannot execute INSERT in a read-only transaction"),
            "{told}"
        );
        assert_eq!(logged(&db, "sneaky"), before);
        // Whoever says it may write knows better.
        let options = json!({"procedures": {"com.shop.sneaky": {"read_only": false}}});
        let functions = self::functions(&db, &["runs"], options);
        assert_eq!(
            call(&functions, "sneaky", json!([]), json!({})),
            Ok(json!(null))
        );
        assert_eq!(logged(&db, "sneaky"), before + 1);
    }
}

#[test]
fn what_a_function_sets_acts_in_its_transaction() {
    for db in databases() {
        let functions = made(&db);
        let result = |name: &str| call(&functions, name, json!([]), json!({}));
        let set = json!([{"isolation": "repeatable read", "read_only": "on"}]);
        assert_eq!(result("set"), Ok(set));
        let told = result("slow").unwrap_err();
        assert!(told.contains("statement timeout"), "{told}");
        // The option goes before it.
        assert_eq!(result("longer"), Ok(json!("done")));
        let told = result("raises").unwrap_err();
        assert!(told.contains("no more tea"), "{told}");
    }
}

#[test]
fn what_gives_too_much_is_undone() {
    for db in databases() {
        let functions = made(&db);
        let three = call(&functions, "many", json!([3]), json!({}));
        assert_eq!(three, Ok(json!([1, 2, 3])));
        let before = logged(&db, "many");
        let told = call(&functions, "many", json!([4]), json!({})).unwrap_err();
        let why = "wamp.error.payload_size_exceeded: the procedure gives 4 rows, more than 3, its `max_rows`";
        assert!(told.starts_with(why), "{told}");
        assert_eq!(logged(&db, "many"), before);

        assert_eq!(
            call(&functions, "single", json!([1]), json!({})),
            Ok(json!(1))
        );
        assert_eq!(
            call(&functions, "single", json!([0]), json!({})),
            Ok(json!(null))
        );
        let before = logged(&db, "single");
        let told = call(&functions, "single", json!([2]), json!({})).unwrap_err();
        assert!(
            told.contains("answers with one row, and its function gave 2"),
            "{told}"
        );
        assert_eq!(logged(&db, "single"), before);

        assert_eq!(call(&functions, "dry", json!([]), json!({})), Ok(json!(1)));
        assert_eq!(logged(&db, "dry"), 0);
    }
}

#[test]
fn a_procedure_may_commit() {
    for db in databases() {
        made(&db);
        let with_identity = functions(&db, &["runs"], json!({}));
        let told = call(&with_identity, "commits_alone", json!([]), json!({})).unwrap_err();
        assert!(told.contains("needs `identity false`"), "{told}");
        let functions = functions(&db, &["runs"], json!({"identity": false}));
        let before = logged(&db, "commits");
        let answer = call(&functions, "commits", json!([1]), json!({}));
        assert_eq!(answer, Ok(json!({"n": 2})));
        let answer = call(&functions, "commits_alone", json!([]), json!({}));
        assert_eq!(answer, Ok(json!(null)));
        assert_eq!(logged(&db, "commits"), before + 2);
    }
}

#[test]
fn any_set_of_arguments_will_do_beyond_those_that_are_kept() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    for db in databases() {
        let functions = made(&db);
        for given in 0..128_usize {
            let given = (0..7).filter(|at| given & (1 << at) != 0);
            let kwargs = given.map(|at| (names[at].to_owned(), json!(0)));
            let kwargs: serde_json::Map<_, _> = kwargs.collect();
            let left = names.iter().enumerate();
            let left = left.filter(|(_, name)| !kwargs.contains_key(**name));
            let sum: usize = left.map(|(at, _)| at + 1).sum();
            let told = call(&functions, "with", json!([]), Value::Object(kwargs));
            assert_eq!(told, Ok(json!(sum)));
        }
    }
}
