//! What a statement takes and gives. Must not know a backend.

use super::{Open, failure, first, outcome, param, rows, value};
use crate::{ErrorKind, Format, Sql, Statement, params, types::Type};

/// NULL is not empty, and the typed values are the same as the bytes.
pub fn values_come_as_postgresql_sent_them(open: Open) {
    let db = open(1);
    let rows = rows(
        &*db,
        r"SELECT 7::int4 AS seven, NULL::int8 AS nothing, 'é'::text, '\xdead'::bytea AS bytes,
                 ''::text AS empty, ARRAY[1, NULL]::int4[] AS list, true AS seven",
    );
    let columns: Vec<_> = (rows.columns())
        .map(|column| (column.name.to_owned(), column.r#type.clone()))
        .collect();
    let expected = [
        ("seven", Type::INT4),
        ("nothing", Type::INT8),
        ("text", Type::TEXT),
        ("bytes", Type::BYTEA),
        ("empty", Type::TEXT),
        ("list", Type::INT4_ARRAY),
        ("seven", Type::BOOL),
    ];
    assert_eq!(
        columns,
        expected.map(|(name, r#type)| (name.to_owned(), r#type))
    );
    assert!(rows.columns().all(|column| column.format == Format::Binary));
    let row = rows.row(0).expect("there is one");
    let values: Vec<_> = row.values().collect();
    assert_eq!(values[0], Some(&[0, 0, 0, 7][..]));
    assert_eq!(values[1], None);
    assert_eq!(values[2], Some("é".as_bytes()));
    assert_eq!(values[3], Some(&[0xde, 0xad][..]));
    assert_eq!(values[4], Some(&[][..]));
    assert_eq!(row.get::<i32>("seven"), Ok(7));
    assert_eq!(row.get::<Option<i64>>("nothing"), Ok(None));
    assert_eq!(row.get::<&str>(2), Ok("é"));
    assert_eq!(row.get::<Vec<Option<i32>>>("list"), Ok(vec![Some(1), None]));
    assert_eq!(row.get::<bool>(6), Ok(true));
    for wrong in [row.get::<i64>(0).map(drop), row.get::<i64>(1).map(drop)] {
        assert_eq!(wrong.map_err(|error| error.kind()), Err(ErrorKind::Value));
    }
    assert_eq!((rows.len(), rows.affected()), (1, 1));
}

/// A consumer writes them all the same.
pub fn columns_are_known_without_rows(open: Open) {
    let db = open(1);
    let none = rows(&*db, "SELECT 1 AS a, 'x' AS b WHERE false");
    let names: Vec<_> = none.columns().map(|column| column.name).collect();
    assert_eq!((names, none.len()), (vec!["a", "b"], 0));
    let nothing = rows(&*db, "SELECT FROM generate_series(1, 3)");
    assert_eq!((nothing.columns().len(), nothing.affected()), (0, 3));
}

/// An enum, a domain over it, and a composite type.
pub fn types_that_are_made_by_users_come_too(open: Open) {
    let db = open(1);
    for sql in [
        "DROP TYPE IF EXISTS suite_mood CASCADE",
        "CREATE TYPE suite_mood AS ENUM ('glad', 'sad')",
        "DROP TYPE IF EXISTS suite_pair CASCADE",
        "CREATE TYPE suite_pair AS (n int, mood suite_mood)",
    ] {
        rows(&*db, sql);
    }
    let made = rows(&*db, "SELECT 'sad'::suite_mood, ROW(1, 'glad')::suite_pair");
    let row = made.row(0).expect("there is one");
    assert_eq!(row.value(0), Some(&b"sad"[..]));
    let names: Vec<_> = made.columns().map(|column| column.r#type.name()).collect();
    assert_eq!(names, ["suite_mood", "suite_pair"]);
    assert!(row.value(1).is_some_and(|bytes| bytes.ends_with(b"glad")));
}

/// And the connection stays in order.
pub fn parameters_go_there_and_wrong_ones_are_told(open: Open) {
    let db = open(1);
    let sql = "SELECT $1::int8 + 1, $2::text IS NULL, $3::text";
    let good = Statement::new(sql, params![41_i64, None::<String>, "x"]);
    let rows = outcome(db.submit(good.into())).expect("they fit").first;
    let row = rows.row(0).expect("there is one");
    assert_eq!(row.get::<i64>(0), Ok(42));
    assert_eq!(row.get::<bool>(1), Ok(true));
    assert_eq!(row.get::<String>(2), Ok("x".to_owned()));
    for wrong in [params![41_i64], params!["x", "y", "z"]] {
        let error = failure(db.submit(Statement::new(sql, wrong).into()));
        assert_eq!(error.kind(), ErrorKind::Value, "{error}");
    }
    assert_eq!(value::<i32>(&*db, "SELECT 1"), 1);
}

/// Of a query too.
pub fn a_count_keeps_no_rows(open: Open) {
    let db = open(1);
    let sql = "SELECT * FROM generate_series(1, 1000)";
    let counted = outcome(db.submit(Statement::new(sql, ()).count().into()));
    let counted = counted.expect("it is a query").first;
    assert_eq!((counted.len(), counted.affected()), (0, 1000));
}

/// Also when it has changed since it was prepared.
pub fn statements_are_described_and_not_run(open: Open) {
    let db = open(1);
    let describe = |sql: &'static str| outcome(db.describe(Sql::from(sql)));
    rows(&*db, "DROP TABLE IF EXISTS suite_described");
    rows(&*db, "CREATE TABLE suite_described (id int8, name text)");
    let insert = "INSERT INTO suite_described VALUES ($1, $2) RETURNING name";
    let described = describe(insert).expect("it is in order");
    assert_eq!(described.params, [Type::INT8, Type::TEXT]);
    assert_eq!(described.columns, [("name".to_owned(), Type::TEXT)]);
    assert_eq!(
        value::<i64>(&*db, "SELECT count(*) FROM suite_described"),
        0
    );

    let all = "SELECT * FROM suite_described";
    rows(&*db, all);
    rows(&*db, "ALTER TABLE suite_described ADD COLUMN more bool");
    assert_eq!(describe(all).expect("it is in order").columns.len(), 3);
    assert_eq!(rows(&*db, all).columns().len(), 3);
    let none = describe("DROP TABLE suite_described").expect("it is in order");
    assert_eq!((none.params.len(), none.columns.len()), (0, 0));

    let error = describe("SELECT id, nam FROM suite_described").expect_err("no such column");
    let report = error.report().expect("PostgreSQL said it");
    assert_eq!((&*report.sqlstate, report.position), ("42703", Some(12)));
    let error = describe("COMMIT").expect_err("it ends a transaction");
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// Each in a place of its own.
pub fn errors_have_all_that_postgresql_said(open: Open) {
    let db = open(1);
    rows(&*db, "DROP TABLE IF EXISTS suite_errors");
    rows(
        &*db,
        "CREATE TABLE suite_errors (n int CONSTRAINT positive CHECK (n > 0), must int NOT NULL)",
    );
    let insert = "INSERT INTO suite_errors VALUES ($1, $2)";
    let error = |n: i32, must: Option<i32>| {
        let values = vec![param(n), param(must)];
        failure(db.submit(Statement::new(insert, values).into()))
    };
    let checked = error(0, Some(1));
    assert_eq!(checked.kind(), ErrorKind::Database);
    assert!(!checked.is_retryable());
    let report = checked.report().expect("PostgreSQL said it");
    assert_eq!(&*report.sqlstate, "23514");
    assert_eq!(report.constraint.as_deref(), Some("positive"));
    assert_eq!(report.table.as_deref(), Some("suite_errors"));
    assert_eq!(report.schema.as_deref(), Some("public"));
    assert!(
        report
            .detail
            .as_ref()
            .is_some_and(|detail| detail.contains("(0, 1)"))
    );
    let null = error(1, None);
    let report = null.report().expect("PostgreSQL said it");
    assert_eq!(report.column.as_deref(), Some("must"));
    for part in ["ERROR", "23502", &report.message] {
        assert!(null.to_string().contains(part), "{null}");
    }
    let raised = "DO $$ BEGIN RAISE 'no' USING ERRCODE = '40001', HINT = 'again'; END $$";
    let raised = failure(db.submit(Statement::new(raised, ()).into()));
    let hint = raised.report().and_then(|report| report.hint.as_deref());
    assert_eq!((hint, raised.is_retryable()), (Some("again"), true));
    assert_eq!(first::<i32>(&rows(&*db, "SELECT 1")), 1);
}
