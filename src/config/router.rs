//! Owns realms, roles and permissions in the document. Knows nothing of how they are enforced.

use super::{
    keys,
    model::{Allow, Authorizer, Disclose, MatchPolicy, Permission, Realm, Role},
    object::Object,
    reader::{Cursor, is_loose_uri},
    words::unless_secret,
};

/// The realms of a router worker.
pub(super) fn realms(worker: &Object<'_>) -> Vec<Realm> {
    let mut realms: Vec<Realm> = Vec::new();
    for item in worker.items("realms") {
        let Some(object) = item.object(&keys::REALM) else {
            continue;
        };
        let name = name(&object, |name| {
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
        let name = name(&object, |name| roles.iter().any(|role| role.name == name));
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
        let authorizer = authorizer(&object);
        roles.extend(name.map(|name| Role {
            name,
            permissions,
            authorizer,
        }));
    }
    roles
}

fn authorizer(role: &Object<'_>) -> Option<Authorizer> {
    const OPTIONS: [&str; 2] = ["authorizer_timeout", "authorizer_cache_ttl"];
    let [timeout, cache_ttl] = OPTIONS.map(|key| role.time(key).unwrap_or_default());
    let Some(member) = role.member("authorizer") else {
        for option in OPTIONS.iter().filter_map(|key| role.member(key)) {
            option.fault_unseen("the role has no `authorizer`: write one, or leave this out");
        }
        return None;
    };
    let procedure = member.uri()?.to_owned();
    if procedure.starts_with("wamp.") {
        member.fault("must be a procedure of your own: `wamp.` is reserved for WAMP itself");
        return None;
    }
    Some(Authorizer {
        procedure,
        timeout,
        cache_ttl,
    })
}

fn name(object: &Object<'_>, taken: impl Fn(&str) -> bool) -> Option<String> {
    let member = object.required("name")?;
    let name = member.uri()?;
    if taken(name) {
        member.fault("the name is taken; join the two");
        return None;
    }
    Some(name.to_owned())
}

fn permission(item: &Cursor<'_>) -> Option<Permission> {
    let object = item.object(&keys::PERMISSION)?;
    let allow = object.object("allow");
    let disclose = object.object("disclose");
    let allow = Allow {
        call: allow.boolean("call"),
        register: allow.boolean("register"),
        publish: allow.boolean("publish"),
        subscribe: allow.boolean("subscribe"),
    };
    let disclose = Disclose {
        caller: disclose.boolean("caller"),
        publisher: disclose.boolean("publisher"),
    };
    let cache = object.boolean("cache");
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
    let is_written = permission.member("match").is_some();
    let policy = is_written.then(|| permission.word("match"));
    let member = permission.required("uri")?;
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
    if !well_formed || !is_loose_uri(uri) {
        member.fault(format!("must be {form}; no blanks, no `#`"));
        return None;
    }
    Some((uri.to_owned(), policy))
}
