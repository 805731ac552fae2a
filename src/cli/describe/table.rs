//! Procedures for people: a small table for each. Must not know where they are from.

use std::fmt::Write;

use super::{Column, Described, Parameter, ResultOf};
use crate::cli::client::compact;

/// What there is, or that there is nothing.
pub(super) fn of(all: &[Described]) -> String {
    if all.is_empty() {
        return "there is no procedure in SQL here that you may call\n".to_owned();
    }
    let tables: Vec<_> = all.iter().map(table).collect();
    tables.join("\n")
}

fn table(described: &Described) -> String {
    let mut rows: Vec<[String; 3]> = described.parameters.iter().map(parameter).collect();
    rows.extend(described.results.iter().map(result));
    if described.prepared && described.results.is_empty() {
        rows.push(["->".to_owned(), "none".to_owned(), String::new()]);
    }
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
    let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    let mut text = described.procedure.clone();
    text.push('\n');
    for line in described.description.lines() {
        let _ = writeln!(text, "  {line}");
    }
    for [name, r#type, rest] in &rows {
        let line = format!("    {name:first$}  {type:second$}  {rest}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if described.takes_all {
        text.push_str("    all arguments by name are this one object\n");
    }
    if !described.prepared {
        text.push_str("    PostgreSQL has not described it: the node's log says why\n");
    }
    text
}

fn parameter(parameter: &Parameter) -> [String; 3] {
    let default = match &parameter.default {
        _ if parameter.variadic => "any number of them".to_owned(),
        Some(default) => format!("default {}", compact(default.get())),
        None if parameter.optional => "optional".to_owned(),
        None => String::new(),
    };
    [
        parameter.name.clone(),
        parameter.r#type.clone().unwrap_or_default(),
        default,
    ]
}

fn result(result: &ResultOf) -> [String; 3] {
    let name = match &result.name {
        Some(name) => format!("-> {name}"),
        None => "->".to_owned(),
    };
    let column = |column: &Column| format!("{} {}", column.name, column.r#type);
    let columns: Vec<_> = result.columns.iter().map(column).collect();
    [name, result.returns.clone(), columns.join(", ")]
}
