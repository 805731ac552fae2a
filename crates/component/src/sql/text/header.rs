//! Owns what the comments before a statement say: the description of a file, and its options
//! `-- @key value`. Must not know which options there are.

use super::{
    lexer::{Kind, Token},
    place::Place,
};

/// An option as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sql) struct Written {
    pub(in crate::sql) place: Place,
    /// Without its `@`.
    pub(in crate::sql) key: String,
    /// What follows on its line, without white space around it.
    pub(in crate::sql) value: String,
}

/// An option in a line of text, from its `@` on: the key, and the value.
pub(in crate::sql) fn option_of(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim().strip_prefix('@')?;
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (key, value) = rest.split_at(end);
    Some((key, value.trim()))
}

/// The options in the lines of these comments.
pub(super) fn options(before: &[Token<'_>], place: &impl Fn(usize) -> Place) -> Vec<Written> {
    let lines = before.iter().filter_map(|token| {
        let line = line(token)?;
        let (key, value) = option_of(line)?;
        let at = token.at + token.text.find('@').unwrap_or(0);
        Some(Written {
            place: place(at),
            key: key.to_owned(),
            value: value.to_owned(),
        })
    });
    lines.collect()
}

/// The first lines of comments, up to an option, an empty line or the statement.
pub(super) fn description(tokens: &[Token<'_>]) -> String {
    let mut lines = Vec::new();
    for token in tokens {
        match (token.kind, line(token)) {
            (Kind::Space, _) if lines.is_empty() || token.text.matches('\n').count() < 2 => {}
            (_, Some(line)) if option_of(line).is_none() => lines.push(line.trim()),
            _ => break,
        }
    }
    lines.join("\n").trim().to_owned()
}

/// What a line of comment says.
fn line<'a>(token: &Token<'a>) -> Option<&'a str> {
    let is_line = token.kind == Kind::LineComment;
    let text = is_line.then_some(token.text)?;
    Some(text.trim_start_matches('-'))
}
