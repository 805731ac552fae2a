//! Owns the text of numbers. Must not know which JSON they become.

use std::{fmt::LowerExp, str::FromStr};

use super::{Bytes, Malformed, write};

macro_rules! integers {
    ($($name:ident $type:ident)*) => {
        $(pub(in super::super) fn $name(
            to: &mut String,
            mut bytes: Bytes<'_>,
        ) -> Result<(), Malformed> {
            write(to, format_args!("{}", bytes.$type()?));
            bytes.end()
        })*
    };
}

integers!(int2 i16 int4 i32 int8 i64 unsigned4 u32 unsigned8 u64);

pub(in super::super) fn float4(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let value = bytes.f32()?;
    if value.is_finite() {
        let from = to.len();
        digits(to, value, 9);
        lay_out(to, from, 6);
    } else {
        to.push_str(non_finite(value.into()));
    }
    bytes.end()
}

pub(in super::super) fn float8(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    double(to, bytes.f64()?);
    bytes.end()
}

pub(super) fn double(to: &mut String, value: f64) {
    if value.is_finite() {
        let from = to.len();
        digits(to, value, 17);
        lay_out(to, from, 15);
    } else {
        to.push_str(non_finite(value));
    }
}

/// Prints the fewest digits, at most `most`, that are this number and no other of its type. What lies
/// half way to the next number is none to PostgreSQL, for not everybody rounds it alike.
fn digits<T>(to: &mut String, value: T, most: usize)
where
    T: Copy + PartialEq + FromStr + LowerExp,
{
    let from = to.len();
    write(to, format_args!("{value:e}"));
    let fewest = to[from..].bytes().take_while(|byte| *byte != b'e');
    let fewest = fewest.filter(u8::is_ascii_digit).count();
    for count in fewest..=most {
        to.truncate(from);
        let decimals = count - 1;
        write(to, format_args!("{value:.decimals$e}"));
        if is_inside(to, from, value) {
            return;
        }
    }
}

/// Whether what is a little more than the printed number, or less, is still the value.
fn is_inside<T: PartialEq + FromStr>(to: &mut String, from: usize, value: T) -> bool {
    let end = to.len();
    let printed = &to[from..];
    let sign = if printed.starts_with('-') { "-" } else { "" };
    let Some((mantissa, exponent)) = printed.split_once('e') else {
        return true;
    };
    let number = |digit: u8| u64::from(digit - b'0');
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    let (count, whole) = digits.fold((0, 0), |(count, whole), digit| {
        (count + 1, whole * 10 + number(digit))
    });
    let exponent = exponent.parse().unwrap_or(0) - (count - 1) - 20;
    if whole == 0 {
        return true;
    }
    let mut is_value = |digits: u64, rest: &str| {
        write(to, format_args!("{sign}{digits}{rest}e{exponent}"));
        let is_value = matches!(to[end..].parse(), Ok(near) if value == near);
        to.truncate(end);
        is_value
    };
    is_value(whole, "00000000000000000001") && is_value(whole - 1, "99999999999999999999")
}

/// Lays out digits with an exponent, as `double_to_shortest_decimal_buf` of PostgreSQL's `d2s.c` does:
/// the exponent stays if it is below -4, or not below `limit`.
fn lay_out(to: &mut String, from: usize, limit: i32) {
    let Some(at) = to[from..].find('e').map(|at| from + at) else {
        return;
    };
    let exponent: i32 = to[at + 1..].parse().unwrap_or_default();
    to.truncate(at);
    if !(-4..limit).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        write(to, format_args!("e{sign}{:02}", exponent.abs()));
        return;
    }
    // The point moves: one digit stands before it now.
    let first = from + usize::from(to[from..].starts_with('-'));
    if let Some(point) = to[first..].find('.') {
        to.remove(first + point);
    }
    if exponent < 0 {
        let zeros = 1 + exponent.unsigned_abs() as usize;
        to.insert_str(first, &"0.000"[..zeros]);
        return;
    }
    let point = first + 1 + exponent.unsigned_abs() as usize;
    while to.len() < point {
        to.push('0');
    }
    if to.len() > point {
        to.insert(point, '.');
    }
}

/// The words of PostgreSQL for what is no number.
pub(in super::super) fn non_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// `numeric_send` in PostgreSQL's `numeric.c`: the number of digits, the weight of the first, the
/// sign, the number of decimals to show, and the digits, each from 0 to 9999.
pub(in super::super) fn numeric(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let count = usize::from(bytes.u16()?);
    let weight = i32::from(bytes.i16()?);
    let sign = bytes.u16()?;
    let mut decimals = usize::from(bytes.u16()?);
    let digits = bytes.slice(2 * count)?;
    bytes.end()?;
    match sign {
        0 => {}
        0x4000 => to.push('-'),
        0xc000 => to.push_str("NaN"),
        0xd000 => to.push_str("Infinity"),
        0xf000 => to.push_str("-Infinity"),
        _ => return Err(Malformed),
    }
    if sign >= 0xc000 {
        return Ok(());
    }
    // The digit of this weight; those that are not sent are zeros.
    let digit = |of: i32| {
        let at = usize::try_from(weight - of).ok();
        let two = at.and_then(|at| digits.get(2 * at..2 * at + 2));
        two.map_or(0, |two| u16::from_be_bytes([two[0], two[1]]))
    };
    let first = weight.max(0);
    write(to, format_args!("{}", digit(first)));
    for of in (0..first).rev() {
        write(to, format_args!("{:04}", digit(of)));
    }
    if decimals > 0 {
        to.push('.');
    }
    let mut of = -1;
    while decimals > 0 {
        write(to, format_args!("{:04}", digit(of)));
        let surplus = 4_usize.saturating_sub(decimals);
        to.truncate(to.len() - surplus);
        decimals = decimals.saturating_sub(4);
        of -= 1;
    }
    Ok(())
}

pub(in super::super) fn lsn(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let (high, low) = (bytes.u32()?, bytes.u32()?);
    write(to, format_args!("{high:X}/{low:X}"));
    bytes.end()
}

/// The first transaction that runs, the next that will, and those between that run.
pub(in super::super) fn snapshot(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let count = bytes.count()?;
    write(to, format_args!("{}:{}:", bytes.u64()?, bytes.u64()?));
    for at in 0..count {
        let comma = if at > 0 { "," } else { "" };
        write(to, format_args!("{comma}{}", bytes.u64()?));
    }
    bytes.end()
}
