//! The connections that have something to do in the next iteration of the loop. Must not know what
//! that comes to.

use std::{collections::VecDeque, mem};

use super::{ConnectionId, connection::Connection};

/// Three lists. A connection is in each of them once at most, and notes itself whether it is.
#[derive(Default)]
pub(super) struct WorkLists {
    readable: Vec<ConnectionId>,
    dirty: Vec<ConnectionId>,
    /// How many of these, at the beginning, leave first.
    first: usize,
    /// Those whose output may wait its turn. It is worked off in slices, and what comes for them
    /// meanwhile leaves in the same write.
    dirty_in_bulk: VecDeque<ConnectionId>,
    /// Takes the place of one of the two while that is worked off, which saves an allocation.
    spare: Vec<ConnectionId>,
}

impl WorkLists {
    /// Lists what the connection wants done. An end may wait its turn: thousands may end at once,
    /// and each takes several system calls.
    pub(super) fn note<M>(&mut self, connection: &mut Connection<M>) {
        if connection.is_closed() {
            return self.note_in_bulk(connection);
        }
        self.note_readable(connection);
        if connection.wants_flush() && !connection.is_listed_dirty {
            connection.is_listed_dirty = true;
            self.dirty.push(connection.id);
            if connection.requested.flush_first {
                let last = self.dirty.len() - 1;
                self.dirty.swap(self.first, last);
                self.first += 1;
            }
        }
    }

    /// The same, but that its output may wait its turn.
    pub(super) fn note_in_bulk<M>(&mut self, connection: &mut Connection<M>) {
        self.note_readable(connection);
        let is_listed = connection.is_listed_dirty || connection.is_listed_in_bulk;
        if connection.wants_flush() && !is_listed {
            connection.is_listed_in_bulk = true;
            self.dirty_in_bulk.push_back(connection.id);
        }
    }

    fn note_readable<M>(&mut self, connection: &mut Connection<M>) {
        let is_readable = connection.maybe_readable && connection.wants_input();
        if (is_readable || connection.requested.call_again) && !connection.is_listed_readable {
            connection.is_listed_readable = true;
            self.readable.push(connection.id);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readable.is_empty() && self.dirty.is_empty() && self.in_bulk() == 0
    }

    /// How many connections have output that may wait.
    pub(super) fn in_bulk(&self) -> usize {
        self.dirty_in_bulk.len()
    }

    /// Those that may have input, or are to be called again. To be given back.
    pub(super) fn take_readable(&mut self) -> Vec<ConnectionId> {
        mem::replace(&mut self.readable, mem::take(&mut self.spare))
    }

    /// Takes back those that have not had their turn, which come first then.
    pub(super) fn give_readable_back(&mut self, mut left: Vec<ConnectionId>) {
        if left.is_empty() {
            return self.give_back(left);
        }
        left.append(&mut self.readable);
        self.spare = mem::replace(&mut self.readable, left);
    }

    /// Those that have output or an end for the kernel. To be given back empty.
    pub(super) fn take_dirty(&mut self) -> Vec<ConnectionId> {
        self.first = 0;
        mem::replace(&mut self.dirty, mem::take(&mut self.spare))
    }

    /// The one whose output has waited longest of those that may wait.
    pub(super) fn next_in_bulk(&mut self) -> Option<ConnectionId> {
        self.dirty_in_bulk.pop_front()
    }

    pub(super) fn give_back(&mut self, empty: Vec<ConnectionId>) {
        self.spare = empty;
    }
}
