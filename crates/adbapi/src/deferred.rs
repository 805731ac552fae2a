//! Owns how one result travels from the thread that has it to the one that wants it; knows nothing of databases.

use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::error;

use super::control::{CancelHandle, Control, Interrupt, Stage};
use super::error::{Error, panic_message};
use super::stats::ErrorKind;

/// Makes a result that will come: the promise to give it and the deferred to receive it.
pub fn deferred<T: Send + 'static>() -> (Promise<T>, Deferred<T>) {
    let cell = Arc::new(Cell::new(State::Pending));
    let promise = Promise {
        cell: Some(cell.clone()),
    };
    (promise, Deferred { cell, job: None })
}

/// A result that will come (Twisted's `Deferred`), exactly once: a value or an error.
///
/// Consume it by [`wait`](Self::wait) on a thread that may block or by [`on_result`](Self::on_result) on one that
/// may not. Dropping it drops the result; the job still runs.
#[must_use = "the job runs, but nobody will see its result or its error"]
pub struct Deferred<T> {
    cell: Arc<Cell<T>>,
    /// The job, if this is for what becomes of its result.
    job: Option<Arc<dyn Control>>,
}

impl<T: Send + 'static> Deferred<T> {
    /// A deferred that has its result already (Twisted's `succeed` and `fail`).
    pub fn ready(result: Result<T, Error>) -> Self {
        Self {
            cell: Arc::new(Cell::new(State::Fired(result))),
            job: None,
        }
    }

    /// Cancels the job and fires this with [`Error::Cancelled`]; see [`CancelHandle::cancel`].
    pub fn cancel(&self) {
        self.cancel_handle().cancel();
    }

    /// A way to cancel the job after this Deferred was consumed, and from elsewhere.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle(self.job.clone().unwrap_or_else(|| self.cell.clone()))
    }

    /// Waits for the result.
    ///
    /// # Blocking
    /// Blocks the calling thread until the result is there. Must not be called on a worker of the pool that is to
    /// give the result (from a callback or from inside an interaction): with all workers waiting none would work.
    ///
    /// # Errors
    /// The error the deferred fires with.
    pub fn wait(self) -> Result<T, Error> {
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

    /// Waits for the result for at most `timeout`, and hands the deferred back if it is not there by then.
    ///
    /// # Blocking
    /// As [`wait`](Self::wait), for at most `timeout`.
    ///
    /// # Errors
    /// The deferred itself, unfired; the job goes on.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<T, Error>, Self> {
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

    /// Calls `callback` with the result: at once on the calling thread if it is there, else on the thread that
    /// brings it, a worker of the pool.
    ///
    /// # Blocking
    /// The callback must not block: it would hold up the worker and its connection.
    ///
    /// # Panics
    /// A panic in the callback is caught and logged.
    pub fn on_result(self, callback: impl FnOnce(Result<T, Error>) + Send + 'static) {
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
    pub fn map<U: Send + 'static>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Deferred<U> {
        self.and_then(|value| Ok(f(value)))
    }

    /// As [`map`](Self::map), for an `f` that may fail.
    pub fn and_then<U, F>(self, f: F) -> Deferred<U>
    where
        U: Send + 'static,
        F: FnOnce(T) -> Result<U, Error> + Send + 'static,
    {
        let (promise, mut deferred) = deferred();
        deferred.job = Some(self.cancel_handle().0);
        self.on_result(move |result| promise.resolve(result.and_then(f)));
        deferred
    }
}

impl<T> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fired = matches!(self.cell.lock().result, State::Fired(_));
        f.debug_struct("Deferred")
            .field("fired", &fired)
            .finish_non_exhaustive()
    }
}

/// The duty to fire a [`Deferred`]. Dropped without a result, it fires with [`Error::Dropped`], or with
/// [`Error::Panicked`] if a panic dropped it.
pub struct Promise<T: Send + 'static> {
    /// There until it is resolved.
    cell: Option<Arc<Cell<T>>>,
}

impl<T: Send + 'static> Promise<T> {
    /// Fires the deferred. Its callback runs now, on this thread.
    pub fn resolve(mut self, result: Result<T, Error>) {
        if let Some(cell) = self.cell.take() {
            cell.fire(result);
        }
    }

    /// The job as those see it who may end it otherwise; whichever result comes first wins.
    pub(super) fn control(&self) -> Arc<dyn Control> {
        self.cell
            .clone()
            .expect("a promise that was not resolved has its cell")
    }
}

impl<T: Send + 'static> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            let panicking = std::thread::panicking();
            cell.fire(Err(if panicking {
                Error::Panicked("in a callback".into())
            } else {
                Error::Dropped
            }));
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").finish_non_exhaustive()
    }
}

type Callback<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;

/// What promise and deferred share.
struct Cell<T> {
    slot: Mutex<Slot<T>>,
    fired: Condvar,
}

struct Slot<T> {
    result: State<T>,
    stage: Stage,
    /// What the result is, if it is an error.
    failure: Option<ErrorKind>,
    /// Of the worker that runs the job.
    interrupt: Option<Arc<dyn Interrupt>>,
    /// Whether the job is cancelled as soon as its worker has done with it, whatever has come of it.
    is_wound_up: bool,
}

enum State<T> {
    Pending,
    /// A thread waits. Kept apart from `Pending` because a notification costs a system call.
    Awaited,
    Callback(Callback<T>),
    Fired(Result<T, Error>),
    Done,
}

impl<T> Cell<T> {
    fn new(result: State<T>) -> Self {
        let slot = Slot {
            result,
            stage: Stage::Waiting,
            failure: None,
            interrupt: None,
            is_wound_up: false,
        };
        Self {
            slot: Mutex::new(slot),
            fired: Condvar::new(),
        }
    }

    /// A panic never leaves the slot half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fire(&self, result: Result<T, Error>) {
        let mut slot = self.lock();
        let delivery = slot.settle(result);
        drop(slot);
        self.deliver(delivery);
    }

    /// Tells who waits. Not under the lock: a callback may do anything.
    fn deliver(&self, delivery: Delivery<T>) {
        match delivery {
            Delivery::None => {}
            Delivery::Wake => self.fired.notify_all(),
            Delivery::Call(callback, result) => call(callback, result),
        }
    }
}

/// What is left to do once a result is there.
enum Delivery<T> {
    None,
    Wake,
    Call(Callback<T>, Result<T, Error>),
}

impl<T> Slot<T> {
    fn has_fired(&self) -> bool {
        matches!(self.result, State::Fired(_) | State::Done)
    }

    /// Takes the result unless there is one.
    fn settle(&mut self, result: Result<T, Error>) -> Delivery<T> {
        if self.has_fired() {
            return Delivery::None;
        }
        let result = match self.stage {
            Stage::Over if self.is_wound_up => Err(Error::Cancelled),
            _ => result,
        };
        self.failure = result.as_ref().err().map(ErrorKind::from);
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

impl<T: Send + 'static> Control for Cell<T> {
    fn take(&self) -> bool {
        let mut slot = self.lock();
        slot.stage = Stage::Taken;
        !slot.has_fired()
    }

    fn begin(&self, interrupt: &Arc<dyn Interrupt>) -> bool {
        let mut slot = self.lock();
        if slot.has_fired() || slot.is_wound_up {
            return false;
        }
        (slot.stage, slot.interrupt) = (Stage::Taken, Some(interrupt.clone()));
        true
    }

    fn end(&self) -> Result<(), ErrorKind> {
        let mut slot = self.lock();
        slot.interrupt = None;
        match mem::replace(&mut slot.stage, Stage::Over) {
            Stage::Interrupted => Err(slot.failure.unwrap_or(ErrorKind::Cancelled)),
            _ => Ok(()),
        }
    }

    fn failure(&self) -> Option<ErrorKind> {
        let slot = self.lock();
        let cancelled = slot.is_wound_up.then_some(ErrorKind::Cancelled);
        slot.failure.or(cancelled)
    }

    fn stop(self: Arc<Self>, error: Error) {
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

    fn wind_up(self: Arc<Self>) {
        let mut slot = self.lock();
        if slot.has_fired() || slot.is_wound_up {
            return;
        }
        let Some(interrupt) = slot.interrupt.take() else {
            drop(slot);
            return self.stop(Error::Cancelled);
        };
        (slot.stage, slot.is_wound_up) = (Stage::Interrupted, true);
        drop(slot);
        interrupt.interrupt(self);
    }

    fn expire(&self, error: Error) {
        let mut slot = self.lock();
        if slot.stage == Stage::Waiting {
            let delivery = slot.settle(Err(error));
            drop(slot);
            self.deliver(delivery);
        }
    }

    fn stage(&self) -> Stage {
        self.lock().stage
    }
}

fn call<T>(callback: impl FnOnce(Result<T, Error>), result: Result<T, Error>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| callback(result))) {
        error!(target: super::LOG, "a callback of a Deferred panicked: {}", panic_message(&*panic));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn wait_returns_what_another_thread_resolves() {
        let (promise, deferred) = deferred();
        let waiting = thread::spawn(move || deferred.map(|n: i32| n + 1).wait());
        promise.resolve(Ok(41));
        assert_eq!(waiting.join().unwrap().unwrap(), 42);
    }

    #[test]
    fn wait_timeout_hands_the_deferred_back() {
        let (promise, deferred) = deferred::<i32>();
        let deferred = deferred.wait_timeout(Duration::from_millis(5)).unwrap_err();
        promise.resolve(Ok(1));
        assert_eq!(deferred.wait_timeout(Duration::ZERO).unwrap().unwrap(), 1);
    }

    #[test]
    fn on_result_runs_on_the_resolving_thread_or_at_once() {
        let (sent, received) = mpsc::channel();
        let (promise, later) = deferred();
        let now = Deferred::ready(Ok(thread::current().id()));
        for deferred in [later, now] {
            let sent = sent.clone();
            deferred.on_result(move |id| sent.send((id.unwrap(), thread::current().id())).unwrap());
        }
        thread::spawn(move || promise.resolve(Ok(thread::current().id())))
            .join()
            .unwrap();
        for (resolver, ran_on) in received.iter().take(2) {
            assert_eq!(resolver, ran_on);
        }
    }

    #[test]
    fn a_dropped_promise_is_an_error() {
        let (promise, deferred) = deferred::<()>();
        drop(promise);
        assert!(matches!(deferred.wait(), Err(Error::Dropped)));
    }

    #[test]
    fn a_panic_in_a_callback_stays_there_and_is_told_to_whom_it_concerns() {
        let (promise, deferred) = deferred::<()>();
        let mapped = deferred.map(|()| panic!("oh"));
        promise.resolve(Ok(()));
        assert!(matches!(mapped.wait(), Err(Error::Panicked(_))));
    }

    #[test]
    fn the_first_result_wins() {
        let (promise, deferred) = deferred::<i32>();
        promise.control().stop(Error::Closed);
        promise.resolve(Ok(1));
        assert!(matches!(deferred.wait(), Err(Error::Closed)));
    }

    #[test]
    fn and_then_may_fail_and_errors_pass_by_map() {
        let failed = Deferred::ready(Ok(1)).and_then(|_| Err::<i32, _>(Error::custom("no")));
        assert_eq!(
            failed
                .map(|_| panic!("not reached"))
                .wait()
                .map(|(): ()| ())
                .unwrap_err()
                .to_string(),
            "no"
        );
    }
}
