//! Owns how the values of a statement's parameters are written. Must not know where they go.

use std::error::Error as StdError;

use bytes::BytesMut;
use sql::{
    Params,
    types::{Format, IsNull, Type},
};

use super::report::{Error, value};

/// The most that the values of a statement may have, in bytes: what PostgreSQL takes in a message.
const MOST: usize = (1 << 30) - 1;

/// Writes values as a Bind has them: their formats, and themselves, each with its count.
///
/// # Errors
/// There are more or fewer than there are parameters, or one cannot be what its parameter is.
pub(super) fn write(
    out: &mut BytesMut,
    types: &[Type],
    params: &Params<'static>,
) -> Result<(), Error> {
    let (expected, got) = (types.len(), params.len());
    if expected != got {
        return Err(value(format!(
            "expected {expected} parameters but got {got}"
        )));
    }
    let begin = out.len();
    let count = (got as u16).to_be_bytes();
    let is_text = |format| matches!(format, Format::Text);
    let mut each = params.iter().zip(types);
    if got == 0 {
        out.extend_from_slice(&[0, 0]);
    } else if each.any(|(param, r#type)| is_text(param.encode_format(r#type))) {
        out.extend_from_slice(&count);
        for (param, r#type) in params.iter().zip(types) {
            let format = u8::from(!is_text(param.encode_format(r#type)));
            out.extend_from_slice(&[0, format]);
        }
    } else {
        out.extend_from_slice(&[0, 1, 0, 1]);
    }
    out.extend_from_slice(&count);
    for (n, (param, r#type)) in params.iter().zip(types).enumerate() {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        let length = match param.to_sql_checked(r#type, out) {
            Ok(IsNull::Yes) => -1,
            Ok(IsNull::No) => (out.len() - at - 4) as i32,
            Err(error) => return Err(value(not_sent(n, &*error))),
        };
        if out.len() - begin > MOST {
            return Err(value(format!(
                "parameter {n} and those before it have more than {MOST} bytes"
            )));
        }
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn not_sent(n: usize, error: &(dyn StdError + 'static)) -> String {
    let mut text = format!("error serializing parameter {n}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
