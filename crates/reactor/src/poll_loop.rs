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
    net::{TcpListener, TcpStream},
};

use super::{
    ConnectionId, Mailbox, Protocol, Stream, Task, TaskId,
    alarm::{ALARM, Alarm},
    connection::{Connection, Ending, Input},
    deadlines::Deadlines,
    mailbox::{Command, Inbox, WAKER},
    spin::SpinPolicy,
    task::Tasks,
};

/// Listeners have tokens from here up, connections below.
const FIRST_LISTENER: usize = 1 << 32;
/// One read takes at most this much, and a connection gets one read a turn, so that none can
/// keep the others waiting.
const READ_BUFFER: usize = 64 * 1024;
/// So many commands are read before output is flushed, so that none waits for all.
const COMMANDS_PER_TURN: usize = 4096;
/// So many connections are accepted in one go, so that a flood of them does not starve those
/// that are there.
const ACCEPTS_PER_TURN: usize = 256;
/// After an error of accept (too many open files, mostly) it is tried again so much later.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Takes what a listener accepts, or the error that kept it from accepting.
pub type Accept = Box<dyn FnMut(io::Result<(TcpStream, std::net::SocketAddr)>) + Send>;

/// The poll loop of one I/O thread.
pub struct Reactor<M> {
    poll: Poll,
    mailbox: Mailbox<M>,
    inbox: Inbox<M>,
    listeners: Vec<Listener>,
    tasks: Tasks<M>,
    connections: Vec<Slot<M>>,
    free: Vec<u32>,
    /// The reactor ends with its last connection.
    is_shutting_down: bool,
    deadlines: Deadlines<ConnectionId>,
    alarm: Alarm,
    spin: SpinPolicy,
    dirty: Vec<ConnectionId>,
    readable: Vec<ConnectionId>,
    /// Takes the place of one of the two while that is worked off: no allocation in a turn.
    spare: Vec<ConnectionId>,
    buffer: Box<[u8]>,
}

struct Slot<M> {
    generation: u32,
    connection: Option<Connection<M>>,
}

struct Listener {
    socket: TcpListener,
    accept: Accept,
    retry_at: Option<Instant>,
}

impl Listener {
    fn hand_over(&mut self, accepted: io::Result<(TcpStream, std::net::SocketAddr)>) {
        // The panic has been reported by its hook; here it must not end the thread of others.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.accept)(accepted)));
    }
}

impl<M> Reactor<M> {
    /// A reactor without connections. It does nothing before [`Reactor::run`].
    ///
    /// # Errors
    /// When the kernel gives no poll or wake-up descriptor, mostly for want of file descriptors.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let (mailbox, inbox) = Mailbox::new(&poll)?;
        let alarm = Alarm::new(&poll)?;
        Ok(Self {
            poll,
            mailbox,
            inbox,
            listeners: Vec::new(),
            tasks: Tasks::new(),
            connections: Vec::new(),
            free: Vec::new(),
            is_shutting_down: false,
            deadlines: Deadlines::default(),
            alarm,
            spin: SpinPolicy::new(Instant::now()),
            dirty: Vec::new(),
            readable: Vec::new(),
            spare: Vec::new(),
            buffer: vec![0; READ_BUFFER].into(),
        })
    }

    /// The way in for other threads.
    pub fn mailbox(&self) -> Mailbox<M> {
        self.mailbox.clone()
    }

    /// Takes in a task before the reactor runs, and starts it; later, [`Mailbox::add_task`] does.
    /// Several reactors that take in the same ones in the same order give the same ids.
    pub fn add_task(&mut self, task: Box<dyn Task<M>>) -> TaskId {
        self.tasks.add(task, Instant::now())
    }

    /// Makes the thread sleep whenever it waits. It waits awake otherwise while events come within
    /// a fifth of a millisecond of each other, which serves them sooner and takes a processor.
    pub fn wait_asleep(&mut self) {
        self.spin.only_asleep();
    }

    /// Accepts from `socket` on this reactor's thread, and hands what comes to `accept`, which
    /// must not block.
    ///
    /// # Errors
    /// When the socket cannot be polled.
    pub fn listen(&mut self, mut socket: TcpListener, accept: Accept) -> io::Result<()> {
        let token = Token(FIRST_LISTENER + self.listeners.len());
        self.poll
            .registry()
            .register(&mut socket, token, Interest::READABLE)?;
        self.listeners.push(Listener {
            socket,
            accept,
            retry_at: None,
        });
        Ok(())
    }

    /// Serves until [`Mailbox::stop`], or until [`Mailbox::shut_down`] and the end of the last
    /// connection.
    ///
    /// # Errors
    /// When polling itself fails or the reactor panics, after which it can serve nobody; all
    /// protocols have been told then, and tasks have their mail.
    ///
    /// # Blocking
    /// For as long as the reactor lives; give it a thread.
    pub fn run(mut self) -> io::Result<()> {
        self.inbox.settle();
        let served = catch_unwind(AssertUnwindSafe(|| self.serve()));
        self.drop_all();
        // The panic has been reported by its hook.
        served.unwrap_or_else(|_| Err(io::Error::other("the reactor panicked")))
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let timeout = self.sleep_time()?;
            if !self.turn(&mut events, timeout)? {
                return Ok(());
            }
        }
    }

    /// One turn. `false` when the reactor is to stop.
    fn turn(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<bool> {
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
        // On busy processors this lets those run who are about to post, and their mail goes out
        // with this turn's instead of costing a wake-up and a write each. On idle ones it
        // returns at once. It is also what makes waiting awake bearable for everybody else.
        std::thread::yield_now();
        let go_on = self.read_commands(now);
        self.meet_deadlines(now);
        self.flush_the_dirty(now);
        let is_done = self.is_shutting_down
            && self.inbox.is_empty()
            && self.free.len() == self.connections.len();
        Ok(go_on && !is_done)
    }

    /// How long to poll: not at all when something is left to do, else until something ends it.
    fn sleep_time(&mut self) -> io::Result<Option<Duration>> {
        let now = Instant::now();
        let has_work = !self.readable.is_empty() || !self.dirty.is_empty();
        if has_work || self.spin.spins(now) || !self.inbox.may_sleep() {
            return Ok(Some(Duration::ZERO));
        }
        let retries = self
            .listeners
            .iter()
            .filter_map(|listener| listener.retry_at);
        let deadlines = [self.deadlines.next(), self.tasks.next_deadline()];
        let Some(next) = deadlines.into_iter().flatten().chain(retries).min() else {
            return Ok(None);
        };
        let left = next.saturating_duration_since(now);
        if left.is_zero() {
            return Ok(Some(left));
        }
        self.alarm.set(next, left)?;
        Ok(None)
    }

    fn on_event(&mut self, event: &Event, now: Instant) {
        let Token(token) = event.token();
        if event.token() == WAKER {
            // It has done its work by ending the poll.
        } else if event.token() == ALARM {
            self.alarm.rang();
        } else if let Some(listener) = token.checked_sub(FIRST_LISTENER) {
            self.accept_from(listener, now);
        } else if let Some(connection) = self.connections[token].connection.as_mut() {
            connection.maybe_readable |=
                event.is_readable() || event.is_read_closed() || event.is_error();
            connection.read_closed |= event.is_read_closed();
            connection.write_blocked &= !event.is_writable();
            list(connection, &mut self.readable, &mut self.dirty);
        }
    }

    fn accept_from(&mut self, index: usize, now: Instant) {
        let Some(listener) = self.listeners.get_mut(index) else {
            return;
        };
        listener.retry_at = None;
        for _ in 0..ACCEPTS_PER_TURN {
            match listener.socket.accept() {
                Ok(accepted) => listener.hand_over(Ok(accepted)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => {
                    listener.retry_at = Some(now + ACCEPT_RETRY);
                    return listener.hand_over(Err(e));
                }
            }
        }
        // No event will announce those that still wait.
        listener.retry_at = Some(now);
    }

    /// Gives each connection that may have input one read.
    fn read_the_readable(&mut self, now: Instant) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut listed = std::mem::replace(&mut self.readable, std::mem::take(&mut self.spare));
        for id in listed.drain(..) {
            let Some(connection) = self.connection(id) else {
                continue;
            };
            connection.is_listed_readable = false;
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
        self.spare = listed;
    }

    /// Reads the mail. `false` when the reactor is to stop.
    fn read_commands(&mut self, now: Instant) -> bool {
        for _ in 0..COMMANDS_PER_TURN {
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
                Command::TaskMail(id, mail) => self.tasks.give(id, mail, now),
                Command::AddTask(task) => {
                    self.tasks.add(task, now);
                }
                Command::Adopt(socket, protocol) => self.adopt(socket, protocol, now),
                Command::StopAccepting => self.listeners.clear(),
                Command::ShutDown => self.shut_down(now),
                Command::Stop => return false,
            }
        }
        true
    }

    fn shut_down(&mut self, now: Instant) {
        self.is_shutting_down = true;
        let ids = (self.connections.iter()).filter_map(|slot| Some(slot.connection.as_ref()?.id));
        for id in ids.collect::<Vec<_>>() {
            self.ask_to_close(id, now);
        }
    }

    fn ask_to_close(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connection(id) {
            connection.call(now, |protocol, io| protocol.on_shutdown(io));
            self.after_call(id);
        }
    }

    fn adopt(&mut self, mut socket: Stream, mut protocol: Box<dyn Protocol<M>>, now: Instant) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.connections.push(Slot {
                generation: 0,
                connection: None,
            });
            u32::try_from(self.connections.len() - 1).expect("fewer sockets than 2^32 can be open")
        });
        let entry = &mut self.connections[slot as usize];
        let id = ConnectionId {
            slot,
            generation: entry.generation,
        };
        let interests = Interest::READABLE | Interest::WRITABLE;
        let registered = socket.register(self.poll.registry(), Token(slot as usize), interests);
        if let Err(error) = registered {
            self.free.push(slot);
            protocol.on_error(&error);
            return lose(protocol);
        }
        let connection = entry
            .connection
            .insert(Connection::new(id, socket, protocol));
        connection.call(now, |protocol, io| protocol.on_open(io));
        self.after_call(id);
        if self.is_shutting_down {
            self.ask_to_close(id, now);
        }
    }

    fn meet_deadlines(&mut self, now: Instant) {
        for index in 0..self.listeners.len() {
            if self.listeners[index].retry_at.is_some_and(|at| at <= now) {
                self.accept_from(index, now);
            }
        }
        self.tasks.meet_deadlines(now);
        while let Some((at, id)) = self.deadlines.pop_due(now) {
            let Some(connection) = self.connection(id) else {
                continue;
            };
            if connection.armed != Some(at) {
                // It was brought forward since. Arming it anew here as well would never let the
                // heap become smaller.
                continue;
            }
            connection.armed = None;
            if connection.is_closed() && connection.wishes.deadline.is_some_and(|at| at <= now) {
                self.drop_connection(id);
                continue;
            }
            if connection.wishes.deadline.is_some_and(|at| at <= now) {
                connection.wishes.deadline = None;
                connection.call(now, |protocol, io| protocol.on_deadline(io));
            }
            self.after_call(id);
        }
    }

    /// Hands the turn's output to the kernel, one write for each connection.
    fn flush_the_dirty(&mut self, now: Instant) {
        let mut listed = std::mem::replace(&mut self.dirty, std::mem::take(&mut self.spare));
        for id in listed.drain(..) {
            let Some(connection) = self.connection(id) else {
                continue;
            };
            connection.is_listed_dirty = false;
            if let Err(error) = connection.flush() {
                connection.fail(&error);
                self.drop_connection(id);
                continue;
            }
            if connection.is_closed_and_flushed() {
                // An end that has closed already is not waited for.
                if connection.has_ended || connection.linger(now).is_err() {
                    self.drop_connection(id);
                    continue;
                }
            } else {
                connection.call(now, |protocol, io| protocol.on_flushed(io));
            }
            self.after_call(id);
        }
        self.spare = listed;
    }

    /// Acts on what the protocol asked for while it was called.
    fn after_call(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections[id.slot as usize].connection.as_mut() else {
            return;
        };
        if connection.wishes.ending == Ending::Now {
            return self.drop_connection(id);
        }
        list(connection, &mut self.readable, &mut self.dirty);
        let Some(deadline) = connection.wishes.deadline else {
            return;
        };
        if connection.armed.is_none_or(|armed| deadline < armed) {
            connection.armed = Some(deadline);
            self.deadlines.push(deadline, id);
        }
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection<M>> {
        let slot = self.connections.get_mut(id.slot as usize)?;
        slot.connection
            .as_mut()
            .filter(|connection| connection.id == id)
    }

    fn drop_connection(&mut self, id: ConnectionId) {
        let slot = &mut self.connections[id.slot as usize];
        let Some(mut connection) = slot.connection.take() else {
            return;
        };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot);
        // The descriptor closes with the socket, which takes it out of the poll as well.
        connection.lose();
    }

    fn drop_all(&mut self) {
        for slot in 0..self.connections.len() {
            if let Some(connection) = &self.connections[slot].connection {
                let id = connection.id;
                self.drop_connection(id);
            }
        }
        let now = Instant::now();
        for command in self.inbox.close() {
            match command {
                // Sockets still in the mail are connections too.
                Command::Adopt(_, protocol) => lose(protocol),
                // It may concern others than who was connected here.
                Command::TaskMail(id, mail) => self.tasks.give(id, mail, now),
                Command::Mail(..)
                | Command::AddTask(_)
                | Command::StopAccepting
                | Command::ShutDown
                | Command::Stop => {}
            }
        }
    }
}

/// Tells the protocol of a socket that was never served.
fn lose<M>(mut protocol: Box<dyn Protocol<M>>) {
    let _ = catch_unwind(AssertUnwindSafe(|| protocol.on_lost()));
}

/// Puts a connection on the lists of what it wants done, unless it is there already.
fn list<M>(
    connection: &mut Connection<M>,
    readable: &mut Vec<ConnectionId>,
    dirty: &mut Vec<ConnectionId>,
) {
    if connection.maybe_readable && connection.wants_input() && !connection.is_listed_readable {
        connection.is_listed_readable = true;
        readable.push(connection.id);
    }
    if connection.wants_flush() && !connection.is_listed_dirty {
        connection.is_listed_dirty = true;
        dirty.push(connection.id);
    }
}

#[cfg(test)]
mod tests;
