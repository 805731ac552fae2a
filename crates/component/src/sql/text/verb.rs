//! Owns what kind of statement it is, by its words alone. Must not know what is done about it.

use super::lexer::{Kind, Token};

/// What kind of statement it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sql) enum Verb {
    /// SELECT, VALUES, TABLE, also after a WITH.
    Query,
    /// A query that is made for a function which may write: if its rows are too many, that is to be
    /// undone.
    Volatile,
    /// INSERT, UPDATE, DELETE, also after a WITH.
    Change,
    /// Any other.
    Other,
}

impl Verb {
    /// Of a statement, whose first token is not blank.
    pub(super) fn of(tokens: &[Token<'_>]) -> Self {
        if !tokens[0].is_word("with") {
            return Self::of_word(&tokens[0]);
        }
        let mut depth = 0_usize;
        for token in tokens {
            match token.text {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ if depth == 0 && Self::of_word(token) != Self::Other => {
                    return Self::of_word(token);
                }
                _ => {}
            }
        }
        Self::Other
    }

    fn of_word(token: &Token<'_>) -> Self {
        let is_one_of = |words: &[&str]| words.iter().any(|word| token.is_word(word));
        if token.kind != Kind::Word {
            Self::Other
        } else if is_one_of(&["select", "values", "table"]) {
            Self::Query
        } else if is_one_of(&["insert", "update", "delete"]) {
            Self::Change
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lexer::tokens, *};

    #[test]
    fn it_is_told_by_its_words() {
        for (sql, verb) in [
            ("SELECT 1", Verb::Query),
            ("values (1)", Verb::Query),
            (
                "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
                Verb::Query,
            ),
            ("WITH a AS (SELECT 1) UPDATE t SET x = 1", Verb::Change),
            ("insert INTO t VALUES (1)", Verb::Change),
            ("CALL p()", Verb::Other),
            ("\"select\"", Verb::Other),
        ] {
            assert_eq!(Verb::of(&tokens(sql)), verb, "{sql}");
        }
    }
}
