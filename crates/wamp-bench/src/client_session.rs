//! One session from the opening handshake to GOODBYE, which its client's end says, with its workload
//! in between. Must not know sockets, nor which workload it has.

use std::{mem, sync::Arc, time::Instant};

use tungstenite::protocol::Role;
use wamp::{DecodeError, Peer, error_uri};
use wamp_transport::{ClientHandshake, FrameLimits, Frames, Incoming};

use super::{
    client_output::ClientOutput,
    error::SessionError,
    wire::CompactMessage,
    workload::{SessionCommand, SessionContext, Workload},
};

/// What the router may send in one message.
const LIMITS: FrameLimits = FrameLimits {
    max_message_size: 16 << 20,
    max_frame_size: 16 << 20,
};

/// An open load does not wait for answers, so a router that cannot keep up leaves ever more of them
/// outstanding. So many operations in flight show that it cannot, and the run ends instead of
/// filling the memory.
const MAX_IN_FLIGHT: u64 = 100_000;

/// A session's protocol and workload.
pub(super) struct ClientSession {
    phase: Phase,
    frames: Frames,
    workload: Box<dyn Workload>,
    /// In an open load: the number of the next operation, and when it is due.
    next: Option<(u64, Instant)>,
}

enum Phase {
    /// Its socket is on the way to the reactor.
    Unopened,
    Opening(ClientHandshake),
    /// Until it is joined, and the workload is ready.
    Joining,
    Working,
    Leaving,
    /// Whatever comes now is of no interest.
    Over,
}

impl ClientSession {
    pub(super) fn new(workload: Box<dyn Workload>) -> Self {
        Self {
            phase: Phase::Unopened,
            frames: Frames::new(Role::Client, LIMITS),
            workload,
            next: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Ends the session here; nothing more is sent.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Over;
    }

    /// When the next operation of an open load is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.next.map(|(_, due)| due)
    }

    /// Begins the opening handshake.
    pub(super) fn open(&mut self, context: &mut SessionContext<'_>) -> Result<(), SessionError> {
        let url = &context.options.router.url;
        let subprotocol = context.options.serializer.subprotocol();
        let begun = ClientHandshake::begin(url, subprotocol, context.out);
        self.phase = Phase::Opening(begun.map_err(SessionError::Handshake)?);
        Ok(())
    }

    pub(super) fn on_bytes(
        &mut self,
        bytes: &[u8],
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        let Phase::Opening(handshake) = &mut self.phase else {
            return self.on_frames(bytes, context);
        };
        let Some(frames) = handshake.read(bytes).map_err(SessionError::Handshake)? else {
            return Ok(());
        };
        self.phase = Phase::Joining;
        let outputs = context.client.handler().clone();
        let transport = move |message| outputs.push(ClientOutput::Send(message));
        context.client.on_open(Arc::new(transport));
        self.handle_outputs(context)?;
        self.on_frames(&frames, context)
    }

    fn on_frames(
        &mut self,
        mut bytes: &[u8],
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        while let Some(incoming) = self.frames.next(&mut bytes, context.out) {
            match incoming {
                Incoming::Text(text) => self.on_text(text.as_bytes(), context)?,
                Incoming::Heartbeat => {}
                Incoming::Binary => {
                    return Err(SessionError::Violation("a binary message".to_owned()));
                }
                Incoming::NoRoom(_) => unreachable!("a client takes what is announced"),
                Incoming::Failed(reason) => return Err(SessionError::Violation(reason)),
                Incoming::TooLarge(what) => {
                    return Err(SessionError::Violation(what.to_string()));
                }
                Incoming::Closed if self.is_over() => return Ok(()),
                Incoming::Closed => {
                    return Err(SessionError::Disconnected("by a WebSocket close frame"));
                }
            }
        }
        Ok(())
    }

    fn on_text(
        &mut self,
        text: &[u8],
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        match self.phase {
            Phase::Over => return Ok(()),
            Phase::Working | Phase::Leaving => {
                if let Some(message) = CompactMessage::read(text) {
                    return self.workload.on_compact(message, context);
                }
            }
            _ => {}
        }
        let message = context.options.serializer.decode(text);
        let violation = |error: DecodeError| SessionError::Violation(error.to_string());
        context.client.on_message(message.map_err(violation)?);
        self.handle_outputs(context)
    }

    /// Does what the client wants done.
    fn handle_outputs(&mut self, context: &mut SessionContext<'_>) -> Result<(), SessionError> {
        loop {
            let outputs = context.client.handler().take();
            if outputs.is_empty() {
                return Ok(());
            }
            for output in outputs {
                self.handle(output, context)?;
            }
        }
    }

    fn handle(
        &mut self,
        output: ClientOutput,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        match output {
            ClientOutput::Send(message) => context.send(message),
            ClientOutput::Joined => {
                if self.workload.on_joined(context) {
                    self.on_ready(context);
                }
            }
            ClientOutput::Prepared(id) => {
                self.workload.on_prepared(id);
                self.on_ready(context);
            }
            ClientOutput::Message(message) => self.workload.on_message(message, context)?,
            ClientOutput::Left => self.on_left(context)?,
            ClientOutput::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Does what the runner or another session says.
    pub(super) fn on_command(
        &mut self,
        command: SessionCommand,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        match command {
            SessionCommand::Start => {
                self.workload.on_start(context);
                self.next = first_due(context);
            }
            SessionCommand::Explain => {
                if let Some(outstanding) = self.workload.outstanding(context.run) {
                    let example = format!("session {}: {outstanding}", context.session);
                    context.run.example.get_or_insert(example);
                    context.run.has_changed = true;
                }
            }
            SessionCommand::Leave => {
                self.phase = Phase::Leaving;
                context.client.leave(error_uri::CLOSE_REALM);
                return self.handle_outputs(context);
            }
            SessionCommand::Abandon => return self.on_left(context),
        }
        Ok(())
    }

    /// Begins the operations of an open load that are due by now.
    pub(super) fn begin_due(
        &mut self,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        while let (Some((number, due)), Some(schedule)) = (self.next, context.run.bounds.schedule)
            && due <= context.now
        {
            if context.run.in_flight() >= MAX_IN_FLIGHT {
                return Err(SessionError::Behind(MAX_IN_FLIGHT));
            }
            self.workload.on_due(due, context);
            let number = schedule.after(number);
            self.next = schedule.due(number).map(|due| (number, due));
        }
        Ok(())
    }

    fn on_ready(&mut self, context: &mut SessionContext<'_>) {
        self.phase = Phase::Working;
        context.run.session_ready(context.now);
    }

    fn on_left(&mut self, context: &mut SessionContext<'_>) -> Result<(), SessionError> {
        // Messages of a session keep their order, so what has not come before GOODBYE never comes.
        if let Some(outstanding) = self.workload.outstanding(context.run) {
            return Err(SessionError::Missing(outstanding));
        }
        self.phase = Phase::Over;
        context.run.session_left(context.now);
        Ok(())
    }

    /// The connection is lost. Returns the error that this is, unless the session was over.
    pub(super) fn on_lost(&mut self) -> Option<SessionError> {
        Some(match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Unopened => SessionError::Unwatched,
            Phase::Opening(_) => SessionError::Disconnected("before the WebSocket was open"),
            Phase::Joining => SessionError::Disconnected("while the session was joining"),
            Phase::Working => SessionError::Disconnected("in the middle of the run"),
            Phase::Leaving => SessionError::Disconnected("before the router said GOODBYE"),
            Phase::Over => return None,
        })
    }
}

/// The first operation of a session in an open load, if it has any.
fn first_due(context: &SessionContext<'_>) -> Option<(u64, Instant)> {
    let sessions = context.options.active_sessions();
    if !sessions.contains(&context.session) {
        return None;
    }
    let number = (context.session - sessions.start) as u64;
    let due = context.run.bounds.schedule?.due(number)?;
    Some((number, due))
}
