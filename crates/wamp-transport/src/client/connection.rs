//! A dialled connection on its reactor: the client's end of a WebSocket connection, from connecting
//! on. Must not know when it is dialled again, nor what the session is for.

use std::{
    io, mem,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tungstenite::protocol::{Role, frame::coding::CloseCode};

use super::{ClientHandshake, DialledTransport, MakePeer, Target, reporter::Reporter};
use crate::{
    backlog::Backlog,
    frames::{Complaint, FrameLimits, Frames, Incoming},
    heartbeat::{Beat, Heartbeat, Intervals},
    limits,
    outbox::{DiallerEvent, Mail},
};
use reactor::{Io, Mailbox, Protocol};
use wamp::{
    Abort, ClosingDetails, DecodeError, ErrorDetails, Message, Payload, Peer, RequestId,
    RequestType, Serializer, error_uri,
};

/// How long the router may take to answer a Close frame.
const CLOSING: Duration = Duration::from_secs(10);

pub(super) struct DialledConnection {
    target: Arc<Target>,
    address: SocketAddr,
    mailbox: Mailbox<Mail>,
    make_peer: Arc<MakePeer>,
    reporter: Reporter,
    opening: Opening,
    frames: Frames,
    heartbeat: Heartbeat,
    /// How much waits to leave. The peer looks at it; nothing is dropped here.
    backlog: Arc<Backlog>,
    peer: Option<Arc<dyn Peer>>,
    /// The answer that the router owes for what it was sent last.
    awaited: Option<Awaited>,
    closing_until: Option<Instant>,
}

/// How far the opening handshake is.
enum Opening {
    /// It is not asked for yet, and may take until then.
    Until(Instant),
    Begun(ClientHandshake),
    /// It has come to nothing.
    Failed(String),
    Done,
}

/// The answer to a HELLO or a GOODBYE. A router that pings but gives none is of no use.
struct Awaited {
    to: &'static str,
    until: Instant,
}

impl DialledConnection {
    /// A connection that is being made to `address`; it has until `deadline` to be open. `reporter`
    /// is told what becomes of it.
    pub(super) fn new(
        target: Arc<Target>,
        address: SocketAddr,
        deadline: Instant,
        mailbox: Mailbox<Mail>,
        make_peer: Arc<MakePeer>,
        reporter: Reporter,
    ) -> Self {
        let limits = FrameLimits {
            max_message_size: target.max_message_size,
            max_frame_size: target.max_frame_size,
        };
        let intervals = Intervals {
            interval: Some(target.ping_interval),
            timeout: Some(target.ping_timeout),
        };
        Self {
            target,
            address,
            mailbox,
            make_peer,
            reporter,
            opening: Opening::Until(deadline),
            frames: Frames::new(Role::Client, limits),
            heartbeat: Heartbeat::new(intervals, Instant::now()),
            backlog: Backlog::new(usize::MAX, None),
            peer: None,
            awaited: None,
            closing_until: None,
        }
    }

    /// Asks for the handshake. The request waits until the socket is connected.
    fn begin(&mut self, until: Instant, io: &mut Io<'_>) -> Result<(), String> {
        let url = (self.target.url.parse()).map_err(|e| format!("{}: {e}", self.target.shown()))?;
        let handshake = ClientHandshake::begin(&url, Serializer::Json.subprotocol(), io.out())?;
        self.opening = Opening::Begun(handshake);
        io.set_deadline(Some(until));
        Ok(())
    }

    /// Takes what the router answers the handshake with. `None` while it is not whole, then what
    /// follows it.
    fn shake_hands(&mut self, bytes: &[u8], io: &mut Io<'_>) -> Option<Vec<u8>> {
        let Opening::Begun(handshake) = &mut self.opening else {
            return None;
        };
        match handshake.read(bytes) {
            Ok(None) => None,
            Ok(Some(_)) if self.reporter.is_stopped() => {
                io.abort();
                None
            }
            Ok(Some(frames)) => {
                self.open(io);
                Some(frames)
            }
            Err(e) => {
                self.opening = Opening::Failed(format!("the handshake failed: {e}"));
                io.abort();
                None
            }
        }
    }

    fn open(&mut self, io: &mut Io<'_>) {
        self.opening = Opening::Done;
        self.heartbeat.sign_of_life();
        self.reporter.tell(DiallerEvent::Opened);
        let transport = DialledTransport {
            mailbox: self.mailbox.clone(),
            connection: io.id,
            backlog: self.backlog.clone(),
        };
        let peer = self.peer.insert((self.make_peer)());
        peer.on_open(Arc::new(transport));
        self.set_deadline(io);
    }

    /// Keeps in mind what of this the router has to answer.
    fn await_answer(&mut self, message: &Message, io: &mut Io<'_>) {
        let to = match message {
            Message::Hello(_) => "HELLO",
            Message::Goodbye(_) => "GOODBYE",
            _ => return,
        };
        let until = io.now + self.target.timeout;
        self.awaited = Some(Awaited { to, until });
        self.set_deadline(io);
    }

    fn on_frames(&mut self, mut bytes: &[u8], io: &mut Io<'_>) {
        self.heartbeat.sign_of_life();
        while let Some(incoming) = self.frames.next(&mut bytes, io.out()) {
            match incoming {
                Incoming::Text(text) if self.closing_until.is_none() => {
                    self.on_text(text.as_bytes(), io);
                }
                Incoming::Text(_) | Incoming::Binary | Incoming::Heartbeat => {}
                Incoming::Closed => {
                    if let Some(Complaint { code, reason }) = self.frames.take_complaint() {
                        tracing::warn!(
                            target: crate::LOG,
                            code,
                            reason,
                            "the router closed the connection with a complaint"
                        );
                    }
                    return io.close();
                }
                Incoming::TooLarge(too_large) => {
                    tracing::warn!(
                        target: crate::LOG,
                        option = too_large.option,
                        limit = too_large.limit,
                        size = too_large.size,
                        "the router sent {too_large}, closing; if that is expected, raise the \
                         option of the component's transport"
                    );
                    return io.close();
                }
                Incoming::Failed(reason) => {
                    tracing::warn!(target: crate::LOG, reason, "the router broke the WebSocket protocol, closing");
                    return io.close();
                }
            }
        }
        io.pause_reading(io.unsent() > limits::DIALLED_OUTPUT_LIMIT);
        self.set_deadline(io);
    }

    fn on_text(&mut self, text: &[u8], io: &mut Io<'_>) {
        match Serializer::Json.decode(text) {
            Ok(message) => {
                let is_last = matches!(message, Message::Goodbye(_) | Message::Abort(_));
                // Whatever comes after HELLO answers it; GOODBYE is answered by the last alone.
                self.awaited
                    .take_if(|awaited| is_last || awaited.to == "HELLO");
                if let Some(peer) = &self.peer {
                    peer.on_message(message);
                }
                if is_last {
                    // By mail, so that it comes after what the peer has just answered. A router
                    // that would leave the connection open must not keep us from dialling again.
                    self.mailbox.post(io.id, Mail::Close);
                }
            }
            Err(error) => {
                if let Some(request) = error.invocation() {
                    return self.refuse(request, &error, io);
                }
                tracing::warn!(target: crate::LOG, %error, "the router sent what is no WAMP message, closing");
                let details = ClosingDetails {
                    message: Some(error.to_string()),
                };
                let abort = Abort {
                    details,
                    reason: error_uri::PROTOCOL_VIOLATION.into(),
                };
                self.frames
                    .send_text(&Serializer::Json.encode(&abort.into()), io.out());
                self.close(io);
            }
        }
    }

    /// Answers an INVOCATION that cannot be read. What is wrong with it is what its caller has
    /// written and the router passed on, so it may not cost the others their callee.
    fn refuse(&mut self, request: RequestId, why: &DecodeError, io: &mut Io<'_>) {
        tracing::debug!(target: crate::LOG, %request, %why, "refusing an invocation that cannot be read");
        let payload = Payload::from_args(&[why.to_string()]).unwrap_or_default();
        let error = wamp::Error {
            request_type: RequestType::Invocation,
            request,
            details: ErrorDetails::default(),
            error: error_uri::INVALID_ARGUMENT.into(),
            payload,
        };
        self.frames
            .send_text(&Serializer::Json.encode(&error.into()), io.out());
    }

    fn close(&mut self, io: &mut Io<'_>) {
        self.frames.close(CloseCode::Normal, "", io.out());
        self.closing_until = Some(io.now + CLOSING);
        self.awaited = None;
        self.set_deadline(io);
    }

    fn set_deadline(&self, io: &mut Io<'_>) {
        io.set_deadline(
            self.heartbeat
                .deadline()
                .into_iter()
                .chain(self.closing_until)
                .chain(self.awaited.as_ref().map(|awaited| awaited.until))
                .min(),
        );
    }
}

impl Protocol<Mail> for DialledConnection {
    fn on_open(&mut self, io: &mut Io<'_>) {
        io.set_nodelay(self.target.tcp_nodelay);
        let Opening::Until(until) = self.opening else {
            return;
        };
        if let Err(failure) = self.begin(until, io) {
            self.opening = Opening::Failed(failure);
            io.abort();
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        if matches!(self.opening, Opening::Done) {
            return self.on_frames(bytes, io);
        }
        if let Some(frames) = self.shake_hands(bytes, io) {
            self.on_frames(&frames, io);
        }
    }

    fn on_end(&mut self, io: &mut Io<'_>) {
        if let Opening::Begun(..) = self.opening {
            self.opening = Opening::Failed("the handshake failed: the router ended it".to_owned());
        }
        // The router reads no more either: whatever is unsent is for nobody.
        io.abort();
    }

    fn on_flushed(&mut self, io: &mut Io<'_>) {
        self.heartbeat.flushed(io.unsent());
        self.backlog.set_unsent(io.unsent());
        io.pause_reading(io.unsent() > limits::DIALLED_OUTPUT_LIMIT);
    }

    fn on_mail(&mut self, mail: Mail, io: &mut Io<'_>) {
        match mail {
            Mail::Message(message) => {
                self.frames
                    .send_text(&Serializer::Json.encode(&message), io.out());
                self.backlog.took(message.approximate_len());
                self.backlog.set_unsent(io.unsent());
                self.await_answer(&message, io);
            }
            Mail::Event(broadcast) => {
                self.frames
                    .send_text(broadcast.encoded(Serializer::Json), io.out());
            }
            Mail::Close | Mail::GoAway => self.close(io),
            // For the router's end.
            Mail::Invocation(..)
            | Mail::Resume
            | Mail::MakeRoom
            | Mail::Deadline
            | Mail::Look
            | Mail::Dialler(_) => {}
        }
    }

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        if let Opening::Begun(..) = self.opening {
            self.opening = Opening::Failed(format!(
                "{}: connecting and shaking hands took too long",
                self.address
            ));
            return io.abort();
        }
        if self.closing_until.is_some_and(|until| until <= io.now) {
            return io.abort();
        }
        if let Some(Awaited { to, .. }) = self.awaited.take_if(|awaited| awaited.until <= io.now) {
            tracing::warn!(target: crate::LOG, "the router does not answer {to}, giving the connection up");
            return io.abort();
        }
        match self.heartbeat.beat(io.now) {
            Beat::Nothing => {}
            Beat::Ping => self.frames.send_ping(Vec::new(), io.out()),
            Beat::Dead => {
                tracing::warn!(target: crate::LOG, "the router answers no ping, giving the connection up");
                return io.abort();
            }
        }
        self.set_deadline(io);
    }

    fn on_error(&mut self, error: &io::Error) {
        if !matches!(self.opening, Opening::Done) {
            self.opening = Opening::Failed(format!("{}: {error}", self.address));
        }
    }

    /// The component's session says GOODBYE, and the router's answer closes the connection.
    fn on_shutdown(&mut self, io: &mut Io<'_>) {
        if !matches!(self.opening, Opening::Done) {
            io.abort();
        }
    }

    fn on_lost(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.on_close();
        }
        self.reporter
            .tell(match mem::replace(&mut self.opening, Opening::Done) {
                Opening::Done => DiallerEvent::Lost,
                Opening::Failed(failure) => DiallerEvent::Failed(failure),
                Opening::Until(_) | Opening::Begun(..) => {
                    DiallerEvent::Failed(format!("{}: the connection was lost", self.address))
                }
            });
    }
}
