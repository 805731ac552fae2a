//! Owns what one worker counts. Must not know where the sums are shown.

use std::time::Duration;

use sql::{ErrorCounts, Stats};

use super::error::ErrorKind;

/// What one worker has done.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) longest_wait: Duration,
    pub(super) jobs: u64,
    pub(super) errors: ErrorCounts,
    pub(super) statement_hits: u64,
    pub(super) statement_misses: u64,
}

impl Tally {
    pub(super) fn count(&mut self, failure: Option<ErrorKind>) {
        self.jobs += 1;
        let Some(kind) = failure else { return };
        let errors = &mut self.errors;
        *match kind {
            ErrorKind::Database => &mut errors.database,
            ErrorKind::ConnectionLost => &mut errors.connection_lost,
            ErrorKind::Unavailable => &mut errors.unavailable,
            ErrorKind::QueueTimeout => &mut errors.queue_timeout,
            ErrorKind::Timeout => &mut errors.timeout,
            ErrorKind::Cancelled => &mut errors.cancelled,
            ErrorKind::Panicked => &mut errors.panicked,
            ErrorKind::Other => &mut errors.other,
        } += 1;
    }

    /// Adds it to the sums of all.
    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.longest_wait = stats.longest_wait.max(self.longest_wait);
        stats.jobs += self.jobs;
        stats.statement_hits += self.statement_hits;
        stats.statement_misses += self.statement_misses;
        let (all, its) = (&mut stats.errors, &self.errors);
        all.database += its.database;
        all.connection_lost += its.connection_lost;
        all.unavailable += its.unavailable;
        all.queue_timeout += its.queue_timeout;
        all.timeout += its.timeout;
        all.cancelled += its.cancelled;
        all.panicked += its.panicked;
        all.other += its.other;
    }
}
