//! Owns how the statements of a job become one transaction: BEGIN, then COMMIT or ROLLBACK, and
//! what their answers tell about the connection.

use postgres::error::SqlState;
use sql::Settings;
use tracing::warn;

use super::{
    super::{
        LOG,
        error::{Error, describe, summary},
        notices,
        pool::job::Failure,
    },
    Connection,
};

impl Connection {
    /// Opens a transaction.
    pub(in super::super) fn begin(&mut self) -> Result<(), Failure> {
        self.send_begin("BEGIN")
    }

    /// Opens a transaction in which these settings hold, in one round trip.
    pub(in super::super) fn begin_with(&mut self, settings: &Settings) -> Result<(), Failure> {
        let script = settings.begin().map_err(Failure::of_settings)?;
        let begun = match settings.get_before() {
            None => self.send_begin(&script),
            Some(before) => self.begin_and_run(settings, &script, before),
        };
        if begun.is_err() {
            // What was refused stands behind BEGIN.
            self.send_rollback();
            notices::take_no_transaction();
        }
        begun.map_err(Failure::early)?;
        self.limit_is_set(settings, &script);
        Ok(())
    }

    /// Sends a script that ends in a statement of the job's owner. That may take as long as any other
    /// statement of the job, and may have effects beyond the transaction.
    fn begin_and_run(
        &mut self,
        settings: &Settings,
        script: &str,
        before: &str,
    ) -> Result<(), Failure> {
        self.check_not_hit()?;
        (self.bare, self.failure) = (false, None);
        self.limit_is_set(settings, "");
        self.logged(before, |connection| {
            connection
                .limited("", |client| client.batch_execute(script))
                .map_err(|error| Failure::Final(connection.observe(error)))
        })?;
        self.in_transaction = true;
        Ok(())
    }

    fn send_begin(&mut self, script: &str) -> Result<(), Failure> {
        self.check_not_hit()?;
        (self.bare, self.failure) = (false, None);
        self.timed(|client| client.batch_execute(script))
            .map_err(|error| self.observe_harmless(error))?;
        self.in_transaction = true;
        Ok(())
    }

    /// Commits what the job did.
    ///
    /// # Errors
    /// PostgreSQL's, for a commit that fails; [`Error::Aborted`] if a statement had failed, because
    /// COMMIT then quietly rolls back.
    pub(in super::super) fn commit(&mut self) -> Result<(), Error> {
        notices::take_no_transaction();
        // An empty SELECT fails in an aborted transaction, which COMMIT itself would not tell us.
        let doubtful = self.bare || self.failure.is_some();
        let commit = match (doubtful, self.settings.statement_cache) {
            (false, 0) => "DEALLOCATE ALL; COMMIT",
            (true, 0) => "SELECT; DEALLOCATE ALL; COMMIT",
            (false, _) => "COMMIT",
            (true, _) => "SELECT; COMMIT",
        };
        let result = self.limited("", |client| client.batch_execute(commit));
        self.in_transaction = false;
        self.limit.end();
        self.suspect |= self.bare && result.is_err();
        self.check_still_ours();
        let Err(error) = result else { return Ok(()) };
        if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) {
            self.rollback();
            let cause = self
                .failure
                .take()
                .unwrap_or_else(|| summary(&error).into());
            return Err(Error::Aborted(cause));
        }
        let error = self.observe(error);
        // Whether COMMIT failed, which ends the transaction, or something before it, such as a
        // cancel request that came early, which does not: unknown.
        self.send_rollback();
        notices::take_no_transaction();
        Err(error)
    }

    /// Undoes what the job did. The caller wants to see the job's own error, so a failure here is
    /// only logged, and the connection is not used again.
    pub(in super::super) fn rollback(&mut self) {
        notices::take_no_transaction();
        self.send_rollback();
        self.suspect |= self.bare;
        self.check_still_ours();
    }

    fn send_rollback(&mut self) {
        self.in_transaction = false;
        self.limit.end();
        if self.is_broken() {
            return;
        }
        let rollback = match self.settings.statement_cache {
            0 => "ROLLBACK; DEALLOCATE ALL",
            _ => "ROLLBACK",
        };
        if let Err(error) = self.timed(|client| client.batch_execute(rollback)) {
            warn!(target: LOG, "rollback failed, the connection is discarded: {}", describe(&error));
            self.broken = true;
        }
    }

    /// A job that ended the pool's transaction by itself may have left anything behind.
    pub(super) fn check_still_ours(&mut self) {
        if notices::take_no_transaction() {
            warn!(target: LOG, "a job ended the pool's transaction itself, its connection is discarded");
            self.broken = true;
        }
    }
}
