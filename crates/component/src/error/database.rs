//! Owns what the error of a database becomes for the caller of a procedure. Must not know which WAMP
//! error it comes to.

use sql::{ErrorKind, Report};
use wamp::excerpt;

use super::{
    Error, ErrorDetails, Kept, raised,
    table::{self, RAISED, Words},
};

/// How many bytes of what PostgreSQL says are passed on, about: it repeats values that it was
/// given, and applications put values of their own into what they raise.
pub(super) const SHOWN_OF_POSTGRES: usize = 16 << 10;

#[cfg(feature = "adbapi")]
impl From<adbapi::Error> for Error {
    /// As those of `sql`, whichever backend has them.
    fn from(error: adbapi::Error) -> Self {
        sql::Error::from(error).into()
    }
}

impl From<sql::Error> for Error {
    /// What PostgreSQL said goes into the details: `sqlstate`, `severity`, `message`, `detail`,
    /// `hint`, `constraint`, `table`, `column`, each where it was given, of which callers get what
    /// [`ErrorDetails`] says; `retryable` is true where the same call may succeed when made again.
    /// What SQL raises as a WAMP error ([`RAISED`]) is that error. A [`component::Error`](Error) that
    /// a job returned by [`sql::Error::custom`], or adbapi's, is handed out again.
    fn from(error: sql::Error) -> Self {
        if let Some(own) = error.get_custom::<Self>() {
            return own.clone();
        }
        // What a panic says is for operators, who find it in the log.
        if error.kind() == ErrorKind::Panicked {
            return Self::panicked();
        }
        let report = error.report();
        if let Some(report) = report.filter(|report| &*report.sqlstate == RAISED) {
            return raised::error(report);
        }
        let told = table::told(error.kind(), error.sqlstate());
        let told = if error.is_early() { told.early() } else { told };
        let text = error.to_string();
        let mut wamp = Self::new(told.uri, excerpt(&*text, SHOWN_OF_POSTGRES));
        if let Some(report) = report {
            for (key, value) in given(report) {
                wamp = wamp.with_detail(key, excerpt(value, SHOWN_OF_POSTGRES));
            }
        }
        let without_detail = report.and_then(|report| without_detail(report, &text));
        if told.words == Words::Operators {
            wamp.0.kept = Kept::all(report);
            wamp = wamp.with_log(excerpt(without_detail.unwrap_or(text), SHOWN_OF_POSTGRES));
        } else if let Some(report) = report {
            wamp.0.kept = Kept::of(report, without_detail);
        }
        if error.is_retryable() {
            wamp.with_detail("retryable", true)
        } else {
            wamp
        }
    }
}

/// What a report says, by the keys of the details.
fn given(report: &Report) -> impl Iterator<Item = (&'static str, &str)> {
    let given = [
        ("sqlstate", Some(&report.sqlstate)),
        ("severity", Some(&report.severity)),
        ("message", Some(&report.message)),
        ("detail", report.detail.as_ref()),
        ("hint", report.hint.as_ref()),
        ("constraint", report.constraint.as_ref()),
        ("table", report.table.as_ref()),
        ("column", report.column.as_ref()),
    ];
    given
        .into_iter()
        .filter_map(|(key, value)| Some((key, &**value?)))
}

/// The text that repeats a report without its detail, which may quote what is stored.
fn without_detail(report: &Report, text: &str) -> Option<String> {
    let detail = report.detail.as_ref()?;
    let without = text.replacen(&format!("; detail: {detail}"), "", 1);
    Some(excerpt(without, SHOWN_OF_POSTGRES))
}

impl Kept {
    /// Of what is about the data.
    fn of(report: &Report, without_detail: Option<String>) -> Self {
        let needed = |key| match key {
            "constraint" | "table" | "column" => Some(ErrorDetails::Names),
            "detail" => Some(ErrorDetails::All),
            _ => None,
        };
        let keys = given(report).filter_map(|(key, _)| Some((key, needed(key)?)));
        Self {
            instead: without_detail.map(|text| (ErrorDetails::All, text)),
            keys: keys.collect(),
        }
    }

    /// Of all that was said but the SQLSTATE.
    fn all(report: Option<&Report>) -> Self {
        let state = report.map(|report| format!(" (SQLSTATE {})", report.sqlstate));
        let text = format!(
            "the procedure has failed inside of the database{}; the log of the node says why, and \
             with `error_details` `debug` so does the error",
            state.unwrap_or_default()
        );
        let keys = report.into_iter().flat_map(given).map(|(key, _)| key);
        let keys = keys.filter(|key| !matches!(*key, "sqlstate" | "severity"));
        Self {
            instead: Some((ErrorDetails::Debug, text)),
            keys: keys.map(|key| (key, ErrorDetails::Debug)).collect(),
        }
    }
}
