//! The programs that run, to be ended from another thread: by signals to their process groups. Must
//! not know how they are started, nor what they answer.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use wamp::RequestId;

/// How long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// Why a program has been ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Canceled,
    TimedOut,
    TooMuch,
    Stopping,
}

/// What runs, by its invocation.
pub(super) struct Runs {
    /// How long a program may run.
    timeout: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_request: HashMap<RequestId, Run>,
    /// When all are ended that begin from now on.
    stop_at: Option<Instant>,
}

#[derive(Default)]
struct Run {
    /// Its process group, from its start until its end is known.
    group: Option<Pid>,
    ended: Option<Why>,
    /// When it is sent the next signal.
    due: Option<Instant>,
}

impl Runs {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self {
            timeout,
            state: Mutex::default(),
        }
    }

    /// Notes an invocation, for which a program will run.
    pub(super) fn note(&self, request: RequestId) {
        let mut state = self.lock();
        state.by_request.insert(request, Run::default());
    }

    /// Its program is about to run; `Err` if it is not to.
    ///
    /// `start` gives the program's process group. It is called under the lock, so that no signal is
    /// missed.
    pub(super) fn start<T>(
        &self,
        request: RequestId,
        start: impl FnOnce() -> Result<(T, Pid), wamp_client::Error>,
    ) -> Result<Result<T, wamp_client::Error>, Why> {
        let mut state = self.lock();
        let (stop_at, timeout) = (state.stop_at, self.timeout);
        let run = state.by_request.entry(request).or_default();
        if let Some(why) = run.ended {
            return Err(why);
        }
        Ok(start().map(|(started, group)| {
            run.group = Some(group);
            let times_out = timeout.map(|timeout| Instant::now() + timeout);
            run.due = stop_at.into_iter().chain(times_out).min();
            started
        }))
    }

    /// Its program has ended, but its process is still there, so that no other can have its id. Ends
    /// what is left of its group. Why it was ended, if it was.
    pub(super) fn ended(&self, request: RequestId) -> Option<Why> {
        let mut state = self.lock();
        let run = state.by_request.entry(request).or_default();
        if let Some(group) = run.group.take() {
            send(group, Signal::SIGKILL);
        }
        run.due = None;
        run.ended
    }

    /// It is answered.
    pub(super) fn forget(&self, request: RequestId) {
        self.lock().by_request.remove(&request);
    }

    /// Has a program end, or not begin.
    pub(super) fn end(&self, request: RequestId, why: Why) {
        if let Some(run) = self.lock().by_request.get_mut(&request) {
            run.end(why, Instant::now());
        }
    }

    /// Has all programs end by then.
    pub(super) fn stop(&self, at: Instant) {
        let mut state = self.lock();
        let now = Instant::now();
        state.stop_at = Some(at);
        for run in state.by_request.values_mut() {
            if at <= now {
                run.end(Why::Stopping, now);
            } else if run.group.is_some() && run.ended.is_none() {
                run.due = Some(run.due.map_or(at, |due| due.min(at)));
            }
        }
    }

    /// Sends the signals that are due.
    pub(super) fn end_due(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        let is_stopping = state.stop_at.is_some_and(|at| at <= now);
        let due = |run: &&mut Run| run.due.is_some_and(|due| due <= now);
        for run in state.by_request.values_mut().filter(due) {
            if run.ended.is_some() {
                run.signal(Signal::SIGKILL);
                run.due = None;
            } else if is_stopping {
                run.end(Why::Stopping, now);
            } else {
                run.end(Why::TimedOut, now);
            }
        }
    }

    /// When the next signal is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let state = self.lock();
        state.by_request.values().filter_map(|run| run.due).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().by_request.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn end(&mut self, why: Why, now: Instant) {
        if self.ended.is_none() {
            self.ended = Some(why);
            self.signal(Signal::SIGTERM);
            self.due = self.group.map(|_| now + GRACE);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            send(group, signal);
        }
    }
}

/// It fails only when nobody of the group is left.
fn send(group: Pid, signal: Signal) {
    let _ = killpg(group, signal);
}
