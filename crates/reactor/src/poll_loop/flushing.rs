//! What goes out: the connections' output, handed to the kernel in slices, so that no iteration
//! takes long. Must not know who made it, nor what it says.

use std::time::Instant;

use super::{ConnectionId, Reactor};
use crate::work_lists::WorkLists;

/// The kernel is handed so many bytes of a connection's output at once; what is left waits for its
/// turn. To copy them takes some ten microseconds, and the pages they go to as long again. A reader
/// that reads on while they are copied makes room for megabytes.
const WRITE_AT_ONCE: usize = 128 * 1024;
/// So many connections whose output may wait are flushed an iteration. It is a system call each,
/// which takes some ten microseconds. A call takes two or three iterations, one for its CALL and
/// one for its answer at least.
pub(super) const BULK_FLUSHES_AT_ONCE: usize = 64;
/// Or so many that the kernel has taken this many bytes, which it copies: some tenths of a
/// millisecond.
const BULK_BYTES_AT_ONCE: usize = 1 << 20;

impl<M: 'static> Reactor<M> {
    /// Hands the iteration's output to the kernel, one write for each connection.
    pub(super) fn flush_the_dirty(&mut self, now: Instant) {
        let mut listed = self.work.take_dirty();
        for id in listed.drain(..) {
            if let Some(connection) = self.connection(id) {
                connection.is_listed_dirty = false;
                self.flush(id, WRITE_AT_ONCE, now);
            }
        }
        self.work.give_back(listed);
    }

    /// The same for so many of the connections whose output may wait, if their turn has come, or
    /// for fewer once the kernel has taken so many bytes.
    pub(super) fn flush_in_bulk(&mut self, now: Instant) {
        let mut taken = 0;
        for _ in 0..BULK_FLUSHES_AT_ONCE.min(self.bulk_flushes) {
            if taken >= BULK_BYTES_AT_ONCE {
                return;
            }
            self.bulk_flushes -= 1;
            taken += self.flush_next_in_bulk(WRITE_AT_ONCE, now);
        }
    }

    /// The same for all, and with as much as the kernel takes, before the reactor ends.
    pub(super) fn flush_the_last(&mut self, now: Instant) {
        for _ in 0..self.work.in_bulk() {
            self.flush_next_in_bulk(usize::MAX, now);
        }
    }

    /// Flushes the one whose output has waited longest. How many bytes the kernel has taken.
    fn flush_next_in_bulk(&mut self, most: usize, now: Instant) -> usize {
        let next = self.work.next_in_bulk();
        let Some((id, connection)) = next.and_then(|id| Some((id, self.connection(id)?))) else {
            return 0;
        };
        connection.is_listed_in_bulk = false;
        // It may have been flushed with urgent output since.
        if !connection.wants_flush() {
            return 0;
        }
        let before = connection.unsent();
        self.flush(id, most, now);
        let after = self.connection(id).map_or(0, |c| c.unsent());
        before.saturating_sub(after)
    }

    /// Hands no more than `most` bytes to the kernel. What is left waits for its turn.
    fn flush(&mut self, id: ConnectionId, most: usize, now: Instant) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        if let Err(error) = connection.flush(most) {
            return self.end_unwritable(id, &error, now);
        }
        if connection.is_closed_and_flushed() {
            // An end that has closed already is not waited for.
            if connection.has_ended || connection.linger(now).is_err() {
                return self.drop_connection(id);
            }
        } else {
            connection.call(now, |protocol, io| protocol.on_flushed(io));
        }
        self.act(id, WorkLists::note_in_bulk);
    }
}
