//! Who is asked before a SUBSCRIBE is granted: sessions of this process that guard topics. Knows
//! whose patterns match; must not know what is answered.
//!
//! A guard whose session has ended stays, so that what it guarded is not open to everybody: nobody
//! can be asked then, and so nobody may subscribe, until another session guards the same pattern.

use super::{PeerId, session::Sessions};
use wamp::{GuardId, Pattern, Uri};

/// The guards of a realm.
#[derive(Default)]
pub(super) struct Guards(Vec<(Pattern, Guard)>);

/// One of them: its session, and what that calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Guard {
    pub(super) peer: PeerId,
    pub(super) id: GuardId,
}

impl Guards {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a guard, in the place of those with the same pattern whose sessions have ended.
    pub(super) fn add(&mut self, sessions: &Sessions, guard: Guard, topics: Pattern) {
        self.remove(guard);
        (self.0).retain(|(pattern, other)| *pattern != topics || sessions.is_joined(other.peer));
        self.0.push((topics, guard));
    }

    pub(super) fn remove(&mut self, guard: Guard) {
        self.0.retain(|(_, other)| *other != guard);
    }

    /// Whether this session has any.
    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.0.iter().any(|(_, guard)| guard.peer == peer)
    }

    /// Those that are to be asked when `subscriber` subscribes to a topic. A session does not ask
    /// itself.
    pub(super) fn of(&self, subscriber: PeerId, topic: &Uri) -> Vec<Guard> {
        (self.0.iter())
            .filter(|(pattern, guard)| guard.peer != subscriber && pattern.matches(topic))
            .map(|(_, guard)| *guard)
            .collect()
    }
}
