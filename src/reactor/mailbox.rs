//! The way into a reactor from other threads. Must not know what the mail says.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crossbeam_channel::{Receiver, Sender};
use mio::{Poll, Token, Waker, net::TcpStream};

use super::{ConnectionId, Protocol};

/// The token of the wake-up in the poll; no connection or listener has it.
pub(super) const WAKER: Token = Token(usize::MAX);

/// A handle on a reactor for other threads. Cheap to clone; never blocks.
///
/// The channel behind it has no bound of its own: who posts keeps the count of what waits for
/// one connection and stops there (see the transport's outbox), which bounds it all together.
pub struct Mailbox<M> {
    letters: Sender<Letter<M>>,
    bell: Arc<Bell>,
}

/// What can be posted.
pub(super) enum Letter<M> {
    Mail(ConnectionId, M),
    Adopt(TcpStream, Box<dyn Protocol<M>>),
    StopAccepting,
    Stop,
}

impl<M> Mailbox<M> {
    pub(super) fn new(poll: &Poll) -> io::Result<(Self, Receiver<Letter<M>>, Arc<Bell>)> {
        let (letters, inbox) = crossbeam_channel::unbounded();
        let bell = Arc::new(Bell {
            waker: Waker::new(poll.registry(), WAKER)?,
            sleeping: AtomicBool::new(false),
        });
        Ok((
            Self {
                letters,
                bell: bell.clone(),
            },
            inbox,
            bell,
        ))
    }

    /// Posts mail for a connection and wakes the reactor if it sleeps. Mail for a connection
    /// that is gone is dropped; its protocol was told of the loss.
    pub fn post(&self, to: ConnectionId, mail: M) {
        self.post_quietly(to, mail);
        self.wake();
    }

    /// Posts mail without waking the reactor: for who posts under a lock and calls
    /// [`Mailbox::wake`], which may be a system call, after letting go of it.
    pub fn post_quietly(&self, to: ConnectionId, mail: M) {
        self.send(Letter::Mail(to, mail));
    }

    /// Gives the reactor a connected socket to serve.
    pub fn adopt(&self, socket: TcpStream, protocol: Box<dyn Protocol<M>>) {
        self.send(Letter::Adopt(socket, protocol));
        self.wake();
    }

    /// Closes the reactor's listeners; its connections stay.
    pub fn stop_accepting(&self) {
        self.send(Letter::StopAccepting);
        self.wake();
    }

    /// Ends the reactor: its connections are flushed as far as the kernel takes it, then
    /// dropped.
    pub fn stop(&self) {
        self.send(Letter::Stop);
        self.wake();
    }

    /// Wakes the reactor if it sleeps.
    pub fn wake(&self) {
        self.bell.ring();
    }

    fn send(&self, letter: Letter<M>) {
        // A reactor that has ended has dropped all its connections and told their protocols,
        // so there is nobody left whom the letter concerns.
        let _ = self.letters.send(letter);
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self {
            letters: self.letters.clone(),
            bell: self.bell.clone(),
        }
    }
}

/// Wakes a sleeping reactor, and only a sleeping one: a wake-up is a system call.
pub(super) struct Bell {
    waker: Waker,
    sleeping: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        // Sequentially consistent, as in `may_sleep`: of a post and a reactor about to sleep,
        // one must see the other.
        if self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            // It fails only if the reactor's own poll is gone, and then nobody sleeps.
            let _ = self.waker.wake();
        }
    }

    /// Says that the reactor is about to sleep; `false` if there is mail and it must not.
    pub(super) fn may_sleep<M>(&self, inbox: &Receiver<Letter<M>>) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        // Orders the store above before the look below, on the channel's own atomics too.
        std::sync::atomic::fence(Ordering::SeqCst);
        if inbox.is_empty() {
            return true;
        }
        self.awake();
        false
    }

    pub(super) fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }
}
