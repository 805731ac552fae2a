//! Owns what Diesel's errors are in the words of the pool, which decide what a caller is told. Must
//! not know a query.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind as Kind, Error as DieselError};
use wampgres::{
    adbapi::Error,
    sql::{self, ErrorKind, Report},
};

/// An error of a statement, for `map_err`.
pub(crate) fn failed(error: DieselError) -> Error {
    let DieselError::DatabaseError(kind, said) = error else {
        return Error::custom(error);
    };
    let message = said.message();
    // Diesel keeps no SQLSTATE but in its kinds: PostgreSQL's appendix A.
    let sqlstate = match kind {
        Kind::UniqueViolation => "23505",
        Kind::ForeignKeyViolation => "23503",
        Kind::NotNullViolation => "23502",
        Kind::CheckViolation => "23514",
        Kind::ExclusionViolation => "23P01",
        Kind::RestrictViolation => "23001",
        Kind::SerializationFailure => "40001",
        Kind::ReadOnlyTransaction => "25006",
        Kind::ClosedConnection | Kind::UnableToSendCommand => {
            let text = format!("the statement may or may not have run: {message}");
            return sql::Error::new(ErrorKind::ConnectionLost, text).into();
        }
        _ => return sql::Error::new(ErrorKind::Database, message).into(),
    };
    reported(sqlstate, &*said).into()
}

fn reported(sqlstate: &str, said: &dyn DatabaseErrorInformation) -> sql::Error {
    let optional = |text: Option<&str>| text.map(Box::from);
    let report = Report {
        severity: "ERROR".into(),
        sqlstate: sqlstate.into(),
        message: said.message().into(),
        detail: optional(said.details()),
        hint: optional(said.hint()),
        table: optional(said.table_name()),
        column: optional(said.column_name()),
        constraint: optional(said.constraint_name()),
        ..Report::default()
    };
    let text = format!("ERROR: {} (SQLSTATE {sqlstate})", said.message());
    sql::Error::new(ErrorKind::Database, text).with_report(report)
}
