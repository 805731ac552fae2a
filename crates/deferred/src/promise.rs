//! Owns the two ends of a result that will come; knows nothing of who runs the job.

use std::{
    fmt, mem,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{
    control::{Cancel, CancelHandle, Control},
    failure::Failure,
    shared::{ResultState, Shared, call},
};

/// Makes a result that will come: the promise to give it and the deferred to receive it.
pub fn deferred<T: Send + 'static, E: Failure>() -> (Promise<T, E>, Deferred<T, E>) {
    let shared = Arc::new(Shared::new(ResultState::Pending));
    let promise = Promise {
        shared: Some(shared.clone()),
    };
    (promise, Deferred { shared, job: None })
}

/// A result that will come (Twisted's `Deferred`), exactly once: a value or an error.
///
/// Consume it by [`wait`](Self::wait) on a thread that may block or by
/// [`on_result`](Self::on_result) on one that may not. Dropping it drops the result; the job still
/// runs.
#[must_use = "the job runs, but nobody will see its result or its error"]
pub struct Deferred<T, E: Failure> {
    shared: Arc<Shared<T, E>>,
    /// The job behind this, if it is another one's: [`Deferred::and_then`] makes such a deferred.
    job: Option<Arc<dyn Cancel>>,
}

impl<T: Send + 'static, E: Failure> Deferred<T, E> {
    /// A deferred that has its result already (Twisted's `succeed` and `fail`).
    pub fn ready(result: Result<T, E>) -> Self {
        Self {
            shared: Arc::new(Shared::new(ResultState::Fired(result))),
            job: None,
        }
    }

    /// Cancels the job and fires this with [`Failure::cancelled`]; see [`CancelHandle::cancel`].
    pub fn cancel(&self) {
        self.cancel_handle().cancel();
    }

    /// A way to cancel the job after this Deferred was consumed, and from elsewhere.
    pub fn cancel_handle(&self) -> CancelHandle {
        let job = self.job.clone();
        CancelHandle(job.unwrap_or_else(|| self.shared.clone()))
    }

    /// Waits for the result.
    ///
    /// # Blocking
    /// Blocks the calling thread until the result is there. Must not be called on a thread that
    /// runs jobs, such as in a callback: if all of them waited, none would work.
    ///
    /// # Errors
    /// The error the deferred fires with.
    pub fn wait(self) -> Result<T, E> {
        let mut state = self.shared.lock();
        loop {
            if let ResultState::Fired(result) = mem::replace(&mut state.result, ResultState::Done) {
                return result;
            }
            state.result = ResultState::Awaited;
            state = self
                .shared
                .fired
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the result for at most `timeout`, and hands the deferred back if it is not there
    /// by then.
    ///
    /// # Blocking
    /// As [`wait`](Self::wait), for at most `timeout`.
    ///
    /// # Errors
    /// The deferred itself, unfired; the job goes on.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<T, E>, Self> {
        let end = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if let ResultState::Fired(result) = mem::replace(&mut state.result, ResultState::Done) {
                return Ok(result);
            }
            state.result = ResultState::Awaited;
            let Some(left) = end
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())
            else {
                state.result = ResultState::Pending;
                drop(state);
                return Err(self);
            };
            let waited = self.shared.fired.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Calls `callback` with the result: at once on the calling thread if it is there, else on the
    /// thread that brings it.
    ///
    /// # Blocking
    /// The callback must not block: it would hold up the thread that runs jobs.
    ///
    /// # Panics
    /// A panic in the callback is caught and logged.
    pub fn on_result(self, callback: impl FnOnce(Result<T, E>) + Send + 'static) {
        let mut state = self.shared.lock();
        match mem::replace(&mut state.result, ResultState::Done) {
            ResultState::Fired(result) => {
                drop(state);
                call(callback, result);
            }
            ResultState::Pending
            | ResultState::Awaited
            | ResultState::Callback(_)
            | ResultState::Done => {
                state.result = ResultState::Callback(Box::new(callback));
            }
        }
    }

    /// A deferred for what `f` makes of the value (Twisted's `addCallback`). `f` is not called for
    /// an error.
    pub fn map<U: Send + 'static>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Deferred<U, E> {
        self.and_then(|value| Ok(f(value)))
    }

    /// As [`map`](Self::map), for an `f` that may fail.
    pub fn and_then<U, F>(self, f: F) -> Deferred<U, E>
    where
        U: Send + 'static,
        F: FnOnce(T) -> Result<U, E> + Send + 'static,
    {
        self.map_result(|result| result.and_then(f))
    }

    /// A deferred for what `f` makes of the result, be it a value or an error (Twisted's
    /// `addBoth`). Its error may be of another type.
    pub fn map_result<U, F, D>(self, f: F) -> Deferred<U, D>
    where
        U: Send + 'static,
        F: FnOnce(Result<T, E>) -> Result<U, D> + Send + 'static,
        D: Failure,
    {
        let (promise, mut deferred) = deferred();
        deferred.job = Some(self.cancel_handle().0);
        self.on_result(move |result| promise.resolve(f(result)));
        deferred
    }
}

impl<T, E: Failure> fmt::Debug for Deferred<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fired = matches!(self.shared.lock().result, ResultState::Fired(_));
        f.debug_struct("Deferred")
            .field("fired", &fired)
            .finish_non_exhaustive()
    }
}

/// The end that gives the result. If it is dropped without one, the [`Deferred`] fires with
/// [`Failure::dropped`], or with [`Failure::panicked`] if a panic dropped it.
pub struct Promise<T: Send + 'static, E: Failure> {
    /// `None` once it is resolved.
    shared: Option<Arc<Shared<T, E>>>,
}

impl<T: Send + 'static, E: Failure> Promise<T, E> {
    /// Fires the deferred. Its callback runs now, on this thread.
    pub fn resolve(mut self, result: Result<T, E>) {
        if let Some(shared) = self.shared.take() {
            shared.fire(result);
        }
    }

    /// The handle by which the job is run and can be ended from outside. The first result wins.
    ///
    /// # Panics
    /// Never: a promise that was resolved is gone.
    pub fn control(&self) -> Arc<dyn Control<E>> {
        self.shared
            .clone()
            .expect("a promise that was not resolved has it")
    }
}

impl<T: Send + 'static, E: Failure> Drop for Promise<T, E> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            let error = if std::thread::panicking() {
                E::panicked("in a callback")
            } else {
                E::dropped()
            };
            shared.fire(Err(error));
        }
    }
}

impl<T: Send + 'static, E: Failure> fmt::Debug for Promise<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").finish_non_exhaustive()
    }
}
