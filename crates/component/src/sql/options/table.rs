//! Owns the table of options: what each takes, its default and its meaning. Must not know where they
//! are written.

use std::{fmt, num::NonZeroU32};

use super::Written;

/// An option.
#[derive(Debug)]
pub struct OptionRow {
    /// Its key.
    pub name: &'static str,
    /// What it takes.
    pub kind: OptionKind,
    /// What holds without it, in Markdown.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Where it can stand.
    pub place: OptionPlace,
}

/// What an option takes.
#[derive(Debug)]
pub enum OptionKind {
    /// True or false; in a comment the key alone is true.
    Flag,
    /// Seconds, or a number with `ms`, `s`, `min`, `h` or `d`.
    Time,
    /// An integer from the first to the second.
    Count(u64, u64),
    /// One of some words.
    Word(&'static [&'static str]),
    /// Any text.
    Text,
    /// Several texts.
    Texts,
    /// Parameters.
    Params,
}

/// Where an option can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionPlace {
    /// Wherever options stand, also for all procedures.
    Anywhere,
    /// With one procedure: in the configuration, in a comment.
    Procedure,
    /// With one procedure in the configuration only.
    Configuration,
    /// In a comment only, before a statement.
    Comment,
}

/// How many rows a result may have where nothing is said.
pub(in crate::sql) const MAX_ROWS: u64 = 10_000;
/// How many bytes its values may have.
pub(in crate::sql) const MAX_BYTES: u64 = 8 << 20;
/// How many rows a part of a stream has.
pub(in crate::sql) const BATCH: NonZeroU32 = NonZeroU32::new(1000).expect("not 0");

const fn row(
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    meaning: &'static str,
) -> OptionRow {
    OptionRow {
        name,
        kind,
        default,
        meaning,
        place: OptionPlace::Anywhere,
    }
}

const fn of_one(
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    meaning: &'static str,
) -> OptionRow {
    OptionRow {
        place: OptionPlace::Procedure,
        ..row(name, kind, default, meaning)
    }
}

const fn in_configuration(
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    meaning: &'static str,
) -> OptionRow {
    OptionRow {
        place: OptionPlace::Configuration,
        ..row(name, kind, default, meaning)
    }
}

const fn in_comment(name: &'static str, kind: OptionKind, meaning: &'static str) -> OptionRow {
    OptionRow {
        place: OptionPlace::Comment,
        ..row(name, kind, "", meaning)
    }
}

/// Every option.
pub const OPTIONS: &[OptionRow] = &[
    in_configuration(
        "sql",
        OptionKind::Text,
        "the file's",
        "the statements of the procedure",
    ),
    in_configuration(
        "description",
        OptionKind::Text,
        "the first lines of the first comment",
        "what the procedure does",
    ),
    of_one(
        "params",
        OptionKind::Params,
        "",
        "types and defaults of the parameters; in a comment one a line: `@param n int = 20`",
    ),
    of_one(
        "returns",
        OptionKind::Word(&[
            "rows", "arrays", "row", "value", "values", "count", "none", "stream",
        ]),
        "`rows` of a query, else `count`; of a function what it returns",
        "what the answer is made of; before a statement in a file with several, for that one",
    ),
    row(
        "timeout",
        OptionKind::Time,
        "the database's",
        "how long each statement may run; of a `stream` each part",
    ),
    row(
        "read_only",
        OptionKind::Flag,
        "`false`",
        "the transaction may not write",
    ),
    row(
        "isolation",
        OptionKind::Word(&["read_committed", "repeatable_read", "serializable"]),
        "the database's",
        "the isolation of the transaction",
    ),
    row(
        "slow_call",
        OptionKind::Time,
        "never",
        "a call that takes so long is logged, with what its time went into",
    ),
    row(
        "retry",
        OptionKind::Count(0, 100),
        "0",
        "how often it is run again after a serialization failure or a deadlock; a `stream` only \
         before its first part",
    ),
    row(
        "concurrency",
        OptionKind::Count(1, 1_000_000),
        "no limit; of a `stream` half of the database's connections",
        "how many invocations may run at once; further calls wait in the router, in their order",
    ),
    row(
        "max_rows",
        OptionKind::Count(1, u32::MAX as u64),
        "10000",
        "a result with more rows is an error; of a `stream` this is about callers that do not take \
         parts",
    ),
    row(
        "max_bytes",
        OptionKind::Count(1, 1 << 30),
        "8388608 (8 MiB)",
        "a result whose values have more bytes, as PostgreSQL sends them, is an error, and so is a \
         part of a `stream`",
    ),
    row(
        "max_affected",
        OptionKind::Count(0, u32::MAX as u64),
        "no limit",
        "a statement that changes more rows is undone, and an error",
    ),
    row(
        "batch",
        OptionKind::Count(1, 1_000_000),
        "1000",
        "how many rows a part of a `stream` has at most",
    ),
    row(
        "dry_run",
        OptionKind::Flag,
        "`false`",
        "all that it does is rolled back on purpose",
    ),
    row(
        "secret",
        OptionKind::Flag,
        "`false`",
        "its parameters are repeated nowhere, neither in logs nor in errors",
    ),
    row(
        "int8",
        OptionKind::Word(&["safe", "number", "string"]),
        "`safe`",
        "how an int8 is written; `safe`: a string beyond 2^53, in JSON",
    ),
    row(
        "numeric",
        OptionKind::Word(&["string", "number"]),
        "`string`",
        "how a numeric is written",
    ),
    row(
        "identity",
        OptionKind::Flag,
        "`true`",
        "the transaction is told who calls, and has the role of the database that `roles` gives; \
         without it neither, nor `before`, and a single statement needs no transaction around it",
    ),
    row(
        "before",
        OptionKind::Text,
        "none",
        "a function, such as `auth.check`, that is called before the statements, in their transaction \
         and as the caller's role; an exception in it refuses the call",
    ),
    of_one(
        "database",
        OptionKind::Text,
        "the component's",
        "another of the node's [databases](#databases), by its name",
    ),
    in_comment(
        "result",
        OptionKind::Text,
        "the name of the next statement's result in the answer",
    ),
    in_comment("single", OptionKind::Flag, "as `@returns row`"),
    in_comment(
        "skip",
        OptionKind::Flag,
        "the next statement's result is left out of the answer",
    ),
];

impl OptionRow {
    /// Whether this option is meant by a key.
    pub(super) fn is_written(&self, key: &str, written: Written<'_>) -> bool {
        match (written, self.place) {
            (Written::Text(_), OptionPlace::Configuration)
            | (Written::Json(_), OptionPlace::Comment) => false,
            // A line has one of them.
            (Written::Text(_), _) if self.name == "params" => matches!(key, "param" | "params"),
            _ => self.name == key,
        }
    }
}

impl fmt::Display for OptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("boolean"),
            Self::Time => f.write_str("time"),
            Self::Count(from, to) => write!(f, "integer, {from} to {to}"),
            Self::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                f.write_str(&words.join(", "))
            }
            Self::Text => f.write_str("string"),
            Self::Texts => f.write_str("array of strings"),
            Self::Params => f.write_str("object"),
        }
    }
}
