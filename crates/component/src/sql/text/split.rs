//! Owns where one statement ends and the next begins. Must not know what is in them.

use super::lexer::{Kind, Token};

/// A statement and the comments before it.
pub(super) struct Piece<'t, 'a> {
    /// White space and comments.
    pub(super) before: &'t [Token<'a>],
    /// From its first token to its last, without the semicolon.
    pub(super) tokens: &'t [Token<'a>],
}

/// Where the token begins that does not end, if one does not.
pub(super) fn unended(tokens: &[Token<'_>]) -> Option<usize> {
    let last = tokens.last().filter(|token| token.kind == Kind::Unended);
    last.map(|token| token.at)
}

/// All statements that are not empty.
pub(super) fn statements<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<Piece<'t, 'a>> {
    let mut pieces = Vec::new();
    let mut rest = tokens;
    while !rest.is_empty() {
        let first = rest.iter().position(|token| !token.is_blank());
        let Some(first) = first else { break };
        let end = first + end(&rest[first..]);
        let last = rest[first..end].iter().rposition(|token| !token.is_blank());
        if let Some(last) = last {
            pieces.push(Piece {
                before: &rest[..first],
                tokens: &rest[first..=first + last],
            });
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    pieces
}

/// Which token is the semicolon that ends the statement; how many there are if none is.
///
/// As psql has it: one in parentheses is of a CREATE RULE, and one between BEGIN and END of the
/// function or procedure that the statement creates.
fn end(tokens: &[Token<'_>]) -> usize {
    let mut words = tokens.iter().filter(|token| token.kind == Kind::Word);
    let creates_routine = words.next().is_some_and(|word| word.is_word("create"))
        && words
            .find(|word| !word.is_word("or") && !word.is_word("replace"))
            .is_some_and(|word| word.is_word("function") || word.is_word("procedure"));
    let (mut parentheses, mut blocks) = (0_usize, 0_usize);
    for (index, token) in tokens.iter().enumerate() {
        match token.text {
            "(" => parentheses += 1,
            ")" => parentheses = parentheses.saturating_sub(1),
            ";" if parentheses == 0 && blocks == 0 => return index,
            _ if creates_routine && parentheses == 0 => {
                let opens = token.is_word("begin") || (blocks > 0 && token.is_word("case"));
                if opens {
                    blocks += 1;
                } else if token.is_word("end") {
                    blocks = blocks.saturating_sub(1);
                }
            }
            _ => {}
        }
    }
    tokens.len()
}
