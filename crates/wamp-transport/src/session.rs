//! A WAMP session on a WebSocket connection, the router's end: from HELLO to the closing
//! handshake, heartbeats and deadlines. Must not know what messages mean beyond HELLO.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tungstenite::protocol::{Role, frame::coding::CloseCode};

use super::{
    Realms, WebSocketOptions,
    frames::{Complaint, FrameLimits, Frames, Incoming},
    heartbeat::{Beat, Heartbeat, Intervals},
    outbox::{Backlog, Broadcast, Mail, Outbox},
    realm::Realm,
};
use reactor::{Io, Mailbox};
use wamp::{
    ANONYMOUS, Abort, ClosingDetails, DecodeError, Hello, Message, Serializer, SessionId, Uri,
    error_uri,
};
use wamp_router::{PeerId, refuse_realm};

/// So many messages of a connection are taken in an iteration of its I/O thread. A read can bring
/// a thousand, and each can be an event for thousands.
const MESSAGES_AT_ONCE: usize = 64;
/// When the messages of a connection have taken so long, the rest waits for the next iteration as
/// well. An event for thousands takes longer than a hundred calls.
const TIME_AT_ONCE: Duration = Duration::from_micros(500);

/// An event of more bytes is not copied for each of its receivers: in memory it is once. A short
/// copy is faster than a reference.
const LARGEST_COPY: usize = 16 * 1024;

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
}

/// A session, or one about to be.
pub(super) struct Session {
    context: ConnectionContext,
    options: Arc<WebSocketOptions>,
    serializer: Serializer,
    frames: Frames,
    /// What has been read and not been taken yet.
    unread: Vec<u8>,
    backlog: Arc<Backlog>,
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
            unread: Vec::new(),
            backlog: Backlog::new(options.outbox_limit),
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

    pub(super) fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        self.heartbeat.sign_of_life();
        if self.unread.is_empty() {
            self.take(bytes, io);
        } else {
            self.unread.extend_from_slice(bytes);
        }
    }

    /// Goes on with what has been read.
    pub(super) fn on_again(&mut self, io: &mut Io<'_>) {
        let unread = std::mem::take(&mut self.unread);
        self.take(&unread, io);
    }

    /// Takes messages out of `bytes`, as many as an iteration may have.
    fn take(&mut self, mut bytes: &[u8], io: &mut Io<'_>) {
        let mut second = None;
        for _ in 0..MESSAGES_AT_ONCE {
            let Some(incoming) = self.frames.next(&mut bytes, io.out()) else {
                self.hold_back(io);
                return self.set_deadline(io);
            };
            match incoming {
                Incoming::Text(text) => self.on_text(text.as_bytes(), io),
                Incoming::Binary => self.on_violation(
                    format!(
                        "received a binary message; {} has text messages only",
                        self.serializer.subprotocol()
                    ),
                    io,
                ),
                Incoming::Heartbeat => {}
                Incoming::Closed => return self.on_closed(io),
                Incoming::Failed(reason) => {
                    tracing::info!(
                    target: crate::LOG,
                                           client = %self.context.remote, session = self.session.map(SessionId::value), reason,
                                           "closing a WebSocket connection that broke the protocol"
                                       );
                    return self.fail("it broke the WebSocket protocol".to_owned(), io);
                }
                Incoming::TooLarge(too_large) => {
                    tracing::info!(
                    target: crate::LOG,
                                           client = %self.context.remote, session = self.session.map(SessionId::value),
                                           option = too_large.option, limit = too_large.limit, size = too_large.size,
                                           "closing a WebSocket connection that sent {too_large}; if that is expected, \
                                            raise the option of its transport"
                                       );
                    return self.fail(format!("it sent {too_large}, perhaps the answer"), io);
                }
            }
            // Mostly there is one, which needs no look at the time.
            if !bytes.is_empty() {
                match second {
                    None => second = Some(Instant::now()),
                    Some(begun) if begun.elapsed() > TIME_AT_ONCE => break,
                    Some(_) => {}
                }
            }
        }
        self.unread = bytes.to_vec();
        io.call_again();
        self.hold_back(io);
        self.set_deadline(io);
    }

    /// The closing handshake is complete.
    fn on_closed(&mut self, io: &mut Io<'_>) {
        match (self.frames.take_complaint(), self.take_session()) {
            (Some(complaint), Some((realm, peer))) => {
                let Complaint { code, reason } = complaint;
                tracing::info!(
                target: crate::LOG,
                                   client = %self.context.remote, session = self.session.map(SessionId::value), code, reason,
                                   "the client closed its WebSocket connection with a complaint"
                               );
                let why = match CloseCode::from(code) {
                    CloseCode::Size => {
                        "a message was too large for it, perhaps the call".to_owned()
                    }
                    code => format!("it closed its connection with the code {code}"),
                };
                realm.lose(peer, why);
            }
            (None, Some((realm, peer))) => realm.leave(peer),
            (_, None) => {}
        }
        io.close();
    }

    /// The client will send nothing more; whoever waits for its answers need not wait longer.
    pub(super) fn on_end(&mut self, io: &mut Io<'_>) {
        self.leave();
        io.close();
    }

    pub(super) fn on_mail(&mut self, mail: Mail, io: &mut Io<'_>) {
        self.backlog.took(mail.len());
        match mail {
            Mail::Message(message) => self.send(&message, io),
            Mail::Event(broadcast) => self.send_event(broadcast, io),
            Mail::Close => self.close(CloseCode::Normal, "the session has ended", io),
            Mail::GoAway => self.go_away(io),
            Mail::Overflow => return self.drop_slow_client(io),
            // For tasks, not for connections.
            Mail::Deadline | Mail::Dialler(_) => {}
        }
        self.backlog.set_unsent(io.unsent());
    }

    pub(super) fn on_flushed(&mut self, io: &mut Io<'_>) {
        self.backlog.set_unsent(io.unsent());
        self.heartbeat.flushed(io.unsent());
        self.hold_back(io);
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
        match self.heartbeat.beat(io.now) {
            Beat::Nothing => {}
            Beat::Ping => {
                self.frames
                    .send_ping(vec![0; self.options.auto_ping_size], io.out());
            }
            Beat::Dead => {
                tracing::info!(target: crate::LOG, client = %self.context.remote, "dropping a client that answers no ping");
                return io.abort();
            }
        }
        self.set_deadline(io);
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
            (Phase::Joined { realm, peer }, message) => realm.receive(*peer, message),
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

    fn send_event(&mut self, event: Arc<Broadcast>, io: &mut Io<'_>) {
        let text = event.encoded(self.serializer);
        if text.len() <= LARGEST_COPY {
            self.frames.send_text(text, io.out());
        } else if self.frames.begin_text(text.len(), io.out()) {
            io.send_shared(event.shared(self.serializer));
        }
    }

    /// Ends the connection of a client that no frame can be read of any more. Why is on the way to
    /// it; who waits for it learns it too.
    fn fail(&mut self, why: String, io: &mut Io<'_>) {
        if let Some((realm, peer)) = self.take_session() {
            realm.lose(peer, why);
        }
        if self.options.fail_by_drop {
            io.abort();
        } else {
            io.close();
        }
    }

    /// Begins the closing handshake; the connection ends with the other end's answer or the
    /// deadline. A violator may have to do without, with the ABORT that WAMP asks for alone.
    fn close(&mut self, code: CloseCode, reason: &str, io: &mut Io<'_>) {
        self.leave();
        if self.is_violator && self.options.fail_by_drop {
            return io.close();
        }
        self.frames.close(code, reason, io.out());
        self.phase = Phase::Closing {
            until: self.options.close_handshake_timeout.map(|t| io.now + t),
        };
        self.set_deadline(io);
    }

    /// RFC 6455, 7.4.1: 1001 is for a server that goes down. Clients connect again after it.
    fn go_away(&mut self, io: &mut Io<'_>) {
        self.close(CloseCode::Away, "the router is shutting down", io);
    }

    /// Reads no more from a client that has too much to read itself: what its bytes are answered
    /// with on the spot, the pongs, passes no outbox.
    fn hold_back(&self, io: &mut Io<'_>) {
        io.pause_reading(io.unsent() > self.backlog.limit());
    }

    fn drop_slow_client(&mut self, io: &mut Io<'_>) {
        tracing::warn!(
        target: crate::LOG,
                   client = %self.context.remote,
                   limit = self.backlog.limit(),
                   "dropping a client that does not read what it is sent: more bytes wait for it than \
                    outbox_limit allows; if that is expected, raise options.outbox_limit of its transport"
               );
        self.leave();
        io.abort();
    }

    /// Takes the session out of its realm, if it is in one.
    fn leave(&mut self) {
        if let Some((realm, peer)) = self.take_session() {
            realm.leave(peer);
        }
    }

    fn take_session(&mut self) -> Option<(Arc<Realm>, PeerId)> {
        match std::mem::replace(&mut self.phase, Phase::Closing { until: None }) {
            Phase::Joined { realm, peer } => Some((realm, peer)),
            _ => None,
        }
    }

    fn set_deadline(&mut self, io: &mut Io<'_>) {
        let phase = match self.phase {
            Phase::Joining { until } | Phase::Closing { until } => until,
            Phase::Joined { .. } => None,
        };
        io.set_deadline(self.heartbeat.deadline().into_iter().chain(phase).min());
    }
}
