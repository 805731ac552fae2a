//! Owns the literals that can be the default of a parameter. Must not know where they stand.

use super::lexer::{Kind, Token, tokens};

/// What a default is to be, for faults.
pub(in crate::sql) const WANTED: &str = "a number, a string in single quotes, true, false or null";

/// The literal at the beginning of these tokens: its JSON, and how many tokens it takes.
pub(super) fn literal_of(tokens: &[Token<'_>]) -> Option<(String, usize)> {
    let first = tokens.first()?;
    let json = match (first.kind, first.text) {
        (Kind::Symbol, "-") => {
            let number = number(tokens.get(1)?)?;
            return Some((format!("-{number}"), 2));
        }
        (Kind::Symbol, "+") => return Some((number(tokens.get(1)?)?, 2)),
        (Kind::Number, _) => number(first)?,
        (Kind::String, text) => string(text)?,
        (Kind::Word, _) => {
            let words = ["true", "false", "null"].into_iter();
            let mut words = words.filter(|word| first.is_word(word));
            words.next()?.to_owned()
        }
        _ => return None,
    };
    Some((json, 1))
}

/// A text that is one literal, as JSON; or JSON itself.
pub(in crate::sql) fn literal(text: &str) -> Option<String> {
    let text = text.trim();
    let tokens = tokens(text);
    match literal_of(&tokens) {
        Some((json, length)) if length == tokens.len() => Some(json),
        _ => {
            let json = serde_json::from_str::<serde::de::IgnoredAny>(text);
            json.is_ok().then(|| text.to_owned())
        }
    }
}

fn number(token: &Token<'_>) -> Option<String> {
    let is_number = serde_json::from_str::<serde_json::Number>(token.text).is_ok();
    (token.kind == Kind::Number && is_number).then(|| token.text.to_owned())
}

fn string(text: &str) -> Option<String> {
    let inside = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let is_one = !inside.replace("''", "").contains('\'');
    is_one.then(|| serde_json::Value::from(inside.replace("''", "'")).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_sql_or_json() {
        for (text, json) in [
            ("20", Some("20")),
            ("-1.50", Some("-1.50")),
            ("'it''s \"x\"'", Some(r#""it's \"x\"""#)),
            ("TRUE", Some("true")),
            ("null", Some("null")),
            (r#"{"a": [1]}"#, Some(r#"{"a": [1]}"#)),
            ("\"a\"", Some("\"a\"")),
            ("now()", None),
            ("1 + 1", None),
            ("'a'\n'b'", None),
            ("0x10", None),
            ("", None),
        ] {
            assert_eq!(literal(text).as_deref(), json, "{text}");
        }
    }
}
