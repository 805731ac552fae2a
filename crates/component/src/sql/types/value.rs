//! Owns writing one value from its binary form. Must not know columns.

use std::cell::{Cell, RefCell};

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _, SerializeSeq as _},
};
use serde_json::value::RawValue;
use sql::types::Type;

use super::{
    MAX_DIMENSIONS, binary,
    bytes::{Bytes, Malformed},
    forms::{Forms, Int8Form, NumericForm},
    print::{self, Print},
    rule::Rule,
    table::Out,
};

/// The greatest whole number up to which each is a number of JavaScript.
const SAFE: u64 = 1 << 53;

/// What holds for all values of a result.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) forms: Forms,
    /// It is JSON, or like it.
    pub(super) is_human: bool,
    /// Where texts are printed before they are written, so that none is allocated.
    pub(super) scratch: &'a RefCell<String>,
}

/// A value that is not NULL.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    rule: &'a Rule,
    bytes: &'a [u8],
    context: Context<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn new(rule: &'a Rule, bytes: &'a [u8], context: Context<'a>) -> Self {
        Self {
            rule,
            bytes,
            context,
        }
    }
}

pub(super) fn malformed<E: serde::ser::Error>(_: Malformed) -> E {
    E::custom("its bytes are not what PostgreSQL sends for this type, which may have changed")
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Bytes(self.bytes);
        let context = self.context;
        match self.rule {
            Rule::One(out) => context.one(*out, bytes, serializer),
            Rule::Range(print) => context.text(serializer, |to| print::range(to, bytes, *print)),
            Rule::Multirange(print) => {
                context.text(serializer, |to| print::multirange(to, bytes, *print))
            }
            Rule::Array(element, _) => array(element, bytes, context, serializer),
            Rule::Composite(fields) => {
                let count = bytes.count().map_err(malformed)?;
                if count != fields.len() {
                    return Err(malformed(Malformed));
                }
                let mut map = serializer.serialize_map(Some(count))?;
                for (name, rule) in fields {
                    bytes.u32().map_err(malformed)?;
                    let value = bytes.value().map_err(malformed)?;
                    let value = value.map(|bytes| Value::new(rule, bytes, context));
                    map.serialize_entry(name, &value)?;
                }
                map.end()
            }
            Rule::Record => record(bytes, context, serializer),
            Rule::Cast => Err(S::Error::custom("it has to be cast to text in SQL")),
        }
    }
}

impl Context<'_> {
    fn one<S: Serializer>(
        self,
        out: Out,
        mut bytes: Bytes<'_>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match out {
            Out::Bool => serializer.serialize_bool(bytes.u8().map_err(malformed)? != 0),
            Out::Int2 => serializer.serialize_i16(bytes.i16().map_err(malformed)?),
            Out::Int4 => serializer.serialize_i32(bytes.i32().map_err(malformed)?),
            Out::Int8 => self.int8(bytes.i64().map_err(malformed)?, serializer),
            Out::Float4 => self.float4(bytes.f32().map_err(malformed)?, serializer),
            Out::Float8 => self.float8(bytes.f64().map_err(malformed)?, serializer),
            Out::Numeric => {
                self.printed(print::numeric, bytes).map_err(malformed)?;
                self.numeric(&self.scratch.borrow(), serializer)
            }
            Out::Bytea => self.binary(bytes.0, serializer),
            Out::Json(skip) => {
                bytes.slice(skip).map_err(malformed)?;
                self.json(bytes.text().map_err(malformed)?, serializer)
            }
            Out::Chars => serializer.serialize_str(bytes.text().map_err(malformed)?),
            Out::Text(print) | Out::Moment(print, _) => {
                self.text(serializer, |to| print(to, bytes))
            }
        }
    }

    /// Prints into the scratch.
    fn printed(self, print: Print, bytes: Bytes<'_>) -> Result<(), Malformed> {
        let mut scratch = self.scratch.borrow_mut();
        scratch.clear();
        print(&mut scratch, bytes)
    }

    pub(super) fn text<S: Serializer>(
        self,
        serializer: S,
        print: impl FnOnce(&mut String) -> Result<(), Malformed>,
    ) -> Result<S::Ok, S::Error> {
        let mut scratch = self.scratch.borrow_mut();
        scratch.clear();
        print(&mut scratch).map_err(malformed)?;
        serializer.serialize_str(&scratch)
    }

    pub(super) fn int8<S: Serializer>(self, n: i64, serializer: S) -> Result<S::Ok, S::Error> {
        let is_string = match self.forms.int8 {
            Int8Form::Safe => self.is_human && n.unsigned_abs() > SAFE,
            Int8Form::Number => false,
            Int8Form::String => true,
        };
        if is_string {
            self.text(serializer, |to| print::int8(to, Bytes(&n.to_be_bytes())))
        } else {
            serializer.serialize_i64(n)
        }
    }

    pub(super) fn float4<S: Serializer>(self, n: f32, serializer: S) -> Result<S::Ok, S::Error> {
        if n.is_finite() {
            serializer.serialize_f32(n)
        } else {
            serializer.serialize_str(print::non_finite(n.into()))
        }
    }

    pub(super) fn float8<S: Serializer>(self, n: f64, serializer: S) -> Result<S::Ok, S::Error> {
        if n.is_finite() {
            serializer.serialize_f64(n)
        } else {
            serializer.serialize_str(print::non_finite(n))
        }
    }

    /// From its text.
    pub(super) fn numeric<S: Serializer>(
        self,
        text: &str,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        // NaN and the infinities are no numbers of JSON.
        let is_finite = text.ends_with(|c: char| c.is_ascii_digit());
        if self.forms.numeric == NumericForm::String || !is_finite {
            return serializer.serialize_str(text);
        }
        if self.is_human {
            return self.json(text, serializer);
        }
        match text.parse() {
            Ok(number) => serializer.serialize_f64(number),
            Err(_) => Err(malformed(Malformed)),
        }
    }

    /// In JSON to the byte; else token by token.
    pub(super) fn json<S: Serializer>(self, text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        let no_json = |error| S::Error::custom(format_args!("its JSON cannot be read: {error}"));
        if self.is_human {
            let raw: &RawValue = serde_json::from_str(text).map_err(no_json)?;
            raw.serialize(serializer)
        } else {
            let value: serde_json::Value = serde_json::from_str(text).map_err(no_json)?;
            value.serialize(serializer)
        }
    }

    pub(super) fn binary<S: Serializer>(
        self,
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if !self.is_human {
            return serializer.serialize_bytes(bytes);
        }
        self.text(serializer, |to| {
            binary::push(to, bytes);
            Ok(())
        })
    }
}

/// A row whose columns have no names: `f1`, `f2` and so on, as `to_json` calls them.
fn record<S: Serializer>(
    mut bytes: Bytes<'_>,
    context: Context<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let count = bytes.count().map_err(malformed)?;
    let mut map = serializer.serialize_map(Some(count))?;
    for at in 1..=count {
        let oid = bytes.u32().map_err(malformed)?;
        let value = bytes.value().map_err(malformed)?;
        let rule = Type::from_oid(oid).map_or(Rule::Cast, |r#type| Rule::of(&r#type));
        let value = value.map(|bytes| Value::new(&rule, bytes, context));
        map.serialize_entry(&format_args!("f{at}"), &value)?;
    }
    map.end()
}

/// An array, whatever its lower bounds: the number of dimensions, whether there are NULLs, the type,
/// each dimension's length and lower bound, and the elements.
fn array<S: Serializer>(
    element: &Rule,
    mut bytes: Bytes<'_>,
    context: Context<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let (dimensions, lengths) = lengths(&mut bytes).map_err(malformed)?;
    if dimensions == 0 {
        return serializer.serialize_seq(Some(0))?.end();
    }
    let part = Part {
        lengths: &lengths[..dimensions],
        element,
        elements: &Cell::new(bytes),
        context,
    };
    part.serialize(serializer)
}

fn lengths(bytes: &mut Bytes<'_>) -> Result<(usize, [usize; MAX_DIMENSIONS]), Malformed> {
    let dimensions = bytes.count()?;
    let (_flags, _oid) = (bytes.i32()?, bytes.u32()?);
    let mut lengths = [0; MAX_DIMENSIONS];
    for length in lengths.get_mut(..dimensions).ok_or(Malformed)? {
        *length = usize::try_from(bytes.i32()?).map_err(|_| Malformed)?;
        let _lower_bound = bytes.i32()?;
    }
    Ok((dimensions, lengths))
}

/// The elements of one dimension, and of those inside it.
struct Part<'a> {
    lengths: &'a [usize],
    element: &'a Rule,
    /// Those that are not written yet.
    elements: &'a Cell<Bytes<'a>>,
    context: Context<'a>,
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((length, inner)) = self.lengths.split_first() else {
            return Err(malformed(Malformed));
        };
        let mut list = serializer.serialize_seq(Some(*length))?;
        for _ in 0..*length {
            if inner.is_empty() {
                let mut elements = self.elements.get();
                let value = elements.value().map_err(malformed)?;
                self.elements.set(elements);
                let value = value.map(|bytes| Value::new(self.element, bytes, self.context));
                list.serialize_element(&value)?;
            } else {
                let lengths = inner;
                list.serialize_element(&Part { lengths, ..*self })?;
            }
        }
        list.end()
    }
}
