//! Owns the bounded memory of prepared statements of one connection, and what may be prepared;
//! knows no pool.

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

/// The word by which `sql` would begin or end a transaction, if it would: that is the pool's to do.
///
/// Savepoints are the job's own. Only the first statement is looked at, because a prepared
/// statement holds one.
pub(super) fn transaction_control(sql: &str) -> Option<&'static str> {
    const WORDS: [&str; 7] = [
        "BEGIN", "START", "COMMIT", "END", "ABORT", "ROLLBACK", "PREPARE",
    ];
    let (first, rest) = next_word(sql);
    let word = WORDS
        .into_iter()
        .find(|word| first.eq_ignore_ascii_case(word))?;
    let (mut second, rest) = next_word(rest);
    if word == "PREPARE" {
        return second
            .eq_ignore_ascii_case("TRANSACTION")
            .then_some("PREPARE TRANSACTION");
    }
    if word == "ROLLBACK" {
        if second.eq_ignore_ascii_case("WORK") || second.eq_ignore_ascii_case("TRANSACTION") {
            second = next_word(rest).0;
        }
        // ROLLBACK [WORK | TRANSACTION] TO [SAVEPOINT] name
        return (!second.eq_ignore_ascii_case("TO")).then_some(word);
    }
    Some(word)
}

/// The next word of `sql` and what follows it, past white space, empty statements and comments.
fn next_word(sql: &str) -> (&str, &str) {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment
                .split_once(['\n', '\r'])
                .map_or("", |(_, rest)| rest);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = after_block_comment(comment);
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            return rest.split_at(end);
        }
    }
}

/// Block comments nest in PostgreSQL.
fn after_block_comment(mut rest: &str) -> &str {
    let mut depth = 1;
    while depth > 0 {
        match (rest.find("/*"), rest.find("*/")) {
            (Some(open), Some(close)) if open < close => {
                (depth, rest) = (depth + 1, &rest[open + 2..])
            }
            (_, Some(close)) => (depth, rest) = (depth - 1, &rest[close + 2..]),
            (_, None) => return "",
        }
    }
    rest
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

    #[test]
    fn transaction_control_is_seen_through_case_and_comments() {
        for sql in [
            "commit",
            " /* a /* b */ c */ Commit;",
            "-- x\nROLLBACK",
            "-- x\rROLLBACK",
            ";; END",
            "begin isolation level serializable",
            "START TRANSACTION",
            "ROLLBACK WORK",
            "PREPARE TRANSACTION 'x'",
            "abort",
        ] {
            assert!(transaction_control(sql).is_some(), "{sql}");
        }
        for sql in [
            "SELECT 1",
            "ROLLBACK TO a",
            "rollback work to savepoint a",
            "SAVEPOINT a",
            "RELEASE a",
            "PREPARE p AS SELECT 1",
            "beginning",
            "/* COMMIT */ SELECT 1",
            "/* never closed",
            "",
        ] {
            assert_eq!(transaction_control(sql), None, "{sql}");
        }
    }
}
