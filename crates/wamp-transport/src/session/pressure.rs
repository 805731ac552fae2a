//! When a session has to wait, and when its client is dropped because it does not read or does not end
//! its message. Knows lengths and times; must not know what the messages do.
//!
//! A client is judged by what its own socket does not take, never by what the node has not handed
//! over yet. Above `outbox_limit` the socket has to take [`LEAST_TAKEN`] within each
//! `slow_client_timeout`; so who reads, however long that takes, has a new time again and again, and
//! who reads nothing or next to nothing has not.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tungstenite::protocol::frame::coding::CloseCode;

use super::{Phase, Session};
use crate::{
    backlog::Charge,
    limits::{LEAST_TAKEN, SHORT_OUTPUT},
    memory::Held,
};
use reactor::Io;
use wamp::{Receipt, SessionId};

/// How long the kernel has to take what it has room for and has not told of.
const RETRY: Duration = Duration::from_millis(10);
/// A message comes in if so many bytes more of it have come.
const MOVED: usize = 16 * 1024;

/// What there is to know of a session that has had to wait, or has made others wait.
#[derive(Default)]
pub(super) struct Pressure {
    /// What has been read, and from where on it has not been taken yet.
    pub(super) unread: Vec<u8>,
    pub(super) unread_from: usize,
    /// The session is not read from.
    is_held: bool,
    /// How many bytes the socket has taken since this is counted.
    taken: u64,
    /// How long the output was when that was looked at last.
    unsent: usize,
    /// What callers are charged until the socket has taken so much.
    charges: VecDeque<Charged>,
    /// Bytes of invocations in the output, for which callers are charged.
    invoked: usize,
    /// Of parts of answers in the output: for when it is short again.
    pub(super) receipts: Vec<Receipt>,
    /// What the socket has to take in time.
    slow: Option<Slow>,
    /// When to look whether less waits because of it than this.
    stall: Option<(Instant, usize)>,
    /// By when the message that has begun has to be complete.
    complete_by: Option<Instant>,
    /// How much of it had come when that was noted last.
    received: usize,
    /// What a large message needs before it is read.
    pub(super) room: Option<Room>,
}

/// What a large message needs before it is read.
pub(super) enum Room {
    /// It waits until then.
    Wanted(Option<Instant>),
    /// The node holds it already, until the message begins.
    Granted(Held),
}

/// By when the socket has to have taken so much.
struct Slow {
    at: Instant,
    end: u64,
    /// The time is over, and the kernel has been asked once more.
    is_retried: bool,
}

/// An invocation in the output.
struct Charged {
    /// Where it ends.
    end: u64,
    len: usize,
    /// Released when this is dropped.
    _charge: Charge,
}

impl Pressure {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let slow = self.slow.as_ref().map(|slow| slow.at);
        let stall = self.stall.map(|(at, _)| at);
        let room = match self.room {
            Some(Room::Wanted(until)) => until,
            _ => None,
        };
        let deadlines = [slow, stall, room, self.complete_by];
        deadlines.into_iter().flatten().min()
    }

    /// How large a message may be that is read whatever the node holds.
    pub(super) fn room(&self) -> u64 {
        match &self.room {
            Some(Room::Granted(held)) => held.octets() as u64,
            _ => 0,
        }
    }

    /// Notes how long the output is. What it has become shorter by has left.
    fn look(&mut self, unsent: usize) {
        self.taken += self.unsent.saturating_sub(unsent) as u64;
        self.unsent = unsent;
        while (self.charges.front()).is_some_and(|charged| charged.end <= self.taken) {
            let charged = self.charges.pop_front();
            self.invoked -= charged.map_or(0, |charged| charged.len);
        }
    }

    /// How much has been read and not been taken yet.
    pub(super) fn unread(&self) -> usize {
        self.unread.len() - self.unread_from
    }

    /// Where the output ends that there is now.
    fn end(&self) -> u64 {
        self.taken + self.unsent as u64
    }
}

impl Session {
    pub(super) fn pressure_mut(&mut self) -> &mut Pressure {
        self.pressure.get_or_insert_default()
    }

    /// Whether the session is not read from.
    pub(super) fn is_held(&self) -> bool {
        (self.pressure.as_ref()).is_some_and(|pressure| pressure.is_held)
    }

    /// Whether too much waits for the session or because of it to take more from it. Invocations do
    /// not count: their callers wait, and a callee that writes its answers before it reads on would
    /// wait for ever.
    pub(super) fn has_to_wait(&self, io: &Io<'_>) -> bool {
        let invoked = self
            .pressure
            .as_ref()
            .map_or(0, |pressure| pressure.invoked);
        let own = self.backlog.in_mail() + io.unsent() - invoked.min(io.unsent());
        own > self.backlog.limit() || self.backlog.has_to_wait() || self.waits_for_room()
    }

    /// All that was read is taken. Of a message that is not complete its client has to send the rest
    /// in time, whatever it sends of it meanwhile.
    pub(super) fn note_unfinished(&mut self, has_message: bool, io: &Io<'_>) {
        let is_open = !matches!(self.phase, Phase::Closing { .. });
        if self.frames.is_unfinished() && is_open {
            let by = self.options.message_timeout.map(|timeout| io.now + timeout);
            let received = self.frames.unfinished();
            let pressure = self.pressure_mut();
            let complete_by = &mut pressure.complete_by;
            *complete_by = if has_message { by } else { complete_by.or(by) };
            pressure.room = None;
            if received.abs_diff(pressure.received) >= MOVED {
                pressure.received = received;
                self.backlog.note_moved();
            }
            self.backlog.set_input(self.frames.held());
        } else if let Some(pressure) = &mut self.pressure {
            pressure.complete_by = None;
            pressure.room = None;
            self.backlog.set_input(0);
        }
    }

    /// Charges a caller until the socket has taken the output that there is.
    /// `before` is how long it was before the invocation.
    pub(super) fn note_charge(&mut self, charge: Charge, before: usize, io: &Io<'_>) {
        let pressure = self.pressure_mut();
        pressure.look(io.unsent());
        let len = io.unsent().saturating_sub(before);
        pressure.invoked += len;
        pressure.charges.push_back(Charged {
            end: pressure.end(),
            len,
            _charge: charge,
        });
    }

    /// Notes what the connection has to send. Whoever has too much waiting has to read it in time.
    pub(super) fn note_output(&mut self, io: &Io<'_>) {
        let unsent = io.unsent();
        if unsent <= self.backlog.limit() {
            if let Some(pressure) = &mut self.pressure {
                pressure.look(unsent);
                pressure.slow = None;
                if unsent <= SHORT_OUTPUT {
                    pressure.receipts.clear();
                }
            }
            return;
        }
        let until = self
            .options
            .slow_client_timeout
            .map(|timeout| io.now + timeout);
        let pressure = self.pressure_mut();
        pressure.look(unsent);
        let is_met = (pressure.slow.as_ref()).is_none_or(|slow| slow.end <= pressure.taken);
        if is_met {
            let end = pressure.end().min(pressure.taken + LEAST_TAKEN as u64);
            pressure.slow = until.map(|at| Slow {
                at,
                end,
                is_retried: false,
            });
        }
    }

    /// Whether the socket leaves more than an outbox may ever hold.
    pub(super) fn is_beyond_hard_limit(&self, io: &Io<'_>) -> bool {
        self.backlog.is_blocked() && io.unsent() > self.backlog.hard_limit()
    }

    /// Stops reading from the session when it has to wait, and goes on when it need not any more.
    pub(super) fn regulate(&mut self, io: &mut Io<'_>) {
        let (is_held, has_to_wait) = (self.is_held(), self.has_to_wait(io));
        if has_to_wait && !is_held {
            let until = self
                .options
                .slow_client_timeout
                .map(|timeout| io.now + timeout);
            let caused = self.backlog.caused();
            let pressure = self.pressure_mut();
            pressure.is_held = true;
            // It cannot end its message while nothing is read.
            pressure.complete_by = None;
            pressure.stall = until.map(|until| (until, caused));
            io.pause_reading(true);
        } else if is_held && !has_to_wait {
            let pressure = self.pressure_mut();
            pressure.is_held = false;
            pressure.stall = None;
            io.pause_reading(false);
            io.call_again();
        }
        self.set_deadline(io);
    }

    /// Acts on the deadlines that have come. `false` if the connection ends.
    pub(super) fn meet_pressure(&mut self, io: &mut Io<'_>) -> bool {
        let caused = self.backlog.caused();
        let Some(pressure) = &mut self.pressure else {
            return true;
        };
        pressure.look(io.unsent());
        let taken = pressure.taken;
        if let Some(slow) = pressure.slow.as_mut().filter(|slow| slow.at <= io.now)
            && taken < slow.end
        {
            if slow.is_retried {
                let why =
                    "its socket has taken less than 64 KiB of them within slow_client_timeout";
                self.drop_slow_client(why, io);
                return false;
            }
            slow.is_retried = true;
            slow.at = io.now + RETRY;
            io.retry_output();
        }
        if let Some(Room::Wanted(Some(until))) = pressure.room
            && until <= io.now
        {
            self.refuse_memory(io);
            return false;
        }
        if pressure.complete_by.is_some_and(|at| at <= io.now) {
            self.drop_unfinished(io);
            return false;
        }
        if let Some((_, before)) = pressure.stall.filter(|(at, _)| *at <= io.now) {
            let timeout = self.options.slow_client_timeout;
            pressure.stall = timeout.map(|timeout| (io.now + timeout, caused));
            if caused >= before {
                self.backlog.set_stalled();
            }
        }
        true
    }

    pub(super) fn drop_slow_client(&mut self, why: &str, io: &mut Io<'_>) {
        tracing::warn!(
            target: crate::LOG,
            client = %self.context.remote,
            session = self.session.map(SessionId::value),
            limit = self.backlog.limit(),
            holds = self.backlog.usage(),
            "dropping a client that does not read what it is sent: more bytes than outbox_limit wait \
             for it, and {why}; if that is expected, raise options.outbox_limit or \
             options.slow_client_timeout of its transport"
        );
        self.leave();
        io.abort();
    }

    fn drop_unfinished(&mut self, io: &mut Io<'_>) {
        tracing::warn!(
            target: crate::LOG,
            client = %self.context.remote,
            session = self.session.map(SessionId::value),
            received = self.frames.unfinished(),
            timeout = ?self.options.message_timeout,
            "closing a WebSocket connection that has begun a message and not ended it within \
             message_timeout; if that is expected, raise options.message_timeout of its transport"
        );
        let why = "a message was not complete within message_timeout";
        self.frames.close(CloseCode::Policy, why, io.out());
        self.fail(
            "it did not end the message that it had begun".to_owned(),
            io,
        );
    }
}
