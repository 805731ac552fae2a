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
