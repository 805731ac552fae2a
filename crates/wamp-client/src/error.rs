//! Why a request has no result. Must not know which request it was.

use std::fmt;

use serde_json::Value;

use wamp::{Payload, SHOWN, Uri, error_uri, excerpt};

/// Why a request has failed: an ERROR of the router or the callee, or what stands for one where no
/// answer has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// Which error it is.
    pub uri: Uri,
    /// What there is to say about it; mostly one text.
    pub payload: Payload,
}

impl Error {
    /// An error with one text.
    pub fn new(uri: impl Into<Uri>, message: &str) -> Self {
        Self {
            uri: uri.into(),
            payload: Payload::from_args(&[message]).unwrap_or_default(),
        }
    }

    /// The first positional argument, if that is a text.
    pub fn message(&self) -> Option<String> {
        match self.payload.args::<Vec<Value>>().ok()?.into_iter().next() {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// `wamp.error.unavailable`: nothing was sent, so the same request may succeed later.
    pub(crate) fn unavailable(message: &str) -> Self {
        Self::new(error_uri::UNAVAILABLE, message)
    }

    /// `wamp.error.canceled`: the session has ended before the answer came. The request may have
    /// been carried out or not.
    pub(crate) fn unanswered(why: &impl fmt::Display) -> Self {
        let message = format!("the session has ended before the answer came: {why}");
        Self::new(error_uri::CANCELED, &excerpt(message, SHOWN))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            Some(message) => write!(f, "{}: {message}", self.uri),
            None => self.uri.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
