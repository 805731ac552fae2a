//! Options and Details dictionaries, typed and read once at decode; knows the keys this router
//! acts upon or produces. Unknown keys are ignored (WAMP specification, "Extensibility").

use std::{fmt, marker::PhantomData, num::NonZeroU64};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Number;

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
/// Source: WAMP specification, "Call Canceling", "Call Timeouts" and "Caller Identification",
/// "Feature Announcement".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RpcFeatures {
    /// Of a caller: it may send CANCEL. Of a callee: INTERRUPT ends what it does.
    #[serde(skip_serializing_if = "is_false")]
    pub call_canceling: bool,
    /// Of a callee: it wants to know the timeout of a call.
    #[serde(skip_serializing_if = "is_false")]
    pub call_timeout: bool,
    /// Of a callee: it understands who calls, where that is disclosed.
    #[serde(skip_serializing_if = "is_false")]
    pub caller_identification: bool,
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
        interrupt_on_skip: false,
    };

    /// Those of the dealer here. It discloses callers by its configuration, which the
    /// specification lets it do, but not at their wish, which is what announcing it would mean.
    pub const DEALER: Self = Self {
        call_canceling: true,
        call_timeout: true,
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

/// `CALL.Options|dict`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CallOptions {
    /// After how many milliseconds the call is canceled if there is no result yet; 0 is never.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: u64,
}

/// `CANCEL.Options|dict`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CancelOptions {
    /// How to cancel.
    pub mode: CancelMode,
}

/// How a call is canceled where its callee can be interrupted; elsewhere it is always `skip`.
///
/// Source: WAMP specification, "Call Canceling". It names no default. Here it is `killnowait`:
/// who cancels without saying how wants neither the result nor the work that leads to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CancelMode {
    /// The caller has its ERROR at once; the callee goes on and its answer is discarded.
    Skip,
    /// The callee is interrupted, and the caller has what the callee answers then.
    Kill,
    /// The callee is interrupted, and the caller has its ERROR at once.
    #[default]
    KillNoWait,
}

/// `INTERRUPT.Options|dict`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InterruptOptions {
    /// `kill`: the callee must answer the invocation. `killnowait`: it need not.
    pub mode: CancelMode,
    /// The error URI of what has ended the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Uri>,
}

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
    /// How many invocations the callee takes at a time; more calls wait at the dealer. Not in
    /// the specification; the name and the meaning are Crossbar.io's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU64>,
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

/// Who calls or publishes, where the role's permissions disclose it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disclosed {
    /// The session.
    pub session: SessionId,
    /// Who it is taken for.
    pub authid: Option<String>,
    /// Its role.
    pub authrole: Option<String>,
}

/// `INVOCATION.Details|dict`: who calls, and for how long the caller waits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "InvocationDict<String>")]
pub struct InvocationDetails {
    /// The caller, where disclosed: `caller`, `caller_authid` and `caller_authrole`.
    pub caller: Option<Box<Disclosed>>,
    /// How many milliseconds are left to answer, for callees that announce `call_timeout`; none
    /// where the number of them is out of range.
    pub timeout: Option<NonZeroU64>,
}

/// `EVENT.Details|dict`: who published.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "EventDict<String>")]
pub struct EventDetails {
    /// The publisher, where disclosed: `publisher`, `publisher_authid` and `publisher_authrole`.
    pub publisher: Option<Box<Disclosed>>,
}

/// [`InvocationDetails`] as they are on the wire, with text as `S`.
#[derive(Serialize, Deserialize)]
struct InvocationDict<S> {
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_authid: Option<S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_authrole: Option<S>,
    /// Any number: dealers pass on what the caller has written, and it is the callee's session
    /// that a message it cannot read would end.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Number>,
}

/// [`EventDetails`] as they are on the wire, with text as `S`.
#[derive(Serialize, Deserialize)]
struct EventDict<S> {
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher_authid: Option<S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher_authrole: Option<S>,
}

/// Boxed, because most messages disclose nobody and all have the size of the largest.
fn disclosed(
    session: Option<SessionId>,
    authid: Option<String>,
    authrole: Option<String>,
) -> Option<Box<Disclosed>> {
    session.map(|session| {
        Box::new(Disclosed {
            session,
            authid,
            authrole,
        })
    })
}

impl From<InvocationDict<String>> for InvocationDetails {
    fn from(dict: InvocationDict<String>) -> Self {
        Self {
            caller: disclosed(dict.caller, dict.caller_authid, dict.caller_authrole),
            timeout: (dict.timeout)
                .and_then(|number| number.as_u64())
                .and_then(NonZeroU64::new),
        }
    }
}

impl Serialize for InvocationDetails {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let caller = self.caller.as_deref();
        InvocationDict {
            caller: caller.map(|caller| caller.session),
            caller_authid: caller.and_then(|caller| caller.authid.as_deref()),
            caller_authrole: caller.and_then(|caller| caller.authrole.as_deref()),
            timeout: self.timeout.map(|timeout| timeout.get().into()),
        }
        .serialize(serializer)
    }
}

impl From<EventDict<String>> for EventDetails {
    fn from(dict: EventDict<String>) -> Self {
        Self {
            publisher: disclosed(
                dict.publisher,
                dict.publisher_authid,
                dict.publisher_authrole,
            ),
        }
    }
}

impl Serialize for EventDetails {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let publisher = self.publisher.as_deref();
        EventDict {
            publisher: publisher.map(|publisher| publisher.session),
            publisher_authid: publisher.and_then(|publisher| publisher.authid.as_deref()),
            publisher_authrole: publisher.and_then(|publisher| publisher.authrole.as_deref()),
        }
        .serialize(serializer)
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
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
