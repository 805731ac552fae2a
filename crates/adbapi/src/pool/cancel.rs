//! Owns the cancel requests that stop what a connection does, and what other threads ask of the
//! watchdog, which sends them. Keeps no time limits.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use deferred::{Interrupt, Stage};
use tracing::warn;

use crate::{LOG, aliases::JobControl, driver::Canceller, error::Error};

/// A cancel request that came between two statements of a job stopped neither: it is sent again
/// after this time, and again after twice that, until the job has ended.
const REPEAT: Duration = Duration::from_millis(100);
const REPEAT_AT_MOST: Duration = Duration::from_secs(5);

/// What other threads ask of the watchdog.
pub(crate) enum Command {
    /// Stop what a job does on its connection.
    Stop(CancelRequest),
    /// The pool has closed.
    End,
}

/// Has what one connection does stopped.
pub(super) struct StatementCanceller {
    /// Nothing stops it if the driver can't.
    stop: Option<Canceller>,
    commands: Sender<Command>,
    /// Those of the job that the connection has, once it is being stopped.
    requests: Mutex<Option<Arc<Requests>>>,
}

impl StatementCanceller {
    pub(super) fn new(stop: Option<Canceller>, commands: Sender<Command>) -> Self {
        Self {
            stop,
            commands,
            requests: Mutex::default(),
        }
    }

    fn requests(&self) -> MutexGuard<'_, Option<Arc<Requests>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the cancel requests of the job that has just ended: sends no more, and waits up to
    /// `limit` for the one that is under way. How many were sent; `None` if one still is.
    pub(super) fn end_requests(&self, limit: Duration) -> Option<u32> {
        let requests = self.requests().take();
        requests.map_or(Some(0), |requests| requests.end(limit))
    }
}

impl Interrupt<Error> for StatementCanceller {
    fn interrupt(&self, job: JobControl) {
        let Some(stop) = &self.stop else { return };
        let mut current = self.requests();
        // Its worker may have ended it meanwhile, and does not look for requests again.
        if job.stage() == Stage::Over {
            return;
        }
        let requests = Arc::<Requests>::default();
        // Full means a thousand jobs are being stopped already; then this one runs on with nobody
        // to hear of it.
        let request = CancelRequest::new(job, stop.clone(), requests.clone());
        if self.commands.try_send(Command::Stop(request)).is_err() {
            warn!(target: LOG, "too many statements to cancel at once: one runs on");
        } else {
            *current = Some(requests);
        }
    }
}

/// The cancel requests of one job: the watchdog has them sent, the worker waits for their end.
#[derive(Default)]
struct Requests {
    sending: Mutex<Sending>,
    changed: Condvar,
}

#[derive(Default)]
struct Sending {
    /// The job has ended.
    is_over: bool,
    is_under_way: bool,
    sent: u32,
}

impl Requests {
    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one may be sent now. Then it is under way until [`done`](Self::done).
    fn begin(&self) -> bool {
        let mut sending = self.sending();
        let may_be_sent = !sending.is_over && !sending.is_under_way;
        if may_be_sent {
            sending.is_under_way = true;
            sending.sent += 1;
        }
        may_be_sent
    }

    fn done(&self) {
        self.sending().is_under_way = false;
        self.changed.notify_all();
    }

    fn end(&self, limit: Duration) -> Option<u32> {
        let mut sending = self.sending();
        sending.is_over = true;
        let under_way = |sending: &mut Sending| sending.is_under_way;
        let waited = (self.changed).wait_timeout_while(sending, limit, under_way);
        let (sending, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        (!waited.timed_out()).then_some(sending.sent)
    }
}

/// A cancel request to be sent (again).
pub(crate) struct CancelRequest {
    pub(super) job: JobControl,
    stop: Canceller,
    requests: Arc<Requests>,
    pub(super) due: Instant,
    pause: Duration,
}

/// Counts the threads that send cancel requests: each holds one.
pub(super) type Senders = Arc<()>;

impl CancelRequest {
    fn new(job: JobControl, stop: Canceller, requests: Arc<Requests>) -> Self {
        Self {
            job,
            stop,
            requests,
            due: Instant::now(),
            pause: REPEAT,
        }
    }

    /// Sends it on a thread of its own: a server that is gone or frozen takes its time, and answers
    /// must not wait for it. It waits while there are `most` such threads: each request is a
    /// connection to the server.
    pub(super) fn send(&mut self, senders: &Senders, most: usize) {
        self.due = Instant::now() + self.pause;
        if Arc::strong_count(senders) > most {
            return;
        }
        self.pause = (self.pause * 2).min(REPEAT_AT_MOST);
        if !self.requests.begin() {
            return;
        }
        let (stop, requests, sender) = (self.stop.clone(), self.requests.clone(), senders.clone());
        let thread = thread::Builder::new().name("db-cancel".into());
        let spawned = thread.spawn(move || {
            let stopped = catch_unwind(AssertUnwindSafe(|| stop()));
            drop(sender);
            requests.done();
            if let Err(panic) = stopped {
                let message = deferred::panic_message(&*panic);
                warn!(target: LOG, "a statement could not be cancelled: {message}");
            }
        });
        if let Err(error) = spawned {
            self.requests.done();
            warn!(target: LOG, "no thread to cancel a statement: {error}");
        }
    }
}
