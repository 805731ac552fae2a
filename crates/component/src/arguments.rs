//! Reads the arguments of a payload by shape. Must not know what message brought them.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Error;
use wamp::{Payload, PayloadError};

/// The positional arguments as `T`; see [`Invocation::args`](super::Invocation::args).
pub(super) fn args<T: DeserializeOwned>(payload: &Payload) -> Result<T, Error> {
    let args: Vec<Value> = payload.args().map_err(|e| not_readable(&e))?;
    // A derived `()` reads null, and callers without arguments send no null.
    let args = if args.is_empty() && is_unit::<T>() {
        Value::Null
    } else {
        Value::Array(args)
    };
    serde_path_to_error::deserialize(args).map_err(|error| {
        let place = match error.path().iter().next() {
            Some(serde_path_to_error::Segment::Seq { index }) => {
                format!("argument {}", index + 1)
            }
            _ => "arguments".to_owned(),
        };
        Error::invalid_argument(format_args!("{place}: {}", error.inner()))
    })
}

/// The keyword arguments as `T`; see [`Invocation::kwargs`](super::Invocation::kwargs).
pub(super) fn kwargs<T: DeserializeOwned>(payload: &Payload) -> Result<T, Error> {
    let kwargs: Value = payload.kwargs().map_err(|e| not_readable(&e))?;
    serde_path_to_error::deserialize(kwargs).map_err(|error| {
        let place = match error.path().iter().next() {
            Some(serde_path_to_error::Segment::Map { key }) => format!("argument {key:?}"),
            _ => "keyword arguments".to_owned(),
        };
        Error::invalid_argument(format_args!("{place}: {}", error.inner()))
    })
}

fn not_readable(error: &PayloadError) -> Error {
    Error::invalid_argument(format_args!("the arguments cannot be read: {error}"))
}

/// Whether `T` is read from null, as `()` is.
fn is_unit<T: DeserializeOwned>() -> bool {
    size_of::<T>() == 0 && T::deserialize(Value::Null).is_ok()
}
