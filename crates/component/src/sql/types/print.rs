//! Owns the text of values: what PostgreSQL itself prints for their binary form, with its settings'
//! defaults, ISO dates and UTC. Must not know serde.

mod geometric;
mod network;
mod numbers;
mod ranges;
mod search;
mod times;

use std::fmt::{self, Write as _};

use super::bytes::{Bytes, Malformed};

pub(super) use geometric::{circle, line, lseg, path, point, polygon, rectangle};
pub(super) use network::{inet, macaddr};
pub(super) use numbers::{
    float4, float8, int2, int4, int8, lsn, non_finite, numeric, snapshot, unsigned4, unsigned8,
};
pub(super) use ranges::{multirange, range};
pub(super) use search::{tsquery, tsvector};
pub(super) use times::{
    date, interval, json_timestamp, json_timestamptz, time, timestamp, timestamptz, timetz,
};

/// Appends the text of a value to a buffer.
pub(super) type Print = fn(&mut String, Bytes<'_>) -> Result<(), Malformed>;

/// A `String` takes all that is written to it.
pub(super) fn write(to: &mut String, what: fmt::Arguments<'_>) {
    let _ = to.write_fmt(what);
}

pub(super) fn nothing(_: &mut String, _: Bytes<'_>) -> Result<(), Malformed> {
    Ok(())
}

pub(super) fn chars(to: &mut String, bytes: Bytes<'_>) -> Result<(), Malformed> {
    to.push_str(bytes.text()?);
    Ok(())
}

/// Of the types that have the number 1 of their format before their text.
pub(super) fn versioned(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    match bytes.u8()? {
        1 => chars(to, bytes),
        _ => Err(Malformed),
    }
}

/// `"char"`: one byte, which is no character of UTF-8 from 128 on.
pub(super) fn one_byte(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    match bytes.u8()? {
        0 => {}
        byte @ ..128 => to.push(char::from(byte)),
        byte => write(to, format_args!("\\{byte:03o}")),
    }
    bytes.end()
}

pub(super) fn boolean(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    to.push(if bytes.u8()? == 0 { 'f' } else { 't' });
    bytes.end()
}

pub(super) fn bytea(to: &mut String, bytes: Bytes<'_>) -> Result<(), Malformed> {
    to.push_str("\\x");
    hex(to, bytes.0);
    Ok(())
}

pub(super) fn uuid(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    for (at, len) in [4, 2, 2, 2, 6].into_iter().enumerate() {
        if at > 0 {
            to.push('-');
        }
        hex(to, bytes.slice(len)?);
    }
    bytes.end()
}

pub(super) fn bits(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let count = usize::try_from(bytes.i32()?).map_err(|_| Malformed)?;
    if count.div_ceil(8) != bytes.0.len() {
        return Err(Malformed);
    }
    for bit in 0..count {
        let is_set = bytes.0[bit / 8] & (0x80 >> (bit % 8)) != 0;
        to.push(if is_set { '1' } else { '0' });
    }
    Ok(())
}

pub(super) fn tid(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let (block, offset) = (bytes.u32()?, bytes.u16()?);
    write(to, format_args!("({block},{offset})"));
    bytes.end()
}

/// PostgreSQL adds the encoding of the connection to a declaration that it sends in binary.
pub(super) fn xml(to: &mut String, bytes: Bytes<'_>) -> Result<(), Malformed> {
    const ENCODING: &str = " encoding=\"UTF8\"";
    let text = bytes.text()?;
    let declaration = text.strip_prefix("<?xml ").and_then(|_| text.find("?>"));
    let added = declaration.and_then(|end| text[..end].find(ENCODING));
    match added {
        Some(at) => {
            to.push_str(&text[..at]);
            to.push_str(&text[at + ENCODING.len()..]);
        }
        None => to.push_str(text),
    }
    Ok(())
}

fn hex(to: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            to.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
}
