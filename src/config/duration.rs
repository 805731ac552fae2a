//! Owns how times are written: as a number of seconds, or as a text with one of PostgreSQL's units.
//! Knows nothing of the keys they stand at.

use std::time::Duration;

use super::{json::Json, keys::Times};

/// PostgreSQL's units, in seconds (PostgreSQL's manual, 20.1.1).
const UNITS: [(&str, f64); 6] = [
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("min", 60.0),
    ("h", 3600.0),
    ("d", 86400.0),
];

/// From here on a plain number at a key that PostgreSQL counts in milliseconds is not taken as
/// seconds.
const DOUBTFUL: f64 = 100.0;

/// Reads a time, which is zero where there is no limit. The error says what it must be.
pub(super) fn parse(value: &Json, times: &Times) -> Result<Duration, String> {
    let time = match value {
        Json::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if times.elsewhere_millis && number >= DOUBTFUL {
                return Err(format!(
                    "a plain number is seconds, and so many may have been meant as milliseconds: \
                     write \"{number}ms\" or \"{number}s\""
                ));
            }
            Duration::try_from_secs_f64(number).ok()
        }
        Json::String(text) => with_unit(text),
        _ => None,
    };
    let time = time.filter(|time| times.contain(*time));
    time.ok_or_else(|| {
        format!(
            "must be {}, as a number or with a unit as in \"500ms\" or \"2min\"",
            times.range()
        )
    })
}

/// `500ms`, `1.5 s`, `2min`.
fn with_unit(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit.trim_end())?;
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}
