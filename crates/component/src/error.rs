//! The error of a procedure: what its caller is told. Knows which WAMP error stands for which
//! database error; must not let out what only operators should see.

use std::fmt;

use serde_json::{Map, Value};
use sql::ErrorKind;

use wamp::{Payload, PayloadError, SHOWN, Uri, error_uri, excerpt};

/// Why a procedure has no result: an error URI, a message and details.
///
/// The caller gets the message as the only positional argument of the ERROR and the details
/// as its keyword arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Error(Box<Content>);

#[derive(Clone, Debug, PartialEq)]
struct Content {
    uri: Uri,
    message: String,
    details: Map<String, Value>,
    /// What PostgreSQL said of the data, which not every caller is to know.
    kept: Kept,
    /// What the error of a call has brought, which a caller gets as it is.
    payload: Option<Payload>,
}

/// What is not for every caller.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    /// The message without PostgreSQL's `detail`, where it has one.
    message: Option<String>,
    /// The keys of the details, each with what shows it.
    keys: Vec<(&'static str, ErrorDetails)>,
}

/// How much of what PostgreSQL reports with an error its callers get. All get the message, the hint,
/// `sqlstate` and `severity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorDetails {
    /// No more.
    #[default]
    None,
    /// Also what it is about: the names of `constraint`, `table` and `column`.
    Names,
    /// Also the `detail`, which may quote what is stored.
    All,
}

/// How many bytes of what PostgreSQL says are passed on, about: it repeats values that it was
/// given, and applications put values of their own into what they raise.
const SHOWN_OF_POSTGRES: usize = 16 << 10;

/// The SQLSTATE of a statement that was cancelled: PostgreSQL's appendix A.
const QUERY_CANCELED: &str = "57014";

impl Error {
    /// An error of the application's own.
    pub fn new(uri: impl Into<Uri>, message: impl fmt::Display) -> Self {
        let (uri, message) = (uri.into(), message.to_string());
        Self(Box::new(Content {
            uri,
            message,
            details: Map::new(),
            kept: Kept::default(),
            payload: None,
        }))
    }

    /// `wamp.error.invalid_argument`: an argument does not suit the procedure.
    pub fn invalid_argument(message: impl fmt::Display) -> Self {
        // Mostly it repeats the argument.
        Self::new(
            error_uri::INVALID_ARGUMENT,
            excerpt(message.to_string(), SHOWN),
        )
    }

    /// `wamp.error.runtime_error`: the procedure failed, and no other URI says how.
    pub fn runtime(message: impl fmt::Display) -> Self {
        Self::new(error_uri::RUNTIME_ERROR, message)
    }

    /// `wamp.error.runtime_error` for a procedure that panicked; what the panic said stays here.
    pub(super) fn panicked() -> Self {
        Self::runtime("the procedure has failed with a bug of its own")
    }

    /// The same error with one more detail.
    #[must_use]
    pub fn with_detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.details.insert(key.to_owned(), value.into());
        // What the application says itself is for the caller.
        self.0.kept.keys.retain(|(kept, _)| *kept != key);
        self.0.payload = None;
        self
    }

    /// The error URI.
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// The message, with all that PostgreSQL said: of an error that a call has ended with, its first argument if that is a text,
    /// else nothing.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The details, all that there are: of an error that a call has ended with, its keyword arguments.
    pub fn details(&self) -> &Map<String, Value> {
        &self.0.details
    }

    /// The error as callers get it who get this much of PostgreSQL's report.
    pub(super) fn for_callers(self, shown: ErrorDetails) -> wamp_client::Error {
        wamp_client::Error {
            payload: self.payload(shown),
            uri: self.0.uri,
        }
    }

    /// The same error, of which nobody gets more of PostgreSQL's report than this.
    pub(super) fn at_most(mut self, shown: ErrorDetails) -> Self {
        let content = &mut *self.0;
        if shown < ErrorDetails::All
            && let Some(without) = content.kept.message.take()
        {
            content.message = without;
        }
        let details = &mut content.details;
        content.kept.keys.retain(|(key, needed)| {
            let stays = shown >= *needed;
            if !stays {
                details.remove(*key);
            }
            stays
        });
        self
    }

    /// The payload of the ERROR message for callers who get this much of PostgreSQL's report.
    pub fn payload(&self, shown: ErrorDetails) -> Payload {
        let content = &*self.0;
        if let Some(payload) = &content.payload {
            return payload.clone();
        }
        let without = content.kept.message.as_ref();
        let without = without.filter(|_| shown < ErrorDetails::All);
        let args = [without.unwrap_or(&content.message)];
        let mut details = content.details.clone();
        for (key, needed) in &content.kept.keys {
            if shown < *needed {
                details.remove(*key);
            }
        }
        let with_details = if details.is_empty() {
            None
        } else {
            // Details nested too deep for a message are left out of it.
            Payload::from_args_kwargs(&args, &details).ok()
        };
        with_details
            .or_else(|| Payload::from_args(&args).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.uri, self.0.message)
    }
}

impl std::error::Error for Error {}

#[cfg(feature = "adbapi")]
impl From<adbapi::Error> for Error {
    /// As those of `sql`, whichever backend has them.
    fn from(error: adbapi::Error) -> Self {
        sql::Error::from(error).into()
    }
}

impl From<sql::Error> for Error {
    /// What PostgreSQL said goes into the details: `sqlstate`, `severity`, `detail`, `hint`,
    /// `constraint`, `table`, `column`, each where it was given, of which callers get what
    /// [`ErrorDetails`] says; `retryable` is true where the
    /// same call may succeed when made again. A [`component::Error`](Error) that a job returned by
    /// [`sql::Error::custom`], or adbapi's, is handed out again.
    fn from(error: sql::Error) -> Self {
        if let Some(own) = error.get_custom::<Self>() {
            return own.clone();
        }
        let uri = match error.kind() {
            // What a panic says is for operators, who find it in the log.
            ErrorKind::Panicked => return Self::panicked(),
            // Nothing has run, so another callee may be asked instead.
            ErrorKind::Unavailable
            | ErrorKind::QueueFull
            | ErrorKind::QueueTimeout
            | ErrorKind::Closed => error_uri::UNAVAILABLE,
            ErrorKind::Timeout => error_uri::TIMEOUT,
            ErrorKind::Cancelled => error_uri::CANCELED,
            // Also what statement_timeout comes to: the message says which.
            _ if error.sqlstate() == Some(QUERY_CANCELED) => error_uri::CANCELED,
            _ => error_uri::RUNTIME_ERROR,
        };
        let mut wamp = Self::new(uri, excerpt(error.to_string(), SHOWN_OF_POSTGRES));
        if let Some(report) = error.report() {
            let given = [
                ("sqlstate", Some(&report.sqlstate)),
                ("severity", Some(&report.severity)),
                ("detail", report.detail.as_ref()),
                ("hint", report.hint.as_ref()),
                ("constraint", report.constraint.as_ref()),
                ("table", report.table.as_ref()),
                ("column", report.column.as_ref()),
            ];
            for (key, value) in given {
                if let Some(value) = value {
                    wamp = wamp.with_detail(key, excerpt(&**value, SHOWN_OF_POSTGRES));
                }
            }
            wamp.0.kept = Kept::of(report, &error.to_string());
        }
        if error.is_retryable() {
            wamp.with_detail("retryable", true)
        } else {
            wamp
        }
    }
}

impl Kept {
    /// Of this report, which `text` repeats.
    fn of(report: &sql::Report, text: &str) -> Self {
        let named = [
            ("constraint", &report.constraint),
            ("table", &report.table),
            ("column", &report.column),
        ];
        let named = named.into_iter().filter(|(_, value)| value.is_some());
        let mut keys: Vec<_> = named.map(|(key, _)| (key, ErrorDetails::Names)).collect();
        let message = report.detail.as_ref().map(|detail| {
            keys.push(("detail", ErrorDetails::All));
            let without = text.replacen(&format!("; detail: {detail}"), "", 1);
            excerpt(without, SHOWN_OF_POSTGRES)
        });
        Self { message, keys }
    }
}

impl From<wamp_client::Error> for Error {
    /// A procedure that fails with the error of a call of its own hands it out as it is.
    fn from(error: wamp_client::Error) -> Self {
        let message = error.message().unwrap_or_default();
        let details = error.payload.kwargs().unwrap_or_default();
        Self(Box::new(Content {
            uri: error.uri,
            message,
            details,
            kept: Kept::default(),
            payload: Some(error.payload),
        }))
    }
}

impl From<Error> for wamp_client::Error {
    fn from(error: Error) -> Self {
        error.for_callers(ErrorDetails::None)
    }
}

impl From<PayloadError> for Error {
    /// A bug of the component: what it would send has no form in a message.
    fn from(error: PayloadError) -> Self {
        Self::runtime(format_args!("the arguments have no JSON form: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_an_argument_is_bounded() {
        let long = "x".repeat(1_000_000);
        let invalid = Error::invalid_argument(format_args!("argument 1: {long:?} is no number"));
        assert!(invalid.payload(ErrorDetails::None).len() < 2 * SHOWN);
        assert!(invalid.to_string().ends_with("is no number"));
        let said = Error::from(sql::Error::new(ErrorKind::Other, long));
        assert!(said.payload(ErrorDetails::None).len() < 2 * SHOWN_OF_POSTGRES);
    }

    #[test]
    fn what_postgresql_said_is_in_the_details() {
        let report = sql::Report {
            severity: "ERROR".into(),
            sqlstate: QUERY_CANCELED.into(),
            hint: Some("ask for less".into()),
            ..sql::Report::default()
        };
        let database = sql::Error::new(ErrorKind::Database, "no").with_report(report);
        let told = Error::from(database);
        assert_eq!(told.uri().as_str(), error_uri::CANCELED);
        let expected = Error::new(error_uri::CANCELED, "no")
            .with_detail("sqlstate", QUERY_CANCELED)
            .with_detail("severity", "ERROR")
            .with_detail("hint", "ask for less");
        assert_eq!(told, expected);
        let lost = Error::from(sql::Error::new(ErrorKind::ConnectionLost, "no"));
        let expected = Error::runtime("no").with_detail("retryable", true);
        assert_eq!(lost, expected);
        let panicked = sql::Error::new(ErrorKind::Panicked, "hunter2");
        assert_eq!(Error::from(panicked), Error::panicked());
    }

    #[test]
    fn callers_get_as_much_of_the_report_as_the_setting_says() {
        let report = sql::Report {
            severity: "ERROR".into(),
            sqlstate: "23505".into(),
            detail: Some("Key (card)=(4711) already exists.".into()),
            hint: Some("take another".into()),
            constraint: Some("cards_pkey".into()),
            table: Some("cards".into()),
            ..sql::Report::default()
        };
        let text = "ERROR: taken (SQLSTATE 23505); detail: Key (card)=(4711) already exists.; \
                    hint: take another";
        let error = sql::Error::new(ErrorKind::Database, text).with_report(report);
        let error = Error::from(error);
        assert_eq!(error.message(), text);
        assert_eq!(error.details()["constraint"], "cards_pkey");
        for (shown, keys) in [
            (ErrorDetails::None, "hint severity sqlstate"),
            (
                ErrorDetails::Names,
                "constraint hint severity sqlstate table",
            ),
            (
                ErrorDetails::All,
                "constraint detail hint severity sqlstate table",
            ),
        ] {
            let payload = error.payload(shown);
            let kwargs = payload.kwargs::<Map<String, Value>>().unwrap();
            let mut told: Vec<_> = kwargs.keys().map(String::as_str).collect();
            told.sort_unstable();
            assert_eq!(told.join(" "), keys);
            let (message,) = payload.args::<(String,)>().unwrap();
            assert_eq!(message.contains("4711"), shown == ErrorDetails::All);
            assert!(message.ends_with("; hint: take another"), "{message}");
        }
        // Whoever hands an error on by itself gives no more than the least.
        let handed = wamp_client::Error::from(error.clone()).payload;
        assert_eq!(handed, error.payload(ErrorDetails::None));
        let own = error.with_detail("table", "of mine");
        let own = own.payload(ErrorDetails::None);
        assert_eq!(own.kwargs::<Value>().unwrap()["table"], "of mine");
    }

    #[test]
    fn an_error_of_a_call_is_handed_out_as_it_came() {
        let came = wamp_client::Error {
            uri: "com.example.sold_out".into(),
            payload: Payload::from_args_kwargs(
                &("none left", 7),
                &Map::from_iter([("left".to_owned(), 0.into())]),
            )
            .unwrap(),
        };
        let error = Error::from(came.clone());
        assert_eq!(error.to_string(), "com.example.sold_out: none left");
        assert_eq!(error.details()["left"], 0);
        assert_eq!(wamp_client::Error::from(error.clone()), came);
        // With a detail of one's own it is one's own error.
        let own = error.with_detail("item", "tea").payload(ErrorDetails::None);
        assert_eq!(own.args::<(String,)>().unwrap().0, "none left");
        assert_eq!(own.kwargs::<Value>().unwrap()["item"], "tea");
    }

    #[test]
    fn a_job_may_answer_with_an_error_of_its_own() {
        let sold_out = Error::new("com.example.sold_out", "none left").with_detail("left", 0);
        let answers = [
            Error::from(sql::Error::custom(sold_out.clone())),
            #[cfg(feature = "adbapi")]
            Error::from(adbapi::Error::custom(sold_out.clone())),
        ];
        for answered in answers {
            assert_eq!(answered, sold_out);
        }
        let others = [
            Error::from(sql::Error::custom("oh")),
            #[cfg(feature = "adbapi")]
            Error::from(adbapi::Error::custom("oh")),
        ];
        for other in others {
            assert_eq!(other, Error::runtime("oh"));
        }
    }
}
