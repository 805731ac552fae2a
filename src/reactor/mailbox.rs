//! The way into a reactor from other threads. Must not know what the mail says.

use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use mio::{Poll, Token, Waker, net::TcpStream};

use super::{ConnectionId, Protocol};

/// The token of the wake-up in the poll; no connection or listener has it.
pub(super) const WAKER: Token = Token(usize::MAX);

/// After a burst of more letters than that the memory they took is given back.
const KEPT_CAPACITY: usize = 4096;

/// A handle on a reactor for other threads. Cheap to clone; never blocks.
///
/// The mailbox has no bound of its own: who posts keeps the count of what waits for one
/// connection or resident and stops there (see the transport's outbox and the router's limit on
/// invocations), which bounds it all together.
pub struct Mailbox<M>(Arc<Shared<M>>);

/// The reactor's end of its mailbox.
pub(super) struct Inbox<M> {
    shared: Arc<Shared<M>>,
    /// What was taken out of the mailbox and not read yet.
    taken: VecDeque<Letter<M>>,
}

/// A list behind a lock, and not a channel: the reactor takes all letters at once and leaves an
/// empty list of the same capacity, so a letter costs no allocation. The lock is held for a move.
struct Shared<M> {
    posted: Mutex<Posted<M>>,
    bell: Bell,
    /// The thread that the reactor runs on, if it does.
    thread: AtomicUsize,
}

struct Posted<M> {
    letters: VecDeque<Letter<M>>,
    /// The reactor has ended.
    is_closed: bool,
}

/// Somebody on a reactor's thread who has no socket; see [`Reactor::house`](super::Reactor::house).
pub trait Resident<M>: Send {
    /// Mail has come. Must not block.
    fn on_mail(&mut self, mail: M);
}

/// A resident of one reactor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResidentId(pub(super) usize);

/// What can be posted.
pub(super) enum Letter<M> {
    Mail(ConnectionId, M),
    Resident(ResidentId, M),
    Adopt(TcpStream, Box<dyn Protocol<M>>),
    StopAccepting,
    ShutDown,
    Stop,
}

impl<M> Mailbox<M> {
    pub(super) fn new(poll: &Poll) -> io::Result<(Self, Inbox<M>)> {
        let shared = Arc::new(Shared {
            posted: Mutex::new(Posted {
                letters: VecDeque::new(),
                is_closed: false,
            }),
            bell: Bell {
                waker: Waker::new(poll.registry(), WAKER)?,
                sleeping: AtomicBool::new(false),
            },
            thread: AtomicUsize::new(NO_THREAD),
        });
        let inbox = Inbox {
            shared: shared.clone(),
            taken: VecDeque::new(),
        };
        Ok((Self(shared), inbox))
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

    /// Posts mail for a resident and wakes the reactor if it sleeps. What is posted in time is
    /// read even if the reactor ends.
    ///
    /// # Errors
    /// The mail itself, if the reactor has ended.
    pub fn post_to_resident(&self, to: ResidentId, mail: M) -> Result<(), M> {
        match self.try_send(Letter::Resident(to, mail)) {
            Err(Letter::Resident(_, mail)) => Err(mail),
            _ => {
                self.wake();
                Ok(())
            }
        }
    }

    /// Whether this is the thread that the reactor runs on.
    pub fn is_here(&self) -> bool {
        self.0.thread.load(Ordering::Relaxed) == this_thread()
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

    /// Asks every connection to close ([`Protocol::on_shutdown`]), and ends the reactor once there
    /// is none any more.
    pub fn shut_down(&self) {
        self.send(Letter::ShutDown);
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
        self.0.bell.ring();
    }

    fn send(&self, letter: Letter<M>) {
        // A reactor that has ended has dropped all its connections and told their protocols,
        // so there is nobody left whom the letter concerns.
        drop(self.try_send(letter));
    }

    fn try_send(&self, letter: Letter<M>) -> Result<(), Letter<M>> {
        let mut posted = self.0.posted();
        if posted.is_closed {
            return Err(letter);
        }
        posted.letters.push_back(letter);
        Ok(())
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> Shared<M> {
    fn posted(&self) -> MutexGuard<'_, Posted<M>> {
        // Nothing that can panic happens under the lock but for want of memory, which aborts.
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Inbox<M> {
    /// Says that the reactor runs on this thread from now on.
    pub(super) fn settle(&self) {
        self.shared.thread.store(this_thread(), Ordering::Relaxed);
    }

    /// The oldest letter, if there is one.
    pub(super) fn next(&mut self) -> Option<Letter<M>> {
        if self.taken.is_empty() {
            if self.taken.capacity() > KEPT_CAPACITY {
                self.taken = VecDeque::new();
            }
            mem::swap(&mut self.taken, &mut self.shared.posted().letters);
        }
        self.taken.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.shared.posted().letters.is_empty()
    }

    /// Says that the reactor is about to sleep; `false` if there is mail and it must not.
    pub(super) fn may_sleep(&self) -> bool {
        // Who posts does it before it looks whether somebody sleeps, and the lock is between: of
        // a post and a reactor about to sleep, one must see the other.
        self.shared.bell.sleeping.store(true, Ordering::SeqCst);
        if self.is_empty() {
            return true;
        }
        self.awake();
        false
    }

    pub(super) fn awake(&self) {
        self.shared.bell.sleeping.store(false, Ordering::SeqCst);
    }

    /// Ends the mailbox. What is still in it is handed out, and what is posted later is dropped.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Letter<M>> + use<M> {
        let mut posted = self.shared.posted();
        posted.is_closed = true;
        let late = mem::take(&mut posted.letters);
        mem::take(&mut self.taken).into_iter().chain(late)
    }
}

impl<M> Drop for Inbox<M> {
    fn drop(&mut self) {
        // Letters may hold mailboxes, even this one, and would keep each other for ever.
        drop(self.close());
    }
}

/// Wakes a sleeping reactor, and only a sleeping one: a wake-up is a system call.
struct Bell {
    waker: Waker,
    sleeping: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        if self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            // It fails only if the reactor's own poll is gone, and then nobody sleeps.
            let _ = self.waker.wake();
        }
    }
}

/// What no thread is numbered.
const NO_THREAD: usize = 0;

/// A number of this thread's own, more cheaply had than its id.
fn this_thread() -> usize {
    static LATEST: AtomicUsize = AtomicUsize::new(NO_THREAD);
    thread_local! {
        static NUMBER: usize = LATEST.fetch_add(1, Ordering::Relaxed) + 1;
    }
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEBODY: ConnectionId = ConnectionId {
        slot: 0,
        generation: 0,
    };

    #[test]
    fn no_letter_outlives_the_reactor() {
        let poll = Poll::new().unwrap();
        let (mailbox, inbox) = Mailbox::new(&poll).unwrap();
        let mail = Arc::new(());
        mailbox.post(SOMEBODY, mail.clone());
        assert_eq!(Arc::strong_count(&mail), 2);
        drop(inbox);
        assert_eq!(Arc::strong_count(&mail), 1);
        mailbox.post(SOMEBODY, mail.clone());
        assert_eq!(Arc::strong_count(&mail), 1);
    }

    #[test]
    fn letters_keep_their_order_and_a_burst_gives_its_memory_back() {
        let poll = Poll::new().unwrap();
        let (mailbox, mut inbox) = Mailbox::new(&poll).unwrap();
        let mut read = Vec::new();
        for n in 0..=2 * KEPT_CAPACITY {
            mailbox.post(SOMEBODY, n);
            // One is read meanwhile, so that letters are in both of its lists.
            if n == 1 {
                read.extend(inbox.next());
            }
        }
        read.extend(std::iter::from_fn(|| inbox.next()));
        let read: Vec<_> = read
            .into_iter()
            .map(|letter| match letter {
                Letter::Mail(_, n) => n,
                _ => panic!("only mail was posted"),
            })
            .collect();
        assert_eq!(read, (0..=2 * KEPT_CAPACITY).collect::<Vec<_>>());
        assert!(inbox.is_empty());
        assert!(inbox.taken.capacity() <= KEPT_CAPACITY);
        assert!(inbox.shared.posted().letters.capacity() <= KEPT_CAPACITY);
    }
}
