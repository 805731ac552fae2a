//! Owns why a row does not fit a Rust type. Never tells a value: it may be a secret.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::Column;
use postgres_types::Type;

/// Why a row, or one value of it, does not fit a type.
#[derive(Debug)]
pub(super) struct Misfit {
    text: String,
    /// A field has no column.
    pub(super) is_missing: bool,
}

impl Misfit {
    pub(super) fn new(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            is_missing: false,
        }
    }

    /// What serde_json says, without the value that it quotes.
    pub(super) fn of_json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        match text.rsplit_once(", expected ") {
            Some((_, expected)) => Self::new(format_args!("in its JSON, expected {expected}")),
            None if text.starts_with("missing field") => {
                Self::new(format_args!("in its JSON, {text}"))
            }
            None => Self::new(format_args!(
                "its JSON cannot be read at line {line} column {column}"
            )),
        }
    }

    /// The same of a value in this column.
    pub(super) fn in_column(self, column: &Column<'_>) -> Self {
        let Column { name, r#type, .. } = column;
        let advice = if **r#type == Type::NUMERIC {
            format!("; a numeric is read as a String: cast it in SQL ({name}::float8)")
        } else {
            String::new()
        };
        let text = self.text;
        Self::new(format_args!("column {name} of type {type}: {text}{advice}"))
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Misfit {}

impl Error for Misfit {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(text)
    }

    fn invalid_type(seen: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match seen {
            Unexpected::Option => Self::new(format_args!(
                "it is NULL, expected {expected}, and only an Option takes NULL"
            )),
            _ => Self::new(format_args!("expected {expected}")),
        }
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format_args!("its value does not fit, expected {expected}"))
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        Self::new(format_args!("it has {len} elements, expected {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        let expected = expected.join(", ");
        Self::new(format_args!("its value is none of {expected}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let expected = expected.join(", ");
        Self::new(format_args!(
            "there is no field for the column {field}, only for {expected}"
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            text: format!("there is no column {field}"),
            is_missing: true,
        }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format_args!(
            "several columns are called {field}: rename one with AS"
        ))
    }
}
