//! Owns where something is written, and a fault with its place. Must not know what is read.

use std::{fmt, sync::Arc};

/// Where something is written: in a file with its line and column, or in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sql) struct Place {
    /// The file, or the path in the configuration.
    source: Arc<str>,
    /// From 1; 0 for all of the source.
    line: usize,
    /// In characters, from 1.
    column: usize,
}

impl Place {
    /// A whole source.
    pub(in crate::sql) fn of(source: &Arc<str>) -> Self {
        Self {
            source: source.clone(),
            line: 0,
            column: 0,
        }
    }

    /// The place in `text`, all of the source's, that has this offset in bytes.
    pub(in crate::sql) fn at(source: &Arc<str>, text: &str, offset: usize) -> Self {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            source: source.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// A part of a source in the configuration: `extra.procedures` and then the URI.
    pub(in crate::sql) fn below(&self, key: &str) -> Self {
        Self::of(&format!("{}.{key}", self.source).into())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.source),
            line => write!(f, "{}:{line}:{}", self.source, self.column),
        }
    }
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sql) struct Fault {
    pub(in crate::sql) place: Place,
    pub(in crate::sql) text: String,
}

impl Fault {
    pub(in crate::sql) fn new(place: Place, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { place, text }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_in_characters_from_1() {
        let (file, text) = ("a.sql".into(), "SELECT\n  'ä', x");
        let at = |what: &str| Place::at(&file, text, text.find(what).unwrap()).to_string();
        assert_eq!(at("SELECT"), "a.sql:1:1");
        assert_eq!(at("x"), "a.sql:2:8");
        let config = Place::of(&"extra.procedures".into()).below("com.x");
        assert_eq!(config.to_string(), "extra.procedures.com.x");
    }
}
