//! A WAMP session on a WebSocket connection, the router's end: from HELLO to the closing
//! handshake, heartbeats and deadlines. Must not know what messages mean beyond HELLO.

mod budget;
mod ending;
mod input;
mod pressure;

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use tungstenite::protocol::{Role, frame::coding::CloseCode};

use self::pressure::Pressure;

use super::{
    Realms, WebSocketOptions,
    backlog::Backlog,
    connection_limits::Connections,
    frames::{FrameLimits, Frames},
    heartbeat::{Beat, Heartbeat, Intervals},
    limits::LARGEST_COPY,
    outbox::{Broadcast, Mail, Outbox},
    realm::Realm,
};
use reactor::{Io, Mailbox};
use wamp::{
    ANONYMOUS, Abort, ClosingDetails, DecodeError, Hello, Message, Serializer, SessionId, Uri,
    error_uri,
};
use wamp_router::{PeerId, refuse_realm};

/// What a connection needs to know of the node, and who its client is.
#[derive(Clone)]
pub(super) struct ConnectionContext {
    pub(super) io_thread: Arc<IoThread>,
    pub(super) remote: SocketAddr,
}

/// What all connections that a listener deals to an I/O thread have in common.
pub(super) struct IoThread {
    /// Which of the node's it is.
    pub(super) number: usize,
    pub(super) mailbox: Mailbox<Mail>,
    pub(super) realms: Arc<Realms>,
    pub(super) connections: Arc<Connections>,
}

/// A session, or one about to be.
pub(super) struct Session {
    context: ConnectionContext,
    options: Arc<WebSocketOptions>,
    serializer: Serializer,
    frames: Frames,
    backlog: Arc<Backlog>,
    /// Boxed, because most sessions have never to wait.
    pressure: Option<Box<Pressure>>,
    phase: Phase,
    heartbeat: Heartbeat,
    /// The id that WELCOME gave it.
    session: Option<SessionId>,
    /// Whether the client has been told that it broke the protocol.
    is_violator: bool,
}

enum Phase {
    /// The WebSocket is open, HELLO has not come.
    Joining { until: Option<Instant> },
    /// The session is the realm's.
    Joined { realm: Arc<Realm>, peer: PeerId },
    /// Our close frame is written; what comes is ignored but for the other end's.
    Closing { until: Option<Instant> },
}

impl Session {
    /// A session on a connection whose opening handshake has just succeeded.
    pub(super) fn new(
        context: ConnectionContext,
        options: Arc<WebSocketOptions>,
        serializer: Serializer,
        io: &mut Io<'_>,
    ) -> Self {
        if !options.tcp_nodelay {
            io.set_nodelay(false);
        }
        let limits = FrameLimits {
            max_message_size: options.max_message_size,
            max_frame_size: options.max_frame_size,
        };
        let intervals = Intervals {
            interval: options.auto_ping_interval,
            timeout: options.auto_ping_timeout,
        };
        let mut session = Self {
            frames: Frames::new(Role::Server, limits),
            backlog: Backlog::new(
                options.outbox_limit,
                Some((context.io_thread.clone(), io.id)),
            ),
            pressure: None,
            phase: Phase::Joining {
                until: options.open_handshake_timeout.map(|t| io.now + t),
            },
            heartbeat: Heartbeat::new(intervals, io.now),
            context,
            options,
            serializer,
            session: None,
            is_violator: false,
        };
        session.set_deadline(io);
        session
    }

    /// Whether it has joined a realm, and has not ended.
    pub(super) fn has_joined(&self) -> bool {
        matches!(self.phase, Phase::Joined { .. })
    }

    /// The client will send nothing more; whoever waits for its answers need not wait longer.
    pub(super) fn on_end(&mut self, io: &mut Io<'_>) {
        self.leave();
        io.close();
    }

    pub(super) fn on_mail(&mut self, mail: Mail, io: &mut Io<'_>) {
        self.backlog.took(mail.len());
        if self.is_beyond_hard_limit(io) {
            let why = "four times as many are too much at once";
            return self.drop_slow_client(why, io);
        }
        match mail {
            Mail::Message(message) => self.send(&message, io),
            Mail::Invocation(invocation, charge) => {
                let before = io.unsent();
                self.send(&Message::Invocation(invocation), io);
                self.note_charge(charge, before, io);
            }
            Mail::Part(part, receipt) => {
                self.send(&part, io);
                self.pressure_mut().receipts.push(receipt);
            }
            Mail::Event(broadcast) => self.send_event(&broadcast, io),
            Mail::Close => self.close(CloseCode::Normal, "the session has ended", io),
            Mail::GoAway => self.go_away(io),
            Mail::OverBudget(held) => return self.drop_for_memory(held, io),
            Mail::Room(room) => self.take_room(room),
            // For what comes below; the others are for tasks, not for connections.
            Mail::Resume
            | Mail::MakeRoom
            | Mail::Deadline
            | Mail::Look
            | Mail::Work(_)
            | Mail::Dialler(_) => {}
        }
        (self.backlog).set_unsent(io.unsent(), io.unsent_shared());
        self.note_output(io);
        self.regulate(io);
    }

    pub(super) fn on_flushed(&mut self, io: &mut Io<'_>) {
        // A retry may have come to nothing, which is no sign of life.
        if !self.backlog.is_blocked() || io.unsent() < self.backlog.unsent() {
            self.heartbeat.flushed(io.unsent());
        }
        (self.backlog).flushed(io.unsent(), io.unsent_shared(), io.is_blocked());
        self.note_output(io);
        self.regulate(io);
    }

    pub(super) fn on_deadline(&mut self, io: &mut Io<'_>) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= io.now);
        match &self.phase {
            Phase::Joining { until } if due(*until) => {
                tracing::info!(target: crate::LOG, client = %self.context.remote, "dropping a client that sent no HELLO in time");
                self.close(CloseCode::Policy, "no HELLO message arrived in time", io);
            }
            Phase::Closing { until } if due(*until) => return io.abort(),
            _ => {}
        }
        if self.waits_for_room() || self.is_held() && !self.backlog.is_blocked() {
            // It is not read from, so what it answers is not either. A client that itself does not
            // read is judged by that.
            self.heartbeat.sign_of_life();
        }
        match self.heartbeat.beat(io.now) {
            Beat::Nothing => {}
            Beat::Ping => {
                self.frames
                    .send_ping(vec![0; self.options.auto_ping_size], io.out());
                // The ping waits behind what the client has not read, and so would its answer.
                if self.backlog.is_blocked() {
                    io.retry_output();
                }
            }
            Beat::Dead => {
                tracing::info!(target: crate::LOG, client = %self.context.remote, "dropping a client that answers no ping");
                return io.abort();
            }
        }
        if self.meet_pressure(io) {
            self.note_output(io);
            self.regulate(io);
        }
    }

    /// The node stops: who has no session is told here, and the others by their realm, after the
    /// last answers.
    pub(super) fn on_shutdown(&mut self, io: &mut Io<'_>) {
        if matches!(self.phase, Phase::Joining { .. }) {
            self.go_away(io);
        }
    }

    /// Says why a client is lost that has not ended its connection.
    pub(super) fn on_error(&self, error: &io::Error) {
        use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
        if matches!(
            error.kind(),
            TimedOut | HostUnreachable | NetworkUnreachable
        ) {
            tracing::info!(
            target: crate::LOG,
                           client = %self.context.remote, %error,
                           "dropping a client that answered nothing, or took nothing of what it was sent, \
                            within peer_timeout"
                       );
        }
    }

    /// The connection is gone.
    pub(super) fn on_lost(&mut self) {
        self.leave();
        self.backlog.gone();
    }

    fn on_text(&mut self, text: &[u8], io: &mut Io<'_>) {
        if matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        match self.serializer.decode(text) {
            Ok(message) => self.on_message(message, io),
            Err(error) => self.on_undecodable(error, io),
        }
    }

    fn on_undecodable(&mut self, error: DecodeError, io: &mut Io<'_>) {
        match (&self.phase, error) {
            (Phase::Joined { realm, peer }, DecodeError::TooDeep(message)) => {
                realm.too_deep(*peer, *message);
            }
            (_, error) => self.on_violation(error.to_string(), io),
        }
    }

    fn on_message(&mut self, message: Message, io: &mut Io<'_>) {
        match (&self.phase, message) {
            (Phase::Joined { realm, peer }, message) => {
                realm.receive(*peer, message, Some(&self.backlog));
            }
            (_, Message::Hello(hello)) => self.join(hello, io),
            // WAMP specification, "ABORT": no response is expected, not even that it was too early.
            (_, Message::Abort(_)) => self.close(CloseCode::Normal, "", io),
            (_, message) => {
                // WAMP specification, "Session Establishment": HELLO must be the very first.
                let name = message.message_type().name();
                self.on_violation(format!("received {name} before the session was open"), io);
            }
        }
    }

    fn join(&mut self, hello: Hello, io: &mut Io<'_>) {
        let io_thread = &self.context.io_thread;
        let Some(realm) = io_thread.realms.find(&hello.realm).cloned() else {
            return self.abort(&refuse_realm(&hello), io);
        };
        let outbox = Outbox {
            mailbox: io_thread.mailbox.clone(),
            io_thread: io_thread.number,
            connection: io.id,
            backlog: self.backlog.clone(),
        };
        let peer = realm.join(outbox, hello, ANONYMOUS);
        self.phase = Phase::Joined { realm, peer };
    }

    fn on_violation(&mut self, reason: String, io: &mut Io<'_>) {
        match &self.phase {
            // The realm's answer, ABORT, comes by mail like every other.
            Phase::Joined { realm, peer } => realm.violation(*peer, reason),
            Phase::Joining { .. } => {
                let details = ClosingDetails {
                    message: Some(reason),
                };
                let reason = Uri::from(error_uri::PROTOCOL_VIOLATION);
                self.abort(&Abort { details, reason }, io);
            }
            Phase::Closing { .. } => {}
        }
    }

    /// Refuses a session that no realm knows of.
    fn abort(&mut self, abort: &Abort, io: &mut Io<'_>) {
        self.send(&Message::Abort(abort.clone()), io);
        self.close(CloseCode::Normal, abort.reason.as_str(), io);
    }

    fn send(&mut self, message: &Message, io: &mut Io<'_>) {
        match message {
            Message::Welcome(welcome) => self.session = Some(welcome.session),
            Message::Abort(abort) => {
                self.is_violator |= abort.reason.as_str() == error_uri::PROTOCOL_VIOLATION;
                tracing::info!(
                target: crate::LOG,
                                   client = %self.context.remote, session = self.session.map(SessionId::value),
                                   reason = abort.reason.as_str(), details = abort.details.message.as_deref(),
                                   "ending a session with ABORT"
                               );
            }
            Message::Unsubscribed(_) => self.backlog.took_unsubscribed(),
            _ => {}
        }
        self.frames
            .send_text(&self.serializer.encode(message), io.out());
    }

    fn send_event(&mut self, event: &Arc<Broadcast>, io: &mut Io<'_>) {
        let text = event.encoded(self.serializer);
        if text.len() <= LARGEST_COPY {
            self.frames.send_text(text, io.out());
        } else if self.frames.begin_text(text.len(), io.out()) {
            io.send_shared(text.clone());
        }
        event.taken();
    }

    fn set_deadline(&mut self, io: &mut Io<'_>) {
        let phase = match self.phase {
            Phase::Joining { until } | Phase::Closing { until } => until,
            Phase::Joined { .. } => None,
        };
        let pressure = self
            .pressure
            .as_ref()
            .and_then(|pressure| pressure.deadline());
        let deadlines = [self.heartbeat.deadline(), phase, pressure];
        io.set_deadline(deadlines.into_iter().flatten().min());
    }
}
