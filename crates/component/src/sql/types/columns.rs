//! Owns rows as values of WAMP: objects by the names of their columns, lists, or single values. Must
//! not know procedures.

use std::{cell::RefCell, fmt};

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _, SerializeSeq as _},
};
use sql::{Format, Row, Rows, types::Type};

use super::{
    forms::Forms,
    names::type_name,
    rule::Rule,
    text_value::TextValue,
    value::{Context, Value},
};

/// How the columns of a result are written: made once for a statement, or for a result.
///
/// What it gives is for serde, and nothing is allocated for a value: `Payload::from_args(&(
/// columns.objects(&rows),))` goes straight from PostgreSQL's bytes into the payload. A value that
/// cannot be written is the serializer's error, which names its column and its type and never the
/// value.
pub struct Columns {
    columns: Vec<Written>,
    forms: Forms,
}

/// How one column is written.
struct Written {
    name: String,
    r#type: Type,
    rule: Rule,
    format: Format,
}

impl Columns {
    /// Of these columns, as [`Rows::columns`] gives them.
    pub fn new<'a>(columns: impl IntoIterator<Item = sql::Column<'a>>, forms: Forms) -> Self {
        let columns = columns.into_iter().map(|column| Written {
            name: column.name.to_owned(),
            r#type: column.r#type.clone(),
            rule: Rule::of(column.r#type),
            format: column.format,
        });
        Self {
            columns: columns.collect(),
            forms,
        }
    }

    /// A name that several columns have, so that an object of them would lose all but one.
    pub fn duplicate(&self) -> Option<&str> {
        let mut columns = self.columns.iter().enumerate();
        let twice = columns.find(|(at, column)| {
            let before = &self.columns[..*at];
            before.iter().any(|other| other.name == column.name)
        });
        twice.map(|(_, column)| &*column.name)
    }

    /// The name and the type of a column that PostgreSQL has to make text (see
    /// [`as_text`](super::as_text)), and has not.
    pub fn unwritable(&self) -> Option<(&str, String)> {
        let is_unwritable =
            |column: &&Written| column.rule.has_cast() && column.format == Format::Binary;
        let column = self.columns.iter().find(is_unwritable)?;
        Some((&column.name, type_name(&column.r#type)))
    }

    /// A list of objects, one for each row.
    pub fn objects<'a>(&'a self, rows: &'a Rows) -> impl Serialize + 'a {
        self.list(rows, Shape::Object)
    }

    /// A list of lists, one for each row.
    pub fn arrays<'a>(&'a self, rows: &'a Rows) -> impl Serialize + 'a {
        self.list(rows, Shape::Array)
    }

    /// A list of the values of one column, one for each row.
    ///
    /// # Panics
    /// When it is written, if there is no such column.
    pub fn values<'a>(&'a self, rows: &'a Rows, column: usize) -> impl Serialize + 'a {
        self.list(rows, Shape::Value(column))
    }

    /// An object of one row.
    pub fn object<'a>(&'a self, row: Row<'a>) -> impl Serialize + 'a {
        self.one(row, Shape::Object)
    }

    /// A list of one row's values.
    pub fn array<'a>(&'a self, row: Row<'a>) -> impl Serialize + 'a {
        self.one(row, Shape::Array)
    }

    /// One value of a row; null for NULL.
    ///
    /// # Panics
    /// When it is written, if there is no such column.
    pub fn value<'a>(&'a self, row: Row<'a>, column: usize) -> impl Serialize + 'a {
        self.one(row, Shape::Value(column))
    }

    fn list<'a>(&'a self, rows: &'a Rows, shape: Shape) -> List<'a> {
        List {
            columns: self,
            rows,
            shape,
        }
    }

    fn one<'a>(&'a self, row: Row<'a>, shape: Shape) -> One<'a> {
        One {
            columns: self,
            row,
            shape,
        }
    }

    fn context<'a>(&self, scratch: &'a RefCell<String>, is_human: bool) -> Context<'a> {
        Context {
            forms: self.forms,
            is_human,
            scratch,
        }
    }
}

/// Shows how many there are.
impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Columns({})", self.columns.len())
    }
}

/// What a row becomes.
#[derive(Clone, Copy)]
enum Shape {
    Object,
    Array,
    Value(usize),
}

struct List<'a> {
    columns: &'a Columns,
    rows: &'a Rows,
    shape: Shape,
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scratch = RefCell::new(String::new());
        let context = self
            .columns
            .context(&scratch, serializer.is_human_readable());
        let mut list = serializer.serialize_seq(Some(self.rows.len()))?;
        for row in self.rows.iter() {
            list.serialize_element(&InContext {
                columns: self.columns,
                row,
                shape: self.shape,
                context,
            })?;
        }
        list.end()
    }
}

struct One<'a> {
    columns: &'a Columns,
    row: Row<'a>,
    shape: Shape,
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scratch = RefCell::new(String::new());
        let context = self
            .columns
            .context(&scratch, serializer.is_human_readable());
        let row = InContext {
            columns: self.columns,
            row: self.row,
            shape: self.shape,
            context,
        };
        row.serialize(serializer)
    }
}

struct InContext<'a> {
    columns: &'a Columns,
    row: Row<'a>,
    shape: Shape,
    context: Context<'a>,
}

impl InContext<'_> {
    fn value(&self, at: usize) -> InColumn<'_> {
        InColumn {
            column: &self.columns.columns[at],
            bytes: self.row.value(at),
            context: self.context,
        }
    }
}

impl Serialize for InContext<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = &self.columns.columns;
        match self.shape {
            Shape::Object => {
                let mut map = serializer.serialize_map(Some(columns.len()))?;
                for (at, column) in columns.iter().enumerate() {
                    map.serialize_entry(&column.name, &self.value(at))?;
                }
                map.end()
            }
            Shape::Array => {
                let mut list = serializer.serialize_seq(Some(columns.len()))?;
                for at in 0..columns.len() {
                    list.serialize_element(&self.value(at))?;
                }
                list.end()
            }
            Shape::Value(at) => self.value(at).serialize(serializer),
        }
    }
}

/// A value that names its column where it cannot be written.
struct InColumn<'a> {
    column: &'a Written,
    bytes: Option<&'a [u8]>,
    context: Context<'a>,
}

impl Serialize for InColumn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(bytes) = self.bytes else {
            return serializer.serialize_none();
        };
        let Written { rule, format, .. } = self.column;
        let context = self.context;
        let written = match format {
            Format::Binary => Value::new(rule, bytes, context).serialize(serializer),
            Format::Text => TextValue::new(rule, bytes, context).serialize(serializer),
        };
        written.map_err(|why| {
            let Written { name, r#type, .. } = self.column;
            let type_name = type_name(r#type);
            S::Error::custom(format_args!("column {name} of type {type_name}: {why}"))
        })
    }
}
