//! Owns the pool as its users see it, whatever its driver: start, submit, close. What happens on
//! the workers is `pool/worker.rs`'s. Knows no database.

mod cancel;
mod health;
pub(crate) mod job;
pub(crate) mod manager;
mod running;
pub(crate) mod settings;
mod watchdog;
pub(crate) mod worker;
pub(crate) mod worker_state;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use crossbeam_channel::TrySendError;
use sql::Stats;
use tracing::info;

use super::{
    LOG,
    aliases::{Deferred, deferred},
    driver::Driver,
    error::Error,
    postgres_driver::Postgres,
};

use job::{Job, WithConnection};
use running::Running;
use settings::PoolSettings;

/// A pool of worker threads and connections to one database (Twisted's `adbapi.ConnectionPool`): to
/// PostgreSQL, or to what another [`Driver`] connects to.
///
/// Cloning it gives another handle on the same pool; dropping the last one closes it.
pub struct ConnectionPool<D: Driver = Postgres> {
    handle: Arc<Handle<D>>,
}

impl<D: Driver> ConnectionPool<D> {
    pub(super) fn new(settings: PoolSettings, driver: D) -> Self {
        Self {
            handle: Arc::new(Handle {
                phase: RwLock::new(Phase::Unstarted),
                settings,
                driver: Arc::new(driver),
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
                let (settings, driver) = (&self.handle.settings, &self.handle.driver);
                *phase = Phase::Running(Running::start(settings, driver)?);
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

    pub(super) fn cp_max(&self) -> u32 {
        self.handle.settings.cp_max
    }

    pub(super) fn driver(&self) -> &D {
        &self.handle.driver
    }

    /// Runs a closure with a [`Transaction`](super::Transaction) (other drivers have another type)
    /// on a worker, where it may block. `Ok` commits, `Err` or a panic rolls back, and the Deferred
    /// gives the closure's own error.
    pub fn run_interaction<T, F>(&self, interaction: F) -> Deferred<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut D::Transaction<'_>) -> Result<T, Error> + Send + 'static,
    {
        self.run_with_connection(move |connection| D::interact(connection, interaction))
    }

    /// Runs a closure with a [`Connection`](super::Connection) (other drivers have another type) on
    /// a worker, where it may block, and inside a transaction as
    /// [`run_interaction`](Self::run_interaction) does.
    pub fn run_with_connection<T, F>(&self, run: F) -> Deferred<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut D::Connection) -> Result<T, Error> + Send + 'static,
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

    /// How many connections no worker has.
    #[cfg(test)]
    pub(super) fn put_back(&self) -> u32 {
        match &*self.handle.phase() {
            Phase::Running(running) => running.put_back(),
            Phase::Unstarted | Phase::Closed => 0,
        }
    }

    /// Queues the job or fails it at once; never blocks.
    pub(super) fn submit(&self, job: Job<D>) {
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

impl<D: Driver> Clone for ConnectionPool<D> {
    fn clone(&self) -> Self {
        let handle = self.handle.clone();
        Self { handle }
    }
}

impl<D: Driver> fmt::Debug for ConnectionPool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.settings.fmt(f)
    }
}

/// What all clones of a pool share. The workers do not hold it, so its drop closes the pool.
struct Handle<D: Driver> {
    phase: RwLock<Phase<D>>,
    settings: PoolSettings,
    driver: Arc<D>,
}

enum Phase<D: Driver> {
    Unstarted,
    Running(Running<D>),
    Closed,
}

impl<D: Driver> Handle<D> {
    fn phase(&self) -> RwLockReadGuard<'_, Phase<D>> {
        self.phase.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn phase_mut(&self) -> RwLockWriteGuard<'_, Phase<D>> {
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
        self.driver.close();
    }
}

impl<D: Driver> Drop for Handle<D> {
    fn drop(&mut self) {
        self.close(self.settings.close_grace);
    }
}
