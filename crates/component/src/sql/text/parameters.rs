//! Owns where the parameters of a statement stand, `:name` or `$1`, and their defaults. Must not know
//! their types.

use std::ops::Range;

use super::{
    defaults::{WANTED, literal_of},
    lexer::{Kind, Token},
};

/// A part of a statement's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// As it is written, a range of bytes of the source.
    Text(Range<usize>),
    /// A parameter by its index, and where it stands.
    Parameter(usize, usize),
}

/// A parameter of one or more statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sql) struct Parameter {
    /// `price` of `:price`; `$1`.
    pub(in crate::sql) name: String,
    /// JSON.
    pub(in crate::sql) default: Option<String>,
    /// Where it stands first, in bytes.
    pub(super) at: usize,
}

/// What is wrong, and where.
type Wrong = (usize, String);

/// The parameters of a source, found one statement after the other.
#[derive(Default)]
pub(super) struct Parameters {
    found: Vec<Parameter>,
}

impl Parameters {
    /// Finds those of one statement.
    pub(super) fn of_statement(&mut self, tokens: &[Token<'_>]) -> Result<Vec<Part>, Wrong> {
        let mut parts = Vec::new();
        let mut context = Context::default();
        let mut text_from = tokens[0].at;
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            let mut next = index + 1;
            let before = index.checked_sub(1).map(|before| &tokens[before]);
            let is_parameter = match token.kind {
                Kind::Numbered => true,
                Kind::Named => !context.is_slice(before, token),
                _ => false,
            };
            if is_parameter {
                let default =
                    default_of(&tokens[next..], &context).map_err(|why| (token.at, why))?;
                let default = default.map(|(json, length)| {
                    next += length;
                    json
                });
                let found = self.note(token, default)?;
                parts.push(Part::Text(text_from..token.at));
                parts.push(Part::Parameter(found, token.at));
                text_from = tokens[next - 1].end();
            }
            context.pass(token);
            index = next;
        }
        let end = tokens.last().map_or(text_from, Token::end);
        parts.push(Part::Text(text_from..end));
        parts.retain(|part| !is_empty(part));
        Ok(parts)
    }

    /// The index of a parameter, which may have stood before.
    fn note(&mut self, token: &Token<'_>, default: Option<String>) -> Result<usize, Wrong> {
        let (at, is_numbered) = (token.at, token.kind == Kind::Numbered);
        let name = if is_numbered {
            token.text
        } else {
            &token.text[1..]
        };
        if (self.found.first()).is_some_and(|first| first.is_numbered() != is_numbered) {
            let why = "`:name` and `$1` do not go together: use one of them in all of it";
            return Err((at, why.to_owned()));
        }
        let same = self.found.iter().position(|other| other.name == name);
        let index = same.unwrap_or_else(|| {
            self.found.push(Parameter {
                name: name.to_owned(),
                default: None,
                at,
            });
            self.found.len() - 1
        });
        let noted = &mut self.found[index].default;
        match (&noted, default) {
            (_, None) => {}
            (Some(first), Some(default)) if *first != default => {
                let why = format!("the default of `{name}` is {first} before and {default} here");
                return Err((at, why));
            }
            (_, default) => *noted = default,
        }
        Ok(index)
    }

    /// All of them.
    pub(super) fn all(self) -> Result<Vec<Parameter>, Wrong> {
        let count = self.found.len();
        for parameter in &self.found {
            let number = parameter.number();
            if let Some(number) = number.filter(|number| !(1..=count).contains(number)) {
                let why = format!(
                    "there are {count} parameters, and this is number {number}: they are to be $1 \
                     to ${count}"
                );
                return Err((parameter.at, why));
            }
        }
        Ok(self.found)
    }
}

impl Parameter {
    fn is_numbered(&self) -> bool {
        self.name.starts_with('$')
    }

    /// 1 of `$1`; `None` of a name.
    pub(super) fn number(&self) -> Option<usize> {
        let digits = self.name.strip_prefix('$')?;
        // One that is too large is as wrong as none.
        Some(digits.parse().unwrap_or(0))
    }
}

fn is_empty(part: &Part) -> bool {
    matches!(part, Part::Text(range) if range.is_empty())
}

/// The default that follows a parameter, and how many tokens it takes: `:= 20` anywhere, where SQL
/// could have nothing of the kind; `= 20` behind LIMIT and OFFSET, where a comparison cannot be.
fn default_of(
    tokens: &[Token<'_>],
    context: &Context<'_>,
) -> Result<Option<(String, usize)>, String> {
    let at = |from: usize| {
        let blank = tokens[from..].iter().take_while(|token| token.is_blank());
        from + blank.count()
    };
    let sign = at(0);
    let is_sign = match tokens.get(sign) {
        Some(token) if token.kind == Kind::Assign => true,
        Some(token) if token.text == "=" => context.takes_a_number(),
        _ => false,
    };
    if !is_sign {
        return Ok(None);
    }
    let value = at(sign + 1);
    match literal_of(&tokens[value..]) {
        Some((json, length)) => Ok(Some((json, value + length))),
        None => Err(format!("its default is to be {WANTED}")),
    }
}

/// What stands before a token.
#[derive(Default)]
struct Context<'a> {
    /// The last token that is not blank.
    last: Option<Token<'a>>,
    /// The parentheses and brackets that are open.
    open: Vec<Open>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Parenthesis,
    /// Of `ARRAY[...]`.
    Constructor,
    /// Of `a[...]`.
    Subscript,
}

/// After these an expression begins, so that what follows is no bound of a slice.
const BEFORE_AN_EXPRESSION: [&str; 24] = [
    "all",
    "and",
    "any",
    "between",
    "by",
    "case",
    "distinct",
    "else",
    "from",
    "having",
    "ilike",
    "in",
    "like",
    "limit",
    "not",
    "offset",
    "on",
    "or",
    "returning",
    "select",
    "then",
    "values",
    "when",
    "where",
];

impl<'a> Context<'a> {
    fn pass(&mut self, token: &Token<'a>) {
        if token.is_blank() {
            return;
        }
        match token.text {
            "(" => self.open.push(Open::Parenthesis),
            "[" => {
                let last = self.last.as_ref();
                let nested = self.open.last() == Some(&Open::Constructor)
                    && last.is_some_and(|last| matches!(last.text, "[" | ","));
                let is_array = last.is_some_and(|last| last.is_word("array"));
                self.open.push(if nested || is_array {
                    Open::Constructor
                } else {
                    Open::Subscript
                });
            }
            ")" | "]" => {
                self.open.pop();
            }
            _ => {}
        }
        self.last = Some(*token);
    }

    /// Whether `:name` is the end of a slice, `a[1:name]`, and not a parameter. Directly behind a
    /// value it is none anywhere: `JSON_OBJECT('key':name)`.
    fn is_slice(&self, before: Option<&Token<'_>>, token: &Token<'_>) -> bool {
        let ends_value = self.last.as_ref().is_some_and(ends_value);
        let is_next = before.is_some_and(|before| !before.is_blank() && before.end() == token.at);
        ends_value && (is_next || self.open.last() == Some(&Open::Subscript))
    }

    /// Whether the next value is a number of rows.
    fn takes_a_number(&self) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|last| last.is_word("limit") || last.is_word("offset"))
    }
}

/// Whether a value may end with the token.
fn ends_value(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Word => !BEFORE_AN_EXPRESSION.iter().any(|word| token.is_word(word)),
        Kind::Symbol => matches!(token.text, ")" | "]"),
        Kind::Assign => false,
        _ => true,
    }
}
