//! Owns what a worker has in hand, as those see it who look after the worker from outside. Knows no connection and does
//! no job.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deferred::Stage;

use super::aliases::JobControl;
use super::error::Error;
use super::stats::{ErrorKind, Stats, Tally};
/// What a worker has in hand.
#[derive(Default)]
pub(super) struct Desk(Mutex<InHand>);

#[derive(Default)]
struct InHand {
    job: Option<JobControl>,
    has_connection: bool,
    /// When the statement was sent to which PostgreSQL has not answered yet. Only kept for a `statement_timeout`.
    statement_since: Option<Instant>,
    tally: Tally,
}

impl Desk {
    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self, job: &JobControl, waited: Duration) {
        let mut in_hand = self.in_hand();
        in_hand.job = Some(job.clone());
        in_hand.tally.longest_wait = in_hand.tally.longest_wait.max(waited);
    }

    pub(super) fn has_connection(&self) {
        self.in_hand().has_connection = true;
    }

    pub(super) fn done(&self, failure: Option<ErrorKind>) {
        let mut in_hand = self.in_hand();
        (in_hand.job, in_hand.has_connection) = (None, false);
        // A panic may have kept a statement from ending.
        in_hand.statement_since = None;
        in_hand.tally.count(failure);
    }

    /// A statement was found prepared, or not.
    pub(super) fn statement_looked_up(&self, found: bool) {
        let tally = &mut self.in_hand().tally;
        *(if found {
            &mut tally.statement_hits
        } else {
            &mut tally.statement_misses
        }) += 1;
    }

    /// Adds what is on all `desks` at one moment; `meanwhile` runs in that moment.
    pub(super) fn survey(
        desks: &[Arc<Self>],
        stats: &mut Stats,
        meanwhile: impl FnOnce(&mut Stats),
    ) {
        let surveyed: Vec<_> = desks.iter().map(|desk| desk.in_hand()).collect();
        for in_hand in &surveyed {
            stats.running += u32::from(in_hand.job.is_some());
            stats.busy += u32::from(in_hand.has_connection);
            stats.add(&in_hand.tally);
        }
        meanwhile(stats);
    }

    /// How many jobs the worker has done, and whether it is at another.
    pub(super) fn progress(&self) -> (u64, bool) {
        let in_hand = self.in_hand();
        (in_hand.tally.jobs, in_hand.job.is_some())
    }

    pub(super) fn statement_begins(&self) {
        self.in_hand().statement_since = Some(Instant::now());
    }

    pub(super) fn statement_ends(&self) {
        self.in_hand().statement_since = None;
    }

    pub(super) fn statement_since(&self) -> Option<Instant> {
        self.in_hand().statement_since
    }

    /// The job in hand, if PostgreSQL owes it an answer since this moment or longer. It is given once for a statement.
    pub(super) fn overdue(&self, since: Instant) -> Option<JobControl> {
        let mut in_hand = self.in_hand();
        in_hand.statement_since.take_if(|began| *began <= since)?;
        in_hand.job.clone()
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.in_hand()
            .job
            .as_ref()
            .is_some_and(|job| job.stage() == Stage::Interrupted)
    }

    /// Fails the job in hand, if there is one, and stops what it does.
    pub(super) fn stop(&self, error: Error) {
        let job = self.in_hand().job.clone();
        if let Some(job) = job {
            job.stop(error);
        }
    }
}
