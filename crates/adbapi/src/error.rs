//! Owns what can go wrong with a job and what a caller may do about it; knows no queue, no thread
//! and no caller.

use std::{error::Error as StdError, fmt::Write as _, io, time::Duration};

use deferred::Failure;
use postgres::error::{DbError, Severity, SqlState};
use tracing::error;

use super::LOG;

/// Why a job has no result.
///
/// A closure given to [`run_interaction`](super::ConnectionPool::run_interaction) returns it too:
/// `?` works on [`postgres::Error`], and [`Error::custom`] carries an error of the closure's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// PostgreSQL refused the statement, or a value could not be converted to or from SQL.
    #[error("{}", describe(.0))]
    Database(#[source] postgres::Error),

    /// The connection broke while the statement was under way: it may or may not have run
    /// (`ConnectionLost` in Twisted). Never retried by the pool itself.
    #[error("the connection to PostgreSQL was lost, the statement may or may not have run: {}", describe(.0))]
    ConnectionLost(#[source] postgres::Error),

    /// There was no connection within `connect_timeout`; nothing was sent.
    #[error("no connection to PostgreSQL within {} ms: {reason}", .waited.as_millis())]
    Unavailable {
        /// What the last attempt to connect said.
        reason: Box<str>,
        /// How long the job waited, counted from its submission.
        waited: Duration,
    },

    /// As many jobs as the queue holds are waiting; nothing was sent.
    #[error(
        "the job queue is full: {limit} jobs are waiting; raise queue_limit or cp_max, or send less at once"
    )]
    QueueFull {
        /// The pool's `queue_limit`.
        limit: usize,
    },

    /// No worker was free for the job within `queue_timeout`; nothing was sent.
    #[error("the job waited {} ms for a worker; raise queue_timeout or cp_max, or send less at once", .limit.as_millis())]
    QueueTimeout {
        /// The pool's `queue_timeout`.
        limit: Duration,
    },

    /// PostgreSQL gave no answer, not even to say that the statement had reached
    /// `statement_timeout`: it is frozen or cannot be reached. Whether the statement ran is
    /// unknown. A job that has set another limit for its session never gets this error.
    #[error(
        "no answer from PostgreSQL, although statement_timeout is {} ms; it may be frozen, or a function has set another \
         statement_timeout for the session", .limit.as_millis()
    )]
    Timeout {
        /// The pool's `statement_timeout`.
        limit: Duration,
    },

    /// The job was [cancelled](super::CancelHandle::cancel).
    #[error("the job was cancelled")]
    Cancelled,

    /// The pool is closed.
    #[error("the connection pool is closed")]
    Closed,

    /// The job's closure, or a callback on the way to this result, panicked.
    #[error("the job panicked: {0}")]
    Panicked(Box<str>),

    /// The closure returned `Ok` although one of its statements had failed, so PostgreSQL rolled
    /// everything back.
    #[error(
        "the transaction was rolled back because a statement in it had failed ({0}); return that error"
    )]
    Aborted(Box<str>),

    /// The job tried to begin or end a transaction with a statement of its own. Nothing was sent.
    #[error(
        "{0} is the pool's to send: return Ok to commit and Err to roll back, or use a SAVEPOINT"
    )]
    TransactionControl(&'static str),

    /// A [`Promise`](super::Promise) was dropped without a result.
    #[error("the promise of this result was dropped")]
    Dropped,

    /// The pool's settings contradict each other, or name something that is not there.
    #[error("{0}")]
    Config(Box<str>),

    /// An error in the words that all backends share: a row that does not fit the type it was to be,
    /// or whatever the closure of another [`Driver`](super::Driver) returns as one. What it says is
    /// what counts: whether the job may be sent again, and which SQLSTATE a caller is told.
    #[error("{0}")]
    Sql(#[source] Box<sql::Error>),

    /// An error of the job's own.
    #[error("{0}")]
    Custom(#[source] Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Wraps an error, or just a message, of the job's own, so that it reaches the caller through
    /// the pool.
    pub fn custom(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Custom(error.into())
    }

    /// The error as PostgreSQL reported it: severity, message, detail, hint, constraint and so on.
    pub fn db_error(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) | Self::ConnectionLost(error) => error.as_db_error(),
            _ => None,
        }
    }

    /// The SQLSTATE, where PostgreSQL gave one.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        self.db_error().map(DbError::code)
    }

    /// What is wrong, for an error that comes from no statement.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::ConnectionLost(error) => describe(error),
            other => other.to_string(),
        }
    }

    /// Whether the same job may succeed when it is sent again as it is.
    ///
    /// True for serialization failures (40001) and deadlocks (40P01), which rolled back; for a full
    /// or slow queue and a missing connection, where nothing was sent; and for
    /// [`Error::ConnectionLost`], where the caller must know that running the job twice does no
    /// harm.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ConnectionLost(_)
            | Self::Unavailable { .. }
            | Self::QueueFull { .. }
            | Self::QueueTimeout { .. } => true,
            Self::Database(_) => self.sqlstate().is_some_and(|state| {
                *state == SqlState::T_R_SERIALIZATION_FAILURE
                    || *state == SqlState::T_R_DEADLOCK_DETECTED
            }),
            Self::Sql(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        if means_lost(&error) {
            Self::ConnectionLost(error)
        } else {
            Self::Database(error)
        }
    }
}

impl From<sql::Error> for Error {
    fn from(error: sql::Error) -> Self {
        Self::Sql(Box::new(error))
    }
}

impl From<Box<dyn StdError + Send + Sync>> for Error {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self::Custom(error)
    }
}

/// Whether `error` means that its connection can't be used any more, even if the client library
/// believes that it can.
pub(super) fn means_lost(error: &postgres::Error) -> bool {
    if let Some(error) = error.as_db_error() {
        // After FATAL and PANIC PostgreSQL closes the connection. 57P01 to 57P03 come with FATAL
        // from PostgreSQL but not from every pooler. Class 08, "connection exception", comes with
        // ERROR when the server has lost a connection of its own, as postgres_fdw does.
        // PostgreSQL's appendix A.
        let ended = matches!(
            error.parsed_severity(),
            Some(Severity::Fatal | Severity::Panic)
        );
        let states = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
        ];
        return ended || states.contains(error.code());
    }
    if rustls_error(error).is_some() {
        return true;
    }
    // An io::Error of these two kinds is a value that could not be encoded or decoded, not a
    // socket.
    let local = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData];
    let socket = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| !local.contains(&error.kind()));
    error.is_closed() || socket
}

/// The error of TLS, if that is what is wrong.
pub(super) fn rustls_error(error: &postgres::Error) -> Option<&rustls::Error> {
    let error = std::error::Error::source(error)?.downcast_ref::<io::Error>()?;
    error.get_ref()?.downcast_ref()
}

/// A PostgreSQL error in one line, without what could quote a row.
pub(super) fn summary(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!(
            "{}: {} (SQLSTATE {})",
            db.severity(),
            db.message(),
            db.code().code()
        ),
        None => describe(error),
    }
}

/// A whole PostgreSQL error in one line: `postgres::Error` alone says "db error" and keeps the rest
/// behind `source()`.
pub(super) fn describe(error: &postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        let mut text = summary(error);
        for (name, value) in [("detail", db.detail()), ("hint", db.hint())] {
            if let Some(value) = value {
                let _ = write!(text, "; {name}: {value}");
            }
        }
        return text;
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// An [`Error`] without its details, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    Database,
    ConnectionLost,
    Unavailable,
    QueueTimeout,
    Timeout,
    Cancelled,
    Panicked,
    Other,
}

impl From<&Error> for ErrorKind {
    fn from(error: &Error) -> Self {
        match error {
            Error::Database(_) => Self::Database,
            Error::ConnectionLost(_) => Self::ConnectionLost,
            Error::Unavailable { .. } => Self::Unavailable,
            Error::QueueTimeout { .. } => Self::QueueTimeout,
            Error::Timeout { .. } => Self::Timeout,
            Error::Cancelled => Self::Cancelled,
            Error::Panicked(_) => Self::Panicked,
            Error::Sql(error) => match error.kind() {
                sql::ErrorKind::Database => Self::Database,
                sql::ErrorKind::ConnectionLost => Self::ConnectionLost,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

impl Failure for Error {
    type Kind = ErrorKind;

    fn cancelled() -> Self {
        Self::Cancelled
    }

    fn dropped() -> Self {
        Self::Dropped
    }

    fn panicked(message: &str) -> Self {
        Self::Panicked(message.into())
    }

    fn kind(&self) -> ErrorKind {
        self.into()
    }

    fn callback_panicked(message: &str) {
        error!(target: LOG, "a callback of a Deferred panicked: {message}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small_because_every_result_carries_it() {
        assert!(size_of::<Error>() <= 40, "{} bytes", size_of::<Error>());
    }

    #[test]
    fn custom_errors_keep_their_type_and_text() {
        let error = Error::custom(io::Error::other("no stock left"));
        assert_eq!(error.to_string(), "no stock left");
        let Error::Custom(inner) = error else {
            panic!("not custom")
        };
        assert!(inner.downcast_ref::<io::Error>().is_some());
    }

    #[test]
    fn what_was_never_sent_may_be_retried() {
        assert!(Error::QueueFull { limit: 1 }.is_retryable());
        assert!(
            Error::Unavailable {
                reason: "refused".into(),
                waited: Duration::ZERO
            }
            .is_retryable()
        );
        assert!(!Error::Closed.is_retryable());
        assert!(!Error::custom("no").is_retryable());
    }
}
