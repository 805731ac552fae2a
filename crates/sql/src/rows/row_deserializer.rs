//! Owns how serde reads a row: columns by their names, or in their order. Must not know how a value
//! is written.

use serde::{
    de::{
        DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor,
        value::BorrowedStrDeserializer,
    },
    forward_to_deserialize_any,
};

use super::{Row, misfit::Misfit, value_deserializer::ValueDeserializer};

/// A row: a map from the names of its columns, which is what a struct is made of, or a sequence for
/// a tuple.
#[derive(Clone, Copy)]
pub(super) struct RowDeserializer<'a>(pub(super) Row<'a>);

impl<'a> RowDeserializer<'a> {
    fn columns(self) -> Columns<'a> {
        Columns {
            row: self.0,
            next: 0,
        }
    }
}

impl<'a> Deserializer<'a> for RowDeserializer<'a> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_map(self.columns())
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(self.columns())
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, len: usize, visitor: V) -> Result<V::Value, Misfit> {
        if len != self.0.len() {
            let there = self.0.len();
            return Err(Misfit::new(format_args!(
                "it has {there} columns, expected {len}"
            )));
        }
        visitor.visit_seq(self.columns())
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        <W: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct map struct enum identifier ignored_any
    }
}

/// The columns of a row that have not been read yet.
struct Columns<'a> {
    row: Row<'a>,
    next: usize,
}

impl<'a> Columns<'a> {
    /// Reads the value of the next column.
    fn read<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let column = self.row.raw.column(self.next);
        let bytes = self.row.value(self.next);
        self.next += 1;
        let value = ValueDeserializer::new(&column, bytes)?;
        let read = seed.deserialize(value);
        read.map_err(|misfit| misfit.in_column(&column))
    }
}

impl<'a> MapAccess<'a> for Columns<'a> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'a>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        if self.next == self.row.len() {
            return Ok(None);
        }
        let name = self.row.raw.column(self.next).name;
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        self.read(seed)
    }
}

impl<'a> SeqAccess<'a> for Columns<'a> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'a>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        if self.next == self.row.len() {
            return Ok(None);
        }
        self.read(seed).map(Some)
    }
}
