//! Owns the jobs that are one statement for PostgreSQL. Knows no thread.

use postgres::Row;
use serde::de::DeserializeOwned;
use sql::{Params, Sql, Statement};

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

    /// [`run_query`](Self::run_query) with its rows as values of one's own type, a struct mostly:
    /// each field from the column of its name, as [`sql::Row::to`] says.
    ///
    /// A row that does not fit is an [`Error::Sql`] that names the column, its PostgreSQL type and
    /// what was expected. The statement has taken effect then.
    ///
    /// ```no_run
    /// # use adbapi::{ConnectionPool, params};
    /// # fn example(pool: &ConnectionPool) {
    /// #[derive(serde::Deserialize)]
    /// struct Goods {
    ///     id: i32,
    ///     name: String,
    /// }
    ///
    /// pool.run_query_as::<Goods>("SELECT * FROM goods WHERE price < $1", params![100_i32])
    ///     .on_result(|goods| match goods {
    ///         Ok(goods) => goods.iter().for_each(|goods| println!("{}: {}", goods.id, goods.name)),
    ///         Err(error) => println!("no: {error}"),
    ///     });
    /// # }
    /// ```
    pub fn run_query_as<T: DeserializeOwned + Send + 'static>(
        &self,
        sql: impl Into<Sql>,
        params: impl Into<Params<'static>>,
    ) -> Deferred<Vec<T>> {
        let results = self.submit_statements(Statement::new(sql, params).into());
        results.and_then(|results| Ok(results.first.deserialize()?))
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
