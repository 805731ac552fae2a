//! What the configuration says of topics, and what rows and notifications become as events, by tables.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    event::arguments,
    settings::{Channel, Outbox, Settings},
};

fn faults(topics: &Value) -> Vec<String> {
    let (_, faults) = Settings::read(topics, "");
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn channels_and_outboxes_are_read() {
    let topics = json!({
        "channels": {
            "stock": "com.shop.stock",
            "Text \"2\"": {"topic": "com.shop.text", "payload": "text"}
        },
        "outbox": {"max_age": "2d", "max_bytes": 0, "ids": false, "topics": ["com.shop", "org"],
                   "since": "com.since", "missing": "com.missing"}
    });
    let (settings, faults) = Settings::read(&topics, "com.shop");
    assert!(faults.is_empty(), "{faults:?}");
    let channel = |name: &str, topic: &str, is_text| Channel {
        name: name.to_owned(),
        topic: topic.into(),
        is_text,
    };
    let expected = Settings {
        channels: vec![
            channel("Text \"2\"", "com.shop.text", true),
            channel("stock", "com.shop.stock", false),
        ],
        outbox: Some(Outbox {
            topics: vec!["com.shop".to_owned(), "org".to_owned()],
            ids: false,
            since: "com.since".into(),
            missing: "com.missing".into(),
            max_age: Duration::from_secs(2 * 86400),
            max_bytes: 0,
        }),
    };
    assert_eq!(settings, expected);
    for (outbox, since) in [
        (json!(false), None),
        (json!(true), Some("com.shop.events.since")),
        (json!({}), Some("com.shop.events.since")),
    ] {
        let (settings, _) = Settings::read(&json!({"outbox": outbox}), "com.shop");
        let uri = settings.outbox.as_ref().map(|outbox| outbox.since.as_str());
        assert_eq!(uri, since);
        assert_eq!(settings.is_empty(), since.is_none());
    }
    let (settings, _) = Settings::read(&json!({"outbox": true}), "");
    let outbox = settings.outbox.unwrap();
    assert_eq!(outbox.missing.as_str(), "wampgres.events.missing");
    assert!(outbox.ids && outbox.topics.is_empty());
}

#[test]
fn all_faults_are_told_with_their_places() {
    for (topics, expected) in [
        (json!([]), "extra.topics: must be an object"),
        (
            json!({"chanels": {}}),
            "extra.topics.chanels: unknown key, did you mean `channels`?; known are: channels, outbox",
        ),
        (
            json!({"channels": "stock"}),
            "extra.topics.channels: must be an object",
        ),
        (
            json!({"channels": {"stock": 1}}),
            "extra.topics.channels.\"stock\": must be an object",
        ),
        (
            json!({"channels": {"stock": {"payload": "json"}}}),
            "extra.topics.channels.\"stock\".topic: missing; must be the URI of a topic",
        ),
        (
            json!({"channels": {"stock": {"topic": "a", "payload": "xml"}}}),
            "extra.topics.channels.\"stock\".payload: must be one of json, text",
        ),
        (
            json!({"channels": {"stock": "a b"}}),
            "extra.topics.channels.\"stock\": \"a b\" is no URI",
        ),
        (
            json!({"channels": {"": "a"}}),
            "extra.topics.channels.\"\": the name of a channel is empty",
        ),
    ] {
        let told = faults(&topics);
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{topics}: {told:?}"
        );
    }
}

#[test]
fn faults_of_the_outbox_are_told_too() {
    for (topics, expected) in [
        (
            json!({"outbox": "yes"}),
            "extra.topics.outbox: must be an object, or true",
        ),
        (
            json!({"outbox": {"max_ages": 1}}),
            "extra.topics.outbox.max_ages: unknown key, did you mean `max_age`?",
        ),
        (
            json!({"outbox": {"max_age": 0}}),
            "extra.topics.outbox.max_age: must be a time above 0",
        ),
        (
            json!({"outbox": {"topics": "com.shop"}}),
            "extra.topics.outbox.topics: must be an array of texts",
        ),
        (
            json!({"outbox": {"topics": ["com."]}}),
            "extra.topics.outbox.topics: \"com.\" is no URI",
        ),
        (
            json!({"outbox": {"since": "wamp.since"}}),
            "extra.topics.outbox.since: \"wamp.since\" is no URI",
        ),
    ] {
        let told = faults(&topics);
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{topics}: {told:?}"
        );
    }
    let two = json!({"channels": {"": "a b"}, "outbox": 1});
    assert_eq!(faults(&two).len(), 3);
}

#[test]
fn a_text_stays_one_and_json_becomes_arguments() {
    for (payload, is_text, args, kwargs) in [
        ("", true, json!([]), json!({})),
        ("[1, [2]]", false, json!([1, [2]]), json!({})),
        ("[1, [2]]", true, json!(["[1, [2]]"]), json!({})),
        ("\n{\"a\": {}}", false, json!([]), json!({"a": {}})),
        ("1e3", false, json!([1e3]), json!({})),
        ("tea", false, json!(["tea"]), json!({})),
        ("{tea}", false, json!(["{tea}"]), json!({})),
        ("[1] ]", false, json!(["[1] ]"]), json!({})),
    ] {
        let arguments = arguments(payload, is_text).unwrap();
        assert_eq!(arguments.args::<Value>().unwrap(), args, "{payload}");
        assert_eq!(arguments.kwargs::<Value>().unwrap(), kwargs, "{payload}");
    }
    // Numbers that few can hold are passed on as they are written.
    let precise = arguments("[12345678901234567890.125]", false).unwrap();
    assert_eq!(precise.len(), "[12345678901234567890.125]".len());
}
