//! Owns what values should be: what PostgreSQL's `to_json` says, but for the exceptions that
//! `docs/types.md` names.

use std::collections::BTreeMap;

use serde_json::{Value, json, value::RawValue};
use sql::types::{Kind, Type};

use crate::sql::types::binary;

/// Whose JSON it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// PostgreSQL's `to_json`.
    Judge,
    /// Ours.
    Us,
}

/// A value of this type for comparing: with our exceptions, if it is the judge's.
pub(super) fn comparable(r#type: &Type, json: &RawValue, of: Of) -> Value {
    let text = json.get();
    if text == "null" {
        return Value::Null;
    }
    let value: Value = serde_json::from_str(text).unwrap();
    match (r#type.kind(), r#type) {
        (Kind::Domain(base), _) => comparable(base, json, of),
        (Kind::Array(_), _) => elements(r#type, json, of),
        (Kind::Composite(fields), _) => {
            let values: BTreeMap<&str, &RawValue> = serde_json::from_str(text).unwrap();
            let values = values.into_iter().map(|(name, value)| {
                let mut fields = fields.iter();
                let field = fields.find(|field| field.name() == name).unwrap();
                (name.to_owned(), comparable(field.type_(), value, of))
            });
            Value::Object(values.collect())
        }
        // 5 is 5.0, and each digit counts.
        (_, &Type::FLOAT4) if value.is_number() => json!(text.parse::<f32>().unwrap()),
        (_, &Type::FLOAT8) if value.is_number() => json!(text.parse::<f64>().unwrap()),
        _ if of == Of::Us => value,
        (_, &Type::INT8) if value.as_i64().unwrap().unsigned_abs() > 1 << 53 => json!(text),
        (_, &Type::NUMERIC) if value.is_number() => json!(text),
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
fn elements(array: &Type, json: &RawValue, of: Of) -> Value {
    let Kind::Array(element) = array.kind() else {
        panic!("{array} is no array")
    };
    let list: Vec<&RawValue> = serde_json::from_str(json.get()).unwrap();
    let is_json = [Type::JSON, Type::JSONB].contains(element);
    (list.into_iter())
        .map(|value| {
            if value.get().starts_with('[') && !is_json {
                elements(array, value, of)
            } else {
                comparable(element, value, of)
            }
        })
        .collect()
}
