//! The loop itself: poll, read, deliver, flush. Owns the connections of its thread; must not
//! know what they are for.

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

use super::{
    ConnectionId, Mailbox, Protocol, Stream, Task, TaskId,
    connection::{Connection, Ending, Input, lose},
    deadlines::Deadlines,
    listeners::{Accept, Listeners},
    mailbox::{Command, Inbox, WAKER},
    spin::SpinPolicy,
    table::Table,
    task::Tasks,
    timer::{TIMER, Timer},
    work_lists::WorkLists,
};

/// One read takes at most this much, and a connection gets one read an iteration, so that none can
/// keep the others waiting.
const READ_BUFFER: usize = 64 * 1024;
/// So many commands are read before output is flushed, so that output does not wait for all.
const COMMANDS_AT_ONCE: usize = 4096;

/// So much mail in bulk is read an iteration. It is a copy each, mostly.
const BULK_AT_ONCE: usize = 1024;
/// After so much of it, output that may wait is flushed, as it is when there is no more. Until then
/// several events for a connection come together, and leave in one write.
const BULK_BEFORE_FLUSH: usize = COMMANDS_AT_ONCE;
/// So many connections whose output may wait are flushed an iteration. It is a system call each,
/// which takes some ten microseconds. A call takes two or three iterations, one for its CALL and
/// one for its answer at least.
const BULK_FLUSHES_AT_ONCE: usize = 64;
/// Or so many that the kernel has taken this many bytes, which it copies: some tenths of a
/// millisecond.
const BULK_BYTES_AT_ONCE: usize = 1 << 20;

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
        for event in &*events {
            self.on_event(event, now);
        }
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
            self.flush_in_bulk(BULK_FLUSHES_AT_ONCE, BULK_BYTES_AT_ONCE, now);
        } else {
            self.bulk_flushes = self.work.in_bulk();
            self.flush_in_bulk(self.bulk_flushes, usize::MAX, now);
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

    /// Gives each connection that may have input one read, or the rest of its last.
    fn read_the_readable(&mut self, now: Instant) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut listed = self.work.take_readable();
        for id in listed.drain(..) {
            let Some(connection) = self.connection(id) else {
                continue;
            };
            connection.is_listed_readable = false;
            if connection.requested.take_call_again() {
                connection.call(now, |protocol, io| protocol.on_again(io));
                self.after_call(id);
                continue;
            }
            if !connection.wants_input() {
                continue;
            }
            connection.maybe_readable = false;
            match connection.read(&mut buffer) {
                Ok(Input::Bytes(n, more)) => {
                    connection.maybe_readable = more;
                    connection.call(now, |protocol, io| protocol.on_bytes(&buffer[..n], io));
                    self.after_call(id);
                }
                Ok(Input::End) => {
                    connection.call(now, |protocol, io| protocol.on_end(io));
                    self.after_call(id);
                }
                Ok(Input::Nothing) => {}
                Err(error) => {
                    connection.fail(&error);
                    self.drop_connection(id);
                }
            }
        }
        self.buffer = buffer;
        self.work.give_back(listed);
    }

    /// Reads the mail. `false` when the reactor is to stop.
    fn read_commands(&mut self, now: Instant) -> bool {
        for _ in 0..COMMANDS_AT_ONCE {
            let Some(command) = self.inbox.next() else {
                return true;
            };
            match command {
                Command::Mail(id, mail) => {
                    if let Some(connection) = self.connection(id) {
                        connection.call(now, |protocol, io| protocol.on_mail(mail, io));
                        self.after_call(id);
                    }
                }
                Command::TaskMail(id, mail) => self.tasks.deliver(id, mail, now),
                Command::AddTask(task) => {
                    self.tasks.add(task, now);
                }
                Command::Adopt(socket, protocol) => self.adopt(socket, protocol, now),
                Command::StopAccepting => self.listeners.close(),
                Command::ShutDown => self.shut_down(now),
                Command::Stop => return false,
            }
        }
        true
    }

    /// Reads a slice of the mail in bulk, unless what has been read is to be flushed first.
    fn read_bulk(&mut self, now: Instant) {
        if self.bulk_flushes > 0 {
            return;
        }
        for _ in 0..BULK_AT_ONCE {
            let Some((id, mail)) = self.inbox.next_bulk() else {
                self.bulk_read = BULK_BEFORE_FLUSH;
                break;
            };
            self.bulk_read += 1;
            if let Some(connection) = self.connection(id) {
                connection.call(now, |protocol, io| protocol.on_mail(mail, io));
                self.act(id, WorkLists::note_in_bulk);
            }
        }
        if self.bulk_read >= BULK_BEFORE_FLUSH {
            self.bulk_read = 0;
            self.bulk_flushes = self.work.in_bulk();
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

    fn meet_deadlines(&mut self, now: Instant) {
        self.listeners.retry(now);
        self.tasks.meet_deadlines(now);
        while let Some((at, id)) = self.deadlines.pop_due(now) {
            let Some(connection) = self.connection(id) else {
                continue;
            };
            if connection.armed != Some(at) {
                // It has been brought forward, and the heap holds that too. If it were armed anew
                // here as well, the heap would never become smaller.
                continue;
            }
            connection.armed = None;
            if connection.requested.deadline.is_some_and(|at| at <= now) {
                if connection.is_closed() {
                    self.drop_connection(id);
                    continue;
                }
                connection.requested.deadline = None;
                connection.call(now, |protocol, io| protocol.on_deadline(io));
            }
            self.after_call(id);
        }
    }

    /// Hands the iteration's output to the kernel, one write for each connection.
    fn flush_the_dirty(&mut self, now: Instant) {
        let mut listed = self.work.take_dirty();
        for id in listed.drain(..) {
            if let Some(connection) = self.connection(id) {
                connection.is_listed_dirty = false;
                self.flush(id, WorkLists::note, now);
            }
        }
        self.work.give_back(listed);
    }

    /// The same for so many of the connections whose output may wait, if their turn has come, or for
    /// fewer once the kernel has taken so many bytes.
    fn flush_in_bulk(&mut self, most: usize, most_bytes: usize, now: Instant) {
        let mut taken = 0;
        for _ in 0..most.min(self.bulk_flushes) {
            if taken >= most_bytes {
                return;
            }
            self.bulk_flushes -= 1;
            let Some(id) = self.work.next_in_bulk() else {
                continue;
            };
            let Some(connection) = self.connection(id) else {
                continue;
            };
            connection.is_listed_in_bulk = false;
            // It may have been flushed with urgent output since.
            if connection.wants_flush() {
                let before = connection.unsent();
                self.flush(id, WorkLists::note_in_bulk, now);
                let after = self.connection(id).map_or(0, |c| c.unsent());
                taken += before.saturating_sub(after);
            }
        }
    }

    fn flush(&mut self, id: ConnectionId, note: Note<M>, now: Instant) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        if let Err(error) = connection.flush() {
            connection.fail(&error);
            return self.drop_connection(id);
        }
        if connection.is_closed_and_flushed() {
            // An end that has closed already is not waited for.
            if connection.has_ended || connection.linger(now).is_err() {
                return self.drop_connection(id);
            }
        } else {
            connection.call(now, |protocol, io| protocol.on_flushed(io));
        }
        self.act(id, note);
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
