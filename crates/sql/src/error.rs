//! Owns why a job has no result, whichever backend ran it. Must not know a driver.

use std::{error::Error as StdError, fmt, sync::Arc};

use deferred::Failure;
use tracing::error;

/// Why a job has no result. Its text is one line that says all that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    text: Box<str>,
    cause: Option<Box<Cause>>,
    is_early: bool,
}

/// What is behind an error.
#[derive(Clone, Debug)]
enum Cause {
    Report(Report),
    Custom(Arc<dyn StdError + Send + Sync>),
}

impl PartialEq for Cause {
    /// An error of a job's own is equal to itself alone.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Report(one), Self::Report(other)) => one == other,
            (Self::Custom(one), Self::Custom(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Cause {}

/// What kind of [`Error`] it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// PostgreSQL refused the statement; [`Error::report`] has what it said.
    Database,
    /// A value could not be converted to or from SQL.
    Value,
    /// The connection broke while the statement was under way: it may or may not have run.
    ConnectionLost,
    /// No connection could be had in time; nothing was sent.
    Unavailable,
    /// As many jobs as the queue holds are waiting; nothing was sent.
    QueueFull,
    /// The job waited too long for its turn; nothing was sent.
    QueueTimeout,
    /// PostgreSQL gave no answer in time. Whether the statement ran is unknown.
    Timeout,
    /// The job was cancelled.
    Cancelled,
    /// The database is closed.
    Closed,
    /// Something panicked on the way to the result.
    Panicked,
    /// Whoever owed the result has gone without giving one.
    Dropped,
    /// A setting or a job contradicts itself, or names what cannot be. Nothing was sent.
    Config,
    /// Anything else; the text says it.
    Other,
}

/// An error as PostgreSQL reported it: see ["Error and Notice Message
/// Fields"](https://www.postgresql.org/docs/current/protocol-error-fields.html) in its manual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// `ERROR`, `FATAL` or `PANIC`, in the server's language.
    pub severity: Box<str>,
    /// Five characters.
    pub sqlstate: Box<str>,
    /// The primary message.
    pub message: Box<str>,
    /// More about it.
    pub detail: Option<Box<str>>,
    /// What to do about it.
    pub hint: Option<Box<str>>,
    /// The name of the schema that it is about.
    pub schema: Option<Box<str>>,
    /// The name of the table.
    pub table: Option<Box<str>>,
    /// The name of the column.
    pub column: Option<Box<str>>,
    /// The name of the constraint.
    pub constraint: Option<Box<str>>,
    /// Where in the statement it is: the number of the character, from 1.
    pub position: Option<u32>,
}

impl Error {
    /// An error of a kind, with a text for people.
    pub fn new(kind: ErrorKind, text: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            text: text.into(),
            cause: None,
            is_early: false,
        }
    }

    /// The same error with what PostgreSQL said.
    #[must_use]
    pub fn with_report(mut self, report: Report) -> Self {
        self.cause = Some(Box::new(Cause::Report(report)));
        self
    }

    /// The same error, which ended a transaction before the first statement of its job.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.is_early = true;
        self
    }

    /// Wraps an error, or just a message, of a job's own, so that it reaches the caller through the
    /// pool.
    pub fn custom(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error: Arc<dyn StdError + Send + Sync> = error.into().into();
        Self {
            kind: ErrorKind::Other,
            text: error.to_string().into(),
            cause: Some(Box::new(Cause::Custom(error))),
            is_early: false,
        }
    }

    /// A setting or a job that cannot be.
    pub fn config(text: impl Into<Box<str>>) -> Self {
        Self::new(ErrorKind::Config, text)
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether it ended a transaction before the first statement of its job: one of its
    /// [`Settings`](crate::Settings) was refused, or what they have run [before](crate::Settings::before).
    pub fn is_early(&self) -> bool {
        self.is_early
    }

    /// What PostgreSQL said, if it said anything.
    pub fn report(&self) -> Option<&Report> {
        match self.cause.as_deref()? {
            Cause::Report(report) => Some(report),
            Cause::Custom(_) => None,
        }
    }

    /// The error of the job's own that [`custom`](Self::custom) wrapped, if it is of this type.
    pub fn get_custom<T: StdError + 'static>(&self) -> Option<&T> {
        match self.cause.as_deref()? {
            Cause::Custom(error) => error.downcast_ref(),
            Cause::Report(_) => None,
        }
    }

    /// The SQLSTATE, where PostgreSQL gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        self.report().map(|report| &*report.sqlstate)
    }

    /// Whether the same job may succeed when it is sent again as it is.
    ///
    /// True for serialization failures (40001) and deadlocks (40P01), which rolled back; for a full
    /// or slow queue and a missing connection, where nothing was sent; and for
    /// [`ErrorKind::ConnectionLost`], where the caller must know that running the job twice does no
    /// harm.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            ErrorKind::ConnectionLost
            | ErrorKind::Unavailable
            | ErrorKind::QueueFull
            | ErrorKind::QueueTimeout => true,
            ErrorKind::Database => matches!(self.sqlstate(), Some("40001" | "40P01")),
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Error {}

/// A result of a database that will come; see [`deferred::Deferred`].
pub type Deferred<T> = deferred::Deferred<T, Error>;

impl Failure for Error {
    type Kind = ErrorKind;

    fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "the job was cancelled")
    }

    fn dropped() -> Self {
        let text = "the promise of this result was dropped";
        Self::new(ErrorKind::Dropped, text)
    }

    fn panicked(message: &str) -> Self {
        let text = format!("the job panicked: {message}");
        Self::new(ErrorKind::Panicked, text)
    }

    fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn callback_panicked(message: &str) {
        error!(target: crate::LOG, "a callback of a Deferred panicked: {message}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_small_because_every_result_carries_it() {
        assert!(size_of::<Error>() <= 32, "{} bytes", size_of::<Error>());
    }

    #[test]
    fn an_error_of_a_jobs_own_keeps_its_type_and_text() {
        let own = std::io::Error::other("no stock left");
        let error = Error::custom(own).clone();
        assert_eq!(error.to_string(), "no stock left");
        assert_eq!(error.kind(), ErrorKind::Other);
        assert!(error.get_custom::<std::io::Error>().is_some());
        assert!(error.get_custom::<fmt::Error>().is_none());
        assert_eq!(error.clone(), error);
        assert_ne!(error, Error::custom("no stock left"));
    }

    #[test]
    fn what_was_rolled_back_or_never_sent_may_be_retried() {
        let of = |sqlstate: &str| {
            let report = Report {
                sqlstate: sqlstate.into(),
                ..Report::default()
            };
            Error::new(ErrorKind::Database, "no").with_report(report)
        };
        for (error, retryable) in [
            (of("40001"), true),
            (of("40P01"), true),
            (of("23505"), false),
            (Error::new(ErrorKind::Unavailable, "no"), true),
            (Error::new(ErrorKind::QueueFull, "no"), true),
            (Error::new(ErrorKind::Closed, "no"), false),
            (Error::cancelled(), false),
        ] {
            assert_eq!(error.is_retryable(), retryable, "{error:?}");
        }
    }
}
