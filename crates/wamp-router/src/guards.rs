//! Who is asked before a SUBSCRIBE is granted: sessions of this process that guard topics. Knows
//! whose patterns match; must not know what is answered.
//!
//! A guard whose session has ended stays, so that what it guarded is not open to everybody: nobody
//! can be asked then, and so nobody may subscribe, until another session guards the same pattern.

use std::collections::BTreeSet;

use super::{PeerId, session::Sessions};
use wamp::{GuardId, Pattern, Uri};

/// The guards of a realm.
#[derive(Default)]
pub(super) struct Guards {
    all: Vec<(Pattern, Guard)>,
    /// The sessions that have had one, and so may have been asked.
    asked: BTreeSet<PeerId>,
}

/// One of them: its session, and what that calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Guard {
    pub(super) peer: PeerId,
    pub(super) id: GuardId,
}

impl Guards {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a guard, in the place of those with the same pattern whose sessions have ended.
    pub(super) fn add(&mut self, sessions: &Sessions, guard: Guard, topics: Pattern) {
        self.remove(guard);
        (self.all).retain(|(pattern, other)| *pattern != topics || sessions.is_joined(other.peer));
        self.asked.insert(guard.peer);
        self.all.push((topics, guard));
    }

    pub(super) fn remove(&mut self, guard: Guard) {
        self.all.retain(|(_, other)| *other != guard);
    }

    /// A session leaves: whether it may have been asked something.
    pub(super) fn leave(&mut self, peer: PeerId) -> bool {
        self.asked.remove(&peer)
    }

    /// Those that are to be asked when `subscriber` subscribes to a topic. A session does not ask
    /// itself.
    pub(super) fn of(&self, subscriber: PeerId, topic: &Uri) -> Vec<Guard> {
        (self.all.iter())
            .filter(|(pattern, guard)| guard.peer != subscriber && pattern.matches(topic))
            .map(|(_, guard)| *guard)
            .collect()
    }
}
