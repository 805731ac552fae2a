//! Owns the text of what full text search has. Must not know which JSON it becomes.

use super::{Bytes, Malformed, write};

/// Operators inside each other, so that no stack overflows.
const MAX_DEPTH: usize = 1000;

/// Lexemes, each with its places and their weights.
pub(in super::super) fn tsvector(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    for at in 0..bytes.count()? {
        if at > 0 {
            to.push(' ');
        }
        lexeme(to, bytes.c_str()?);
        for place in 0..bytes.u16()? {
            let word = bytes.u16()?;
            to.push(if place > 0 { ',' } else { ':' });
            write(to, format_args!("{}", word & 0x3fff));
            to.push_str(["", "C", "B", "A"][usize::from(word >> 14)]);
        }
    }
    bytes.end()
}

fn lexeme(to: &mut String, text: &str) {
    to.push('\'');
    for letter in text.chars() {
        if matches!(letter, '\'' | '\\') {
            to.push(letter);
        }
        to.push(letter);
    }
    to.push('\'');
}

/// As `infix` in PostgreSQL's `tsquery.c` prints what comes with each operator before its operands,
/// the right one first.
pub(in super::super) fn tsquery(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    if bytes.i32()? > 0 {
        let outer = Outer {
            priority: 0,
            is_right_of_phrase: false,
            depth: 0,
        };
        infix(to, &mut bytes, outer)?;
    }
    bytes.end()
}

/// Where an operand stands.
#[derive(Clone, Copy)]
struct Outer {
    priority: u8,
    is_right_of_phrase: bool,
    depth: usize,
}

enum Token<'a> {
    Lexeme {
        weights: u8,
        is_prefix: bool,
        text: &'a str,
    },
    Not,
    And,
    Or,
    /// How far the operands are from each other.
    Phrase(i16),
}

impl Token<'_> {
    fn priority(&self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Phrase(_) => 3,
            Self::Not | Self::Lexeme { .. } => 4,
        }
    }
}

fn token<'a>(bytes: &mut Bytes<'a>) -> Result<Token<'a>, Malformed> {
    match bytes.u8()? {
        1 => Ok(Token::Lexeme {
            weights: bytes.u8()?,
            is_prefix: bytes.u8()? != 0,
            text: bytes.c_str()?,
        }),
        2 => match bytes.u8()? {
            1 => Ok(Token::Not),
            2 => Ok(Token::And),
            3 => Ok(Token::Or),
            4 => bytes.i16().map(Token::Phrase),
            _ => Err(Malformed),
        },
        _ => Err(Malformed),
    }
}

fn infix(to: &mut String, bytes: &mut Bytes<'_>, outer: Outer) -> Result<(), Malformed> {
    if outer.depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let token = token(bytes)?;
    let priority = token.priority();
    let inner = Outer {
        priority,
        is_right_of_phrase: false,
        depth: outer.depth + 1,
    };
    let sign = match token {
        Token::Lexeme {
            weights,
            is_prefix,
            text,
        } => {
            lexeme(to, text);
            marks(to, weights, is_prefix);
            return Ok(());
        }
        Token::Not => {
            to.push('!');
            return infix(to, bytes, inner);
        }
        Token::And => "&",
        Token::Or => "|",
        Token::Phrase(_) => "<->",
    };
    // Phrases are not commutative.
    let is_phrase = matches!(token, Token::Phrase(_));
    let has_parentheses = priority < outer.priority || is_phrase && outer.is_right_of_phrase;
    if has_parentheses {
        to.push_str("( ");
    }
    let mut right = *bytes;
    skip(bytes)?;
    infix(to, bytes, inner)?;
    match token {
        Token::Phrase(distance) if distance != 1 => write(to, format_args!(" <{distance}> ")),
        _ => write(to, format_args!(" {sign} ")),
    }
    let inner = Outer {
        is_right_of_phrase: is_phrase,
        ..inner
    };
    infix(to, &mut right, inner)?;
    if has_parentheses {
        to.push_str(" )");
    }
    Ok(())
}

/// Goes past one operand.
fn skip(bytes: &mut Bytes<'_>) -> Result<(), Malformed> {
    let mut operands = 1;
    while operands > 0 {
        match token(bytes)? {
            Token::Lexeme { .. } => operands -= 1,
            Token::Not => {}
            Token::And | Token::Or | Token::Phrase(_) => operands += 1,
        }
    }
    Ok(())
}

fn marks(to: &mut String, weights: u8, is_prefix: bool) {
    if weights == 0 && !is_prefix {
        return;
    }
    to.push(':');
    if is_prefix {
        to.push('*');
    }
    for (bit, weight) in [(8, 'A'), (4, 'B'), (2, 'C'), (1, 'D')] {
        if weights & bit != 0 {
            to.push(weight);
        }
    }
}
