//! Owns the log of slow calls: what the time of one went into. Must not know how a call is run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sql::{Job, JobTimes};
use wamp::Uri;

use super::Procedure;

/// A call of a procedure that has a `slow_call`. It lives until the call is over, whatever has become of
/// it, and logs it then if that took long.
pub(super) struct Watch {
    procedure: Uri,
    threshold: Duration,
    began: Instant,
    times: Arc<JobTimes>,
    encoding: AtomicU64,
}

impl Watch {
    /// Of a call that begins now.
    pub(super) fn of(procedure: &Procedure) -> Option<Self> {
        let threshold = procedure.plan.options.slow_call?;
        Some(Self {
            procedure: procedure.uri.clone(),
            threshold,
            began: Instant::now(),
            times: Arc::default(),
            encoding: AtomicU64::new(0),
        })
    }

    /// Has the backend note what the time of a job of the call goes into.
    pub(super) fn times(&self, job: Job) -> Job {
        job.timed(self.times.clone())
    }

    /// Encodes the answer.
    pub(super) fn encoding<T>(&self, encode: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let encoded = encode();
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.encoding.fetch_add(micros, Ordering::Relaxed);
        encoded
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        if took < self.threshold {
            return;
        }
        let encoding = Duration::from_micros(self.encoding.load(Ordering::Relaxed));
        let rounded = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
        tracing::warn!(
            target: crate::LOG,
            procedure = %self.procedure,
            millis = rounded(took),
            waited = rounded(self.times.waited()),
            connecting = rounded(self.times.connecting()),
            database = rounded(self.times.database()),
            encoding = rounded(encoding),
            "slow call"
        );
    }
}
