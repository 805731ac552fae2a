//! What a session of the router's process may ask to be asked: whether somebody may subscribe. Must
//! not know how that is decided, nor what waits for it.

use std::sync::Arc;

use super::{Identity, MatchPolicy, Payload, Uri};

/// What stands before some topics: whoever has it is asked before a SUBSCRIBE to one of them is
/// granted. The session that has it chooses the number, and no other guard of its has the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GuardId(pub u64);

/// A question that is not answered yet. The router chooses the number, and never again the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Whether somebody may subscribe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// For the answer to name.
    pub ticket: Ticket,
    /// Which guard is asked.
    pub guard: GuardId,
    /// Who wants to subscribe.
    pub identity: Arc<Identity>,
    /// To which topic, or to all that match this.
    pub topic: Uri,
    /// How they match.
    pub match_policy: MatchPolicy,
}

/// Why somebody may not: what the ERROR will say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denial {
    /// Which error it is.
    pub error: Uri,
    /// What there is to say about it.
    pub payload: Payload,
}

/// The answer to a question. Boxed, because mostly there is nothing to say.
pub type Verdict = Result<(), Box<Denial>>;
