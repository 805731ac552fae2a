//! Owns how one statement is prepared and run, and run again when PostgreSQL has forgotten or
//! outdated what was prepared. Knows no job.

use postgres::{
    Client, Statement,
    error::{DbError, SqlState},
};
use sql::transaction_control;

use super::{
    super::{error::Error, pool::job::Failure},
    Connection,
};

impl Connection {
    /// Runs one statement in a transaction of its own: a pooler may give each transaction another
    /// session, and a statement must run in the session where it was prepared.
    pub(super) fn run_pinned<T>(
        &mut self,
        sql: &str,
        run: &impl Fn(&mut Client, &Statement) -> Result<T, postgres::Error>,
    ) -> Result<T, Failure> {
        self.begin()?;
        match self.run_prepared(sql, run) {
            Ok(value) => self.commit().map(|()| value).map_err(Failure::Final),
            Err(failure) => {
                self.rollback();
                Err(failure)
            }
        }
    }

    /// Runs one statement, prepared now or before.
    pub(super) fn run_prepared<T>(
        &mut self,
        sql: &str,
        run: &impl Fn(&mut Client, &Statement) -> Result<T, postgres::Error>,
    ) -> Result<T, Failure> {
        let statement = self.prepare(sql)?;
        let error = match self.limited(sql, |client| run(client, &statement)) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        // "cached plan must not change result type" shares its SQLSTATE with much else, and its
        // text is translated.
        let routine = error.as_db_error().and_then(DbError::routine);
        let changed = routine == Some("RevalidateCachedQuery");
        let gone = is_gone(&error);
        if changed || gone {
            self.statements.clear();
        }
        // In both cases PostgreSQL refused the statement before it ran, and it's not the job's
        // fault.
        if changed && !self.in_transaction {
            let statement = self.prepare(sql)?;
            return self
                .limited(sql, |client| run(client, &statement))
                .map_err(|error| Failure::Final(self.observe(error)));
        }
        if gone && !self.in_transaction {
            return self.run_pinned(sql, run);
        }
        Err(Failure::Final(self.observe(error)))
    }

    fn prepare(&mut self, sql: &str) -> Result<Statement, Failure> {
        let found = self.statements.find(sql);
        if let Some(state) = &self.state {
            state.statement_looked_up(found.is_some());
        }
        if let Some(statement) = found {
            return Ok(statement);
        }
        if let Some(word) = transaction_control(sql) {
            return Err(Failure::Final(Error::TransactionControl(word)));
        }
        let prepared = self.timed(|client| client.prepare(sql));
        let statement = prepared.map_err(|error| {
            // The client library's own statements, which ask for types, may be gone too, and it
            // never notices.
            self.broken |= is_gone(&error);
            self.observe_harmless(error)
        })?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// Whether a prepared statement is not there any more, after a DISCARD ALL or because a pooler gave
/// us another session.
pub(super) fn is_gone(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME)
}
