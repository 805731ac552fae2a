//! Who a session is: what authentication has found, for authorization, for what is disclosed to
//! others, and for components of this process. Must not know how it was found, nor who may ask.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::SessionId;

/// The role and the authentication method of a session that nobody vouches for.
///
/// Source: WAMP specification, "Authentication Methods".
pub const ANONYMOUS: &str = "anonymous";

/// Who a session is. What is `None` is not known: another router tells no more of a caller or a
/// publisher than `session`, `authid` and `authrole`, and not always all three.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The session.
    pub session: SessionId,
    /// Who it is taken for.
    pub authid: Option<Box<str>>,
    /// The role whose permissions hold for it; shared by all sessions of the role.
    pub authrole: Option<Arc<str>>,
    /// How it was authenticated.
    pub authmethod: Option<AuthMethod>,
    /// Who vouches for it.
    pub authprovider: Option<AuthProvider>,
    /// What the authentication says besides. Boxed, because most say nothing.
    pub authextra: Option<Box<Map<String, Value>>>,
    /// How it reaches the router.
    pub transport: Option<TransportKind>,
}

/// An authentication method.
///
/// Source: WAMP specification, "Authentication Methods".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AuthMethod {
    /// None at all.
    Anonymous,
}

impl AuthMethod {
    /// Its name in HELLO and WELCOME.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => ANONYMOUS,
        }
    }
}

/// What has authenticated a session. The names are Crossbar.io's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AuthProvider {
    /// The configuration.
    Static,
}

impl AuthProvider {
    /// Its name in WELCOME.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
        }
    }
}

/// How a session reaches its router.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TransportKind {
    /// It is a session of the router's own process.
    Memory,
    /// By a WebSocket connection.
    WebSocket,
}

impl TransportKind {
    /// Its name. That of a connection is Crossbar.io's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::WebSocket => "websocket",
        }
    }
}

impl Identity {
    /// A session that nobody vouches for, so its authid is its id.
    pub fn anonymous(session: SessionId, authrole: Arc<str>, transport: TransportKind) -> Self {
        Self {
            session,
            authid: Some(session.to_string().into()),
            authrole: Some(authrole),
            authmethod: Some(AuthMethod::Anonymous),
            authprovider: Some(AuthProvider::Static),
            authextra: None,
            transport: Some(transport),
        }
    }

    /// A session as another router has disclosed it.
    pub(super) fn disclosed(
        session: SessionId,
        authid: Option<String>,
        authrole: Option<String>,
    ) -> Self {
        Self {
            session,
            authid: authid.map(Into::into),
            authrole: authrole.map(Into::into),
            authmethod: None,
            authprovider: None,
            authextra: None,
            transport: None,
        }
    }
}
