//! Owns the words for what goes wrong outside of a statement. Decides nothing.

use std::time::Duration;

use sql::{Error, ErrorKind};

/// The target of all log records.
pub(crate) const LOG: &str = "wampgres::txpostgres";

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the connection pool is closed")
}

pub(crate) fn queue_full(limit: usize) -> Error {
    let text = format!(
        "the job queue is full: {limit} jobs are waiting; raise queue_limit or cp_max, or send less at once"
    );
    Error::new(ErrorKind::QueueFull, text)
}

pub(crate) fn queue_timeout(limit: Duration) -> Error {
    let text = format!(
        "the job waited {} ms for a connection; raise queue_timeout or cp_max, or send less at once",
        limit.as_millis()
    );
    Error::new(ErrorKind::QueueTimeout, text)
}

pub(crate) fn unavailable(reason: &str, waited: Duration) -> Error {
    let text = format!(
        "no connection to PostgreSQL within {} ms: {reason}",
        waited.as_millis()
    );
    Error::new(ErrorKind::Unavailable, text)
}

pub(crate) fn timeout(limit: Duration) -> Error {
    let text = format!(
        "no answer from PostgreSQL, although statement_timeout is {} ms; it may be frozen, or a function has set \
         another statement_timeout for the session",
        limit.as_millis()
    );
    Error::new(ErrorKind::Timeout, text)
}

/// Why an attempt to connect has come to nothing, where PostgreSQL has not said it.
pub(crate) fn broken(reason: impl Into<Box<str>>) -> Error {
    Error::new(ErrorKind::Unavailable, reason)
}
