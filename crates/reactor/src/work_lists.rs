//! The connections that have something to do in the next iteration of the loop. Must not know what
//! that comes to.

use std::mem;

use super::{ConnectionId, connection::Connection};

/// Two lists. A connection is in each of them once at most, and notes itself whether it is.
#[derive(Default)]
pub(super) struct WorkLists {
    readable: Vec<ConnectionId>,
    dirty: Vec<ConnectionId>,
    /// Takes the place of one of the two while that is worked off, which saves an allocation.
    spare: Vec<ConnectionId>,
}

impl WorkLists {
    /// Lists what the connection wants done.
    pub(super) fn note<M>(&mut self, connection: &mut Connection<M>) {
        if connection.maybe_readable && connection.wants_input() && !connection.is_listed_readable {
            connection.is_listed_readable = true;
            self.readable.push(connection.id);
        }
        if connection.wants_flush() && !connection.is_listed_dirty {
            connection.is_listed_dirty = true;
            self.dirty.push(connection.id);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readable.is_empty() && self.dirty.is_empty()
    }

    /// Those that may have input. To be given back empty.
    pub(super) fn take_readable(&mut self) -> Vec<ConnectionId> {
        mem::replace(&mut self.readable, mem::take(&mut self.spare))
    }

    /// Those that have output or an end for the kernel. To be given back empty.
    pub(super) fn take_dirty(&mut self) -> Vec<ConnectionId> {
        mem::replace(&mut self.dirty, mem::take(&mut self.spare))
    }

    pub(super) fn give_back(&mut self, empty: Vec<ConnectionId>) {
        self.spare = empty;
    }
}
