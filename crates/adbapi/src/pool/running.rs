//! Owns the moving parts of a pool that was started: threads, queue, connections. Starts and ends
//! them.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use sql::Stats;
use tracing::warn;

use super::{
    cancel::Command,
    health::Health,
    job::Job,
    manager::{AlreadyLogged, Manager, Release},
    settings::PoolSettings,
    watchdog::{QueueDeadlines, Watchdog},
    worker::Worker,
    worker_state::WorkerState,
};
use crate::{LOG, driver::Driver, error::Error};

/// r2d2 makes the pause between attempts to connect grow up to half of its connection timeout. One
/// second keeps the first success within half a second of the database's return. What a job waits
/// is our own `connect_timeout`.
const R2D2_TIMEOUT: Duration = Duration::from_secs(1);
/// How long statements that were cancelled at the end of a close have to stop.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// How many cancel requests may wait to be sent.
const COMMANDS: usize = 1024;

/// The moving parts of a pool that was started.
pub(super) struct Running<D: Driver> {
    jobs: Sender<Job<D>>,
    /// The workers' end of the queue: the close answers the jobs that are left in it.
    unworked: Receiver<Job<D>>,
    /// The jobs in the queue, if there is a limit to their wait.
    queue_deadlines: Option<Arc<QueueDeadlines>>,
    closing: Arc<AtomicBool>,
    states: Vec<Arc<WorkerState>>,
    workers: Vec<JoinHandle<()>>,
    alive: Arc<LiveWorkers>,
    commands: Sender<Command>,
    watchdog: JoinHandle<()>,
    connections: r2d2::Pool<Manager<D>>,
    health: Arc<Health>,
    /// How many jobs found the queue full.
    refused: AtomicU64,
}

impl<D: Driver> Running<D> {
    pub(super) fn start(settings: &PoolSettings, driver: &Arc<D>) -> Result<Self, Error> {
        let health = Arc::new(Health::new(settings.subject().to_owned(), D::DATABASE));
        let (commands, watchdog_commands) = bounded(COMMANDS);
        let connections = connections(settings, driver, &health, &commands);
        let (jobs, unworked) = bounded(settings.queue_limit);
        let closing = Arc::new(AtomicBool::new(false));
        let connectionless = Arc::new(AtomicU32::new(0));
        let alive = Arc::new(LiveWorkers::default());
        let states: Vec<Arc<WorkerState>> = (0..settings.cp_max).map(|_| Arc::default()).collect();
        let mut workers = Vec::new();
        for (number, state) in (1..).zip(&states) {
            let worker = Worker {
                jobs: unworked.clone(),
                driver: driver.clone(),
                connections: connections.clone(),
                health: health.clone(),
                state: state.clone(),
                closing: closing.clone(),
                connectionless: connectionless.clone(),
                settings: settings.clone(),
            };
            let live = LiveWorker::begin(&alive);
            workers.push(spawn(format!("db-worker-{number}"), move || {
                let _live = live;
                worker.run();
            })?);
        }
        let queue_deadlines = settings
            .queue_timeout
            .map(QueueDeadlines::new)
            .map(Arc::new);
        let watchdog = Watchdog {
            commands: watchdog_commands,
            states: states.clone(),
            statement_timeout: settings.statement_timeout,
            queue_deadlines: queue_deadlines.clone(),
        };
        let watchdog = spawn("db-watch".into(), move || watchdog.run())?;
        Ok(Self {
            jobs,
            unworked,
            queue_deadlines,
            closing,
            states,
            workers,
            alive,
            commands,
            watchdog,
            connections,
            health,
            refused: AtomicU64::new(0),
        })
    }

    pub(super) fn queue(&self, job: Job<D>) -> Result<(), TrySendError<Job<D>>> {
        let deadline =
            (self.queue_deadlines.as_ref()).map(|queue| (queue, job.submitted, job.work.control()));
        let queued = self.jobs.try_send(job);
        if matches!(queued, Err(TrySendError::Full(_))) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        queued?;
        if let Some((queue, submitted, job)) = deadline {
            queue.add(submitted, job);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn put_back(&self) -> u32 {
        self.connections.state().idle_connections
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        // No worker takes a job or has done with one while all states are held.
        WorkerState::survey(&self.states, &mut stats, |stats| {
            let connections = self.connections.state().connections;
            stats.connections = connections.max(stats.busy);
            stats.idle = stats.connections - stats.busy;
            stats.waiting = self.jobs.len();
            stats.errors.queue_full = self.refused.load(Ordering::Relaxed);
            self.health.report(stats);
        });
        stats
    }

    pub(super) fn close(self, grace: Duration) {
        let Self {
            jobs,
            unworked,
            closing,
            states,
            workers,
            alive,
            commands,
            watchdog,
            connections,
            ..
        } = self;
        drop(connections);
        closing.store(true, Ordering::Relaxed);
        drop(jobs);
        for job in unworked.try_iter() {
            job.fail(Error::Closed);
        }
        drop(unworked);
        // A job or a callback may drop the last handle of its own pool. A thread can't wait for
        // itself.
        let here = thread::current().id();
        let own = usize::from(workers.iter().any(|worker| worker.thread().id() == here));
        let mut ended = alive.wait_until_at_most(own, grace);
        if !ended {
            states.iter().for_each(|state| state.stop(Error::Closed));
            ended = alive.wait_until_at_most(own, CANCEL_GRACE);
        }
        let _ = commands.send_timeout(Command::End, CANCEL_GRACE);
        if !ended {
            // Joining would hang the caller for as long as the closure or the server does.
            warn!(target: LOG, "the pool closed while {} jobs would not end", alive.count() - own);
            return;
        }
        for thread in workers.into_iter().chain([watchdog]) {
            if thread.thread().id() != here {
                let _ = thread.join();
            }
        }
    }
}

/// The connections, as r2d2 keeps them.
fn connections<D: Driver>(
    settings: &PoolSettings,
    driver: &Arc<D>,
    health: &Arc<Health>,
    commands: &Sender<Command>,
) -> r2d2::Pool<Manager<D>> {
    r2d2::Pool::builder()
        .max_size(settings.cp_max)
        .min_idle(Some(settings.cp_min))
        .connection_timeout(R2D2_TIMEOUT)
        .idle_timeout(settings.idle_timeout)
        // `Manager` ends connections at their `max_lifetime`, some a bit earlier than others.
        .max_lifetime(None)
        .connection_customizer(Box::new(Release(driver.clone())))
        .error_handler(Box::new(AlreadyLogged))
        .build_unchecked(Manager {
            driver: driver.clone(),
            settings: settings.clone(),
            health: health.clone(),
            commands: commands.clone(),
        })
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let fault = format!("the system gives no thread for {name}");
    let thread = thread::Builder::new().name(name).spawn(run);
    thread.map_err(|error| Error::Config(format!("{fault}: {error}").into()))
}

/// Counts the workers that live, to wait until they have ended: joining a thread has no time limit.
#[derive(Default)]
struct LiveWorkers {
    workers: Mutex<usize>,
    changed: Condvar,
}

impl LiveWorkers {
    fn count(&self) -> usize {
        *self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, by: isize) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        *workers = workers.saturating_add_signed(by);
        self.changed.notify_all();
    }

    /// Whether at most `rest` workers were left before `limit` had passed.
    fn wait_until_at_most(&self, rest: usize, limit: Duration) -> bool {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(workers, limit, |workers| *workers > rest);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Counts one worker in [`LiveWorkers`] until its thread ends, in whatever way.
struct LiveWorker(Arc<LiveWorkers>);

impl LiveWorker {
    fn begin(alive: &Arc<LiveWorkers>) -> Self {
        alive.change(1);
        Self(alive.clone())
    }
}

impl Drop for LiveWorker {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}
