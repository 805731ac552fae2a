//! The way into a reactor from other threads. Must not know what the mail says.

use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use mio::{Poll, Token, Waker};

use super::{ConnectionId, Protocol, Stream, Task, TaskId};

/// The token of the wake-up in the poll; no connection or listener has it.
pub(super) const WAKER: Token = Token(usize::MAX);

/// After a burst of more commands than that the memory they took is given back.
const KEPT_CAPACITY: usize = 4096;

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

    /// The same for many connections, in this order: all of it takes the lock once.
    pub fn post_all_quietly(&self, mail: impl IntoIterator<Item = (ConnectionId, M)>) {
        let mut posted = self.0.posted();
        if !posted.is_closed {
            let commands = mail.into_iter().map(|(to, mail)| Command::Mail(to, mail));
            posted.commands.extend(commands);
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
    /// dropped.
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
            mem::swap(&mut self.taken, &mut self.shared.posted().commands);
        }
        self.taken.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.shared.posted().commands.is_empty()
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

    /// Ends the mailbox and returns what is still in it. What is posted later is dropped.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Command<M>> + use<M> {
        let mut posted = self.shared.posted();
        posted.is_closed = true;
        let late = mem::take(&mut posted.commands);
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

    #[test]
    fn mail_for_many_comes_in_order_between_what_else_is_posted_and_not_after_the_end() {
        let poll = Poll::new().unwrap();
        let (mailbox, mut inbox) = Mailbox::new(&poll).unwrap();
        let somebody_else = ConnectionId(Key {
            index: 1,
            ..SOMEBODY.0
        });
        mailbox.post_quietly(SOMEBODY, 1);
        mailbox.post_all_quietly([(SOMEBODY, 2), (somebody_else, 3)]);
        mailbox.post_quietly(SOMEBODY, 4);
        let read: Vec<_> = std::iter::from_fn(|| inbox.next())
            .map(|command| match command {
                Command::Mail(to, n) => (to, n),
                _ => panic!("only mail was posted"),
            })
            .collect();
        let expected = [
            (SOMEBODY, 1),
            (SOMEBODY, 2),
            (somebody_else, 3),
            (SOMEBODY, 4),
        ];
        assert_eq!(read, expected);
        drop(inbox);
        mailbox.post_all_quietly([(SOMEBODY, 5)]);
        assert!(mailbox.0.posted().commands.is_empty());
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
