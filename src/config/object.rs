//! Owns reading an object by the table of its section: which keys it may have, and the type, range
//! and default of each. Knows no section by name.

use std::time::Duration;

use super::{
    duration,
    json::Json,
    keys::{DefaultValue, Kind, Section, Times, Usage, Value},
    reader::{Cursor, NOT_YET},
    words::unknown_key,
};

/// An object whose keys have been judged.
pub(super) struct Object<'a> {
    pub(super) at: Cursor<'a>,
    section: &'static Section,
}

impl<'a> Cursor<'a> {
    /// The value as an object, every key of which has been judged by its section's table.
    pub(super) fn object(&self, section: &'static Section) -> Option<Object<'a>> {
        if !matches!(self.value(), Json::Object(_)) {
            self.fault("must be an object");
            return None;
        }
        for (key, member) in self.members() {
            match section.usage(key) {
                Some(Usage::Served(_)) => {}
                Some(Usage::Inert { as_if, note }) => {
                    if !note.is_empty() && member.seen() != *as_if {
                        member.note(format!("has no effect: {note}"));
                    }
                }
                Some(Usage::NotYet(mend)) => member.fault_unseen(format!("{NOT_YET}: {mend}")),
                Some(Usage::Instead(mend)) => {
                    member.fault_unseen(format!("not a key here; {mend}"));
                }
                None => member.fault_unseen(unknown_key(key, &section.allowed())),
            }
        }
        let at = self.clone();
        Some(Object { at, section })
    }

    /// An object here in which nothing is written.
    pub(super) fn with_nothing(&self, section: &'static Section) -> Object<'a> {
        let at = self.emptied();
        Object { at, section }
    }
}

impl<'a> Object<'a> {
    /// The row of a key that the code of its section reads.
    fn row(&self, key: &str) -> &'static Value {
        self.section.value(key).unwrap_or_else(|| {
            let heading = self.section.heading;
            panic!("`{key}` is read, but is no served key of the table {heading}")
        })
    }

    fn misread(&self, key: &str) -> ! {
        let (heading, row) = (self.section.heading, self.row(key));
        panic!("`{key}` of the table {heading} is not read as what it is: {row:?}")
    }

    /// The text or the word that counts where `key` is not written.
    pub(super) fn default_text(&self, key: &str) -> Option<&'static str> {
        match self.row(key).default {
            DefaultValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, or the seconds, that count where `key` is not written.
    pub(super) fn default_number(&self, key: &str) -> u64 {
        match self.row(key).default {
            DefaultValue::Number(number) => number,
            _ => self.misread(key),
        }
    }

    pub(super) fn default_flag(&self, key: &str) -> bool {
        match self.row(key).default {
            DefaultValue::Boolean(flag) => flag,
            _ => self.misread(key),
        }
    }

    /// The member `key`, if it is written.
    pub(super) fn member(&self, key: &str) -> Option<Cursor<'a>> {
        self.row(key);
        self.at.find(key)
    }

    /// The row of `key`, if the table has it as served, and the member, if it is written.
    pub(super) fn find(&self, key: &str) -> (Option<&'static Value>, Option<Cursor<'a>>) {
        let row = self.section.value(key);
        (row, row.and_then(|_| self.at.find(key)))
    }

    /// The member `key`; its absence is a fault that says what it should have been.
    pub(super) fn required(&self, key: &str) -> Option<Cursor<'a>> {
        let DefaultValue::Required(what) = &self.row(key).default else {
            self.misread(key)
        };
        let member = self.member(key);
        if member.is_none() {
            self.at.fault_at(key, format!("missing; must be {what}"));
        }
        member
    }

    pub(super) fn boolean(&self, key: &str) -> bool {
        let Kind::Boolean = self.row(key).kind else {
            self.misread(key)
        };
        let written = self.member(key).and_then(|member| member.boolean());
        written.unwrap_or_else(|| self.default_flag(key))
    }

    /// The integer `key` or its default.
    pub(super) fn integer<T: TryFrom<u64>>(&self, key: &str) -> T {
        self.optional_integer(key).unwrap_or_else(|| {
            let default = T::try_from(self.default_number(key));
            default.unwrap_or_else(|_| self.misread(key))
        })
    }

    /// The integer `key`, whose absence the code of the section knows how to take.
    pub(super) fn optional_integer<T: TryFrom<u64>>(&self, key: &str) -> Option<T> {
        let (Kind::Integer(range, _) | Kind::IntegerOr(range, ..)) = &self.row(key).kind else {
            self.misread(key)
        };
        self.member(key)?.integer_in(range)
    }

    /// A limit in milliseconds; 0 sets none.
    pub(super) fn milliseconds(&self, key: &str) -> Option<Duration> {
        let value: u64 = self.integer(key);
        if let Some(member) = self.member(key)
            && (1..1000).contains(&value)
        {
            // Crossbar.io refuses such values as a mistake of the unit; a test may want one.
            member.note(format!("is {value} milliseconds, less than a second"));
        }
        (value > 0).then(|| Duration::from_millis(value))
    }

    /// A limit in bytes; 0 sets none.
    pub(super) fn size(&self, key: &str) -> Option<usize> {
        Some(self.integer(key)).filter(|bytes| *bytes > 0)
    }

    /// A time; 0 sets no limit.
    pub(super) fn time(&self, key: &str) -> Option<Duration> {
        let Kind::Time(times) = &self.row(key).kind else {
            self.misread(key)
        };
        let written = self.member(key).and_then(|member| member.time(times));
        let time = written.unwrap_or_else(|| Duration::from_secs(self.default_number(key)));
        (!time.is_zero()).then_some(time)
    }

    /// The word at `key`, or the one that is its default.
    pub(super) fn word(&self, key: &str) -> Option<&'static str> {
        let Kind::Word(choice) = self.row(key).kind else {
            self.misread(key)
        };
        match self.member(key) {
            Some(member) => member.one_of(choice),
            None => self.default_text(key),
        }
    }

    /// The object `key`, or one in which nothing is written.
    pub(super) fn object(&self, key: &str) -> Self {
        let Kind::Object(section) = self.row(key).kind else {
            self.misread(key)
        };
        let member = self.member(key);
        let written = member.as_ref().and_then(|member| member.object(section));
        written.unwrap_or_else(|| member.as_ref().unwrap_or(&self.at).with_nothing(section))
    }

    /// The items of the array `key`; none when it is not written.
    pub(super) fn items(&self, key: &str) -> Vec<Cursor<'a>> {
        let Kind::Array(_) = self.row(key).kind else {
            self.misread(key)
        };
        let array = self.member(key).and_then(|member| member.array());
        array.unwrap_or_default()
    }
}

impl Cursor<'_> {
    /// A time, which is zero where there is no limit.
    pub(super) fn time(&self, times: &Times) -> Option<Duration> {
        match duration::parse(self.value(), times) {
            Ok(time) => Some(time),
            Err(problem) => {
                self.fault(problem);
                None
            }
        }
    }
}
