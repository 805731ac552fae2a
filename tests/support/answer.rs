//! What calls come to, read from RESULT and ERROR. Owns no assertion about the product but what is
//! awaited.

use serde_json::Value;

use super::websocket::code;

/// What a call has come to.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// Which call.
    pub request: u64,
    /// The first argument of the RESULT, or the ERROR.
    pub outcome: Result<Value, CallError>,
}

/// An ERROR for a call.
#[derive(Clone, PartialEq, Debug)]
pub struct CallError {
    /// Its URI.
    pub uri: String,
    /// Its first argument.
    pub message: String,
    /// Its keyword arguments.
    pub details: Value,
}

impl Answer {
    /// Reads a RESULT, or an ERROR for a call.
    pub fn of(message: &Value) -> Self {
        let parts = message.as_array().map_or(&[][..], Vec::as_slice);
        let (request, outcome) = match parts {
            [code, request, _, payload @ ..] if *code == code::RESULT => {
                let args = payload.first().cloned().unwrap_or_default();
                (request, Ok(args[0].clone()))
            }
            [code, kind, request, _, uri, args, details @ ..]
                if *code == code::ERROR && *kind == code::CALL =>
            {
                let text = |value: &Value| value.as_str().expect("a text").to_owned();
                let error = CallError {
                    uri: text(uri),
                    message: text(&args[0]),
                    details: details.first().cloned().unwrap_or_default(),
                };
                (request, Err(error))
            }
            _ => panic!("awaited the answer to a call, received {message}"),
        };
        Self {
            request: request.as_u64().expect("a request id is a number"),
            outcome,
        }
    }

    /// What the RESULT says, which it must be.
    pub fn result(self) -> Value {
        match self.outcome {
            Ok(value) => value,
            Err(error) => panic!("not a RESULT: {error:?}"),
        }
    }

    /// The ERROR, which it must be, with this URI.
    pub fn error(self, uri: &str) -> CallError {
        match self.outcome {
            Err(error) if error.uri == uri => error,
            outcome => panic!("awaited {uri}, received {outcome:?}"),
        }
    }
}
