//! A request that waits: what it waits for, and for how long. Must not know where it stands.

use std::time::Instant;

use crate::{Disclose, PeerId, verdicts::Wish};
use wamp::{Call, Message, Publish, RequestId, Ticket};

/// A request that waits.
pub(crate) struct Request {
    pub(super) number: u64,
    pub(crate) message: Message,
    pub(crate) since: Instant,
    /// What is to be answered before it may go on.
    pub(crate) open: Vec<Asked>,
    /// When that has to be answered.
    pub(crate) answer_by: Instant,
    /// When its own timeout ends, if it is a CALL that has one.
    pub(super) timeout_at: Option<Instant>,
    /// When it is due in the index of deadlines.
    pub(super) deadline: Option<Instant>,
    /// What its session's authorizer was asked.
    pub(crate) wish: Option<Box<Wish>>,
    /// What was granted, where the role's permissions alone do not say it.
    pub(crate) granted: Option<Disclose>,
}

/// A question that is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) ticket: Ticket,
    /// Who was asked.
    pub(crate) of: Whom,
}

/// Who is asked about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whom {
    /// A guard of this session's.
    Guard(PeerId),
    /// The authorizer of the role, by a call of the session that the request is of.
    Authorizer,
}

/// What has become of a request whose time is up.
pub(crate) enum Expired {
    /// Its own timeout has ended.
    Timeout,
    /// Nobody has said whether it may be made.
    Unanswered,
}

impl Request {
    pub(crate) fn new(message: Message, since: Instant, answer_by: Instant) -> Self {
        Self {
            number: 0,
            message,
            since,
            open: Vec::new(),
            answer_by,
            timeout_at: None,
            deadline: None,
            wish: None,
            granted: None,
        }
    }

    /// Its own timeout ends then.
    pub(crate) fn times_out_at(self, timeout_at: Option<Instant>) -> Self {
        Self { timeout_at, ..self }
    }

    pub(super) fn call(&self) -> Option<RequestId> {
        if let Message::Call(call) = &self.message {
            return Some(call.request);
        }
        None
    }

    /// One request of so many octets.
    pub(super) fn held(&self) -> Held {
        Held {
            requests: 1,
            octets: octets(&self.message),
        }
    }

    /// Until when it may wait as it does. What need not wait any more but for its turn has no limit
    /// of its own: those before it have theirs.
    pub(super) fn due(&self) -> Option<Instant> {
        let answer_by = (!self.open.is_empty()).then_some(self.answer_by);
        [answer_by, self.timeout_at].into_iter().flatten().min()
    }
}

/// How many octets of payload a request has.
pub(crate) fn octets(message: &Message) -> usize {
    if let Message::Call(Call { payload, .. }) | Message::Publish(Publish { payload, .. }) = message
    {
        return payload.len();
    }
    0
}

impl Held {
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.octets += other.octets;
    }

    pub(super) fn remove(&mut self, other: Self) {
        self.requests -= other.requests;
        self.octets -= other.octets;
    }
}

/// So many requests, and the octets of their payloads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Held {
    pub(crate) requests: usize,
    pub(crate) octets: usize,
}
