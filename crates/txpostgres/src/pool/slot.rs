//! Owns one connection as its shard sees it: its session, what it has not written yet, and what it is
//! at. Must not know the queue.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use reactor::ConnectionId;
use sql::Rows;

use super::{policy::View, ticket::Ticket};
use crate::{
    connecting::{Attempt, Hint, Target},
    notices::Notices,
    reactors::Home,
    session::Session,
};

/// A statement may take so much longer than its limit before PostgreSQL counts as frozen.
pub(crate) const MARGIN: Duration = Duration::from_millis(500);

/// How long a look at a connection that has idled may take.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// A cancel request that came between two statements of a job stopped neither: it is sent again
/// after this time, and again after twice that, until the job has ended.
pub(crate) const REPEAT: Duration = Duration::from_millis(100);
const REPEAT_AT_MOST: Duration = Duration::from_secs(5);

/// One connection of a shard.
pub(crate) struct Slot {
    /// Another one for each attempt to connect, so that a socket that was given up speaks to nobody.
    pub(crate) key: u64,
    pub(crate) purpose: Purpose,
    pub(crate) stage: Stage,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) session: Option<Session<Ticket>>,
    /// What its session has counted of statements, as far as it is in the figures.
    pub(crate) counted: (u64, u64),
    /// Where it is connected to, for cancel requests.
    pub(crate) target: Option<Target>,
    /// What the session has said and the connection has not taken.
    pub(crate) out: Vec<u8>,
    /// How many works are in `out` alone, so that they have not left.
    pub(crate) unflushed: usize,
    /// The connection will be called and takes `out` then.
    pub(crate) is_called: bool,
    /// To be closed as soon as it is at nothing.
    pub(crate) is_retired: bool,
    /// When the oldest work in flight came to the server, as far as one can know.
    pub(crate) head_since: Instant,
    /// It was sent when nothing else was in flight, so its time has the way in it.
    pub(crate) head_was_alone: bool,
    pub(crate) last_used: Instant,
    /// When it was begun, and when it was there.
    begun: Instant,
    pub(crate) opened: Instant,
    pub(crate) expires: Option<Instant>,
    /// A slow job, or one that was never seen, is at it.
    pub(crate) is_long: bool,
    /// An interaction has it between two statements.
    pub(crate) has_owner: bool,
    /// A job on it may have changed its time limit.
    pub(crate) limit_is_doubtful: bool,
    pub(crate) cancel: Option<Cancelling>,
    /// When a cancel request was sent last.
    pub(crate) cancelled_at: Option<Instant>,
    /// What undoes what a job left in the session, if that is wanted.
    pub(crate) reset: Option<String>,
    /// A batch that its consumer has no room for.
    pub(crate) held: Option<Rows>,
    /// There was room since.
    pub(crate) has_room: bool,
    pub(crate) notices: Notices,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Jobs,
    Listening,
}

pub(crate) enum Stage {
    Opening(Box<Opening>),
    Open,
    /// It is asked whether it is well, until then.
    Checked(Instant),
    /// It died while it was idle, and the next job is to see that (`cp_reconnect` is off).
    Dead,
}

/// A connection that is not there yet.
pub(crate) struct Opening {
    pub(crate) attempt: Attempt,
    /// How often it was begun anew.
    pub(crate) runs: u8,
    pub(crate) hint: Hint,
    /// When what is tried now is given up.
    pub(crate) deadline: Instant,
    /// What is left to do before the first job.
    pub(crate) steps: VecDeque<Step>,
}

/// A step of setting up a session: a script of the simple query protocol.
pub(crate) enum Step {
    /// Whether the server is wanted: an answer, and what to say if it is that.
    Question {
        sql: &'static str,
        unwanted: &'static str,
        objection: &'static str,
    },
    Run(String),
    /// The statements that set again what is set now.
    LearnReset(&'static str),
}

/// The cancel requests for the job at the head.
pub(crate) struct Cancelling {
    /// A request is on its way, so nothing new may be sent: it could be hit.
    pub(crate) is_under_way: bool,
    again_at: Instant,
    pause: Duration,
}

impl Cancelling {
    pub(crate) fn begin(now: Instant) -> Self {
        Self {
            is_under_way: true,
            again_at: now + REPEAT,
            pause: REPEAT,
        }
    }

    /// Whether a request is due again; notes that it is sent.
    pub(crate) fn repeat(&mut self, now: Instant) -> bool {
        let is_due = !self.is_under_way && self.again_at <= now;
        if is_due {
            self.pause = (self.pause * 2).min(REPEAT_AT_MOST);
            (self.is_under_way, self.again_at) = (true, now + self.pause);
        }
        is_due
    }
}

impl Slot {
    pub(crate) fn new(key: u64, purpose: Purpose, opening: Opening, now: Instant) -> Self {
        Self {
            key,
            purpose,
            stage: Stage::Opening(Box::new(opening)),
            connection: None,
            session: None,
            counted: (0, 0),
            target: None,
            out: Vec::new(),
            unflushed: 0,
            is_called: false,
            is_retired: false,
            head_since: now,
            head_was_alone: false,
            last_used: now,
            begun: now,
            opened: now,
            expires: None,
            is_long: false,
            has_owner: false,
            limit_is_doubtful: false,
            cancel: None,
            cancelled_at: None,
            reset: None,
            held: None,
            has_room: false,
            notices: Notices::new(now),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.session.as_ref().map_or(0, Session::in_flight)
    }

    /// Whether jobs may come to it, now or later.
    pub(crate) fn is_open(&self) -> bool {
        self.purpose == Purpose::Jobs && matches!(self.stage, Stage::Open | Stage::Checked(_))
    }

    /// How long a job waited while it was opened.
    pub(crate) fn opened_for(&self, submitted: Instant) -> Duration {
        let from = submitted.max(self.begun);
        self.opened.saturating_duration_since(from)
    }

    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Opening(_))
    }

    /// Whether it is asked whether it is well.
    pub(crate) fn is_checked(&self) -> bool {
        matches!(self.stage, Stage::Checked(_))
    }

    /// Whether a job is on it.
    pub(crate) fn is_busy(&self) -> bool {
        self.has_owner || self.in_flight() > 0
    }

    pub(crate) fn view(&self, depth_is_one: bool) -> View {
        let can_take = match self.stage {
            Stage::Open => true,
            Stage::Dead => self.purpose == Purpose::Jobs,
            Stage::Opening(_) | Stage::Checked(_) => false,
        };
        let is_exclusive = (self.session.as_ref()).is_some_and(Session::is_exclusive);
        let in_flight = self.in_flight();
        View {
            in_flight,
            head_since: self.head_since,
            is_taken: !can_take
                || self.purpose != Purpose::Jobs
                || self.is_retired
                || self.has_owner
                || is_exclusive
                || self.cancel.is_some()
                || depth_is_one && in_flight > 0,
            is_long: self.is_long,
        }
    }

    /// Has the connection called if it will not be anyway. Whether that needs its thread awake.
    pub(crate) fn call(&mut self, home: &dyn Home) -> bool {
        let Some(connection) = self.connection.filter(|_| !self.is_called) else {
            return false;
        };
        self.is_called = true;
        home.post(connection);
        true
    }

    /// When the pool must look at it again if nothing comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        // While a request is under way there is nothing to repeat, and its end calls the connection. A
        // deadline that is over would be met again and again.
        let cancel = self.cancel.as_ref();
        let repeat = cancel
            .filter(|cancel| !cancel.is_under_way)
            .map(|cancel| cancel.again_at);
        let own = match &self.stage {
            Stage::Opening(opening) => Some(opening.deadline),
            Stage::Checked(until) => Some(*until),
            Stage::Open | Stage::Dead => self.frozen_at(),
        };
        [repeat, own].into_iter().flatten().min()
    }

    /// When the server counts as frozen if it does not answer.
    pub(crate) fn frozen_at(&self) -> Option<Instant> {
        if self.limit_is_doubtful || self.held.is_some() {
            return None;
        }
        let limit = self.session.as_ref()?.head()?.limit?;
        Some(self.head_since + limit + MARGIN)
    }

    pub(crate) fn begin_check(&mut self, now: Instant) {
        self.stage = Stage::Checked(now + CHECK_LIMIT);
    }
}
