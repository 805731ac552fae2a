//! Owns the text of ranges. Must not know what they are of, but how that is printed.

use super::{Bytes, Malformed, Print};

const EMPTY: u8 = 1;
const LOWER_INCLUSIVE: u8 = 2;
const UPPER_INCLUSIVE: u8 = 4;
const NO_LOWER: u8 = 8;
const NO_UPPER: u8 = 16;

/// `range_send` in PostgreSQL's `rangetypes.c`: flags, and the bounds that there are.
pub(in super::super) fn range(
    to: &mut String,
    mut bytes: Bytes<'_>,
    print: Print,
) -> Result<(), Malformed> {
    let flags = bytes.u8()?;
    let has = |flag| flags & flag != 0;
    if has(EMPTY) {
        to.push_str("empty");
        return bytes.end();
    }
    to.push(if has(LOWER_INCLUSIVE) { '[' } else { '(' });
    if !has(NO_LOWER) {
        bound(to, &mut bytes, print)?;
    }
    to.push(',');
    if !has(NO_UPPER) {
        bound(to, &mut bytes, print)?;
    }
    to.push(if has(UPPER_INCLUSIVE) { ']' } else { ')' });
    bytes.end()
}

pub(in super::super) fn multirange(
    to: &mut String,
    mut bytes: Bytes<'_>,
    print: Print,
) -> Result<(), Malformed> {
    to.push('{');
    for at in 0..bytes.count()? {
        if at > 0 {
            to.push(',');
        }
        range(to, Bytes(bytes.value()?.ok_or(Malformed)?), print)?;
    }
    to.push('}');
    bytes.end()
}

fn bound(to: &mut String, bytes: &mut Bytes<'_>, print: Print) -> Result<(), Malformed> {
    let value = bytes.value()?.ok_or(Malformed)?;
    let from = to.len();
    print(to, Bytes(value))?;
    let is_special = |c: char| c.is_ascii_whitespace() || c == '\x0b' || "\"\\()[],".contains(c);
    let text = &to[from..];
    if !text.is_empty() && !text.contains(is_special) {
        return Ok(());
    }
    to.insert(from, '"');
    let mut at = from + 1;
    while let Some(letter) = to[at..].chars().next() {
        if matches!(letter, '"' | '\\') {
            to.insert(at, letter);
            at += 1;
        }
        at += letter.len_utf8();
    }
    to.push('"');
    Ok(())
}
