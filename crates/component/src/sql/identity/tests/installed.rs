//! The functions of `sql-install` by which SQL asks who calls.

use serde_json::{Map, json};

use super::{caller, components, own};

/// The part of `sql-install`.
const SCRIPT: &str = include_str!("../../install/identity.sql");

const ALL: &str = "SELECT wampgres.session(), wampgres.authid(), wampgres.authrole(), \
                   wampgres.authmethod(), wampgres.authextra(), wampgres.realm(), wampgres.procedure()";

#[test]
fn they_say_who_calls_and_null_where_nobody_has_said_it() {
    let extra = json!({"procedures": {
        "com.who": {"sql": ALL, "returns": "row"},
        "com.none": {"sql": ALL, "returns": "row", "identity": false}
    }});
    let nobody = json!({
        "session": null, "authid": null, "authrole": null, "authmethod": null, "authextra": null,
        "realm": null, "procedure": null
    });
    for component in components(&extra) {
        // Before any of it was ever set, and after.
        for _ in 0..3 {
            assert_eq!(component.told("com.none", None), Ok(nobody.clone()));
            let mut alice = caller("alice", "clerk");
            let more = Map::from_iter([("team".to_owned(), json!(["a", 1]))]);
            alice.authextra = Some(more.into());
            let expected = json!({
                "session": 4711, "authid": "alice", "authrole": "clerk", "authmethod": "anonymous",
                "authextra": {"team": ["a", 1]}, "realm": "realm1", "procedure": "com.who"
            });
            assert_eq!(component.told("com.who", Some(&alice)), Ok(expected));
            let mut unknown = nobody.clone();
            unknown["realm"] = json!("realm1");
            unknown["procedure"] = json!("com.who");
            assert_eq!(component.told("com.who", None), Ok(unknown));
        }
    }
}

#[test]
fn they_can_be_installed_again_and_trust_no_search_path() {
    own(SCRIPT);
    own("CREATE SCHEMA evil;
         CREATE FUNCTION evil.differs(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
         CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.differs);
         CREATE FUNCTION evil.current_setting(text, bool) RETURNS text LANGUAGE sql
            AS $$ SELECT 'mallory' $$;
         GRANT USAGE ON SCHEMA evil TO PUBLIC");
    let sql = "SELECT set_config('search_path', 'evil, pg_catalog', true);\n\
               -- @returns value\nSELECT wampgres.authid()";
    let extra = json!({"procedures": {"com.who": {"sql": sql}}});
    for component in components(&extra) {
        let alice = caller("alice", "clerk");
        assert_eq!(component.told("com.who", Some(&alice)), Ok(json!("alice")));
    }
}

#[test]
fn they_are_stable_and_anybodys() {
    let sql = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'wampgres'::regnamespace \
               AND pronargs = 0 AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'sql') \
               AND provolatile = 's' AND proparallel = 's' AND has_function_privilege(oid, 'EXECUTE')";
    let extra = json!({"procedures": {"com.count": {"sql": sql, "returns": "value"}}});
    let count = components(&extra)[0].call("com.count", None).unwrap();
    let made = SCRIPT.matches("CREATE OR REPLACE FUNCTION").count();
    assert_eq!(count, json!(made));
}
