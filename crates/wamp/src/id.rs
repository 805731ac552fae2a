//! WAMP ids, one type each so that they cannot be mixed up; knows their range, not where they
//! come from.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
    num::NonZeroU64,
};

use serde::{Deserialize, Deserializer, Serialize};

/// The largest id, 2^53: the largest integer up to which every integer is exact in a double.
///
/// Source: WAMP specification, "Identifiers", "IDs".
pub const MAX_ID: u64 = 1 << 53;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
        #[serde(transparent)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The id with this value, or `None` outside of 1 to [`MAX_ID`].
            pub const fn new(value: u64) -> Option<Self> {
                match NonZeroU64::new(value) {
                    Some(id) if value <= MAX_ID => Some(Self(id)),
                    _ => None,
                }
            }

            /// The plain number.
            pub const fn value(self) -> u64 {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = u64::deserialize(deserializer)?;
                Self::new(value).ok_or_else(|| {
                    serde::de::Error::custom(format_args!(
                        "the id {value} is not between 1 and {MAX_ID}"
                    ))
                })
            }
        }
    };
}

id!(
    /// A session, in the global scope: drawn at random.
    SessionId
);
id!(
    /// A publication, in the global scope: drawn at random.
    PublicationId
);
id!(
    /// A registration, in the router scope.
    RegistrationId
);
id!(
    /// A subscription, in the router scope.
    SubscriptionId
);
id!(
    /// A request, in the session scope and of one direction: 1, 2, 3, ….
    RequestId
);

impl RequestId {
    /// The first request id of a session and direction.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The next request id; after [`MAX_ID`] the count begins anew.
    pub const fn next(self) -> Self {
        match Self::new(self.value() + 1) {
            Some(next) => next,
            None => Self::FIRST,
        }
    }
}

/// The hash of a map whose every key is an id that this node chose; see [`OwnIdHasher`].
pub type OwnIds = BuildHasherDefault<OwnIdHasher>;

/// A cheap hash for maps whose every key is a number that this node, or a router it trusts, chose:
/// peers, counted ids, random session ids. No client can choose keys that collide. Maps with keys
/// that clients choose (URIs, their request ids) keep the standard library's keyed hash.
#[derive(Default)]
pub struct OwnIdHasher(u64);

impl Hasher for OwnIdHasher {
    fn write_u64(&mut self, id: u64) {
        // 2^64 over the golden ratio: neighbours end up far apart. The map uses high and low
        // bits, and multiplying alone leaves the low ones poor.
        let spread = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_to_two_to_the_53() {
        assert_eq!(SessionId::new(0), None);
        assert_eq!(SessionId::new(1).map(SessionId::value), Some(1));
        assert_eq!(
            SessionId::new(MAX_ID).map(SessionId::value),
            Some(9_007_199_254_740_992)
        );
        assert_eq!(SessionId::new(MAX_ID + 1), None);
        assert_eq!(RequestId::new(MAX_ID).unwrap().next(), RequestId::FIRST);
    }
}
