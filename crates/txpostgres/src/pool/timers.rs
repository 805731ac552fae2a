//! Owns the times that a shard keeps: of jobs that wait, of connections that idle or grow old, and
//! of attempts to connect. Must not know what they are for.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use reactor::TaskId;

use super::{
    Pool,
    policy::RECENT,
    shard::{Locked, State},
    slot::{Purpose, Slot},
    ticket::Waiting,
};
use crate::{
    error::{queue_timeout, unavailable},
    reactors::Look,
};

/// The task of a shard.
pub(crate) struct Clock {
    pub(crate) pool: Weak<Pool>,
    pub(crate) shard: usize,
}

/// When it looks if it knows of nothing.
const NEVER: Duration = Duration::from_secs(60 * 60);

impl Look for Clock {
    fn look(&mut self, id: TaskId) -> Option<Instant> {
        let pool: Arc<Pool> = self.pool.upgrade()?;
        let now = Instant::now();
        if pool.is_closed() {
            return None;
        }
        pool.act(self.shard, now, |locked| {
            locked.state.task = Some(id);
            (locked.state.armed, locked.state.is_looking) = (None, true);
            locked.keep_times();
        });
        if self.shard == 0 {
            pool.listen_on_time(now);
        }
        pool.act(self.shard, now, |locked| {
            let next = locked.next_time().unwrap_or(now + NEVER);
            let next = locked.state.armed.map_or(next, |armed| armed.min(next));
            (locked.state.armed, locked.state.is_looking) = (Some(next), false);
            Some(next)
        })
    }
}

impl State {
    fn has_open(&self) -> bool {
        self.slots.iter().any(Slot::is_open)
    }
}

impl Locked<'_> {
    fn keep_times(&mut self) {
        self.end_overdue_jobs();
        self.retire_old();
        self.dispatch();
    }

    /// When the next of these times comes.
    fn next_time(&self) -> Option<Instant> {
        let settings = &self.pool.settings;
        let oldest = (self.state.queue.iter())
            .map(|waiting| waiting.ticket.submitted)
            .min();
        let queue = oldest.and_then(|oldest| Some(oldest + settings.queue_timeout?));
        let connect = oldest
            .filter(|_| !self.state.has_open())
            .map(|oldest| oldest + settings.connect_timeout);
        // Slow ones may have all connections when no quick ones come any more.
        let reserve = (self.state.last_quick)
            .filter(|_| oldest.is_some())
            .map(|at| at + RECENT)
            .filter(|at| *at > self.now);
        let connections = self.state.slots.iter().filter_map(|slot| {
            // One that has a job is idle from now on at the earliest.
            let idle_since = if slot.is_busy() {
                self.now
            } else {
                slot.last_used
            };
            let idle = settings.idle_timeout.filter(|_| slot.is_open());
            let idle = idle.map(|limit| idle_since + limit);
            [idle, slot.expires].into_iter().flatten().min()
        });
        let fixed = [queue, connect, reserve].into_iter().flatten();
        let next = fixed.chain(connections).min();
        // A time that has come and could not be kept is looked at again later.
        next.map(|next| next.max(self.now + Duration::from_millis(10)))
    }

    /// Has the clock look in time for what waits now.
    pub(crate) fn arm_for_queue(&mut self) {
        let settings = &self.pool.settings;
        let front = |waiting: &Waiting| waiting.ticket.submitted;
        let Some(oldest) = self.state.queue.iter().map(front).min() else {
            return;
        };
        let queue = settings.queue_timeout.map(|limit| oldest + limit);
        let connect = oldest + settings.connect_timeout;
        let connect = Some(connect).filter(|_| !self.state.has_open());
        let reserve = self.state.last_quick.map(|at| at + RECENT);
        let reserve = reserve.filter(|at| *at > self.now);
        for at in [queue, connect, reserve].into_iter().flatten() {
            self.arm(at);
        }
    }

    fn end_overdue_jobs(&mut self) {
        let (now, settings) = (self.now, &self.pool.settings);
        let age = |waiting: &Waiting| now.saturating_duration_since(waiting.ticket.submitted);
        if let Some(limit) = settings.queue_timeout {
            let overdue = (self.state.queue).take_all(|waiting| age(waiting) >= limit);
            for waiting in overdue {
                self.end_waiting(waiting, queue_timeout(limit));
            }
        }
        if self.state.has_open() || self.state.queue.is_empty() {
            return;
        }
        let limit = settings.connect_timeout;
        let overdue = (self.state.queue).take_all(|waiting| age(waiting) >= limit);
        if overdue.is_empty() {
            return;
        }
        let health = &self.pool.health;
        let reason = health.reason().unwrap_or_else(|| {
            // The jobs behind need not wait to find that out again.
            let reason = self.pool.silence();
            health.refused(&reason, now);
            reason
        });
        for waiting in overdue {
            let waited = age(&waiting);
            self.end_waiting(waiting, unavailable(&reason, waited));
        }
    }

    /// Closes connections that have idled for too long or are too old.
    fn retire_old(&mut self) {
        for at in 0..self.state.slots.len() {
            let slot = &self.state.slots[at];
            let idled = self.now.saturating_duration_since(slot.last_used);
            let limit = self.pool.settings.idle_timeout;
            let is_idle = slot.is_open() && !slot.is_busy();
            let has_idled = is_idle && limit.is_some_and(|limit| idled >= limit);
            let is_old = slot.expires.is_some_and(|expires| expires <= self.now);
            if slot.purpose == Purpose::Jobs && (has_idled || is_old) && !slot.is_retired {
                self.state.slots[at].is_retired = true;
                self.call(at);
            }
        }
    }
}
