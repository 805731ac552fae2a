//! Owns the state of one worker that other threads may ask for: its job, its statement, its
//! figures. Knows no connection and does no job.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use deferred::Stage;
use sql::Stats;

use crate::{
    aliases::JobControl,
    error::{Error, ErrorKind},
    tally::Tally,
};

/// The state of the worker that runs a job, for the [`Driver`](crate::Driver) whose connection the
/// job has.
#[derive(Default)]
pub struct WorkerState(Mutex<Current>);

#[derive(Default)]
struct Current {
    job: Option<JobControl>,
    has_connection: bool,
    /// When the statement began that has no answer yet. Only kept for a `statement_timeout`.
    statement_since: Option<Instant>,
    tally: Tally,
}

impl WorkerState {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, job: &JobControl, waited: Duration) {
        let mut current = self.current();
        current.job = Some(job.clone());
        current.tally.longest_wait = current.tally.longest_wait.max(waited);
    }

    pub(crate) fn has_connection(&self) {
        self.current().has_connection = true;
    }

    pub(crate) fn done(&self, failure: Option<ErrorKind>) {
        let mut current = self.current();
        (current.job, current.has_connection) = (None, false);
        // A panic may have kept a statement from ending.
        current.statement_since = None;
        current.tally.count(failure);
    }

    /// A statement was found prepared, or not: counted in the pool's statistics.
    pub fn statement_looked_up(&self, found: bool) {
        let tally = &mut self.current().tally;
        *(if found {
            &mut tally.statement_hits
        } else {
            &mut tally.statement_misses
        }) += 1;
    }

    /// Adds all `states` as they are at one moment; `meanwhile` runs in that moment.
    pub(crate) fn survey(
        states: &[Arc<Self>],
        stats: &mut Stats,
        meanwhile: impl FnOnce(&mut Stats),
    ) {
        let surveyed: Vec<_> = states.iter().map(|state| state.current()).collect();
        for current in &surveyed {
            stats.running += u32::from(current.job.is_some());
            stats.busy += u32::from(current.has_connection);
            current.tally.add_to(stats);
        }
        meanwhile(stats);
    }

    /// A statement is sent: its `statement_timeout` begins.
    pub fn statement_begins(&self) {
        self.current().statement_since = Some(Instant::now());
    }

    /// The statement is answered.
    pub fn statement_ends(&self) {
        self.current().statement_since = None;
    }

    pub(crate) fn statement_since(&self) -> Option<Instant> {
        self.current().statement_since
    }

    /// The worker's job, if its statement began at `since` or earlier and has no answer yet. Gives
    /// it once for each statement.
    pub(crate) fn overdue(&self, since: Instant) -> Option<JobControl> {
        let mut current = self.current();
        current.statement_since.take_if(|began| *began <= since)?;
        current.job.clone()
    }

    /// Whether the job was cancelled, or ran into a time limit, so that its next statement would be
    /// for nobody.
    pub fn is_interrupted(&self) -> bool {
        self.current()
            .job
            .as_ref()
            .is_some_and(|job| job.stage() == Stage::Interrupted)
    }

    /// Fails the worker's job, if there is one, and stops its statement.
    pub(crate) fn stop(&self, error: Error) {
        let job = self.current().job.clone();
        if let Some(job) = job {
            job.stop(error);
        }
    }
}

impl fmt::Debug for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerState").finish_non_exhaustive()
    }
}
