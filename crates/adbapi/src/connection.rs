//! Owns one session with PostgreSQL: its client, its prepared statements and whether it can still
//! be used. Knows no queue and no job.

mod cancel;
mod check;
mod commit;
mod limit;
mod portal;
mod prepared;
mod reset;
mod rows;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use postgres::{
    CancelToken, Client, Row, Statement, error::SqlState, fallible_iterator::FallibleIterator,
};
use sql::{Params, TargetSessionAttrs, transaction_control};
use tracing::warn;

use super::{
    error::{Error, means_lost, summary},
    pool::{job::Failure, worker_state::WorkerState},
    session_attrs::SessionAttrs,
    statements::Statements,
};

use limit::Limit;
pub(super) use portal::Reading;
pub(super) use reset::reset_script;

/// A connection of the pool, for a closure of
/// [`run_with_connection`](super::ConnectionPool::run_with_connection). The pool has it back when
/// the closure returns.
pub struct Connection {
    client: Client,
    statements: Statements<Statement>,
    settings: ConnectionSettings,
    /// The state of the worker whose job runs on the connection.
    state: Option<Arc<WorkerState>>,
    /// When a cancel request was last sent for it.
    last_cancel: Option<Instant>,
    /// Whether the server still owes an answer, so that dropping the connection would wait for it.
    unanswered: bool,
    /// How long the quickest answer took to come.
    round_trip: Duration,
    /// Must be tried with `cp_good_sql` before it is used again.
    suspect: bool,
    /// Must not be used again.
    broken: bool,
    /// Between BEGIN and COMMIT or ROLLBACK.
    in_transaction: bool,
    /// The job has used the bare client in this transaction, so a statement may have failed unseen.
    bare: bool,
    /// What the first statement that failed in this transaction said.
    failure: Option<Box<str>>,
    /// What is known of the session's own `statement_timeout`.
    limit: Limit,
}

/// The settings of the pool that a connection needs.
pub(super) struct ConnectionSettings {
    /// How many prepared statements it keeps.
    pub(super) statement_cache: usize,
    /// A statement that takes this long is logged.
    pub(super) slow_query: Option<Duration>,
    /// Which servers are wanted.
    pub(super) wanted: TargetSessionAttrs,
    /// How long statements may run. If it is set, the watchdog must know when they begin and end.
    pub(super) statement_timeout: Option<Duration>,
    /// Whether cp_openfun may have set another.
    pub(super) limit_is_doubtful: bool,
    /// The statements that undo what a job leaves behind.
    pub(super) reset: Option<String>,
}

impl Connection {
    pub(super) fn new(client: Client, settings: ConnectionSettings) -> Self {
        Self {
            state: None,
            client,
            statements: Statements::new(settings.statement_cache),
            limit: Limit::new(settings.limit_is_doubtful),
            settings,
            last_cancel: None,
            unanswered: false,
            round_trip: Duration::MAX,
            suspect: false,
            broken: false,
            in_transaction: false,
            bare: false,
            failure: None,
        }
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// What PostgreSQL said, as [`Error::Database`] or [`Error::ConnectionLost`];
    /// [`Error::TransactionControl`].
    ///
    /// # Blocking
    /// Until PostgreSQL answered.
    pub fn query<'p>(
        &mut self,
        sql: &str,
        params: impl Into<Params<'p>>,
    ) -> Result<Vec<Row>, Error> {
        self.try_query(sql, &params.into())
            .map_err(Failure::into_error)
    }

    /// Runs one statement and returns how many rows it changed (or would have returned).
    ///
    /// # Errors
    /// As for [`query`](Self::query).
    ///
    /// # Blocking
    /// Until PostgreSQL answered.
    pub fn execute<'p>(&mut self, sql: &str, params: impl Into<Params<'p>>) -> Result<u64, Error> {
        self.try_execute(sql, &params.into())
            .map_err(Failure::into_error)
    }

    /// The bare client of the `postgres` crate: COPY, several statements in one text, LISTEN and so
    /// on.
    ///
    /// Leave the transaction to the pool. What is set for the session (`SET`, temporary tables,
    /// advisory locks) stays for the next job on this connection, as in Twisted, unless
    /// [`reset`](super::Builder::reset) says otherwise. Notifications that a job does not read are
    /// dropped.
    pub fn client(&mut self) -> &mut Client {
        self.bare = true;
        self.limit.is_doubtful = true;
        &mut self.client
    }

    pub(super) fn try_query(
        &mut self,
        sql: &str,
        params: &Params<'_>,
    ) -> Result<Vec<Row>, Failure> {
        self.run(sql, |client, statement| {
            client.query(statement, &params.refs())
        })
    }

    pub(super) fn try_execute(&mut self, sql: &str, params: &Params<'_>) -> Result<u64, Failure> {
        if self.settings.statement_cache == 0 && !self.in_transaction && params.is_empty() {
            return self.run_once(sql);
        }
        self.run(sql, |client, statement| {
            client.execute(statement, &params.refs())
        })
    }

    /// Sends a statement unprepared. That can't be done with parameters, because only PostgreSQL
    /// knows their types. Nor with rows: if they have types that the client library does not know,
    /// it asks for these after the statement has run, and a failure then would look like the
    /// statement's.
    fn run_once(&mut self, sql: &str) -> Result<u64, Failure> {
        if let Some(word) = transaction_control(sql) {
            return Err(Failure::Final(Error::TransactionControl(word)));
        }
        self.logged(sql, |connection| {
            connection.check_not_hit()?;
            connection
                .limited(sql, |client| client.execute_typed(sql, &[]))
                .map_err(|error| Failure::Final(connection.observe(error)))
        })
    }

    /// Runs one statement of either kind: its rows, and how many they are or how many it changed.
    pub(super) fn fetch(
        &mut self,
        sql: &str,
        params: &Params<'_>,
    ) -> Result<(Vec<Row>, u64), Failure> {
        self.run(sql, |client, statement| {
            if statement.columns().is_empty() {
                return Ok((Vec::new(), client.execute(statement, &params.refs())?));
            }
            let rows = client.query(statement, &params.refs())?;
            let count = rows.len() as u64;
            Ok((rows, count))
        })
    }

    fn run<T>(
        &mut self,
        sql: &str,
        run: impl Fn(&mut Client, &Statement) -> Result<T, postgres::Error>,
    ) -> Result<T, Failure> {
        self.check_stopped()?;
        self.logged(sql, |connection| {
            connection.unhit(sql, |connection| {
                if connection.settings.statement_cache > 0 || connection.in_transaction {
                    connection.run_prepared(sql, &run)
                } else {
                    connection.run_pinned(sql, &run)
                }
            })
        })
    }

    /// Logs the statement if `run` took long.
    fn logged<T>(
        &mut self,
        sql: &str,
        run: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(threshold) = self.settings.slow_query else {
            return run(self);
        };
        let began = Instant::now();
        let result = run(self);
        let took = began.elapsed();
        if took >= threshold {
            warn!(target: super::LOG, millis = took.as_millis(), "slow query: {sql}");
        }
        result
    }

    /// As [`observe`](Self::observe), for a request without any effect: if the connection is
    /// broken, another one may do the same again.
    fn observe_harmless(&mut self, error: postgres::Error) -> Failure {
        let error = self.observe(error);
        if self.broken {
            Failure::NotSent(error)
        } else {
            Failure::Final(error)
        }
    }

    /// Finds out from the error of a statement whether the connection is broken.
    ///
    /// If it is, nobody knows whether the statement ran. PostgreSQL's last message may have waited
    /// in the socket, so that the statement was never sent. Or it came after the statement's
    /// result, which the client library then throws away.
    fn observe(&mut self, error: postgres::Error) -> Error {
        self.failure.get_or_insert_with(|| summary(&error).into());
        if means_lost(&error) || self.client.is_closed() {
            self.broken = true;
            return Error::ConnectionLost(error);
        }
        if self.settings.wanted.is_to_write()
            && error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
        {
            // The server is no primary any more.
            self.broken = true;
        }
        if !self.in_transaction && error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) {
            // The pool did not begin the transaction that has failed.
            self.broken = true;
        }
        // An error without a SQLSTATE may be a value that did not fit. Or the protocol is out of
        // step (in a COPY that gets no data), and the next statement would wait forever: find out
        // now.
        if error.as_db_error().is_none() && self.ask_anything().is_err() {
            self.broken = true;
        }
        error.into()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken || self.client.is_closed()
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Lets another thread ask the server to stop the statement of this connection.
    pub(super) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    pub(super) fn begin_job(&mut self, worker: Arc<WorkerState>) {
        self.state = Some(worker);
    }

    pub(super) fn end_job(&mut self) {
        self.state = None;
        // Notifications of a LISTEN that the job did not read would pile up. `next` does not block
        // while there are some.
        let mut unread = self.client.notifications();
        while !unread.is_empty() {
            let _ = unread.iter().next();
        }
    }

    /// Fails if nothing more should be sent in this transaction. Its job was stopped: the cancel
    /// request only stops the statement that runs when it comes. Or its connection is broken: the
    /// next statement might wait forever.
    pub(super) fn check_stopped(&self) -> Result<(), Failure> {
        if !self.in_transaction {
            return Ok(());
        }
        self.check_unbroken().map_err(Failure::Final)?;
        match &self.state {
            Some(state) if state.is_interrupted() => Err(Failure::Final(Error::Cancelled)),
            _ => Ok(()),
        }
    }

    /// Fails if the connection of a transaction is broken.
    pub(super) fn check_unbroken(&self) -> Result<(), Error> {
        if self.broken {
            let cause = self.failure.clone().unwrap_or_default();
            return Err(Error::Aborted(cause));
        }
        Ok(())
    }

    /// Asks PostgreSQL something. The watchdog ends the job if the answer takes too long.
    fn timed<T>(&mut self, ask: impl FnOnce(&mut Client) -> T) -> T {
        let began = self.looks_far().then(Instant::now);
        let answer = self.within_limit(ask);
        if let Some(began) = began {
            self.note_round_trip(began.elapsed());
        }
        answer
    }

    fn within_limit<T>(&mut self, ask: impl FnOnce(&mut Client) -> T) -> T {
        let state = self
            .state
            .as_ref()
            .filter(|_| self.settings.statement_timeout.is_some());
        let Some(state) = state else {
            return ask(&mut self.client);
        };
        state.statement_begins();
        let answer = ask(&mut self.client);
        state.statement_ends();
        answer
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}
