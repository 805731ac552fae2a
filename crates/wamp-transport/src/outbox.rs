//! What waits for one session: the way from the realm to the thread that writes to the socket,
//! and the count that bounds it. Must not know what the messages do.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

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

/// An event on its way to many subscribers, encoded once for each serializer.
pub struct Broadcast {
    event: Arc<Event>,
    encoded: [OnceLock<Vec<u8>>; Serializer::ALL.len()],
}

impl Broadcast {
    pub(super) fn new(event: Arc<Event>) -> Self {
        Self {
            event,
            encoded: [const { OnceLock::new() }; _],
        }
    }

    /// The event as a message of this serializer.
    pub(super) fn encoded(&self, serializer: Serializer) -> &[u8] {
        self.encoded[serializer as usize].get_or_init(|| serializer.encode_event(&self.event))
    }

    /// The same, for those who send it without a copy.
    pub(super) fn shared(self: Arc<Self>, serializer: Serializer) -> Bytes {
        Bytes::from_owner(Encoded {
            broadcast: self,
            serializer,
        })
    }

    pub(super) fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// About how many bytes it will be on the wire.
    pub(super) fn len(&self) -> usize {
        self.event.approximate_len()
    }
}

/// The bytes of an event in one serializer, alive for as long as a receiver has not sent them.
struct Encoded {
    broadcast: Arc<Broadcast>,
    serializer: Serializer,
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        self.broadcast.encoded(self.serializer)
    }
}

/// How much waits for one session, counted by both sides of its outbox.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Bytes of messages in the reactor's mail, about.
    in_mail: AtomicUsize,
    /// Bytes in the connection's output that the kernel has not taken.
    unsent: AtomicUsize,
    limit: usize,
    overflowed: AtomicBool,
    /// How many UNSUBSCRIBED are on the way to the connection.
    unsubscribed: AtomicU32,
}

impl Backlog {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            in_mail: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            limit,
            overflowed: AtomicBool::new(false),
            unsubscribed: AtomicU32::new(0),
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

    /// The connection has taken an UNSUBSCRIBED.
    pub(super) fn took_unsubscribed(&self) {
        self.unsubscribed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether mail goes into the lane that events go in, which waits for the other one.
    ///
    /// No EVENT may come after what ends a subscription or the session (WAMP specification,
    /// "Publish & Subscribe Ordering Guarantees" and "Session Closing"). SUBSCRIBED comes before
    /// the events of its subscription in either lane; but not before the UNSUBSCRIBED of an earlier
    /// one, which can have the same id, and the client would take the end of that for the end of
    /// this. What the client hears of its calls need not wait for events.
    fn is_in_bulk(&self, mail: &Mail) -> bool {
        match mail {
            Mail::Event(_) | Mail::Close | Mail::GoAway => true,
            Mail::Message(message) => match message {
                Message::Event(_) | Message::Goodbye(_) | Message::Abort(_) => true,
                Message::Unsubscribed(_) => {
                    self.unsubscribed.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Message::Subscribed(_) => self.unsubscribed.load(Ordering::Relaxed) > 0,
                _ => false,
            },
            Mail::Overflow | Mail::Deadline | Mail::Dialler(_) => false,
        }
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
    pub(super) backlog: Arc<Backlog>,
}

/// What becomes of mail for a session.
pub(super) enum Admission {
    /// It goes in.
    Room,
    /// There is no room, and so the session is lost: its connection is to be told, by
    /// [`Mail::Overflow`].
    Overflow,
    /// It was lost before: what comes later is dropped with it.
    Lost,
}

impl Outbox {
    /// Whether mail of this length goes in, counted as there if it does.
    pub(super) fn admit(&self, len: usize) -> Admission {
        if self.backlog.overflowed.load(Ordering::Relaxed) {
            Admission::Lost
        } else if self.backlog.admit(len) {
            Admission::Room
        } else if self.backlog.overflowed.swap(true, Ordering::Relaxed) {
            Admission::Lost
        } else {
            Admission::Overflow
        }
    }

    /// Puts mail in, if there is room, without waking the thread.
    pub(super) fn put(&self, mail: Mail) {
        let mail = match self.admit(mail.len()) {
            Admission::Room => mail,
            Admission::Overflow => Mail::Overflow,
            Admission::Lost => return,
        };
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
        let backlog = Backlog::new(100);
        assert!(backlog.admit(1000));
        assert!(backlog.admit(0));
        assert!(!backlog.admit(1));
        backlog.took(1001);
        assert!(backlog.admit(60));
        assert!(backlog.admit(40));
        assert!(!backlog.admit(1));
        backlog.took(101);
        backlog.set_unsent(90);
        assert!(!backlog.admit(20));
    }
}
