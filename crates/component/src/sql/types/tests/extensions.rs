//! What has no binary form here travels as PostgreSQL's text, by a cast around the statement.

use sql::{Database, Rows, Value};

use super::{
    super::{Argument, Columns, Forms, as_text},
    databases, described,
    generated::Random,
    json, run, try_run,
};

/// The statement that PostgreSQL takes of those that give text.
fn textual(database: &dyn Database, sql: &str) -> String {
    let description = described(database, sql).unwrap();
    let mut statements = as_text(sql, &description).into_iter();
    let taken = statements.find(|statement| described(database, statement).is_ok());
    taken.unwrap_or_else(|| panic!("none is taken for {sql}"))
}

/// The rows of such a statement.
fn texts(database: &dyn Database, sql: &str, params: Vec<Value<'static>>) -> Rows {
    run(database, &textual(database, sql), params)
}

#[test]
fn a_statement_without_such_columns_stays_as_it_is() {
    for database in databases() {
        let sql =
            "SELECT 1, now(), '{}'::json, '{1}'::int[], ROW(1, 'a'), 'sad'::mood, '[1,2]'::floats";
        let description = described(&*database, sql).unwrap();
        assert_eq!(as_text(sql, &description), Vec::<String>::new());
    }
}

#[test]
fn types_of_extensions_travel_there_and_back() {
    for database in databases() {
        let mut random = Random::new(71);
        for r#type in [
            "hstore",
            "ltree",
            "citext",
            "address",
            "hstore[]",
            "ltree[]",
            "address[]",
        ] {
            for _ in 0..20 {
                let literal = match r#type {
                    "address" => random.literal("citext"),
                    "address[]" => random.literal("citext[]"),
                    other => random.literal(other),
                };
                let quoted = literal.replace('\'', "''");
                let sql = format!("SELECT '{quoted}'::{type} AS v, '{quoted}'::{type}::text AS t");
                let rows = texts(&*database, &sql, Vec::new());
                let written = json(
                    Columns::new(rows.columns(), Forms::default()).value(rows.row(0).unwrap(), 0),
                );
                let text: &str = rows.row(0).unwrap().get(1).unwrap();
                let is_array = r#type.ends_with("[]");
                if !is_array {
                    assert_eq!(written, json(text));
                }
                let back =
                    format!("SELECT $1::{type} AS v, $1::{type} = '{quoted}'::{type} AS same");
                let param = described(&*database, &back).unwrap().params.remove(0);
                let param = Argument::from_json(&written).unwrap().bind(&param).unwrap();
                let again = texts(&*database, &back, vec![param]);
                let again = again.row(0).unwrap();
                // Lower bounds are 1 after the way.
                assert!(
                    is_array || again.get::<bool>(1).unwrap(),
                    "{type} {literal}"
                );
            }
        }
    }
}

#[test]
fn types_without_a_binary_form_and_those_of_the_catalogue_are_text() {
    for database in databases() {
        let sql = "SELECT '=r/app'::aclitem AS one, ARRAY['=r/app'::aclitem, NULL] AS many,
                      'pg_class'::regclass AS class, 'int4'::regtype AS type, 12.5::float8::numeric::money,
                      '{pg_class,pg_type}'::regclass[] AS classes, 2::int8 AS two";
        let rows = texts(&*database, sql, Vec::new());
        let columns = Columns::new(rows.columns(), Forms::default());
        assert_eq!(columns.unwritable(), None);
        assert_eq!(
            json(columns.object(rows.row(0).unwrap())),
            r#"{"one":"=r/app","many":["=r/app",null],"class":"pg_class","type":"integer","money":"$12.50","classes":["pg_class","pg_type"],"two":2}"#
        );
    }
}

#[test]
fn a_row_with_such_a_value_in_it_is_what_to_json_makes_of_it() {
    for database in databases() {
        let sql = "SELECT ROW(1, 'a=>b')::tagged AS one, ARRAY[ROW(2, NULL)::tagged] AS many";
        let rows = texts(&*database, sql, Vec::new());
        let columns = Columns::new(rows.columns(), Forms::default());
        assert_eq!(
            json(columns.array(rows.row(0).unwrap())),
            r#"[{"id":1,"tags":{"a": "b"}},[{"id":2,"tags":null}]]"#
        );
        // The other way: its text is that of the extension.
        let given = Argument::from_json(r#"{"id": 3, "tags": "\"x y\"=>1"}"#).unwrap();
        let params = described(&*database, "SELECT ($1::tagged).tags -> 'x y'")
            .unwrap()
            .params;
        let given = given.bind(&params[0]).unwrap();
        let rows = run(&*database, "SELECT ($1::tagged).tags -> 'x y'", vec![given]);
        assert_eq!(rows.row(0).unwrap().get::<&str>(0).unwrap(), "1");
    }
}

#[test]
fn statements_of_every_kind_are_wrapped() {
    for database in databases() {
        run(&*database, "DROP TABLE IF EXISTS wrapped", Vec::new());
        run(
            &*database,
            "CREATE TABLE wrapped (id int, tags hstore)",
            Vec::new(),
        );
        let written = |sql: &str, params| {
            let rows = texts(&*database, sql, params);
            json(Columns::new(rows.columns(), Forms::default()).arrays(&rows))
        };
        let insert = "INSERT INTO wrapped SELECT n, 'a=>1' FROM generate_series(1, 3) AS n
                  RETURNING id, tags, id AS \"the \"\"same\"";
        assert_eq!(
            written(insert, Vec::new()),
            r#"[[1,"\"a\"=>\"1\"",1],[2,"\"a\"=>\"1\"",2],[3,"\"a\"=>\"1\"",3]]"#
        );
        let select = "WITH w AS (SELECT * FROM wrapped) SELECT tags, id, id FROM w
                  WHERE id > $1 ORDER BY id DESC LIMIT $2 -- the last";
        let params = || vec![sql::Params::value(1_i32), sql::Params::value(2_i64)];
        let expected = r#"[["\"a\"=>\"1\"",3,3],["\"a\"=>\"1\"",2,2]]"#;
        assert_eq!(written(select, params()), expected);
        let update =
            "WITH n AS (SELECT 3 AS n) UPDATE wrapped SET tags = NULL FROM n WHERE id = n.n
                  RETURNING tags";
        assert_eq!(written(update, Vec::new()), "[[null]]");
        assert_eq!(written("TABLE wrapped LIMIT 0", Vec::new()), "[]");
        assert_eq!(
            written("VALUES ('a=>1'::hstore)", Vec::new()),
            r#"[["\"a\"=>\"1\""]]"#
        );
        // A statement that changes rows before its last part can be in no other.
        let nested = "WITH d AS (DELETE FROM wrapped RETURNING tags) SELECT tags FROM d";
        let statements = as_text(nested, &described(&*database, nested).unwrap());
        assert!(
            statements
                .iter()
                .all(|sql| described(&*database, sql).is_err())
        );
    }
}

#[test]
fn without_the_cast_the_column_is_named() {
    for database in databases() {
        let rows = run(
            &*database,
            "SELECT 1 AS id, 'a=>1'::hstore AS tags",
            Vec::new(),
        );
        let columns = Columns::new(rows.columns(), Forms::default());
        assert_eq!(columns.unwritable(), Some(("tags", "hstore".to_owned())));
        let error = serde_json::to_string(&columns.objects(&rows)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "column tags of type hstore: it has to be cast to text in SQL"
        );
        assert!(try_run(&*database, "SELECT '=r/app'::aclitem", Vec::new()).is_err());
    }
}

#[test]
fn an_array_of_any_type_is_what_to_json_makes_of_it() {
    for database in databases() {
        run(&*database, "ANALYZE pg_type", Vec::new());
        let sql = "SELECT most_common_vals AS v, to_json(most_common_vals)::text FROM pg_stats
                   WHERE tablename = 'pg_type' AND attname = 'typtype'";
        let rows = texts(&*database, sql, Vec::new());
        let columns = Columns::new(rows.columns(), Forms::default());
        let row = rows.row(0).unwrap();
        let expected: &str = row.get(1).unwrap();
        assert!(expected.starts_with("[\""), "{expected}");
        assert_eq!(json(columns.value(row, 0)), expected);
    }
}
