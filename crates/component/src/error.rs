//! The error of a procedure: what its caller is told. Must not let out what only operators should
//! see, nor know what an error of a database comes to.

mod database;
mod raised;
mod reference;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value};

use wamp::{Payload, PayloadError, SHOWN, Uri, error_uri, excerpt};

pub use reference::error_reference;
pub use table::{CONFLICT, RAISED};

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
    /// What the error of a call has brought, or SQL has raised, which a caller gets as it is.
    payload: Option<Payload>,
    /// What operators are to hear of it: it is the node's or the procedure's own.
    log: Option<String>,
}

/// What is not for every caller.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    /// What callers are told instead of the message, and what shows them the message.
    instead: Option<(ErrorDetails, String)>,
    /// The keys of the details, each with what shows it.
    keys: Vec<(&'static str, ErrorDetails)>,
}

/// How much of what PostgreSQL reports with an error its callers get. All get `sqlstate` and
/// `severity`, and the message and the hint of what is not about the inside of a procedure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorDetails {
    /// No more.
    #[default]
    None,
    /// Also what it is about: the names of `constraint`, `table` and `column`.
    Names,
    /// Also the `detail`, which may quote what is stored.
    All,
    /// Also what is about the inside of a procedure or of the server: for development.
    Debug,
}

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
            log: None,
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
        if let Some((_, instead)) = content.kept.instead.take_if(|(needed, _)| shown < *needed) {
            content.message = instead;
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
        let args = [self.said(shown)];
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

impl Error {
    /// The message for those who get this much of PostgreSQL's report.
    fn said(&self, shown: ErrorDetails) -> &str {
        let instead = self.0.kept.instead.as_ref();
        let instead = instead.filter(|(needed, _)| shown < *needed);
        instead.map_or(&self.0.message, |(_, text)| text)
    }

    /// The same error, of which operators are to hear this.
    #[must_use]
    pub(super) fn with_log(mut self, text: String) -> Self {
        self.0.log = Some(text);
        self
    }

    /// What operators are to hear of it, if anything: not what may quote stored data.
    pub(super) fn log(&self) -> Option<&str> {
        self.0.log.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.uri, self.0.message)
    }
}

impl std::error::Error for Error {}

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
            log: None,
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
