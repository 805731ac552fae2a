//! Owns the value of one parameter of a database with its source, how it is read, and how a fault
//! names it. Knows nothing of what it means.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::config::{
    json::Json,
    keys::{Choice, Kind, Value},
    reader::Cursor,
    words::either,
};

/// The value of a parameter of a database, and where it was found.
pub(super) struct ParameterValue<'a> {
    /// The row of its key. A parameter of libpq's that is no key has none, and is a text.
    pub(super) row: Option<&'static Value>,
    pub(super) origin: Origin<'a>,
}

pub(super) enum Origin<'a> {
    /// In the document.
    Written(Cursor<'a>),
    /// In the environment, a service file or `DATABASE_URL`.
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
    /// Reports that the value is not what it `must` be. The value of a variable is not shown.
    pub(super) fn fault(&self, must: impl Display) {
        match &self.origin {
            Origin::Written(member) => member.fault(must.to_string()),
            Origin::Elsewhere {
                place, source, key, ..
            } => place.fault_unseen(format!("{source} fills in `{key}`, which {must}")),
        }
    }

    /// Notes something about the value.
    pub(super) fn note(&self, text: &str) {
        match &self.origin {
            Origin::Written(member) => member.note(text),
            Origin::Elsewhere {
                place, source, key, ..
            } => place.note(format!("{source} fills in `{key}`, which {text}")),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.origin {
            Origin::Written(member) => member.text(),
            Origin::Elsewhere { value, .. } => Some(value),
        }
    }

    /// A text that goes to PostgreSQL, whose protocol ends texts with a NUL.
    pub(super) fn without_nul(&self) -> Option<String> {
        let text = self.text()?;
        if text.contains('\0') {
            self.fault("must not hold a NUL");
        }
        Some(text.to_owned())
    }

    /// A name that logs and summaries show. A connection string is refused here, because it would be
    /// shown with its password.
    pub(super) fn name(&self) -> Option<String> {
        let name = self.without_nul()?;
        // An `@` may begin the name of a socket.
        if name.contains("://") || name.contains('=') || name.rfind('@').is_some_and(|at| at > 0) {
            self.fault(
                "must be a name and not a connection string: say each of its parts by a key of its own",
            );
        }
        Some(name)
    }

    /// The path of a file. One that is written is relative to the document's directory, one of the
    /// environment to the directory that the program runs in.
    pub(super) fn file(&self, base_dir: &Path) -> Option<PathBuf> {
        let written = self.text()?;
        Some(match &self.origin {
            Origin::Written(_) => base_dir.join(written),
            Origin::Elsewhere { .. } => {
                std::path::absolute(written).unwrap_or_else(|_| PathBuf::from(written))
            }
        })
    }

    /// The words that its key takes.
    fn choice(&self) -> &'static Choice {
        match self.row {
            Some(Value {
                kind: Kind::Word(choice),
                ..
            }) => choice,
            row => panic!("no choice between words: {row:?}"),
        }
    }

    pub(super) fn one_of(&self) -> Option<&'static str> {
        match &self.origin {
            Origin::Written(member) => member.one_of(self.choice()),
            Origin::Elsewhere { value, .. } => self.the_one(|word| word == value),
        }
    }

    /// The same in whatever case, as libpq has it for some.
    pub(super) fn one_of_in_any_case(&self) -> Option<&'static str> {
        let value = self.text()?;
        self.the_one(|word| word.eq_ignore_ascii_case(value))
    }

    fn the_one(&self, is_meant: impl Fn(&str) -> bool) -> Option<&'static str> {
        let words = self.choice().words();
        let word = words.iter().find(|word| is_meant(word)).copied();
        if word.is_none() {
            self.fault(format!("must be {}", either(&words)));
        }
        word
    }

    pub(super) fn integer(&self) -> Option<u64> {
        let Some(Kind::Integer(range, _)) = self.row.map(|row| &row.kind) else {
            panic!("no integer: {:?}", self.row)
        };
        let value = match &self.origin {
            Origin::Written(member) => return member.integer_in(range),
            Origin::Elsewhere { value, .. } => value.trim().parse().ok(),
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
        let flag = match &self.origin {
            Origin::Written(member) => match member.value() {
                Json::Bool(flag) => Some(*flag),
                Json::Number(number) => number.as_u64().filter(|n| *n <= 1).map(|n| n == 1),
                _ => None,
            },
            Origin::Elsewhere { value, .. } => match value.as_str() {
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
    pub(super) fn time(&self) -> Option<Duration> {
        let Some(Kind::Time(times)) = self.row.map(|row| &row.kind) else {
            panic!("no time: {:?}", self.row)
        };
        let value = match &self.origin {
            Origin::Written(member) => return member.time(times),
            // In libpq a negative time sets no limit.
            Origin::Elsewhere { value, .. } => {
                let value: Option<i64> = value.trim().parse().ok();
                value.map(|value| u64::try_from(value).unwrap_or(0))
            }
        };
        let (unit, of): (_, fn(u64) -> Duration) = if times.elsewhere_millis {
            ("milliseconds", Duration::from_millis)
        } else {
            ("seconds", Duration::from_secs)
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
