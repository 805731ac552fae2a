//! Owns what the results of a job are made into, and the limits of an answer. Must not know how a
//! value of a type is written.

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeMap};
use sql::{Results, Row, Rows};
use wamp::{Payload, error_uri};

use super::{
    super::{
        super::{Error, invocation::encoded},
        options::Returns,
        types::{Columns, Forms},
    },
    plan::Plan,
    prepare::{Prepared, PreparedStatement},
    watch::Watch,
};

/// The answer of a procedure, which is written out of PostgreSQL's own bytes.
pub(super) struct Answered {
    results: Results,
    shape: Arc<[Part]>,
    forms: Forms,
    /// Of a call that is logged if it is slow.
    watch: Option<Watch>,
}

/// A result that is in the answer.
#[derive(Debug)]
pub(super) struct Part {
    /// The number of its statement.
    index: usize,
    name: Option<Arc<str>>,
    returns: Returns,
}

impl Part {
    /// Those of a procedure, which its prepared statements come to.
    pub(super) fn all(plan: &Plan, statements: &[PreparedStatement]) -> Arc<[Self]> {
        let parts = statements.iter().enumerate();
        parts
            .filter(|(index, _)| plan.is_answer(*index))
            .map(|(index, prepared)| Self {
                index,
                name: plan.statements[index].result.clone(),
                returns: prepared.returns,
            })
            .collect()
    }
}

/// What an answer may have at most.
#[derive(Clone, Copy)]
struct Limits {
    rows: u64,
    bytes: u64,
}

impl Answered {
    /// What makes the answer of a procedure when its results are there.
    pub(super) fn maker(
        plan: &Plan,
        prepared: &Prepared,
        watch: Option<Watch>,
    ) -> impl FnOnce(Results) -> Result<Self, Error> + Send + 'static {
        let (shape, forms) = (prepared.shape.clone(), plan.forms);
        let limits = Limits {
            rows: plan.max_rows,
            bytes: plan.max_bytes,
        };
        move |results| {
            let answered = Self {
                results,
                shape,
                forms,
                watch,
            };
            answered.check(limits)?;
            Ok(answered)
        }
    }

    fn check(&self, limits: Limits) -> Result<(), Error> {
        let mut bytes = 0;
        for part in self.shape.iter() {
            let rows = self.rows(part);
            if rows.len() as u64 > limits.rows {
                return Err(self.too_much("rows", "max_rows", limits.rows));
            }
            let is_one = matches!(part.returns, Returns::Row | Returns::Value);
            if is_one && rows.len() > 1 {
                return Err(Error::runtime(
                    "the procedure answers with one row, and its statement gave more",
                ));
            }
            bytes += octets(rows);
        }
        if bytes > limits.bytes {
            return Err(self.too_much("bytes", "max_bytes", limits.bytes));
        }
        Ok(())
    }

    fn too_much(&self, what: &str, option: &str, limit: u64) -> Error {
        let is_stream = |part: &Part| part.returns == Returns::Stream;
        let parts = if self.shape.iter().any(is_stream) {
            "call with the option receive_progress, which gives it in parts, "
        } else {
            ""
        };
        let why = format!(
            "the result has more than {limit} {what}, the `{option}` of the procedure: {parts}ask for \
             less, or raise it"
        );
        Error::new(error_uri::PAYLOAD_SIZE_EXCEEDED, why)
    }

    fn rows(&self, part: &Part) -> &Rows {
        self.results
            .iter()
            .nth(part.index)
            .expect("each statement has a result")
    }
}

/// A part of a stream.
pub(super) fn part(plan: &Plan, rows: &Rows) -> Result<Payload, Error> {
    if octets(rows) > plan.max_bytes {
        let why = format!(
            "a part of the result has more than {} bytes, the `max_bytes` of the procedure: make its \
             `batch` smaller, or raise it",
            plan.max_bytes
        );
        return Err(Error::new(error_uri::PAYLOAD_SIZE_EXCEEDED, why));
    }
    encoded(WrittenResult {
        rows,
        returns: Returns::Stream,
        forms: plan.forms,
    })
}

/// How many bytes the values have, as PostgreSQL sent them.
fn octets(rows: &Rows) -> u64 {
    let of_row = |row: Row<'_>| -> usize { row.values().flatten().map(<[u8]>::len).sum() };
    rows.iter().map(of_row).sum::<usize>() as u64
}

impl Serialize for Answered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.watch {
            Some(watch) => watch.encoding(|| self.write(serializer)),
            None => self.write(serializer),
        }
    }
}

impl Answered {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = |part| WrittenResult {
            rows: self.rows(part),
            returns: part.returns,
            forms: self.forms,
        };
        match &*self.shape {
            [] => serializer.serialize_unit(),
            [part] if part.name.is_none() => written(part).serialize(serializer),
            parts => {
                let mut map = serializer.serialize_map(Some(parts.len()))?;
                for part in parts {
                    map.serialize_entry(part.name.as_deref().unwrap_or_default(), &written(part))?;
                }
                map.end()
            }
        }
    }
}

/// The result of one statement as it is written.
struct WrittenResult<'a> {
    rows: &'a Rows,
    returns: Returns,
    forms: Forms,
}

impl Serialize for WrittenResult<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.rows;
        let columns = || Columns::new(rows.columns(), self.forms);
        match (self.returns, rows.row(0)) {
            (Returns::Rows | Returns::Stream, _) => columns().objects(rows).serialize(serializer),
            (Returns::Arrays, _) => columns().arrays(rows).serialize(serializer),
            (Returns::Values, _) => columns().values(rows, 0).serialize(serializer),
            (Returns::Row, Some(row)) => columns().object(row).serialize(serializer),
            (Returns::Value, Some(row)) => columns().value(row, 0).serialize(serializer),
            (Returns::Count, _) => rows.affected().serialize(serializer),
            (Returns::Row | Returns::Value, None) | (Returns::None, _) => {
                serializer.serialize_unit()
            }
        }
    }
}
