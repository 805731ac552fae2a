//! Owns what the thread of an outbox is told from outside: to read, to wait, to end. Must not know
//! what it does then.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use deferred::CancelHandle;

use super::super::live::Live;

/// What the thread and others have in common.
#[derive(Default)]
pub(super) struct Signals {
    /// Whether it hears what is published.
    pub(super) live: Arc<Live>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_woken: bool,
    is_listening: bool,
    /// The listener began to listen since the thread was told last.
    begins: bool,
    is_closed: bool,
    /// What the thread waits for in the database.
    job: Option<CancelHandle>,
}

/// Why the thread is to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    /// Somebody has published.
    pub(super) is_woken: bool,
    /// The listener has begun to listen, perhaps after its connection was lost.
    pub(super) begins: bool,
}

impl Signals {
    /// Waits until it is time to read; `None` at the close.
    ///
    /// # Blocking
    /// Until `due` while somebody listens, else until somebody does.
    pub(super) fn wait(&self, due: Instant) -> Option<Signal> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            let left = due.saturating_duration_since(Instant::now());
            if state.is_listening && (state.is_woken || state.begins || left.is_zero()) {
                return Some(Signal {
                    is_woken: mem::take(&mut state.is_woken),
                    begins: mem::take(&mut state.begins),
                });
            }
            let waited = if state.is_listening {
                let waited = self.changed.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let waited = self.changed.wait(state);
                waited.unwrap_or_else(PoisonError::into_inner)
            };
            state = waited;
        }
    }

    /// Waits until `condition` no longer holds, something is told, or it is over.
    pub(super) fn wait_while(&self, end: Instant, condition: impl Fn() -> bool) {
        let mut state = self.state();
        while !state.is_closed && condition() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        self.state().is_listening
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Somebody has published.
    pub(super) fn wake(&self) {
        self.change(|state| state.is_woken = true);
    }

    /// Whether the listener listens has changed.
    pub(super) fn listening(&self, is_listening: bool) {
        if !is_listening {
            self.live.lose();
        }
        self.change(|state| {
            state.is_listening = is_listening;
            state.begins = is_listening;
        });
    }

    /// There is a session to publish by.
    pub(super) fn joined(&self) {
        self.change(|_| {});
    }

    /// Ends the thread, and what it waits for.
    pub(super) fn close(&self) {
        let mut job = None;
        self.change(|state| {
            state.is_closed = true;
            job = state.job.take();
        });
        if let Some(job) = job {
            job.cancel();
        }
        self.live.close();
    }

    /// The thread waits for a job, which the close cancels.
    pub(super) fn waits_for(&self, job: CancelHandle) {
        let mut state = self.state();
        if state.is_closed {
            drop(state);
            return job.cancel();
        }
        state.job = Some(job);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
