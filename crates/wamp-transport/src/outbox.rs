//! The way from the realm to the thread that writes to a session's socket, and the mail that takes
//! it. Must not know what the messages do.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use super::backlog::{Backlog, Charge, EventCharge};
use reactor::{ConnectionId, Mailbox};
use wamp::{Event, Invocation, Message, Serializer};

/// What other threads may send to a connection.
pub enum Mail {
    /// A message to write.
    Message(Message),
    /// An invocation to write. Its caller is charged for it until the socket has taken it.
    Invocation(Invocation, Charge),
    /// An event to write, shared with other subscribers.
    Event(Arc<Broadcast>),
    /// Nothing more comes for this session: close, orderly.
    Close,
    /// The same, because the node stops: the client may come again.
    GoAway,
    /// Less waits now because of what the session has sent: it may be read from again.
    Resume,
    /// Another connection has the place of this one, unless a session or an answer has begun on it
    /// meanwhile.
    MakeRoom,
    /// For the clock: a realm has an earlier deadline than it knows of.
    Deadline,
    /// For whoever is no session: there may be something to do.
    Look,
    /// For a dialler: what has become of its attempt, or that it is to stop.
    Dialler(DiallerEvent),
}

/// What a dialler is told, all of it by mail.
#[derive(Debug)]
pub enum DiallerEvent {
    /// The addresses of the router's host, or why there are none.
    Resolved(Result<Vec<SocketAddr>, String>),
    /// The connection is open.
    Opened,
    /// An attempt has come to nothing, and why.
    Failed(String),
    /// The connection that was open is gone.
    Lost,
    /// Dial no more.
    Stop,
}

/// An event on its way to many subscribers, encoded once for each serializer.
pub struct Broadcast {
    event: Arc<Event>,
    encoded: [OnceLock<Bytes>; Serializer::ALL.len()],
    /// How many connections have not taken it yet.
    left: AtomicUsize,
    /// What is charged for it until all of them have.
    charge: EventCharge,
}

impl Broadcast {
    /// An event for so many connections, and what is charged for it.
    pub(super) fn new(event: Arc<Event>, receivers: usize, charge: EventCharge) -> Self {
        Self {
            event,
            encoded: [const { OnceLock::new() }; _],
            left: AtomicUsize::new(receivers),
            charge,
        }
    }

    /// A connection has taken it. What those would take that are gone is let go with the event.
    pub(super) fn taken(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.charge.release();
        }
    }

    /// The event as a message of this serializer. A clone shares its bytes, and keeps them without
    /// the event: what a socket does not take must not count for the publisher.
    pub(super) fn encoded(&self, serializer: Serializer) -> &Bytes {
        self.encoded[serializer as usize]
            .get_or_init(|| serializer.encode_event(&self.event).into())
    }

    /// About how many bytes it will be on the wire.
    pub(super) fn len(&self) -> usize {
        self.event.approximate_len()
    }
}

/// The outbox of a session on a connection.
pub(super) struct Outbox {
    pub(super) mailbox: Mailbox<Mail>,
    /// Which of the node's I/O threads the mailbox belongs to.
    pub(super) io_thread: usize,
    pub(super) connection: ConnectionId,
    pub(super) backlog: Arc<Backlog>,
}

impl Outbox {
    /// Puts mail in, without waking the thread.
    pub(super) fn put(&self, mail: Mail) {
        self.backlog.put(mail.len());
        if self.backlog.is_in_bulk(&mail) {
            self.mailbox.post_bulk_quietly(self.connection, mail);
        } else {
            self.mailbox.post_quietly(self.connection, mail);
        }
    }
}

impl Mail {
    /// About how many bytes the mail will be on the wire.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.approximate_len(),
            Self::Invocation(invocation, _) => invocation.approximate_len(),
            Self::Event(broadcast) => broadcast.len(),
            Self::Close
            | Self::GoAway
            | Self::Resume
            | Self::MakeRoom
            | Self::Deadline
            | Self::Look
            | Self::Dialler(_) => 0,
        }
    }
}
