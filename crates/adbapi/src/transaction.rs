//! Owns what an interaction works with: statements and the rows of the last one. Begins and ends
//! nothing itself.

use std::{fmt, vec};

use postgres::Row;
use serde::de::DeserializeOwned;
use sql::Params;

use super::{connection::Connection, error::Error, pool::job::Failure};

/// The cursor given to a closure of [`run_interaction`](super::ConnectionPool::run_interaction)
/// (Twisted's `Transaction`, the DB-API's cursor). All its statements are one transaction, which
/// the pool ends.
pub struct Transaction<'c> {
    connection: &'c mut Connection,
    rows: vec::IntoIter<Row>,
    row_count: Option<u64>,
}

impl<'c> Transaction<'c> {
    pub(super) fn new(connection: &'c mut Connection) -> Self {
        Self {
            connection,
            rows: Vec::new().into_iter(),
            row_count: None,
        }
    }

    /// Runs one statement; its rows are then there to be fetched. Returns
    /// [`row_count`](Self::row_count).
    ///
    /// # Errors
    /// What PostgreSQL said. The transaction is then aborted unless a savepoint was set: return the
    /// error.
    ///
    /// # Blocking
    /// Until PostgreSQL answered.
    pub fn execute<'p>(&mut self, sql: &str, params: impl Into<Params<'p>>) -> Result<u64, Error> {
        (self.rows, self.row_count) = (Vec::new().into_iter(), None);
        let fetched = self.connection.fetch(sql, &params.into());
        let (rows, count) = fetched.map_err(Failure::into_error)?;
        self.rows = rows.into_iter();
        self.row_count = Some(count);
        Ok(count)
    }

    /// [`execute`](Self::execute) and [`fetch_all`](Self::fetch_all) in one.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    ///
    /// # Blocking
    /// Until PostgreSQL answered.
    pub fn query<'p>(
        &mut self,
        sql: &str,
        params: impl Into<Params<'p>>,
    ) -> Result<Vec<Row>, Error> {
        self.execute(sql, params)?;
        Ok(self.fetch_all())
    }

    /// [`query`](Self::query) with its rows as values of one's own type, as
    /// [`run_query_as`](super::ConnectionPool::run_query_as) has them. None are left to be fetched.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute), and [`Error::Sql`] for a row that does not fit.
    ///
    /// # Blocking
    /// Until PostgreSQL answered.
    pub fn query_as<'p, T: DeserializeOwned>(
        &mut self,
        sql: &str,
        params: impl Into<Params<'p>>,
    ) -> Result<Vec<T>, Error> {
        (self.rows, self.row_count) = (Vec::new().into_iter(), None);
        let rows = self.connection.try_rows(sql, &params.into());
        let rows = rows.map_err(Failure::into_error)?;
        self.row_count = Some(rows.affected());
        Ok(rows.deserialize()?)
    }

    /// The rows of the last statement that have not been fetched yet.
    pub fn fetch_all(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.rows).collect()
    }

    /// The next row of the last statement.
    pub fn fetch_one(&mut self) -> Option<Row> {
        self.rows.next()
    }

    /// The next rows of the last statement, at most `most`.
    pub fn fetch_many(&mut self, most: usize) -> Vec<Row> {
        self.rows.by_ref().take(most).collect()
    }

    /// How many rows the last statement returned or changed; `None` before the first and after one
    /// that failed.
    pub fn row_count(&self) -> Option<u64> {
        self.row_count
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("row_count", &self.row_count)
            .finish_non_exhaustive()
    }
}
