//! Owns a statement as PostgreSQL gets it, with `$1` for each parameter, and the way back from its
//! positions to those of the source. Must not know where the source is from.

use super::parameters::Part;

/// A statement as PostgreSQL gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sql) struct Assembled {
    /// Its text, without a semicolon.
    pub(in crate::sql) sql: String,
    /// Which parameter of the source `$1` is, then `$2`; each is there once.
    pub(in crate::sql) uses: Vec<usize>,
    marks: Vec<Mark>,
}

/// Where a part begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// In the statement, in characters.
    here: usize,
    /// In the source, in bytes.
    there: usize,
    is_text: bool,
}

impl Assembled {
    pub(super) fn new<'t>(
        source: &str,
        parts: &[Part],
        type_of: impl Fn(usize) -> Option<&'t str>,
    ) -> Self {
        let mut sql = String::new();
        let mut uses = Vec::new();
        let mut marks = Vec::new();
        let mut here = 0;
        for part in parts {
            let from = sql.len();
            let (there, is_text) = match part {
                Part::Text(range) => {
                    sql.push_str(&source[range.clone()]);
                    (range.start, true)
                }
                Part::Parameter(index, at) => {
                    let same = uses.iter().position(|used| used == index);
                    let number = same.unwrap_or_else(|| {
                        uses.push(*index);
                        uses.len() - 1
                    }) + 1;
                    sql.push_str(&match type_of(*index) {
                        Some(name) => format!("(${number}::{name})"),
                        None => format!("${number}"),
                    });
                    (*at, false)
                }
            };
            marks.push(Mark {
                here,
                there,
                is_text,
            });
            here += sql[from..].chars().count();
        }
        Self { sql, uses, marks }
    }

    /// The byte of the source that the character of this number is, from 1.
    pub(super) fn source_offset(&self, source: &str, position: u32) -> Option<usize> {
        let position = usize::try_from(position).ok()?.checked_sub(1)?;
        let after = self.marks.partition_point(|mark| mark.here <= position);
        let mark = self.marks[..after].last()?;
        if !mark.is_text {
            return Some(mark.there);
        }
        let rest = source.get(mark.there..)?;
        let mut characters = rest.char_indices().map(|(at, _)| at);
        let into = characters.nth(position - mark.here).unwrap_or(rest.len());
        Some(mark.there + into)
    }
}
