//! Each kind of function, and what becomes of its result.

use super::*;

const SCHEMA: &[&str] = &[
    "CREATE SCHEMA kinds",
    "CREATE TABLE kinds.goods (id int, name text, price numeric, tags public.hstore)",
    "INSERT INTO kinds.goods VALUES (1, 'tea', 3.50, 'a=>b'), (2, 'pot', 20, NULL)",
    "CREATE DOMAIN kinds.ware AS kinds.goods",
    "CREATE FUNCTION kinds.add(a int, b int = 10) RETURNS int IMMUTABLE
     BEGIN ATOMIC SELECT a + b; END",
    "CREATE FUNCTION kinds.nothing() RETURNS void LANGUAGE sql AS ''",
    "CREATE FUNCTION kinds.nothings() RETURNS SETOF void LANGUAGE sql AS ''",
    "CREATE FUNCTION kinds.of_id(id int) RETURNS kinds.goods LANGUAGE sql STABLE
     AS 'SELECT g FROM kinds.goods g WHERE g.id = $1'",
    "CREATE FUNCTION kinds.ware(id int) RETURNS kinds.ware LANGUAGE sql STABLE
     AS 'SELECT g FROM kinds.goods g WHERE g.id = $1'",
    "CREATE FUNCTION kinds.all() RETURNS SETOF kinds.goods LANGUAGE sql STABLE
     AS 'SELECT * FROM kinds.goods ORDER BY id'",
    "CREATE FUNCTION kinds.cheap(price numeric, n int DEFAULT 20)
     RETURNS TABLE (id int, name text) LANGUAGE sql
     AS 'SELECT id, name FROM kinds.goods g WHERE g.price < $1 LIMIT n'",
    "CREATE FUNCTION kinds.names() RETURNS SETOF text LANGUAGE sql
     AS 'SELECT name FROM kinds.goods ORDER BY id'",
    "CREATE FUNCTION kinds.ids() RETURNS TABLE (id int) LANGUAGE sql
     AS 'SELECT id FROM kinds.goods ORDER BY id'",
    "CREATE FUNCTION kinds.halves(INOUT n int, OUT half float8) LANGUAGE sql STRICT
     AS 'SELECT n, n / 2.0'",
    "CREATE FUNCTION kinds.one(OUT total int) LANGUAGE sql AS 'SELECT 7'",
    "CREATE FUNCTION kinds.unnamed(int, b int DEFAULT 4, int DEFAULT 5) RETURNS int LANGUAGE sql
     AS 'SELECT $1 * 100 + $2 * 10 + $3'",
    "CREATE FUNCTION kinds.outs(OUT int, OUT text) LANGUAGE sql AS $$SELECT 1, 'x'$$",
    "CREATE FUNCTION kinds.anyhow() RETURNS record LANGUAGE sql AS $$SELECT 1, 'x'::text$$",
    "CREATE FUNCTION kinds.anyhows() RETURNS SETOF record LANGUAGE sql AS $$SELECT 1, 'x'::text$$",
    "CREATE FUNCTION kinds.joined(sep text, VARIADIC words text[]) RETURNS text LANGUAGE sql
     AS 'SELECT array_to_string(words, sep)'",
    "CREATE FUNCTION kinds.counted(VARIADIC n int[] DEFAULT '{7,8}') RETURNS int LANGUAGE sql
     AS 'SELECT cardinality(n)'",
    "CREATE FUNCTION kinds.echo(json) RETURNS json LANGUAGE sql AS 'SELECT $1'",
    "CREATE FUNCTION kinds.keys(jsonb) RETURNS SETOF text LANGUAGE sql
     AS 'SELECT jsonb_object_keys($1)'",
    "CREATE FUNCTION kinds.first(list anyarray) RETURNS anyelement LANGUAGE sql
     AS 'SELECT list[1]'",
    "COMMENT ON FUNCTION kinds.first IS '@param list text[]'",
    "CREATE PROCEDURE kinds.restock(id int, amount int = 1) LANGUAGE sql
     AS 'UPDATE kinds.goods SET price = price + amount * 0 WHERE id = $1'",
    "CREATE PROCEDURE kinds.tell(a int, OUT twice int, INOUT word text = 'so') LANGUAGE plpgsql
     AS 'BEGIN twice := 2 * a; word := word || ''!''; END'",
    "CREATE FUNCTION kinds.\"Mixed Case\"(\"A b\" int, \"select\" int = 1) RETURNS int LANGUAGE sql
     AS 'SELECT $1 - $2'",
    "CREATE FUNCTION kinds.\"mixedCase\"(\"first Name\" text, \"select\" text = '!') RETURNS text
     LANGUAGE sql AS 'SELECT $1 || $2'",
];

fn made(db: &Arc<dyn Database>) -> Functions {
    static ONCE: OnceLock<()> = OnceLock::new();
    make(&ONCE, SCHEMA);
    functions(db, &["kinds"], json!({}))
}

#[test]
fn results_are_what_the_function_returns() {
    let tea = json!({"id": 1, "name": "tea", "price": "3.50", "tags": "\"a\"=>\"b\""});
    let pot = json!({"id": 2, "name": "pot", "price": "20", "tags": null});
    for db in databases() {
        let functions = made(&db);
        for (name, args, answer) in [
            ("add", json!([1, 2]), json!(3)),
            ("nothing", json!([]), json!(null)),
            ("nothings", json!([]), json!(null)),
            ("of_id", json!([1]), tea.clone()),
            ("of_id", json!([9]), json!(null)),
            ("ware", json!([2]), pot.clone()),
            ("ware", json!([9]), json!(null)),
            ("all", json!([]), json!([tea, pot])),
            ("cheap", json!([10]), json!([{"id": 1, "name": "tea"}])),
            ("cheap", json!([0]), json!([])),
            ("names", json!([]), json!(["tea", "pot"])),
            ("ids", json!([]), json!([{"id": 1}, {"id": 2}])),
            ("halves", json!([3]), json!({"n": 3, "half": 1.5})),
            ("halves", json!([null]), json!(null)),
            ("one", json!([]), json!({"total": 7})),
            ("outs", json!([]), json!({"column1": 1, "column2": "x"})),
            ("anyhow", json!([]), json!({"f1": 1, "f2": "x"})),
            ("anyhows", json!([]), json!([{"f1": 1, "f2": "x"}])),
            ("first", json!([["a", "b"]]), json!("a")),
            ("restock", json!([1]), json!(null)),
            ("tell", json!([4]), json!({"twice": 8, "word": "so!"})),
            ("tell", json!([4, "no"]), json!({"twice": 8, "word": "no!"})),
            ("mixedCase", json!(["x"]), json!("x!")),
        ] {
            let told = call(&functions, name, args.clone(), json!({}));
            assert_eq!(told, Ok(answer), "{name} {args}");
        }
        let kwargs = json!({"first Name": "y", "select": "?"});
        let told = call(&functions, "mixedCase", json!([]), kwargs);
        assert_eq!(told, Ok(json!("y?")));
        let why = "is no URI of a procedure: give the function another name";
        let fault = format!("kinds.\"Mixed Case\": \"com.shop.Mixed Case\" {why}");
        assert_eq!(faults(&functions), [fault]);
    }
}

#[test]
fn arguments_are_given_by_position_and_by_name_and_the_rest_is_postgresqls() {
    for db in databases() {
        let functions = made(&db);
        for (name, args, kwargs, answer) in [
            ("add", json!([1]), json!({}), json!(11)),
            ("add", json!([]), json!({"a": 1}), json!(11)),
            ("add", json!([1]), json!({"b": 5}), json!(6)),
            ("add", json!([]), json!({"b": 5, "a": 2}), json!(7)),
            ("add", json!([1, null]), json!({}), json!(null)),
            ("unnamed", json!([1]), json!({}), json!(145)),
            ("unnamed", json!([1]), json!({"b": 2}), json!(125)),
            ("unnamed", json!([1, 2, 3]), json!({}), json!(123)),
            ("joined", json!(["-"]), json!({}), json!("")),
            ("joined", json!(["-", "a"]), json!({}), json!("a")),
            ("joined", json!(["-", "a", "b"]), json!({}), json!("a-b")),
            ("joined", json!(["-", ["a", "b"]]), json!({}), json!("a-b")),
            (
                "joined",
                json!(["-"]),
                json!({"words": ["a", "b"]}),
                json!("a-b"),
            ),
            ("joined", json!(["-"]), json!({"words": null}), json!(null)),
            ("counted", json!([]), json!({}), json!(2)),
            ("counted", json!([1, 2, 3]), json!({}), json!(3)),
            ("counted", json!([[]]), json!({}), json!(0)),
            (
                "echo",
                json!([]),
                json!({"b": 1, "a": [2.5]}),
                json!({"b": 1, "a": [2.5]}),
            ),
            ("echo", json!([]), json!({}), json!({})),
            ("echo", json!([[1, 2]]), json!({}), json!([1, 2])),
            (
                "keys",
                json!([]),
                json!({"y": 1, "x": 2}),
                json!(["x", "y"]),
            ),
            (
                "tell",
                json!([]),
                json!({"word": "x", "a": 1}),
                json!({"twice": 2, "word": "x!"}),
            ),
        ] {
            let told = call(&functions, name, args.clone(), kwargs.clone());
            assert_eq!(told, Ok(answer), "{name} {args} {kwargs}");
        }
    }
}

#[test]
fn arguments_that_do_not_suit_are_named() {
    for db in databases() {
        let functions = made(&db);
        for (name, args, kwargs, why) in [
            (
                "add",
                json!([]),
                json!({"b": 1}),
                "argument `a` is missing: wanted integer",
            ),
            (
                "add",
                json!([1]),
                json!({"a": 1}),
                "argument `a` came twice",
            ),
            (
                "add",
                json!([1]),
                json!({"bb": 1}),
                "there is no argument `bb`, did you mean `b`?; the procedure takes: add(a integer, [b integer])",
            ),
            (
                "add",
                json!([1, 2, 3]),
                json!({}),
                "3 arguments came, and the procedure takes 2: add(a integer, [b integer])",
            ),
            ("add", json!(["x"]), json!({}), "argument `a`: wanted "),
            (
                "tell",
                json!([1]),
                json!({"twice": 1}),
                "there is no argument `twice`",
            ),
            (
                "unnamed",
                json!([1]),
                json!({"$3": 2}),
                "an argument is missing before one that has no name",
            ),
            (
                "echo",
                json!([1]),
                json!({"a": 1}),
                "the procedure takes keyword arguments, all as",
            ),
        ] {
            let told = call(&functions, name, args.clone(), kwargs.clone()).unwrap_err();
            let why = format!("wamp.error.invalid_argument: {why}");
            assert!(told.starts_with(&why), "{name} {args} {kwargs}: {told}");
        }
    }
}

#[test]
fn options_say_what_the_answer_is_made_of() {
    let options = json!({"procedures": {
        "com.shop.all": {"returns": "arrays"},
        "com.shop.of_id": {"returns": "rows", "params": {"id": {"default": 2}}},
        "com.shop.ware": {"params": {"id": "jsonb"}},
        "com.shop.names": {"returns": "count"},
        "com.shop.ids": {"returns": "values", "max_rows": 2},
        "com.shop.add": {"returns": "none", "description": "Adds."}
    }});
    for db in databases() {
        made(&db);
        let functions = functions(&db, &["kinds"], options.clone());
        let pot = json!({"id": 2, "name": "pot", "price": "20", "tags": null});
        for (name, args, answer) in [
            (
                "all",
                json!([]),
                json!([[1, "tea", "3.50", "\"a\"=>\"b\""], [2, "pot", "20", null]]),
            ),
            ("of_id", json!([]), json!([pot])),
            ("of_id", json!([9]), json!([])),
            ("names", json!([]), json!(2)),
            ("ids", json!([]), json!([1, 2])),
            ("add", json!([1]), json!(null)),
        ] {
            let told = call(&functions, name, args.clone(), json!({}));
            assert_eq!(told, Ok(answer), "{name} {args}");
        }
        // The type that is said is none that PostgreSQL would make an int of.
        let told = faults(&functions).join("\n");
        assert!(
            told.contains("kinds.ware(id integer): function kinds.ware(id => jsonb)"),
            "{told}"
        );
        assert_eq!(functions.all["com.shop.add"].description(), "Adds.");
    }
}
