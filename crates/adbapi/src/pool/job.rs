//! Owns what a job is: how it is tried on a connection and how its result reaches its Deferred.
//! Knows no thread and no database.

use std::time::{Duration, Instant};

use deferred::Stage;
use tracing::warn;

use super::manager::PoolConnection;
use crate::{
    LOG,
    aliases::{JobControl, Promise},
    driver::Driver,
    error::Error,
};

/// A job on its way to a worker.
pub(crate) struct Job<D: Driver> {
    pub(super) submitted: Instant,
    pub(super) work: Box<dyn Work<D>>,
}

/// What a worker needs to know of a job. Every `Work` ends in exactly one `finish`.
pub(crate) trait Work<D: Driver>: Send {
    /// Tries the job. Called again, on another connection, only after [`Failure::NotSent`].
    fn attempt(
        &mut self,
        driver: &D,
        connection: &mut PoolConnection<D::Connection>,
    ) -> Result<(), Failure>;

    /// Fires the job's Deferred: with what the attempt brought, or with the error.
    fn finish(self: Box<Self>, outcome: Result<(), Error>);

    /// The handle by which the job can be ended from outside.
    fn control(&self) -> JobControl;

    /// Whether it wants to know what its time goes into.
    fn is_timed(&self) -> bool {
        false
    }

    /// Notes that, before it finishes.
    fn note(&self, times: Times) {
        let _ = times;
    }
}

/// What the time of a job went into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Until a worker took it.
    pub(crate) waited: Duration,
    /// Until the worker had a connection.
    pub(crate) connecting: Duration,
    pub(crate) database: Duration,
}

/// Why an attempt gave no result.
pub(crate) enum Failure {
    /// The connection was dead before anything that has an effect was sent: another one may do.
    NotSent(Error),
    /// The result of the job.
    Final(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::NotSent(error) | Self::Final(error) => error,
        }
    }
}

impl<D: Driver> Job<D> {
    pub(crate) fn new(work: impl Work<D> + 'static) -> Self {
        Self {
            submitted: Instant::now(),
            work: Box::new(work),
        }
    }

    pub(super) fn fail(self, error: Error) {
        self.work.finish(Err(error));
    }
}

/// Ends any kind of work: fires its Deferred.
pub(crate) fn resolve<T: Send + 'static>(
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

/// `run_with_connection`: a closure inside a transaction.
pub(super) struct WithConnection<T: Send + 'static, F> {
    pub(super) run: Option<F>,
    pub(super) value: Option<T>,
    pub(super) promise: Promise<T>,
}

impl<D, T, F> Work<D> for WithConnection<T, F>
where
    D: Driver,
    T: Send + 'static,
    F: FnOnce(&mut D::Connection) -> Result<T, Error> + Send,
{
    fn attempt(
        &mut self,
        driver: &D,
        connection: &mut PoolConnection<D::Connection>,
    ) -> Result<(), Failure> {
        if let Err(error) = driver.begin(connection) {
            let failure = if driver.has_broken(connection) {
                Failure::NotSent
            } else {
                Failure::Final
            };
            return Err(failure(error));
        }
        let run = self
            .run
            .take()
            .expect("only a failed begin leads to a second attempt");
        let mut done = run(connection);
        // A cancel request stops a statement; between two there was none, and nothing may stay.
        if done.is_ok() && self.promise.control().stage() == Stage::Interrupted {
            done = Err(Error::Cancelled);
        }
        match done {
            Ok(value) => {
                self.value = Some(value);
                driver.commit(connection).map_err(Failure::Final)
            }
            Err(error) => {
                if let Err(fault) = driver.rollback(connection) {
                    warn!(target: LOG, "rollback failed, the connection is discarded: {}", fault.reason());
                    connection.discard();
                }
                Err(Failure::Final(error))
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
