//! Owns the text of a value that PostgreSQL's input functions read: of arrays and rows as well, and
//! of what is in them. Must not know how it is sent.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde_json::value::RawValue;
use sql::types::{Field, Kind, Type};

use super::{
    MAX_DIMENSIONS,
    argument::Shape,
    bind::{base, bytes, float4, float8, shape, whole},
    bytes::Bytes,
    literals::{delimiter, is_vector, quote},
    mismatch::Mismatch,
    names::type_name,
    print,
    table::{self, Into},
};

/// Appends the text of a value that is not null.
pub(super) fn write(to: &mut String, value: &RawValue, r#type: &Type) -> Result<(), Mismatch> {
    let shape = shape(value, r#type)?;
    let base = base(r#type);
    if let Some((group, _)) = table::find(base) {
        return one(to, group.into, &shape, value, r#type);
    }
    match (base.kind(), &shape) {
        // PostgreSQL's own literal: of an array with lower bounds perhaps.
        (Kind::Array(_), Shape::Text(text)) if text.starts_with(['{', '[']) || is_vector(base) => {
            chars(to, text, r#type)
        }
        (Kind::Composite(_), Shape::Text(text)) if text.starts_with('(') => chars(to, text, r#type),
        (Kind::Array(element), Shape::List(list)) if is_vector(base) => vector(to, list, element),
        (Kind::Array(element), Shape::List(list)) => array(to, list, element, 1),
        (Kind::Array(_), _) => Err(wrong("a list", &shape, r#type)),
        (Kind::Composite(fields), Shape::Dict(dict)) => object(to, dict, fields, r#type),
        (Kind::Composite(fields), Shape::List(list)) => row(to, list, fields, r#type),
        (Kind::Composite(_), _) => Err(wrong("an object, or a list of its fields", &shape, r#type)),
        // Of an extension: its text may be that of a number.
        (Kind::Simple, Shape::Number(digits)) => show(to, digits),
        (Kind::Simple, Shape::Bool(value)) => show(to, value),
        (_, Shape::Text(text)) => chars(to, text, r#type),
        _ => Err(wrong("a string", &shape, r#type)),
    }
}

fn wrong(wanted: &str, shape: &Shape<'_>, r#type: &Type) -> Mismatch {
    Mismatch::of(format!("{wanted} ({})", type_name(r#type)), shape)
}

fn show(to: &mut String, what: impl fmt::Display) -> Result<(), Mismatch> {
    print::write(to, format_args!("{what}"));
    Ok(())
}

/// A value of one of PostgreSQL's own types.
fn one(
    to: &mut String,
    into: Into,
    shape: &Shape<'_>,
    value: &RawValue,
    r#type: &Type,
) -> Result<(), Mismatch> {
    match (into, shape) {
        (Into::Bool, Shape::Bool(value)) => show(to, value),
        (Into::Bool, _) => Err(wrong("true or false", shape, r#type)),
        (Into::Int2, _) => show(to, whole::<i16>(shape, r#type)?),
        (Into::Int4, _) => show(to, whole::<i32>(shape, r#type)?),
        (Into::Int8, _) => show(to, whole::<i64>(shape, r#type)?),
        (Into::Unsigned4, _) => show(to, whole::<u32>(shape, r#type)?),
        (Into::Unsigned8, _) => show(to, whole::<u64>(shape, r#type)?),
        (Into::Float4, _) => show(to, float4(shape, r#type)?),
        (Into::Float8, _) => show(to, float8(shape, r#type)?),
        (Into::Numeric, Shape::Number(digits)) => show(to, digits),
        (Into::Numeric, Shape::Text(text)) if is_numeric(text) => show(to, text),
        (Into::Numeric, _) => Err(wrong("a number, or a string of its digits", shape, r#type)),
        (Into::Bytea, _) => {
            let _ = print::bytea(to, Bytes(&bytes(shape, r#type)?));
            Ok(())
        }
        (Into::Json, _) => show(to, value.get()),
        (Into::TextOrNumber, Shape::Number(digits)) => show(to, digits),
        (Into::Chars | Into::Text | Into::TextOrNumber, Shape::Text(text)) => {
            chars(to, text, r#type)
        }
        (Into::Chars | Into::Text | Into::TextOrNumber, _) => Err(wrong("a string", shape, r#type)),
    }
}

/// PostgreSQL reads more, such as spaces around it; that is nothing to send.
fn is_numeric(text: &str) -> bool {
    let number: Option<f64> = text.parse().ok();
    let is_word = matches!(text, "NaN" | "Infinity" | "-Infinity");
    number.is_some()
        && (is_word || !text.contains(|c: char| c.is_alphabetic() && c != 'e' && c != 'E'))
}

fn chars(to: &mut String, text: &str, r#type: &Type) -> Result<(), Mismatch> {
    if text.contains('\0') {
        let wanted = format!("a string without NUL ({})", type_name(r#type));
        return Err(Mismatch::new(wanted, "one with it, or binary"));
    }
    to.push_str(text);
    Ok(())
}

fn vector(to: &mut String, list: &[&RawValue], element: &Type) -> Result<(), Mismatch> {
    for (at, value) in list.iter().enumerate() {
        if at > 0 {
            to.push(' ');
        }
        write(to, value, element).map_err(|mismatch| in_list(mismatch, at))?;
    }
    Ok(())
}

fn in_list(mismatch: Mismatch, at: usize) -> Mismatch {
    mismatch.at(format_args!("[{at}]"))
}

/// A list in the list is one more dimension, unless it is JSON that the elements are.
fn array(
    to: &mut String,
    list: &[&RawValue],
    element: &Type,
    dimensions: usize,
) -> Result<(), Mismatch> {
    if dimensions > MAX_DIMENSIONS {
        let wanted = format!(
            "at most {MAX_DIMENSIONS} dimensions ({}[])",
            type_name(element)
        );
        return Err(Mismatch::new(wanted, "more"));
    }
    let is_json =
        matches!(table::find(base(element)), Some((group, _)) if group.into == Into::Json);
    to.push('{');
    for (at, value) in list.iter().enumerate() {
        if at > 0 {
            to.push(delimiter(element));
        }
        let written = match shape(value, element)? {
            Shape::List(list) if !is_json => array(to, &list, element, dimensions + 1),
            _ => part(to, value, element, "NULL"),
        };
        written.map_err(|mismatch| in_list(mismatch, at))?;
    }
    to.push('}');
    Ok(())
}

/// An element or a field.
fn part(to: &mut String, value: &RawValue, r#type: &Type, null: &str) -> Result<(), Mismatch> {
    if value.get() == "null" {
        to.push_str(null);
        return Ok(());
    }
    let from = to.len();
    write(to, value, r#type)?;
    quote(to, from);
    Ok(())
}

fn object(
    to: &mut String,
    dict: &BTreeMap<Cow<'_, str>, &RawValue>,
    fields: &[Field],
    r#type: &Type,
) -> Result<(), Mismatch> {
    let is_field = |key: &str| fields.iter().any(|field| field.name() == key);
    if let Some(unknown) = dict.keys().find(|key| !is_field(key)) {
        let names: Vec<_> = fields.iter().map(Field::name).collect();
        let wanted = format!("the fields {} ({})", names.join(", "), type_name(r#type));
        return Err(Mismatch::new(wanted, format!("a field {unknown:?}")));
    }
    let values = fields.iter().map(|field| dict.get(field.name()).copied());
    fields_of(to, fields, values)
}

fn row(
    to: &mut String,
    list: &[&RawValue],
    fields: &[Field],
    r#type: &Type,
) -> Result<(), Mismatch> {
    if list.len() != fields.len() {
        let wanted = format!("a list of {} fields ({})", fields.len(), type_name(r#type));
        return Err(Mismatch::new(wanted, format!("one of {}", list.len())));
    }
    fields_of(to, fields, list.iter().copied().map(Some))
}

/// A field that is not there is NULL.
fn fields_of<'a>(
    to: &mut String,
    fields: &[Field],
    values: impl Iterator<Item = Option<&'a RawValue>>,
) -> Result<(), Mismatch> {
    to.push('(');
    for (at, (field, value)) in fields.iter().zip(values).enumerate() {
        if at > 0 {
            to.push(',');
        }
        if let Some(value) = value {
            part(to, value, field.type_(), "")
                .map_err(|mismatch| mismatch.at(format_args!(".{}", field.name())))?;
        }
    }
    to.push(')');
    Ok(())
}
