//! What waits for one session: the way from the realm to the thread that writes to the socket,
//! and the count that bounds it. Must not know what the messages do.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use reactor::{ConnectionId, Mailbox};
use wamp::{Event, Message, Serializer};

/// What other threads may send to a connection.
pub enum Mail {
    /// A message to write.
    Message(Message),
    /// An event to write, shared with other subscribers.
    Event(Arc<Broadcast>),
    /// Nothing more comes for this session: close, orderly.
    Close,
    /// The same, because the node stops: the client may come again.
    GoAway,
    /// The client does not read what it is sent: drop it.
    Overflow,
    /// For the clock: a realm has an earlier deadline than it knows of.
    Deadline,
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

/// An event on its way to many subscribers, encoded once.
pub struct Broadcast {
    event: Arc<Event>,
    json: OnceLock<Vec<u8>>,
}

impl Broadcast {
    pub(super) fn new(event: Arc<Event>) -> Self {
        Self {
            event,
            json: OnceLock::new(),
        }
    }

    /// The event as a text message.
    pub(super) fn text(&self, serializer: Serializer) -> &[u8] {
        match serializer {
            Serializer::Json => self.json.get_or_init(|| {
                let event = Event::clone(&self.event);
                serializer.encode(&event.into())
            }),
        }
    }

    pub(super) fn event(&self) -> &Event {
        &self.event
    }

    fn len(&self) -> usize {
        MARGIN + self.event.payload.len()
    }
}

/// About what the elements before a payload take.
const MARGIN: usize = 128;

/// How much waits for one session, counted by both sides of its outbox.
#[derive(Debug)]
pub(super) struct Fill {
    /// Bytes of messages in the reactor's mail, about.
    in_mail: AtomicUsize,
    /// Bytes in the connection's output that the kernel has not taken.
    unsent: AtomicUsize,
    limit: usize,
    overflowed: AtomicBool,
}

impl Fill {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            in_mail: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            limit,
            overflowed: AtomicBool::new(false),
        })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        self.in_mail.load(Ordering::Relaxed) + self.unsent.load(Ordering::Relaxed)
    }

    /// Mail of this length is posted to the connection.
    pub(super) fn put(&self, len: usize) {
        self.in_mail.fetch_add(len, Ordering::Relaxed);
    }

    /// The connection has taken mail of this length.
    pub(super) fn took(&self, len: usize) {
        self.in_mail.fetch_sub(len, Ordering::Relaxed);
    }

    /// The connection's output is this long now.
    pub(super) fn set_unsent(&self, unsent: usize) {
        self.unsent.store(unsent, Ordering::Relaxed);
    }

    /// Whether there is room for `len` more; a message alone always finds room, or one larger
    /// than the limit could never be sent, and so does what is no message.
    fn admit(&self, len: usize) -> bool {
        let waiting =
            self.in_mail.fetch_add(len, Ordering::Relaxed) + self.unsent.load(Ordering::Relaxed);
        waiting == 0 || len == 0 || waiting + len <= self.limit
    }
}

/// The outbox of a session on a connection.
pub(super) struct Outbox {
    pub(super) mailbox: Mailbox<Mail>,
    /// Which of the node's I/O threads the mailbox belongs to.
    pub(super) io_thread: usize,
    pub(super) connection: ConnectionId,
    pub(super) fill: Arc<Fill>,
}

impl Outbox {
    /// Puts mail in, without waking the thread. When it is full the session is lost: the
    /// connection is told once, and what comes later is dropped with it.
    pub(super) fn put(&self, mail: Mail) {
        if self.fill.overflowed.load(Ordering::Relaxed) {
            return;
        }
        if self.fill.admit(mail.len()) {
            self.mailbox.post_quietly(self.connection, mail);
        } else if !self.fill.overflowed.swap(true, Ordering::Relaxed) {
            self.mailbox.post_quietly(self.connection, Mail::Overflow);
        }
    }
}

impl Mail {
    /// About how many bytes the mail will be on the wire.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.approximate_len(),
            Self::Event(broadcast) => broadcast.len(),
            Self::Close | Self::GoAway | Self::Overflow | Self::Deadline | Self::Dialler(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_has_room_up_to_its_limit_and_for_one_message_of_any_size() {
        let fill = Fill::new(100);
        assert!(fill.admit(1000));
        assert!(fill.admit(0));
        assert!(!fill.admit(1));
        fill.took(1001);
        assert!(fill.admit(60));
        assert!(fill.admit(40));
        assert!(!fill.admit(1));
        fill.took(101);
        fill.set_unsent(90);
        assert!(!fill.admit(20));
    }
}
