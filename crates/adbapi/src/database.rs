//! Owns how the pool keeps the contract of `sql`: its jobs as work for the workers. Knows no thread.

mod error;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use sql::{
    Database, Description, Listener, OnListenEvent, Results, RowSink, RowStream, Settings, Sql,
    Statement, Stats, row_stream,
};

use super::{
    aliases::{Deferred, JobControl, Promise, deferred},
    connection::{Connection, Reading},
    error::Error,
    pool::{
        ConnectionPool,
        job::{self, Failure, Times, Work, resolve},
        manager::PoolConnection,
    },
    postgres_driver::Postgres,
};

impl Database for ConnectionPool {
    fn submit(&self, job: sql::Job) -> sql::Deferred<Results> {
        let results = self.submit_statements(job);
        results.map_result(|results| results.map_err(sql::Error::from))
    }

    fn stream(&self, settings: Settings, statement: Statement, batch: NonZeroU32) -> RowStream {
        let (promise, deferred) = deferred();
        let (sink, stream) = row_stream(deferred.cancel_handle());
        let sink = Arc::new(sink);
        let end = sink.clone();
        deferred.on_result(move |result| end.finish(result.map_err(sql::Error::from)));
        self.submit(job::Job::new(Streamed {
            settings,
            statement,
            batch: i32::try_from(batch.get()).unwrap_or(i32::MAX),
            sink,
            promise,
        }));
        stream
    }

    fn describe_in(&self, settings: Settings, sql: Sql) -> sql::Deferred<Description> {
        let (promise, deferred) = deferred();
        let deferred = deferred.map_result(|result| result.map_err(sql::Error::from));
        self.submit(job::Job::new(Described {
            settings,
            sql,
            description: None,
            promise,
        }));
        deferred
    }

    fn listen(&self, channel: &str, on_event: OnListenEvent) -> Result<Listener, sql::Error> {
        self.driver().listening.listen(channel, on_event)
    }

    fn max_connections(&self) -> u32 {
        self.cp_max()
    }

    fn stats(&self) -> Stats {
        self.stats()
    }

    fn close(&self, grace: Duration) {
        self.close_within(grace);
    }
}

impl ConnectionPool {
    /// [`Database::submit`], with the pool's own errors.
    pub(super) fn submit_statements(&self, job: sql::Job) -> Deferred<Results> {
        let (promise, deferred) = deferred();
        self.submit(job::Job::new(Submitted {
            job,
            results: None,
            promise,
        }));
        deferred
    }
}

impl Failure {
    /// Of settings that cannot be said to PostgreSQL.
    pub(super) fn of_settings(error: sql::Error) -> Self {
        Self::Final(Error::Config(error.to_string().into()))
    }

    /// The same failure, of a transaction that was only to begin.
    pub(super) fn early(self) -> Self {
        match self {
            Self::Final(error @ Error::Database(_)) => {
                Self::Final(sql::Error::from(error).early().into())
            }
            other => other,
        }
    }
}

/// A job of one or more statements.
struct Submitted {
    job: sql::Job,
    results: Option<Results>,
    promise: Promise<Results>,
}

impl Submitted {
    fn run_all(&self, connection: &mut Connection) -> Result<Results, Failure> {
        let first = connection.try_statement(&self.job.first)?;
        // The first has run, so the job stays on this connection whatever comes.
        let others = self.job.others.iter().map(|statement| {
            let done = connection.try_statement(statement);
            done.map_err(|failure| Failure::Final(failure.into_error()))
        });
        let others = others.collect::<Result<_, _>>()?;
        connection.check_stopped()?;
        Ok(Results { first, others })
    }
}

impl Work<Postgres> for Submitted {
    fn attempt(
        &mut self,
        _: &Postgres,
        connection: &mut PoolConnection<Connection>,
    ) -> Result<(), Failure> {
        if self.job.is_bare() {
            self.results = Some(connection.try_statement(&self.job.first)?.into());
            return Ok(());
        }
        connection.begin_with(&self.job.settings)?;
        match self.run_all(connection) {
            Ok(results) => {
                self.results = Some(results);
                if self.job.is_dry_run {
                    connection.rollback();
                    return Ok(());
                }
                connection.commit().map_err(Failure::Final)
            }
            Err(failure) => {
                connection.rollback();
                Err(failure)
            }
        }
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        resolve(self.promise, self.results, outcome);
    }

    fn control(&self) -> JobControl {
        self.promise.control()
    }

    fn is_timed(&self) -> bool {
        self.job.times.is_some()
    }

    fn note(&self, times: Times) {
        if let Some(noted) = &self.job.times {
            noted.add(times.waited, times.connecting, times.database);
        }
    }
}

/// A statement whose rows are handed on in batches.
struct Streamed {
    settings: Settings,
    statement: Statement,
    batch: i32,
    sink: Arc<RowSink>,
    promise: Promise<()>,
}

impl Work<Postgres> for Streamed {
    fn attempt(
        &mut self,
        _: &Postgres,
        connection: &mut PoolConnection<Connection>,
    ) -> Result<(), Failure> {
        connection.read_portal(&Reading {
            settings: &self.settings,
            statement: &self.statement,
            batch: self.batch,
            sink: &self.sink,
        })
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        self.promise.resolve(outcome);
    }

    fn control(&self) -> JobControl {
        self.promise.control()
    }
}

/// A statement that is described and not run.
struct Described {
    settings: Settings,
    sql: Sql,
    description: Option<Description>,
    promise: Promise<Description>,
}

impl Work<Postgres> for Described {
    fn attempt(
        &mut self,
        _: &Postgres,
        connection: &mut PoolConnection<Connection>,
    ) -> Result<(), Failure> {
        self.description = Some(connection.describe(&self.settings, &self.sql)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        resolve(self.promise, self.description, outcome);
    }

    fn control(&self) -> JobControl {
        self.promise.control()
    }
}
