//! How a URI is compared with a pattern. Must not know what patterns are used for.

use super::Uri;

/// How the URI of a pattern is compared with another one.
///
/// Source: WAMP specification, "Pattern-based Subscriptions".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum MatchPolicy {
    /// They are equal.
    #[default]
    Exact,
    /// The other begins with it, character by character: `com.ex` matches `com.example`, and the
    /// empty prefix everything.
    Prefix,
    /// They have as many components, and each is equal or empty in the pattern: `com..created`
    /// matches `com.user.created`.
    Wildcard,
}

impl MatchPolicy {
    /// Its name in the options of SUBSCRIBE and REGISTER.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Wildcard => "wildcard",
        }
    }
}

/// A URI that stands for all that match it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pattern {
    /// The URI, the prefix, or the URI with empty components.
    pub uri: Uri,
    /// How it is compared.
    pub match_policy: MatchPolicy,
}

impl Pattern {
    /// This URI alone.
    pub fn exact(uri: impl Into<Uri>) -> Self {
        Self::new(uri, MatchPolicy::Exact)
    }

    /// All URIs that begin with this.
    pub fn prefix(uri: impl Into<Uri>) -> Self {
        Self::new(uri, MatchPolicy::Prefix)
    }

    /// All URIs that are the same but for components that are empty here.
    pub fn wildcard(uri: impl Into<Uri>) -> Self {
        Self::new(uri, MatchPolicy::Wildcard)
    }

    fn new(uri: impl Into<Uri>, match_policy: MatchPolicy) -> Self {
        Self {
            uri: uri.into(),
            match_policy,
        }
    }

    /// Whether it stands for this URI.
    pub fn matches(&self, uri: &Uri) -> bool {
        let (pattern, uri) = (self.uri.as_str(), uri.as_str());
        match self.match_policy {
            MatchPolicy::Exact => pattern == uri,
            MatchPolicy::Prefix => uri.starts_with(pattern),
            MatchPolicy::Wildcard => {
                let mut components = uri.split('.');
                let is_same = |p: &str| components.next().is_some_and(|c| p.is_empty() || p == c);
                pattern.split('.').all(is_same) && components.next().is_none()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_compares_in_its_way() {
        for (pattern, uri, matches) in [
            (Pattern::exact("com.a"), "com.a", true),
            (Pattern::exact("com.a"), "com.a.b", false),
            (Pattern::prefix("com.a"), "com.ab", true),
            (Pattern::prefix("com.a."), "com.a", false),
            (Pattern::prefix(""), "anything", true),
            (Pattern::wildcard("com..c"), "com.b.c", true),
            (Pattern::wildcard("com..c"), "com.b.d", false),
            (Pattern::wildcard("com..c"), "com.b.c.d", false),
            (Pattern::wildcard("com..c"), "com.c", false),
            (Pattern::wildcard(".b"), "com.b", true),
        ] {
            assert_eq!(pattern.matches(&uri.into()), matches, "{pattern:?} {uri}");
        }
    }
}
