//! Owns the ways to run a job and to end it from outside, whatever the type of its result; knows
//! nothing of databases.

use std::{fmt, sync::Arc};

use super::failure::Failure;

/// A job as those see it who may cancel it, whatever its result and its error are. The methods may
/// be called at any time, from any thread, and do not block.
pub trait Cancel: Send + Sync {
    /// Fails the job with [`Failure::cancelled`] and interrupts it if it runs. Nothing happens if
    /// it has its result already.
    fn cancel(self: Arc<Self>);

    /// Cancels the job. One that runs fails only when its worker has finished it, or when something
    /// else fails it.
    fn cancel_on_end(self: Arc<Self>);

    /// How far the job is.
    fn stage(&self) -> Stage;
}

/// A job's state, shared by whoever runs it and whoever may end it: its caller, a time limit, a
/// shutdown.
///
/// Whoever runs the job calls [`take`](Self::take), [`begin`](Self::begin) and [`end`](Self::end),
/// in this order. The other methods may be called at any time, from any thread. None of them
/// blocks.
pub trait Control<E: Failure>: Cancel {
    /// A worker takes the job from the queue. False if it has its result already: skip it.
    fn take(&self) -> bool;

    /// The worker is about to run the job, which `interrupt` can stop. False as for
    /// [`take`](Self::take).
    fn begin(&self, interrupt: &Arc<dyn Interrupt<E>>) -> bool;

    /// The worker has finished the job. `Err` if it was interrupted; the interrupt may still be on
    /// its way.
    fn end(&self) -> Result<(), E::Kind>;

    /// The kind of the error by which the job was failed from outside, if it was.
    fn failure(&self) -> Option<E::Kind>;

    /// Fails the job and interrupts it if it runs. Nothing happens if it has its result already.
    fn stop(self: Arc<Self>, error: E);

    /// Fails the job if no worker has taken it.
    fn expire(&self, error: E);
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has taken it.
    Waiting,
    /// A worker has it.
    Taken,
    /// A worker runs it, but its result is an error from outside.
    Interrupted,
    /// Its worker has finished it.
    Over,
}

/// Stops what a worker does for a job. Must not block.
pub trait Interrupt<E: Failure>: Send + Sync {
    /// Stops what runs for this job.
    fn interrupt(&self, job: Arc<dyn Control<E>>);
}

/// Cancels the job behind a [`Deferred`](super::Deferred), from any thread and also after the
/// Deferred was consumed.
#[derive(Clone)]
pub struct CancelHandle(pub(super) Arc<dyn Cancel>);

impl CancelHandle {
    /// Fires the Deferred with [`Failure::cancelled`], on this thread, unless it has fired. A job
    /// that waits will not run. One that runs is [interrupted](Interrupt); whether it took effect
    /// is then unknown.
    ///
    /// Does not block.
    pub fn cancel(&self) {
        self.0.clone().cancel();
    }

    /// The same, but the Deferred of a job that runs fires when its worker is free again, or when a
    /// time limit ends the wait. For callers that count the workers their jobs hold.
    ///
    /// Does not block.
    pub fn cancel_on_end(&self) {
        self.0.clone().cancel_on_end();
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelHandle")
            .field(&self.0.stage())
            .finish()
    }
}
