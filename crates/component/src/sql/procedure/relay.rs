//! Owns a result that several jobs after each other come to: cancelling it cancels the job of the
//! moment. Must not know what the jobs are.

use std::sync::Arc;

use deferred::{CancelHandle, Control, Interrupt};

use super::super::super::{Deferred, Error, Promise, deferred};

/// The duty to give the result.
pub(super) struct Relay<T: Send + 'static> {
    promise: Promise<T>,
}

impl<T: Send + 'static> Relay<T> {
    pub(super) fn new() -> (Self, Deferred<T>) {
        let (promise, deferred) = deferred();
        (Self { promise }, deferred)
    }

    /// Whether the result is there already, because somebody has cancelled it.
    pub(super) fn is_over(&self) -> bool {
        !self.promise.control().take()
    }

    /// The job that is to be cancelled with the result.
    pub(super) fn interrupts(&self, job: CancelHandle) {
        let current: Arc<dyn Interrupt<Error>> = Arc::new(Current(job.clone()));
        if !self.promise.control().begin(&current) {
            job.cancel();
        }
    }

    pub(super) fn resolve(self, result: Result<T, Error>) {
        self.promise.resolve(result);
    }
}

struct Current(CancelHandle);

impl Interrupt<Error> for Current {
    fn interrupt(&self, result: Arc<dyn Control<Error>>) {
        // Without a result yet, it is to have the one of the job at its end.
        if result.take() {
            self.0.cancel_on_end();
        } else {
            self.0.cancel();
        }
    }
}
