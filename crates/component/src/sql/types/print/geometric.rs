//! Owns the text of geometric types. Must not know which JSON they become.

use super::{Bytes, Malformed, numbers::double};

pub(in super::super) fn point(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    points(to, &mut bytes, 1)?;
    bytes.end()
}

pub(in super::super) fn lseg(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    to.push('[');
    points(to, &mut bytes, 2)?;
    to.push(']');
    bytes.end()
}

/// The type `box`, which is a word of Rust's.
pub(in super::super) fn rectangle(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    points(to, &mut bytes, 2)?;
    bytes.end()
}

pub(in super::super) fn line(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    for before in ['{', ',', ','] {
        to.push(before);
        double(to, bytes.f64()?);
    }
    to.push('}');
    bytes.end()
}

pub(in super::super) fn path(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let [open, close] = if bytes.u8()? == 0 {
        ['[', ']']
    } else {
        ['(', ')']
    };
    let count = bytes.count()?;
    to.push(open);
    points(to, &mut bytes, count)?;
    to.push(close);
    bytes.end()
}

pub(in super::super) fn polygon(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let count = bytes.count()?;
    to.push('(');
    points(to, &mut bytes, count)?;
    to.push(')');
    bytes.end()
}

pub(in super::super) fn circle(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    to.push('<');
    points(to, &mut bytes, 1)?;
    to.push(',');
    double(to, bytes.f64()?);
    to.push('>');
    bytes.end()
}

fn points(to: &mut String, bytes: &mut Bytes<'_>, count: usize) -> Result<(), Malformed> {
    for at in 0..count {
        to.push_str(if at > 0 { ",(" } else { "(" });
        double(to, bytes.f64()?);
        to.push(',');
        double(to, bytes.f64()?);
        to.push(')');
    }
    Ok(())
}
