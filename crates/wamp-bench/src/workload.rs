//! What a session is there for. Owns the shape of a duty; the duties have files of their own.

use std::{sync::Arc, time::Instant};

use super::{
    Fault, Mode, Options,
    pubsub::{Publisher, Subscriber},
    rpc::{Callee, Caller},
    run_state::{Run, Shared},
    wire::{self, Quick},
};
use wamp::{Error, Message, Serializer};

/// A session's part in the run, from joining to leaving.
pub(super) trait Duty: Send {
    /// The session has joined; `true` if it is ready without any answer.
    fn on_joined(&mut self, turn: &mut Turn<'_>) -> bool {
        let _ = turn;
        true
    }

    /// A message that looks as expected.
    ///
    /// # Errors
    /// The fault that ends the run.
    fn on_quick(&mut self, message: Quick<'_>, turn: &mut Turn<'_>) -> Result<(), Fault>;

    /// Any other message of an open session. `true` if it has made the session ready.
    ///
    /// # Errors
    /// The fault that ends the run.
    fn on_message(&mut self, message: Message, turn: &mut Turn<'_>) -> Result<bool, Fault>;

    /// Begin what the closed load asks for.
    fn on_go(&mut self, turn: &mut Turn<'_>) {
        let _ = turn;
    }

    /// Begin the operation that was due then.
    fn on_due(&mut self, due: Instant, turn: &mut Turn<'_>) {
        let _ = (due, turn);
    }

    /// What the session waits for, if anything.
    fn owed(&self, run: &Run) -> Option<String> {
        let _ = run;
        None
    }
}

/// What a duty can reach while it is called.
pub(super) struct Turn<'a> {
    pub(super) session: usize,
    /// When its connection was begun.
    pub(super) opened: Instant,
    pub(super) now: Instant,
    pub(super) options: &'a Options,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) run: &'a mut Run,
    pub(super) out: &'a mut Vec<u8>,
}

impl Turn<'_> {
    /// Sends the text of a message.
    pub(super) fn send_text(&mut self, text: &[u8]) {
        wire::put_text(text, self.out);
    }

    /// Sends a message.
    pub(super) fn send(&mut self, message: impl Into<Message>) {
        self.send_text(&self.options.serializer.encode(&message.into()));
    }
}

/// The duty of a session.
pub(super) fn of(session: usize, options: &Options) -> Box<dyn Duty> {
    match options.mode {
        Mode::Call => Box::new(Caller::new(session, options)),
        Mode::Echo if session == 0 => Box::new(Callee::default()),
        Mode::Echo => Box::new(Caller::new(session, options)),
        Mode::PubSub if session == 0 => Box::new(Publisher::new(options)),
        Mode::PubSub => Box::new(Subscriber::default()),
        Mode::Connect => Box::new(Idler),
    }
}

/// Merely there.
struct Idler;

impl Duty for Idler {
    fn on_quick(&mut self, message: Quick<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Err(unasked(format!("{message:?}")))
    }

    fn on_message(&mut self, message: Message, _: &mut Turn<'_>) -> Result<bool, Fault> {
        Err(unasked(message.message_type().name()))
    }
}

/// A message that nothing was asked for.
pub(super) fn unasked(what: impl std::fmt::Display) -> Fault {
    Fault::Violation(format!("{what}, which answers nothing that was asked"))
}

/// The refusal of a request that the run cannot do without.
pub(super) fn refused(request: &'static str, error: &Error) -> Fault {
    Fault::Refused {
        request,
        error: error.error.to_string(),
        message: message_of(error).unwrap_or_else(|| "it says no more".to_owned()),
    }
}

/// What an error says to people: its first argument, mostly a text.
pub(super) fn message_of(error: &Error) -> Option<String> {
    let args: Vec<serde_json::Value> = error.payload.args().ok()?;
    Some(match args.into_iter().next()? {
        serde_json::Value::String(text) => text,
        value => value.to_string(),
    })
}

/// Reads a message that does not look as expected.
pub(super) fn decode(serializer: Serializer, text: &[u8]) -> Result<Message, Fault> {
    serializer
        .decode(text)
        .map_err(|error| Fault::Violation(error.to_string()))
}
