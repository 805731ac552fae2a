//! Owns what the pool's errors are in the contract of `sql`; decides nothing.

use postgres::error::{DbError, ErrorPosition};
use sql::{ErrorKind, Report};

use super::super::error::Error;

impl From<Error> for sql::Error {
    fn from(error: Error) -> Self {
        let error = match error {
            Error::Sql(told) => return *told,
            Error::Custom(own) => return Self::custom(own),
            error => error,
        };
        let kind = match &error {
            Error::Database(error) if error.as_db_error().is_none() => ErrorKind::Value,
            Error::Database(_) | Error::Aborted(_) => ErrorKind::Database,
            Error::ConnectionLost(_) => ErrorKind::ConnectionLost,
            Error::Unavailable { .. } => ErrorKind::Unavailable,
            Error::QueueFull { .. } => ErrorKind::QueueFull,
            Error::QueueTimeout { .. } => ErrorKind::QueueTimeout,
            Error::Timeout { .. } => ErrorKind::Timeout,
            Error::Cancelled => ErrorKind::Cancelled,
            Error::Closed => ErrorKind::Closed,
            Error::Panicked(_) => ErrorKind::Panicked,
            Error::Dropped => ErrorKind::Dropped,
            Error::TransactionControl(_) | Error::Config(_) => ErrorKind::Config,
            Error::Custom(_) | Error::Sql(_) => ErrorKind::Other,
        };
        let told = Self::new(kind, error.to_string());
        match error.db_error() {
            Some(db) => told.with_report(report(db)),
            None => told,
        }
    }
}

fn report(db: &DbError) -> Report {
    let optional = |text: Option<&str>| text.map(Box::from);
    Report {
        severity: db.severity().into(),
        sqlstate: db.code().code().into(),
        message: db.message().into(),
        detail: optional(db.detail()),
        hint: optional(db.hint()),
        schema: optional(db.schema()),
        table: optional(db.table()),
        column: optional(db.column()),
        constraint: optional(db.constraint()),
        position: match db.position() {
            Some(ErrorPosition::Original(position)) => Some(*position),
            _ => None,
        },
    }
}
