//! What a role may do: its permissions, indexed so that the one that decides is found quickly.
//! Knows URIs and actions, not sessions.

use std::{cmp::Reverse, collections::HashMap, fmt, sync::Arc};

use super::{Allow, Authorizer, Disclose, MatchPolicy, Permission, Role, refusal::Refusal};
use wamp::{Uri, error_uri};

/// What a session wants to do with a URI.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Action {
    Call,
    Register,
    Publish,
    Subscribe,
}

impl Action {
    fn is_allowed(self, allow: Allow) -> bool {
        match self {
            Self::Call => allow.call,
            Self::Register => allow.register,
            Self::Publish => allow.publish,
            Self::Subscribe => allow.subscribe,
        }
    }
}

impl Action {
    /// Its name for authorizers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Register => "register",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Register => "register",
            Self::Publish => "publish to",
            Self::Subscribe => "subscribe to",
        })
    }
}

/// A role, ready to decide.
pub(super) struct Authorization {
    role: Arc<str>,
    exact: HashMap<String, Grant>,
    prefixes: Prefixes,
    wildcards: Wildcards,
    authorizer: Option<Authorizer>,
}

/// What a permission says once it is known to match.
#[derive(Clone, Copy)]
struct Grant {
    allow: Allow,
    disclose: Disclose,
}

impl Authorization {
    pub(super) fn new(role: Role) -> Self {
        let (mut exact, mut prefixes, mut wildcards) =
            (HashMap::new(), HashMap::new(), HashMap::new());
        for permission in role.permissions {
            let Permission {
                uri,
                match_policy,
                allow,
                disclose,
            } = permission;
            let permissions = match match_policy {
                MatchPolicy::Exact => &mut exact,
                MatchPolicy::Prefix => &mut prefixes,
                MatchPolicy::Wildcard => &mut wildcards,
            };
            permissions.insert(uri, Grant { allow, disclose });
        }
        Self {
            role: role.name.into(),
            exact,
            prefixes: Prefixes::new(prefixes),
            wildcards: Wildcards::new(wildcards),
            authorizer: role.authorizer,
        }
    }

    /// The name of the role.
    pub(super) fn role(&self) -> &Arc<str> {
        &self.role
    }

    /// Who is to be asked about this URI, if anybody: nobody where a permission decides.
    pub(super) fn authorizer_of(&self, uri: &Uri) -> Option<&Authorizer> {
        let authorizer = self.authorizer.as_ref()?;
        self.grant(uri.as_str()).is_none().then_some(authorizer)
    }

    /// The procedure that is asked where no permission decides.
    pub(super) fn authorizer(&self) -> Option<&Authorizer> {
        self.authorizer.as_ref()
    }

    /// Whether the role's permissions allow this, and what is disclosed about the session if it does.
    pub(super) fn authorize(&self, action: Action, uri: &Uri) -> Result<Disclose, Refusal> {
        match self.grant(uri.as_str()) {
            Some(grant) if action.is_allowed(grant.allow) => Ok(grant.disclose),
            _ => Err(Refusal::new(
                error_uri::NOT_AUTHORIZED,
                format!(
                    "role '{}' may not {action} '{uri}': allow it in the role's permissions",
                    self.role
                ),
            )),
        }
    }

    /// The one permission that decides; see [`Permission`] for the order.
    fn grant(&self, uri: &str) -> Option<Grant> {
        (self.exact.get(uri).copied())
            .or_else(|| self.wildcards.best(uri))
            .or_else(|| self.prefixes.longest(uri))
    }
}

/// Prefix permissions in alphabetical order, each with the longest other one that it begins with.
///
/// Everything between a prefix of a URI and the URI itself begins with that prefix. So the last
/// entry that is not after the URI, or one of those it begins with, is the longest that matches.
struct Prefixes(Vec<Prefix>);

struct Prefix {
    text: String,
    /// Where the longest shorter prefix of this one stands.
    shorter: Option<usize>,
    grant: Grant,
}

impl Prefixes {
    fn new(permissions: HashMap<String, Grant>) -> Self {
        let mut prefixes: Vec<_> = (permissions.into_iter())
            .map(|(text, grant)| Prefix {
                text,
                shorter: None,
                grant,
            })
            .collect();
        prefixes.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        for at in 1..prefixes.len() {
            let text = &prefixes[at].text;
            prefixes[at].shorter = longest_of(&prefixes, Some(at - 1), text);
        }
        Self(prefixes)
    }

    fn longest(&self, uri: &str) -> Option<Grant> {
        let after = self.0.partition_point(|prefix| prefix.text.as_str() <= uri);
        longest_of(&self.0, after.checked_sub(1), uri).map(|at| self.0[at].grant)
    }
}

/// The first that `uri` begins with, from an entry on through its ever shorter prefixes.
fn longest_of(prefixes: &[Prefix], from: Option<usize>, uri: &str) -> Option<usize> {
    std::iter::successors(from, |&at| prefixes[at].shorter)
        .find(|&at| uri.starts_with(&prefixes[at].text))
}

/// Wildcard permissions, the most specific first. Rare, so they are gone through.
struct Wildcards(Vec<(Vec<String>, Grant)>);

impl Wildcards {
    fn new(permissions: HashMap<String, Grant>) -> Self {
        let mut wildcards: Vec<_> = (permissions.into_iter())
            .map(|(pattern, grant)| (pattern.split('.').map(str::to_owned).collect(), grant))
            .collect();
        // Two different patterns that match the same URI differ in where their wildcards are.
        wildcards.sort_by_cached_key(|(pattern, _): &(Vec<String>, _)| {
            Reverse(pattern.iter().map(|c| !c.is_empty()).collect::<Vec<_>>())
        });
        Self(wildcards)
    }

    fn best(&self, uri: &str) -> Option<Grant> {
        let matches = |pattern: &[String]| {
            let mut components = uri.split('.');
            pattern
                .iter()
                .all(|p| components.next().is_some_and(|c| p.is_empty() || p == c))
                && components.next().is_none()
        };
        self.0
            .iter()
            .find(|(pattern, _)| matches(pattern))
            .map(|(_, grant)| *grant)
    }
}
