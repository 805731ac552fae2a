//! Owns what keeps a cancel request that comes late from its session's next job. Sends none.
//!
//! libpq's rule is to wait until the server closes the connection of a request, and the client
//! library does not let anybody do that. Until PostgreSQL 17 the server signals the session twice
//! for each request, so that a statement that was cancelled is no sign that all is over. A session
//! that was sent a request is therefore watched for a while. A statement alone that is hit runs once
//! more: PostgreSQL has undone it. Anything else is not begun there, but on another connection.

use std::time::{Duration, Instant};

use postgres::error::SqlState;

use super::{
    super::{error::Error, pool::job::Failure},
    Connection,
};

/// How late a signal may come that the server sends when it gets a request. It takes far less, even
/// where many processes want its processor.
const LATEST: Duration = Duration::from_secs(5);

/// How often a statement is run at most before its caller gets the error.
const MOST_RUNS: u32 = 8;

/// What a statement begins with that PostgreSQL undoes as a whole. Others, as CALL does, may commit
/// in between.
const ATOMIC: [&str; 6] = ["select", "insert", "update", "delete", "with", "values"];

impl Connection {
    /// Requests were sent to stop the job that has just ended. Whether the session may be used on.
    /// Behind a pooler it is somebody else's.
    pub(in super::super) fn outlasts_cancel(&mut self) -> bool {
        self.last_cancel = Some(Instant::now());
        !self.is_broken() && !self.in_transaction && self.settings.statement_cache > 0
    }

    /// Whether a request for an earlier job may still hit what runs now.
    fn may_be_hit(&self) -> bool {
        self.last_cancel.is_some_and(|at| at.elapsed() < LATEST)
    }

    /// Fails before something begins that could not run once more.
    ///
    /// # Errors
    /// What sends the job to another connection. This one is not used again.
    pub(super) fn check_not_hit(&mut self) -> Result<(), Failure> {
        if !self.may_be_hit() {
            return Ok(());
        }
        self.broken = true;
        let why = "a cancel request for an earlier job may come late";
        Err(Failure::NotSent(Error::custom(why)))
    }

    /// Runs a statement, and runs it once more if a request for an earlier job has hit it.
    pub(super) fn unhit<T>(
        &mut self,
        sql: &str,
        mut run: impl FnMut(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.in_transaction || !self.may_be_hit() {
            return run(self);
        }
        if !is_atomic(sql) {
            self.check_not_hit()?;
        }
        for _ in 1..MOST_RUNS {
            match run(self) {
                Err(failure) if self.was_hit(&failure) => {}
                done => return done,
            }
        }
        run(self)
    }

    /// Whether it was no request for this job. One for this job comes after the job was
    /// interrupted.
    fn was_hit(&self, failure: &Failure) -> bool {
        let (Failure::Final(error) | Failure::NotSent(error)) = failure;
        let is_interrupted = self
            .state
            .as_ref()
            .is_some_and(|state| state.is_interrupted());
        !is_interrupted && !self.is_broken() && is_by_request(error)
    }
}

/// Whether a cancel request has ended the statement. A time limit has the same SQLSTATE, and so has
/// what a function may raise. Where the server's messages are translated, a time limit counts as
/// well.
fn is_by_request(error: &Error) -> bool {
    error.db_error().is_some_and(|error| {
        *error.code() == SqlState::QUERY_CANCELED
            && error.routine() == Some("ProcessInterrupts")
            && error.message() != "canceling statement due to statement timeout"
    })
}

fn is_atomic(sql: &str) -> bool {
    let first = sql
        .trim_start()
        .split(|c: char| !c.is_ascii_alphabetic())
        .next();
    let first = first.unwrap_or_default();
    ATOMIC.iter().any(|word| word.eq_ignore_ascii_case(first))
}
