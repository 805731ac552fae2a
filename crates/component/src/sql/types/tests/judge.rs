//! Owns what values should be: what PostgreSQL's `to_json` says, but for the exceptions that
//! `docs/types.md` names.

use std::collections::BTreeMap;

use serde_json::{Value, json, value::RawValue};
use sql::types::{Kind, Type};

use crate::sql::types::binary;

/// What a value of this type should be, from what `to_json` made of it.
pub(super) fn expected(r#type: &Type, to_json: &RawValue) -> Value {
    let text = to_json.get();
    if text == "null" {
        return Value::Null;
    }
    let value: Value = serde_json::from_str(text).unwrap();
    match (r#type.kind(), r#type) {
        (Kind::Domain(base), _) => expected(base, to_json),
        (Kind::Array(_), _) => elements(r#type, to_json),
        (Kind::Composite(fields), _) => {
            let values: BTreeMap<&str, &RawValue> = serde_json::from_str(text).unwrap();
            let values = values.into_iter().map(|(name, value)| {
                let mut fields = fields.iter();
                let field = fields.find(|field| field.name() == name).unwrap();
                (name.to_owned(), expected(field.type_(), value))
            });
            Value::Object(values.collect())
        }
        (_, &Type::INT8) if value.as_i64().unwrap().unsigned_abs() > 1 << 53 => json!(text),
        (_, &Type::NUMERIC) if value.is_number() => json!(text),
        (_, &Type::FLOAT4 | &Type::FLOAT8) => number(value),
        (_, &Type::BYTEA) => {
            let digits = value.as_str().unwrap().strip_prefix("\\x").unwrap();
            let pairs = (0..digits.len()).step_by(2);
            let bytes: Vec<u8> =
                (pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())).collect();
            json!(binary::to_string(&bytes))
        }
        _ => value,
    }
}

/// In each dimension: all of an array's type but its elements.
fn elements(array: &Type, to_json: &RawValue) -> Value {
    let Kind::Array(element) = array.kind() else {
        panic!("{array} is no array")
    };
    let list: Vec<&RawValue> = serde_json::from_str(to_json.get()).unwrap();
    let is_json = [Type::JSON, Type::JSONB].contains(element);
    (list.into_iter())
        .map(|value| match value.get().starts_with('[') && !is_json {
            true => elements(array, value),
            false => expected(element, value),
        })
        .collect()
}

/// 5 is 5.0.
fn number(value: Value) -> Value {
    value.as_f64().map_or(value, Value::from)
}
