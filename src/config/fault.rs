//! Owns what can be wrong with a config file and how that is told to its author. Knows nothing of
//! the keys.

use std::{fmt, path::PathBuf};

use thiserror::Error;

/// One thing in the document that must be changed before the node can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `workers[0].transports[0].paths.ws.type`; `$` is the document itself.
    pub path: String,
    /// The value found there, cut short and without secrets. `None` when the fault is in the key or
    /// its absence.
    pub seen: Option<String>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        if let Some(seen) = &self.seen {
            write!(f, "seen {seen}; ")?;
        }
        f.write_str(&self.problem)
    }
}

/// Something that is accepted but has no effect here, where its author might expect one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where, in the notation of [`Fault::path`].
    pub path: String,
    /// What the author should know.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// Why a config file is not accepted.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "cannot read the config file {}: {source}; run in the directory that holds it, or name it with --config FILE (Crossbar.io's is .crossbar/config.json)",
        file.display()
    )]
    Io {
        /// The file, as it was named.
        file: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The text is not JSON.
    #[error("not JSON: {message} at line {line}, column {column}\n{excerpt}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted in bytes from 1.
        column: usize,
        /// What the parser expected.
        message: String,
        /// The offending line, and a caret under the column in a second one.
        excerpt: String,
    },
    /// The document is JSON, and these are all of its faults in the order of the document.
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
}

fn list(faults: &[Fault]) -> String {
    let mut text = match faults.len() {
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    for fault in faults {
        text.push_str("\n  ");
        text.push_str(&fault.to_string());
    }
    text
}
