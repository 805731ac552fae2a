//! Many callers at once, each with one call in flight, and what their calls came to. Every answer
//! is matched with its call, so that none can be missing and none can come twice.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{answer::CallError, wait, websocket::Client};

/// What callers are told whose connection broke under their statement.
pub(crate) const LOST: &str = "the connection to PostgreSQL was lost";

/// Sessions that call.
pub(crate) struct Crowd {
    callers: Vec<Client>,
}

/// What calls are made.
#[derive(Clone, Copy)]
pub(crate) struct Calls<'a> {
    pub(crate) procedure: &'a str,
    pub(crate) args: &'a Value,
    /// In milliseconds, 0 for none.
    pub(crate) timeout: u64,
}

/// How far the callers are, one count a caller.
pub(crate) struct Progress {
    results: Vec<AtomicU64>,
    errors: Vec<AtomicU64>,
    ended: AtomicBool,
}

/// What calls came to.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    pub(crate) results: u64,
    pub(crate) errors: Vec<Failed>,
    /// The longest that an answer took.
    pub(crate) slowest: Duration,
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: CallError,
    /// How long the answer took.
    pub(crate) after: Duration,
}

impl Crowd {
    pub(crate) fn join(address: SocketAddr, callers: usize) -> Self {
        let callers = (0..callers).map(|_| Client::join(address)).collect();
        Self { callers }
    }

    /// Lets all call on and on while `meanwhile` runs.
    pub(crate) fn call_while(
        &mut self,
        calls: Calls<'_>,
        meanwhile: impl FnOnce(&Progress),
    ) -> Tally {
        self.run(calls, None, meanwhile)
    }

    /// Lets each call once, all at the same time.
    pub(crate) fn call_once(&mut self, calls: Calls<'_>) -> Tally {
        self.run(calls, Some(1), |_| {})
    }

    fn run(
        &mut self,
        calls: Calls<'_>,
        limit: Option<u64>,
        meanwhile: impl FnOnce(&Progress),
    ) -> Tally {
        let progress = Progress::of(self.callers.len());
        std::thread::scope(|scope| {
            let callers = self.callers.iter_mut().enumerate();
            let threads: Vec<_> = callers
                .map(|(n, caller)| {
                    let progress = &progress;
                    scope.spawn(move || call_on(caller, n, calls, limit, progress))
                })
                .collect();
            {
                // Also when it panics.
                let _end = End(limit.is_none().then_some(&progress.ended));
                meanwhile(&progress);
            }
            let tallies = threads.into_iter().map(|t| t.join().expect("a caller"));
            tallies.fold(Tally::default(), Tally::and)
        })
    }

    /// All leave. Nothing more may have come for any of them.
    pub(crate) fn leave(self) {
        self.callers.into_iter().for_each(Client::leave);
    }
}

struct End<'a>(Option<&'a AtomicBool>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if let Some(ended) = self.0 {
            ended.store(true, Ordering::Relaxed);
        }
    }
}

fn call_on(
    caller: &mut Client,
    n: usize,
    calls: Calls<'_>,
    limit: Option<u64>,
    progress: &Progress,
) -> Tally {
    let mut tally = Tally::default();
    let mut made = 0;
    while limit.map_or(!progress.ended.load(Ordering::Relaxed), |limit| {
        made < limit
    }) {
        made += 1;
        let began = Instant::now();
        let request = match calls.timeout {
            0 => caller.call(calls.procedure, calls.args),
            timeout => caller.call_within(timeout, calls.procedure, calls.args),
        };
        let answer = caller.answer_to(request);
        let after = began.elapsed();
        tally.slowest = tally.slowest.max(after);
        let count = match answer.outcome {
            Ok(_) => {
                tally.results += 1;
                &progress.results[n]
            }
            Err(error) => {
                tally.errors.push(Failed { error, after });
                &progress.errors[n]
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
    tally
}

impl<'a> Calls<'a> {
    /// Calls without a timeout.
    pub(crate) fn of(procedure: &'a str, args: &'a Value) -> Self {
        Self {
            procedure,
            args,
            timeout: 0,
        }
    }
}

impl Progress {
    fn of(callers: usize) -> Self {
        let zeros = || (0..callers).map(|_| AtomicU64::new(0)).collect();
        Self {
            results: zeros(),
            errors: zeros(),
            ended: AtomicBool::new(false),
        }
    }

    /// Waits until every caller has had so many results more.
    pub(crate) fn results_for_all(&self, more: u64) {
        wait_for_more("results", &self.results, more);
    }

    /// Waits until every caller has had so many errors more.
    pub(crate) fn errors_for_all(&self, more: u64) {
        wait_for_more("errors", &self.errors, more);
    }

    /// How many results there have been.
    pub(crate) fn results(&self) -> u64 {
        self.results.iter().map(|n| n.load(Ordering::Relaxed)).sum()
    }
}

fn wait_for_more(what: &str, counts: &[AtomicU64], more: u64) {
    let now = || counts.iter().map(|n| n.load(Ordering::Relaxed));
    let before: Vec<_> = now().collect();
    wait::until(&format!("{more} {what} more for every caller"), || {
        let all = now().zip(&before).all(|(now, before)| now - before >= more);
        all.then_some(())
    });
}

impl Tally {
    fn and(mut self, other: Self) -> Self {
        self.results += other.results;
        self.errors.extend(other.errors);
        self.slowest = self.slowest.max(other.slowest);
        self
    }

    /// Asserts that calls failed by losing their connections only, and at most so many.
    pub(crate) fn assert_lost_at_most(&self, most: usize, what: &str) {
        for Failed { error, .. } in &self.errors {
            assert_eq!(error.uri, "wamp.error.runtime_error", "{what}: {error:?}");
            assert!(error.message.contains(LOST), "{what}: {error:?}");
            assert_eq!(error.details["retryable"], true, "{what}: {error:?}");
        }
        let lost = self.errors.len();
        eprintln!(
            "{what}: {lost} of {} calls lost, the slowest took {:?}",
            self.results + lost as u64,
            self.slowest
        );
        assert!(
            lost <= most,
            "{what}: {lost} calls lost, not {most} at most"
        );
    }
}

/// A call without arguments.
pub(crate) fn nothing() -> Value {
    json!([])
}
