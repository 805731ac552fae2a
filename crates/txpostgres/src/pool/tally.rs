//! Owns the figures of a shard, taken from what they are about. Must not know what they are shown for.

use sql::{ErrorKind, Stats};

use super::{
    shard::{Locked, State},
    slot::Purpose,
};

impl State {
    /// Adds what is here to the figures of all.
    pub(crate) fn add_to(&self, stats: &mut Stats) {
        for slot in &self.slots {
            if slot.purpose == Purpose::Listening {
                continue;
            }
            if slot.is_opening() {
                stats.connecting += 1;
                continue;
            }
            let is_busy = slot.running() > 0;
            stats.connections += 1;
            *(if is_busy {
                &mut stats.busy
            } else {
                &mut stats.idle
            }) += 1;
            stats.running += u32::try_from(slot.running()).unwrap_or(u32::MAX);
        }
        stats.waiting += self.queue.len();
        let tally = &self.tally;
        stats.longest_wait = stats.longest_wait.max(tally.longest_wait);
        stats.jobs += tally.jobs;
        stats.statement_hits += tally.statement_hits;
        stats.statement_misses += tally.statement_misses;
        let (all, its) = (&mut stats.errors, &tally.errors);
        for (all, its) in [
            (&mut all.database, its.database),
            (&mut all.connection_lost, its.connection_lost),
            (&mut all.unavailable, its.unavailable),
            (&mut all.queue_full, its.queue_full),
            (&mut all.queue_timeout, its.queue_timeout),
            (&mut all.timeout, its.timeout),
            (&mut all.cancelled, its.cancelled),
            (&mut all.panicked, its.panicked),
            (&mut all.other, its.other),
        ] {
            *all += its;
        }
    }
}

impl Locked<'_> {
    /// Counts a job that is over.
    pub(crate) fn count(&mut self, failure: Option<ErrorKind>) {
        let tally = &mut self.state.tally;
        tally.jobs += 1;
        let Some(kind) = failure else { return };
        let errors = &mut tally.errors;
        *match kind {
            ErrorKind::Database => &mut errors.database,
            ErrorKind::ConnectionLost => &mut errors.connection_lost,
            ErrorKind::Unavailable => &mut errors.unavailable,
            ErrorKind::QueueTimeout => &mut errors.queue_timeout,
            ErrorKind::Timeout => &mut errors.timeout,
            ErrorKind::Cancelled => &mut errors.cancelled,
            ErrorKind::Panicked => &mut errors.panicked,
            _ => &mut errors.other,
        } += 1;
    }
}
