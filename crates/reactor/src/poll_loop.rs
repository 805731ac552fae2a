//! The loop itself: poll, read, deliver, flush. Owns the connections of its thread; must not
//! know what they are for.

mod flushing;
mod reading;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use mio::{
    Events, Interest, Poll, Token,
    event::{Event, Source},
    net::TcpListener,
};

pub use self::reading::READ_BUFFER;

use super::{
    ConnectionId, Mailbox, Protocol, Stream, Task, TaskId,
    connection::{Connection, Ending, lose},
    deadlines::Deadlines,
    listeners::{Accept, Listeners},
    mailbox::{Command, Inbox, WAKER},
    spin::SpinPolicy,
    table::Table,
    task::Tasks,
    timer::{TIMER, Timer},
    work_lists::WorkLists,
};

/// When something that many connections can need at once has taken so long in an iteration, such as
/// the end of a thousand of them, the rest waits for the next one.
const TIME_AT_ONCE: Duration = Duration::from_millis(1);

/// Lists what a connection wants done, its output as urgent or not.
type Note<M> = fn(&mut WorkLists, &mut Connection<M>);

/// The poll loop of one I/O thread.
pub struct Reactor<M> {
    poll: Poll,
    mailbox: Mailbox<M>,
    inbox: Inbox<M>,
    listeners: Listeners,
    tasks: Tasks<M>,
    connections: Table<Connection<M>>,
    /// The reactor ends with its last connection.
    is_shutting_down: bool,
    deadlines: Deadlines<ConnectionId>,
    timer: Timer,
    spin: SpinPolicy,
    work: WorkLists,
    /// How much mail in bulk has been read since the last flush of output that may wait.
    bulk_read: usize,
    /// How many connections with such output are to be flushed before more of it is read.
    bulk_flushes: usize,
    /// The last poll may have left events to the next one.
    has_more_events: bool,
    buffer: Box<[u8]>,
}

impl<M: 'static> Reactor<M> {
    /// A reactor without connections. It does nothing before [`Reactor::run`].
    ///
    /// # Errors
    /// When the kernel gives no poll or wake-up descriptor, mostly for want of file descriptors.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let (mailbox, inbox) = Mailbox::new(&poll)?;
        let timer = Timer::new(&poll)?;
        Ok(Self {
            poll,
            mailbox,
            inbox,
            listeners: Listeners::default(),
            tasks: Tasks::new(),
            connections: Table::new(),
            is_shutting_down: false,
            deadlines: Deadlines::default(),
            timer,
            spin: SpinPolicy::new(Instant::now()),
            work: WorkLists::default(),
            bulk_read: 0,
            bulk_flushes: 0,
            has_more_events: false,
            buffer: vec![0; READ_BUFFER].into(),
        })
    }

    /// The way in for other threads.
    pub fn mailbox(&self) -> Mailbox<M> {
        self.mailbox.clone()
    }

    /// Adds a task before the reactor runs, and starts it; later, [`Mailbox::add_task`] does.
    /// Reactors that add the same tasks in the same order give the same ids.
    pub fn add_task(&mut self, task: Box<dyn Task<M>>) -> TaskId {
        self.tasks.add(task, Instant::now())
    }

    /// Makes the thread sleep whenever it waits. Otherwise it waits awake while events come within
    /// a fifth of a millisecond of each other. That serves them sooner and takes a processor.
    pub fn wait_asleep(&mut self) {
        self.spin.only_asleep();
    }

    /// Accepts from `socket` on this reactor's thread, and hands what comes to `accept`, which
    /// must not block.
    ///
    /// # Errors
    /// When the socket cannot be polled.
    pub fn listen(&mut self, socket: TcpListener, accept: Accept) -> io::Result<()> {
        self.listeners.add(self.poll.registry(), socket, accept)
    }

    /// Serves until [`Mailbox::stop`], or after [`Mailbox::shut_down`] until the last connection
    /// has ended.
    ///
    /// # Errors
    /// When polling fails or the reactor panics. It has told all protocols of their loss then, and
    /// tasks have their mail.
    ///
    /// # Blocking
    /// For as long as the reactor lives; give it a thread.
    pub fn run(mut self) -> io::Result<()> {
        self.inbox.set_thread();
        let served = catch_unwind(AssertUnwindSafe(|| self.serve()));
        self.drop_all();
        // The panic has been reported by its hook.
        served.unwrap_or_else(|_| Err(io::Error::other("the reactor panicked")))
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let timeout = self.sleep_time()?;
            if !self.iterate(&mut events, timeout)? {
                return Ok(());
            }
        }
    }

    /// One iteration. `false` when the reactor is to stop.
    fn iterate(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<bool> {
        let polled = self.poll.poll(events, timeout);
        self.inbox.awake();
        match polled {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(true),
            other => other?,
        }
        let now = Instant::now();
        if !events.is_empty() || !self.inbox.is_empty() {
            self.spin.event(now);
        }
        let mut seen = 0;
        for event in &*events {
            self.on_event(event, now);
            seen += 1;
        }
        self.has_more_events = seen == events.capacity();
        self.read_the_readable(now);
        // On busy processors this lets those threads run that are about to post. Their mail then
        // leaves with this iteration's output, and costs no wake-up and no write of its own. On
        // idle processors it returns at once. It is also why a thread that waits awake is no
        // burden to the others. While there is much to do it would come after each slice of it.
        if !self.inbox.has_bulk() && self.work.in_bulk() == 0 {
            std::thread::yield_now();
        }
        let go_on = self.read_commands(now);
        self.read_bulk(now);
        self.meet_deadlines(now);
        self.flush_the_dirty(now);
        if go_on {
            self.flush_in_bulk(now);
        } else {
            self.flush_the_last(now);
        }
        let is_done = self.is_shutting_down && self.inbox.is_empty() && self.connections.len() == 0;
        Ok(go_on && !is_done)
    }

    /// How long to poll: not at all when something is left to do, else until an event ends it.
    fn sleep_time(&mut self) -> io::Result<Option<Duration>> {
        let now = Instant::now();
        if !self.work.is_empty() || self.spin.spins(now) || !self.inbox.may_sleep() {
            return Ok(Some(Duration::ZERO));
        }
        let deadlines = [
            self.deadlines.next(),
            self.tasks.next_deadline(),
            self.listeners.next_retry(),
        ];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return Ok(None);
        };
        let left = next.saturating_duration_since(now);
        if left.is_zero() {
            return Ok(Some(left));
        }
        self.timer.set(next, left)?;
        Ok(None)
    }

    fn on_event(&mut self, event: &Event, now: Instant) {
        let token = event.token();
        if token == WAKER {
            // It has done its work by ending the poll.
        } else if token == TIMER {
            self.timer.fired();
        } else if self.listeners.accept(token, now) {
            // It has handed over what came.
        } else if let Some(connection) = self.connections.at_mut(token.0) {
            connection.maybe_readable |=
                event.is_readable() || event.is_read_closed() || event.is_error();
            connection.read_closed |= event.is_read_closed();
            connection.write_blocked &= !event.is_writable();
            // Its output has waited for its reader already. Thousands may become writable at once.
            self.work.note_in_bulk(connection);
        }
    }

    fn shut_down(&mut self, now: Instant) {
        self.is_shutting_down = true;
        for id in self.ids() {
            self.ask_to_close(id, now);
        }
    }

    fn ask_to_close(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connection(id) {
            connection.call(now, |protocol, io| protocol.on_shutdown(io));
            self.after_call(id);
        }
    }

    fn adopt(&mut self, socket: Stream, protocol: Box<dyn Protocol<M>>, now: Instant) {
        let new = |key| Connection::new(ConnectionId(key), socket, protocol);
        let id = ConnectionId(self.connections.insert(new));
        let Some(connection) = self.connections.get_mut(id.0) else {
            return;
        };
        let token = Token(id.0.index as usize);
        let interests = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        if let Err(error) = connection.socket.register(registry, token, interests) {
            connection.fail(&error);
            return self.drop_connection(id);
        }
        connection.call(now, |protocol, io| protocol.on_open(io));
        self.after_call(id);
        if self.is_shutting_down {
            self.ask_to_close(id, now);
        }
    }

    /// Acts on what the protocol asked for while it was called.
    fn after_call(&mut self, id: ConnectionId) {
        self.act(id, WorkLists::note);
    }

    /// The same, `note` listing what is left to do.
    fn act(&mut self, id: ConnectionId, note: Note<M>) {
        let Some(connection) = self.connections.get_mut(id.0) else {
            return;
        };
        if connection.requested.ending == Ending::Now {
            return self.drop_connection(id);
        }
        note(&mut self.work, connection);
        let Some(deadline) = connection.requested.deadline else {
            return;
        };
        if connection.armed.is_none_or(|armed| deadline < armed) {
            connection.armed = Some(deadline);
            self.deadlines.push(deadline, id);
        }
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection<M>> {
        self.connections.get_mut(id.0)
    }

    fn ids(&mut self) -> Vec<ConnectionId> {
        let connections = self.connections.values_mut();
        connections.map(|connection| connection.id).collect()
    }

    fn drop_connection(&mut self, id: ConnectionId) {
        // The descriptor closes with the socket, which takes it out of the poll as well.
        if let Some(mut connection) = self.connections.remove(id.0) {
            connection.lose();
        }
    }

    fn drop_all(&mut self) {
        for id in self.ids() {
            self.drop_connection(id);
        }
        let now = Instant::now();
        for command in self.inbox.close() {
            match command {
                // Sockets still in the mail are connections too.
                Command::Adopt(_, mut protocol) => lose(protocol.as_mut()),
                // It may concern others than who was connected here.
                Command::TaskMail(id, mail) => self.tasks.deliver(id, mail, now),
                Command::Mail(..)
                | Command::AddTask(_)
                | Command::StopAccepting
                | Command::ShutDown
                | Command::Stop => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
