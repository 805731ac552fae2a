//! Owns results as they are read: rows as PostgreSQL's own bytes, with their columns. Must not know
//! which backend holds the bytes, nor what becomes of them.

mod as_text;
mod misfit;
mod row_deserializer;
mod value_deserializer;

use std::{any::type_name, fmt};

use postgres_types::{FromSql, Type};
use serde::{Deserialize, de::DeserializeOwned};

use row_deserializer::RowDeserializer;

use super::error::{Error, ErrorKind};

/// How a backend keeps the rows that it received, so that their bytes are not copied. All numbers
/// are from 0 and below what it says there is.
pub trait RawRows: Send + Sync {
    /// How many columns each row has.
    fn columns(&self) -> usize;

    /// A column.
    fn column(&self, column: usize) -> Column<'_>;

    /// How many rows there are.
    fn rows(&self) -> usize;

    /// The bytes of a value as PostgreSQL sent them; `None` for NULL.
    fn value(&self, row: usize, column: usize) -> Option<&[u8]>;
}

/// A column of a result.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Its name, which others may have too.
    pub name: &'a str,
    /// The type of its values.
    pub r#type: &'a Type,
    /// How its values are written.
    pub format: Format,
}

/// How values are written: see ["Formats and Format
/// Codes"](https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES) in
/// PostgreSQL's manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As text, in UTF-8.
    Text,
    /// In the binary form of the type.
    Binary,
}

/// What one statement gave: its rows, and how many it changed.
pub struct Rows {
    raw: Option<Box<dyn RawRows>>,
    affected: u64,
}

impl Rows {
    /// Rows that a backend has received.
    pub fn new(raw: impl RawRows + 'static, affected: u64) -> Self {
        Self {
            raw: Some(Box::new(raw)),
            affected,
        }
    }

    /// The result of a statement that has no rows, or of which none are wanted.
    pub fn count(affected: u64) -> Self {
        Self {
            raw: None,
            affected,
        }
    }

    /// How many rows the statement changed, or returned.
    pub fn affected(&self) -> u64 {
        self.affected
    }

    /// How many rows are here.
    pub fn len(&self) -> usize {
        self.raw.as_ref().map_or(0, |raw| raw.rows())
    }

    /// Whether no rows are here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns, in their order; also when there are no rows.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = Column<'_>> {
        let columns = 0..self.raw.as_ref().map_or(0, |raw| raw.columns());
        let column = |n| self.raw.as_deref().map(|raw| raw.column(n));
        columns.map(move |n| column(n).expect("only rows have columns"))
    }

    /// A row, numbered from 0.
    pub fn row(&self, row: usize) -> Option<Row<'_>> {
        let raw = self.raw.as_deref().filter(|raw| row < raw.rows())?;
        Some(Row { raw, row })
    }

    /// All rows, in the order in which they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.len()).map(|n| self.row(n).expect("it is below the length"))
    }

    /// All rows, each as a `T` of one's own: see [`Row::to`].
    ///
    /// # Errors
    /// As [`Row::to`], for the first row that does not fit.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.iter().map(|row| row.to()).collect()
    }
}

/// Shows how many there are and never what they are: values may be secrets.
impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("len", &self.len())
            .field("affected", &self.affected)
            .finish()
    }
}

/// One row of a result.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    raw: &'a dyn RawRows,
    row: usize,
}

impl<'a> Row<'a> {
    /// How many values it has.
    pub fn len(&self) -> usize {
        self.raw.columns()
    }

    /// Whether it has no values, as the row of an empty `SELECT`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a value as PostgreSQL sent them; `None` for NULL.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn value(&self, column: usize) -> Option<&'a [u8]> {
        self.raw.value(self.row, column)
    }

    /// The values, in the order of the columns.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Option<&'a [u8]>> {
        let row = *self;
        (0..row.len()).map(move |column| row.value(column))
    }

    /// A value as the Rust type of its PostgreSQL type: `i32` for `int4`, `Option` for what may be
    /// NULL.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if there is no such column, if the value is of another type, or if it
    /// came as text.
    pub fn get<T: FromSql<'a>>(&self, column: impl ColumnIndex) -> Result<T, Error> {
        let at = column.find(self.raw).ok_or_else(|| {
            let text = format!("there is no column {column}");
            Error::new(ErrorKind::Value, text)
        })?;
        let Column { r#type, format, .. } = self.raw.column(at);
        let wrong = |why: &dyn fmt::Display| {
            let text = format!("column {column} of type {type} cannot be read: {why}");
            Error::new(ErrorKind::Value, text)
        };
        if format == Format::Text {
            return Err(wrong(&"it came as text"));
        }
        if !T::accepts(r#type) {
            let why = format!("it is no {}", type_name::<T>());
            return Err(wrong(&why));
        }
        T::from_sql_nullable(r#type, self.value(at)).map_err(|error| wrong(&error))
    }

    /// The row as a `T` of one's own, by [serde](https://serde.rs): each field of a struct from the
    /// column of its name, in whatever order, each element of a tuple from the column in its place.
    ///
    /// ```
    /// # use serde::Deserialize;
    /// #[derive(Deserialize)]
    /// struct Goods {
    ///     id: i32,
    ///     name: String,
    ///     /// NULL where nobody has set one.
    ///     price: Option<f64>,
    /// }
    ///
    /// fn cheapest(results: &sql::Results) -> Result<Option<Goods>, sql::Error> {
    ///     results.first.row(0).map(|row| row.to()).transpose()
    /// }
    /// ```
    ///
    /// A column without a field is passed over unread, so that `SELECT *` will do;
    /// `#[serde(deny_unknown_fields)]` refuses it. A field without a column is an error, unless it
    /// is an `Option` or has a `#[serde(default)]`, as always with serde. NULL needs an `Option`.
    /// Two columns of one name are an error if a field has that name. A tuple takes as many columns
    /// as it has elements.
    ///
    /// | PostgreSQL | Rust |
    /// |---|---|
    /// | `bool` | `bool` |
    /// | `int2`, `int4`, `int8`, `oid`, `"char"` | any type of integer in which the value fits |
    /// | `float4`, `float8` | `f32`, `f64` |
    /// | `text`, `varchar`, `char`, `name`, `citext` and their like | `String`, `&str`, an enum with the texts as its variants |
    /// | an enum | the same |
    /// | `bytea` | `Vec<u8>`, and what `serde_bytes` has |
    /// | `json`, `jsonb` | whatever has this JSON: a struct, a map, `serde_json::Value` |
    /// | an array of one dimension | `Vec`, an array, a tuple; `Option` for elements that may be NULL |
    /// | `date`, `time`, `timestamp` | `String` in ISO 8601, and the types of `chrono` with its feature `serde` |
    /// | `timestamptz` | the same, in UTC |
    /// | `uuid` | `String`, and the type of `uuid` with its feature `serde` |
    /// | `numeric` | `String`, and types that read their text; for an `f64` cast it in SQL (`price::float8`) |
    /// | a domain | as the type it is made of |
    ///
    /// All others are to be cast in SQL, to `text` mostly.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] with the column, its PostgreSQL type and what was expected. Values are
    /// not told, but for what a `Deserialize` of one's own says.
    pub fn to<T: Deserialize<'a>>(&self) -> Result<T, Error> {
        T::deserialize(RowDeserializer(*self)).map_err(|misfit| {
            let mut text = format!("a row is no {}: {misfit}", type_name::<T>());
            if misfit.is_missing {
                let names: Vec<_> = (0..self.len()).map(|at| self.raw.column(at).name).collect();
                text = format!("{text}, only {}", names.join(", "));
            }
            Error::new(ErrorKind::Value, text)
        })
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("len", &self.len()).finish()
    }
}

/// What names a column: its number from 0, or its name.
pub trait ColumnIndex: fmt::Display + sealed::Sealed {
    #[doc(hidden)]
    fn find(&self, rows: &dyn RawRows) -> Option<usize>;
}

impl ColumnIndex for usize {
    fn find(&self, rows: &dyn RawRows) -> Option<usize> {
        Some(*self).filter(|at| *at < rows.columns())
    }
}

impl ColumnIndex for &str {
    fn find(&self, rows: &dyn RawRows) -> Option<usize> {
        (0..rows.columns()).find(|at| rows.column(*at).name == *self)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for usize {}
    impl Sealed for &str {}
}

/// What a job gave: the [`Rows`] of each of its statements, in their order.
#[derive(Debug)]
pub struct Results {
    /// Of its statement, or of the first of them.
    pub first: Rows,
    /// Of those after it.
    pub others: Vec<Rows>,
}

impl Results {
    /// Those of all statements, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rows> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Those of the last statement.
    pub fn last(&self) -> &Rows {
        self.others.last().unwrap_or(&self.first)
    }
}

impl From<Rows> for Results {
    fn from(first: Rows) -> Self {
        Self {
            first,
            others: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row: 7 as a binary int4, NULL, and "7" as text.
    struct Seven;

    impl RawRows for Seven {
        fn columns(&self) -> usize {
            3
        }

        fn column(&self, column: usize) -> Column<'_> {
            let format = if column == 2 {
                Format::Text
            } else {
                Format::Binary
            };
            Column {
                name: ["seven", "nothing", "text"][column],
                r#type: &Type::INT4,
                format,
            }
        }

        fn rows(&self) -> usize {
            1
        }

        fn value(&self, _: usize, column: usize) -> Option<&[u8]> {
            [Some(&[0, 0, 0, 7][..]), None, Some(b"7")][column]
        }
    }

    #[test]
    fn values_are_read_by_number_and_by_name_or_say_why_not() {
        let rows = Rows::new(Seven, 1);
        let row = rows.row(0).unwrap();
        assert_eq!(row.get::<i32>("seven"), Ok(7));
        assert_eq!(row.get::<Option<i32>>(1), Ok(None));
        assert_eq!(row.value(2), Some(&b"7"[..]));
        for (result, why) in [
            (row.get::<i32>(3), "there is no column 3"),
            (row.get::<i32>("eight"), "there is no column eight"),
            (row.get::<i32>("nothing"), "column nothing of type int4"),
            (row.get::<i32>("text"), "it came as text"),
            (row.get::<i64>(0).map(|_| 0), "it is no i64"),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Value);
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(rows.row(1).is_none());
        assert_eq!(rows.iter().len(), 1);
        assert_eq!(Rows::count(3).columns().len(), 0);
    }
}
