//! The way into a reactor from other threads. Must not know what the mail says.
//!
//! There are two lanes. What is urgent is read first: an answer does not wait for events. What is in
//! bulk is read in slices, in the order it was posted. Urgent mail may overtake mail in bulk and is
//! never overtaken by it: whatever was posted as urgent before an event is read before that event.

use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use mio::{Poll, Token, Waker};

use super::{ConnectionId, Protocol, Stream, Task, TaskId, bulk_lane::BulkLane};

/// The token of the wake-up in the poll; no connection or listener has it.
pub(super) const WAKER: Token = Token(usize::MAX);

/// After a burst of more commands than that the memory they took is given back.
pub(super) const KEPT_CAPACITY: usize = 4096;

/// A handle on a reactor for other threads. Cheap to clone; never blocks.
///
/// The mailbox has no bound of its own. Whoever posts has to bound what waits for one connection or
/// task, as an outbox with a limit does; that bounds the mailbox.
pub struct Mailbox<M>(Arc<Shared<M>>);

/// The reactor's end of its mailbox.
pub(super) struct Inbox<M> {
    shared: Arc<Shared<M>>,
    /// What was taken out of the mailbox and not read yet.
    taken: VecDeque<Command<M>>,
    bulk: BulkLane<M>,
    /// So many entries of `bulk`, its first, were posted after nothing that is still in `taken`.
    ready: usize,
}

/// A list behind a lock, and not a channel: the reactor takes all commands at once and leaves an
/// empty list of the same capacity, so a command costs no allocation. The lock is held for a move.
struct Shared<M> {
    posted: Mutex<Posted<M>>,
    wake_up: WakeUp,
    /// The thread that the reactor runs on, if it does.
    thread: AtomicUsize,
}

struct Posted<M> {
    commands: VecDeque<Command<M>>,
    bulk: BulkLane<M>,
    /// The reactor has ended.
    is_closed: bool,
}

/// What other threads can ask of a reactor.
pub(super) enum Command<M> {
    Mail(ConnectionId, M),
    TaskMail(TaskId, M),
    AddTask(Box<dyn Task<M>>),
    Adopt(Stream, Box<dyn Protocol<M>>),
    StopAccepting,
    ShutDown,
    Stop,
}

impl<M> Mailbox<M> {
    pub(super) fn new(poll: &Poll) -> io::Result<(Self, Inbox<M>)> {
        let shared = Arc::new(Shared {
            posted: Mutex::new(Posted {
                commands: VecDeque::new(),
                bulk: BulkLane::new(),
                is_closed: false,
            }),
            wake_up: WakeUp {
                waker: Waker::new(poll.registry(), WAKER)?,
                sleeping: AtomicBool::new(false),
            },
            thread: AtomicUsize::new(NO_THREAD),
        });
        let inbox = Inbox {
            shared: shared.clone(),
            taken: VecDeque::new(),
            bulk: BulkLane::new(),
            ready: 0,
        };
        Ok((Self(shared), inbox))
    }

    /// Posts mail for a connection and wakes the reactor if it sleeps. Mail for a lost connection
    /// is dropped; its protocol was told of the loss.
    pub fn post(&self, to: ConnectionId, mail: M) {
        self.post_quietly(to, mail);
        self.wake();
    }

    /// Posts mail without waking the reactor. Whoever posts under a lock uses this, releases the
    /// lock, and then calls [`Mailbox::wake`], which may be a system call.
    pub fn post_quietly(&self, to: ConnectionId, mail: M) {
        self.send(Command::Mail(to, mail));
    }

    /// Posts mail in the bulk lane, without waking the reactor: it comes after all mail for the
    /// connection that was posted before, in either lane.
    pub fn post_bulk_quietly(&self, to: ConnectionId, mail: M) {
        let mut posted = self.0.posted();
        if !posted.is_closed {
            posted.bulk.push(to, mail);
        }
    }

    /// The same for many connections, in this order. It takes the lock once, and a connection takes
    /// the room of its name until its turn comes; then `share` makes its mail.
    pub fn post_all_quietly(
        &self,
        to: impl IntoIterator<Item = ConnectionId>,
        mail: M,
        share: fn(&M) -> M,
    ) {
        let mut posted = self.0.posted();
        if !posted.is_closed {
            posted.bulk.push_for_all(to, mail, share);
        }
    }

    /// Posts mail for a task and wakes the reactor if it sleeps. What is posted in time is read
    /// even if the reactor ends. Mail for a task that has ended is dropped.
    ///
    /// # Errors
    /// The mail itself, if the reactor has ended.
    pub fn post_to_task(&self, to: TaskId, mail: M) -> Result<(), M> {
        match self.try_send(Command::TaskMail(to, mail)) {
            Err(Command::TaskMail(_, mail)) => Err(mail),
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

    /// Gives the reactor a task. It starts on the reactor's thread; [`Task::on_start`] is told its
    /// id.
    pub fn add_task(&self, task: Box<dyn Task<M>>) {
        self.send(Command::AddTask(task));
        self.wake();
    }

    /// Gives the reactor a socket to serve, connected or still connecting. A socket that cannot be
    /// connected is [lost](Protocol::on_lost).
    pub fn adopt(&self, socket: impl Into<Stream>, protocol: Box<dyn Protocol<M>>) {
        self.send(Command::Adopt(socket.into(), protocol));
        self.wake();
    }

    /// Closes the reactor's listeners; its connections stay.
    pub fn stop_accepting(&self) {
        self.send(Command::StopAccepting);
        self.wake();
    }

    /// Asks every connection to close ([`Protocol::on_shutdown`]), and ends the reactor once there
    /// is none any more.
    pub fn shut_down(&self) {
        self.send(Command::ShutDown);
        self.wake();
    }

    /// Ends the reactor: its connections are flushed as far as the kernel takes it, then
    /// dropped. Mail in bulk may be dropped with them.
    pub fn stop(&self) {
        self.send(Command::Stop);
        self.wake();
    }

    /// Wakes the reactor if it sleeps.
    pub fn wake(&self) {
        self.0.wake_up.wake();
    }

    fn send(&self, command: Command<M>) {
        // A reactor that has ended has dropped all connections and told their protocols, so the
        // command concerns nobody.
        drop(self.try_send(command));
    }

    fn try_send(&self, command: Command<M>) -> Result<(), Command<M>> {
        let mut posted = self.0.posted();
        if posted.is_closed {
            return Err(command);
        }
        posted.commands.push_back(command);
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
    pub(super) fn set_thread(&self) {
        self.shared.thread.store(this_thread(), Ordering::Relaxed);
    }

    /// The oldest command, if there is one.
    pub(super) fn next(&mut self) -> Option<Command<M>> {
        if self.taken.is_empty() {
            if self.taken.capacity() > KEPT_CAPACITY {
                self.taken = VecDeque::new();
            }
            // Both lanes at once: what is in bulk may be read when what was urgent by then is read.
            self.ready = self.bulk.entries();
            let mut posted = self.shared.posted();
            mem::swap(&mut self.taken, &mut posted.commands);
            self.bulk.append(&mut posted.bulk);
        }
        self.taken.pop_front()
    }

    /// The oldest mail in bulk that may be read now, if there is one.
    pub(super) fn next_bulk(&mut self) -> Option<(ConnectionId, M)> {
        let entries = self.bulk.entries();
        if self.taken.is_empty() {
            self.ready = entries;
        }
        if self.ready == 0 {
            return None;
        }
        let mail = self.bulk.pop();
        self.ready -= entries - self.bulk.entries();
        self.bulk.trim();
        mail
    }

    /// Whether mail in bulk is left of an earlier iteration.
    pub(super) fn has_bulk(&self) -> bool {
        !self.bulk.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        if !self.taken.is_empty() || !self.bulk.is_empty() {
            return false;
        }
        let posted = self.shared.posted();
        posted.commands.is_empty() && posted.bulk.is_empty()
    }

    /// Says that the reactor is about to sleep; `false` if there is mail and it must not.
    pub(super) fn may_sleep(&self) -> bool {
        // Another thread posts first and then looks whether the reactor sleeps. The reactor says
        // that it sleeps and then looks for posts. So at least one of the two sees the other.
        self.shared.wake_up.sleeping.store(true, Ordering::SeqCst);
        if self.is_empty() {
            return true;
        }
        self.awake();
        false
    }

    pub(super) fn awake(&self) {
        self.shared.wake_up.sleeping.store(false, Ordering::SeqCst);
    }

    /// Ends the mailbox and returns the commands still in it. What is posted later is dropped, as
    /// is what is in bulk.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Command<M>> + use<M> {
        let mut posted = self.shared.posted();
        posted.is_closed = true;
        let late = mem::take(&mut posted.commands);
        let bulk = [
            mem::replace(&mut posted.bulk, BulkLane::new()),
            mem::replace(&mut self.bulk, BulkLane::new()),
        ];
        // Mail may hold mailboxes, this one too, and what it does when it is dropped is its own.
        drop(posted);
        drop(bulk);
        mem::take(&mut self.taken).into_iter().chain(late)
    }
}

impl<M> Drop for Inbox<M> {
    fn drop(&mut self) {
        // Commands may hold mailboxes, even this one, and would keep each other for ever.
        drop(self.close());
    }
}

/// Wakes a sleeping reactor, and only a sleeping one: that takes a system call.
struct WakeUp {
    waker: Waker,
    sleeping: AtomicBool,
}

impl WakeUp {
    fn wake(&self) {
        if self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            // It fails only if the reactor's own poll is gone, and then nobody sleeps.
            let _ = self.waker.wake();
        }
    }
}

/// A number that no thread has.
const NO_THREAD: usize = 0;

/// This thread's number. It costs less than the thread's id.
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
    use crate::table::Key;

    const SOMEBODY: ConnectionId = ConnectionId(Key {
        index: 0,
        generation: 0,
    });

    #[test]
    fn no_command_outlives_the_reactor() {
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

    fn somebody(index: u32) -> ConnectionId {
        ConnectionId(Key {
            index,
            ..SOMEBODY.0
        })
    }

    /// Everything that is read, with a slice of so much bulk after each `commands_at_once`.
    fn read_all(
        inbox: &mut Inbox<u64>,
        commands_at_once: usize,
        bulk: usize,
    ) -> Vec<(ConnectionId, u64)> {
        let mut read = Vec::new();
        loop {
            let before = read.len();
            let commands = std::iter::from_fn(|| inbox.next()).take(commands_at_once);
            read.extend(commands.map(|command| match command {
                Command::Mail(to, n) => (to, n),
                _ => panic!("only mail was posted"),
            }));
            read.extend(std::iter::from_fn(|| inbox.next_bulk()).take(bulk));
            if read.len() == before {
                return read;
            }
        }
    }

    #[test]
    fn urgent_mail_overtakes_events_and_is_not_overtaken() {
        let poll = Poll::new().unwrap();
        let (mailbox, mut inbox) = Mailbox::new(&poll).unwrap();
        let [a, b] = [0, 1].map(somebody);
        mailbox.post_quietly(a, 1);
        mailbox.post_all_quietly([a, b], 2, u64::clone);
        mailbox.post_all_quietly([], 0, u64::clone);
        mailbox.post_bulk_quietly(a, 3);
        mailbox.post_quietly(a, 4);
        let read = read_all(&mut inbox, 10, 1);
        assert_eq!(read, [(a, 1), (a, 4), (a, 2), (b, 2), (a, 3)]);
        // Urgent mail is read in slices too, and what is in bulk waits for that before it.
        mailbox.post_quietly(a, 5);
        mailbox.post_quietly(a, 6);
        mailbox.post_bulk_quietly(a, 7);
        let read = read_all(&mut inbox, 1, 10);
        assert_eq!(read, [(a, 5), (a, 6), (a, 7)]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn urgent_mail_that_never_ends_does_not_keep_events_for_ever() {
        let poll = Poll::new().unwrap();
        let (mailbox, mut inbox) = Mailbox::new(&poll).unwrap();
        mailbox.post_quietly(SOMEBODY, 0);
        mailbox.post_bulk_quietly(SOMEBODY, 1);
        let mut slices = 0;
        while inbox.next_bulk().is_none() {
            slices += 1;
            assert!(slices < 10, "the event waits for ever");
            mailbox.post_quietly(SOMEBODY, 0);
            mailbox.post_quietly(SOMEBODY, 0);
            inbox.next().unwrap();
        }
    }

    #[test]
    fn events_after_the_end_are_dropped() {
        let poll = Poll::new().unwrap();
        let (mailbox, inbox) = Mailbox::new(&poll).unwrap();
        mailbox.post_bulk_quietly(SOMEBODY, Arc::new(()));
        drop(inbox);
        let mail = Arc::new(());
        mailbox.post_bulk_quietly(SOMEBODY, mail.clone());
        mailbox.post_all_quietly([SOMEBODY; 2], mail.clone(), Arc::clone);
        assert_eq!(Arc::strong_count(&mail), 1);
        assert!(mailbox.0.posted().bulk.is_empty());
    }

    #[test]
    fn commands_keep_their_order_and_a_burst_gives_its_memory_back() {
        let poll = Poll::new().unwrap();
        let (mailbox, mut inbox) = Mailbox::new(&poll).unwrap();
        let mut read = Vec::new();
        for n in 0..=2 * KEPT_CAPACITY {
            mailbox.post(SOMEBODY, n);
            // One is read meanwhile, so that commands are in both of its lists.
            if n == 1 {
                read.extend(inbox.next());
            }
        }
        read.extend(std::iter::from_fn(|| inbox.next()));
        let read: Vec<_> = read
            .into_iter()
            .map(|command| match command {
                Command::Mail(_, n) => n,
                _ => panic!("only mail was posted"),
            })
            .collect();
        assert_eq!(read, (0..=2 * KEPT_CAPACITY).collect::<Vec<_>>());
        assert!(inbox.is_empty());
        assert!(inbox.taken.capacity() <= KEPT_CAPACITY);
        assert!(inbox.shared.posted().commands.capacity() <= KEPT_CAPACITY);
    }
}
