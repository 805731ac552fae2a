//! Details dictionaries and the Options of what ends a call, typed and read once at decode; knows
//! the keys this router acts upon or produces, not the options of requests. Unknown keys are
//! ignored (WAMP specification, "Extensibility").

use std::{num::NonZeroU64, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{AuthMethod, AuthProvider, Identity, PeerRoles, RouterRoles, SessionId, Uri};

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

/// `WELCOME.Details|dict`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WelcomeDetails {
    /// What the router can do. Those of another router are not kept.
    #[serde(skip_deserializing)]
    pub roles: RouterRoles,
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
    /// What the authentication says besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authextra: Option<Box<Map<String, Value>>>,
    /// What software the router is.
    pub agent: String,
}

impl WelcomeDetails {
    /// The details of a new session's WELCOME.
    pub fn new(realm: Uri, identity: &Identity, agent: String) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            roles: RouterRoles,
            realm: Some(realm),
            authid: text(identity.authid.as_deref()),
            authrole: text(identity.authrole.as_deref()),
            authmethod: text(identity.authmethod.map(AuthMethod::name)),
            authprovider: text(identity.authprovider.map(AuthProvider::name)),
            authextra: identity.authextra.clone(),
            agent,
        }
    }
}

/// `ABORT.Details|dict` and `GOODBYE.Details|dict`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClosingDetails {
    /// What happened and how to mend it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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

/// `INVOCATION.Details|dict`: who calls, and for how long the caller waits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "InvocationDict<String>")]
pub struct InvocationDetails {
    /// The caller, where the role's permissions or its own wish disclose it. On the wire
    /// `caller`, `caller_authid` and `caller_authrole`.
    pub caller: Option<Arc<Identity>>,
    /// How many milliseconds are left to answer, for callees that announce `call_timeout`; none
    /// where the number of them is out of range.
    pub timeout: Option<NonZeroU64>,
    /// Whether the result may be given in parts.
    pub receive_progress: bool,
}

impl InvocationDetails {
    pub(super) const DEFAULT: Self = Self {
        caller: None,
        timeout: None,
        receive_progress: false,
    };
}

/// `EVENT.Details|dict`: who published, and to what.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "EventDict<String>")]
pub struct EventDetails {
    /// The publisher, where the role's permissions or its own wish disclose it. On the wire
    /// `publisher`, `publisher_authid` and `publisher_authrole`.
    pub publisher: Option<Arc<Identity>>,
    /// The topic published to, where the subscription is to a pattern. Boxed, because most are not.
    pub topic: Option<Box<Uri>>,
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
    #[serde(default, skip_serializing_if = "is_false")]
    receive_progress: bool,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<Box<Uri>>,
}

fn disclosed(
    session: Option<SessionId>,
    authid: Option<String>,
    authrole: Option<String>,
) -> Option<Arc<Identity>> {
    session.map(|session| Identity::disclosed(session, authid, authrole).into())
}

impl From<InvocationDict<String>> for InvocationDetails {
    fn from(dict: InvocationDict<String>) -> Self {
        Self {
            caller: disclosed(dict.caller, dict.caller_authid, dict.caller_authrole),
            timeout: (dict.timeout)
                .and_then(|number| number.as_u64())
                .and_then(NonZeroU64::new),
            receive_progress: dict.receive_progress,
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
            receive_progress: self.receive_progress,
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
            topic: dict.topic,
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
            topic: self.topic.clone(),
        }
        .serialize(serializer)
    }
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}
