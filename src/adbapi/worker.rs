//! Owns the worker threads: take a job, get a connection, try the job, answer. Knows nothing of who submits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use postgres::CancelToken;
use r2d2::{Pool, PooledConnection};
use tracing::{error, info};

use super::LOG;
use super::connection::Failure;
use super::connector::Connector;
use super::deferred::Breaker;
use super::error::{Error, panic_message};
use super::health::Health;
use super::job::Job;

/// While PostgreSQL is there, a job that waited long for a worker still gets this long to get its connection.
const PATIENCE: Duration = Duration::from_millis(500);

/// One worker. Runs on a thread of its own until the queue is closed and empty.
pub(super) struct Worker {
    pub(super) jobs: Receiver<Job>,
    pub(super) connections: Pool<Connector>,
    pub(super) health: Arc<Health>,
    pub(super) desk: Arc<Desk>,
    pub(super) closing: Arc<AtomicBool>,
    pub(super) connect_timeout: Duration,
    pub(super) reconnect: bool,
    pub(super) noisy: bool,
}

/// What a worker has in hand, for those who must end it from outside.
#[derive(Default)]
pub(super) struct Desk(Mutex<Option<InHand>>);

#[derive(Clone)]
pub(super) struct InHand {
    pub(super) breaker: Arc<dyn Breaker>,
    /// The connection's, once the job has one.
    pub(super) cancel_token: Option<Arc<CancelToken>>,
}

impl Desk {
    fn slot(&self) -> MutexGuard<'_, Option<InHand>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn in_hand(&self) -> Option<InHand> {
        self.slot().clone()
    }

    fn put(&self, in_hand: Option<InHand>) {
        *self.slot() = in_hand;
    }
}

impl Worker {
    pub(super) fn run(self) {
        // A connection is kept from job to job while there are jobs, and goes back before the worker sleeps.
        let mut kept = None;
        loop {
            let job = match self.jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    kept = None;
                    let Ok(job) = self.jobs.recv() else { return };
                    job
                }
            };
            if self.closing.load(Ordering::Relaxed) {
                job.fail(Error::Closed);
                continue;
            }
            kept = self.work(job, kept);
            self.desk.put(None);
        }
    }

    /// Does one job, and hands back the connection if it may serve the next one.
    fn work(
        &self,
        mut job: Job,
        mut kept: Option<PooledConnection<Connector>>,
    ) -> Option<PooledConnection<Connector>> {
        let breaker = job.work.breaker();
        self.desk.put(Some(InHand {
            breaker: breaker.clone(),
            cancel_token: None,
        }));
        loop {
            let mut connection = match kept
                .take()
                .map_or_else(|| self.connection(job.submitted), Ok)
            {
                Ok(connection) => connection,
                Err(error) => {
                    job.fail(error);
                    return None;
                }
            };
            let cancel_token = Some(connection.cancel_token().clone());
            self.desk.put(Some(InHand {
                breaker: breaker.clone(),
                cancel_token,
            }));
            let attempt = catch_unwind(AssertUnwindSafe(|| job.work.attempt(&mut connection)));
            connection.last_used = Instant::now();
            if connection.is_broken() {
                self.health.lost();
            }
            let outcome = match attempt {
                Ok(Ok(())) => Ok(()),
                Ok(Err(Failure::NotSent(error))) if self.may_retry(job.submitted) => {
                    if self.noisy {
                        info!(target: LOG, "adbapi: a connection was lost before its job was sent, reconnecting: {error}");
                    }
                    continue;
                }
                Ok(Err(failure)) => Err(failure.into_error()),
                Err(panic) => {
                    connection.discard();
                    let message = panic_message(&*panic);
                    error!(target: LOG, "a job panicked, its connection is discarded: {message}");
                    Err(Error::Panicked(message))
                }
            };
            job.work.finish(outcome);
            return (!connection.is_broken()).then_some(connection);
        }
    }

    fn may_retry(&self, submitted: Instant) -> bool {
        self.reconnect && submitted.elapsed() < self.connect_timeout
    }

    /// A connection that was found in order, within the time the job has for it.
    fn connection(&self, submitted: Instant) -> Result<PooledConnection<Connector>, Error> {
        let waited = submitted.elapsed();
        let left = self.connect_timeout.saturating_sub(waited);
        let limit = if self.health.is_down() {
            left
        } else {
            left.max(PATIENCE)
        };
        self.connections
            .get_timeout(limit)
            .map_err(|_| Error::Unavailable {
                reason: self
                    .health
                    .reason()
                    .unwrap_or_else(|| "connecting takes too long".into())
                    .into(),
                waited: submitted.elapsed(),
            })
    }
}
