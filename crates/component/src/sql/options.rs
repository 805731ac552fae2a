//! Owns the one grammar of options, whether they stand in the configuration, in the comments of a
//! file or in those of a function: one table. Must not know what becomes of them.

mod read;
mod table;
#[cfg(test)]
mod tests;

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use serde_json::Value;
use sql::Isolation;

use super::{
    super::did_you_mean::did_you_mean,
    text::{Fault, Place},
};
pub(super) use read::Setting;
pub(super) use table::{BATCH, MAX_BYTES, MAX_ROWS};
pub use table::{OPTIONS, OptionKind, OptionPlace, OptionRow};

/// The options of one procedure or statement, or those that hold for all. What is not written is
/// `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Options {
    pub(super) returns: Option<Returns>,
    pub(super) timeout: Option<Duration>,
    pub(super) read_only: Option<bool>,
    pub(super) isolation: Option<Isolation>,
    pub(super) slow_call: Option<Duration>,
    pub(super) retry: Option<u64>,
    pub(super) concurrency: Option<NonZeroU64>,
    pub(super) max_rows: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_affected: Option<u64>,
    pub(super) batch: Option<NonZeroU32>,
    pub(super) dry_run: Option<bool>,
    pub(super) secret: Option<bool>,
    pub(super) identity: Option<bool>,
    pub(super) before: Option<FunctionOption>,
    pub(super) int8: Option<String>,
    pub(super) numeric: Option<String>,
    pub(super) params: Vec<ParamOption>,
    pub(super) description: Option<String>,
    pub(super) sql: Option<String>,
    /// The name of a database, and where it is written.
    pub(super) database: Option<(Place, String)>,
    pub(super) result: Option<String>,
    pub(super) single: Option<bool>,
    pub(super) skip: Option<bool>,
}

/// What the result of a statement is made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returns {
    /// A list of objects.
    Rows,
    /// A list of lists.
    Arrays,
    /// The only row, as an object; null if there is none.
    Row,
    /// The only value of the only row; null if there is none.
    Value,
    /// A list of the only values of all rows.
    Values,
    /// How many rows it changed.
    Count,
    /// Null.
    None,
    /// A list of objects, in parts for a caller that takes them.
    Stream,
}

/// What is said of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParamOption {
    pub(super) place: Place,
    pub(super) name: String,
    /// The name of a type, as SQL writes it.
    pub(super) r#type: Option<String>,
    /// JSON.
    pub(super) default: Option<String>,
}

/// A function that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FunctionOption {
    pub(super) place: Place,
    /// As SQL writes it, perhaps with its schema.
    pub(super) name: String,
}

/// What is written for an option.
#[derive(Clone, Copy, Debug)]
pub(super) enum Written<'a> {
    /// In a comment.
    Text(&'a str),
    /// In the configuration.
    Json(&'a Value),
}

impl Options {
    /// Takes an option in. The fault names its place.
    pub(super) fn take(
        &mut self,
        place: &Place,
        key: &str,
        written: Written<'_>,
    ) -> Result<(), Fault> {
        let known = OPTIONS.iter().find(|row| row.is_written(key, written));
        let Some(row) = known else {
            let names: Vec<_> = OPTIONS.iter().map(|row| row.name).collect();
            let meant = did_you_mean(key, &names);
            let text = format!(
                "unknown option `{key}`{meant}; known are: {}",
                names.join(", ")
            );
            return Err(Fault::new(place.clone(), text));
        };
        self.set(row, place, written)
            .map_err(|why| Fault::new(place.clone(), format!("`{}`: {why}", row.name)))
    }

    /// These, and where they say nothing, what `others` say.
    pub(super) fn or(self, others: &Self) -> Self {
        let mut params = self.params;
        for other in &others.params {
            match params.iter_mut().find(|param| param.name == other.name) {
                Some(param) => {
                    param.r#type = param.r#type.take().or_else(|| other.r#type.clone());
                    param.default = param.default.take().or_else(|| other.default.clone());
                }
                None => params.push(other.clone()),
            }
        }
        Self {
            returns: self.returns.or(others.returns),
            timeout: self.timeout.or(others.timeout),
            read_only: self.read_only.or(others.read_only),
            isolation: self.isolation.or(others.isolation),
            slow_call: self.slow_call.or(others.slow_call),
            retry: self.retry.or(others.retry),
            concurrency: self.concurrency.or(others.concurrency),
            max_rows: self.max_rows.or(others.max_rows),
            max_bytes: self.max_bytes.or(others.max_bytes),
            max_affected: self.max_affected.or(others.max_affected),
            batch: self.batch.or(others.batch),
            dry_run: self.dry_run.or(others.dry_run),
            secret: self.secret.or(others.secret),
            identity: self.identity.or(others.identity),
            before: self.before.or_else(|| others.before.clone()),
            int8: self.int8.or_else(|| others.int8.clone()),
            numeric: self.numeric.or_else(|| others.numeric.clone()),
            params,
            description: self.description.or_else(|| others.description.clone()),
            sql: self.sql,
            database: self.database.or_else(|| others.database.clone()),
            result: self.result,
            single: self.single,
            skip: self.skip,
        }
    }
}
