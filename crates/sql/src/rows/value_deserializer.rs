//! Owns how serde reads one value, by its PostgreSQL type. Must not know columns.

use std::error::Error as StdError;

use postgres_types::{FromSql, Kind, Type};
use serde::{
    de::{
        Deserializer, IntoDeserializer, Visitor,
        value::{BorrowedStrDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::de::SliceRead;

use super::{Column, Format, as_text, misfit::Misfit};

/// A value that PostgreSQL sent in its binary form.
#[derive(Clone, Copy)]
pub(super) struct ValueDeserializer<'a> {
    /// No domain.
    r#type: &'a Type,
    bytes: Option<&'a [u8]>,
}

type Json<'a> = serde_json::Deserializer<SliceRead<'a>>;

impl<'a> ValueDeserializer<'a> {
    pub(super) fn new(column: &Column<'a>, bytes: Option<&'a [u8]>) -> Result<Self, Misfit> {
        if column.format == Format::Text && bytes.is_some() {
            return Err(Misfit::new("it came as text").in_column(column));
        }
        Ok(Self::of_type(column.r#type, bytes))
    }

    fn of_type(mut r#type: &'a Type, bytes: Option<&'a [u8]>) -> Self {
        while let Kind::Domain(base) = r#type.kind() {
            r#type = base;
        }
        Self { r#type, bytes }
    }

    /// The value's own JSON, if that is what it is.
    fn json(self) -> Option<Json<'a>> {
        let text = match *self.r#type {
            Type::JSON => self.bytes?,
            // A version comes first.
            Type::JSONB => self.bytes?.get(1..)?,
            _ => return None,
        };
        Some(Json::from_slice(text))
    }

    fn read<T: FromSql<'a>>(self, bytes: &'a [u8]) -> Result<T, Misfit> {
        T::from_sql(self.r#type, bytes).map_err(Misfit::new)
    }

    /// The text of an enum's value, or of what is text.
    fn text(self, bytes: &'a [u8]) -> Option<Result<&'a str, Misfit>> {
        let is_text = <&str>::accepts(self.r#type);
        if is_text {
            return Some(self.read(bytes));
        }
        let is_enum = matches!(self.r#type.kind(), Kind::Enum(_));
        is_enum.then(|| std::str::from_utf8(bytes).map_err(Misfit::new))
    }

    fn visit<V: Visitor<'a>>(self, bytes: &'a [u8], visitor: V) -> Result<V::Value, Misfit> {
        if let Some(text) = self.text(bytes) {
            return visitor.visit_borrowed_str(text?);
        }
        if let Some(text) = as_text::of(self.r#type, bytes) {
            return visitor.visit_string(text.map_err(Misfit::new)?);
        }
        match *self.r#type {
            Type::BOOL => visitor.visit_bool(self.read(bytes)?),
            Type::CHAR => visitor.visit_i8(self.read(bytes)?),
            Type::INT2 => visitor.visit_i16(self.read(bytes)?),
            Type::INT4 => visitor.visit_i32(self.read(bytes)?),
            Type::INT8 => visitor.visit_i64(self.read(bytes)?),
            Type::OID => visitor.visit_u32(self.read(bytes)?),
            Type::FLOAT4 => visitor.visit_f32(self.read(bytes)?),
            Type::FLOAT8 => visitor.visit_f64(self.read(bytes)?),
            Type::BYTEA => visitor.visit_borrowed_bytes(bytes),
            _ => match self.r#type.kind() {
                Kind::Array(member) => {
                    let elements = self.elements(bytes)?.into_iter();
                    let elements = elements.map(|Element(bytes)| Self::of_type(member, bytes));
                    visit_all(SeqDeserializer::new(elements), visitor)
                }
                _ => Err(Misfit::new(
                    "nothing here reads this type: cast it to text in SQL",
                )),
            },
        }
    }

    fn elements(self, bytes: &'a [u8]) -> Result<Vec<Element<'a>>, Misfit> {
        // `array_send` in PostgreSQL's `arrayfuncs.c`: the number of elements comes fourth, and each
        // takes four bytes at least. What a broken server claims must not become memory.
        let claimed = bytes
            .get(12..16)
            .and_then(|claimed| claimed.try_into().ok());
        let claimed = claimed.map_or(0, u32::from_be_bytes);
        if usize::try_from(claimed).is_ok_and(|claimed| claimed <= bytes.len() / 4) {
            self.read(bytes)
        } else {
            Err(Misfit::new("it is no array"))
        }
    }

    /// The bytes of a `bytea`, one after the other.
    fn visit_octets<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.bytes {
            Some(bytes) if *self.r#type == Type::BYTEA => {
                visit_all(SeqDeserializer::new(bytes.iter().copied()), visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }
}

impl<'a> Deserializer<'a> for ValueDeserializer<'a> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if let Some(mut json) = self.json() {
            let read = json.deserialize_any(visitor);
            return read.map_err(|error| Misfit::of_json(&error));
        }
        match self.bytes {
            None => visitor.visit_none(),
            Some(bytes) => self.visit(bytes, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if let Some(mut json) = self.json() {
            let read = json.deserialize_option(visitor);
            return read.map_err(|error| Misfit::of_json(&error));
        }
        match self.bytes {
            None => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if let Some(mut json) = self.json() {
            let read = json.deserialize_newtype_struct(name, visitor);
            return read.map_err(|error| Misfit::of_json(&error));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if let Some(mut json) = self.json() {
            let read = json.deserialize_enum(name, variants, visitor);
            return read.map_err(|error| Misfit::of_json(&error));
        }
        match self.bytes.and_then(|bytes| self.text(bytes)) {
            Some(text) => visitor.visit_enum(BorrowedStrDeserializer::new(text?)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.visit_octets(visitor)
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.visit_octets(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <W: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple_struct map struct identifier
    }
}

/// Has a visitor read a sequence to its end: a tuple or an array stops at its own length.
fn visit_all<'a, V, I, T>(
    mut elements: SeqDeserializer<I, Misfit>,
    visitor: V,
) -> Result<V::Value, Misfit>
where
    V: Visitor<'a>,
    I: Iterator<Item = T>,
    T: IntoDeserializer<'a, Misfit>,
{
    let value = visitor.visit_seq(&mut elements)?;
    elements.end()?;
    Ok(value)
}

impl<'a> IntoDeserializer<'a, Misfit> for ValueDeserializer<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// An element of an array, as the bytes that it came in.
struct Element<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Element<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Some(bytes)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn no_bytes_of_a_broken_server_panic_or_take_memory() {
        let types = [
            Type::BOOL,
            Type::INT4_ARRAY,
            Type::TEXT_ARRAY,
            Type::NUMERIC,
            Type::TIMESTAMPTZ,
            Type::JSONB,
            Type::UUID,
            Type::FLOAT8,
        ];
        // Two billion elements, and a number of dimensions to match.
        let array = [
            0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7f, 255, 255, 255, 0, 0, 0, 1,
        ];
        for r#type in &types {
            for length in 0..=array.len() {
                for fill in [0, 0x7f, 0xff] {
                    let mut filled = array;
                    filled[4..].fill(fill);
                    for bytes in [&array[..length], &filled[..length]] {
                        let value = ValueDeserializer::of_type(r#type, Some(bytes));
                        let _ = serde_json::Value::deserialize(value);
                    }
                }
            }
        }
        let value = ValueDeserializer::of_type(&Type::INT4_ARRAY, Some(&array));
        let error = Vec::<i32>::deserialize(value).unwrap_err();
        assert_eq!(error.to_string(), "it is no array");
    }
}
