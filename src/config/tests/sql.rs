//! The keys of the class `sql.Procedures`.

use std::path::Path;

use serde_json::json;

use super::*;

/// [`NODE`] with the class, and this `extra`.
fn node_of_sql(extra: &str) -> String {
    node_with(&[
        (r#""hello.MyDatabaseComponent""#, r#""sql.Procedures""#),
        (
            r#"{"database": {"user": "testuser", "password": "s3cret"}}"#,
            extra,
        ),
    ])
}

#[test]
fn the_class_gets_all_but_the_database_and_an_absolute_directory() {
    let text = node_of_sql(
        r#"{"database": {"user": "testuser"}, "directory": "src", "prefix": "com.shop",
            "schemas": ["api"], "timeout": "2s", "procedures": {"com.shop.names": {"sql": "SELECT 1", "secret": true}},
            "topics": {"channels": {"a": "com.a", "b": {"topic": "com.b"}}, "outbox": true}}"#,
    );
    let component = &node(&text).components[1];
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let expected = json!({
        "directory": directory, "prefix": "com.shop", "schemas": ["api"], "timeout": "2s",
        "procedures": {"com.shop.names": {"sql": "SELECT 1", "secret": true}},
        "topics": {"channels": {"a": "com.a", "b": {"topic": "com.b"}}, "outbox": true}
    });
    assert_eq!(component.extra, expected);
    assert!(component.concurrency.is_empty());
    assert_eq!(component.database, Some(0));
}

#[test]
fn its_procedures_may_use_any_database_that_has_a_name() {
    let text = node_of_sql(r#"{"database": "main", "replica": "copy", "reload_channel": ""}"#);
    let named = r#""version": 2, "databases": {
        "copy": {"user": "testuser"}, "main": {"user": "testuser"}, "other": {"user": "testuser"}
    },"#;
    let node = node(&text.replacen(r#""version": 2,"#, named, 1));
    let component = &node.components[1];
    let label = |index: usize| node.databases[index].label();
    assert_eq!(component.database.map(label), Some("main"));
    let labels = component.databases.iter();
    let labels: Vec<_> = labels
        .map(|(name, index)| (&**name, label(*index)))
        .collect();
    assert_eq!(labels, ["copy", "main", "other"].map(|name| (name, name)));
    assert!((0..3).all(|index| component.may_use(index)));
    assert!(!node.components[0].may_use(1));
}

#[test]
fn unknown_keys_and_directories_are_faults() {
    let at = "workers[1].components[0].extra";
    for (extra, fault) in [
        (
            r#"{"database": {}, "directry": "src"}"#,
            ".directry: unknown key, did you mean `directory`?",
        ),
        (
            r#"{"database": {}, "directory": "nowhere"}"#,
            ".directory: seen \"nowhere\"; there is no directory ",
        ),
        (r#"{"database": {}, "procedures": []}"#, ".procedures: "),
        (
            r#"{"database": {}, "procedures": {"com.x": {"timout": 2}}}"#,
            ".procedures[\"com.x\"].timout: unknown key, did you mean `timeout`?",
        ),
        (
            r#"{"database": {}, "sql": "SELECT 1"}"#,
            ".sql: unknown key",
        ),
        (
            r#"{"database": {}, "topics": {"channel": {}}}"#,
            ".topics.channel: unknown key, did you mean `channels`?",
        ),
        (
            r#"{"database": {}, "topics": {"channels": []}}"#,
            ".topics.channels: ",
        ),
        (
            r#"{"database": {}, "topics": {"channels": {"a": {"topics": "com.a"}}}}"#,
            ".topics.channels.a.topics: unknown key, did you mean `topic`?",
        ),
        (
            r#"{"database": {}, "topics": {"outbox": {"maxage": 1}}}"#,
            ".topics.outbox.maxage: unknown key, did you mean `max_age`?",
        ),
        (
            r#"{"database": {}, "schemas": "api"}"#,
            ".schemas: seen \"api\"; must be an array",
        ),
        (
            r#"{"database": {}, "schemas": [1]}"#,
            ".schemas[0]: seen 1; must be a string",
        ),
        (
            r#"{"database": {}, "topics": []}"#,
            ".topics: seen []; must be an object",
        ),
    ] {
        let faults = faults(&node_of_sql(extra));
        let begin = format!("{at}{fault}");
        assert!(
            faults.len() == 1 && faults[0].starts_with(&begin),
            "{extra}: {faults:?}"
        );
    }
}
