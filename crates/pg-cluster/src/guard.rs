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
    server::{Launch, Server},
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
    watch: Arc<Watch>,
    thread: JoinHandle<()>,
}

/// What the guard's thread shares with who stops it.
struct Watch {
    launch: Launch,
    port: u16,
    server: Mutex<Watched>,
    stopped: Condvar,
}

enum Watched {
    Running(Server),
    /// And whether in order.
    Ended(Result<(), Error>),
    Stopped,
}

impl Guard {
    /// Sees to it that this server, which `launch` has started on `port`, runs until
    /// [`Guard::stop`].
    pub(super) fn over(server: Server, launch: Launch, port: u16) -> Result<Self, Error> {
        let watch = Arc::new(Watch {
            launch,
            port,
            server: Mutex::new(Watched::Running(server)),
            stopped: Condvar::new(),
        });
        let thread = thread::Builder::new().name("postgres-guard".into());
        let spawned = thread.spawn({
            let watch = watch.clone();
            move || watch.keep()
        });
        match spawned {
            Ok(thread) => Ok(Self { watch, thread }),
            Err(error) => {
                // The error that matters is the first.
                let _ = watch.stop(DROP_TIMEOUT);
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
        let stopped = self.watch.stop(within);
        if stopped.is_ok() {
            // The thread ends with the server, and waits for nothing else.
            let _ = self.thread.join();
        }
        stopped
    }

    /// Leaves the server to itself, as a node that is killed does.
    #[cfg(test)]
    pub(super) fn abandon(self) {
        mem::forget(mem::replace(&mut *self.watch.server(), Watched::Stopped));
    }
}

impl Watch {
    fn server(&self) -> MutexGuard<'_, Watched> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, within: Duration) -> Result<(), Error> {
        let watched = mem::replace(&mut *self.server(), Watched::Stopped);
        self.stopped.notify_all();
        match watched {
            Watched::Running(server) => server.stop(within),
            Watched::Ended(how) => how,
            Watched::Stopped => Ok(()),
        }
    }

    fn keep(&self) {
        let mut started = Instant::now();
        let mut pause = PAUSE;
        while self.wait_until_ended() {
            if started.elapsed() >= PROVEN {
                pause = PAUSE;
            }
            let stopped = |watched: &mut Watched| !matches!(watched, Watched::Stopped);
            let waited = self
                .stopped
                .wait_timeout_while(self.server(), pause, stopped);
            let (mut watched, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if matches!(*watched, Watched::Stopped) {
                return;
            }
            *watched = match self.launch.on_port(self.port) {
                Ok(server) => {
                    info!(target: crate::LOG, "starting the embedded PostgreSQL again");
                    Watched::Running(server)
                }
                Err(error) => {
                    error!(target: crate::LOG, "cannot start the embedded PostgreSQL again, will keep trying: {error}");
                    Watched::Ended(Err(error))
                }
            };
            started = Instant::now();
            pause = (pause * 2).min(PAUSE_AT_MOST);
        }
    }

    /// Blocks while the server runs. Whether it has ended by itself, and has not been stopped.
    fn wait_until_ended(&self) -> bool {
        loop {
            let mut watched = self.server();
            let server = match &mut *watched {
                Watched::Running(server) => server,
                Watched::Ended(_) => return true,
                Watched::Stopped => return false,
            };
            if let Some(how) = server.ended_by_itself() {
                match &how {
                    Ok(()) => {
                        warn!(target: crate::LOG, "somebody has stopped the embedded PostgreSQL")
                    }
                    Err(error) => error!(target: crate::LOG, "{error}"),
                }
                *watched = Watched::Ended(how);
                return true;
            }
            let pid = server.pid();
            drop(watched);
            // Leaves the reaping to whoever has the server then: until that is done its number is
            // not another's. An error means that it is done.
            let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("port", &self.watch.port)
            .finish_non_exhaustive()
    }
}
