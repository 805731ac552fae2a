//! The deadlines of one reactor's connections, earliest first. Must not know what they are for.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use super::ConnectionId;

/// A heap that may hold deadlines since postponed, brought forward or dropped: the loop asks the
/// connection when one comes up. Postponing, which is what most deadlines see, so costs nothing.
#[derive(Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, u32, u32)>>,
}

impl Deadlines {
    pub(super) fn push(&mut self, at: Instant, id: ConnectionId) {
        self.heap.push(Reverse((at, id.slot, id.generation)));
    }

    /// When the next one comes up.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes one that has come up, and tells when that was.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, ConnectionId)> {
        if self.next()? > now {
            return None;
        }
        self.heap
            .pop()
            .map(|Reverse((at, slot, generation))| (at, ConnectionId { slot, generation }))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}
