//! What the transaction of a call is told, and that nothing of it is left to the next.

use serde_json::json;

use super::{super::*, caller, components};

#[test]
fn pg_stat_activity_names_the_realm_and_the_procedure() {
    let sql = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let long = format!("com.{}.end", "x".repeat(100));
    let extra = json!({"procedures": {
        "com.name": {"sql": sql, "returns": "value"},
        "com.ünï": {"sql": sql, "returns": "value"},
        "com.none": {"sql": sql, "returns": "value", "identity": false},
        &*long: {"sql": sql, "returns": "value"}
    }});
    for component in components(&extra) {
        let name = |uri: &str| component.call(uri, None).unwrap();
        let before = name("com.none");
        assert_eq!(name("com.name"), "wampgres realm1 com.name");
        assert_eq!(name("com.ünï"), "wampgres realm1 com.?n?");
        let shortened = name(&long);
        let shortened = shortened.as_str().unwrap();
        assert_eq!(shortened.len(), LONGEST_NAME);
        assert!(
            shortened.starts_with("wampgres realm1 com.xxx"),
            "{shortened}"
        );
        assert!(shortened.ends_with("xxx.end"), "{shortened}");
        assert_eq!(name("com.none"), before);
    }
}

#[test]
fn without_identity_a_statement_has_no_transaction_around_it() {
    let seen = "SELECT current_user, current_setting('wamp.authid', true)";
    let extra = json!({
        "roles": {"*": "web"},
        "procedures": {
            "com.with": {"sql": seen, "returns": "arrays"},
            "com.without": {"sql": seen, "returns": "arrays", "identity": false},
            "com.vacuum": {"sql": "VACUUM pg_namespace", "identity": false},
            "com.vacuumed": {"sql": "VACUUM pg_namespace"}
        }
    });
    let alice = caller("alice", "anonymous");
    for component in components(&extra) {
        let seen = |uri: &str| component.call(uri, Some(&alice)).unwrap()[0].clone();
        assert_eq!(seen("com.with"), json!(["web", "alice"]));
        for _ in 0..2 {
            let without = seen("com.without");
            assert_eq!(without[0], "authenticator");
            assert_ne!(without[1], "alice");
        }
        // PostgreSQL takes it only outside of a transaction.
        let error = component.call("com.vacuumed", Some(&alice)).unwrap_err();
        assert_eq!(error.details()["sqlstate"], "25001");
        component.call("com.vacuum", Some(&alice)).unwrap();
    }
}

#[test]
fn what_a_procedure_sets_for_itself_is_never_taken_for_the_next_caller() {
    let spoil = "SELECT set_config('wamp.authid', 'mallory', false)";
    let extra = json!({"procedures": {
        "com.spoil": {"sql": spoil, "identity": false},
        "com.who": {"sql": "SELECT current_setting('wamp.authid')", "returns": "value"}
    }});
    for component in components(&extra) {
        for _ in 0..4 {
            component.call("com.spoil", None).unwrap();
            assert_eq!(component.call("com.who", None).unwrap(), "");
            let alice = caller("alice", "clerk");
            assert_eq!(component.call("com.who", Some(&alice)).unwrap(), "alice");
        }
    }
}

#[test]
fn values_of_any_characters_are_told_as_they_are() {
    let extra = json!({"procedures": {
        "com.who": {"sql": "SELECT current_setting('wamp.authid')", "returns": "value"}
    }});
    for component in components(&extra) {
        for authid in [
            "o'brien",
            r"a\b",
            "'); DROP TABLE shop.notes; --",
            "ünï",
            "$1",
            "",
        ] {
            let caller = caller(authid, "clerk");
            assert_eq!(component.call("com.who", Some(&caller)).unwrap(), authid);
        }
        let error = component.call("com.who", Some(&caller("a\0b", "clerk")));
        let error = error.unwrap_err();
        assert!(error.message().contains("NUL"), "{error}");
    }
}
