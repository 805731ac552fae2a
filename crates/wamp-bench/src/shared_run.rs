//! What the runner's thread and the connections' thread share: the run's options, its state behind
//! a lock, and the mailbox of the connections. Must not know frames, nor what a message says.

use std::{
    net::SocketAddr,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use reactor::Mailbox;

use super::{
    options::RunOptions,
    run_state::RunState,
    workload::{SessionCommand, Workload},
};

/// What does not change, and the rest behind its lock.
pub(super) struct SharedRun {
    pub(super) options: RunOptions,
    pub(super) address: SocketAddr,
    pub(super) mailbox: Mailbox<SessionCommand>,
    /// Makes the workload of a session.
    pub(super) new_workload: fn(usize, &RunOptions) -> Box<dyn Workload>,
    state: Mutex<RunState>,
    changed: Condvar,
}

impl SharedRun {
    pub(super) fn new(
        options: RunOptions,
        address: SocketAddr,
        mailbox: Mailbox<SessionCommand>,
        new_workload: fn(usize, &RunOptions) -> Box<dyn Workload>,
    ) -> Self {
        let state = Mutex::new(RunState::new(&options));
        Self {
            options,
            address,
            mailbox,
            new_workload,
            state,
            changed: Condvar::new(),
        }
    }

    /// The state, locked.
    pub(super) fn state(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the runner.
    pub(super) fn notify(&self) {
        self.changed.notify_one();
    }

    /// Waits for a change, but not beyond `until`.
    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, RunState>,
        until: Instant,
    ) -> MutexGuard<'a, RunState> {
        let timeout = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout(state, timeout);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tells all sessions the same.
    pub(super) fn tell_all(&self, state: &RunState, command: SessionCommand) {
        for connection in state.connections.iter().flatten() {
            self.mailbox.post_quietly(*connection, command);
        }
        self.mailbox.wake();
    }
}
