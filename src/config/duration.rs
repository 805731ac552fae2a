//! Owns how times are written: as a number of seconds, or as a text with one of PostgreSQL's units.
//! Knows nothing of the keys they stand at.

use std::time::Duration;

use super::{json::Json, reader::Cursor};

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

/// Which times a key takes.
pub(super) struct Times {
    pub(super) least: Duration,
    pub(super) most: Duration,
    /// Does 0 stand for no limit?
    pub(super) zero: bool,
    /// Does PostgreSQL, or libpq, count milliseconds at a key of this name?
    pub(super) elsewhere_millis: bool,
}

impl Times {
    /// Times from `least` to `most`.
    pub(super) const fn between(least: Duration, most: Duration) -> Self {
        Times {
            least,
            most,
            zero: false,
            elsewhere_millis: false,
        }
    }

    /// The same, and 0 for no limit.
    pub(super) const fn or_zero(self) -> Self {
        Times { zero: true, ..self }
    }

    /// The same, for a key that PostgreSQL counts in milliseconds.
    pub(super) const fn elsewhere_millis(self) -> Self {
        Times {
            elsewhere_millis: true,
            ..self
        }
    }

    pub(super) fn contain(&self, time: Duration) -> bool {
        (self.zero && time.is_zero()) || (self.least..=self.most).contains(&time)
    }

    /// "from 1 to 600 seconds".
    pub(super) fn range(&self) -> String {
        format!(
            "{}from {} to {} seconds",
            if self.zero { "0 for no limit or " } else { "" },
            self.least.as_secs_f64(),
            self.most.as_secs_f64()
        )
    }
}

/// Reads a time. Without a limit it is zero.
pub(super) fn time(item: &Cursor<'_>, times: &Times) -> Option<Duration> {
    let time = match item.value() {
        Json::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if times.elsewhere_millis && number >= DOUBTFUL {
                item.fault(format!(
                    "a plain number is seconds, and so many may have been meant as milliseconds: \
                     write \"{number}ms\" or \"{number}s\""
                ));
                return None;
            }
            Duration::try_from_secs_f64(number).ok()
        }
        Json::String(text) => with_unit(text),
        _ => None,
    };
    let time = time.filter(|time| times.contain(*time));
    if time.is_none() {
        item.fault(format!(
            "must be {}, as a number or with a unit as in \"500ms\" or \"2min\"",
            times.range()
        ));
    }
    time
}

/// `500ms`, `1.5 s`, `2min`.
fn with_unit(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit.trim_end())?;
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}
