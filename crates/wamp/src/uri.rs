//! WAMP URIs and the rules they obey; knows the text of a URI, not what stands behind it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A URI as a peer sent it: any text until one of the checks has been asked. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uri(Arc<str>);

/// The longest URI that is taken, in bytes. The specification has no limit; without one a session
/// could fill the router's memory with names.
pub const MAX_URI_LEN: usize = 4096;

impl Uri {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a URI by the loose rule: components separated by `.`, none empty, none
    /// with white space or `#`.
    ///
    /// Source: WAMP specification, "Identifiers", "Relaxed/Loose URIs".
    pub fn is_loose(&self) -> bool {
        let mut is_empty = true;
        for c in self.0.chars() {
            match c {
                '.' if is_empty => return false,
                '#' => return false,
                c if c.is_whitespace() => return false,
                c => is_empty = c == '.',
            }
        }
        !is_empty
    }

    /// Whether the text is longer than [`MAX_URI_LEN`].
    pub fn is_too_long(&self) -> bool {
        self.0.len() > MAX_URI_LEN
    }

    /// Whether the first component is `wamp`, which applications must not use.
    ///
    /// Source: WAMP specification, "Identifiers", "Reserved URIs".
    pub fn is_reserved(&self) -> bool {
        self.0.split('.').next() == Some("wamp")
    }
}

impl From<&str> for Uri {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Uri {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl std::borrow::Borrow<str> for Uri {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Uri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Uri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Uri;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URI string")
            }
            fn visit_str<E>(self, text: &str) -> Result<Uri, E> {
                Ok(Uri::from(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loose_rule() {
        for good in [
            "a",
            "com.example.now.v1",
            "Com.Example",
            "com.bücher.ß",
            "a.b-c.d_e",
            "1.2",
        ] {
            assert!(Uri::from(good).is_loose(), "{good}");
        }
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a.b\t",
            "a.#",
            "a.b\u{a0}c",
            "a\n",
        ] {
            assert!(!Uri::from(bad).is_loose(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_first_component_reserves() {
        assert!(Uri::from("wamp").is_reserved());
        assert!(Uri::from("wamp.session.count").is_reserved());
        assert!(!Uri::from("wampgres.session").is_reserved());
        assert!(!Uri::from("com.wamp").is_reserved());
    }
}
