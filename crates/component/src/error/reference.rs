//! Owns the table of errors as `docs/errors.md` prints it. Must not know where it is printed.

use super::{
    raised::RAISABLE,
    table::{KINDS, STATES, StateRow, Words},
};

/// The table of errors, in Markdown: what PostgreSQL reports, what it does not, and what SQL may raise
/// of WAMP's own.
pub fn error_reference() -> String {
    let states = STATES.iter().map(|row| {
        let StateRow { condition, .. } = row;
        let words = match row.told.words {
            Words::Callers | Words::Application => "callers",
            Words::Operators => "the log",
        };
        let (state, uri) = (state(row.state), row.told.uri);
        format!("| {state} | {condition} | `{uri}` | {words} |")
    });
    let kinds = KINDS.iter().map(|row| {
        let (when, uri, has_run) = (row.when, row.uri, row.has_run);
        format!("| {when} | `{uri}` | {has_run} |")
    });
    let raisable = RAISABLE.map(|uri| format!("`{uri}`")).join(", ");
    let mut lines = vec![
        "| SQLSTATE | what it is | error URI | who gets its message |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    lines.extend(states);
    lines.push(String::new());
    lines.push("| without a report of PostgreSQL | error URI | did it run? |".to_owned());
    lines.push("|---|---|---|".to_owned());
    lines.extend(kinds);
    lines.push(String::new());
    lines.push(format!(
        "Of WAMP's own errors, SQL may raise {raisable}; all other URIs that begin with `wamp.` are \
         refused."
    ));
    lines.join("\n")
}

/// A state, or a class of them, for people.
fn state(state: &str) -> String {
    match state.len() {
        0 => "others".to_owned(),
        2 => format!("`{state}`..."),
        _ => format!("`{state}`"),
    }
}
