//! Owns what a promise and its deferred share: the result or who wants it, and how far the job is.
//! Knows nothing of what the job does.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    control::{Cancel, Control, Interrupt, Stage},
    failure::{Failure, cancelled, panic_message},
};

pub(super) type Callback<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

/// What promise and deferred share.
pub(super) struct Shared<T, E: Failure> {
    state: Mutex<State<T, E>>,
    /// Notified for [`ResultState::Awaited`].
    pub(super) fired: Condvar,
}

/// What the lock guards.
pub(super) struct State<T, E: Failure> {
    pub(super) result: ResultState<T, E>,
    stage: Stage,
    /// What the result is, if it is an error.
    failure: Option<E::Kind>,
    /// Stops the worker that runs the job.
    interrupt: Option<Arc<dyn Interrupt<E>>>,
    /// The job counts as cancelled once its worker has finished it, whatever the result.
    cancel_on_end: bool,
}

/// Where the result is.
pub(super) enum ResultState<T, E> {
    /// There is none, and nobody waits.
    Pending,
    /// A thread waits. Kept apart from `Pending` because a notification costs a system call.
    Awaited,
    /// This is called with it.
    Callback(Callback<T, E>),
    /// It is here.
    Fired(Result<T, E>),
    /// Somebody has taken it.
    Done,
}

impl<T, E: Failure> Shared<T, E> {
    pub(super) fn new(result: ResultState<T, E>) -> Self {
        let state = State {
            result,
            stage: Stage::Waiting,
            failure: None,
            interrupt: None,
            cancel_on_end: false,
        };
        Self {
            state: Mutex::new(state),
            fired: Condvar::new(),
        }
    }

    // A panic never leaves the state half changed, so a poisoned lock is as good as any.
    pub(super) fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fire(&self, result: Result<T, E>) {
        let mut state = self.lock();
        let delivery = state.settle(result);
        drop(state);
        self.deliver(delivery);
    }

    /// Tells who waits. The lock is not held, because a callback may do anything.
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

impl<T, E: Failure> State<T, E> {
    fn has_fired(&self) -> bool {
        matches!(self.result, ResultState::Fired(_) | ResultState::Done)
    }

    /// Takes the result unless there is one.
    fn settle(&mut self, result: Result<T, E>) -> Delivery<T, E> {
        if self.has_fired() {
            return Delivery::None;
        }
        let result = match self.stage {
            Stage::Over if self.cancel_on_end => Err(E::cancelled()),
            Stage::Waiting | Stage::Taken | Stage::Interrupted | Stage::Over => result,
        };
        self.failure = result.as_ref().err().map(E::kind);
        match mem::replace(&mut self.result, ResultState::Done) {
            ResultState::Callback(callback) => return Delivery::Call(callback, result),
            ResultState::Awaited => {
                self.result = ResultState::Fired(result);
                return Delivery::Wake;
            }
            ResultState::Pending | ResultState::Fired(_) | ResultState::Done => {
                self.result = ResultState::Fired(result);
            }
        }
        Delivery::None
    }
}

impl<T: Send + 'static, E: Failure> Cancel for Shared<T, E> {
    fn cancel(self: Arc<Self>) {
        self.stop(E::cancelled());
    }

    fn cancel_on_end(self: Arc<Self>) {
        let mut state = self.lock();
        if state.has_fired() || state.cancel_on_end {
            return;
        }
        let Some(interrupt) = state.interrupt.take() else {
            drop(state);
            return self.stop(E::cancelled());
        };
        (state.stage, state.cancel_on_end) = (Stage::Interrupted, true);
        drop(state);
        interrupt.interrupt(self);
    }

    fn stage(&self) -> Stage {
        self.lock().stage
    }
}

impl<T: Send + 'static, E: Failure> Control<E> for Shared<T, E> {
    fn take(&self) -> bool {
        let mut state = self.lock();
        state.stage = Stage::Taken;
        !state.has_fired()
    }

    fn begin(&self, interrupt: &Arc<dyn Interrupt<E>>) -> bool {
        let mut state = self.lock();
        if state.has_fired() || state.cancel_on_end {
            return false;
        }
        (state.stage, state.interrupt) = (Stage::Taken, Some(interrupt.clone()));
        true
    }

    fn end(&self) -> Result<(), E::Kind> {
        let mut state = self.lock();
        state.interrupt = None;
        match mem::replace(&mut state.stage, Stage::Over) {
            Stage::Interrupted => Err(state.failure.unwrap_or_else(cancelled::<E>)),
            Stage::Waiting | Stage::Taken | Stage::Over => Ok(()),
        }
    }

    fn failure(&self) -> Option<E::Kind> {
        let state = self.lock();
        let cancelled = state.cancel_on_end.then(cancelled::<E>);
        state.failure.or(cancelled)
    }

    fn stop(self: Arc<Self>, error: E) {
        let mut state = self.lock();
        if state.has_fired() {
            return;
        }
        let delivery = state.settle(Err(error));
        let interrupt = state.interrupt.take();
        if interrupt.is_some() {
            state.stage = Stage::Interrupted;
        }
        drop(state);
        if let Some(interrupt) = interrupt {
            interrupt.interrupt(self.clone());
        }
        self.deliver(delivery);
    }

    fn expire(&self, error: E) {
        let mut state = self.lock();
        if state.stage == Stage::Waiting {
            let delivery = state.settle(Err(error));
            drop(state);
            self.deliver(delivery);
        }
    }
}

pub(super) fn call<T, E: Failure>(callback: impl FnOnce(Result<T, E>), result: Result<T, E>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| callback(result))) {
        E::callback_panicked(panic_message(&*panic));
    }
}
