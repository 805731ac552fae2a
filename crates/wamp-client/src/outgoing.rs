//! The requests on their way to the transport, in the order of their ids. Must not know what they
//! ask for.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    End, Error, Limits,
    pending::{Pending, Request},
};
use wamp::{Message, Outbound, RequestId, Transport};

/// How far a session is, with its requests.
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) pending: Pending,
    last_request: Option<RequestId>,
    /// Requests that have their ids. A transport may answer within `send`, so it is not called
    /// under the lock; this keeps them in order all the same.
    waiting: VecDeque<Message>,
    /// A thread is sending, and will send whatever comes meanwhile.
    is_sending: bool,
}

/// How far a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is no WELCOME yet.
    Joining,
    Joined,
    Ended(End),
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phase::Joining,
            pending: Pending::default(),
            last_request: None,
            waiting: VecDeque::new(),
            is_sending: false,
        }
    }
}

impl State {
    /// Gives a request its id and puts its message, which `make` makes, behind those that wait. A
    /// request that is answered is noted with who waits for it.
    pub(super) fn put(
        &mut self,
        limits: &Limits,
        request: Option<Request>,
        make: impl FnOnce(RequestId) -> Message,
    ) -> Result<RequestId, (Error, Option<Request>)> {
        if let Err(error) = self.check(limits) {
            return Err((error, request));
        }
        let id = self.next_request();
        if let Some(request) = request {
            self.pending.insert(id, request);
        }
        self.waiting.push_back(make(id));
        Ok(id)
    }

    /// The next id.
    pub(super) fn next_request(&mut self) -> RequestId {
        let id = self.last_request.map_or(RequestId::FIRST, RequestId::next);
        self.last_request = Some(id);
        id
    }

    /// Puts a message about a request behind it.
    pub(super) fn put_after(&mut self, message: Message) {
        self.waiting.push_back(message);
    }

    /// Notes how the session has ended. The requests that are without their answer then; none if it
    /// had ended before.
    pub(super) fn end(&mut self, end: End) -> Option<Vec<Request>> {
        if matches!(self.phase, Phase::Ended(_)) {
            return None;
        }
        self.phase = Phase::Ended(end);
        self.waiting.clear();
        Some(self.pending.take_all())
    }

    fn check(&self, limits: &Limits) -> Result<(), Error> {
        match &self.phase {
            Phase::Joined => {}
            Phase::Joining => return Err(Error::unavailable("the session is not open yet")),
            Phase::Ended(end) => {
                return Err(Error::unavailable(&format!("the session has ended: {end}")));
            }
        }
        // What waits has no answer either, but for what is published without acknowledgement.
        if self.pending.len().max(self.waiting.len()) >= limits.pending {
            let why = format!("{} requests of this session wait already", limits.pending);
            return Err(Error::unavailable(&why));
        }
        Ok(())
    }
}

/// How many requests a thread sends before it looks after others.
const BATCH: usize = 100;

/// Sends what waits, unless another thread, or this one further up, is at it.
///
/// Whoever routes a request touches the memory of all that is under way, so threads that serve no
/// sessions, such as the workers of a database, leave it to `io_thread` where there is one.
pub(super) fn send_waiting(
    state: &Mutex<State>,
    transport: &dyn Transport,
    io_thread: Option<&dyn Outbound>,
) {
    if !std::mem::replace(&mut lock(state).is_sending, true) {
        let is_here = io_thread.is_none() || transport.outbound().is_some();
        Sending(state).send(if is_here { BATCH } else { 0 }, transport, io_thread);
    }
}

/// Sends a request that was left to this thread, and what waits behind it.
pub(super) fn send_posted(
    state: &Mutex<State>,
    request: Message,
    transport: &dyn Transport,
    io_thread: Option<&dyn Outbound>,
) {
    let sending = Sending(state);
    transport.send(request);
    sending.send(BATCH, transport, io_thread);
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread is sending. It ends with the last message, or with a panic of whoever is given one, or
/// goes on on another thread, along with the message that is posted there.
struct Sending<'a>(&'a Mutex<State>);

impl Sending<'_> {
    /// Sends so many messages from here, or all if they cannot be left to an I/O thread.
    fn send(self, batch: usize, transport: &dyn Transport, io_thread: Option<&dyn Outbound>) {
        let mut sent = 0;
        while let Some(message) = self.next() {
            let left = match io_thread {
                Some(io_thread) if sent >= batch => io_thread.post(message),
                _ => Err(message),
            };
            match left {
                Ok(()) => break,
                // Its thread has ended, or there is none.
                Err(message) => transport.send(message),
            }
            sent += 1;
        }
        std::mem::forget(self);
    }

    /// The next message. After the last one the thread sends no more; that is noted under the same
    /// lock, so that no message can come between.
    fn next(&self) -> Option<Message> {
        let mut state = lock(self.0);
        let message = state.waiting.pop_front();
        state.is_sending = message.is_some();
        message
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        lock(self.0).is_sending = false;
    }
}
