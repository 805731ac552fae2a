//! What a session does in a run, and what it can reach meanwhile. Owns the trait; must not know
//! which workloads there are, nor sockets.

use std::time::Instant;

use reactor::Mailbox;
use wamp::{Message, Payload, Uri};

use super::{
    client_output::SessionClient,
    error::SessionError,
    options::RunOptions,
    run_state::RunState,
    wire::{self, CompactMessage},
};

/// A session's part in the run, from joining to leaving.
pub(super) trait Workload: Send {
    /// The session has joined. Returns `true` if it is ready. A workload that is not makes a request
    /// of the client, whose answer goes to `ClientOutputs::prepared`.
    fn on_joined(&mut self, context: &mut SessionContext<'_>) -> bool {
        let _ = context;
        true
    }

    /// The answer to that request: the id that it brings.
    fn on_prepared(&mut self, id: u64) {
        let _ = id;
    }

    /// A message in its compact form. Nobody has asked for any, unless the workload says otherwise.
    ///
    /// # Errors
    /// The error that ends the run.
    fn on_compact(
        &mut self,
        message: CompactMessage<'_>,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        let _ = context;
        Err(unasked(format!("{message:?}")))
    }

    /// Any other message that the client did not ask for itself. Nobody has, unless the workload says
    /// otherwise.
    ///
    /// # Errors
    /// The error that ends the run.
    fn on_message(
        &mut self,
        message: Message,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        let _ = context;
        Err(unasked(message.message_type().name()))
    }

    /// A closed load starts: begin as many operations as it has in flight.
    fn on_start(&mut self, context: &mut SessionContext<'_>) {
        let _ = context;
    }

    /// In an open load: begin the operation that was due then.
    fn on_due(&mut self, due: Instant, context: &mut SessionContext<'_>) {
        let _ = (due, context);
    }

    /// What the session still waits for, in words, if anything.
    fn outstanding(&self, run: &RunState) -> Option<String> {
        let _ = run;
        None
    }
}

/// What the runner, or another session, tells a session to do.
#[derive(Clone, Copy)]
pub(super) enum SessionCommand {
    /// Start the load, or go on with it.
    Start,
    /// Say what is outstanding.
    Explain,
    /// Leave the realm.
    Leave,
    /// End without waiting for GOODBYE.
    Abandon,
}

/// What a workload can reach while it is called.
pub(super) struct SessionContext<'a> {
    pub(super) session: usize,
    /// When its connection was begun.
    pub(super) opened: Instant,
    pub(super) now: Instant,
    pub(super) options: &'a RunOptions,
    pub(super) client: &'a SessionClient,
    pub(super) mailbox: &'a Mailbox<SessionCommand>,
    pub(super) run: &'a mut RunState,
    pub(super) out: &'a mut Vec<u8>,
}

impl SessionContext<'_> {
    /// The id of the next request, which the workload writes itself.
    pub(super) fn next_request(&self) -> u64 {
        self.client.reserve_request().value()
    }

    /// Sends the text of a message.
    pub(super) fn send_text(&mut self, text: &[u8]) {
        wire::put_text(text, self.out);
    }

    /// Sends a message.
    pub(super) fn send(&mut self, message: impl Into<Message>) {
        self.send_text(&self.options.serializer.encode(&message.into()));
    }

    /// Tells another session of the run to do something, if it is there.
    pub(super) fn tell(&self, session: usize, command: SessionCommand) {
        if let Some(connection) = self.run.connections[session] {
            self.mailbox.post(connection, command);
        }
    }
}

/// The error for a message that answers no request.
pub(super) fn unasked(what: impl std::fmt::Display) -> SessionError {
    SessionError::Violation(format!("{what}, which answers nothing that was asked"))
}

/// The error for a refused request that the run needs.
pub(super) fn refused(request: &'static str, error: &Uri, payload: &Payload) -> SessionError {
    SessionError::Refused {
        request,
        error: error.to_string(),
        message: message_of(payload).unwrap_or_else(|| "it says no more".to_owned()),
    }
}

/// What an ERROR says to people: its first argument, mostly a text.
pub(super) fn message_of(payload: &Payload) -> Option<String> {
    let args: Vec<serde_json::Value> = payload.args().ok()?;
    Some(match args.into_iter().next()? {
        serde_json::Value::String(text) => text,
        value => value.to_string(),
    })
}
