//! Owns the cancel requests that stop statements in PostgreSQL, and what other threads ask of the
//! watch, which sends them. Keeps no time limits.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use deferred::Interrupt;
use postgres::CancelToken;
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::warn;

use crate::{
    LOG,
    aliases::JobControl,
    error::{Error, describe},
};

/// A cancel request that came between two statements of a job stopped neither: it is sent again
/// after this time, and again after twice that, until the job has ended.
const REPEAT: Duration = Duration::from_millis(100);
const REPEAT_AT_MOST: Duration = Duration::from_secs(5);

/// What other threads ask of the watch.
pub(crate) enum Command {
    /// Stop what the connection of this token does for this job.
    Stop(JobControl, Arc<CancelToken>),
    /// Jobs are quick: let fewer workers be active, and review them.
    ReduceWorkers,
    /// The pool has closed.
    End,
}

/// Has the statement of one connection stopped.
pub(crate) struct StatementCanceller {
    pub(crate) token: Arc<CancelToken>,
    pub(crate) commands: Sender<Command>,
}

impl Interrupt<Error> for StatementCanceller {
    fn interrupt(&self, job: JobControl) {
        // Full means a thousand jobs are being stopped already; then this one runs on with nobody
        // to hear of it.
        if self
            .commands
            .try_send(Command::Stop(job, self.token.clone()))
            .is_err()
        {
            warn!(target: LOG, "too many statements to cancel at once: one runs on");
        }
    }
}

/// A cancel request to be sent (again).
pub(crate) struct Request {
    pub(crate) job: JobControl,
    token: Arc<CancelToken>,
    pub(crate) due: Instant,
    pause: Duration,
    /// Sends it.
    thread: Option<JoinHandle<()>>,
}

impl Request {
    pub(crate) fn new(job: JobControl, token: Arc<CancelToken>, now: Instant) -> Self {
        Self {
            job,
            token,
            due: now,
            pause: REPEAT,
            thread: None,
        }
    }

    /// Sends it on a thread of its own: to a server that is gone or frozen that takes its time, and
    /// answers must not wait for it. There are never more such threads than jobs that run.
    pub(crate) fn send(&mut self, tls: &MakeRustlsConnect) {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            let (token, tls) = (self.token.clone(), tls.clone());
            let thread = thread::Builder::new().name("db-cancel".into());
            match thread.spawn(move || stop_statement(&token, tls)) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => warn!(target: LOG, "no thread to cancel a statement: {error}"),
            }
        }
        self.due = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(REPEAT_AT_MOST);
    }
}

/// Asks the server to stop the statement that runs on the connection of `token`.
///
/// Opens a connection of its own for that, encrypted if the other is; a server that cannot be
/// reached runs the statement no further either. Blocks for as long as a frozen server does not
/// answer.
fn stop_statement(token: &CancelToken, tls: MakeRustlsConnect) {
    if let Err(error) = token.cancel_query(tls) {
        warn!(target: LOG, "a statement could not be cancelled: {}", describe(&error));
    }
}
