//! Owns what the pool asks of a database driver, and what it does with any r2d2 manager. Knows no
//! database.

use std::{error::Error as StdError, fmt, sync::Arc};

use r2d2::ManageConnection;

use super::{error::Error, pool::worker_state::WorkerState};

/// Stops what runs on one connection. The pool calls it on a thread of its own, so it may block,
/// and calls it again while the job goes on.
pub type Canceller = Arc<dyn Fn() + Send + Sync>;

/// What a [`ConnectionPool`](super::ConnectionPool) asks of a database, besides what r2d2 asks of
/// its manager. [`Postgres`](super::Postgres) is the one that has all of it; [`R2d2`] makes one of
/// any r2d2 manager. Twisted's pool takes a DB-API module in this place.
///
/// r2d2's part: [`connect`](ManageConnection::connect) opens a connection,
/// [`has_broken`](ManageConnection::has_broken) says whether it has been lost, and
/// [`is_valid`](ManageConnection::is_valid) tries one that has idled for long or is suspect. They
/// may block as long as the database does, but for `has_broken`. A panic in one of them counts as
/// its error.
///
/// | what the pool has to know | asks | [`R2d2`] says |
/// |---|---|---|
/// | is an idle connection good (`cp_good_sql`) | [`look`](Self::look), after half a minute also [`is_valid`](ManageConnection::is_valid) | the manager's `is_valid` |
/// | must a connection be closed after its job | [`has_broken`](ManageConnection::has_broken), [`is_suspect`](Self::is_suspect) | the manager's `has_broken` |
/// | may the job move to another connection (`cp_reconnect`) | [`begin`](Self::begin) has failed, and `has_broken` is true | what [`transactions`](R2d2::transactions) begins with, else never |
/// | how is a running job stopped | [`canceller`](Self::canceller), [`outlasts_cancel`](Self::outlasts_cancel) | [`canceller`](R2d2::canceller), else not at all; the connection is closed |
/// | what does an error mean to the caller | [`Error::Sql`] of a closure, or [`Error::custom`] | the same |
///
/// A closure whose library has errors of its own returns them as an [`Error::Sql`], so that a caller
/// learns whether the job may be sent again and which SQLSTATE it was; [`Error::custom`] takes any
/// error, which is then known by its text alone.
pub trait Driver: ManageConnection {
    /// What the closure of [`run_interaction`](super::ConnectionPool::run_interaction) works with:
    /// a cursor of the connection, or the connection itself.
    type Transaction<'c>;

    /// What the log calls the database.
    const DATABASE: &'static str = "the database";

    /// Runs an interaction with the connection it was given. The transaction has begun.
    fn interact<T>(
        connection: &mut Self::Connection,
        run: impl FnOnce(&mut Self::Transaction<'_>) -> T,
    ) -> T;

    /// Begins the transaction of a closure (by default there is none). It must have no effect
    /// outside of its connection: when it fails and the connection has broken, the job moves to
    /// another connection.
    ///
    /// # Errors
    /// The job's error, unless the job moves.
    fn begin(&self, connection: &mut Self::Connection) -> Result<(), Error> {
        let _ = connection;
        Ok(())
    }

    /// Commits what a closure did (by default nothing).
    ///
    /// # Errors
    /// The job's error. The transaction is then over.
    fn commit(&self, connection: &mut Self::Connection) -> Result<(), Error> {
        let _ = connection;
        Ok(())
    }

    /// Undoes what a closure did (by default nothing). The caller gets the closure's own error.
    ///
    /// # Errors
    /// Why that failed. The pool logs it and closes the connection.
    fn rollback(&self, connection: &mut Self::Connection) -> Result<(), Error> {
        let _ = connection;
        Ok(())
    }

    /// How to stop what runs on a new connection (by default it can't be stopped). Without it a
    /// cancelled job is answered at once as well, but its worker is busy until the closure ends.
    /// It may ask the connection who it is, and block for that.
    fn canceller(&self, connection: &mut Self::Connection) -> Option<Canceller> {
        let _ = connection;
        None
    }

    /// The last job was stopped by its [`Canceller`], which has ended. Whether the driver makes sure that
    /// nothing of it can come late and hit the next job. If not (by default), the connection is
    /// closed.
    fn outlasts_cancel(&self, connection: &mut Self::Connection) -> bool {
        let _ = connection;
        false
    }

    /// Looks whether the other end has closed a connection that has idled, before a job gets it: as
    /// cheaply as it can (by default by `is_valid`). With `others_lost`, another connection was
    /// found dead since this one was used.
    ///
    /// # Errors
    /// Why the connection is of no use.
    fn look(
        &self,
        connection: &mut Self::Connection,
        others_lost: bool,
    ) -> Result<(), Self::Error> {
        let _ = others_lost;
        self.is_valid(connection)
    }

    /// Whether a job may have left the connection in disorder, so that `is_valid` must try it
    /// before the next job (by default never).
    fn is_suspect(&self, connection: &Self::Connection) -> bool {
        let _ = connection;
        false
    }

    /// A job begins on the connection. A driver that knows its statements tells `worker` when they
    /// begin and end. By default the whole job counts as one statement.
    fn begin_job(&self, connection: &mut Self::Connection, worker: &Arc<WorkerState>) {
        let _ = connection;
        worker.statement_begins();
    }

    /// The job has ended, its caller has no answer yet (by default nothing).
    fn end_job(&self, connection: &mut Self::Connection) {
        let _ = connection;
    }

    /// Undoes what the job left in its session (by default nothing). Its caller has the answer
    /// already. What can't be reset must count as broken.
    fn reset(&self, connection: &mut Self::Connection) {
        let _ = connection;
    }

    /// Why an attempt to connect has neither succeeded nor failed for long.
    fn silence(&self) -> String {
        "the database does not answer to connecting".to_owned()
    }

    /// The pool has closed, or was never started (by default nothing). Ends what the driver has
    /// besides the pool's connections; may block for a moment.
    fn close(&self) {}

    /// Closes a connection: drops it. One whose drop could block must do that on another thread.
    fn release(&self, connection: Self::Connection) {
        drop(connection);
    }
}

/// One step of a transaction, on a connection of another manager.
type Step<C> = fn(&mut C) -> Result<(), Box<dyn StdError + Send + Sync>>;

/// A [`Driver`] made of any r2d2 manager.
///
/// Its closures work with the manager's own connection. Nothing begins or commits for them unless
/// [`transactions`](Self::transactions) says how, and what runs is not stopped when its job is
/// cancelled unless [`canceller`](Self::canceller) says how. A `statement_timeout` counts for the
/// whole of a job.
///
/// ```
/// use adbapi::{ConnectionPool, R2d2};
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("never")]
/// # struct Never;
/// # struct Numbers;
/// # impl r2d2::ManageConnection for Numbers {
/// #     type Connection = i32;
/// #     type Error = Never;
/// #     fn connect(&self) -> Result<i32, Never> { Ok(41) }
/// #     fn is_valid(&self, _: &mut i32) -> Result<(), Never> { Ok(()) }
/// #     fn has_broken(&self, _: &mut i32) -> bool { false }
/// # }
/// # fn main() -> Result<(), adbapi::Error> {
/// let pool = ConnectionPool::with_driver(R2d2::new(Numbers)).cp_max(10).build()?;
/// let answer = pool.run_with_connection(|connection| Ok(*connection + 1));
/// assert_eq!(answer.wait()?, 42);
/// # Ok(()) }
/// ```
pub struct R2d2<M: ManageConnection> {
    manager: M,
    transactions: Option<Transactions<M::Connection>>,
    canceller: Option<MakeCanceller<M::Connection>>,
}

/// Says how to stop what runs on a new connection.
type MakeCanceller<C> = Box<dyn Fn(&mut C) -> Option<Canceller> + Send + Sync>;

struct Transactions<C> {
    begin: Step<C>,
    commit: Step<C>,
    rollback: Step<C>,
}

impl<M: ManageConnection> R2d2<M> {
    /// Takes connections from `manager`.
    pub fn new(manager: M) -> Self {
        Self {
            manager,
            transactions: None,
            canceller: None,
        }
    }

    /// Makes each closure a transaction, by these three (none).
    pub fn transactions(
        mut self,
        begin: Step<M::Connection>,
        commit: Step<M::Connection>,
        rollback: Step<M::Connection>,
    ) -> Self {
        self.transactions = Some(Transactions {
            begin,
            commit,
            rollback,
        });
        self
    }

    /// Has what runs on a connection stopped when its job is cancelled, reaches a time limit or
    /// outlives the pool (it runs on). `make` is called once for each new connection, which it may
    /// ask who it is; what it gives is called on a thread of its own while the connection works:
    /// with PostgreSQL it calls `pg_cancel_backend` on another connection. A connection whose job
    /// was stopped is closed.
    pub fn canceller(
        mut self,
        make: impl Fn(&mut M::Connection) -> Option<Canceller> + Send + Sync + 'static,
    ) -> Self {
        self.canceller = Some(Box::new(make));
        self
    }
}

impl<M: ManageConnection> ManageConnection for R2d2<M> {
    type Connection = M::Connection;
    type Error = M::Error;

    fn connect(&self) -> Result<M::Connection, M::Error> {
        self.manager.connect()
    }

    fn is_valid(&self, connection: &mut M::Connection) -> Result<(), M::Error> {
        self.manager.is_valid(connection)
    }

    fn has_broken(&self, connection: &mut M::Connection) -> bool {
        self.manager.has_broken(connection)
    }
}

impl<M: ManageConnection> Driver for R2d2<M> {
    type Transaction<'c> = M::Connection;

    fn interact<T>(connection: &mut M::Connection, run: impl FnOnce(&mut M::Connection) -> T) -> T {
        run(connection)
    }

    fn begin(&self, connection: &mut M::Connection) -> Result<(), Error> {
        let transactions = self.transactions.as_ref();
        transactions.map_or(Ok(()), |steps| Ok((steps.begin)(connection)?))
    }

    fn commit(&self, connection: &mut M::Connection) -> Result<(), Error> {
        let Some(steps) = &self.transactions else {
            return Ok(());
        };
        (steps.commit)(connection).map_err(|error| {
            // Whether a commit that failed has ended the transaction is each database's own affair.
            // Where it has, this fails, which means nothing.
            let _ = (steps.rollback)(connection);
            error.into()
        })
    }

    fn rollback(&self, connection: &mut M::Connection) -> Result<(), Error> {
        let transactions = self.transactions.as_ref();
        transactions.map_or(Ok(()), |steps| Ok((steps.rollback)(connection)?))
    }

    fn canceller(&self, connection: &mut M::Connection) -> Option<Canceller> {
        self.canceller.as_ref().and_then(|make| make(connection))
    }
}

impl<M: ManageConnection> fmt::Debug for R2d2<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("R2d2").finish_non_exhaustive()
    }
}
