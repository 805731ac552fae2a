//! What runs before the statements, and refuses calls.

use serde_json::json;

use super::{caller, components, own};

const CHECK: &str = "\
CREATE TABLE shop.calls (who text, role text, what text);
GRANT INSERT, SELECT ON shop.calls TO web;
CREATE FUNCTION shop.check() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO shop.calls VALUES (wampgres.authid(), current_user, wampgres.procedure());
    IF wampgres.authid() = 'mallory' THEN RAISE EXCEPTION 'not you'; END IF;
    IF wampgres.authid() = 'eve' THEN
        RAISE EXCEPTION 'we are closed' USING ERRCODE = 'WAMP0', HINT = 'com.shop.closed';
    END IF;
    IF wampgres.authid() = 'bug' THEN PERFORM 1 FROM no_such_table; END IF;
END $$";

#[test]
fn it_knows_who_calls_and_refuses() {
    own(CHECK);
    let calls = "SELECT who, role, what FROM shop.calls WHERE who = wampgres.authid()";
    let refused = "SELECT count(*) FROM shop.calls WHERE who IN ('mallory', 'eve', 'bug') \
                   OR what = 'com.fails'";
    let extra = json!({
        "roles": {"*": "web"},
        "before": "shop.check",
        "procedures": {
            "com.calls": {"sql": calls, "returns": "arrays"},
            "com.refused": {"sql": refused, "returns": "value"},
            "com.fails": {"sql": "SELECT 1 / 0"},
            "com.several": {"sql": "SELECT 1 AS one;\n-- @returns value\nSELECT 2"},
            "com.free": {"sql": "SELECT 1", "returns": "value", "identity": false}
        }
    });
    for component in components(&extra) {
        assert_eq!(component.faults(), [""; 0]);
        let told =
            |uri: &str, authid: &str| component.told(uri, Some(&caller(authid, "anonymous")));
        let mine = json!(["alice", "web", "com.calls"]);
        let seen = told("com.calls", "alice").unwrap();
        assert_eq!(seen.as_array().unwrap().last(), Some(&mine));
        assert_eq!(told("com.several", "alice"), Ok(json!(2)));
        for (uri, authid, why) in [
            (
                "com.fails",
                "alice",
                "wamp.error.invalid_argument: ERROR: division by zero (SQLSTATE 22012)",
            ),
            (
                "com.calls",
                "mallory",
                "wamp.error.not_authorized: ERROR: not you (SQLSTATE P0001)",
            ),
            ("com.several", "eve", "com.shop.closed: we are closed"),
            (
                "com.calls",
                "bug",
                "wamp.error.runtime_error: the procedure has failed inside of the database \
                 (SQLSTATE 42P01)",
            ),
        ] {
            let told = told(uri, authid).unwrap_err();
            assert!(told.starts_with(why), "{told}");
        }
        assert_eq!(told("com.free", "mallory"), Ok(json!(1)));
        // What it did for a call that was refused, or failed, is undone with that.
        assert_eq!(told("com.refused", "alice"), Ok(json!(0)));
    }
}

#[test]
fn a_function_that_cannot_be_one_is_a_fault_and_lets_nobody_in() {
    own("CREATE FUNCTION shop.may() RETURNS bool LANGUAGE sql AS 'SELECT false'");
    for (name, why, refused) in [
        (
            "shop.may",
            "extra.before: `before`: shop.may() has to be a function that RETURNS void, ",
            "wamp.error.runtime_error: the procedure has a fault: shop.may() has to be a function",
        ),
        (
            "shop.gone",
            "extra.before: `before`: function shop.gone() does not exist",
            "(SQLSTATE 42883)",
        ),
    ] {
        let extra = json!({
            "roles": {"*": "web"},
            "before": name,
            "procedures": {"com.one": {"sql": "SELECT 1"}}
        });
        for component in components(&extra) {
            let faults = component.faults();
            assert!(
                faults[0].starts_with(why) && faults.len() == 1,
                "{faults:?}"
            );
            let told = component.told("com.one", None).unwrap_err();
            assert!(told.contains(refused), "{told}");
        }
    }
}
