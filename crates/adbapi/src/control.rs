//! Owns the ways to end a job from outside, whatever the type of its result; knows nothing of databases.

use std::fmt;
use std::sync::Arc;

use super::error::Error;
use super::stats::ErrorKind;

/// A job as those see it who may end it: its callers, the watch over its time limits, the close of the pool.
pub(super) trait Control: Send + Sync {
    /// A worker takes the job from the queue. False if it has its result already: skip it.
    fn take(&self) -> bool;

    /// The worker is about to run the job, which `interrupt` can stop. False as for [`take`](Self::take).
    fn begin(&self, interrupt: &Arc<dyn Interrupt>) -> bool;

    /// The worker has done with the job. `Err` if it was interrupted, and a cancel request may still be on its way.
    fn end(&self) -> Result<(), ErrorKind>;

    /// What the job failed with from outside, if it did.
    fn failure(&self) -> Option<ErrorKind>;

    /// Fails the job and interrupts it if it runs. Nothing happens if it has its result already.
    fn stop(self: Arc<Self>, error: Error);

    /// Cancels the job. One that runs fails only when its worker has done with it, or when something else fails it.
    fn wind_up(self: Arc<Self>);

    /// Fails the job if no worker has taken it.
    fn expire(&self, error: Error);

    /// How far the job is.
    fn stage(&self) -> Stage;
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    /// A worker has it.
    Taken,
    /// A worker runs it, but what it comes to is an error from outside.
    Interrupted,
    Over,
}

/// Stops what a worker does for a job. Must not block.
pub(super) trait Interrupt: Send + Sync {
    fn interrupt(&self, job: Arc<dyn Control>);
}

/// Cancels the job behind a [`Deferred`](super::Deferred), from any thread and also after the Deferred was consumed.
#[derive(Clone)]
pub struct CancelHandle(pub(super) Arc<dyn Control>);

impl CancelHandle {
    /// Fires the Deferred with [`Error::Cancelled`], on this thread, unless it has fired. A job that waits will not
    /// run; of one that runs the statement is stopped in PostgreSQL (by a cancel request, within milliseconds) and the
    /// transaction is rolled back. Of a single statement it is then unknown whether it took effect.
    ///
    /// Does not block.
    pub fn cancel(&self) {
        self.0.clone().stop(Error::Cancelled);
    }

    /// The same, but of a job that runs the Deferred fires when its worker is free again, or a time limit of the pool
    /// ends the wait: for who counts the workers that his jobs hold.
    ///
    /// Does not block.
    pub fn wind_up(&self) {
        self.0.clone().wind_up();
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelHandle")
            .field(&self.0.stage())
            .finish()
    }
}
