//! Owns the text of dates, times and intervals. Must not know the session's time zone: a moment is
//! printed in UTC.

use super::{Bytes, Malformed, write};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// From 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
const EPOCH: i64 = 10_957;

pub(in super::super) fn date(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let days = bytes.i32()?;
    if days == i32::MAX || days == i32::MIN {
        infinity(to, days > 0);
    } else if day(to, days.into()) {
        to.push_str(" BC");
    }
    bytes.end()
}

pub(in super::super) fn time(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    clock(to, bytes.i64()?.unsigned_abs());
    bytes.end()
}

pub(in super::super) fn timetz(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    clock(to, bytes.i64()?.unsigned_abs());
    // Seconds west of Greenwich, as POSIX has them.
    let zone = bytes.i32()?;
    let seconds = zone.unsigned_abs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write(
        to,
        format_args!("{}{hours:02}", if zone > 0 { '-' } else { '+' }),
    );
    if minutes > 0 || seconds > 0 {
        write(to, format_args!(":{minutes:02}"));
    }
    if seconds > 0 {
        write(to, format_args!(":{seconds:02}"));
    }
    bytes.end()
}

pub(in super::super) fn timestamp(to: &mut String, bytes: Bytes<'_>) -> Result<(), Malformed> {
    moment(to, bytes, ' ', "")
}

pub(in super::super) fn timestamptz(to: &mut String, bytes: Bytes<'_>) -> Result<(), Malformed> {
    moment(to, bytes, ' ', "+00")
}

/// As ISO 8601 and XML Schema have it, and `to_json`.
pub(in super::super) fn json_timestamp(to: &mut String, bytes: Bytes<'_>) -> Result<(), Malformed> {
    moment(to, bytes, 'T', "")
}

/// The same with the offset, which is always that of UTC.
pub(in super::super) fn json_timestamptz(
    to: &mut String,
    bytes: Bytes<'_>,
) -> Result<(), Malformed> {
    moment(to, bytes, 'T', "+00:00")
}

fn moment(
    to: &mut String,
    mut bytes: Bytes<'_>,
    between: char,
    offset: &str,
) -> Result<(), Malformed> {
    let micros = bytes.i64()?;
    if micros == i64::MAX || micros == i64::MIN {
        infinity(to, micros > 0);
        return bytes.end();
    }
    let is_bc = day(to, micros.div_euclid(DAY));
    to.push(between);
    clock(to, micros.rem_euclid(DAY).unsigned_abs());
    to.push_str(offset);
    if is_bc {
        to.push_str(" BC");
    }
    bytes.end()
}

fn infinity(to: &mut String, is_positive: bool) {
    to.push_str(if is_positive { "infinity" } else { "-infinity" });
}

/// Prints a day, counted from 2000-01-01, and says whether its year is one before Christ.
fn day(to: &mut String, days: i64) -> bool {
    // Years from March on, so that a leap day is the last of its year: in each 400 years there are
    // 146097 days, and five months from March on have 153.
    let days = days + EPOCH + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let (month, next) = if from_march < 10 {
        (from_march + 3, 0)
    } else {
        (from_march - 9, 1)
    };
    let year = year_of_era + era * 400 + next;
    let is_bc = year <= 0;
    let year = if is_bc { 1 - year } else { year }.unsigned_abs();
    if year < 10_000 {
        two(to, year / 100);
        two(to, year % 100);
    } else {
        write(to, format_args!("{year}"));
    }
    to.push('-');
    two(to, month.unsigned_abs());
    to.push('-');
    two(to, day.unsigned_abs());
    is_bc
}

fn clock(to: &mut String, micros: u64) {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours < 100 {
        two(to, hours);
    } else {
        write(to, format_args!("{hours}"));
    }
    to.push(':');
    two(to, minutes);
    to.push(':');
    two(to, seconds);
    if micros > 0 {
        to.push('.');
        two(to, micros / 10_000);
        two(to, micros / 100 % 100);
        two(to, micros % 100);
        let end = to.trim_end_matches('0').len();
        to.truncate(end);
    }
}

/// Prints a number below 100 with two digits. Times are in most results, and in the profile of a node the
/// machinery of `format_args!` was most of what it takes to print one.
fn two(to: &mut String, number: u64) {
    for digit in [number / 10, number % 10] {
        to.push(char::from(b"0123456789"[digit as usize]));
    }
}

/// In the style `postgres`, which is the default of `intervalstyle`.
pub(in super::super) fn interval(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let (micros, days, months) = (bytes.i64()?, bytes.i32()?, bytes.i32()?);
    bytes.end()?;
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => infinity(to, true),
        (i64::MIN, i32::MIN, i32::MIN) => infinity(to, false),
        _ => spans(to, micros, days, months),
    }
    Ok(())
}

fn spans(to: &mut String, micros: i64, days: i32, months: i32) {
    let mut is_first = true;
    // A sign is printed when the span before it had another.
    let mut was_negative = false;
    for (count, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if count == 0 {
            continue;
        }
        let space = if is_first { "" } else { " " };
        let plus = if was_negative && count > 0 { "+" } else { "" };
        let plural = if count == 1 { "" } else { "s" };
        write(to, format_args!("{space}{plus}{count} {unit}{plural}"));
        (is_first, was_negative) = (false, count < 0);
    }
    if micros == 0 && !is_first {
        return;
    }
    if !is_first {
        to.push(' ');
    }
    if micros < 0 {
        to.push('-');
    } else if was_negative {
        to.push('+');
    }
    clock(to, micros.unsigned_abs());
}
