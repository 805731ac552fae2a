//! The grammar of options by tables.

use serde_json::{Value, json};

use super::*;

fn taken(key: &str, written: Written<'_>) -> Result<Options, String> {
    let mut options = Options::default();
    let place = Place::of(&"here".into());
    match options.take(&place, key, written) {
        Ok(()) => Ok(options),
        Err(fault) => Err(fault.to_string()),
    }
}

#[test]
fn a_comment_and_the_configuration_say_the_same() {
    let rows: &[(&str, &str, Value)] = &[
        ("returns", "row", json!("row")),
        ("timeout", "2s", json!(2)),
        ("timeout", "1.5 min", json!("90s")),
        ("read_only", "", json!(true)),
        ("dry_run", "true", json!(true)),
        ("secret", "false", json!(false)),
        ("isolation", "serializable", json!("serializable")),
        ("retry", "3", json!(3)),
        ("concurrency", "2", json!(2)),
        ("max_rows", "5", json!(5)),
        ("max_bytes", "5000", json!(5000)),
        ("max_affected", "0", json!(0)),
        ("batch", "500", json!(500)),
        ("returns", "stream", json!("stream")),
        ("int8", "string", json!("string")),
        ("numeric", "number", json!("number")),
        ("identity", "false", json!(false)),
        ("before", "auth.\"Check\"", json!("auth.\"Check\"")),
        ("database", "reporting", json!("reporting")),
        (
            "params",
            "n int = 20",
            json!({"n": {"type": "int", "default": 20}}),
        ),
        (
            "params",
            ":n numeric(10,2)[]",
            json!({"n": "numeric(10,2)[]"}),
        ),
        ("params", "n = 'it''s'", json!({"n": {"default": "it's"}})),
    ];
    for (key, text, value) in rows {
        let text = taken(key, Written::Text(text)).unwrap();
        assert_eq!(
            Ok(&text),
            taken(key, Written::Json(value)).as_ref(),
            "{key}"
        );
        assert_ne!(text, Options::default(), "{key}");
        assert_eq!(Options::default().or(&text), text);
        assert_eq!(text.clone().or(&Options::default()), text);
    }
    assert_eq!(
        taken("param", Written::Text("n int")),
        taken("params", Written::Text("n int"))
    );
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[test]
fn what_is_wrong_in_a_comment_is_told_with_its_place() {
    for (key, written, why) in [
        (
            "timout",
            "2s",
            "here: unknown option `timout`, did you mean `timeout`?; known are: ",
        ),
        ("sql", "SELECT 1", "here: unknown option `sql`"),
        (
            "timeout",
            "2 days",
            "here: `timeout`: must be a time above 0, such as 2s",
        ),
        ("timeout", "0", "here: `timeout`: must be a time above 0"),
        ("timeout", "-1s", "here: `timeout`: must be a time above 0"),
        (
            "retry",
            "many",
            "here: `retry`: must be an integer from 0 to 100",
        ),
        (
            "read_only",
            "yes",
            "here: `read_only`: must be true or false",
        ),
        (
            "returns",
            "raws",
            "here: `returns`: must be one of rows, arrays, row, value, values, count, none, stream, did you mean `rows`?",
        ),
        ("identity", "no", "here: `identity`: must be true or false"),
        ("before", "", "here: `before`: must be a text"),
        (
            "before",
            "auth.check()",
            "here: `before`: \"auth.check()\" is not the name of a function",
        ),
        (
            "before",
            "auth.",
            "here: `before`: \"auth.\" is not the name of a function",
        ),
        (
            "before",
            "f;DROP TABLE t",
            "here: `before`: \"f;DROP TABLE t\" is not the name of a function",
        ),
        ("database", "", "here: `database`: must be a text"),
        ("param", "", "here: `params`: must be a name"),
        (
            "param",
            "n int; DROP TABLE t",
            "here: `params`: \"int; DROP TABLE t\" is not the name of a type",
        ),
        (
            "param",
            "n = now()",
            "here: `params`: the default now() is neither a literal of SQL nor JSON",
        ),
        ("result", "", "here: `result`: must be a text"),
    ] {
        let told = taken(key, Written::Text(written)).unwrap_err();
        assert!(told.starts_with(why), "{told}");
    }
}

#[test]
fn what_is_wrong_in_the_configuration_is_told_with_its_place() {
    for (key, value, why) in [
        ("single", json!(true), "here: unknown option `single`"),
        ("params", json!(["n"]), "here: `params`: must be an object"),
        (
            "params",
            json!({"n": {"typ": "int"}}),
            "here: `params`: unknown key `typ` of `n`",
        ),
        (
            "timeout",
            json!(null),
            "here: `timeout`: must be a time above 0",
        ),
    ] {
        let told = taken(key, Written::Json(&value)).unwrap_err();
        assert!(told.starts_with(why), "{told}");
    }
}
