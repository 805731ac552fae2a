//! Owns how one result travels from the thread that has it to the one that wants it, and the ways
//! to end the job behind it; knows nothing of databases. Uses nothing but std.
//!
//! A job has a [`Promise`], whoever wants its result a [`Deferred`], as in Twisted. Whoever runs
//! jobs for others drives them by [`Promise::control`]: see [`Control`].
//!
//! ```
//! use deferred::{Failure, deferred};
//!
//! #[derive(Debug)]
//! struct Error(String);
//!
//! impl Failure for Error {
//!     type Kind = ();
//!     fn cancelled() -> Self {
//!         Self("cancelled".to_owned())
//!     }
//!     fn dropped() -> Self {
//!         Self("nobody gave a result".to_owned())
//!     }
//!     fn panicked(message: &str) -> Self {
//!         Self(format!("panicked: {message}"))
//!     }
//!     fn kind(&self) {}
//!     fn callback_panicked(_: &str) {}
//! }
//!
//! let (promise, later) = deferred::<i32, Error>();
//! std::thread::spawn(move || promise.resolve(Ok(41)));
//! assert_eq!(later.map(|n| n + 1).wait().expect("a number"), 42);
//! ```

mod control;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub use control::{Cancel, CancelHandle, Control, Interrupt, Stage};

/// An error type that a [`Deferred`] can fire with.
pub trait Failure: Send + Sized + 'static {
    /// The error without its details, for counting.
    type Kind: Copy + Send;

    /// The job was cancelled.
    fn cancelled() -> Self;

    /// The promise was dropped without a result.
    fn dropped() -> Self;

    /// A panic dropped the promise.
    fn panicked(message: &str) -> Self;

    /// What kind of error this is.
    fn kind(&self) -> Self::Kind;

    /// A callback of [`Deferred::on_result`] has panicked with this message: log it. Nobody else
    /// can be told.
    fn callback_panicked(message: &str);
}

/// Makes a result that will come: the promise to give it and the deferred to receive it.
pub fn deferred<T: Send + 'static, E: Failure>() -> (Promise<T, E>, Deferred<T, E>) {
    let cell = Arc::new(Cell::new(State::Pending));
    let promise = Promise {
        cell: Some(cell.clone()),
    };
    (promise, Deferred { cell, job: None })
}

/// A result that will come (Twisted's `Deferred`), exactly once: a value or an error.
///
/// Consume it by [`wait`](Self::wait) on a thread that may block or by
/// [`on_result`](Self::on_result) on one that may not. Dropping it drops the result; the job still
/// runs.
#[must_use = "the job runs, but nobody will see its result or its error"]
pub struct Deferred<T, E: Failure> {
    cell: Arc<Cell<T, E>>,
    /// The job, if this is for what becomes of its result.
    job: Option<Arc<dyn Cancel>>,
}

impl<T: Send + 'static, E: Failure> Deferred<T, E> {
    /// A deferred that has its result already (Twisted's `succeed` and `fail`).
    pub fn ready(result: Result<T, E>) -> Self {
        Self {
            cell: Arc::new(Cell::new(State::Fired(result))),
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
        CancelHandle(job.unwrap_or_else(|| self.cell.clone()))
    }

    /// Waits for the result.
    ///
    /// # Blocking
    /// Blocks the calling thread until the result is there. Must not be called on a worker of the
    /// pool that is to give the result (from a callback or from inside an interaction): with all
    /// workers waiting none would work.
    ///
    /// # Errors
    /// The error the deferred fires with.
    pub fn wait(self) -> Result<T, E> {
        let mut slot = self.cell.lock();
        loop {
            if let State::Fired(result) = mem::replace(&mut slot.result, State::Done) {
                return result;
            }
            slot.result = State::Awaited;
            slot = self
                .cell
                .fired
                .wait(slot)
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
        let mut slot = self.cell.lock();
        loop {
            if let State::Fired(result) = mem::replace(&mut slot.result, State::Done) {
                return Ok(result);
            }
            slot.result = State::Awaited;
            let Some(left) = end
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())
            else {
                slot.result = State::Pending;
                drop(slot);
                return Err(self);
            };
            let waited = self.cell.fired.wait_timeout(slot, left);
            slot = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Calls `callback` with the result: at once on the calling thread if it is there, else on the
    /// thread that brings it, a worker of the pool.
    ///
    /// # Blocking
    /// The callback must not block: it would hold up the worker and its connection.
    ///
    /// # Panics
    /// A panic in the callback is caught and logged.
    pub fn on_result(self, callback: impl FnOnce(Result<T, E>) + Send + 'static) {
        let mut slot = self.cell.lock();
        match mem::replace(&mut slot.result, State::Done) {
            State::Fired(result) => {
                drop(slot);
                call(callback, result);
            }
            _ => slot.result = State::Callback(Box::new(callback)),
        }
    }

    /// A deferred for what `f` makes of the value (Twisted's `addCallback`). Errors pass by.
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
        let fired = matches!(self.cell.lock().result, State::Fired(_));
        f.debug_struct("Deferred")
            .field("fired", &fired)
            .finish_non_exhaustive()
    }
}

/// The duty to fire a [`Deferred`]. Dropped without a result, it fires with [`Failure::dropped`],
/// or with
/// [`Failure::panicked`] if a panic dropped it.
pub struct Promise<T: Send + 'static, E: Failure> {
    /// There until it is resolved.
    cell: Option<Arc<Cell<T, E>>>,
}

impl<T: Send + 'static, E: Failure> Promise<T, E> {
    /// Fires the deferred. Its callback runs now, on this thread.
    pub fn resolve(mut self, result: Result<T, E>) {
        if let Some(cell) = self.cell.take() {
            cell.fire(result);
        }
    }

    /// The handle by which the job is run, and can be ended otherwise. Whichever result comes first
    /// wins.
    ///
    /// # Panics
    /// Never: a promise that was resolved is gone.
    pub fn control(&self) -> Arc<dyn Control<E>> {
        self.cell
            .clone()
            .expect("a promise that was not resolved has its cell")
    }
}

impl<T: Send + 'static, E: Failure> Drop for Promise<T, E> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            let error = if std::thread::panicking() {
                E::panicked("in a callback")
            } else {
                E::dropped()
            };
            cell.fire(Err(error));
        }
    }
}

impl<T: Send + 'static, E: Failure> fmt::Debug for Promise<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").finish_non_exhaustive()
    }
}

type Callback<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

/// What promise and deferred share.
struct Cell<T, E: Failure> {
    slot: Mutex<Slot<T, E>>,
    fired: Condvar,
}

struct Slot<T, E: Failure> {
    result: State<T, E>,
    stage: Stage,
    /// What the result is, if it is an error.
    failure: Option<E::Kind>,
    /// Of the worker that runs the job.
    interrupt: Option<Arc<dyn Interrupt<E>>>,
    /// Whether the job counts as cancelled once its worker has done with it, whatever has come of
    /// it.
    cancel_on_end: bool,
}

enum State<T, E> {
    Pending,
    /// A thread waits. Kept apart from `Pending` because a notification costs a system call.
    Awaited,
    Callback(Callback<T, E>),
    Fired(Result<T, E>),
    Done,
}

impl<T, E: Failure> Cell<T, E> {
    fn new(result: State<T, E>) -> Self {
        let slot = Slot {
            result,
            stage: Stage::Waiting,
            failure: None,
            interrupt: None,
            cancel_on_end: false,
        };
        Self {
            slot: Mutex::new(slot),
            fired: Condvar::new(),
        }
    }

    /// A panic never leaves the slot half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Slot<T, E>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fire(&self, result: Result<T, E>) {
        let mut slot = self.lock();
        let delivery = slot.settle(result);
        drop(slot);
        self.deliver(delivery);
    }

    /// Tells who waits. Not under the lock: a callback may do anything.
    fn deliver(&self, delivery: Delivery<T, E>) {
        match delivery {
            Delivery::None => {}
            Delivery::Wake => self.fired.notify_all(),
            Delivery::Call(callback, result) => call(callback, result),
        }
    }
}

/// What is left to do once a result is there.
enum Delivery<T, E> {
    None,
    Wake,
    Call(Callback<T, E>, Result<T, E>),
}

impl<T, E: Failure> Slot<T, E> {
    fn has_fired(&self) -> bool {
        matches!(self.result, State::Fired(_) | State::Done)
    }

    /// Takes the result unless there is one.
    fn settle(&mut self, result: Result<T, E>) -> Delivery<T, E> {
        if self.has_fired() {
            return Delivery::None;
        }
        let result = match self.stage {
            Stage::Over if self.cancel_on_end => Err(E::cancelled()),
            _ => result,
        };
        self.failure = result.as_ref().err().map(E::kind);
        match mem::replace(&mut self.result, State::Done) {
            State::Callback(callback) => return Delivery::Call(callback, result),
            State::Awaited => {
                self.result = State::Fired(result);
                return Delivery::Wake;
            }
            _ => self.result = State::Fired(result),
        }
        Delivery::None
    }
}

impl<T: Send + 'static, E: Failure> Cancel for Cell<T, E> {
    fn cancel(self: Arc<Self>) {
        self.stop(E::cancelled());
    }

    fn cancel_on_end(self: Arc<Self>) {
        let mut slot = self.lock();
        if slot.has_fired() || slot.cancel_on_end {
            return;
        }
        let Some(interrupt) = slot.interrupt.take() else {
            drop(slot);
            return self.stop(E::cancelled());
        };
        (slot.stage, slot.cancel_on_end) = (Stage::Interrupted, true);
        drop(slot);
        interrupt.interrupt(self);
    }

    fn stage(&self) -> Stage {
        self.lock().stage
    }
}

impl<T: Send + 'static, E: Failure> Control<E> for Cell<T, E> {
    fn take(&self) -> bool {
        let mut slot = self.lock();
        slot.stage = Stage::Taken;
        !slot.has_fired()
    }

    fn begin(&self, interrupt: &Arc<dyn Interrupt<E>>) -> bool {
        let mut slot = self.lock();
        if slot.has_fired() || slot.cancel_on_end {
            return false;
        }
        (slot.stage, slot.interrupt) = (Stage::Taken, Some(interrupt.clone()));
        true
    }

    fn end(&self) -> Result<(), E::Kind> {
        let mut slot = self.lock();
        slot.interrupt = None;
        match mem::replace(&mut slot.stage, Stage::Over) {
            Stage::Interrupted => Err(slot.failure.unwrap_or_else(cancelled::<E>)),
            _ => Ok(()),
        }
    }

    fn failure(&self) -> Option<E::Kind> {
        let slot = self.lock();
        let cancelled = slot.cancel_on_end.then(cancelled::<E>);
        slot.failure.or(cancelled)
    }

    fn stop(self: Arc<Self>, error: E) {
        let mut slot = self.lock();
        if slot.has_fired() {
            return;
        }
        let delivery = slot.settle(Err(error));
        let interrupt = slot.interrupt.take();
        if interrupt.is_some() {
            slot.stage = Stage::Interrupted;
        }
        drop(slot);
        if let Some(interrupt) = interrupt {
            interrupt.interrupt(self.clone());
        }
        self.deliver(delivery);
    }

    fn expire(&self, error: E) {
        let mut slot = self.lock();
        if slot.stage == Stage::Waiting {
            let delivery = slot.settle(Err(error));
            drop(slot);
            self.deliver(delivery);
        }
    }
}

fn call<T, E: Failure>(callback: impl FnOnce(Result<T, E>), result: Result<T, E>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| callback(result))) {
        E::callback_panicked(panic_message(&*panic));
    }
}

/// The kind of a cancelled job's error.
fn cancelled<E: Failure>() -> E::Kind {
    E::cancelled().kind()
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
