//! Owns how a result is read in batches, from a portal of a transaction that lasts as long. Knows
//! no job.

use postgres::{Client, IsolationLevel, Statement, error::DbError};
use sql::{Isolation, RowSink, Settings, transaction_control};

use super::{
    super::{
        error::Error,
        notices,
        pool::{job::Failure, worker_state::WorkerState},
        statements::Statements,
    },
    Connection,
    limit::may_change_limit,
    prepared::is_gone,
    rows::received,
};

/// A result to be read in batches.
pub(in super::super) struct Reading<'a> {
    pub(in super::super) settings: &'a Settings,
    pub(in super::super) statement: &'a sql::Statement,
    /// How many rows a batch has.
    pub(in super::super) batch: i32,
    pub(in super::super) sink: &'a RowSink,
}

/// Why not all was read.
enum Stopped {
    /// The transaction did not begin.
    NotBegun(postgres::Error),
    /// One of its settings, or what runs before the statement.
    Early(postgres::Error),
    Refused(postgres::Error),
    /// Nobody wants more.
    Ended,
}

impl Connection {
    /// Runs a statement in a transaction of its own and hands its rows on.
    ///
    /// # Blocking
    /// While the consumer is slow.
    pub(in super::super) fn read_portal(&mut self, reading: &Reading<'_>) -> Result<(), Failure> {
        let sql = &reading.statement.sql;
        if let Some(word) = transaction_control(sql) {
            return Err(Failure::Final(Error::TransactionControl(word)));
        }
        self.check_not_hit()?;
        let local = reading.settings.local().map_err(Failure::of_settings)?;
        let watched = self.watched(reading.settings);
        (self.bare, self.failure) = (false, None);
        notices::take_no_transaction();
        let reader = Reader {
            reading,
            local: local.as_deref(),
            watched: watched.as_deref(),
            worker: self.state.as_deref(),
        };
        let read = reader.read(&mut self.client, &mut self.statements);
        self.limit.is_doubtful |= may_change_limit(sql);
        self.check_still_ours();
        match read {
            Ok(()) => Ok(()),
            Err(Stopped::NotBegun(error)) => Err(self.observe_harmless(error)),
            Err(Stopped::Early(error)) => Err(Failure::Final(self.observe(error)).early()),
            Err(Stopped::Ended) => Err(Failure::Final(Error::Cancelled)),
            Err(Stopped::Refused(error)) => {
                let routine = error.as_db_error().and_then(DbError::routine);
                if routine == Some("RevalidateCachedQuery") || is_gone(&error) {
                    self.statements.clear();
                }
                Err(Failure::Final(self.observe(error)))
            }
        }
    }
}

struct Reader<'a> {
    reading: &'a Reading<'a>,
    local: Option<&'a str>,
    /// Told when PostgreSQL owes an answer.
    watched: Option<&'a WorkerState>,
    /// Of the worker, whose job may be stopped.
    worker: Option<&'a WorkerState>,
}

impl Reader<'_> {
    /// Reads all. What was not committed is rolled back.
    fn read(
        &self,
        client: &mut Client,
        statements: &mut Statements<Statement>,
    ) -> Result<(), Stopped> {
        let Reading {
            settings,
            statement,
            batch,
            sink,
        } = self.reading;
        let mut builder = client.build_transaction();
        if let Some(isolation) = settings.get_isolation() {
            builder = builder.isolation_level(level(isolation));
        }
        if let Some(read_only) = settings.get_read_only() {
            builder = builder.read_only(read_only);
        }
        let begun = self.timed(|| builder.start());
        let mut transaction = begun.map_err(Stopped::NotBegun)?;
        if let Some(local) = self.local {
            self.timed(|| transaction.batch_execute(local))
                .map_err(Stopped::Early)?;
        }
        let prepared = match statements.find(&statement.sql) {
            Some(prepared) => prepared,
            None => {
                let prepared = self.asked(|| transaction.prepare(&statement.sql))?;
                statements.insert(&statement.sql, prepared.clone());
                prepared
            }
        };
        let params = statement.params.refs();
        let portal = self.asked(|| transaction.bind(&prepared, &params))?;
        loop {
            let rows = self.asked(|| transaction.query_portal(&portal, *batch))?;
            let is_last = rows.len() < usize::try_from(*batch).unwrap_or(usize::MAX);
            if !rows.is_empty() {
                let sent = sink.send(received(&prepared, rows));
                sent.map_err(|_| Stopped::Ended)?;
            }
            if self.worker.is_some_and(WorkerState::is_interrupted) {
                return Err(Stopped::Ended);
            }
            if is_last {
                break;
            }
        }
        drop((portal, prepared));
        self.asked(|| transaction.commit())
    }

    fn asked<T>(&self, ask: impl FnOnce() -> Result<T, postgres::Error>) -> Result<T, Stopped> {
        self.timed(ask).map_err(Stopped::Refused)
    }

    /// Asks PostgreSQL something under the eyes of the watch.
    fn timed<T>(&self, ask: impl FnOnce() -> T) -> T {
        if let Some(state) = self.watched {
            state.statement_begins();
        }
        let answer = ask();
        if let Some(state) = self.watched {
            state.statement_ends();
        }
        answer
    }
}

fn level(isolation: Isolation) -> IsolationLevel {
    match isolation {
        Isolation::ReadCommitted => IsolationLevel::ReadCommitted,
        Isolation::RepeatableRead => IsolationLevel::RepeatableRead,
        Isolation::Serializable => IsolationLevel::Serializable,
    }
}
