//! Owns having PostgreSQL make text of values that nothing here can read. Must not know a backend.

use sql::{
    Description,
    types::{Kind, Type},
};

use super::rule::Rule;

/// Statements that give the same rows as `sql`, with PostgreSQL's text for values of types whose
/// binary form is not known here: those of extensions, and some whose text depends on settings or on
/// the catalogue. None if there are no such columns.
///
/// PostgreSQL takes one or the other for one kind of statement or another, so they are to be
/// described in their order. If it takes none, whoever wrote the statement has to cast by himself.
///
/// `sql` is one statement, without the semicolon at its end. Its parameters are the same after it.
pub fn as_text(sql: &str, description: &Description) -> Vec<String> {
    let mut has_cast = false;
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (at, (name, r#type)) in description.columns.iter().enumerate() {
        let value = format!("q.c{at}");
        let cast = cast(r#type);
        has_cast |= cast != Cast::None;
        let value = match cast {
            Cast::None => value,
            Cast::Text => format!("{value}::text"),
            Cast::Texts => format!("{value}::text[]"),
            Cast::Json => format!("to_json({value})"),
        };
        names.push(format!("c{at}"));
        values.push(format!("{value} AS {}", quoted(name)));
    }
    if !has_cast {
        return Vec::new();
    }
    let (names, values) = (names.join(", "), values.join(", "));
    // The line's end is for a comment at the statement's.
    vec![
        format!("SELECT {values} FROM ({sql}\n) AS q ({names})"),
        format!("WITH q ({names}) AS ({sql}\n) SELECT {values} FROM q"),
    ]
}

/// What makes a value readable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cast {
    None,
    Text,
    /// Of an array: its elements.
    Texts,
    /// Of a row with such a value in it.
    Json,
}

fn cast(r#type: &Type) -> Cast {
    match (Rule::of(r#type), r#type.kind()) {
        // Its elements say for themselves of which type they are, which may be any.
        _ if *r#type == Type::ANYARRAY => Cast::Json,
        (Rule::Cast, _) => Cast::Text,
        (Rule::Array(element, _), Kind::Array(_)) if matches!(*element, Rule::Cast) => Cast::Texts,
        (rule, _) if rule.has_cast() => Cast::Json,
        _ => Cast::None,
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
