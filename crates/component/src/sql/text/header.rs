//! Owns what comments say: the description of a file or a function, and its options `@key value`.
//! Must not know which options there are.

use std::sync::Arc;

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

/// What the comment of something in the catalogue says, which is called `label` in faults: the first
/// lines, up to an option or an empty one, and the options.
pub(in crate::sql) fn of_comment(label: &Arc<str>, comment: &str) -> (String, Vec<Written>) {
    let is_first = |line: &&str| !line.is_empty() && option_of(line).is_none();
    let lines = comment.trim_start().lines().map(str::trim);
    let description: Vec<_> = lines.take_while(is_first).collect();
    let mut options = Vec::new();
    let mut at = 0;
    for line in comment.split_inclusive('\n') {
        if let Some((key, value)) = option_of(line) {
            options.push(Written {
                place: Place::at(label, comment, at + line.find('@').unwrap_or(0)),
                key: key.to_owned(),
                value: value.to_owned(),
            });
        }
        at += line.len();
    }
    (description.join("\n"), options)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_of_a_function_has_a_description_and_options() {
        let comment = "\nCheap goods,\n cheapest first.\n\nNo more.\n  @timeout 2s\n@read_only";
        let (description, options) = of_comment(&"f()".into(), comment);
        assert_eq!(description, "Cheap goods,\ncheapest first.");
        let told = |option: &Written| format!("{} {}={}", option.place, option.key, option.value);
        let options: Vec<_> = options.iter().map(told).collect();
        assert_eq!(options, ["f():6:3 timeout=2s", "f():7:1 read_only="]);
        let (description, _) = of_comment(&"f()".into(), "@param n int\nNot the first.");
        assert_eq!(description, "");
    }
}
