//! Owns writing one value that came as PostgreSQL's text. Must not know columns.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap as _, SerializeSeq as _},
};

use super::{
    bytes::{Bytes, Malformed},
    literals::{self, Element},
    rule::Rule,
    table::Out,
    value::{Context, malformed},
};

/// A value that is not NULL.
#[derive(Clone, Copy)]
pub(super) struct TextValue<'a> {
    rule: &'a Rule,
    bytes: &'a [u8],
    context: Context<'a>,
}

impl<'a> TextValue<'a> {
    pub(super) fn new(rule: &'a Rule, bytes: &'a [u8], context: Context<'a>) -> Self {
        Self {
            rule,
            bytes,
            context,
        }
    }
}

impl Serialize for TextValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Bytes(self.bytes).text().map_err(malformed)?;
        match self.rule {
            Rule::One(out) => one(*out, text, self.context, serializer),
            Rule::Array(element, delimiter) => {
                let elements = literals::array(text, *delimiter).map_err(malformed)?;
                let context = self.context;
                Elements {
                    elements: &elements,
                    rule: element,
                    context,
                }
                .serialize(serializer)
            }
            Rule::Composite(rules) => {
                let fields = literals::row(text).map_err(malformed)?;
                if fields.len() != rules.len() {
                    return Err(malformed(Malformed));
                }
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for ((name, rule), field) in rules.iter().zip(&fields) {
                    let text = field.as_deref();
                    let value =
                        text.map(|text| TextValue::new(rule, text.as_bytes(), self.context));
                    map.serialize_entry(name, &value)?;
                }
                map.end()
            }
            Rule::Record | Rule::Range(_) | Rule::Multirange(_) | Rule::Cast => {
                serializer.serialize_str(text)
            }
        }
    }
}

fn number<T: std::str::FromStr, E: serde::ser::Error>(text: &str) -> Result<T, E> {
    text.parse().map_err(|_| malformed(Malformed))
}

fn one<S: Serializer>(
    out: Out,
    text: &str,
    context: Context<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match out {
        Out::Bool => serializer.serialize_bool(text == "t"),
        Out::Int2 => serializer.serialize_i16(number(text)?),
        Out::Int4 => serializer.serialize_i32(number(text)?),
        Out::Int8 => context.int8(number(text)?, serializer),
        Out::Float4 => context.float4(number(text)?, serializer),
        Out::Float8 => context.float8(number(text)?, serializer),
        Out::Numeric => context.numeric(text, serializer),
        Out::Bytea => context.binary(&bytea(text).map_err(malformed)?, serializer),
        Out::Json(_) => context.json(text, serializer),
        Out::Chars | Out::Text(_) => serializer.serialize_str(text),
        Out::Moment(..) => moment(text, serializer),
    }
}

/// The letter that JSON has between date and time, and the minutes of an offset.
fn moment<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let (moment, bc) = match text.strip_suffix(" BC") {
        Some(moment) => (moment, " BC"),
        None => (text, ""),
    };
    let Some((date, time)) = moment.split_once(' ') else {
        return serializer.serialize_str(text);
    };
    let minutes = match time.rfind(['+', '-']) {
        Some(at) if time.len() - at == 3 => ":00",
        _ => "",
    };
    serializer.collect_str(&format_args!("{date}T{time}{minutes}{bc}"))
}

/// Bytes from what PostgreSQL prints with `bytea_output` at `hex`, which is its default, or at
/// `escape`.
pub(super) fn bytea(text: &str) -> Result<Vec<u8>, Malformed> {
    if let Some(digits) = text.strip_prefix("\\x") {
        let pairs = digits.as_bytes().chunks(2);
        return pairs.map(|pair| byte(pair, 16, 2)).collect();
    }
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                rest = after;
                b'\\'
            }
            (b'\\', _) => {
                let (digits, after) = after.split_at_checked(3).ok_or(Malformed)?;
                rest = after;
                byte(digits, 8, 3)?
            }
            (plain, _) => *plain,
        });
    }
    Ok(bytes)
}

fn byte(digits: &[u8], radix: u32, count: usize) -> Result<u8, Malformed> {
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    if digits.len() != count || digits.starts_with('+') {
        return Err(Malformed);
    }
    u8::from_str_radix(digits, radix).map_err(|_| Malformed)
}

struct Elements<'a> {
    elements: &'a [Element<'a>],
    rule: &'a Rule,
    context: Context<'a>,
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.elements.len()))?;
        for element in self.elements {
            match element {
                Element::Null => list.serialize_element(&None::<()>)?,
                Element::Text(text) => {
                    let value = TextValue::new(self.rule, text.as_bytes(), self.context);
                    list.serialize_element(&value)?;
                }
                Element::Array(elements) => list.serialize_element(&Self { elements, ..*self })?,
            }
        }
        list.end()
    }
}
