//! Deadlines, earliest first. Must not know what they are for.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

/// A heap that may also hold deadlines that no longer count. When one comes up, its owner compares
/// it with the one that was set last. So postponing costs nothing, and most deadlines are
/// postponed.
pub(super) struct Deadlines<Id> {
    heap: BinaryHeap<Reverse<(Instant, Id)>>,
}

impl<Id: Ord> Default for Deadlines<Id> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
        }
    }
}

impl<Id: Ord + Copy> Deadlines<Id> {
    pub(super) fn push(&mut self, at: Instant, id: Id) {
        self.heap.push(Reverse((at, id)));
    }

    /// When the next one comes up.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one that has come up, and tells when that was.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Id)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| due)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}
