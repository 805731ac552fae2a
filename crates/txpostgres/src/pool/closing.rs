//! Owns how a pool ends. Must not know how jobs run.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use deferred::Control;
use sql::Error;
use tracing::{info, warn};

use super::{
    Pool,
    shard::{Locked, Shard},
};
use crate::error::{LOG, closed};

/// How long statements that were cancelled at the end of a close have to stop.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// What a pool can be, for [`Pool::phase`].
pub(crate) mod phase {
    pub(crate) const UNSTARTED: u8 = 0;
    pub(crate) const RUNNING: u8 = 1;
    pub(crate) const CLOSED: u8 = 2;
}

impl Pool {
    pub(crate) fn is_closed(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == phase::CLOSED
    }

    /// See [`Database::close`](sql::Database::close).
    pub(crate) fn close(self: &Arc<Self>, grace: Duration) {
        let phase: &AtomicU8 = &self.phase;
        let before = phase.swap(phase::CLOSED, Ordering::SeqCst);
        if before == phase::CLOSED {
            return;
        }
        for shard in 0..self.shards.len() {
            self.act(shard, Instant::now(), |locked| locked.begin_close());
        }
        self.listening.close();
        if self.shards.iter().any(|shard| shard.home.is_here()) {
            // This thread is the one that must run what is to end.
            let pool = self.clone();
            let spawned = thread::Builder::new()
                .name("db-close".into())
                .spawn(move || pool.wait_for_end(grace));
            if let Err(error) = spawned {
                warn!(target: LOG, "no thread to wait for the pool's end, it ends at once: {error}");
                self.end_all();
            }
        } else {
            self.wait_for_end(grace);
        }
    }

    fn wait_for_end(self: &Arc<Self>, grace: Duration) {
        if !self.wait_until_idle(grace) {
            for control in self.running_jobs() {
                control.stop(closed());
            }
            if !self.wait_until_idle(CANCEL_GRACE) {
                let left = self.running_jobs().len();
                warn!(target: LOG, "the pool closed while {left} jobs would not end");
            }
        }
        self.end_all();
        if self.settings.cp_noisy {
            info!(target: LOG, "txpostgres closed: {}", self.settings.subject());
        }
    }

    fn running(&self) -> usize {
        let running = |shard: &Shard| shard.state().running();
        self.shards.iter().map(running).sum()
    }

    /// Waits until no job runs any more. False if some still do after `limit`.
    fn wait_until_idle(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let (lock, changed) = &self.ends;
        let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.running() == 0 {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // Whoever ends a job takes the lock before it notifies, so none is missed.
            let waited = changed.wait_timeout(guard, left);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn running_jobs(&self) -> Vec<Arc<dyn Control<Error>>> {
        let mut controls = Vec::new();
        for shard in &self.shards {
            let state = shard.state();
            let sessions = state.slots.iter().filter_map(|slot| slot.session.as_ref());
            let tickets = sessions.flat_map(|session| session.tickets());
            controls.extend(tickets.filter_map(|ticket| ticket.control()));
        }
        controls
    }

    /// Drops what is left.
    fn end_all(self: &Arc<Self>) {
        for shard in 0..self.shards.len() {
            self.act(shard, Instant::now(), |locked| locked.drop_all());
        }
    }

    /// A job has ended, and somebody may wait for the last one.
    pub(crate) fn note_end(&self) {
        if self.is_closed() {
            let (lock, changed) = &self.ends;
            drop(lock.lock().unwrap_or_else(PoisonError::into_inner));
            changed.notify_all();
        }
    }
}

impl Locked<'_> {
    /// Nothing begins any more; what waits fails, and what is at nothing is closed.
    fn begin_close(&mut self) {
        self.state.is_closing = true;
        for waiting in self.state.queue.take_all(|_| true) {
            self.end_waiting(waiting, closed());
        }
        self.state.slots.retain(|slot| !slot.is_opening());
        for at in 0..self.state.slots.len() {
            self.state.slots[at].is_retired = true;
            self.call(at);
        }
        if let Some(task) = self.state.task {
            // It sees that it is to end.
            self.shard.home.post_to_task(task);
        }
    }

    /// Drops all connections. Jobs that are still on them end.
    fn drop_all(&mut self) {
        let keys: Vec<_> = self.state.slots.iter().map(|slot| slot.key).collect();
        for key in keys {
            let Some(at) = self.state.find(key) else {
                continue;
            };
            let mut slot = self.state.slots.swap_remove(at);
            let lost: Vec<_> = (slot.session.as_mut())
                .map(|session| session.lose(0).collect())
                .unwrap_or_default();
            for (ticket, _) in lost {
                if ticket.is_job() {
                    self.end(ticket, Err(closed()));
                }
            }
            // Called once more, the connection finds that it is nobody's.
            if let Some(connection) = slot.connection {
                self.shard.home.post(connection);
                self.turn.wakes = true;
            }
        }
    }
}
