//! One client connection: from the opening handshake to GOODBYE, with its duty in between. Must
//! not know what the duty is.

use std::{mem, sync::Arc, time::Instant};

use tungstenite::protocol::Role;

use super::{
    Fault,
    run_state::{Mail, Shared},
    wire::Quick,
    workload::{self, Duty, Turn, unasked},
};
use reactor::{Io, Protocol};
use wamp::{Abort, ClosingDetails, Goodbye, Hello, HelloDetails, Message, PeerRoles, error_uri};
use wamp_transport::{ClientHandshake, FrameLimits, Frames, Incoming};

/// What software the client is.
const AGENT: &str = concat!("wampgres-bench ", env!("CARGO_PKG_VERSION"));
/// What the router may send in one message.
const LIMITS: FrameLimits = FrameLimits {
    max_message_size: 16 << 20,
    max_frame_size: 16 << 20,
};

/// An open load does not wait for answers, so a router that cannot keep up owes ever more of them;
/// at so many operations it has shown that, and the run ends instead of filling the memory.
const MOST_UNDER_WAY: u64 = 100_000;

/// A session of the run.
pub(super) struct Connection {
    session: usize,
    shared: Arc<Shared>,
    opened: Instant,
    parts: Parts,
}

/// What a turn may change.
struct Parts {
    phase: Phase,
    frames: Frames,
    duty: Box<dyn Duty>,
    /// In an open load: the number of the next operation, and when it is due.
    next: Option<(u64, Instant)>,
}

enum Phase {
    /// Its socket is on the way to the reactor.
    Unopened,
    Opening(ClientHandshake),
    Joining,
    Preparing,
    Working,
    Leaving,
    /// Whatever comes now is of no interest.
    Over,
}

impl Connection {
    pub(super) fn new(session: usize, shared: Arc<Shared>) -> Self {
        Self {
            session,
            opened: Instant::now(),
            parts: Parts {
                phase: Phase::Unopened,
                frames: Frames::new(Role::Client, LIMITS),
                duty: workload::of(session, &shared.options),
                next: None,
            },
            shared,
        }
    }

    /// Does something with the run in reach; a fault ends the run.
    fn turn(
        &mut self,
        io: &mut Io<'_>,
        came: usize,
        f: impl FnOnce(&mut Parts, &mut Turn<'_>) -> Result<(), Fault>,
    ) {
        let mut run = self.shared.run();
        let before = io.out().len();
        // Not `io.now`: the connections before this one in the turn of the loop took time.
        let now = Instant::now();
        let mut turn = Turn {
            session: self.session,
            opened: self.opened,
            now,
            options: &self.shared.options,
            shared: &self.shared,
            run: &mut run,
            out: io.out(),
        };
        let outcome = f(&mut self.parts, &mut turn);
        let went = turn.out.len() - before;
        run.measure.bytes(now, came, went);
        if let Err(fault) = outcome {
            self.parts.phase = Phase::Over;
            run.fault(self.session, fault);
        }
        if run.has_news(now) {
            self.shared.announce();
        }
    }
}

impl Parts {
    fn on_bytes(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Phase::Opening(handshake) = &mut self.phase else {
            return self.on_frames(bytes, turn);
        };
        let Some(frames) = handshake.read(bytes).map_err(Fault::Handshake)? else {
            return Ok(());
        };
        self.phase = Phase::Joining;
        turn.send(Hello {
            realm: turn.options.realm.as_str().into(),
            details: HelloDetails {
                roles: PeerRoles::ALL,
                agent: Some(AGENT.to_owned()),
                ..HelloDetails::default()
            }
            .into(),
        });
        self.on_frames(&frames, turn)
    }

    fn on_frames(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        while let Some(incoming) = self.frames.next(&mut bytes, turn.out) {
            match incoming {
                Incoming::Text(text) => self.on_text(text.as_bytes(), turn)?,
                Incoming::Heartbeat => {}
                Incoming::Binary => return Err(Fault::Violation("a binary message".to_owned())),
                Incoming::Failed(reason) => return Err(Fault::Violation(reason)),
                Incoming::TooLarge(what) => return Err(Fault::Violation(what.to_string())),
                Incoming::Closed => {
                    return match self.phase {
                        Phase::Over => Ok(()),
                        _ => Err(Fault::Disconnected("by a WebSocket close frame")),
                    };
                }
            }
        }
        Ok(())
    }

    fn on_text(&mut self, text: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        match self.phase {
            Phase::Over => return Ok(()),
            Phase::Working | Phase::Leaving => {
                if let Some(quick) = Quick::read(text) {
                    return self.duty.on_quick(quick, turn);
                }
            }
            _ => {}
        }
        let message = workload::decode(turn.options.serializer, text)?;
        match (&self.phase, message) {
            (Phase::Leaving, Message::Goodbye(_)) => self.on_left(turn)?,
            (
                _,
                Message::Goodbye(Goodbye { details, reason })
                | Message::Abort(Abort { details, reason }),
            ) => {
                return Err(Fault::Ended {
                    reason: reason.to_string(),
                    message: details.message,
                });
            }
            (Phase::Joining, Message::Welcome(_)) => {
                self.phase = Phase::Preparing;
                if self.duty.on_joined(turn) {
                    self.on_ready(turn);
                }
            }
            (Phase::Preparing | Phase::Working | Phase::Leaving, message) => {
                if self.duty.on_message(message, turn)? {
                    self.on_ready(turn);
                }
            }
            (_, message) => return Err(unasked(message.message_type().name())),
        }
        Ok(())
    }

    /// Begins the operations of an open load that are due by now.
    fn begin_the_due(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        while let (Some((number, due)), Some(pace)) = (self.next, turn.run.bounds.pace)
            && due <= turn.now
        {
            if turn.run.under_way() >= MOST_UNDER_WAY {
                return Err(Fault::Behind(MOST_UNDER_WAY));
            }
            self.duty.on_due(due, turn);
            let number = pace.after(number);
            self.next = pace.due(number).map(|due| (number, due));
        }
        Ok(())
    }

    fn on_ready(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Working;
        turn.shared.ready(turn.opened, turn.now, turn.run);
    }

    fn on_left(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        // Messages of a session keep their order, so what has not come before GOODBYE never comes.
        if let Some(owed) = self.duty.owed(turn.run) {
            return Err(Fault::Missing(owed));
        }
        self.phase = Phase::Over;
        turn.run.left += 1;
        turn.run.last_sign = turn.now;
        if turn.run.left == turn.run.sessions {
            turn.shared.announce();
        }
        Ok(())
    }
}

/// The first operation of a session in an open load, if it has any.
fn first_due(turn: &Turn<'_>) -> Option<(u64, Instant)> {
    let sessions = turn.options.beginners();
    if !sessions.contains(&turn.session) {
        return None;
    }
    let number = (turn.session - sessions.start) as u64;
    let due = turn.run.bounds.pace?.due(number)?;
    Some((number, due))
}

impl Protocol<Mail> for Connection {
    fn on_open(&mut self, io: &mut Io<'_>) {
        io.set_nodelay(true);
        let id = io.id;
        self.turn(io, 0, |parts, turn| {
            turn.run.connections[turn.session] = Some(id);
            let url = &turn.options.target.url;
            let subprotocol = turn.options.serializer.subprotocol();
            let begun = ClientHandshake::begin(url, subprotocol, turn.out);
            parts.phase = Phase::Opening(begun.map_err(Fault::Handshake)?);
            Ok(())
        });
    }

    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        self.turn(io, bytes.len(), |parts, turn| parts.on_bytes(bytes, turn));
        if matches!(self.parts.phase, Phase::Over) {
            io.close();
        }
    }

    fn on_mail(&mut self, mail: Mail, io: &mut Io<'_>) {
        if matches!(self.parts.phase, Phase::Over) {
            return;
        }
        self.turn(io, 0, |parts, turn| {
            match mail {
                Mail::Go => {
                    parts.duty.on_go(turn);
                    parts.next = first_due(turn);
                }
                Mail::Tell => {
                    if let Some(owed) = parts.duty.owed(turn.run) {
                        let example = format!("session {}: {owed}", turn.session);
                        turn.run.example.get_or_insert(example);
                        turn.shared.announce();
                    }
                }
                Mail::Leave => {
                    parts.phase = Phase::Leaving;
                    turn.send(Goodbye {
                        details: ClosingDetails::default(),
                        reason: error_uri::CLOSE_REALM.into(),
                    });
                }
                Mail::Part => return parts.on_left(turn),
            }
            Ok(())
        });
        io.set_deadline(self.parts.next.map(|(_, due)| due));
    }

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        if matches!(self.parts.phase, Phase::Over) {
            return;
        }
        self.turn(io, 0, Parts::begin_the_due);
        io.set_deadline(self.parts.next.map(|(_, due)| due));
    }

    fn on_lost(&mut self) {
        let fault = match mem::replace(&mut self.parts.phase, Phase::Over) {
            Phase::Unopened => Fault::Unwatched,
            Phase::Opening(_) => Fault::Disconnected("before the WebSocket was open"),
            Phase::Joining | Phase::Preparing => {
                Fault::Disconnected("while the session was joining")
            }
            Phase::Working => Fault::Disconnected("in the middle of the run"),
            Phase::Leaving => Fault::Disconnected("before the router said GOODBYE"),
            Phase::Over => return,
        };
        let mut run = self.shared.run();
        run.fault(self.session, fault);
        self.shared.announce();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Limit, Load, Mode, Options, Target, Wait};
    use reactor::Reactor;
    use wamp::Serializer;

    #[test]
    fn a_socket_that_the_system_does_not_watch_is_not_the_routers_fault() {
        let options = Options {
            target: Target::new("ws://127.0.0.1:1").expect("an address"),
            realm: "realm1".to_owned(),
            mode: Mode::Connect,
            uri: String::new(),
            args: None,
            connections: 1,
            load: Load::Closed { inflight: 1 },
            limit: Limit::Duration(Duration::ZERO),
            warmup: Duration::ZERO,
            patience: Duration::from_secs(1),
            wait: Wait::Awake,
            serializer: Serializer::Json,
        };
        let reactor = Reactor::new().expect("a reactor");
        let address = ([127, 0, 0, 1], 1).into();
        let shared = Arc::new(Shared::new(options, address, reactor.mailbox()));
        // What the reactor does then.
        Connection::new(0, shared.clone()).on_lost();
        let failure = shared.run().take_failure().expect_err("a failure");
        assert!(
            failure.to_string().contains("max_user_watches"),
            "{failure}"
        );
    }
}
