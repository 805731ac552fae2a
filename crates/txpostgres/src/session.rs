//! One session with a PostgreSQL server, without its socket: bytes in, bytes out, events. Owns what
//! is on its way and how it ends. Must not know sockets, clocks, threads, nor the pool.
//!
//! Work is pipelined: each job is one round of the extended protocol with a Sync of its own, so that
//! an error touches one job only. A job with settings or several statements is one implicit
//! transaction, and `set_config` is the first statement in its round. What needs BEGIN, and what
//! reads the answers of its own work (a stream, an interaction), has the session for itself.
//!
//! Each statement is prepared in the write that runs it first. Only its parameters' types must be
//! known before, to convert the values: a text that no session of the pool has seen is prepared and
//! described first, in the middle of its round (Flush instead of Sync), and what comes behind waits
//! here until its values are written.

mod body;
mod copy;
mod description;
mod encode;
mod ending;
mod entry;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod login;
mod prepared;
mod reader;
mod receiving;
mod report;
mod rows;
mod sending;
mod shared;
#[cfg(test)]
mod tests;
mod types;
mod values;
mod wire;

use std::{collections::VecDeque, sync::Arc};

use sql::{Error, Notification, Report, Rows};

#[cfg(any(test, feature = "fuzzing"))]
pub use fuzzing::fuzz_session;

pub(crate) use entry::{Outcome, Work};
pub(crate) use login::Login;
pub(crate) use report::lost;
pub(crate) use shared::Shared;

use entry::Entry;
use login::LoggingIn;
use prepared::Prepared;
use reader::Reader;
use report::Fault;
use rows::Received;
use wire::Wire;

/// One session with a PostgreSQL server. `T` is what each work is known by.
pub(crate) struct Session<T> {
    /// Until the server is ready.
    login: Option<Box<LoggingIn>>,
    reader: Reader,
    wire: Wire,
    /// What is under way and what waits here, in their order.
    entries: VecDeque<Entry<T>>,
    /// How many of them are on the wire.
    written: usize,
    /// The last of those is not wholly written.
    is_open: bool,
    /// The rows of the statement that answers.
    received: Received,
    /// Statements that have columns of types that are being looked up.
    unresolved: Vec<Arc<Prepared>>,
    /// Those types, until they are asked for.
    lacking: Vec<u32>,
    /// How many lookups of the session's own are under way.
    lookups: usize,
    /// What has ended, but after something that waits for types.
    held: VecDeque<(T, Result<Outcome, Error>)>,
    stream: Stream,
    transaction: Transaction,
    status: TransactionStatus,
    cancel_key: Option<CancelKey>,
    parameters: Vec<(Box<str>, Box<str>)>,
    /// Notices that were handed out by the call that is under way, and those that were not.
    notices: (u64, u64),
}

/// The state of the stream that is under way.
#[derive(Default)]
struct Stream {
    prepared: Option<Arc<Prepared>>,
    /// The next batch is wanted.
    is_wanted: bool,
    /// Nobody wants more.
    is_ended: bool,
}

/// The state of the interaction that is under way.
#[derive(Default)]
struct Transaction {
    is_begun: bool,
    /// What the first statement that failed in it said.
    failure: Option<Box<str>>,
}

/// What makes one session differ from another on the same server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionOptions {
    /// How many prepared statements are kept; with 0 none, and each is prepared for its one run.
    pub(crate) statement_cache: usize,
}

/// What a session tells its owner.
#[derive(Debug)]
pub(crate) enum Event<T> {
    /// It is logged in.
    Ready,
    /// A work has ended. They end in the order in which they were sent, but for one that was sent
    /// again by the session itself, which counts from then.
    Done(T, Result<Outcome, Error>),
    /// A cancel request has ended a job, and PostgreSQL has undone all of it. Its owner knows whether
    /// that was meant: if not, the work can be sent again as it is.
    Stopped(T, Work, Error),
    /// Rows of the stream that is under way, at least one. The next ones come after
    /// [`Session::next_batch`], unless these are the last.
    Batch(Rows),
    /// Somebody has notified a channel.
    Notification(Notification),
    /// PostgreSQL notes something.
    Notice {
        /// It is about the [head](Session::head).
        of_head: bool,
        report: Report,
    },
    /// So many more notices came at once than are handed out.
    NoticesLeftOut(u64),
    /// A parameter of the session's is something else now.
    Parameter(Box<str>, Box<str>),
}

/// What allows to stop a session's statement from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CancelKey {
    /// Of the session's backend.
    pub(crate) process_id: i32,
    secret: i32,
}

impl CancelKey {
    /// The one message that is sent, on a connection of its own.
    pub(crate) fn request(self) -> [u8; 16] {
        let words = [16, 80_877_102, self.process_id, self.secret].map(i32::to_be_bytes);
        let mut message = [0; 16];
        for (to, from) in message.iter_mut().zip(words.as_flattened()) {
            *to = *from;
        }
        message
    }
}

/// The secret is not shown.
impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelKey({})", self.process_id)
    }
}

/// What the server says of the session when it is ready for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionStatus {
    Idle,
    InTransaction,
    Failed,
}

impl<T> Session<T> {
    /// A session that has not begun.
    pub(crate) fn new(login: Login, shared: Arc<Shared>, options: SessionOptions) -> Self {
        Self {
            login: Some(Box::new(LoggingIn::new(login))),
            reader: Reader::default(),
            wire: Wire::new(shared, options.statement_cache),
            entries: VecDeque::new(),
            written: 0,
            is_open: false,
            received: Received::default(),
            unresolved: Vec::new(),
            lacking: Vec::new(),
            lookups: 0,
            held: VecDeque::new(),
            stream: Stream::default(),
            transaction: Transaction::default(),
            status: TransactionStatus::Idle,
            cancel_key: None,
            parameters: Vec::new(),
            notices: (0, 0),
        }
    }

    /// Begins it: [`Event::Ready`] follows.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](sql::ErrorKind::Config) if something in the log-in has a NUL.
    pub(crate) fn start(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        match &self.login {
            Some(login) => login.start(out),
            None => Ok(()),
        }
    }

    /// Sends a work, or keeps it until it can be sent. A work that cannot be (a value that does not
    /// fit) ends as any other, in its turn, and the server is asked for that turn.
    pub(crate) fn send(&mut self, ticket: T, work: Work, out: &mut Vec<u8>) {
        let mut entry = Entry::new(Some(ticket), work);
        entry.error = entry.refusal();
        self.entries.push_back(entry);
        self.advance(out);
    }

    /// Reads what the server has sent, in whatever pieces.
    ///
    /// # Errors
    /// Why the session is over. In a log-in it is of the kind
    /// [`ErrorKind::Unavailable`](sql::ErrorKind::Unavailable), with the server's report if there is
    /// one. Later it is the error of whatever was under way ([`lose`](Self::lose)).
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event<T>>,
    ) -> Result<(), Error> {
        let received = self.receive_all(bytes, out, events);
        let left_out = std::mem::take(&mut self.notices).1;
        if left_out > 0 {
            events.push(Event::NoticesLeftOut(left_out));
        }
        received.map_err(|fault| match self.login {
            Some(_) => Fault::into_refused(fault),
            None => Fault::into_lost(fault),
        })
    }

    /// Asks for the next batch of the stream that is under way.
    pub(crate) fn next_batch(&mut self, out: &mut Vec<u8>) {
        self.stream.is_wanted = true;
        self.read_on(out);
    }

    /// Ends the stream that is under way: it ends with
    /// [`ErrorKind::Cancelled`](sql::ErrorKind::Cancelled), after the batch that PostgreSQL is at.
    pub(crate) fn end_stream(&mut self, out: &mut Vec<u8>) {
        self.stream.is_ended = true;
        self.read_on(out);
    }

    /// How many works have not ended.
    pub(crate) fn in_flight(&self) -> usize {
        self.held.len() + self.entries.len() - self.lookups
    }

    /// What ends next.
    pub(crate) fn head(&self) -> Option<&T> {
        self.tickets().next()
    }

    /// What ends next, to be changed.
    pub(crate) fn head_mut(&mut self) -> Option<&mut T> {
        self.tickets_mut().next()
    }

    /// All that has not ended, in its order.
    pub(crate) fn tickets_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let held = self.held.iter_mut().map(|(ticket, _)| ticket);
        let entries = self.entries.iter_mut();
        held.chain(entries.filter_map(|entry| entry.ticket.as_mut()))
    }

    /// The same, to be looked at.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = &T> {
        let held = self.held.iter().map(|(ticket, _)| ticket);
        let entries = self.entries.iter();
        held.chain(entries.filter_map(|entry| entry.ticket.as_ref()))
    }

    /// How many statements were prepared already, and how many had to be.
    pub(crate) fn statement_counts(&self) -> (u64, u64) {
        self.wire.looked_up
    }

    /// Whether only the next step of what is under way may be sent: an interaction that has begun or
    /// is to begin, a stream, a job with a transaction of its own.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.transaction.is_begun || self.entries.iter().any(|entry| entry.is_alone)
    }

    /// Whether the server owes an answer.
    pub(crate) fn is_waiting(&self) -> bool {
        self.login.is_some() || !self.wire.steps.is_empty() || self.reader.is_within()
    }

    /// How its statements can be stopped from outside.
    pub(crate) fn cancel_key(&self) -> Option<CancelKey> {
        self.cancel_key
    }

    /// What the server has said of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        sending::parameter(&self.parameters, name)
    }

    /// Where the session was when it was last ready for more.
    pub(crate) fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    /// Takes all that has not ended, in its order. What has had no effect, as nothing of it was told
    /// to run, comes with its work.
    /// The last `unsent` of it were written to `out` and have not left, so they had no effect either.
    pub(crate) fn lose(&mut self, unsent: usize) -> impl Iterator<Item = (T, Option<Work>)> {
        let written = std::mem::take(&mut self.written);
        let left = self.entries.len().saturating_sub(unsent);
        self.lookups = 0;
        let entries = std::mem::take(&mut self.entries).into_iter().enumerate();
        let entries = entries.filter_map(move |(n, entry)| {
            let is_harmless = n >= written.min(left) || !entry.has_run;
            Some((entry.ticket?, Some(entry.work).filter(|_| is_harmless)))
        });
        let held = std::mem::take(&mut self.held).into_iter();
        held.map(|(ticket, _)| (ticket, None)).chain(entries)
    }

    /// Says good-bye to the server.
    pub(crate) fn terminate(&mut self, out: &mut Vec<u8>) {
        encode::terminate(out);
    }
}

impl<T> std::fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("in_flight", &self.in_flight())
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
