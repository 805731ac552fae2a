//! Owns making a parameter of a value: checked here and sent in binary where that is simple, else as
//! text for the type's input function. Must not know statements.

use std::{error::Error as StdError, fmt};

use serde_json::value::RawValue;
use sql::{
    Value,
    types::{Format, IsNull, Kind, ToSql, Type, private::BytesMut, to_sql_checked},
};

use super::{
    argument::Shape,
    binary, literal,
    mismatch::Mismatch,
    names::type_name,
    table::{self, Into},
    text_value,
};

/// A parameter whose value is of its type already.
enum Parameter {
    Null,
    Text(String),
    Binary(Vec<u8>),
    Small { bytes: [u8; 8], len: usize },
}

impl Parameter {
    /// Numbers, without an allocation of their own.
    fn small<const N: usize>(bytes: [u8; N]) -> Self {
        let mut eight = [0; 8];
        eight[..N].copy_from_slice(&bytes);
        Self::Small {
            bytes: eight,
            len: N,
        }
    }
}

/// Never shows the value.
impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parameter")
    }
}

impl ToSql for Parameter {
    fn to_sql(
        &self,
        _: &Type,
        to: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        to.extend_from_slice(match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
            Self::Small { bytes, len } => &bytes[..*len],
        });
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        match self {
            Self::Null | Self::Text(_) => Format::Text,
            Self::Binary(_) | Self::Small { .. } => Format::Binary,
        }
    }

    to_sql_checked!();
}

pub(super) fn bind(value: &RawValue, to: &Type) -> Result<Value<'static>, Mismatch> {
    Ok(Box::new(parameter(value, to)?))
}

fn parameter(value: &RawValue, to: &Type) -> Result<Parameter, Mismatch> {
    let shape = shape(value, to)?;
    if matches!(shape, Shape::Null) {
        return Ok(Parameter::Null);
    }
    let base = base(to);
    let wrong = |wanted: &str| Mismatch::of(format!("{wanted} ({})", type_name(to)), &shape);
    let into = table::find(base).map(|(group, _)| group.into);
    Ok(match into {
        Some(Into::Bool) => match shape {
            Shape::Bool(value) => Parameter::small([u8::from(value)]),
            _ => return Err(wrong("true or false")),
        },
        Some(Into::Int2) => Parameter::small(whole::<i16>(&shape, to)?.to_be_bytes()),
        Some(Into::Int4) => Parameter::small(whole::<i32>(&shape, to)?.to_be_bytes()),
        Some(Into::Int8) => Parameter::small(whole::<i64>(&shape, to)?.to_be_bytes()),
        Some(Into::Float4) => Parameter::small(float4(&shape, to)?.to_be_bytes()),
        Some(Into::Float8) => Parameter::small(float8(&shape, to)?.to_be_bytes()),
        Some(Into::Bytea) => Parameter::Binary(bytes(&shape, to)?),
        _ => {
            let mut text = String::new();
            literal::write(&mut text, value, to)?;
            Parameter::Text(text)
        }
    })
}

/// What there is in a value.
pub(super) fn shape<'a>(value: &'a RawValue, to: &Type) -> Result<Shape<'a>, Mismatch> {
    Shape::of(value).map_err(|_| {
        let wanted = format!("a value of Unicode ({})", type_name(to));
        Mismatch::new(wanted, "a string with half a surrogate pair")
    })
}

/// The type that a domain is made of.
pub(super) fn base(mut r#type: &Type) -> &Type {
    while let Kind::Domain(base) = r#type.kind() {
        r#type = base;
    }
    r#type
}

/// Whole numbers, with their range.
pub(super) trait Whole: TryFrom<i128> + fmt::Display {
    const MIN: Self;
    const MAX: Self;
    /// Whether a string of digits is one as well, because it is what such a value may come as.
    const FROM_TEXT: bool;
}

macro_rules! whole {
    ($($type:ident $from_text:literal)*) => {
        $(impl Whole for $type {
            const MIN: Self = Self::MIN;
            const MAX: Self = Self::MAX;
            const FROM_TEXT: bool = $from_text;
        })*
    };
}

whole!(i16 false i32 false i64 true u32 true u64 true);

pub(super) fn whole<T: Whole>(shape: &Shape<'_>, to: &Type) -> Result<T, Mismatch> {
    let range = || {
        let (min, max) = (T::MIN, T::MAX);
        format!("a whole number from {min} to {max} ({})", type_name(to))
    };
    let text = match shape {
        Shape::Number(text) => *text,
        Shape::Text(text) if T::FROM_TEXT => text,
        _ => return Err(Mismatch::of(range(), shape)),
    };
    let is_number = matches!(shape, Shape::Number(_));
    let number: Option<i128> = text.parse().ok().or_else(|| {
        // JavaScript writes 1e21, and others 2.0.
        let float: f64 = text.parse().ok().filter(|_| is_number)?;
        (float.fract() == 0.0 && float.abs() < 1e30).then_some(float as i128)
    });
    let Some(number) = number else {
        let came = if is_number {
            "a number that is not whole"
        } else {
            "a string that is no whole number"
        };
        return Err(Mismatch::new(range(), came));
    };
    T::try_from(number).map_err(|_| Mismatch::new(range(), "one out of this range"))
}

fn not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

const NUMBER: &str = "a number, \"NaN\", \"Infinity\" or \"-Infinity\"";

pub(super) fn float8(shape: &Shape<'_>, to: &Type) -> Result<f64, Mismatch> {
    let wanted = || format!("{NUMBER} ({})", type_name(to));
    let number = match shape {
        Shape::Number(text) => text.parse().ok().filter(|n: &f64| n.is_finite()),
        Shape::Text(text) => not_finite(text),
        _ => None,
    };
    number.ok_or_else(|| match shape {
        Shape::Number(_) => Mismatch::new(wanted(), "a number out of its range"),
        _ => Mismatch::of(wanted(), shape),
    })
}

/// From its own digits: those of a `float8` would be rounded twice.
pub(super) fn float4(shape: &Shape<'_>, to: &Type) -> Result<f32, Mismatch> {
    match shape {
        Shape::Number(text) => {
            let number = text.parse().ok().filter(|n: &f32| n.is_finite());
            number.ok_or_else(|| {
                let wanted = format!("{NUMBER} ({})", type_name(to));
                Mismatch::new(wanted, "a number out of its range")
            })
        }
        _ => float8(shape, to).map(|number| number as f32),
    }
}

pub(super) fn bytes(shape: &Shape<'_>, to: &Type) -> Result<Vec<u8>, Mismatch> {
    let bytes = match shape {
        Shape::Text(text) if text.starts_with("\\x") => text_value::bytea(text).ok(),
        Shape::Text(text) => binary::read(text),
        _ => None,
    };
    bytes.ok_or_else(|| {
        let wanted = format!("binary, or \\x and hexadecimal digits ({})", type_name(to));
        Mismatch::of(wanted, shape)
    })
}
