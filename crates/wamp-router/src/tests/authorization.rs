//! Permissions: which one decides, and what the denied are told.

use super::{
    random::Random,
    script::{play_on, prefix, realm},
};
use crate::{
    Allow, Disclose, MatchPolicy, Permission, RealmOptions, Role,
    authorization::{Action, Authorization},
};
use wamp::Uri;

const CALL: Allow = Allow {
    call: true,
    register: false,
    publish: false,
    subscribe: false,
};
const NOTHING: Allow = Allow {
    call: false,
    ..CALL
};

fn permission(match_policy: MatchPolicy, uri: &str, allow: Allow) -> Permission {
    Permission {
        uri: uri.to_owned(),
        match_policy,
        allow,
        disclose: Disclose::default(),
    }
}

fn may_call(permissions: &[Permission], uri: &str) -> bool {
    let role = Role {
        name: "r".into(),
        permissions: permissions.to_vec(),
        authorizer: None,
    };
    (Authorization::new(role).authorize(Action::Call, &Uri::from(uri))).is_ok()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn one_permission_decides() {
    use MatchPolicy::{Exact, Prefix, Wildcard};
    let (yes, no) = (CALL, NOTHING);
    for (permissions, uri, allowed) in [
        // none matches
        (&[][..], "com.a", false),
        (&[(Exact, "com.b", yes)], "com.a", false),
        (&[(Prefix, "com.b", yes)], "com.a", false),
        (&[(Wildcard, "com..c", yes)], "com.a", false),
        // each policy by itself
        (&[(Exact, "com.a", yes)], "com.a", true),
        (&[(Exact, "com.a", yes)], "com.a.b", false),
        (&[(Prefix, "", yes)], "anything", true),
        (&[(Prefix, "com.a", yes)], "com.a", true),
        (&[(Prefix, "com.a", yes)], "com.ab.c", true),
        (&[(Prefix, "com.a.", yes)], "com.a", false),
        (&[(Wildcard, "com..c", yes)], "com.b.c", true),
        (&[(Wildcard, "com..c", yes)], "com.b.d", false),
        (&[(Wildcard, "com..c", yes)], "com.b.c.d", false),
        (&[(Wildcard, "com.", yes)], "com.b", true),
        (&[(Wildcard, ".b", yes)], "com.b", true),
        // exact before all
        (
            &[(Exact, "com.a", no), (Prefix, "com.a", yes)],
            "com.a",
            false,
        ),
        (
            &[(Exact, "com.a", yes), (Wildcard, "com.", no)],
            "com.a",
            true,
        ),
        // wildcard before prefix
        (
            &[(Wildcard, "com..c", yes), (Prefix, "com.b.", no)],
            "com.b.c",
            true,
        ),
        (
            &[(Wildcard, "com..c", yes), (Prefix, "com.b.", no)],
            "com.b.d",
            false,
        ),
        // the longest prefix, whatever their order
        (
            &[(Prefix, "com.", yes), (Prefix, "com.a.", no)],
            "com.a.b",
            false,
        ),
        (
            &[(Prefix, "com.a.", no), (Prefix, "com.", yes)],
            "com.b.a",
            true,
        ),
        (
            &[
                (Prefix, "com.a.", no),
                (Prefix, "com.", yes),
                (Prefix, "com.a.b", yes),
            ],
            "com.a.b.c",
            true,
        ),
        // prefixes that sort between the URI and its own are passed over
        (
            &[
                (Prefix, "com.", yes),
                (Prefix, "com.a.b", no),
                (Prefix, "com.a.bb", no),
            ],
            "com.a.c",
            true,
        ),
        (
            &[
                (Prefix, "c", yes),
                (Prefix, "com.a", no),
                (Prefix, "com.a.b", no),
            ],
            "com.b",
            true,
        ),
        // the wildcard that goes on longest without one
        (
            &[(Wildcard, "com..b.c", no), (Wildcard, "com.a..", yes)],
            "com.a.b.c",
            true,
        ),
        (
            &[(Wildcard, "..c", no), (Wildcard, ".b.", yes)],
            "a.b.c",
            true,
        ),
        // a longer one that does not match hides nothing
        (
            &[(Prefix, "com.", yes), (Exact, "com.a", no)],
            "com.a.b",
            true,
        ),
        // the later of two for the same
        (
            &[(Exact, "com.a", no), (Exact, "com.a", yes)],
            "com.a",
            true,
        ),
        (
            &[(Prefix, "com.", yes), (Prefix, "com.", no)],
            "com.a",
            false,
        ),
        // characters of several bytes
        (
            &[(Prefix, "com.bü", yes), (Prefix, "com.bücher", no)],
            "com.büro",
            true,
        ),
    ] {
        let permissions: Vec<_> = (permissions.iter())
            .map(|(policy, uri, allow)| permission(*policy, uri, *allow))
            .collect();
        assert_eq!(
            may_call(&permissions, uri),
            allowed,
            "{uri} by {permissions:?}"
        );
    }
}

/// Random sets of short prefixes, against going through all of them.
#[test]
fn the_longest_prefix_is_found_among_many() {
    let mut random = Random(7);
    let mut word = |letters| -> String {
        let length = random.below(letters);
        (0..length)
            .map(|_| ['a', 'b'][random.below(2) as usize])
            .collect()
    };
    for _ in 0..200 {
        let prefixes: Vec<String> = (0..12).map(|_| word(5)).collect();
        let uri = word(7);
        let longest = (prefixes.iter())
            .filter(|prefix| uri.starts_with(*prefix))
            .max_by_key(|prefix| prefix.len());
        let permissions: Vec<_> = (prefixes.iter())
            .map(|p| prefix(p, if Some(p) == longest { CALL } else { NOTHING }))
            .collect();
        assert_eq!(
            may_call(&permissions, &uri),
            longest.is_some(),
            "{uri} in {prefixes:?}"
        );
    }
}

fn realm_that_allows(allow: Allow) -> RealmOptions {
    let mut realm = realm();
    realm.roles[0].permissions = vec![prefix("com.", allow)];
    realm
}

#[test]
fn each_action_needs_its_own_permission() {
    let script = |request: &str, answer: &str| {
        format!(
            r#"
            1 joins as open
            2 joins
            1 > [64,1,{{}},"com.p"]
            1 < [65,1,1]
            2 > {request}
            {answer}
            "#
        )
    };
    for (allow, request, done, action) in [
        (
            CALL,
            r#"[48,5,{},"com.p"]"#,
            "1 < [68,1,1,{}…]",
            (48, "call"),
        ),
        (
            Allow {
                register: true,
                ..NOTHING
            },
            r#"[64,5,{},"com.q"]"#,
            "2 < [65,5,2]",
            (64, "register"),
        ),
        (
            Allow {
                publish: true,
                ..NOTHING
            },
            r#"[16,5,{"acknowledge":true},"com.t"]"#,
            "2 < [17,5,501]",
            (16, "publish to"),
        ),
        (
            Allow {
                subscribe: true,
                ..NOTHING
            },
            r#"[32,5,{},"com.t"]"#,
            "2 < [33,5,1]",
            (32, "subscribe to"),
        ),
    ] {
        play_on(realm_that_allows(allow), &script(request, done));
        let others = Allow {
            call: !allow.call,
            register: !allow.register,
            publish: !allow.publish,
            subscribe: !allow.subscribe,
        };
        let (code, verb) = action;
        let denied = format!(
            r#"2 < [8,{code},5,{{}},"wamp.error.not_authorized",["role 'anonymous' may not {verb} 'com.…': allow it in the role's permissions"]]"#
        );
        play_on(realm_that_allows(others), &script(request, &denied));
    }
}

#[test]
fn what_is_denied_says_nothing_about_what_exists() {
    play_on(
        realm_that_allows(NOTHING),
        r#"
        1 joins
        1 > [48,1,{},"com.not.registered"]
        1 < [8,48,1,{},"wamp.error.not_authorized",["…'com.not.registered'…"]]
        1 > [48,2,{},"com..bad"]
        1 < [8,48,2,{},"wamp.error.invalid_uri",["…"]]
        # unacknowledged
        1 > [16,3,{},"com.t"]
        "#,
    );
}
