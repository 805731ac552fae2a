//! Owns which statements are a COPY, and which of these would move data to or from the client.
//! Must not know what becomes of them.

use sql::Error;

/// Whether a statement that is not a query begins with COPY.
pub(super) fn is_copy(sql: &str) -> bool {
    Words(sql)
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("copy"))
}

/// Refuses a COPY that would read from or write to the client: nobody is there who could feed it.
pub(super) fn refuse(sql: &str) -> Option<Error> {
    let mut words = Words(sql);
    let is_copy = words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("copy"));
    let ends = ["stdin", "stdout"];
    let is_client = |word: &str| ends.iter().any(|end| word.eq_ignore_ascii_case(end));
    (is_copy && words.any(is_client)).then(error)
}

/// Says why.
pub(super) fn error() -> Error {
    Error::config(
        "COPY from STDIN and to STDOUT are not served: use INSERT or SELECT, or COPY with a file \
         of the server's",
    )
}

/// The bare words of a statement that are in no string, quoted name, comment or parenthesis.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut depth = 0_u32;
        loop {
            let rest = self.0;
            let first = rest.chars().next()?;
            let length = match first {
                '\'' | '"' => 1 + rest[1..].find(first).map_or(rest.len() - 1, |end| end + 1),
                '-' if rest.starts_with("--") => rest.find(['\n', '\r']).unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => after_comment(rest),
                '(' => {
                    depth += 1;
                    1
                }
                ')' => {
                    depth = depth.saturating_sub(1);
                    1
                }
                c if c.is_alphanumeric() || c == '_' => {
                    let is_within = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
                    let end = rest.find(|c| !is_within(c)).unwrap_or(rest.len());
                    if depth == 0 {
                        self.0 = &rest[end..];
                        return Some(&rest[..end]);
                    }
                    end
                }
                other => other.len_utf8(),
            };
            self.0 = &rest[length..];
        }
    }
}

/// How long the comment is that `text` begins with. They nest.
fn after_comment(text: &str) -> usize {
    let (mut depth, mut at) = (1, 2);
    while depth > 0 {
        let Some(found) = text[at..].find(['*', '/']) else {
            return text.len();
        };
        at += found;
        let (step, change) = match text.get(at..at + 2) {
            Some("/*") => (2, 1),
            Some("*/") => (2, -1),
            _ => (1, 0),
        };
        (at, depth) = (at + step, depth + change);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_use_the_client_is_refused() {
        for sql in [
            "COPY a FROM STDIN",
            "-- x\ncopy /* y */ a (b, c) to stdout with (format csv)",
            "COPY (SELECT 1) TO STDOUT",
            ";copy a from stdin",
        ] {
            assert!(refuse(sql).is_some() && is_copy(sql), "{sql}");
        }
        for sql in [
            "COPY a FROM '/stdin'",
            "COPY \"stdin\" TO PROGRAM 'cat'",
            "COPY (SELECT stdin FROM a) TO '/b' -- stdin",
            "COPY a FROM '/x' /* stdin /* stdout */ stdin */",
            "SELECT stdin",
            "",
            "/* never closed",
            "'",
        ] {
            assert!(refuse(sql).is_none(), "{sql}");
        }
    }
}
