//! What rows become as values of types of one's own. Must not know a backend.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Open, rows};
use crate::{Database, Error, ErrorKind};

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mood {
    Glad,
    Sad,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Size {
    width: u16,
    unit: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Id(i64);

/// Each in another way than its column's type would have it.
#[derive(Debug, Deserialize, PartialEq)]
struct Goods {
    id: Id,
    name: String,
    mood: Mood,
    said: Mood,
    sold: bool,
    small: u8,
    weight: f64,
    ratio: f32,
    letter: char,
    bytes: Vec<u8>,
    size: Size,
    sizes: Vec<Size>,
    anything: Value,
    tags: Vec<Option<String>>,
    pair: (i32, i32),
    moods: Vec<Mood>,
    price: String,
    made: String,
    none: Option<i32>,
    some: Option<i32>,
    #[serde(rename = "Renamed")]
    renamed: i32,
    absent: Option<String>,
    #[serde(default)]
    usual: i32,
}

const GOODS: &str = r#"SELECT 7::pg_temp.suite_kind AS id, 'tea' AS name, 'sad'::pg_temp.suite_temper AS mood,
    'glad'::varchar AS said, true AS sold, 255::int2 AS small, 1.5::float4 AS weight, 2::float8 AS ratio,
    'x'::char AS letter, '\x00ff'::bytea AS bytes, '{"width": 3}'::json AS size,
    '[{"width": 4, "unit": "m", "more": 1}]'::jsonb AS sizes, 'null'::jsonb AS anything,
    ARRAY['a', NULL, 'b'] AS tags, ARRAY[1, 2] AS pair, ARRAY['glad', 'sad']::pg_temp.suite_temper[] AS moods,
    12.50::numeric AS price, timestamptz '2026-01-02 03:04:05.5+01' AS made, NULL::int AS none,
    4 AS some, 5 AS "Renamed", interval '1 day' AS "read by nobody", point '(1, 2)'"#;

/// With the types of [`GOODS`], which are gone with the connection.
fn open_with_types(open: Open) -> Arc<dyn Database> {
    let db = open(1);
    for sql in [
        "CREATE TYPE pg_temp.suite_temper AS ENUM ('glad', 'sad')",
        "CREATE DOMAIN pg_temp.suite_kind AS int CHECK (VALUE > 0)",
    ] {
        rows(&*db, sql);
    }
    db
}

/// By names, in whatever order; columns without a field may be of any type.
pub fn rows_become_structs_by_the_names_of_their_columns(open: Open) {
    let db = open_with_types(open);
    let text = str::to_owned;
    let goods = Goods {
        id: Id(7),
        name: text("tea"),
        mood: Mood::Sad,
        said: Mood::Glad,
        sold: true,
        small: 255,
        weight: 1.5,
        ratio: 2.0,
        letter: 'x',
        bytes: vec![0, 255],
        size: Size {
            width: 3,
            unit: None,
        },
        sizes: vec![Size {
            width: 4,
            unit: Some(text("m")),
        }],
        anything: Value::Null,
        tags: vec![Some(text("a")), None, Some(text("b"))],
        pair: (1, 2),
        moods: vec![Mood::Glad, Mood::Sad],
        price: text("12.50"),
        made: text("2026-01-02T02:04:05.500Z"),
        none: None,
        some: Some(4),
        renamed: 5,
        absent: None,
        usual: 0,
    };
    assert_eq!(rows(&*db, GOODS).deserialize(), Ok(vec![goods]));
    let none = rows(&*db, &format!("{GOODS} WHERE false"));
    assert_eq!(none.deserialize::<Goods>(), Ok(vec![]));
}

/// Rows become tuples and maps as well, and borrow what they can.
pub fn rows_become_tuples_and_maps(open: Open) {
    let db = open(1);
    let two = rows(
        &*db,
        "SELECT n, 'x' || n AS name FROM generate_series(1, 2) AS n",
    );
    let tuples = [(1, "x1".to_owned()), (2, "x2".to_owned())];
    assert_eq!(two.deserialize::<(i32, String)>(), Ok(tuples.to_vec()));
    let borrowed: (i32, &str) = two.row(1).expect("two").to().expect("it fits");
    assert_eq!(borrowed, (2, "x2"));
    let maps = two
        .deserialize::<BTreeMap<String, Value>>()
        .expect("they fit");
    assert_eq!(
        json!(maps),
        json!([{"n": 1, "name": "x1"}, {"n": 2, "name": "x2"}])
    );
    let lists = rows(&*db, "SELECT 1, 2, NULL::int").deserialize::<Vec<Option<u64>>>();
    assert_eq!(lists, Ok(vec![vec![Some(1), Some(2), None]]));
}

/// What is read as text is the text that PostgreSQL itself would write, but for the times.
pub fn what_has_no_rust_type_is_read_as_text(open: Open) {
    let db = open(1);
    let numerics =
        "0 0.00 1 -1 10000 -9999.9999 12.50 0.00001 123456789012345678901234567890.1234567
                    1e20 1e-20 99999999 0.0001 0.00010000 NaN Infinity -Infinity";
    for number in numerics.split_whitespace() {
        let sql = format!("SELECT '{number}'::numeric, '{number}'::numeric::text");
        let [(read, written)]: [(String, String); 1] = only(rows(&*db, &sql).deserialize());
        assert_eq!(read, written);
    }
    let id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    for (sql, text) in [
        (format!("'{id}'::uuid"), id),
        ("date '2026-01-02'".to_owned(), "2026-01-02"),
        ("time '03:04:05.000006'".to_owned(), "03:04:05.000006"),
        (
            "timestamp '1999-12-31 23:59'".to_owned(),
            "1999-12-31T23:59:00",
        ),
        (
            "timestamptz '1999-12-31 23:59Z'".to_owned(),
            "1999-12-31T23:59:00Z",
        ),
        ("timestamptz 'infinity'".to_owned(), "infinity"),
        ("timestamp '-infinity'".to_owned(), "-infinity"),
        ("date 'infinity'".to_owned(), "infinity"),
    ] {
        let [(read,)]: [(String,); 1] = only(rows(&*db, &format!("SELECT {sql}")).deserialize());
        assert_eq!(read, text, "{sql}");
    }
}

fn only<T: Debug>(rows: Result<Vec<T>, Error>) -> [T; 1] {
    let rows = rows.unwrap_or_else(|error| panic!("{error}"));
    rows.try_into().expect("one row")
}

/// What does not fit.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "it is to fail")]
struct Priced {
    id: i32,
    price: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is to fail")]
struct Exact {
    id: i32,
}

/// The column, its type and what was expected; never the value.
pub fn a_field_that_does_not_fit_is_told_without_its_value(open: Open) {
    let db = open(1);
    let priced = |sql, words| told::<Priced>(&*db, sql, words);
    priced(
        "SELECT 1 AS id, 2 AS cost",
        "Priced: there is no column price, only id, cost",
    );
    priced(
        "SELECT 'hunter2' AS id",
        "Priced: column id of type text: expected i32",
    );
    priced(
        "SELECT NULL::int AS id",
        "column id of type int4: it is NULL, expected i32, and only an Option takes NULL",
    );
    priced(
        "SELECT 1 AS id, 666.5::numeric AS price",
        "column price of type numeric: expected f64; a numeric is read as a String: cast it in SQL \
         (price::float8)",
    );
    priced("SELECT 1 AS id, 2 AS id", "several columns are called id");
    priced(
        "SELECT interval '666 days' AS id",
        "column id of type interval: nothing here reads this type",
    );
    told::<Exact>(
        &*db,
        "SELECT 1 AS id, 2 AS cost",
        "there is no field for the column cost, only for id",
    );
}

/// The same of numbers, lists, enums and JSON.
pub fn a_value_that_does_not_fit_is_told_without_it(open: Open) {
    let db = open(1);
    let db = &*db;
    told::<(i8,)>(
        db,
        "SELECT 666 AS n",
        "column n of type int4: its value does not fit, expected i8",
    );
    told::<(u64,)>(
        db,
        "SELECT -666::int8",
        "of type int8: its value does not fit, expected u64",
    );
    told::<(bool,)>(db, "SELECT 666", "of type int4: expected a boolean");
    told::<(i32,)>(db, "SELECT 1, 2", "it has 2 columns, expected 1");
    told::<i32>(db, "SELECT 666", "a row is no i32: expected i32");
    told::<(Vec<i32>,)>(
        db,
        "SELECT ARRAY[1, NULL] AS list",
        "column list of type _int4: it is NULL, expected i32",
    );
    told::<((i32, i32),)>(
        db,
        "SELECT ARRAY[1, 2, 3] AS list",
        "column list of type _int4: ",
    );
    told::<(Mood,)>(
        db,
        "SELECT 'hunter2' AS mood",
        "column mood of type text: its value is none of glad, sad",
    );
    told::<(Size,)>(
        db,
        r#"SELECT '{"width": "hunter2, expected "}'::json AS size"#,
        "column size of type json: in its JSON, expected u16 at line 1",
    );
    told::<(Size,)>(
        db,
        r#"SELECT '{"hunter2": 1}'::jsonb AS size"#,
        "column size of type jsonb: in its JSON, missing field `width`",
    );
}

fn told<T: DeserializeOwned + Debug>(db: &dyn Database, sql: &str, words: &str) {
    let error = rows(db, sql).deserialize::<T>().expect_err(sql);
    assert_eq!(error.kind(), ErrorKind::Value);
    let text = error.to_string();
    assert!(text.contains(words), "{sql}: {text}");
    assert!(!text.contains("hunter2") && !text.contains("666"), "{text}");
}
