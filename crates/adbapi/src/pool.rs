//! Owns the pool as its users see it: start, submit, close. What happens on the workers is
//! `worker`'s.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use crossbeam_channel::TrySendError;
use postgres::Row;
use sql::{Params, Sql, Stats};
use tracing::info;

use super::{
    LOG,
    aliases::{Deferred, deferred},
    builder::Builder,
    connection::Connection,
    database::Listening,
    error::Error,
    job::{self, Job, Operation, Query, WithConnection},
    running::Running,
    tls::Tls,
    transaction::Transaction,
};

impl Builder {
    /// Makes the pool. It connects when it is [started](ConnectionPool::start), so this needs no
    /// PostgreSQL. Times of more than 24 days count as 24 days.
    ///
    /// # Errors
    /// [`Error::Config`] if the settings contradict each other, or if `sslrootcert` cannot be read.
    ///
    /// # Blocking
    /// While it reads `sslrootcert`.
    pub fn build(mut self) -> Result<ConnectionPool, Error> {
        self.limit_times();
        let tls = self.check().and_then(|()| Tls::new(&self));
        let tls = tls.map_err(|fault| Error::Config(fault.into()))?;
        Ok(ConnectionPool::new(self, tls))
    }
}

/// A pool of worker threads and connections to one PostgreSQL database (Twisted's
/// `adbapi.ConnectionPool`).
///
/// Cloning it gives another handle on the same pool; dropping the last one closes it.
#[derive(Clone)]
pub struct ConnectionPool {
    handle: Arc<Handle>,
}

impl ConnectionPool {
    /// Starts the settings of a pool for the database that `config` names.
    pub fn builder(config: postgres::Config) -> Builder {
        Builder::new(config)
    }

    pub(super) fn new(settings: Builder, tls: Tls) -> Self {
        Self {
            handle: Arc::new(Handle {
                phase: RwLock::new(Phase::Unstarted),
                listening: Listening::new(&settings, &tls),
                settings,
                tls,
            }),
        }
    }

    /// Starts the workers and opens the first `cp_min` connections in the background. Jobs do this
    /// by themselves if nobody did it before; starting again does nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] if the pool was closed, [`Error::Config`] if the system gives no threads.
    pub fn start(&self) -> Result<(), Error> {
        let mut phase = self.handle.phase_mut();
        match *phase {
            Phase::Running(_) => Ok(()),
            Phase::Closed => Err(Error::Closed),
            Phase::Unstarted => {
                *phase = Phase::Running(Running::start(&self.handle.settings, &self.handle.tls)?);
                Ok(())
            }
        }
    }

    /// Ends the pool: jobs that wait fail with [`Error::Closed`]; jobs that run get the grace time,
    /// then their statements are cancelled and they fail with [`Error::Closed`] too. Closing again,
    /// or before the start, does nothing.
    ///
    /// # Blocking
    /// Until the workers have ended: at most the grace time and a little for cancelling. A job, or
    /// a callback, that closes its own pool is not waited for.
    pub fn close(&self) {
        self.close_within(self.handle.settings.close_grace);
    }

    pub(super) fn close_within(&self, grace: Duration) {
        self.handle.close(grace);
    }

    pub(super) fn listening(&self) -> &Listening {
        &self.handle.listening
    }

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

    /// Runs a closure with a [`Transaction`] on a worker, where it may block: `Ok` commits, `Err`
    /// or a panic rolls back, and the Deferred gives the closure's own error.
    pub fn run_interaction<T, F>(&self, interaction: F) -> Deferred<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
    {
        self.run_with_connection(job::interaction(interaction))
    }

    /// Runs a closure with a [`Connection`] on a worker, where it may block; inside a transaction
    /// as for
    /// [`run_interaction`](Self::run_interaction).
    pub fn run_with_connection<T, F>(&self, run: F) -> Deferred<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    {
        let (promise, deferred) = deferred();
        self.submit(Job::new(WithConnection {
            run: Some(run),
            value: None,
            promise,
        }));
        deferred
    }

    /// The pool's figures, all of one moment; zeros before the start and after the close.
    pub fn stats(&self) -> Stats {
        match &*self.handle.phase() {
            Phase::Running(running) => running.stats(),
            Phase::Unstarted | Phase::Closed => Stats::default(),
        }
    }

    /// Which workers of a pool that runs are active.
    #[cfg(test)]
    pub(super) fn active(&self) -> Option<Arc<super::active_workers::ActiveWorkers>> {
        match &*self.handle.phase() {
            Phase::Running(running) => running.active(),
            Phase::Unstarted | Phase::Closed => None,
        }
    }

    /// Queues the job or fails it at once; never blocks.
    pub(super) fn submit(&self, job: Job) {
        if matches!(*self.handle.phase(), Phase::Unstarted)
            && let Err(error) = self.start()
        {
            return job.fail(error);
        }
        let phase = self.handle.phase();
        let refused = match &*phase {
            Phase::Running(running) => running.queue(job),
            Phase::Unstarted | Phase::Closed => Err(TrySendError::Disconnected(job)),
        };
        // A refused job's callback runs here and may use the pool.
        drop(phase);
        match refused {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => job.fail(Error::QueueFull {
                limit: self.handle.settings.queue_limit,
            }),
            Err(TrySendError::Disconnected(job)) => job.fail(Error::Closed),
        }
    }
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.settings.fmt(f)
    }
}

/// What all clones of a pool share. The workers do not hold it, so its drop is the end of the pool.
struct Handle {
    phase: RwLock<Phase>,
    listening: Listening,
    settings: Builder,
    tls: Tls,
}

enum Phase {
    Unstarted,
    Running(Running),
    Closed,
}

impl Handle {
    fn phase(&self) -> RwLockReadGuard<'_, Phase> {
        self.phase.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn phase_mut(&self) -> RwLockWriteGuard<'_, Phase> {
        self.phase.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, grace: Duration) {
        let phase = std::mem::replace(&mut *self.phase_mut(), Phase::Closed);
        if let Phase::Running(running) = phase {
            running.close(grace);
            if self.settings.cp_noisy {
                info!(target: LOG, "adbapi closed: {}", self.settings.subject());
            }
        }
        self.listening.close();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close(self.settings.close_grace);
    }
}
