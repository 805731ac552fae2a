//! The roles that the two ends of a session announce, and which of their features. Knows the
//! features that this router acts upon or has; unknown ones are ignored.

use serde::{Deserialize, Deserializer, Serialize};

use super::{options::is_false, tokens::Dict};

/// `HELLO.Details.roles|dict`: which roles a client has, and which of their features.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PeerRoles {
    /// Calls procedures.
    #[serde(deserialize_with = "with_features")]
    pub caller: Option<RpcFeatures>,
    /// Registers procedures.
    #[serde(deserialize_with = "with_features")]
    pub callee: Option<RpcFeatures>,
    /// Publishes events.
    #[serde(deserialize_with = "announced")]
    pub publisher: bool,
    /// Subscribes to topics.
    #[serde(deserialize_with = "announced")]
    pub subscriber: bool,
}

/// The features of a caller, callee or dealer that this router knows.
///
/// Source: WAMP specification, "Call Canceling", "Call Timeouts", "Caller Identification",
/// "Progressive Call Results" and "Registration Revocation", "Feature Announcement".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RpcFeatures {
    /// Of a caller: it may send CANCEL. Of a callee: INTERRUPT ends what it does.
    #[serde(skip_serializing_if = "is_false")]
    pub call_canceling: bool,
    /// Of a callee: it wants to know the timeout of a call.
    #[serde(skip_serializing_if = "is_false")]
    pub call_timeout: bool,
    /// Of a caller: it may ask to be disclosed. Of a callee: it understands who calls, where that
    /// is disclosed.
    #[serde(skip_serializing_if = "is_false")]
    pub caller_identification: bool,
    /// Of a caller: it takes results in parts. Of a callee: it may give them.
    #[serde(skip_serializing_if = "is_false")]
    pub progressive_call_results: bool,
    /// Of a dealer: it may end a registration. Of a callee: it understands that.
    #[serde(skip_serializing_if = "is_false")]
    pub registration_revocation: bool,
    /// Of a callee that announces `call_canceling`: what it does is of no use without its caller,
    /// so it wants INTERRUPT also when a call is canceled in the mode `skip`. Our own; routers
    /// that do not know it leave the callee at it, as the specification has it.
    #[serde(rename = "_interrupt_on_skip", skip_serializing_if = "is_false")]
    pub interrupt_on_skip: bool,
}

impl RpcFeatures {
    /// None of them.
    pub const NONE: Self = Self {
        call_canceling: false,
        call_timeout: false,
        caller_identification: false,
        progressive_call_results: false,
        registration_revocation: false,
        interrupt_on_skip: false,
    };

    /// Those of the dealer here.
    pub const DEALER: Self = Self {
        call_canceling: true,
        call_timeout: true,
        caller_identification: true,
        progressive_call_results: true,
        registration_revocation: true,
        ..Self::NONE
    };

    fn is_empty(&self) -> bool {
        *self == Self::NONE
    }
}

impl PeerRoles {
    /// All four client roles, without features.
    pub const ALL: Self = Self {
        caller: Some(RpcFeatures::NONE),
        callee: Some(RpcFeatures::NONE),
        publisher: true,
        subscriber: true,
    };

    /// Whether no role at all is announced, which HELLO forbids.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// A role is announced by its dictionary being there, whatever stands in it.
fn announced<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    struct Role {}
    Dict::deserialize(deserializer).map(|Dict(Role {})| true)
}

/// The same with the features of the role.
fn with_features<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RpcFeatures>, D::Error> {
    #[derive(Deserialize)]
    struct Role {
        #[serde(default = "without_features")]
        features: Dict<RpcFeatures>,
    }
    fn without_features() -> Dict<RpcFeatures> {
        Dict(RpcFeatures::NONE)
    }
    Dict::deserialize(deserializer).map(|Dict(Role { features })| Some(features.0))
}

impl Serialize for PeerRoles {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        #[derive(Serialize)]
        struct Role {
            #[serde(skip_serializing_if = "RpcFeatures::is_empty")]
            features: RpcFeatures,
        }
        let plain = |announced: bool| announced.then_some(RpcFeatures::NONE);
        let roles = [
            ("caller", self.caller),
            ("callee", self.callee),
            ("publisher", plain(self.publisher)),
            ("subscriber", plain(self.subscriber)),
        ];
        let mut map = serializer.serialize_map(None)?;
        for (role, features) in roles {
            if let Some(features) = features {
                map.serialize_entry(role, &Role { features })?;
            }
        }
        map.end()
    }
}

/// `WELCOME.Details.roles|dict`: broker and dealer, which are the same for every session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RouterRoles;

impl Serialize for RouterRoles {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Roles {
            broker: Role<BrokerFeatures>,
            dealer: Role<RpcFeatures>,
        }
        #[derive(Serialize)]
        struct Role<F> {
            features: F,
        }
        let roles = Roles {
            broker: Role {
                features: BrokerFeatures::BROKER,
            },
            dealer: Role {
                features: RpcFeatures::DEALER,
            },
        };
        roles.serialize(serializer)
    }
}

/// Source: WAMP specification, "Publisher Exclusion", "Publisher Identification" and "Subscriber
/// Black- and Whitelisting", "Feature Announcement".
#[derive(Serialize)]
struct BrokerFeatures {
    publisher_exclusion: bool,
    publisher_identification: bool,
    subscriber_blackwhite_listing: bool,
}

impl BrokerFeatures {
    /// Those of the broker here.
    const BROKER: Self = Self {
        publisher_exclusion: true,
        publisher_identification: true,
        subscriber_blackwhite_listing: true,
    };
}
