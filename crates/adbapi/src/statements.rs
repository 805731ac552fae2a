//! Owns the bounded memory of prepared statements of one connection; knows no pool.

use std::collections::HashMap;

/// Prepared statements by their SQL, at most `limit` of them. A new one replaces the one that has
/// been unused for longest.
///
/// A lookup costs a hash of the SQL. A replacement looks at all of them, but it only happens when a
/// statement is prepared, which costs a round trip anyway.
pub(super) struct Statements<S> {
    limit: usize,
    uses: u64,
    by_sql: HashMap<Box<str>, Entry<S>>,
}

struct Entry<S> {
    statement: S,
    last_use: u64,
}

impl<S: Clone> Statements<S> {
    /// Keeps up to `limit` statements; none if it is 0.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            uses: 0,
            by_sql: HashMap::new(),
        }
    }

    /// The statement that was prepared for `sql`, if it is still here.
    pub(super) fn find(&mut self, sql: &str) -> Option<S> {
        self.uses += 1;
        let entry = self.by_sql.get_mut(sql)?;
        entry.last_use = self.uses;
        Some(entry.statement.clone())
    }

    /// Forgets all statements.
    pub(super) fn clear(&mut self) {
        self.by_sql.clear();
    }

    /// Remembers `statement`.
    pub(super) fn insert(&mut self, sql: &str, statement: S) {
        if self.limit == 0 {
            return;
        }
        if self.by_sql.len() >= self.limit {
            let oldest = self
                .by_sql
                .iter()
                .min_by_key(|(_, entry)| entry.last_use)
                .map(|(sql, _)| sql.clone());
            oldest.map(|sql| self.by_sql.remove(&sql));
        }
        self.by_sql.insert(
            sql.into(),
            Entry {
                statement,
                last_use: self.uses,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_unused_for_longest_makes_room() {
        let mut statements = Statements::new(2);
        statements.insert("a", 1);
        statements.insert("b", 2);
        assert_eq!(statements.find("a"), Some(1));
        statements.insert("c", 3);
        assert_eq!(
            (
                statements.find("a"),
                statements.find("b"),
                statements.find("c")
            ),
            (Some(1), None, Some(3))
        );
    }

    #[test]
    fn a_limit_of_zero_keeps_nothing() {
        let mut statements = Statements::new(0);
        statements.insert("a", 1);
        assert_eq!(statements.find("a"), None);
    }
}
