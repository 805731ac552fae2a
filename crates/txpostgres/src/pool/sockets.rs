//! Owns what a connection of a shard does when its reactor calls it: bytes go to the session, and
//! what the session has said leaves in one write. Must not know what is said.

use std::sync::Arc;

use reactor::Io;

use super::{
    Pool,
    shard::{Locked, TRUSTED},
    slot::{Slot, Stage},
};
use crate::{connection::Fault, session::lost};

impl Pool {
    /// The connection is on its reactor.
    pub(crate) fn opened(&self, shard: usize, key: u64, io: &mut Io<'_>) {
        let mut state = self.shards[shard].state();
        if let Some(at) = state.find(key) {
            state.slots[at].connection = Some(io.id);
        }
    }

    /// Bytes have come.
    pub(crate) fn received(
        self: &Arc<Self>,
        shard: usize,
        key: u64,
        bytes: &[u8],
        io: &mut Io<'_>,
    ) {
        self.act(shard, io.now, |locked| {
            if let Some(at) = locked.state.find(key) {
                // What callbacks send leaves with this call.
                locked.state.slots[at].is_called = true;
                locked.receive(key, bytes);
            }
        });
        self.flush(shard, key, io);
    }

    /// The shard has something for the connection to do.
    pub(crate) fn posted(self: &Arc<Self>, shard: usize, key: u64, io: &mut Io<'_>) {
        self.act(shard, io.now, |locked| {
            let Some(at) = locked.state.find(key) else {
                return;
            };
            if locked.is_dead(at, io) {
                let why = lost("it was closed while it was idle");
                return locked.broke(key, &why);
            }
            locked.state.slots[at].is_called = true;
            locked.try_held(at);
            locked.receive(key, &[]);
        });
        self.flush(shard, key, io);
    }

    /// The connection's deadline has come.
    pub(crate) fn overdue(self: &Arc<Self>, shard: usize, key: u64, io: &mut Io<'_>) {
        if self.act(shard, io.now, |locked| locked.overdue(key)) {
            self.flush(shard, key, io);
        } else {
            io.abort();
        }
    }

    /// The reactor ends soon: nothing new comes to the connection.
    pub(crate) fn retire(self: &Arc<Self>, shard: usize, key: u64, io: &mut Io<'_>) {
        let mut state = self.shards[shard].state();
        if let Some(at) = state.find(key) {
            state.slots[at].is_retired = true;
        }
        drop(state);
        self.flush(shard, key, io);
    }

    /// The socket is gone.
    pub(crate) fn lost(self: &Arc<Self>, shard: usize, key: u64, fault: &Fault) {
        let now = std::time::Instant::now();
        self.act(shard, now, |locked| locked.fell(key, fault));
    }

    /// Takes what the session has said. One that is not wanted any more is closed when it is at
    /// nothing.
    fn flush(self: &Arc<Self>, shard: usize, key: u64, io: &mut Io<'_>) {
        let mut state = self.shards[shard].state();
        let Some(at) = state.find(key) else {
            return io.abort();
        };
        let slot = &mut state.slots[at];
        slot.is_called = false;
        if slot.is_retired && !slot.is_busy() {
            if let Some(session) = &mut slot.session {
                session.terminate(&mut slot.out);
            }
            io.out().append(&mut slot.out);
            state.slots.swap_remove(at);
            drop(state);
            io.close();
            // Another one may be wanted in its place.
            return self.act(shard, io.now, |locked| locked.grow());
        }
        if !slot.out.is_empty() {
            let out = io.out();
            if out.is_empty() {
                std::mem::swap(out, &mut slot.out);
            } else {
                out.append(&mut slot.out);
            }
        }
        slot.unflushed = 0;
        io.set_deadline(slot.deadline());
    }
}

impl Locked<'_> {
    /// Whether a connection that has idled, and is about to be used, turns out to be closed.
    fn is_dead(&self, at: usize, io: &Io<'_>) -> bool {
        let slot: &Slot = &self.state.slots[at];
        let idled = self.now.saturating_duration_since(slot.last_used);
        matches!(slot.stage, Stage::Open)
            && slot.unflushed > 0
            && slot.in_flight() == slot.unflushed
            && idled >= TRUSTED
            && io.has_ended()
    }
}
