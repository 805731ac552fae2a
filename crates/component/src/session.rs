//! A component's WAMP session: what it announces. Must not know whether the router is in this
//! process or at the end of a connection.

use std::sync::Arc;

use super::{
    class::Instance,
    handler::{ComponentHandler, Status},
};
use wamp::{
    HelloDetails, Identity, Invocation, Message, Peer, PeerRoles, Question, RpcFeatures, Ticket,
    Transport, Uri, error_uri,
};
use wamp_client::{Client, Limits};

/// The session of one component.
pub struct Session {
    client: Arc<Client<ComponentHandler>>,
}

impl Session {
    /// A session for `instance`; `name` is what logs call it.
    pub fn new(name: impl Into<String>, realm: Uri, instance: Arc<Instance>) -> Arc<Self> {
        let handler = ComponentHandler::new(name.into(), instance);
        let client = Client::new(realm, hello(), Limits::default(), handler);
        Arc::new(Self { client })
    }

    /// Says GOODBYE, if there is a session to end. The router's answer closes the connection.
    pub fn leave(&self) {
        self.client.handler().note_end("the node is stopping");
        self.client.leave(error_uri::SYSTEM_SHUTDOWN);
    }

    /// How far the session has come.
    pub fn status(&self) -> Status {
        self.client.handler().status()
    }
}

/// `call_timeout` is not announced: a dealer may leave the timeout to a callee that does ("Call
/// Timeouts", "Callee-Initiated Timeouts"), and ends it by INTERRUPT otherwise.
fn hello() -> HelloDetails {
    let caller = RpcFeatures {
        call_canceling: true,
        caller_identification: true,
        progressive_call_results: true,
        ..RpcFeatures::NONE
    };
    let callee = RpcFeatures {
        call_canceling: true,
        caller_identification: true,
        progressive_call_results: true,
        registration_revocation: true,
        interrupt_on_skip: true,
        ..RpcFeatures::NONE
    };
    HelloDetails {
        roles: PeerRoles {
            caller: Some(caller),
            callee: Some(callee),
            publisher: true,
            subscriber: true,
        },
        agent: Some(concat!("wampgres-", env!("CARGO_PKG_VERSION")).to_owned()),
        authmethods: None,
    }
}

impl Peer for Session {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        self.client.on_open(transport);
    }

    fn on_message(&self, message: Message) {
        self.client.on_message(message);
    }

    fn on_invocation(&self, invocation: Invocation, caller: Arc<Identity>) {
        self.client.on_invocation(invocation, caller);
    }

    fn on_question(&self, question: Question) {
        self.client.on_question(question);
    }

    fn on_withdrawn(&self, question: Ticket) {
        self.client.on_withdrawn(question);
    }

    fn on_posted(&self, message: Message) {
        self.client.on_posted(message);
    }

    fn on_close(&self) {
        self.client.on_close();
    }
}

#[cfg(test)]
mod tests;
