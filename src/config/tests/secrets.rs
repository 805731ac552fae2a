//! What a fault must not show.

use super::{faults, node_with};

#[test]
fn a_url_in_a_fault_shows_no_password() {
    let text = node_with(&[(
        "ws://127.0.0.1:8080/ws",
        "ws://joe:hunter2@127.0.0.1:8080/ws",
    )]);
    let found = faults(&text).join("\n");
    assert!(found.contains("without user and password"), "{found}");
    assert!(
        !found.contains("hunter2") && !found.contains("joe"),
        "{found}"
    );
}

#[test]
fn a_text_that_speaks_of_a_password_is_not_shown() {
    for written in [
        "host=db user=u password=hunter2",
        "postgresql:///test?user=u&PASSWORD=hunter2",
    ] {
        let written = format!("{written:?}");
        for place in [
            r#"{"user": "testuser", "password": "s3cret"}"#,
            r#""ws://127.0.0.1:8080/ws""#,
            r#""static""#,
        ] {
            let found = faults(&node_with(&[(place, &written)])).join("\n");
            assert!(
                found.contains("seen a value that is not shown; must be"),
                "{found}"
            );
            assert!(!found.contains("hunter2"), "{found}");
        }
    }
}

#[test]
fn a_text_in_the_middle_of_a_sentence_shows_no_secret_either() {
    for text in [
        "postgresql://u:hunter2@db/shop",
        "postgresql://u:hunter2",
        "//u:hunter2/shop",
        "host=db pwd=hunter2",
        "secret/hunter2",
    ] {
        let written = format!("{text:?}");
        let places = [
            (
                "{\"type\": \"static\", \"directory\": \".\"}",
                "{\"type\": \"static\", \"directory\": V}",
            ),
            (
                "{\"user\": \"testuser\", \"password\": \"s3cret\"}",
                "{\"sslmode\": \"require\", \"sslrootcert\": V}",
            ),
            ("\"ws://127.0.0.1:8080/ws\"", "V"),
            ("\"test.Plain\"", "V"),
        ];
        for (place, by) in places {
            let by = by.replace('V', &written);
            let found = faults(&node_with(&[(place, &by)])).join("\n");
            assert!(!found.contains("hunter2"), "{found}");
            assert!(found.contains("a value that is not shown"), "{found}");
        }
    }
}

#[test]
fn a_connection_string_is_no_name_of_a_database_or_a_host() {
    for text in [
        "postgresql://u:hunter2@db/shop",
        "u:hunter2@db",
        "host=db password=hunter2",
    ] {
        for key in ["database", "host"] {
            let by = format!("{{\"user\": \"u\", \"{key}\": {text:?}}}");
            let place = r#"{"user": "testuser", "password": "s3cret"}"#;
            let found = faults(&node_with(&[(place, &by)])).join("\n");
            assert!(found.contains("not a connection string"), "{found}");
            assert!(!found.contains("hunter2"), "{found}");
        }
    }
}

#[test]
fn a_summary_shows_no_query_of_a_url() {
    let text = node_with(&[
        (
            "\"host\": \"127.0.0.1\", \"port\": 8080",
            "\"host\": \"far.example\", \"port\": 80",
        ),
        ("ws://127.0.0.1:8080/ws", "ws://far.example/ws?key=hunter2"),
    ]);
    let summary = super::node(&text).to_string();
    assert!(summary.contains("at ws://far.example/ws"), "{summary}");
    assert!(!summary.contains("hunter2"), "{summary}");
}

/// What `wampgres check` would print of this text.
fn told(text: &str) -> String {
    match super::check(text) {
        Ok(node) => format!(
            "{node:?}\n{node}\n{}",
            node.notes
                .iter()
                .map(ToString::to_string)
                .collect::<String>()
        ),
        Err(error) => error.to_string(),
    }
}

#[test]
fn no_damage_to_a_file_brings_a_secret_to_light() {
    const SECRETS: [&str; 3] = ["hunter2", "tr0ub4dor", "s3same"];
    let document = r#"{
    "version": 2,
    "workers": [{
        "type": "container",
        "components": [{
            "type": "class", "classname": "hello.MyDatabaseComponent", "realm": "realm1",
            "transport": {"type": "websocket", "url": "ws://127.0.0.1:1/ws",
                "endpoint": {"type": "tcp", "host": "127.0.0.1", "port": 1},
                "auth": {"ticket": {"authid": "joe", "ticket": "s3same"}}},
            "extra": {"database": {"host": "db", "user": "u",
                "p\u0061ssword":
                    "hunter2",
                "password": "hunter2", "url": "postgres:u:tr0ub4dor@h/d",
                "connection": "//u:tr0ub4dor@h/d", "conninfo": "host=db pass%77ord=hunter2",
                "secret": {"is": "s3same"}, "options": ["tr0ub4dor@", 7]}}
        }]
    }]
}"#;
    let clean = |text: &str| {
        let told = told(text);
        for secret in SECRETS {
            assert!(!told.contains(secret), "{secret} in {told}\nof {text}");
        }
    };
    clean(document);
    let places: Vec<_> = document.char_indices().map(|(at, _)| at).collect();
    for at in places {
        let (before, after) = document.split_at(at);
        // Cut short, a character less, one too many.
        clean(before);
        let mut rest = after.chars();
        rest.next();
        clean(&format!("{before}{}", rest.as_str()));
        for added in ["\"", ",", "\n", "\\", "}", "\u{1}", "\"x"] {
            clean(&format!("{before}{added}{after}"));
        }
    }
}

#[test]
fn an_excerpt_shows_the_structure_and_the_keys_of_the_format() {
    let told =
        told("{\"version\": 2,\n\t\"workers\": [{\"type\": \"router\" \"realms\": hunter2}]}");
    let expected = "expected `,` or `}` at line 2, column 32\n\t\"workers\": [{\"type\": \"…\" \"realms\": …}]}\n\t                         ^";
    assert!(told.contains(expected), "{told}");
}
