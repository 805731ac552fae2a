//! `databases` of the node: who uses them, and what can be wrong with that.

use super::{check_in, faults, node, node_with};
use crate::config::NodeConfig;

/// [`NODE`](super::NODE) with these `databases` and a plain component that has this `extra`; the
/// database component names `main`.
fn text(databases: &str, plain: &str) -> String {
    let version = format!("\"version\": 2, \"databases\": {databases}");
    let plain = format!("\"classname\": \"test.Plain\", \"extra\": {plain}");
    node_with(&[
        ("\"version\": 2", &version),
        ("\"classname\": \"test.Plain\"", &plain),
        (r#"{"user": "testuser", "password": "s3cret"}"#, r#""main""#),
    ])
}

const MAIN: &str = r#"{"main": {"host": "db.example", "user": "app", "database": "shop"}}"#;

fn labels(node: &NodeConfig) -> Vec<&str> {
    let databases = node.databases.iter();
    databases.map(|database| database.label()).collect()
}

fn notes(node: &NodeConfig) -> Vec<String> {
    node.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn components_that_name_a_database_share_it() {
    let node = node(&text(MAIN, r#"{"database": "main", "a": 1}"#));
    assert_eq!(labels(&node), ["main"]);
    assert_eq!(node.databases[0].json_path, "databases.main");
    assert_eq!(node.components[0].database, Some(0));
    assert_eq!(node.components[1].database, Some(0));
    let extra = &node.components[0].extra;
    assert_eq!(*extra, serde_json::json!({"a": 1}), "without its database");
    assert_eq!(notes(&node), [""; 0]);
}

#[test]
fn a_component_may_have_a_database_of_its_own_beside_a_shared_one() {
    let node = node(&text(MAIN, r#"{"database": {"user": "app"}}"#));
    let own = "workers[0].components[0].extra.database";
    assert_eq!(labels(&node), [own, "main"]);
    assert_eq!(node.components[0].database, Some(0));
    assert_eq!(node.components[1].database, Some(1));
}

#[test]
fn a_named_database_is_filled_in_by_the_environment() {
    let text = text(r#"{"main": {"user": "app"}}"#, "{}");
    let url = "postgresql://db.example/shop";
    let node = check_in(&text, &[("DATABASE_URL", url), ("PGAPPNAME", "till")]).unwrap();
    let main = &node.databases[0];
    assert_eq!(main.servers, [super::server("db.example", 5432)]);
    assert_eq!(
        [&main.database, &main.user, &main.application_name],
        ["shop", "app", "till"]
    );
}

#[test]
fn a_database_that_nobody_uses_is_noted_and_not_opened() {
    let databases = r#"{"main": {"user": "app"}, "other": {"user": "app"}}"#;
    let node = node(&text(databases, "{}"));
    assert_eq!(labels(&node), ["main"]);
    assert_eq!(
        notes(&node),
        [
            "databases.other: is used by no component, so nothing connects to it: write \
          \"database\": \"other\" into the `extra` of those that should use it"
        ]
    );
}

#[test]
fn the_summary_names_a_shared_database_once() {
    let summary = node(&text(MAIN, r#"{"database": "main"}"#)).to_string();
    let line = "\ndatabase main: shop of app at db.example:5432, 3 to 10 connections\n";
    assert_eq!(summary.matches(line).count(), 1, "{summary}");
    assert_eq!(summary.matches("; database main").count(), 2, "{summary}");
}

/// `databases`, the `extra` of the plain component, and the beginning of the one fault; PLACE is the
/// component's `extra.database`.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        MAIN,
        r#"{"database": "maim"}"#,
        "PLACE: seen \"maim\"; must be an object, or the name of one of the node's `databases`, \
         which has: main, did you mean `main`?",
    ),
    (
        MAIN,
        r#"{"database": "postgresql://app:s3cret@db.example/shop"}"#,
        "PLACE: seen a value that is not shown; must be an object, or the name of one of the \
         node's `databases`, which has: main",
    ),
    (
        MAIN,
        r#"{"database": 5}"#,
        "PLACE: seen 5; must be an object, or the name of one of the node's `databases`",
    ),
    (
        r#"{"main": {"user": "a"}, "main": {"user": "b"}}"#,
        "{}",
        "databases.main: the key is written twice in this object; keep one",
    ),
    (
        r#"{"main": {"usr": "a"}}"#,
        r#"{"database": "main"}"#,
        "databases.main.usr: unknown key, did you mean `user`?; ",
    ),
    (
        r#"{"main": {}, "ma in": {}}"#,
        "{}",
        "databases[\"ma in\"]: the name of a database must be of letters, digits, `_` and `-`",
    ),
];

#[test]
fn each_fault_of_a_named_database_names_its_mend() {
    for (databases, plain, expected) in FAULTS {
        let found = faults(&text(databases, plain));
        let expected = expected.replace("PLACE", "workers[0].components[0].extra.database");
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&expected), "{found:#?}");
    }
}

#[test]
fn a_name_needs_the_databases_of_the_node() {
    let none = faults(&node_with(&[(
        r#"{"user": "testuser", "password": "s3cret"}"#,
        r#""main""#,
    )]));
    assert_eq!(
        none,
        [
            "workers[1].components[0].extra.database: seen \"main\"; must be an object, or the \
             name of one of the node's `databases`, which has: none"
        ]
    );
    let list = faults(&text("[]", "{}"));
    assert_eq!(
        list[0],
        "databases: seen []; must be an object with a database for each name"
    );
}

#[test]
fn a_schema_is_a_file_that_is_there() {
    let with = |file: &str| {
        let main = format!(r#"{{"main": {{"user": "app", "schema_file": "{file}"}}}}"#);
        text(&main, "{}")
    };
    let node = node(&with("config.json"));
    let file = node.databases[0].schema_file.as_deref();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(
        file,
        Some(&*root.join("config.json")),
        "relative to the file"
    );
    let faults = faults(&with("nowhere.sql"));
    let words = "databases.main.schema_file: seen \"nowhere.sql\"; there is no file ";
    assert!(
        faults.len() == 1 && faults[0].starts_with(words),
        "{faults:?}"
    );
}
