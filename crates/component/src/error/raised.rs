//! Owns how SQL raises a WAMP error: `RAISE EXCEPTION` with the SQLSTATE [`RAISED`]. Must not know who
//! runs the SQL.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sql::Report;
use wamp::{Payload, Uri, error_uri, excerpt};

use super::{Error, database::SHOWN_OF_POSTGRES, table::RAISED};

/// The longest body, in bytes.
const LONGEST: usize = 64 << 10;

/// The errors of WAMP's own that an application may raise.
pub(super) const RAISABLE: [&str; 4] = [
    error_uri::INVALID_ARGUMENT,
    error_uri::NOT_AUTHORIZED,
    error_uri::RUNTIME_ERROR,
    error_uri::UNAVAILABLE,
];

/// The keys of a body.
const KEYS: [&str; 3] = ["uri", "args", "kwargs"];

/// The WAMP error that a report stands for.
pub(super) fn error(report: &Report) -> Error {
    read(report).unwrap_or_else(|why| {
        let why = format!(
            "SQL has raised SQLSTATE {RAISED}, which is to be a WAMP error, and is none: {why}"
        );
        let why = excerpt(why, SHOWN_OF_POSTGRES);
        let error = Error::runtime(&why).with_detail("sqlstate", RAISED);
        error.with_log(why)
    })
}

fn read(report: &Report) -> Result<Error, String> {
    let body = body(report.detail.as_deref())?;
    let uri = uri(body.get("uri").map(|uri| uri.get()), report.hint.as_deref())?;
    let message = excerpt(&*report.message, SHOWN_OF_POSTGRES);
    let unfit = |error| format!("its DETAIL is no body of an error: {error}");
    let kwargs = body.get("kwargs");
    let payload = match (body.get("args"), kwargs) {
        (Some(args), Some(kwargs)) => Payload::from_args_kwargs(args, kwargs),
        (Some(args), None) => Payload::from_args(args),
        (None, Some(kwargs)) => Payload::from_args_kwargs(&[&message], kwargs),
        (None, None) => Payload::from_args(&[&message]),
    };
    let payload = payload.map_err(unfit)?;
    let mut error = Error::new(uri, message);
    error.0.details = payload.kwargs().map_err(unfit)?;
    error.0.payload = Some(payload);
    Ok(error)
}

/// What the DETAIL has, by its keys.
fn body(detail: Option<&str>) -> Result<BTreeMap<&str, &RawValue>, String> {
    let Some(detail) = detail else {
        return Ok(BTreeMap::new());
    };
    if detail.len() > LONGEST {
        return Err(format!("its DETAIL has more than {LONGEST} bytes"));
    }
    let body: BTreeMap<&str, &RawValue> = serde_json::from_str(detail)
        .map_err(|error| format!("its DETAIL is to be an object in JSON: {error}"))?;
    match body.keys().find(|key| !KEYS.contains(key)) {
        None => Ok(body),
        Some(key) => {
            let known = KEYS.join(", ");
            Err(format!(
                "its DETAIL has a key `{key}`, and it can have: {known}"
            ))
        }
    }
}

/// The URI, which is in the body or else the HINT.
fn uri(in_body: Option<&str>, hint: Option<&str>) -> Result<Uri, String> {
    let text = match (in_body, hint) {
        (Some(json), _) => serde_json::from_str(json)
            .map_err(|error| format!("`uri` in its DETAIL is to be a string: {error}"))?,
        (None, Some(hint)) => hint.to_owned(),
        (None, None) => return Err("it has no URI, neither `uri` in its DETAIL nor a HINT".into()),
    };
    let uri = Uri::from(text);
    if !uri.is_loose() || uri.is_too_long() {
        return Err(format!("{uri:?} is no URI of an error"));
    }
    if uri.is_reserved() && !RAISABLE.contains(&uri.as_str()) {
        return Err(format!(
            "{uri} is WAMP's own; of those an application can raise: {}",
            RAISABLE.join(", ")
        ));
    }
    Ok(uri)
}
