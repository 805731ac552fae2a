//! Owns the thread that starts the server again when it ends by itself, until it is told to stop;
//! knows no SQL.

use std::{
    fmt, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use tracing::{error, info, warn};

use super::{
    DROP_TIMEOUT, Error,
    launch::Launcher,
    server::{ServerProcess, Shutdown},
    sweeper::Sweeper,
    tried,
};

/// How long the server stays down before it is started again, and twice that each time it ends
/// soon. The processes of a killed server need a moment to see that it is gone, and as long as one
/// is left PostgreSQL starts no other.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_AT_MOST: Duration = Duration::from_secs(10);
/// A server that ran for this long had not ended soon.
const PROVEN: Duration = Duration::from_secs(30);

pub(super) struct Guard {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// What the guard's thread shares with who stops it.
struct Shared {
    launcher: Launcher,
    state: Mutex<State>,
    stopped: Condvar,
    /// Ends the server when this process is killed.
    sweeper: Sweeper,
}

enum State {
    Running(ServerProcess),
    /// By itself, and whether in order.
    Ended(Result<(), Error>),
    Stopped,
}

impl Guard {
    /// Keeps a server running until [`Guard::stop`]: this one, which the launcher has started, and
    /// after it those that the launcher starts.
    pub(super) fn over(
        server: ServerProcess,
        launcher: Launcher,
        sweeper: Sweeper,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            launcher,
            state: Mutex::new(State::Running(server)),
            stopped: Condvar::new(),
            sweeper,
        });
        let thread = thread::Builder::new().name("postgres-guard".into());
        let spawned = thread.spawn({
            let shared = shared.clone();
            move || shared.keep_running()
        });
        match spawned {
            Ok(thread) => Ok(Self { shared, thread }),
            Err(error) => {
                // The error that matters is the first.
                let _ = shared.stop(DROP_TIMEOUT);
                Err(tried("cannot start a thread for the embedded PostgreSQL")(
                    error,
                ))
            }
        }
    }

    /// Ends the server within this time.
    ///
    /// # Errors
    /// It could not be ended, or had ended by itself, not in order, and was not up again.
    pub(super) fn stop(self, within: Duration) -> Result<(), Error> {
        let stopped = self.shared.stop(within);
        if stopped.is_ok() {
            // The thread ends with the server, and waits for nothing else.
            let _ = self.thread.join();
        }
        stopped
    }

    /// Leaves the server to itself, as a node does that is killed together with the sweeper.
    #[cfg(test)]
    pub(super) fn abandon(self) {
        mem::forget(self.shared.clone());
        mem::forget(mem::replace(&mut *self.shared.state(), State::Stopped));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, within: Duration) -> Result<(), Error> {
        let state = mem::replace(&mut *self.state(), State::Stopped);
        self.stopped.notify_all();
        match state {
            State::Running(server) => server.stop(Shutdown::Fast, within),
            State::Ended(how) => how,
            State::Stopped => Ok(()),
        }
    }

    fn keep_running(&self) {
        let mut started = Instant::now();
        let mut pause = PAUSE;
        while self.wait_until_ended() {
            if started.elapsed() >= PROVEN {
                pause = PAUSE;
            }
            let not_stopped = |state: &mut State| !matches!(state, State::Stopped);
            let waited = self
                .stopped
                .wait_timeout_while(self.state(), pause, not_stopped);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if matches!(*state, State::Stopped) {
                return;
            }
            *state = match self.launcher.start() {
                Ok(server) => {
                    info!(target: crate::LOG, "starting the embedded PostgreSQL again");
                    self.sweeper.watch(Some(server.pid()));
                    State::Running(server)
                }
                Err(error) => {
                    error!(target: crate::LOG, "cannot start the embedded PostgreSQL again, will keep trying: {error}");
                    State::Ended(Err(error))
                }
            };
            started = Instant::now();
            pause = (pause * 2).min(PAUSE_AT_MOST);
        }
    }

    /// Blocks while the server runs. Whether it has ended by itself, and has not been stopped.
    fn wait_until_ended(&self) -> bool {
        loop {
            let mut state = self.state();
            let server = match &mut *state {
                State::Running(server) => server,
                State::Ended(_) => return true,
                State::Stopped => return false,
            };
            if let Some(how) = server.ended_by_itself() {
                match &how {
                    Ok(()) => {
                        warn!(target: crate::LOG, "somebody has stopped the embedded PostgreSQL")
                    }
                    Err(error) => error!(target: crate::LOG, "{error}"),
                }
                *state = State::Ended(how);
                return true;
            }
            let pid = server.pid();
            drop(state);
            // Leaves the reaping to whoever has the server then: until that is done its number is
            // not another's. An error means that it is done.
            let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("port", &self.shared.launcher.port())
            .finish_non_exhaustive()
    }
}
