//! Owns why a value is none of a type. Never tells the value: it may be a secret.

use std::fmt;

use super::argument::Shape;

/// A value is none of the type that a parameter has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What it should be, with the type's name.
    pub wanted: String,
    /// What it is.
    pub came: String,
    /// Where in the value it is: `[2]`, `.price`; empty for the value itself.
    pub place: String,
}

impl Mismatch {
    pub(super) fn new(wanted: impl Into<String>, came: impl Into<String>) -> Self {
        Self {
            wanted: wanted.into(),
            came: came.into(),
            place: String::new(),
        }
    }

    pub(super) fn of(wanted: impl Into<String>, shape: &Shape<'_>) -> Self {
        let came = match shape {
            Shape::Null => "null",
            Shape::Bool(_) => "a boolean",
            Shape::Number(_) => "a number",
            Shape::Text(text) if text.starts_with('\0') => "binary",
            Shape::Text(_) => "a string",
            Shape::List(_) => "a list",
            Shape::Dict(_) => "an object",
        };
        Self::new(wanted, came)
    }

    /// The same inside something.
    pub(super) fn at(mut self, place: impl fmt::Display) -> Self {
        self.place.insert_str(0, &place.to_string());
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            wanted,
            came,
            place,
        } = self;
        if !place.is_empty() {
            write!(f, "at {place}: ")?;
        }
        write!(f, "wanted {wanted}, came {came}")
    }
}

impl std::error::Error for Mismatch {}
