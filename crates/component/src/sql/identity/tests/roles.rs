//! The roles of the database that callers have, and what these have set for themselves.

use std::time::Instant;

use serde_json::{Value, json};
use wamp::AuthMethod;

use super::{Component, Databases, Definitions, LIMIT, caller, components, own};

const NOTES: &str = "SELECT owner FROM shop.notes WHERE owner IN ('alice', 'bob') ORDER BY owner";

#[test]
fn each_authrole_has_its_role_of_the_database() {
    let extra = json!({
        "roles": {"anonymous": "web", "staff": "clerk", "backend": null},
        "procedures": {
            "com.notes": {"sql": NOTES, "returns": "arrays"},
            "com.role": {"sql": "SELECT current_user", "returns": "value"}
        }
    });
    for component in components(&extra) {
        let told = |uri: &str, authid: &str, authrole: &str| {
            component.told(uri, Some(&caller(authid, authrole)))
        };
        let both = json!([["alice"], ["bob"]]);
        for _ in 0..3 {
            for authid in ["alice", "bob"] {
                assert_eq!(
                    told("com.notes", authid, "anonymous"),
                    Ok(json!([[authid]]))
                );
            }
            assert_eq!(told("com.notes", "carol", "staff"), Ok(both.clone()));
            assert_eq!(
                told("com.role", "node", "backend"),
                Ok(json!("authenticator"))
            );
        }
        assert_eq!(
            told("com.notes", "eve", "other").unwrap_err(),
            "wamp.error.not_authorized: no role of the database is meant for the authrole `other`: \
             give it a row in `roles` of the component, or one to `*`, which is for all others"
        );
        let undisclosed = component.told("com.notes", None).unwrap_err();
        let why = "wamp.error.not_authorized: the router does not tell who calls";
        assert!(undisclosed.starts_with(why), "{undisclosed}");
        // The login itself may see nothing of it.
        let refused = told("com.notes", "node", "backend").unwrap_err();
        assert!(
            refused.starts_with("wamp.error.not_authorized: "),
            "{refused}"
        );
    }
}

#[test]
fn a_row_can_be_for_all_others() {
    let extra = json!({
        "roles": {"*": "web", "staff": "clerk"},
        "procedures": {"com.role": {"sql": "SELECT current_user", "returns": "value"}}
    });
    for component in components(&extra) {
        let other = caller("eve", "other");
        assert_eq!(component.told("com.role", Some(&other)), Ok(json!("web")));
        assert_eq!(component.told("com.role", None), Ok(json!("web")));
        let staff = caller("carol", "staff");
        assert_eq!(component.told("com.role", Some(&staff)), Ok(json!("clerk")));
    }
}

#[test]
fn what_another_router_has_disclosed_is_all_that_is_known() {
    let sql = "SELECT wampgres.session(), wampgres.authid(), wampgres.authrole(), \
               wampgres.authmethod(), wampgres.authextra()";
    let extra = json!({"procedures": {"com.who": {"sql": sql, "returns": "arrays"}}});
    for component in components(&extra) {
        let mut disclosed = caller("alice", "guest");
        assert_eq!(disclosed.authmethod, Some(AuthMethod::Anonymous));
        (disclosed.authmethod, disclosed.authrole) = (None, None);
        let seen = component.told("com.who", Some(&disclosed));
        assert_eq!(seen, Ok(json!([[4711, "alice", null, null, null]])));
    }
}

/// What a role has set, as a transaction of its sees it.
const SET: &str = "SELECT current_setting('statement_timeout'), current_setting('work_mem'), \
                   current_setting('search_path'), current_setting('transaction_isolation'), \
                   current_setting('transaction_read_only'), current_setting('app.plan', true), \
                   current_setting('log_statement'), current_user";

const READER: &str = "\
CREATE ROLE reader; GRANT reader TO authenticator;
ALTER ROLE reader SET statement_timeout = '7s';
ALTER ROLE reader SET work_mem = '1MB';
ALTER ROLE reader IN DATABASE postgres SET work_mem = '2MB';
ALTER ROLE reader SET search_path = 'shop', \"Other Schema\";
ALTER ROLE reader SET default_transaction_isolation = 'repeatable read';
ALTER ROLE reader SET default_transaction_read_only = on;
ALTER ROLE reader SET app.plan = 'x=y';
ALTER ROLE reader SET wamp.authid = 'mallory';
ALTER ROLE reader SET log_statement = 'all';
ALTER ROLE reader SET role = 'clerk'";

#[test]
fn what_a_role_has_set_for_itself_holds_for_its_callers() {
    own(READER);
    let extra = json!({
        "roles": {"*": "reader"},
        "procedures": {
            "com.set": {"sql": SET, "returns": "arrays"},
            "com.own": {
                "sql": SET, "returns": "arrays", "timeout": "3s", "isolation": "read_committed",
                "read_only": false
            },
            "com.who": {"sql": "SELECT wampgres.authid()", "returns": "value"},
            "com.not_its": {"sql": SET, "returns": "arrays", "identity": false}
        }
    });
    let path = "shop, \"Other Schema\"";
    let components = components(&extra);
    for component in &components {
        assert_eq!(component.faults(), [""; 0]);
        for _ in 0..2 {
            let set = json!([[
                "7s",
                "2MB",
                path,
                "repeatable read",
                "on",
                "x=y",
                "none",
                "reader"
            ]]);
            assert_eq!(component.told("com.set", None), Ok(set));
            let own = json!([[
                "3s",
                "2MB",
                path,
                "read committed",
                "off",
                "x=y",
                "none",
                "reader"
            ]]);
            assert_eq!(component.told("com.own", None), Ok(own));
            assert_eq!(component.told("com.who", None), Ok(Value::Null));
            let after = component.call("com.not_its", None).unwrap();
            assert_eq!(after[0][0], "0");
            assert_eq!(after[0][7], "authenticator");
        }
    }
    // A change is seen without a word. What only superusers set can be granted since PostgreSQL 15.
    own(
        "ALTER ROLE reader IN DATABASE postgres SET work_mem = '3MB';
         DO $$ BEGIN IF current_setting('server_version_num')::int >= 150000 THEN
            EXECUTE 'GRANT SET ON PARAMETER log_statement TO authenticator'; END IF; END $$",
    );
    for component in &components {
        until(component, |seen| seen[0][1] == "3MB");
        let seen = component.call("com.set", None).unwrap();
        assert!(["all", "none"].contains(&seen[0][6].as_str().unwrap()));
    }
}

/// Calls until the answer is as it is to be.
fn until(component: &Component, is_so: impl Fn(&Value) -> bool) {
    let began = Instant::now();
    loop {
        let seen = component.told("com.set", None);
        match &seen {
            Ok(seen) if is_so(seen) => return,
            _ => assert!(began.elapsed() < LIMIT, "{seen:?}"),
        }
    }
}

#[test]
fn a_role_that_cannot_be_used_is_a_fault_until_it_is_mended() {
    let extra = json!({
        "roles": {"anonymous": "stranger", "other": "nobody", "staff": "clerk"},
        "procedures": {"com.set": {"sql": "SELECT current_user AS me"}}
    });
    let components = components(&extra);
    for component in &components {
        assert_eq!(
            component.faults(),
            [
                "extra.roles[\"anonymous\"]: \"authenticator\" may not become \"stranger\": \
                 GRANT \"stranger\" TO \"authenticator\"",
                "extra.roles[\"other\"]: there is no role \"nobody\" in the database: \
                 CREATE ROLE \"nobody\"",
            ]
        );
        let staff = caller("carol", "staff");
        let answer = component.told("com.set", Some(&staff));
        assert_eq!(answer, Ok(json!([{"me": "clerk"}])));
        let error = component.call("com.set", Some(&caller("eve", "other")));
        let error = error.unwrap_err();
        assert!(!error.message().contains("nobody"), "{error}");
        let log = error.log().unwrap();
        assert!(log.contains("there is no role \"nobody\""), "{log}");
    }
    own("GRANT stranger TO authenticator");
    let anonymous = caller("alice", "anonymous");
    for component in &components {
        let began = Instant::now();
        while component.call("com.set", Some(&anonymous)).is_err() {
            assert!(began.elapsed() < LIMIT);
        }
    }
    // And when it is taken away again, the call is refused at least.
    own("REVOKE stranger FROM authenticator");
    for component in &components {
        assert!(component.call("com.set", Some(&anonymous)).is_err());
    }
}

const TENANT: &str = "\
CREATE ROLE tenant; GRANT tenant TO authenticator;
CREATE SCHEMA hidden AUTHORIZATION tenant;
CREATE TABLE hidden.goods AS SELECT 1 AS id, 'tea' AS name;
ALTER TABLE hidden.goods OWNER TO tenant;
ALTER ROLE tenant SET search_path = hidden";

#[test]
fn statements_are_prepared_as_the_roles_see_them() {
    own(TENANT);
    let goods = "SELECT name FROM goods WHERE id = :id := 1";
    let extra = json!({
        // The first one cannot see it.
        "roles": {"anonymous": "web", "tenant": "tenant"},
        "procedures": {"com.goods": {"sql": goods, "returns": "value"}}
    });
    for component in components(&extra) {
        for _ in 0..2 {
            let tenant = caller("alice", "tenant");
            assert_eq!(component.told("com.goods", Some(&tenant)), Ok(json!("tea")));
            let other = caller("bob", "anonymous");
            let told = component.told("com.goods", Some(&other)).unwrap_err();
            assert!(told.contains("(SQLSTATE 42P01)"), "{told}");
        }
    }
}

#[test]
fn faults_of_the_configuration_are_told() {
    let one = json!({"com.one": {"sql": "SELECT 1"}});
    let with_before = json!({"sql": "SELECT 1", "identity": false, "before": "f"});
    for (extra, why) in [
        (
            json!({"roles": []}),
            "extra.roles: must be an object: to each authrole",
        ),
        (
            json!({"roles": {}}),
            "extra.roles: must be an object: to each authrole",
        ),
        (
            json!({"roles": {"a": 1}}),
            "extra.roles[\"a\"]: must be the name of a role",
        ),
        (
            json!({"roles": {"a": "none"}}),
            "extra.roles[\"a\"]: must be the name of a role",
        ),
        (
            json!({"roles": {"a": "b"}, "identity": false, "procedures": one}),
            "extra.roles: is for procedures that have the identity of their callers",
        ),
        (
            json!({"before": "f", "identity": false, "procedures": one}),
            "extra.before: is for procedures that have the identity of their callers",
        ),
        (
            json!({"procedures": {"com.one": with_before}}),
            "extra.procedures[\"com.one\"].before: `before` is for procedures that have the identity",
        ),
    ] {
        let databases = Databases::only(super::server().logins[0].clone());
        let faults = Definitions::read(&extra, &databases).faults;
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert!(
            faults.len() == 1 && faults[0].starts_with(why),
            "{faults:?}"
        );
    }
}
