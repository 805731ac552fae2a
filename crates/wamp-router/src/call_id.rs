//! What a call is known by at the session that it is of. Must not know what becomes of it.

use std::num::NonZeroU64;

use wamp::{MAX_ID, RequestId, Ticket};

/// A call of a session: a request of its client, or a question that the router asks an authorizer
/// about it. One number for both, since there is one for each call that is not answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct CallId(NonZeroU64);

/// Whose call it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CallKind {
    /// The client's.
    Request(RequestId),
    /// The router's own.
    Question(Ticket),
}

impl CallId {
    #[inline]
    pub(super) fn kind(self) -> CallKind {
        match RequestId::new(self.0.get()) {
            Some(request) => CallKind::Request(request),
            None => CallKind::Question(Ticket(self.0.get() - MAX_ID)),
        }
    }
}

impl From<RequestId> for CallId {
    #[inline]
    fn from(request: RequestId) -> Self {
        Self(NonZeroU64::new(request.value()).expect("an id is not 0"))
    }
}

impl From<Ticket> for CallId {
    /// Tickets count from 1: nobody can ask as many as would make this too large.
    fn from(Ticket(number): Ticket) -> Self {
        Self(NonZeroU64::MIN.saturating_add(MAX_ID - 1 + number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_questions_are_told_apart() {
        for request in [1, 2, MAX_ID].map(|id| RequestId::new(id).unwrap()) {
            assert_eq!(CallId::from(request).kind(), CallKind::Request(request));
        }
        for ticket in [Ticket(1), Ticket(MAX_ID)] {
            assert_eq!(CallId::from(ticket).kind(), CallKind::Question(ticket));
        }
    }
}
