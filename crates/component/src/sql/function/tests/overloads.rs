//! Functions of one name, those that are no procedures, and what is wrong with others.

use super::*;

const SCHEMA: &[&str] = &[
    "CREATE SCHEMA many",
    "CREATE FUNCTION many.find(id int) RETURNS text LANGUAGE sql AS $$SELECT 'id'$$",
    "CREATE FUNCTION many.find(name text) RETURNS text LANGUAGE sql AS $$SELECT 'name'$$",
    "CREATE FUNCTION many.find(name text, town text, n int = 5) RETURNS text LANGUAGE sql
     AS $$SELECT 'town ' || n$$",
    "CREATE FUNCTION many.find(jsonb) RETURNS text LANGUAGE sql AS $$SELECT 'json'$$",
    "COMMENT ON FUNCTION many.find(int) IS 'Finds it.'",
    "COMMENT ON FUNCTION many.find(text) IS '@concurrency 3'",
    "COMMENT ON FUNCTION many.find(jsonb) IS '@concurrency 2'",
    "CREATE FUNCTION many.pick(a text) RETURNS text LANGUAGE sql AS $$SELECT 'one'$$",
    "CREATE FUNCTION many.pick(a int, b int = 1) RETURNS text LANGUAGE sql AS $$SELECT 'two'$$",
    "CREATE FUNCTION many.pick(a int, VARIADIC c int[]) RETURNS text LANGUAGE sql
     AS $$SELECT 'more'$$",
    "CREATE SCHEMA wrong",
    "CREATE FUNCTION wrong.twins(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION wrong.twins(a text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION wrong.objects(json) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION wrong.objects(jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION wrong.options(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "COMMENT ON FUNCTION wrong.options IS E'Wrong.\\n@timout 2s\\n  @param b int\\n@result x'",
    "CREATE FUNCTION wrong.limited(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "COMMENT ON FUNCTION wrong.limited IS '@max_affected 1'",
    "CREATE FUNCTION wrong.anything(a anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION wrong.single(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION wrong.single(a int, b int = 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION wrong.taken() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION wrong.find(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE PROCEDURE wrong.tagged(INOUT tags public.hstore) LANGUAGE sql AS 'SELECT tags'",
    "CREATE SCHEMA others",
    "CREATE FUNCTION others.trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE FUNCTION others.event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE AGGREGATE others.total(int) (SFUNC = int4pl, STYPE = int)",
    "CREATE FUNCTION others.rank() RETURNS bigint LANGUAGE internal WINDOW AS 'window_row_number'",
    "CREATE FUNCTION others.internal(internal) RETURNS internal LANGUAGE internal STRICT
     AS 'int8_avg_serialize'",
    "CREATE EXTENSION pg_trgm SCHEMA others",
];

fn make_all() {
    static ONCE: OnceLock<()> = OnceLock::new();
    make(&ONCE, SCHEMA);
}

#[test]
fn the_arguments_choose_the_function() {
    make_all();
    for db in databases() {
        let functions = functions(&db, &["many"], json!({}));
        assert_eq!(faults(&functions), [""; 0]);
        for (name, args, kwargs, answer) in [
            ("find", json!([]), json!({"id": 1}), "id"),
            ("find", json!([]), json!({"name": "x"}), "name"),
            (
                "find",
                json!([]),
                json!({"name": "x", "town": "y"}),
                "town 5",
            ),
            ("find", json!(["x", "y"]), json!({}), "town 5"),
            ("find", json!(["x"]), json!({"town": "y", "n": 1}), "town 1"),
            ("find", json!([]), json!({"zip": "x"}), "json"),
            ("find", json!([]), json!({}), "json"),
            // The one that takes just these.
            ("pick", json!(["x"]), json!({}), "one"),
            ("pick", json!([1, 2]), json!({}), "two"),
            ("pick", json!([]), json!({"a": 1, "b": 2}), "two"),
            ("pick", json!([1, 2, 3]), json!({}), "more"),
            ("pick", json!([]), json!({"a": 1, "c": [2]}), "more"),
        ] {
            let told = call(&functions, name, args.clone(), kwargs.clone());
            assert_eq!(told, Ok(json!(answer)), "{name} {args} {kwargs}");
        }
        let find = &functions.all["com.shop.find"];
        assert_eq!(find.description(), "Finds it.");
        assert_eq!(find.concurrency().map(u64::from), Some(2));
    }
}

#[test]
fn arguments_that_choose_none_are_answered_with_all_of_them() {
    make_all();
    for db in databases() {
        let functions = functions(&db, &["many"], json!({}));
        for (name, args, kwargs, why) in [
            (
                "find",
                json!([1]),
                json!({}),
                "1 positional arguments came, which do not tell apart the functions of the \
                 procedure: find(id integer), find(name text)",
            ),
            (
                "find",
                json!([1, 2, 3, 4]),
                json!({"x": 1, "y": 2}),
                "4 positional arguments came, and x, y, which no function of the procedure takes; \
                 there are: find(id integer), find(name text), find(name text, town text, [n \
                 integer]), find($1 jsonb)",
            ),
            (
                "pick",
                json!([]),
                json!({"d": 1}),
                "there came d, which no function of the procedure takes; there are: pick(a text), \
                 pick(a integer, [b integer]), pick(a integer, [VARIADIC c integer[]])",
            ),
            (
                "pick",
                json!([]),
                json!({}),
                "no argument came, which no function",
            ),
        ] {
            let told = call(&functions, name, args.clone(), kwargs.clone()).unwrap_err();
            let why = format!("wamp.error.invalid_argument: {why}");
            assert!(told.starts_with(&why), "{name} {args} {kwargs}: {told}");
        }
    }
}

#[test]
fn faults_have_their_place_and_the_rest_is_served() {
    make_all();
    let options = json!({"procedures": {
        "com.shop.taken": {"sql": "SELECT 1"},
        "com.shop.gone": {"max_rows": 1},
        "com.shop.find": {"params": {"town": "text", "towm": "text"}},
    }});
    for db in databases() {
        let functions = functions(&db, &["many", "wrong", "Many"], options.clone());
        let told = faults(&functions);
        let expected = [
            "extra.schemas[\"Many\"]: there is no schema `Many` in the database, did you mean `many`?",
            "extra.procedures[\"com.shop.find\"].params: there is no parameter `towm`, did you mean `town`?; it has: ",
            "wrong.anything(a anyelement): `a` can have any type (anyelement): say which, by `@param a type`",
            "wrong.find: the procedure com.shop.find is there already, from many.find(id integer): rename",
            "wrong.limited(a integer): `max_affected` cannot be kept",
            "COMMENT ON FUNCTION wrong.options(a integer):2:1: unknown option `timout`, did you mean `timeout`?",
            "COMMENT ON FUNCTION wrong.options(a integer):4:1: `@result` is for the statements of a file",
            "COMMENT ON FUNCTION wrong.options(a integer):3:3: there is no parameter `b`",
            "wrong.taken: the procedure com.shop.taken is there already, with SQL of its own",
            "wrong.objects(jsonb): no call can tell it from wrong.objects(json)",
            "wrong.twins(a text): no call can tell it from wrong.twins(a integer)",
            "extra.procedures[\"com.shop.gone\"]: has no `sql`, and there is no file and no function",
            // PostgreSQL can call it in no way.
            "wrong.single(a integer): function wrong.single(a => integer) is not unique",
            "wrong.tagged(tags hstore): the type of column `tags` has to be cast in SQL",
        ];
        for words in expected {
            assert!(
                told.iter().any(|fault| fault.starts_with(words)),
                "{words}: {told:#?}"
            );
        }
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        let served: Vec<_> = functions.all.keys().map(String::as_str).collect();
        let names = ["find", "objects", "pick", "single", "tagged", "twins"]
            .map(|name| format!("com.shop.{name}"));
        assert_eq!(served, names);
        let told = call(&functions, "twins", json!([1]), json!({})).unwrap_err();
        assert!(told.contains("do not tell apart"), "{told}");
    }
}

#[test]
fn what_is_not_for_calls_is_left_out_with_the_reason() {
    make_all();
    for db in databases() {
        let functions = functions(&db, &["others"], json!({}));
        assert_eq!(faults(&functions), [""; 0]);
        assert!(functions.all.is_empty());
        for (signature, why) in [
            ("others.trigger()", "it is a trigger function"),
            ("others.event()", "it is a trigger function"),
            ("others.total(integer)", "it is an aggregate"),
            ("others.rank()", "it is a window function"),
            (
                "others.internal(internal)",
                "it takes internal, of which SQL has no values",
            ),
            (
                "others.similarity(text, text)",
                "it is of the extension pg_trgm",
            ),
        ] {
            let found = functions
                .left_out
                .iter()
                .find(|of| of.signature == signature);
            let found = found.unwrap_or_else(|| panic!("{signature}: {:#?}", functions.left_out));
            assert_eq!((found.why.as_str(), found.is_forbidden), (why, false));
        }
    }
}
