//! Owns the value of one parameter of a database with its source, how it is read, and how a fault
//! names it. Knows nothing of what it means.

use std::{
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::config::{
    duration::{Times, time},
    json::Json,
    keys::Choice,
    reader::Cursor,
    words::either,
};

/// A parameter of a database, and where it was found.
pub(super) enum ParameterValue<'a> {
    Written(Cursor<'a>),
    Elsewhere {
        /// The database, or the component, that has no such key.
        place: Cursor<'a>,
        /// `the environment's PGHOST`.
        source: String,
        key: &'static str,
        value: String,
    },
}

impl ParameterValue<'_> {
    /// The value is not what it `must` be. That of a variable is not shown.
    pub(super) fn fault(&self, must: impl Display) {
        match self {
            ParameterValue::Written(member) => member.fault(must.to_string()),
            ParameterValue::Elsewhere {
                place, source, key, ..
            } => place.fault_unseen(format!("{source} fills in `{key}`, which {must}")),
        }
    }

    /// Says that it is of no use here.
    pub(super) fn note(&self, text: &str) {
        match self {
            ParameterValue::Written(member) => member.note(text),
            ParameterValue::Elsewhere {
                place, source, key, ..
            } => place.note(format!("{source} fills in `{key}`, which {text}")),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            ParameterValue::Written(member) => member.text(),
            ParameterValue::Elsewhere { value, .. } => Some(value),
        }
    }

    /// A file. A relative one that is written is beside the document; a variable is set for
    /// whatever runs in the directory it is set in.
    pub(super) fn file(&self, base_dir: &Path) -> Option<PathBuf> {
        let written = self.text()?;
        Some(match self {
            ParameterValue::Written(_) => base_dir.join(written),
            ParameterValue::Elsewhere { .. } => {
                std::path::absolute(written).unwrap_or_else(|_| PathBuf::from(written))
            }
        })
    }

    pub(super) fn one_of(&self, choice: &'static Choice) -> Option<&'static str> {
        let value = match self {
            ParameterValue::Written(member) => return member.one_of(choice),
            ParameterValue::Elsewhere { value, .. } => value,
        };
        let served = choice.served.iter().find(|served| *served == value);
        if served.is_none() {
            self.fault(format!("must be {}", either(choice.served)));
        }
        served.copied()
    }

    /// The same in whatever case, as libpq has it for some.
    pub(super) fn one_of_in_any_case(&self, choice: &'static Choice) -> Option<&'static str> {
        let value = self.text()?;
        let mut words = choice.served.iter();
        let word = words.find(|word| word.eq_ignore_ascii_case(value));
        if word.is_none() {
            self.fault(format!("must be {}", either(choice.served)));
        }
        word.copied()
    }

    pub(super) fn integer_in(&self, range: &RangeInclusive<u64>) -> Option<u64> {
        let value = match self {
            ParameterValue::Written(member) => return member.integer_in(range),
            ParameterValue::Elsewhere { value, .. } => value.trim().parse().ok(),
        };
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            self.fault(format!(
                "must be an integer from {} to {}",
                range.start(),
                range.end()
            ));
        }
        value
    }

    /// True or false, for which libpq has 1 and 0.
    pub(super) fn flag(&self) -> Option<bool> {
        let flag = match self {
            ParameterValue::Written(member) => match member.value() {
                Json::Bool(flag) => Some(*flag),
                Json::Number(number) => number.as_u64().filter(|n| *n <= 1).map(|n| n == 1),
                _ => None,
            },
            ParameterValue::Elsewhere { value, .. } => match value.as_str() {
                "0" => Some(false),
                "1" => Some(true),
                _ => None,
            },
        };
        if flag.is_none() {
            self.fault("must be true or false, or libpq's 1 or 0");
        }
        flag
    }

    /// A time. The environment has libpq's units: whole seconds, or milliseconds.
    pub(super) fn time(&self, times: &Times) -> Option<Duration> {
        let value = match self {
            ParameterValue::Written(member) => return time(member, times),
            // libpq takes what is negative for no limit.
            ParameterValue::Elsewhere { value, .. } => {
                let value: Option<i64> = value.trim().parse().ok();
                value.map(|value| u64::try_from(value).unwrap_or(0))
            }
        };
        let (unit, of): (_, fn(u64) -> Duration) = match times.elsewhere_millis {
            true => ("milliseconds", Duration::from_millis),
            false => ("seconds", Duration::from_secs),
        };
        let time = value.map(of).filter(|time| times.contain(*time));
        if time.is_none() {
            self.fault(format!(
                "must be a whole number of {unit}, {}",
                times.range()
            ));
        }
        time
    }
}
