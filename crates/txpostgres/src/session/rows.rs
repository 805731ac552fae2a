//! Owns rows as PostgreSQL sent them: their bytes in one piece, and where each value is. Must not
//! know how they came.

use std::sync::Arc;

use smallvec::SmallVec;
use sql::{Column, Format, RawRows, Rows, types::Type};

use super::{
    body::Body,
    prepared::Prepared,
    report::{Fault, violation},
};

/// The length that stands for NULL.
const NULL: i32 = -1;

/// The rows of a result. A small one, such as one of one row, needs no memory but its own.
#[derive(Default)]
pub(super) struct Received {
    prepared: Option<Arc<Prepared>>,
    /// The values with their lengths before them, as they came.
    bytes: SmallVec<[u8; 64]>,
    /// Where each value's length is.
    starts: SmallVec<[usize; 4]>,
    rows: usize,
}

impl Received {
    /// Adds a DataRow of a statement.
    pub(super) fn add(&mut self, prepared: &Arc<Prepared>, row: &[u8]) -> Result<(), Fault> {
        let width = prepared.columns().len();
        let mut body = Body(row);
        if usize::from(body.u16()?) != width {
            return Err(violation("a row with more or fewer values than columns"));
        }
        if self.prepared.is_none() {
            self.prepared = Some(prepared.clone());
        }
        let base = self.bytes.len();
        let values = body.0;
        for _ in 0..width {
            self.starts.push(base + values.len() - body.0.len());
            match body.i32()? {
                NULL => {}
                length => {
                    let length = usize::try_from(length).ok();
                    let rest = length.and_then(|length| body.0.get(length..));
                    body.0 =
                        rest.ok_or_else(|| violation("a row with a value of a false length"))?;
                }
            }
        }
        body.end()?;
        self.bytes.extend_from_slice(values);
        self.rows += 1;
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The rows of a statement as they are given away.
    pub(super) fn into_rows(mut self, prepared: &Arc<Prepared>, affected: u64) -> Rows {
        if prepared.columns().is_empty() {
            return Rows::count(affected);
        }
        self.prepared = Some(prepared.clone());
        self.into_batch()
    }

    /// A batch of a stream.
    pub(super) fn into_batch(self) -> Rows {
        let affected = self.rows as u64;
        Rows::new(self, affected)
    }
}

impl RawRows for Received {
    fn columns(&self) -> usize {
        self.prepared
            .as_ref()
            .map_or(0, |prepared| prepared.columns().len())
    }

    fn column(&self, column: usize) -> Column<'_> {
        let prepared = self
            .prepared
            .as_ref()
            .expect("only rows of a statement are given away");
        let column = &prepared.columns()[column];
        Column {
            name: &column.name,
            r#type: column.r#type.get().unwrap_or(&Type::UNKNOWN),
            format: Format::Binary,
        }
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn value(&self, row: usize, column: usize) -> Option<&[u8]> {
        let at = self.starts[row * self.columns() + column];
        let (length, rest) = self.bytes[at..].split_first_chunk()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        Some(&rest[..length])
    }
}
