//! Owns the cancel requests that stop what a connection does, and what other threads ask of the
//! watchdog, which sends them. Keeps no time limits.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use deferred::Interrupt;
use tracing::warn;

use crate::{LOG, aliases::JobControl, driver::Canceller, error::Error};

/// A cancel request that came between two statements of a job stopped neither: it is sent again
/// after this time, and again after twice that, until the job has ended.
const REPEAT: Duration = Duration::from_millis(100);
const REPEAT_AT_MOST: Duration = Duration::from_secs(5);

/// What other threads ask of the watchdog.
pub(crate) enum Command {
    /// Stop what this job does on its connection.
    Stop(JobControl, Canceller),
    /// Jobs are quick: let fewer workers be active, and review them.
    ReduceWorkers,
    /// The pool has closed.
    End,
}

/// Has what one connection does stopped.
pub(super) struct StatementCanceller {
    /// Nothing stops it if the driver can't.
    pub(super) stop: Option<Canceller>,
    pub(super) commands: Sender<Command>,
}

impl Interrupt<Error> for StatementCanceller {
    fn interrupt(&self, job: JobControl) {
        let Some(stop) = &self.stop else { return };
        // Full means a thousand jobs are being stopped already; then this one runs on with nobody
        // to hear of it.
        let asked = self.commands.try_send(Command::Stop(job, stop.clone()));
        if asked.is_err() {
            warn!(target: LOG, "too many statements to cancel at once: one runs on");
        }
    }
}

/// A cancel request to be sent (again).
pub(super) struct CancelRequest {
    pub(super) job: JobControl,
    stop: Canceller,
    pub(super) due: Instant,
    pause: Duration,
    /// Sends it.
    thread: Option<JoinHandle<()>>,
}

impl CancelRequest {
    pub(super) fn new(job: JobControl, stop: Canceller, now: Instant) -> Self {
        Self {
            job,
            stop,
            due: now,
            pause: REPEAT,
            thread: None,
        }
    }

    /// Sends it on a thread of its own: a server that is gone or frozen takes its time, and answers
    /// must not wait for it. There are never more such threads than jobs that run.
    pub(super) fn send(&mut self) {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            let stop = self.stop.clone();
            let thread = thread::Builder::new().name("db-cancel".into());
            match thread.spawn(move || stop()) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => warn!(target: LOG, "no thread to cancel a statement: {error}"),
            }
        }
        self.due = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(REPEAT_AT_MOST);
    }
}
