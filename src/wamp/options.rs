//! Options and Details dictionaries, typed and read once at decode; knows the keys this router
//! acts upon or produces. Unknown keys are ignored (WAMP specification, "Extensibility").

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{SessionId, Uri};

/// `HELLO.Details|dict`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HelloDetails {
    /// The roles the client announces; at least one.
    pub roles: PeerRoles,
    /// The authentication methods the client offers; none means anonymous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authmethods: Option<Vec<String>>,
    /// What software the client is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// `HELLO.Details.roles|dict`: which roles a client has. Their features are not read yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PeerRoles {
    /// Calls procedures.
    #[serde(deserialize_with = "announced")]
    pub caller: bool,
    /// Registers procedures.
    #[serde(deserialize_with = "announced")]
    pub callee: bool,
    /// Publishes events.
    #[serde(deserialize_with = "announced")]
    pub publisher: bool,
    /// Subscribes to topics.
    #[serde(deserialize_with = "announced")]
    pub subscriber: bool,
}

impl PeerRoles {
    /// All four client roles.
    pub const ALL: Self = Self {
        caller: true,
        callee: true,
        publisher: true,
        subscriber: true,
    };

    /// Whether no role at all is announced, which HELLO forbids.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// A role is announced by a dictionary of its features being there, whatever stands in it.
fn announced<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    struct Features {}
    Dict::deserialize(deserializer).map(|Dict(Features {})| true)
}

impl Serialize for PeerRoles {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        #[derive(Serialize)]
        struct Features {}
        let roles = [
            ("caller", self.caller),
            ("callee", self.callee),
            ("publisher", self.publisher),
            ("subscriber", self.subscriber),
        ];
        let mut map = serializer.serialize_map(None)?;
        for (role, _) in roles.iter().filter(|(_, announced)| *announced) {
            map.serialize_entry(role, &Features {})?;
        }
        map.end()
    }
}

/// `WELCOME.Details|dict`. The router's own roles, broker and dealer, are always written.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WelcomeDetails {
    /// The realm joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<Uri>,
    /// Who the session is taken for.
    pub authid: String,
    /// The role whose permissions hold for the session.
    pub authrole: String,
    /// How the session was authenticated.
    pub authmethod: String,
    /// Who vouches for it.
    pub authprovider: String,
    /// What software the router is.
    pub agent: String,
}

/// `ABORT.Details|dict` and `GOODBYE.Details|dict`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClosingDetails {
    /// What happened and how to mend it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `CALL.Options|dict`. The Basic Profile has none that a dealer acts upon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CallOptions {}

/// `REGISTER.Options|dict`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisterOptions {
    /// The pattern to match procedures by; the Basic Profile has `exact` alone.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_policy: Option<String>,
    /// How several callees share a procedure; the Basic Profile has `single` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoke: Option<String>,
}

/// `SUBSCRIBE.Options|dict`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscribeOptions {
    /// The pattern to match topics by; the Basic Profile has `exact` alone.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_policy: Option<String>,
}

/// `PUBLISH.Options|dict`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishOptions {
    /// Whether the publisher wants a PUBLISHED or an ERROR in answer. Default: no.
    pub acknowledge: bool,
    /// Whether the publisher is left out even if it subscribes to the topic. Default: yes.
    pub exclude_me: bool,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            acknowledge: false,
            exclude_me: true,
        }
    }
}

/// `INVOCATION.Details|dict`: who calls, where the role's permissions disclose it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InvocationDetails {
    /// The caller's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<SessionId>,
    /// Who the caller is taken for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_authid: Option<String>,
    /// The caller's role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_authrole: Option<String>,
}

/// `EVENT.Details|dict`: who published, where the role's permissions disclose it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventDetails {
    /// The publisher's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<SessionId>,
    /// Who the publisher is taken for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher_authid: Option<String>,
    /// The publisher's role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher_authrole: Option<String>,
}

/// Reads `T` from a dictionary only; a derived struct alone would take a list as well.
pub(super) struct Dict<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Dict<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfEntries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfEntries<T> {
            type Value = Dict<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a dictionary")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Dict<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Dict)
            }
        }
        deserializer.deserialize_map(OfEntries(PhantomData))
    }
}
