//! Texts that are not JSON, files that are not there.

use super::{check, faults, node, node_with};
use crate::config::{ConfigError, Options, load, process_environment};

/// Broken as the reference's own config is: the brace after the directory of `shared` is missing.
const MISSING_BRACE: &str = r#"{
   "version": 2,
   "workers": [
      {
         "type": "router",
         "transports": [
            {
               "type": "web",
               "endpoint": {"type": "tcp", "port": 8080},
               "paths": {
                  "/": {"type": "static", "directory": "web"},
                  "shared": {
                     "type": "static",
                     "directory": "web/shared"
                  "ws": {
                     "type": "websocket"
                  }
               }
            }
         ]
      }
   ]
}"#;

#[test]
fn a_missing_brace_is_shown_with_line_and_column() {
    let error = check(MISSING_BRACE).unwrap_err();
    assert!(
        matches!(
            error,
            ConfigError::Syntax {
                line: 15,
                column: 19,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "not JSON: expected `,` or `}` at line 15, column 19\n                  \"…\": {\n                  ^"
    );
}

#[test]
fn the_end_of_the_text_is_a_place_too() {
    let error = check("{\n  \"version\": 2").unwrap_err().to_string();
    assert!(
        error.starts_with("not JSON: EOF while parsing an object at line 2, column 14"),
        "{error}"
    );
    let error = check("").unwrap_err().to_string();
    assert!(
        error.starts_with("not JSON: EOF while parsing a value at line 1, column 0"),
        "{error}"
    );
}

#[test]
fn the_caret_stands_below_its_character_in_long_and_in_multibyte_lines() {
    let long = format!("{{\"version\": 2, \"x\": \"{}\" ! }}", "ä ".repeat(300));
    let error = check(&long).unwrap_err().to_string();
    let mut lines = error.lines().skip(1);
    let (line, caret) = (lines.next().unwrap(), lines.next().unwrap());
    assert!(line.chars().count() <= 120, "{line}");
    assert_eq!(
        line.chars().nth(caret.chars().count() - 1),
        Some('…'),
        "{error}"
    );
}

#[test]
fn a_password_in_an_excerpt_is_not_shown() {
    let error = check("{\"database\": {\"password\": \"s3cret\" \"host\": 1}}").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    assert!(error.to_string().contains("line 1, column 36"), "{error}");
}

#[test]
fn nesting_without_end_is_refused() {
    let error = check(&"[".repeat(100_000)).unwrap_err().to_string();
    assert!(
        error.starts_with("not JSON: recursion limit exceeded"),
        "{error}"
    );
}

#[test]
fn a_byte_order_mark_is_ignored() {
    let error = check("\u{feff}[]").unwrap_err();
    assert!(matches!(error, ConfigError::Faults(_)), "{error}");
}

#[test]
fn a_missing_file_is_named_with_the_fix() {
    let options = Options {
        classes: &[],
        database_classes: &[],
        environment: &process_environment,
    };
    let directory = tempfile::tempdir().unwrap();
    let error = load(&directory.path().join("config.json"), &options)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot read the config file "), "{error}");
    assert!(error.contains("config.json: No such file"), "{error}");
    assert!(
        error.contains("run in the directory that holds it, or name it with --config FILE"),
        "{error}"
    );
}

#[test]
fn comments_stand_in_any_object_and_more_than_once() {
    let comment = r#""//": "a", "//": ["b", {"//": null}], "version": 2"#;
    let extra = r#"{"//": 1, "user": "testuser", "password": "s3cret"}"#;
    let commented = node_with(&[
        (r#""version": 2"#, comment),
        (r#"{"user": "testuser", "password": "s3cret"}"#, extra),
    ]);
    assert_eq!(node(&commented), node(&node_with(&[])));
    // Only that key is one.
    let others = node_with(&[(r#""version": 2"#, r##""#": 1, "version": 2"##)]);
    assert_eq!(faults(&others).len(), 1);
}
