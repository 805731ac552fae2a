//! What the connections of a run share: the plan, who is ready, what is owed, what was measured.
//! Must not know sockets, frames nor what a message says.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use mio::net::TcpStream;

use super::{
    Error, Fault, Mode, OnlyErrors, Options, client_connection::Connection, error::colon,
    samples::Measure, schedule::Pace,
};
use reactor::{ConnectionId, Mailbox};

/// So many sessions are joining at any time.
const JOINING: usize = 64;

/// What is said to a connection.
#[derive(Clone, Copy)]
pub(super) enum Mail {
    /// Begin the load.
    Go,
    /// Say what is owed.
    Tell,
    /// Leave the realm.
    Leave,
    /// Leave it without an answer to GOODBYE.
    Part,
}

/// What does not change, and the rest behind its lock.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) address: SocketAddr,
    pub(super) mailbox: Mailbox<Mail>,
    run: Mutex<Run>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(options: Options, address: SocketAddr, mailbox: Mailbox<Mail>) -> Self {
        let run = Run::new(&options);
        Self {
            options,
            address,
            mailbox,
            run: Mutex::new(run),
            changed: Condvar::new(),
        }
    }

    pub(super) fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits for a change.
    pub(super) fn announce(&self) {
        self.changed.notify_one();
    }

    /// Waits for a change, but not beyond `until`.
    pub(super) fn wait<'a>(&self, run: MutexGuard<'a, Run>, until: Instant) -> MutexGuard<'a, Run> {
        let timeout = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout(run, timeout);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Connects as many more sessions as may be joining at once. Does not block.
    pub(super) fn open_more(self: &Arc<Self>, run: &mut Run) {
        while run.opened < run.sessions.min(run.ready + JOINING) {
            match TcpStream::connect(self.address) {
                Ok(socket) => self.open(socket, run),
                Err(source) => {
                    let url = self.options.target.url();
                    let connections = run.opened;
                    // The address itself is not meant: it has been connected to.
                    let is_port = source.kind() == io::ErrorKind::AddrNotAvailable;
                    return run.fail(match is_port {
                        true => Error::NoPort { url, connections },
                        false => Error::Unreachable { url, source },
                    });
                }
            }
        }
    }

    /// Takes a socket for the next session.
    pub(super) fn open(self: &Arc<Self>, socket: TcpStream, run: &mut Run) {
        let connection = Connection::new(run.opened, self.clone());
        run.opened += 1;
        self.mailbox.adopt(socket, Box::new(connection));
    }

    /// A session has done all that comes before the load.
    pub(super) fn ready(self: &Arc<Self>, opened: Instant, now: Instant, run: &mut Run) {
        run.ready += 1;
        run.last_sign = now;
        if self.options.mode == Mode::Connect {
            run.measure.done(opened, now);
        }
        self.open_more(run);
        if run.ready == run.sessions {
            self.announce();
        }
    }

    /// Says the same to all connections.
    pub(super) fn tell_all(&self, run: &Run, mail: Mail) {
        for connection in run.connections.iter().flatten() {
            self.mailbox.post_quietly(*connection, mail);
        }
        self.mailbox.wake();
    }
}

/// The state of a run.
pub(super) struct Run {
    /// How many sessions there are to be.
    pub(super) sessions: usize,
    pub(super) opened: usize,
    pub(super) ready: usize,
    pub(super) left: usize,
    /// By session.
    pub(super) connections: Vec<Option<ConnectionId>>,
    pub(super) measure: Measure,
    /// Operations begun, in the time measured and in all.
    pub(super) counted: u64,
    pub(super) begun: u64,
    /// Whether any operation has ended well, and those that have not.
    has_succeeded: bool,
    errors: Option<OnlyErrors>,
    /// How many times each operation ends: once for its answer, or once for each subscriber.
    pub(super) ends: u64,
    /// So many ends are still to come.
    pub(super) owed: u64,
    /// When something last ended, or began with nothing under way. While sessions join and leave,
    /// when one last did.
    pub(super) last_sign: Instant,
    pub(super) bounds: Bounds,
    /// The events on their way, in [`Mode::PubSub`].
    pub(super) events: super::pubsub::Events,
    /// Something that is owed, as a session tells it.
    pub(super) example: Option<String>,
    failure: Option<Error>,
}

/// When no more operations begin.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) until: Option<Instant>,
    pub(super) most: u64,
    /// Of an open load.
    pub(super) pace: Option<Pace>,
}

impl Run {
    fn new(options: &Options) -> Self {
        let sessions = options.connections
            + match options.mode {
                Mode::Call | Mode::Connect => 0,
                // The callee, the publisher.
                Mode::Echo | Mode::PubSub => 1,
            };
        Self {
            sessions,
            opened: 0,
            ready: 0,
            left: 0,
            connections: vec![None; sessions],
            measure: Measure::default(),
            counted: 0,
            begun: 0,
            has_succeeded: false,
            errors: None,
            ends: match options.mode {
                Mode::PubSub => options.connections as u64,
                Mode::Call | Mode::Echo | Mode::Connect => 1,
            },
            owed: 0,
            last_sign: Instant::now(),
            bounds: Bounds {
                until: None,
                most: u64::MAX,
                pace: None,
            },
            events: super::pubsub::Events::new(options.connections),
            example: None,
            failure: None,
        }
    }

    /// Whether a closed load goes on.
    pub(super) fn may_begin(&self, now: Instant) -> bool {
        self.bounds.pace.is_none()
            && self.counted < self.bounds.most
            && self.bounds.until.is_none_or(|until| now < until)
    }

    /// Whether all has ended that will ever begin.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let all_begun = match self.bounds.pace {
            Some(pace) => self.begun == pace.operations(),
            None => !self.may_begin(now),
        };
        self.owed == 0 && all_begun
    }

    /// Whether there is something that the looker-on waits for.
    pub(super) fn has_news(&self, now: Instant) -> bool {
        self.failure.is_some() || (self.owed == 0 && self.is_over(now))
    }

    /// How many operations have begun and not quite ended.
    pub(super) fn under_way(&self) -> u64 {
        self.owed.div_ceil(self.ends)
    }

    /// An operation begins.
    pub(super) fn begin(&mut self, at: Instant, now: Instant) {
        if self.owed == 0 {
            self.last_sign = now;
        }
        self.begun += 1;
        self.counted += u64::from(self.measure.counts(at));
        if self.bounds.pace.is_some() {
            self.measure.begun(at, now);
        }
        self.owed += self.ends;
    }

    /// An operation has ended; with the URI of its error and what it says, if it has.
    pub(super) fn end(
        &mut self,
        begun: Instant,
        now: Instant,
        error: Option<(&str, Option<String>)>,
    ) {
        self.owed -= 1;
        self.last_sign = now;
        let Some((uri, message)) = error else {
            self.has_succeeded = true;
            return self.measure.done(begun, now);
        };
        let errors = self.errors.get_or_insert_with(|| OnlyErrors {
            count: 0,
            first: format!("{uri}{}", colon(&message)),
        });
        errors.count += 1;
        self.measure.failed(begun, now, uri, message);
    }

    /// The errors of a run that has had nothing else, warming up included.
    pub(super) fn only_errors(&self) -> Option<&OnlyErrors> {
        self.errors.as_ref().filter(|_| !self.has_succeeded)
    }

    /// The run has failed; the first failure is the one told.
    pub(super) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    pub(super) fn fault(&mut self, session: usize, fault: Fault) {
        self.fail(Error::Session { session, fault });
    }

    pub(super) fn take_failure(&mut self) -> Result<(), Error> {
        self.failure.take().map_or(Ok(()), Err)
    }
}
