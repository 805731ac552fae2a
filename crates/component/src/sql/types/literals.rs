//! Owns PostgreSQL's literals of arrays and rows: their quoting, both ways. Must not know how
//! what is in them is written.

use std::borrow::Cow;

use sql::types::Type;

use super::bytes::Malformed;

/// What stands between the elements of an array: `typdelim` in `pg_type`.
pub(super) fn delimiter(element: &Type) -> char {
    if *element == Type::BOX { ';' } else { ',' }
}

/// Whether it is one of the two arrays that have no braces, and spaces between their elements.
pub(super) fn is_vector(array: &Type) -> bool {
    [Type::INT2_VECTOR, Type::OID_VECTOR].contains(array)
}

/// An element of an array: text, or an array inside it.
pub(super) enum Element<'a> {
    Null,
    Text(Cow<'a, str>),
    Array(Vec<Self>),
}

/// What is left of a literal.
struct Rest<'a>(&'a str);

/// Reads the literal of an array, whatever its lower bounds; with spaces between the elements, of one
/// without braces.
pub(super) fn array(literal: &str, delimiter: char) -> Result<Vec<Element<'_>>, Malformed> {
    if delimiter == ' ' {
        let elements = literal.split_ascii_whitespace();
        return Ok(elements.map(|text| Element::Text(text.into())).collect());
    }
    // Bounds other than 1 stand in front: `[0:1]={a,b}`.
    let braces = literal.find('{').ok_or(Malformed)?;
    let mut rest = Rest(&literal[braces..]);
    let elements = rest.array(delimiter, 0)?;
    match rest.0 {
        "" => Ok(elements),
        _ => Err(Malformed),
    }
}

/// Reads the literal of a row; `None` is NULL.
pub(super) fn row(literal: &str) -> Result<Vec<Option<Cow<'_, str>>>, Malformed> {
    let inside = literal.strip_prefix('(').and_then(|l| l.strip_suffix(')'));
    let mut rest = Rest(inside.ok_or(Malformed)?);
    let mut fields = Vec::new();
    loop {
        let is_null = rest.0.is_empty() || rest.0.starts_with(',');
        let field = rest.text(&[','])?;
        fields.push((!is_null).then_some(field));
        if !rest.has(',') {
            return if rest.0.is_empty() {
                Ok(fields)
            } else {
                Err(Malformed)
            };
        }
    }
}

impl<'a> Rest<'a> {
    fn has(&mut self, letter: char) -> bool {
        match self.0.strip_prefix(letter) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn array(&mut self, delimiter: char, depth: usize) -> Result<Vec<Element<'a>>, Malformed> {
        if depth == super::MAX_DIMENSIONS || !self.has('{') {
            return Err(Malformed);
        }
        let mut elements = Vec::new();
        if self.has('}') {
            return Ok(elements);
        }
        loop {
            elements.push(match self.0.chars().next() {
                Some('{') => Element::Array(self.array(delimiter, depth + 1)?),
                Some('"') => Element::Text(self.text(&[delimiter, '}'])?),
                _ => match self.text(&[delimiter, '}'])? {
                    null if null.eq_ignore_ascii_case("null") => Element::Null,
                    text => Element::Text(text),
                },
            });
            if self.has('}') {
                return Ok(elements);
            }
            if !self.has(delimiter) {
                return Err(Malformed);
            }
        }
    }

    /// Text up to one of these letters outside of quotes, or to the end. A quote inside quotes is
    /// doubled or has a backslash.
    fn text(&mut self, ends: &[char]) -> Result<Cow<'a, str>, Malformed> {
        let is_plain = |c: char| !ends.contains(&c) && c != '"' && c != '\\';
        let plain = self.0.find(|c| !is_plain(c)).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(plain);
        if rest.is_empty() || rest.starts_with(ends) {
            self.0 = rest;
            return Ok(Cow::Borrowed(text));
        }
        let mut text = text.to_owned();
        let mut letters = rest.chars();
        let mut is_quoted = false;
        loop {
            self.0 = letters.as_str();
            match letters.next() {
                None if is_quoted => return Err(Malformed),
                None => return Ok(text.into()),
                Some('\\') => text.push(letters.next().ok_or(Malformed)?),
                Some('"') if is_quoted && letters.as_str().starts_with('"') => {
                    letters.next();
                    text.push('"');
                }
                Some('"') => is_quoted = !is_quoted,
                Some(letter) if !is_quoted && ends.contains(&letter) => return Ok(text.into()),
                Some(letter) => text.push(letter),
            }
        }
    }
}

/// Quotes what was appended since `from`, as the elements of arrays and the fields of rows are.
pub(super) fn quote(to: &mut String, from: usize) {
    let escaped = to[from..].replace('\\', "\\\\").replace('"', "\\\"");
    to.truncate(from);
    to.push('"');
    to.push_str(&escaped);
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(element: &Element<'_>) -> String {
        match element {
            Element::Null => "-".to_owned(),
            Element::Text(text) => format!("<{text}>"),
            Element::Array(elements) => elements.iter().map(shown).collect(),
        }
    }

    #[test]
    fn arrays_are_read_as_postgresql_prints_them() {
        for (literal, elements) in [
            ("{}", ""),
            ("{1,2}", "<1><2>"),
            ("[0:1]={NULL,\"NULL\"}", "-<NULL>"),
            (r#"{{"a,b","c\"}"},{"\\",d}}"#, r#"<a,b><c"}><\><d>"#),
            (r#"{"(1,\"x y\")"}"#, r#"<(1,"x y")>"#),
        ] {
            let read = array(literal, ',').unwrap_or_else(|_| panic!("{literal}"));
            assert_eq!(read.iter().map(shown).collect::<String>(), elements);
        }
        for wrong in ["", "{", "{1", "{1,", "{\"a}", "{1}x", "{{{{{{{1}}}}}}}"] {
            assert!(array(wrong, ',').is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_are_read_as_postgresql_prints_them() {
        let read = row(r#"(1,,"","a ""b"" \\ ,",c)"#).unwrap();
        let read: Vec<_> = read.iter().map(Option::as_deref).collect();
        let expected = [Some("1"), None, Some(""), Some("a \"b\" \\ ,"), Some("c")];
        assert_eq!(read, expected);
        for wrong in ["", "(", "(\"a)", "1"] {
            assert!(row(wrong).is_err(), "{wrong}");
        }
    }
}
