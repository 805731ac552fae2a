//! Owns realms, roles and permissions in the document. Knows nothing of how they are enforced.

use super::{
    keys,
    model::{Allow, Disclose, MatchPolicy, Permission, Realm, Role},
    reader::{Cursor, Object},
    words::unless_secret,
};

/// The realms of a router worker.
pub(super) fn realms(worker: &Object<'_>) -> Vec<Realm> {
    let mut realms: Vec<Realm> = Vec::new();
    for item in worker.items("realms") {
        let Some(object) = item.object(&keys::REALM) else {
            continue;
        };
        let name = name(&object, "the realm's name", |name| {
            realms.iter().any(|realm| realm.name == name)
        });
        let roles = roles(&object);
        realms.extend(name.map(|name| Realm { name, roles }));
    }
    realms
}

fn roles(realm: &Object<'_>) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::new();
    for item in realm.items("roles") {
        let Some(object) = item.object(&keys::ROLE) else {
            continue;
        };
        let name = name(&object, "the role's name", |name| {
            roles.iter().any(|role| role.name == name)
        });
        let mut permissions: Vec<Permission> = Vec::new();
        for item in object.items("permissions") {
            let Some(permission) = permission(&item) else {
                continue;
            };
            let same = |other: &Permission| {
                other.uri == permission.uri && other.match_policy == permission.match_policy
            };
            if permissions.iter().any(same) {
                item.fault_unseen(format!(
                    "the role has a permission for `{}` with this match policy already: make one of the two",
                    unless_secret(permission.uri.clone())
                ));
            }
            permissions.push(permission);
        }
        roles.extend(name.map(|name| Role { name, permissions }));
    }
    roles
}

fn name(object: &Object<'_>, what: &str, taken: impl Fn(&str) -> bool) -> Option<String> {
    let member = object.required("name", what)?;
    let name = uri(&member)?;
    if taken(name) {
        member.fault("the name is taken; join the two");
        return None;
    }
    Some(name.to_owned())
}

/// A whole URI, by the loose rules (WAMP, section "URIs"): no blanks, no `#`, no empty component.
pub(super) fn uri<'a>(member: &Cursor<'a>) -> Option<&'a str> {
    let uri = member.text()?;
    if !loose(uri) || uri.split('.').any(str::is_empty) {
        member.fault("must be a URI: no blanks, no `#`, no empty part between its dots");
        return None;
    }
    Some(uri)
}

fn loose(uri: &str) -> bool {
    !uri.contains(|c: char| c.is_whitespace() || c == '#')
}

fn permission(item: &Cursor<'_>) -> Option<Permission> {
    let object = item.object(&keys::PERMISSION)?;
    let allow = object
        .member("allow")
        .and_then(|member| member.object(&keys::ALLOW))
        .map_or_else(Allow::default, |allow| Allow {
            call: allow.boolean("call", false),
            register: allow.boolean("register", false),
            publish: allow.boolean("publish", false),
            subscribe: allow.boolean("subscribe", false),
        });
    let disclose = object
        .member("disclose")
        .and_then(|member| member.object(&keys::DISCLOSE))
        .map_or_else(Disclose::default, |disclose| Disclose {
            caller: disclose.boolean("caller", false),
            publisher: disclose.boolean("publisher", false),
        });
    let cache = object.boolean("cache", false);
    let (uri, match_policy) = pattern(&object)?;
    Some(Permission {
        uri,
        match_policy,
        allow,
        disclose,
        cache,
    })
}

/// The URI pattern. Without `match`, a `*` at the end means a prefix, as in Crossbar.io.
fn pattern(permission: &Object<'_>) -> Option<(String, MatchPolicy)> {
    let policy = permission
        .member("match")
        .map(|member| member.one_of(&keys::MATCH_POLICIES));
    let member = permission.required("uri", "a URI or a pattern such as \"com.example.*\"")?;
    let uri = member.string()?;
    let (uri, policy) = match (policy, uri.strip_suffix('*')) {
        (None, Some(prefix)) => (prefix, MatchPolicy::Prefix),
        (None, None) => (uri, MatchPolicy::Exact),
        (Some(policy), _) => match policy? {
            "prefix" => (uri, MatchPolicy::Prefix),
            "wildcard" => (uri, MatchPolicy::Wildcard),
            _ => (uri, MatchPolicy::Exact),
        },
    };
    if uri.contains('*') {
        member.fault(
            "`*` may only stand at the end of a URI without `match`; \
             a wildcard has an empty part between its dots instead",
        );
        return None;
    }
    let empty_part = |uri: &str| uri.split('.').any(str::is_empty);
    let (well_formed, form) = match policy {
        MatchPolicy::Exact => (
            !empty_part(uri),
            "a URI without an empty part between its dots",
        ),
        // A prefix may be nothing at all (every URI), end in a dot or in the middle of a part.
        MatchPolicy::Prefix => (
            uri.is_empty() || !empty_part(uri.strip_suffix('.').unwrap_or(uri)),
            "the beginning of a URI, such as \"com.example.\"",
        ),
        MatchPolicy::Wildcard => (
            !uri.is_empty(),
            "a URI with empty parts, such as \"com..now\"",
        ),
    };
    if !well_formed || !loose(uri) {
        member.fault(format!("must be {form}; no blanks, no `#`"));
        return None;
    }
    Some((uri.to_owned(), policy))
}
