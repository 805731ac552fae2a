//! Owns how SQL is cut into tokens, as PostgreSQL's `scan.l` does it with
//! `standard_conforming_strings` on. Must not know what the tokens are for.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// White space.
    Space,
    /// `-- to the end of the line`
    LineComment,
    /// `/* with /* others */ in it */`
    BlockComment,
    /// A keyword or a name.
    Word,
    /// A name in double quotes, also `U&"..."`.
    QuotedName,
    Number,
    /// A string in single quotes without a prefix.
    String,
    /// Any other string: E'', U&'', B'', X'', N'', `$tag$...$tag$`.
    OtherString,
    /// `$1`
    Numbered,
    /// `:name`, unless it is a slice of an array, which only what stands before it shows.
    Named,
    /// `:=`
    Assign,
    /// `::`, `:`, and any other character.
    Symbol,
    /// A string, a quoted name or a comment whose end is missing.
    Unended,
}

/// A piece of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// Its first byte in the whole text.
    pub(super) at: usize,
    pub(super) text: &'a str,
}

impl Token<'_> {
    /// Whether it means nothing to PostgreSQL.
    pub(super) fn is_blank(&self) -> bool {
        use Kind::{BlockComment, LineComment, Space};
        matches!(self.kind, Space | LineComment | BlockComment)
    }

    /// The byte behind it.
    pub(super) fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Whether it is this word, which is written in small letters.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// All tokens of a text, which put together are the text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (kind, length) = next(&text[at..]);
        let token = &text[at..at + length];
        tokens.push(Token {
            kind,
            at,
            text: token,
        });
        at += length;
    }
    tokens
}

/// The kind and the length of the token at the beginning, which is not empty.
fn next(text: &str) -> (Kind, usize) {
    let bytes = text.as_bytes();
    let second = bytes.get(1).copied();
    match bytes[0] {
        byte if is_space(byte) => (Kind::Space, span(bytes, 0, is_space)),
        b'-' if second == Some(b'-') => (Kind::LineComment, line_comment(bytes, 0)),
        b'/' if second == Some(b'*') => block_comment(bytes),
        b'\'' => string(bytes, 0, false, Kind::String),
        b'"' => quoted_name(bytes, 0),
        b'$' => dollar(text),
        b':' => colon(bytes),
        byte if byte.is_ascii_digit() => {
            let is_number = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
            (Kind::Number, span(bytes, 0, is_number))
        }
        byte if starts_name(byte) => word(bytes),
        _ => (Kind::Symbol, text.chars().next().map_or(1, char::len_utf8)),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// PostgreSQL takes any byte of a character outside of ASCII.
pub(super) fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit()
}

/// Where what `belongs` ends, from `at` on.
fn span(bytes: &[u8], at: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let length = bytes[at..].iter().take_while(|byte| belongs(**byte));
    at + length.count()
}

fn line_comment(bytes: &[u8], at: usize) -> usize {
    span(bytes, at, |byte| !matches!(byte, b'\n' | b'\r'))
}

fn block_comment(bytes: &[u8]) -> (Kind, usize) {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return (Kind::BlockComment, at);
        }
    }
    (Kind::Unended, bytes.len())
}

/// A word, or the string or name of which it is the prefix.
fn word(bytes: &[u8]) -> (Kind, usize) {
    let end = span(bytes, 0, |byte| continues_name(byte) || byte == b'$');
    let quote = bytes.get(end).copied();
    match (&bytes[..end], quote) {
        (b"e" | b"E", Some(b'\'')) => string(bytes, end, true, Kind::OtherString),
        (b"b" | b"B" | b"x" | b"X" | b"n" | b"N", Some(b'\'')) => {
            string(bytes, end, false, Kind::OtherString)
        }
        (b"u" | b"U", Some(b'&')) => match bytes.get(end + 1) {
            Some(b'\'') => string(bytes, end + 1, false, Kind::OtherString),
            Some(b'"') => quoted_name(bytes, end + 1),
            _ => (Kind::Word, end),
        },
        _ => (Kind::Word, end),
    }
}

/// A string whose first quote is at `quote`. After its last one, white space with a new line in it
/// and another quote go on with the same string ("String Constants").
fn string(bytes: &[u8], quote: usize, with_escapes: bool, kind: Kind) -> (Kind, usize) {
    let mut at = quote + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if with_escapes => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => match continued(bytes, at + 1) {
                Some(inside) => at = inside,
                None => return (kind, at + 1),
            },
            _ => at += 1,
        }
    }
    (Kind::Unended, bytes.len())
}

/// Where a string goes on that has ended before `at`, if it does.
fn continued(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut has_line = false;
    loop {
        match bytes.get(at)? {
            b'\n' | b'\r' => (has_line, at) = (true, at + 1),
            byte if is_space(*byte) => at += 1,
            b'-' if bytes.get(at + 1) == Some(&b'-') => at = line_comment(bytes, at),
            b'\'' if has_line => return Some(at + 1),
            _ => return None,
        }
    }
}

fn quoted_name(bytes: &[u8], quote: usize) -> (Kind, usize) {
    let mut at = quote + 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return (Kind::QuotedName, at + 1),
            _ => at += 1,
        }
    }
    (Kind::Unended, bytes.len())
}

/// What a `$` begins: a number of a parameter, a string in dollars, or nothing known.
fn dollar(text: &str) -> (Kind, usize) {
    let bytes = text.as_bytes();
    let digits = span(bytes, 1, |byte| byte.is_ascii_digit());
    if digits > 1 {
        return (Kind::Numbered, digits);
    }
    let tag = match bytes.get(1) {
        Some(byte) if starts_name(*byte) => span(bytes, 1, continues_name),
        _ => 1,
    };
    if bytes.get(tag) != Some(&b'$') {
        return (Kind::Symbol, 1);
    }
    let (mark, body) = text.split_at(tag + 1);
    match body.find(mark) {
        Some(end) => (Kind::OtherString, mark.len() + end + mark.len()),
        None => (Kind::Unended, text.len()),
    }
}

fn colon(bytes: &[u8]) -> (Kind, usize) {
    match bytes.get(1) {
        Some(b':') => (Kind::Symbol, 2),
        Some(b'=') => (Kind::Assign, 2),
        Some(byte) if starts_name(*byte) => (Kind::Named, span(bytes, 1, continues_name)),
        _ => (Kind::Symbol, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text is cut into, without white space, each with the first letters of its kind.
    fn cut(text: &str) -> String {
        let tokens = tokens(text);
        let all: String = tokens.iter().map(|token| token.text).collect();
        assert_eq!(all, text, "nothing is lost");
        let told = tokens.iter().filter(|token| token.kind != Kind::Space);
        let told = told.map(|token| format!("{:?} {}", token.kind, token.text));
        told.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn strings_end_where_postgresql_ends_them() {
        for (text, whole) in [
            ("'it''s :x'", "String 'it''s :x'"),
            (r"'a\' :x", r"String 'a\'|Named :x"),
            (r"E'a\' :x'", r"OtherString E'a\' :x'"),
            (r"e'\\' :x", r"OtherString e'\\'|Named :x"),
            (
                "E'a'\n -- c\n 'b\\' :x'",
                "OtherString E'a'\n -- c\n 'b\\' :x'",
            ),
            ("'a' 'b'", "String 'a'|String 'b'"),
            (r"U&'\0041' :x", r"OtherString U&'\0041'|Named :x"),
            (r"U&'a\' :x", r"OtherString U&'a\'|Named :x"),
            (r#"u&":x""" "#, r#"QuotedName u&":x""""#),
            ("u & 'a'", "Word u|Symbol &|String 'a'"),
            ("nameE'a'", "Word nameE|String 'a'"),
            (
                "B'01' x'ff' N'n'",
                "OtherString B'01'|OtherString x'ff'|OtherString N'n'",
            ),
            (r#""a"":x""#, r#"QuotedName "a"":x""#),
            ("$$:x$$", "OtherString $$:x$$"),
            ("$a$ $b$ :x $$ $a$", "OtherString $a$ $b$ :x $$ $a$"),
            ("$ä1$:x$ä1$", "OtherString $ä1$:x$ä1$"),
            ("a$b$:x", "Word a$b$|Named :x"),
            ("$1$2", "Numbered $1|Numbered $2"),
            ("'open :x", "Unended 'open :x"),
            (r"E'open\'", r"Unended E'open\'"),
            ("E'\\", "Unended E'\\"),
            ("$a$open$b$", "Unended $a$open$b$"),
            ("\"open", "Unended \"open"),
        ] {
            assert_eq!(cut(text), whole);
        }
    }

    #[test]
    fn comments_end_where_postgresql_ends_them() {
        for (text, whole) in [
            ("-- :x '\n:y", "LineComment -- :x '|Named :y"),
            (
                "/* a /* :x */ ' */ :y",
                "BlockComment /* a /* :x */ ' */|Named :y",
            ),
            ("/*/ :x */:y", "BlockComment /*/ :x */|Named :y"),
            ("1+-- :x", "Number 1|Symbol +|LineComment -- :x"),
            (
                "2*/*:x*/3",
                "Number 2|Symbol *|BlockComment /*:x*/|Number 3",
            ),
            ("/* /* */", "Unended /* /* */"),
        ] {
            assert_eq!(cut(text), whole);
        }
    }

    #[test]
    fn colons_are_told_apart() {
        for (text, whole) in [
            (":x::int", "Named :x|Symbol ::|Word int"),
            ("x:::y", "Word x|Symbol ::|Named :y"),
            (
                "f(a:=:x)",
                "Word f|Symbol (|Word a|Assign :=|Named :x|Symbol )",
            ),
            (":x:=5", "Named :x|Assign :=|Number 5"),
            (
                "a[1:2]",
                "Word a|Symbol [|Number 1|Symbol :|Number 2|Symbol ]",
            ),
            (": x", "Symbol :|Word x"),
            (":ünï_1$", "Named :ünï_1|Symbol $"),
            ("€:x", "Word €|Named :x"),
        ] {
            assert_eq!(cut(text), whole);
        }
    }
}
