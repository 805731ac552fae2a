//! Owns the figures of a pool as one looks at it from outside; how they come about is the others'
//! business.

use std::time::Duration;

use super::error::ErrorKind;

/// What a pool does at one moment, and has done since its start. From
/// [`stats`](super::ConnectionPool::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open connections, `busy` and `idle`.
    pub connections: u32,
    /// Connections a job is running on.
    pub busy: u32,
    /// Connections without a job.
    pub idle: u32,
    /// Connections being opened.
    pub connecting: u32,
    /// Jobs in the queue, at most `queue_limit`.
    pub waiting: usize,
    /// Jobs that workers have in hand, whether they have a connection yet or not.
    pub running: u32,
    /// The longest that any job has waited for a worker.
    pub longest_wait: Duration,
    /// Jobs that are done with, in whatever way.
    pub jobs: u64,
    /// Those of them that failed, and those that were refused, by the reason.
    pub errors: ErrorCounts,
    /// Connections opened.
    pub opened: u64,
    /// Connections found dead, or that broke under a job.
    pub lost: u64,
    /// Statements that were prepared already on their connection.
    pub statement_hits: u64,
    /// Statements that had to be prepared.
    pub statement_misses: u64,
}

/// How many jobs failed with which [`Error`](super::Error).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorCounts {
    /// [`super::Error::Database`], also of statements that PostgreSQL ended at their
    /// `statement_timeout`.
    pub database: u64,
    /// [`super::Error::ConnectionLost`].
    pub connection_lost: u64,
    /// [`super::Error::Unavailable`].
    pub unavailable: u64,
    /// [`super::Error::QueueFull`]: refused, so not among `jobs`.
    pub queue_full: u64,
    /// [`super::Error::QueueTimeout`], counted when a worker comes upon the job.
    pub queue_timeout: u64,
    /// [`super::Error::Timeout`].
    pub timeout: u64,
    /// [`super::Error::Cancelled`], counted when the worker has done with the job.
    pub cancelled: u64,
    /// [`super::Error::Panicked`].
    pub panicked: u64,
    /// All others, mostly the jobs' own.
    pub other: u64,
}

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
}

impl Stats {
    pub(super) fn add(&mut self, tally: &Tally) {
        self.longest_wait = self.longest_wait.max(tally.longest_wait);
        self.jobs += tally.jobs;
        self.statement_hits += tally.statement_hits;
        self.statement_misses += tally.statement_misses;
        let (all, its) = (&mut self.errors, &tally.errors);
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
