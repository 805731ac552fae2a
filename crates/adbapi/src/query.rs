//! Owns the jobs that are one statement for PostgreSQL. Knows no thread.

use postgres::Row;
use sql::{Params, Sql};

use super::{
    aliases::{Deferred, JobControl, Promise, deferred},
    connection::Connection,
    error::Error,
    pool::{
        ConnectionPool,
        job::{Failure, Job, Work, resolve},
        manager::PoolConnection,
    },
    postgres_driver::Postgres,
};

impl ConnectionPool {
    /// Runs one statement and gives its rows. It takes effect as a whole or not at all.
    pub fn run_query(
        &self,
        sql: impl Into<Sql>,
        params: impl Into<Params<'static>>,
    ) -> Deferred<Vec<Row>> {
        let (promise, deferred) = deferred();
        self.submit(Job::new(Query {
            sql: sql.into(),
            params: params.into(),
            rows: None,
            promise,
        }));
        deferred
    }

    /// Runs one statement and gives the number of rows it changed.
    pub fn run_operation(
        &self,
        sql: impl Into<Sql>,
        params: impl Into<Params<'static>>,
    ) -> Deferred<u64> {
        let (promise, deferred) = deferred();
        self.submit(Job::new(Operation {
            sql: sql.into(),
            params: params.into(),
            affected: None,
            promise,
        }));
        deferred
    }
}

/// `run_query`: one statement, one round trip.
struct Query {
    sql: Sql,
    params: Params<'static>,
    rows: Option<Vec<Row>>,
    promise: Promise<Vec<Row>>,
}

impl Work<Postgres> for Query {
    fn attempt(
        &mut self,
        _: &Postgres,
        connection: &mut PoolConnection<Connection>,
    ) -> Result<(), Failure> {
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
struct Operation {
    sql: Sql,
    params: Params<'static>,
    affected: Option<u64>,
    promise: Promise<u64>,
}

impl Work<Postgres> for Operation {
    fn attempt(
        &mut self,
        _: &Postgres,
        connection: &mut PoolConnection<Connection>,
    ) -> Result<(), Failure> {
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
