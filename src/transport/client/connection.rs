//! A dialled connection on its reactor: the client's end of a WebSocket connection, from the opening handshake on. Must
//! not know how it was dialled nor what the session is for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use tungstenite::protocol::{Role, frame::coding::CloseCode};

use super::{DialledSession, MakePeer, Target};
use crate::{
    reactor::{Io, Mailbox, Protocol},
    transport::{
        frames::{Complaint, FrameLimits, Frames, Incoming},
        heartbeat::{Beat, Heartbeat, Intervals},
        local::LocalPeer,
        outbox::Mail,
    },
    wamp::{
        self, Abort, ClosingDetails, DecodeError, Message, Payload, RequestId, RequestType,
        Serializer, error_uri,
    },
};

/// How long the router may take to answer a Close frame.
const CLOSING: Duration = Duration::from_secs(10);
/// While more bytes than this wait for the router, nothing is read from it: every answer is to
/// an invocation that was read, so this bounds the answers.
const OUTPUT_LIMIT: usize = 16 << 20;

pub(super) struct DialledConnection {
    mailbox: Mailbox<Mail>,
    make_peer: Arc<MakePeer>,
    frames: Frames,
    heartbeat: Heartbeat,
    peer: Option<Arc<dyn LocalPeer>>,
    /// How long the router may take to answer, and until when it may for what it was sent last.
    timeout: Duration,
    awaited: Option<Awaited>,
    closing_until: Option<Instant>,
    lost: Sender<()>,
}

/// The answer to a HELLO or a GOODBYE. A router that pings but gives none is of no use.
struct Awaited {
    to: &'static str,
    until: Instant,
}

impl DialledConnection {
    /// A connection whose opening handshake has just succeeded; `lost` is told of its end.
    pub(super) fn new(
        target: &Target,
        mailbox: Mailbox<Mail>,
        make_peer: Arc<MakePeer>,
        lost: Sender<()>,
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
            mailbox,
            make_peer,
            frames: Frames::new(Role::Client, limits),
            heartbeat: Heartbeat::new(intervals, Instant::now()),
            peer: None,
            timeout: target.timeout,
            awaited: None,
            closing_until: None,
            lost,
        }
    }

    /// Keeps in mind what of this the router has to answer.
    fn await_answer(&mut self, message: &Message, io: &mut Io<'_>) {
        let to = match message {
            Message::Hello(_) => "HELLO",
            Message::Goodbye(_) => "GOODBYE",
            _ => return,
        };
        let until = io.now + self.timeout;
        self.awaited = Some(Awaited { to, until });
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
                tracing::warn!(%error, "the router sent what is no WAMP message, closing");
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
        tracing::debug!(%request, %why, "refusing an invocation that cannot be read");
        let payload = Payload::from_args(&[why.to_string()]).unwrap_or_default();
        let error = wamp::Error {
            request_type: RequestType::Invocation,
            request,
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
        let session = DialledSession {
            mailbox: self.mailbox.clone(),
            connection: io.id,
        };
        self.peer = Some((self.make_peer)(session));
        self.set_deadline(io);
    }

    fn on_bytes(&mut self, mut bytes: &[u8], io: &mut Io<'_>) {
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
                            code,
                            reason,
                            "the router closed the connection with a complaint"
                        );
                    }
                    return io.close();
                }
                Incoming::TooLarge(too_large) => {
                    tracing::warn!(
                        option = too_large.option,
                        limit = too_large.limit,
                        size = too_large.size,
                        "the router sent {too_large}, closing; if that is expected, raise the \
                         option of the component's transport"
                    );
                    return io.close();
                }
                Incoming::Failed(reason) => {
                    tracing::warn!(reason, "the router broke the WebSocket protocol, closing");
                    return io.close();
                }
            }
        }
        io.pause_reading(io.unsent() > OUTPUT_LIMIT);
        self.set_deadline(io);
    }

    fn on_end(&mut self, io: &mut Io<'_>) {
        // The router reads no more either: whatever is unsent is for nobody.
        io.abort();
    }

    fn on_flushed(&mut self, io: &mut Io<'_>) {
        self.heartbeat.flushed(io.unsent());
        io.pause_reading(io.unsent() > OUTPUT_LIMIT);
    }

    fn on_mail(&mut self, mail: Mail, io: &mut Io<'_>) {
        match mail {
            Mail::Message(message) => {
                self.frames
                    .send_text(&Serializer::Json.encode(&message), io.out());
                self.await_answer(&message, io);
            }
            Mail::Event(broadcast) => {
                self.frames
                    .send_text(broadcast.text(Serializer::Json), io.out());
            }
            Mail::Close => self.close(io),
            Mail::Overflow => io.abort(),
        }
    }

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        if self.closing_until.is_some_and(|until| until <= io.now) {
            return io.abort();
        }
        if let Some(Awaited { to, .. }) = self.awaited.take_if(|awaited| awaited.until <= io.now) {
            tracing::warn!("the router does not answer {to}, giving the connection up");
            return io.abort();
        }
        match self.heartbeat.beat(io.now) {
            Beat::Nothing => {}
            Beat::Ping => self.frames.send_ping(Vec::new(), io.out()),
            Beat::Dead => {
                tracing::warn!("the router answers no ping, giving the connection up");
                return io.abort();
            }
        }
        self.set_deadline(io);
    }

    fn on_lost(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.on_close();
        }
        // The dialler may have been stopped.
        let _ = self.lost.try_send(());
    }
}
