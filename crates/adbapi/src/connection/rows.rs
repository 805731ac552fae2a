//! Owns how statements of the contract `sql` are run: their rows stay as the client library received
//! them. Knows no job.

use std::error::Error as StdError;

use postgres::{
    Client, Row, Statement,
    types::{FromSql, Type},
};
use sql::{
    Column, Description, Format, Params, RawRows, Rows, Settings, Wanted, transaction_control,
};

use super::{
    super::{error::Error, pool::job::Failure},
    Connection,
};

impl Connection {
    /// Runs one statement as it is wanted.
    pub(in super::super) fn try_statement(
        &mut self,
        statement: &sql::Statement,
    ) -> Result<Rows, Failure> {
        let (sql, params) = (&statement.sql, &statement.params);
        match statement.wanted {
            Wanted::Count => self.try_execute(sql, params).map(Rows::count),
            Wanted::Rows => self.try_rows(sql, params),
        }
    }

    /// Runs one statement for its rows.
    pub(in super::super) fn try_rows(
        &mut self,
        sql: &str,
        params: &Params<'_>,
    ) -> Result<Rows, Failure> {
        self.run(sql, |client, statement| fetch(client, statement, params))
    }

    /// Has PostgreSQL describe a statement in a transaction with these settings, if there are any. One
    /// that was prepared before may be out of date.
    pub(in super::super) fn describe(
        &mut self,
        settings: &Settings,
        sql: &str,
    ) -> Result<Description, Failure> {
        if let Some(word) = transaction_control(sql) {
            return Err(Failure::Final(Error::TransactionControl(word)));
        }
        // A pooler between must not answer out of two sessions.
        let pinned = self.settings.statement_cache == 0 || !settings.is_empty();
        self.check_not_hit()?;
        if pinned {
            self.begin_with(settings)?;
        }
        let prepared = self.timed(|client| client.prepare(sql));
        let prepared = prepared.map_err(|error| self.observe_harmless(error));
        if pinned {
            self.rollback();
        }
        let prepared = prepared?;
        let column = |column: &postgres::Column| (column.name().to_owned(), column.type_().clone());
        Ok(Description {
            params: prepared.params().to_vec(),
            columns: prepared.columns().iter().map(column).collect(),
        })
    }
}

fn fetch(
    client: &mut Client,
    statement: &Statement,
    params: &Params<'_>,
) -> Result<Rows, postgres::Error> {
    if statement.columns().is_empty() {
        return client.execute(statement, &params.refs()).map(Rows::count);
    }
    let rows = client.query(statement, &params.refs())?;
    Ok(received(statement, rows))
}

/// Rows as they are given away.
pub(super) fn received(statement: &Statement, rows: Vec<Row>) -> Rows {
    let affected = rows.len() as u64;
    let statement = statement.clone();
    Rows::new(Received { statement, rows }, affected)
}

/// Rows as the client library received them.
struct Received {
    statement: Statement,
    rows: Vec<Row>,
}

impl RawRows for Received {
    fn columns(&self) -> usize {
        self.statement.columns().len()
    }

    fn column(&self, column: usize) -> Column<'_> {
        let column = &self.statement.columns()[column];
        Column {
            name: column.name(),
            r#type: column.type_(),
            // The client library asks for no other.
            format: Format::Binary,
        }
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn value(&self, row: usize, column: usize) -> Option<&[u8]> {
        let value: Option<Raw<'_>> = self.rows[row].get(column);
        value.map(|Raw(bytes)| bytes)
    }
}

/// A value of any type, as the bytes that it came in.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
