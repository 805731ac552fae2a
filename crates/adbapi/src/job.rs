//! Owns what a job is: how it is tried on a connection and how its result reaches its Deferred.
//! Knows no thread.

use std::time::Instant;

use postgres::Row;
use sql::{Params, Sql};

use super::{
    aliases::{JobControl, Promise},
    connection::{Connection, Failure},
    error::Error,
    transaction::Transaction,
};

/// A job on its way to a worker.
pub(super) struct Job {
    pub(super) submitted: Instant,
    pub(super) work: Box<dyn Work>,
}

/// What a worker needs to know of a job. Every `Work` ends in exactly one `finish`.
pub(super) trait Work: Send {
    /// Tries the job. Called again, on another connection, only after [`Failure::NotSent`].
    fn attempt(&mut self, connection: &mut Connection) -> Result<(), Failure>;

    /// Fires the job's Deferred: with what the attempt brought, or with the error.
    fn finish(self: Box<Self>, outcome: Result<(), Error>);

    /// The job as those see it who may end it from outside.
    fn control(&self) -> JobControl;
}

impl Job {
    pub(super) fn new(work: impl Work + 'static) -> Self {
        Self {
            submitted: Instant::now(),
            work: Box::new(work),
        }
    }

    pub(super) fn fail(self, error: Error) {
        self.work.finish(Err(error));
    }
}

/// The end every kind of work comes to.
pub(super) fn resolve<T: Send + 'static>(
    promise: Promise<T>,
    value: Option<T>,
    outcome: Result<(), Error>,
) {
    promise.resolve(
        outcome.map(|()| {
            value.expect("a worker finishes with Ok only after an attempt that succeeded")
        }),
    );
}

/// `run_query`: one statement, one round trip.
pub(super) struct Query {
    pub(super) sql: Sql,
    pub(super) params: Params<'static>,
    pub(super) rows: Option<Vec<Row>>,
    pub(super) promise: Promise<Vec<Row>>,
}

impl Work for Query {
    fn attempt(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        self.rows = Some(connection.try_query(&self.sql, &self.params)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        resolve(self.promise, self.rows, outcome);
    }

    fn control(&self) -> JobControl {
        self.promise.control()
    }
}

/// `run_operation`: one statement, one round trip, no rows.
pub(super) struct Operation {
    pub(super) sql: Sql,
    pub(super) params: Params<'static>,
    pub(super) affected: Option<u64>,
    pub(super) promise: Promise<u64>,
}

impl Work for Operation {
    fn attempt(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        self.affected = Some(connection.try_execute(&self.sql, &self.params)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        resolve(self.promise, self.affected, outcome);
    }

    fn control(&self) -> JobControl {
        self.promise.control()
    }
}

/// `run_with_connection`: a closure inside a transaction.
pub(super) struct WithConnection<T: Send + 'static, F> {
    pub(super) run: Option<F>,
    pub(super) value: Option<T>,
    pub(super) promise: Promise<T>,
}

impl<T, F> Work for WithConnection<T, F>
where
    T: Send + 'static,
    F: FnOnce(&mut Connection) -> Result<T, Error> + Send,
{
    fn attempt(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        connection.begin()?;
        let run = self
            .run
            .take()
            .expect("only a failed BEGIN leads to a second attempt");
        let done = run(connection).map_err(Failure::Final);
        match done.and_then(|value| connection.check_stopped().map(|()| value)) {
            Ok(value) => {
                self.value = Some(value);
                connection.commit().map_err(Failure::Final)
            }
            Err(failure) => {
                connection.rollback();
                Err(failure)
            }
        }
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        resolve(self.promise, self.value, outcome);
    }

    fn control(&self) -> JobControl {
        self.promise.control()
    }
}

/// `run_interaction` is `run_with_connection` with the connection's cursor.
pub(super) fn interaction<T, F>(run: F) -> impl FnOnce(&mut Connection) -> Result<T, Error> + Send
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send,
{
    move |connection| run(&mut Transaction::new(connection))
}
