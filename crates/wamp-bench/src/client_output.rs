//! What the client's end of a session wants done, and what it tells, in order and until the session
//! takes it. Must not know sockets, nor what the session makes of it.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use wamp::{
    Event, HelloDetails, Identity, Interrupt, Invocation, Message, PeerRoles, Revoked,
    Unregistered, Unregistering, Welcome,
};
use wamp_client::{Client, End, Handler, Limits};

use super::{error::SessionError, options::RunOptions, workload::refused};

/// What software the client is.
const AGENT: &str = concat!("wampgres-bench ", env!("CARGO_PKG_VERSION"));

/// The client's end of a session.
pub(super) type SessionClient = Client<ClientOutputs>;

/// One thing that a client wants done or tells.
pub(super) enum ClientOutput {
    /// Send this.
    Send(Message),
    /// The session has joined.
    Joined,
    /// What the workload needed before the load is there: its id.
    Prepared(u64),
    /// A message that is not the client's.
    Message(Message),
    /// The router has answered GOODBYE.
    Left,
    /// The run cannot go on.
    Failed(SessionError),
}

/// The outputs of one client.
#[derive(Clone, Default)]
pub(super) struct ClientOutputs(Arc<Mutex<VecDeque<ClientOutput>>>);

impl ClientOutputs {
    /// A client of the run that leaves its outputs here.
    pub(super) fn client(self, options: &RunOptions) -> Arc<SessionClient> {
        let details = HelloDetails {
            roles: PeerRoles::ALL,
            agent: Some(AGENT.to_owned()),
            ..HelloDetails::default()
        };
        Client::new(
            options.realm.as_str().into(),
            details,
            Limits::default(),
            self,
        )
    }

    pub(super) fn push(&self, output: ClientOutput) {
        let mut outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.push_back(output);
    }

    /// Takes all of them.
    pub(super) fn take(&self) -> VecDeque<ClientOutput> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the answer to a request that the run needs.
    pub(super) fn prepared<T>(
        &self,
        request: &'static str,
        id: fn(T) -> u64,
    ) -> impl FnOnce(Result<T, wamp_client::Error>) + Send + use<T> {
        let outputs = self.clone();
        move |answer| {
            outputs.push(match answer {
                Ok(value) => ClientOutput::Prepared(id(value)),
                Err(error) => ClientOutput::Failed(refused(request, &error.uri, &error.payload)),
            });
        }
    }

    fn message(&self, message: impl Into<Message>) {
        self.push(ClientOutput::Message(message.into()));
    }
}

impl Handler for ClientOutputs {
    fn on_join(&self, _: &SessionClient, _: Welcome) {
        self.push(ClientOutput::Joined);
    }

    fn on_invocation(&self, _: &SessionClient, message: Invocation, _: Option<Arc<Identity>>) {
        self.message(message);
    }

    fn on_interrupt(&self, _: &SessionClient, message: Interrupt) {
        self.message(message);
    }

    fn on_event(&self, _: &SessionClient, message: Event) {
        self.message(message);
    }

    fn on_revoked(&self, _: &SessionClient, revoked: Revoked) {
        let how = Unregistering::Revoked(Box::new(revoked));
        self.message(Unregistered { how });
    }

    fn on_ignored(&self, message: Message) {
        self.message(message);
    }

    fn on_left(&self, _: &SessionClient) {
        self.push(ClientOutput::Left);
    }

    fn on_end(&self, _: &SessionClient, end: &End) {
        if let End::ByRouter { reason, message } = end.clone() {
            let reason = reason.to_string();
            self.push(ClientOutput::Failed(SessionError::Ended {
                reason,
                message,
            }));
        }
    }
}
