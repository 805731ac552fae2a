//! The connecting side: dials a router as a WAMP client, once or again whenever the connection is
//! lost. Must not know what the session is for.

mod connection;
mod dialling;
mod handshake;
mod reporter;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

pub use self::handshake::ClientHandshake;

use self::dialling::{Dialling, Retry};
use super::{
    backlog::Backlog,
    outbox::{DiallerEvent, Mail},
};
use reactor::{ConnectionId, Mailbox, TaskId};
use wamp::{Message, Peer, Receipt, Transport, Yield};

/// Where to dial.
#[derive(Clone, Debug)]
pub struct Target {
    /// The router's WebSocket address, `ws://host:port/path`.
    pub url: String,
    /// The host to connect to.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// How long connecting and shaking hands may take together; and how long the router may take
    /// to answer a HELLO or a GOODBYE.
    pub timeout: Duration,
    /// How often the router is pinged.
    pub ping_interval: Duration,
    /// A router that is silent for so long after a ping is given up.
    pub ping_timeout: Duration,
    /// The largest message accepted, in bytes.
    pub max_message_size: usize,
    /// The largest frame accepted, in bytes.
    pub max_frame_size: usize,
    /// Whether small writes leave at once (without Nagle's algorithm).
    pub tcp_nodelay: bool,
}

impl Target {
    /// The address for logs: without its query, which is where a ticket would stand.
    fn shown(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

/// The way from a session on a dialled connection to its router.
struct DialledTransport {
    mailbox: Mailbox<Mail>,
    connection: ConnectionId,
    backlog: Arc<Backlog>,
}

impl Transport for DialledTransport {
    /// A message to a connection that is lost is lost with it.
    fn send(&self, message: Message) {
        self.backlog.put(message.approximate_len());
        self.mailbox.post(self.connection, Mail::Message(message));
    }

    fn send_part(&self, part: Yield, taken: Receipt) {
        let part = Box::new(Message::from(part));
        self.backlog.put(part.approximate_len());
        (self.mailbox).post(self.connection, Mail::Part(part, taken));
    }

    fn unsent(&self) -> usize {
        self.backlog.waiting()
    }
}

/// Has one connection to a router, and keeps it open unless it is dialled once.
pub struct Dialler {
    mailbox: Mailbox<Mail>,
    shared: Arc<Shared>,
    /// Fails when the task has ended.
    alive: Receiver<()>,
}

/// What the handle, the task and its connections share.
#[derive(Default)]
struct Shared {
    task: OnceLock<TaskId>,
    is_stopped: AtomicBool,
}

/// Makes the peer that speaks on a new connection.
pub type MakePeer = Box<dyn Fn() -> Arc<dyn Peer> + Send + Sync>;

/// Is told why there is no connection. It must not block.
pub type OnFailure = Box<dyn FnOnce(String) + Send>;

impl Dialler {
    /// Begins to dial. Each connection is served by `mailbox`'s reactor, as a task of which the
    /// dialler works, and gets a new peer.
    pub fn start(target: Target, mailbox: Mailbox<Mail>, make_peer: MakePeer) -> Self {
        Self::dial(target, mailbox, make_peer, Retry::Always)
    }

    /// The same for one connection: each address of the host is tried once. `on_failure` is told if
    /// all that comes to nothing; the end of a connection that was open is told to its peer alone.
    pub fn once(
        target: Target,
        mailbox: Mailbox<Mail>,
        make_peer: MakePeer,
        on_failure: OnFailure,
    ) -> Self {
        Self::dial(target, mailbox, make_peer, Retry::Never(Some(on_failure)))
    }

    fn dial(target: Target, mailbox: Mailbox<Mail>, make_peer: MakePeer, retry: Retry) -> Self {
        let shared = Arc::new(Shared::default());
        let (life, alive) = bounded(0);
        let handles = (shared.clone(), life);
        let dialling = Dialling::new(target, mailbox.clone(), make_peer, retry, handles);
        mailbox.add_task(Box::new(dialling));
        Self {
            mailbox,
            shared,
            alive,
        }
    }

    /// Dials no more. The connection that is open stays open, for its session to say GOODBYE; an
    /// attempt that is under way comes to nothing.
    pub fn stop(&self) {
        // The task looks at this when it has made its id known, so one of both sees the other.
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        if let Some(task) = self.shared.task.get() {
            let _ = (self.mailbox).post_to_task(*task, Mail::Dialler(DiallerEvent::Stop));
        }
    }

    /// Stops, and waits until the router has answered the session's GOODBYE.
    ///
    /// # Blocking
    /// Until `deadline`, and 2 s at most.
    pub fn join(self, deadline: Instant) {
        self.stop();
        if self.alive.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout) {
            tracing::info!(target: crate::LOG, "a router has not answered GOODBYE in time");
        }
    }
}
