//! Owns what can be told of a statement by its words. Must not know who runs it.

/// What a statement begins with that PostgreSQL undoes as a whole when it fails. Others, as CALL
/// does, may commit in between.
const ATOMIC: [&str; 7] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "MERGE",
];

/// Whether PostgreSQL undoes all of a statement when it fails, whatever it calls.
pub fn is_atomic(sql: &str) -> bool {
    let (first, _) = next_word(sql);
    ATOMIC.iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// The word by which `sql` would begin or end a transaction, if it would: that is the backend's to do.
///
/// Savepoints are the job's own. Only the first statement is looked at, because a prepared
/// statement holds one.
pub fn transaction_control(sql: &str) -> Option<&'static str> {
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

    #[test]
    fn what_may_commit_in_between_is_not_atomic() {
        for sql in [
            "select 1",
            "-- x\nWITH a AS (SELECT 1) SELECT 1",
            "merge into a",
        ] {
            assert!(is_atomic(sql), "{sql}");
        }
        for sql in ["CALL a()", "DO $$ $$", "(SELECT 1)", "selection", ""] {
            assert!(!is_atomic(sql), "{sql}");
        }
    }
}
