//! Owns the thread that keeps the time limits and sends the cancel requests, so that callers and
//! workers need not. Knows only the control of a job.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use deferred::Stage;

use super::{
    cancel::{CancelRequest, Command, Senders},
    worker_state::WorkerState,
};
use crate::{aliases::JobControl, error::Error};

/// The database ends a statement at the `statement_timeout` itself, if it can. Without an answer
/// this much later it is frozen or gone, and the job is answered here.
const MARGIN: Duration = Duration::from_millis(500);

pub(super) struct Watchdog {
    pub(super) commands: Receiver<Command>,
    pub(super) states: Vec<Arc<WorkerState>>,
    pub(super) statement_timeout: Option<Duration>,
    pub(super) queue_deadlines: Option<Arc<QueueDeadlines>>,
}

impl Watchdog {
    pub(super) fn run(self) {
        let mut requests: Vec<CancelRequest> = Vec::new();
        let senders = Senders::default();
        loop {
            let command = match self.next_deadline(&requests) {
                Some(deadline) => self.commands.recv_deadline(deadline),
                None => self
                    .commands
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
            };
            let now = Instant::now();
            match command {
                Ok(Command::Stop(request)) => requests.push(request),
                Ok(Command::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.end_overdue_statements(now);
            if let Some(queue) = &self.queue_deadlines {
                queue.end_overdue(now);
            }
            requests.retain(|request| request.job.stage() != Stage::Over);
            for request in requests.iter_mut().filter(|request| request.due <= now) {
                request.send(&senders, self.states.len());
            }
        }
    }

    /// When to look again. A statement or a job that begins while this thread sleeps is due a whole
    /// time limit later, so a look after one time limit misses nothing.
    fn next_deadline(&self, requests: &[CancelRequest]) -> Option<Instant> {
        let now = Instant::now();
        let statements = self.statement_timeout.map(|limit| {
            let oldest = self
                .states
                .iter()
                .filter_map(|state| state.statement_since())
                .min();
            oldest.unwrap_or(now) + limit + MARGIN
        });
        let queue = self
            .queue_deadlines
            .as_ref()
            .map(|queue| queue.next_deadline(now));
        let requests = requests.iter().map(|request| request.due).min();
        [statements, queue, requests].into_iter().flatten().min()
    }

    fn end_overdue_statements(&self, now: Instant) {
        let Some(limit) = self.statement_timeout else {
            return;
        };
        let Some(since) = now.checked_sub(limit + MARGIN) else {
            return;
        };
        for job in self.states.iter().filter_map(|state| state.overdue(since)) {
            job.stop(Error::Timeout { limit });
        }
    }
}

/// The jobs in the queue, oldest first, for their `queue_timeout`: the channel does not show them.
pub(super) struct QueueDeadlines {
    limit: Duration,
    jobs: Mutex<VecDeque<(Instant, JobControl)>>,
}

impl QueueDeadlines {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            jobs: Mutex::default(),
        }
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<(Instant, JobControl)>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // Workers take jobs in this order, so what is not waiting any more is at the front.
        while jobs
            .front()
            .is_some_and(|(_, job)| job.stage() != Stage::Waiting)
        {
            jobs.pop_front();
        }
        jobs
    }

    pub(super) fn add(&self, submitted: Instant, job: JobControl) {
        self.jobs().push_back((submitted, job));
    }

    fn next_deadline(&self, now: Instant) -> Instant {
        self.jobs().front().map_or(now, |(submitted, _)| *submitted) + self.limit
    }

    fn end_overdue(&self, now: Instant) {
        loop {
            let mut jobs = self.jobs();
            let Some((submitted, _)) = jobs.front() else {
                return;
            };
            if *submitted + self.limit > now {
                return;
            }
            let (_, job) = jobs.pop_front().expect("the front was just looked at");
            // A callback runs here, and may submit the next job.
            drop(jobs);
            job.expire(Error::QueueTimeout { limit: self.limit });
        }
    }
}
