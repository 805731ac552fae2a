//! What parameters take, and what is said of what they do not take.

use serde::de::DeserializeOwned;
use serde_json::json;
use sql::types::{Field, FromSqlOwned, Kind, Type};
use wamp::Payload;

use super::{
    super::{Argument, type_name, typescript},
    databases, described, run, try_run,
};

fn argument(json: &str) -> Argument {
    Argument::from_json(json).unwrap()
}

/// The value of a statement with one parameter, or what is wrong with the argument: the same by
/// both backends.
fn ask<T: FromSqlOwned + PartialEq>(sql: &str, json: &str) -> Result<T, String> {
    let mut answers = databases().map(|database| {
        let to = described(&*database, sql).unwrap().params.remove(0);
        let param = argument(json).bind(&to);
        let param = param.map_err(|mismatch| mismatch.to_string())?;
        let rows = try_run(&*database, sql, vec![param]).map_err(|error| error.to_string())?;
        Ok(rows.row(0).unwrap().get(0).unwrap())
    });
    let (first, second) = (answers.next().unwrap(), answers.next().unwrap());
    assert!(first == second, "{sql} {json}");
    first
}

/// Asks for what is said of values that do not fit.
fn refused(cases: &[(&Type, &str, &str)]) {
    for (to, json, why) in cases {
        let mismatch = argument(json).bind(to).expect_err(json);
        assert_eq!(mismatch.to_string(), *why);
    }
}

#[test]
fn numbers_that_do_not_fit_say_what_is_wanted_and_what_came() {
    let int4 = "wanted a whole number from -2147483648 to 2147483647 (int4), came a";
    let float8 = "wanted a number, \"NaN\", \"Infinity\" or \"-Infinity\" (float8), came a";
    refused(&[
        (
            &Type::BOOL,
            "1",
            "wanted true or false (bool), came a number",
        ),
        (
            &Type::INT2,
            "32768",
            "wanted a whole number from -32768 to 32767 (int2), came one out of this range",
        ),
        (&Type::INT4, "\"5\"", &format!("{int4} string")),
        (
            &Type::INT4,
            "1.5",
            &format!("{int4} number that is not whole"),
        ),
        (
            &Type::OID,
            "-1",
            "wanted a whole number from 0 to 4294967295 (oid), came one out of this range",
        ),
        (
            &Type::FLOAT8,
            "1e400",
            &format!("{float8} number out of its range"),
        ),
        (&Type::FLOAT8, "\"inf\"", &format!("{float8} string")),
        (
            &Type::NUMERIC,
            "\"many\"",
            "wanted a number, or a string of its digits (numeric), came a string",
        ),
    ]);
}

#[test]
fn texts_that_do_not_fit_say_what_is_wanted_and_what_came() {
    refused(&[
        (&Type::TEXT, "{}", "wanted a string (text), came an object"),
        (
            &Type::TEXT,
            r#""a\u0000""#,
            "wanted a string without NUL (text), came one with it, or binary",
        ),
        (
            &Type::TEXT,
            r#""\ud800""#,
            "wanted a value of Unicode (text), came a string with half a surrogate pair",
        ),
        (
            &Type::BYTEA,
            "\"abc\"",
            "wanted binary, or \\x and hexadecimal digits (bytea), came a string",
        ),
        (
            &Type::TIMESTAMPTZ,
            "5",
            "wanted a string (timestamptz), came a number",
        ),
    ]);
}

#[test]
fn lists_and_rows_that_do_not_fit_say_where() {
    let domain = Type::new(
        "price".into(),
        1,
        Kind::Domain(Type::NUMERIC),
        "shop".into(),
    );
    let fields = vec![
        Field::new("id".into(), Type::INT4),
        Field::new("price".into(), domain),
    ];
    let row = &Type::new("goods".into(), 2, Kind::Composite(fields), "public".into());
    let rows = &Type::new(
        "_goods".into(),
        3,
        Kind::Array(row.clone()),
        "public".into(),
    );
    let int4 = "wanted a whole number from -2147483648 to 2147483647 (int4), came a";
    refused(&[
        (
            &Type::TEXT_ARRAY,
            "\"a\"",
            "wanted a list (text[]), came a string",
        ),
        (
            &Type::INT4_ARRAY,
            "[[1, 2], [3, true]]",
            &format!("at [1][1]: {int4} boolean"),
        ),
        (
            row,
            r#"{"id": 1, "cost": 2}"#,
            "wanted the fields id, price (goods), came a field \"cost\"",
        ),
        (
            row,
            "[1]",
            "wanted a list of 2 fields (goods), came one of 1",
        ),
        (
            row,
            "1",
            "wanted an object, or a list of its fields (goods), came a number",
        ),
        (
            rows,
            r#"[{"id": 1}, {"price": []}]"#,
            "at [1].price: wanted a number, or a string of its digits (shop.price), came a list",
        ),
        (
            &Type::INT4_ARRAY,
            "[[[[[[[1]]]]]]]",
            "at [0][0][0][0][0][0]: wanted at most 6 dimensions (int4[]), came more",
        ),
    ]);
}

#[test]
fn numbers_keep_each_digit() {
    let numeric = "SELECT ($1::numeric)::text";
    for (json, text) in [
        (
            "0.10000000000000000000000000000000000001",
            "0.10000000000000000000000000000000000001",
        ),
        ("\"-1e3\"", "-1000"),
        ("\"NaN\"", "NaN"),
        ("12345678901234567890123", "12345678901234567890123"),
    ] {
        assert_eq!(ask::<String>(numeric, json).unwrap(), text);
    }
    assert_eq!(
        ask::<i64>("SELECT $1::int8", "9007199254740993"),
        Ok(9_007_199_254_740_993)
    );
    assert_eq!(
        ask::<i64>("SELECT $1::int8", "\"-9223372036854775808\""),
        Ok(i64::MIN)
    );
    assert_eq!(ask::<i32>("SELECT $1::int4", "2.0"), Ok(2));
    assert_eq!(ask::<f32>("SELECT $1::float4", "0.1"), Ok(0.1));
}

#[test]
fn json_is_kept_to_the_byte() {
    let given = r#"{"b" : 1.10, "a":[ 1e400,"\u00e9" ], "b":null}"#;
    assert_eq!(
        ask::<String>("SELECT ($1::json)::text", given).unwrap(),
        given
    );
    // A list of JSON is an array of it, with lists in it or not.
    let given = r#"[[1, 2], null, {"a": "\"{"}]"#;
    let text = ask::<String>("SELECT to_json($1::json[])::text", given).unwrap();
    assert_eq!(text, r#"[[1, 2],null,{"a": "\"{"}]"#);
    let from_payload: Vec<Argument> =
        args(&Payload::from_args(&(1, json!({"a": [true]}))).unwrap());
    assert_eq!(from_payload[1].json(), r#"{"a":[true]}"#);
}

fn args<T: DeserializeOwned>(payload: &Payload) -> T {
    payload.args().unwrap()
}

#[test]
fn null_is_null() {
    for r#type in [
        "int4",
        "text",
        "json",
        "goods",
        "int4[]",
        "price",
        "int4range",
    ] {
        let sql = format!("SELECT ($1::{type}) IS NULL");
        assert_eq!(ask::<bool>(&sql, "null"), Ok(true), "{type}");
    }
    assert!(Argument::default().is_null());
}

#[test]
fn arrays_rows_and_binary_are_given_in_every_way() {
    for (sql, json, text) in [
        (
            "SELECT ($1::int4[])::text",
            "[[1,null],[3,4]]",
            "{{1,NULL},{3,4}}",
        ),
        (
            "SELECT ($1::int4[])::text",
            "\"[2:3]={1,2}\"",
            "[2:3]={1,2}",
        ),
        (
            "SELECT ($1::text[])::text",
            r#"["NULL", null, "a \"b\\", ""]"#,
            r#"{"NULL",NULL,"a \"b\\",""}"#,
        ),
        (
            "SELECT ($1::box[])::text",
            r#"["(1,1),(0,0)"]"#,
            "{(1,1),(0,0)}",
        ),
        ("SELECT ($1::int2vector)::text", "[1, 2]", "1 2"),
        (
            "SELECT ($1::goods)::text",
            r#"{"name": "a,b", "id": "5"}"#,
            "(5,\"a,b\",,,)",
        ),
        (
            "SELECT ($1::goods)::text",
            r#"[5, null, 1.50, null, "so, so"]"#,
            "(5,,1.50,,\"so, so\")",
        ),
        ("SELECT ($1::goods)::text", r#""(5,,,,)""#, "(5,,,,)"),
        (
            "SELECT ($1::goods[])::text",
            r#"[{"id": 1}, null]"#,
            "{\"(1,,,,)\",NULL}",
        ),
        ("SELECT ($1::bytea)::text", r#""\u0000AQI=""#, "\\x0102"),
        ("SELECT ($1::bytea)::text", r#""\\x0aFF""#, "\\x0aff"),
        (
            "SELECT ($1::bytea[])::text",
            r#"["\u0000AQI="]"#,
            "{\"\\\\x0102\"}",
        ),
        ("SELECT ($1::regclass)::text", "\"pg_class\"", "pg_class"),
        ("SELECT ($1::regclass)::text", "1259", "pg_class"),
    ] {
        assert_eq!(
            ask::<String>(sql, json).unwrap_or_else(|why| panic!("{sql} {json}: {why}")),
            text
        );
    }
}

#[test]
fn what_only_postgresql_can_read_is_refused_by_it() {
    for (sql, json, state) in [
        ("SELECT $1::date", "\"2026-02-30\"", "22008"),
        ("SELECT $1::mood", "\"angry\"", "22P02"),
        ("SELECT $1::price", "-1", "23514"),
        ("SELECT $1::inet", "\"here\"", "22P02"),
        ("SELECT $1::int4[]", "[[1], [2, 3]]", "22P02"),
    ] {
        let error = ask::<String>(sql, json).unwrap_err();
        assert!(error.contains(state), "{error}");
    }
}

#[test]
fn arguments_of_binary_serializers_are_the_same() {
    let given = (
        "text",
        u64::MAX,
        f64::NAN,
        serde_bytes(&[1, 2]),
        vec![None, Some(1.5)],
        [("k", true)]
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>(),
    );
    let mut cbor = Vec::new();
    ciborium::into_writer(&given, &mut cbor).unwrap();
    let read: Vec<Argument> = ciborium::from_reader(&*cbor).unwrap();
    let read: Vec<_> = read.iter().map(Argument::json).collect();
    let expected = [
        "\"text\"",
        "18446744073709551615",
        "\"NaN\"",
        "\"\\u0000AQI=\"",
        "[null,1.5]",
        "{\"k\":true}",
    ];
    assert_eq!(read, expected);
}

/// Bytes, and no list of numbers.
fn serde_bytes(bytes: &[u8]) -> ciborium::Value {
    ciborium::Value::Bytes(bytes.to_vec())
}

#[test]
fn nothing_shows_a_value() {
    let secret = argument("\"hunter2\"");
    let param = secret.bind(&Type::TEXT).unwrap();
    assert!(!format!("{secret:?} {param:?}").contains("hunter2"));
}

#[test]
fn types_have_names_for_people_and_for_typescript() {
    for database in databases() {
        let sql =
            "SELECT NULL::int4, NULL::text[], NULL::mood, NULL::goods, NULL::price[], NULL::hstore,
                      ROW(1), NULL::int8";
        let columns = described(&*database, sql).unwrap().columns;
        let names: Vec<_> = columns
            .iter()
            .map(|(_, r#type)| type_name(r#type))
            .collect();
        let expected = [
            "int4", "text[]", "mood", "goods", "price[]", "hstore", "record", "int8",
        ];
        assert_eq!(names, expected);
        let types: Vec<_> = columns
            .iter()
            .map(|(_, r#type)| typescript(r#type))
            .collect();
        let goods = "{ \"id\": number | string | null; \"name\": string | null; \
                 \"price\": number | string | null; \"made\": string | null; \
                 \"mood\": \"sad\" | \"so, so\" | \"very \\\"happy\\\"\" | null }";
        let expected = [
            "number",
            "Array<string | null>",
            "\"sad\" | \"so, so\" | \"very \\\"happy\\\"\"",
            goods,
            "Array<number | string | null>",
            "string",
            "Record<string, unknown>",
            "number | string",
        ];
        assert_eq!(types, expected);
        run(&*database, "SELECT 1", Vec::new());
    }
}
