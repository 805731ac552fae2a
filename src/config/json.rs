//! Owns reading JSON text into a tree that keeps what a checker needs: the order and the repetition
//! of keys. Knows nothing of which keys mean what.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{fault::ConfigError, keys};

/// The key of a comment, which may stand in any object, and more than once.
const COMMENT: &str = "//";
/// How many characters of an offending line are shown on either side of its caret.
const EXCERPT: usize = 60;

/// A JSON value as it was written. `serde_json::Value` sorts keys and drops all but the last of a
/// repeated one; faults are listed in the order of the document and a repeated key is one of them.
#[derive(Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// Parses a whole document.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        // Editors on some systems begin a file with a byte order mark; RFC 8259, section 8.1, lets
        // a parser ignore it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        serde_json::from_str(text).map_err(|error| syntax_error(text, &error))
    }

    /// The same value for code that takes `serde_json::Value`.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => Value::Number(value.clone()),
            Self::String(value) => Value::String(value.clone()),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(entries) => entries
                .iter()
                .map(|(key, value)| (key.clone(), value.to_value()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key == COMMENT {
                entries.next_value::<IgnoredAny>()?;
            } else {
                object.push((key, entries.next_value()?));
            }
        }
        Ok(Json::Object(object))
    }
}

fn syntax_error(text: &str, error: &serde_json::Error) -> ConfigError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let place = format!(" at line {line} column {column}");
    ConfigError::Syntax {
        line,
        column,
        message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
        excerpt: excerpt(
            text.lines().nth(line.saturating_sub(1)).unwrap_or(""),
            column,
        ),
    }
}

/// The structure of the offending line and, below it, a caret under `column` (counted in bytes from
/// 1, as serde_json does).
///
/// No value is shown, because any of them may be a secret, and where a quotation mark is missing or
/// too many, nobody can tell what is inside a string and what is outside. Only JSON's own marks are
/// shown, and words that are keys of the format.
fn excerpt(line: &str, column: usize) -> String {
    let mut shown = String::new();
    let mut caret = 0;
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let is_mark = |c: char| c.is_whitespace() || "{}[]:,\"".contains(c);
        let (piece, tail) = rest.split_at(rest.find(is_mark).unwrap_or(rest.len()));
        let (piece, tail) = match piece {
            "" => rest.split_at(first.len_utf8()),
            _ => (piece, tail),
        };
        if line.len() - rest.len() < column {
            caret = shown.chars().count();
        }
        shown += match piece {
            piece if piece.starts_with(is_mark) || keys::is_known(piece) => piece,
            _ => "…",
        };
        rest = tail;
    }
    let skipped = caret.saturating_sub(EXCERPT);
    let shown: String = shown.chars().skip(skipped).take(2 * EXCERPT).collect();
    // A tab stays a tab, so that the caret stands under its character however wide the terminal
    // shows it.
    let padding: String = (shown.chars().take(caret - skipped))
        .map(|character| if character == '\t' { '\t' } else { ' ' })
        .collect();
    format!("{shown}\n{padding}^")
}
