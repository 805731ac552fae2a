//! Owns the worker threads: take a job, get a connection, try the job, answer. Knows nothing of who
//! submits.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, TryRecvError};
use r2d2::{Pool, PooledConnection};
use tracing::{error, info};

use super::{
    health::Health,
    job::{Failure, Job, Times},
    manager::Manager,
    settings::PoolSettings,
    worker_state::WorkerState,
};
use crate::{
    LOG,
    driver::Driver,
    error::{Error, ErrorKind},
};

/// While the database is there, a job that waited long for a worker still gets this long to get its
/// connection.
const LEAST_WAIT: Duration = Duration::from_millis(500);

/// How long a worker waits for another one to wake up and take a connection. It usually takes far
/// less.
const YIELD: Duration = Duration::from_millis(10);

/// How often a worker that finds no job lets other threads run, which may submit one, before it
/// puts its connection back and sleeps. It takes longer to wake a sleeping thread on another
/// processor than to run a whole query.
const POLLS: u32 = 32;

/// The same for a worker that found its last `BACKLOG` jobs at once. The queue was long and is
/// empty now. The next jobs come late and many at a time, and until then this would only take the
/// processors from the threads that bring them.
const POLLS_AFTER_BACKLOG: u32 = 2;
const BACKLOG: u32 = 8;

/// How long a worker waits until the cancel request of a job that has ended has been sent.
pub const CANCEL_WAIT: Duration = Duration::from_secs(1);

/// A connection that a worker has from r2d2, which gets it back when this is dropped.
type Lent<D> = PooledConnection<Manager<D>>;

/// One worker. Runs on a thread of its own until the queue is closed and empty.
pub(super) struct Worker<D: Driver> {
    pub(super) jobs: Receiver<Job<D>>,
    pub(super) driver: Arc<D>,
    pub(super) connections: Pool<Manager<D>>,
    pub(super) health: Arc<Health>,
    pub(super) state: Arc<WorkerState>,
    pub(super) closing: Arc<AtomicBool>,
    /// How many workers have a job and wait for a connection.
    pub(super) connectionless: Arc<AtomicU32>,
    pub(super) settings: PoolSettings,
}

impl<D: Driver> Worker<D> {
    pub(super) fn run(self) {
        // A connection is kept from job to job while there are jobs, and goes back before the
        // worker sleeps.
        let mut kept: Option<Lent<D>> = None;
        let mut found_at_once = 0;
        loop {
            let job = match self.next_soon(&mut found_at_once) {
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
            let now = Instant::now();
            // On busy processors it may have taken long to find a job.
            kept.take_if(|connection| !connection.is_trusted(now));
            kept = self.work(job, now, kept);
            if self.connectionless.load(Ordering::Relaxed) > 0 {
                kept = None;
                self.yield_connection();
            }
        }
    }

    /// The next job if there is one now, or as soon as other threads have had a chance to run.
    /// Counts the jobs that were `found_at_once`, one after the other.
    fn next_soon(&self, found_at_once: &mut u32) -> Result<Job<D>, TryRecvError> {
        let taken = self.jobs.try_recv();
        if !matches!(taken, Err(TryRecvError::Empty)) {
            *found_at_once = found_at_once.saturating_add(1);
            return taken;
        }
        let polls = match *found_at_once {
            _ if !self.settings.wait_awake => 0,
            BACKLOG.. => POLLS_AFTER_BACKLOG,
            _ => POLLS,
        };
        *found_at_once = 0;
        for _ in 0..polls {
            thread::yield_now();
            let taken = self.jobs.try_recv();
            if !matches!(taken, Err(TryRecvError::Empty)) {
                return taken;
            }
        }
        Err(TryRecvError::Empty)
    }

    /// Does one job, and hands back the connection if it may serve the next one.
    fn work(&self, mut job: Job<D>, now: Instant, mut kept: Option<Lent<D>>) -> Option<Lent<D>> {
        let control = job.work.control();
        self.state
            .take(&control, now.saturating_duration_since(job.submitted));
        if !control.take() {
            self.state.done(control.failure());
            return kept;
        }
        let mut clock = Clock::of(&job, now);
        // At worst each connection is found dead once, and then all are new.
        let mut tries_left = self.connections.max_size();
        loop {
            let mut connection = match kept
                .take()
                .map_or_else(|| self.connection(job.submitted), Ok)
            {
                Ok(connection) => connection,
                Err(error) => {
                    self.state.done(Some(ErrorKind::from(&error)));
                    clock.connected();
                    clock.tell(&job);
                    job.fail(error);
                    return None;
                }
            };
            clock.connected();
            if !control.begin(connection.canceller()) {
                self.state.done(control.failure());
                return Some(connection);
            }
            self.state.has_connection();
            let attempt = self.attempt(&mut job, &mut connection);
            clock.attempted();
            let end = control.end();
            let outcome = match attempt {
                Err(Failure::NotSent(error))
                    if end.is_ok() && tries_left > 0 && self.may_retry(job.submitted) =>
                {
                    tries_left -= 1;
                    if self.settings.cp_noisy {
                        let reason = error.reason();
                        info!(target: LOG, "adbapi: a connection was lost before its job was sent, reconnecting: {reason}");
                    }
                    continue;
                }
                attempt => attempt.map_err(Failure::into_error),
            };
            let failure = outcome.as_ref().err().map(ErrorKind::from);
            self.state.done(end.err().or(failure));
            clock.tell(&job);
            job.work.finish(outcome);
            // The caller has its answer and does not wait for this.
            if end.is_err() {
                self.outlast_cancel(&mut connection);
            }
            connection.reset(&*self.driver);
            return connection.is_fit(&*self.driver).then_some(connection);
        }
    }

    /// Tries a job on a connection. A panic costs the connection.
    fn attempt(&self, job: &mut Job<D>, connection: &mut Lent<D>) -> Result<(), Failure> {
        self.driver.begin_job(connection, &self.state);
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            job.work.attempt(&self.driver, connection)
        }));
        self.driver.end_job(connection);
        connection.used();
        if self.driver.has_broken(connection) {
            self.health.lost();
        }
        attempt.unwrap_or_else(|panic| {
            connection.discard();
            let message = deferred::panic_message(&*panic);
            error!(target: LOG, "a job panicked, its connection is discarded: {message}");
            Err(Failure::Final(Error::Panicked(message.into())))
        })
    }

    /// Keeps the connection of a job that was stopped if no cancel request can come late and hit the
    /// next job.
    fn outlast_cancel(&self, connection: &mut Lent<D>) {
        // Without a reconnect no job could move to another connection.
        let may_be_kept = self.settings.cp_reconnect && !self.closing.load(Ordering::Relaxed);
        let is_kept = may_be_kept
            && match connection.end_cancel_requests(CANCEL_WAIT) {
                Some(0) => true,
                Some(_) => self.driver.outlasts_cancel(connection),
                None => false,
            };
        if !is_kept {
            connection.discard();
        }
    }

    fn may_retry(&self, submitted: Instant) -> bool {
        self.settings.cp_reconnect && submitted.elapsed() < self.settings.connect_timeout
    }

    /// Lets a waiting worker take the connection that this one has just put back. There may be no
    /// other for it: if the database grants fewer connections than there are workers, the workers
    /// that have one would otherwise keep it for ever.
    fn yield_connection(&self) {
        let connectionless = self.connectionless.load(Ordering::Relaxed);
        let end = Instant::now() + YIELD;
        while self.connectionless.load(Ordering::Relaxed) >= connectionless && Instant::now() < end
        {
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Gets a connection that has passed its check, within the time that the job has for it.
    fn connection(&self, submitted: Instant) -> Result<Lent<D>, Error> {
        // Only a worker that finds no idle connection counts as waiting.
        if let Some(connection) = self.connections.try_get() {
            return Ok(connection);
        }
        let waited = submitted.elapsed();
        let left = self.settings.connect_timeout.saturating_sub(waited);
        let limit = if self.health.is_down() {
            left
        } else {
            left.max(LEAST_WAIT)
        };
        self.connectionless.fetch_add(1, Ordering::Relaxed);
        let connection = self.connections.get_timeout(limit);
        self.connectionless.fetch_sub(1, Ordering::Relaxed);
        connection.map_err(|_| {
            let waited = submitted.elapsed();
            let reason = self.health.reason().unwrap_or_else(|| {
                // The jobs behind this one need not wait to find that out again.
                let reason = self.driver.silence();
                self.health.refused(&reason);
                reason
            });
            let reason = reason.into();
            Error::Unavailable { reason, waited }
        })
    }
}

/// Sees what the time of a job goes into that wants to know it.
struct Clock(Option<Running>);

struct Running {
    times: Times,
    since: Instant,
}

impl Clock {
    fn of<D: Driver>(job: &Job<D>, now: Instant) -> Self {
        Self(job.work.is_timed().then(|| Running {
            times: Times {
                waited: now.saturating_duration_since(job.submitted),
                ..Times::default()
            },
            since: now,
        }))
    }

    /// Since the last moment it was waited for a connection.
    fn connected(&mut self) {
        self.pass(|times| &mut times.connecting);
    }

    /// Since the last moment the job ran.
    fn attempted(&mut self) {
        self.pass(|times| &mut times.database);
    }

    fn pass(&mut self, to: impl FnOnce(&mut Times) -> &mut Duration) {
        if let Some(Running { times, since }) = &mut self.0 {
            let now = Instant::now();
            *to(times) += now.saturating_duration_since(*since);
            *since = now;
        }
    }

    fn tell<D: Driver>(&self, job: &Job<D>) {
        if let Some(running) = &self.0 {
            job.work.note(running.times);
        }
    }
}
