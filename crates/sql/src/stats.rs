//! Owns the figures of a database as one looks at it from outside. Must not know how they come
//! about.

use std::time::Duration;

/// What a database does at one moment, and has done since its start. From
/// [`stats`](crate::Database::stats).
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
    /// Jobs that were taken from the queue, whether they have a connection yet or not.
    pub running: u32,
    /// The longest that any job has waited in the queue.
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

/// How many jobs failed with which [`ErrorKind`](crate::ErrorKind).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorCounts {
    /// `Database`, also of statements that PostgreSQL ended at their
    /// `statement_timeout`.
    pub database: u64,
    /// `ConnectionLost`.
    pub connection_lost: u64,
    /// `Unavailable`.
    pub unavailable: u64,
    /// `QueueFull`: refused, so not among `jobs`.
    pub queue_full: u64,
    /// `QueueTimeout`, counted when the job's turn comes.
    pub queue_timeout: u64,
    /// `Timeout`.
    pub timeout: u64,
    /// `Cancelled`, counted when nothing runs for the job any more.
    pub cancelled: u64,
    /// `Panicked`.
    pub panicked: u64,
    /// All others, mostly the jobs' own.
    pub other: u64,
}
