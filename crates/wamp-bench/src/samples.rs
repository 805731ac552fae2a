//! What is counted while the load runs. Must not know what an operation is.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Throughput is kept for each span of this length.
pub(super) const SPAN: Duration = Duration::from_millis(100);
/// Latencies are kept in nanoseconds up to this one, to three digits.
const LONGEST: Duration = Duration::from_secs(3600);

/// The operations that ended with one error.
#[derive(Clone, Debug, Serialize)]
pub struct Failures {
    /// How many.
    pub count: u64,
    /// What the first of them says to people.
    pub message: Option<String>,
}

/// Counters over the operations that begin at or after a moment: before it the load warms up.
pub(super) struct Measure {
    from: Option<Instant>,
    last: Option<Instant>,
    pub(super) latency: Histogram<u64>,
    /// How long after they were due the operations of an open load have begun.
    pub(super) lateness: Histogram<u64>,
    pub(super) errors: BTreeMap<String, Failures>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Operations that ended well in each [`SPAN`] since the first moment.
    pub(super) spans: Vec<u64>,
}

impl Default for Measure {
    fn default() -> Self {
        Self {
            from: None,
            last: None,
            latency: histogram(),
            lateness: histogram(),
            errors: BTreeMap::new(),
            bytes_in: 0,
            bytes_out: 0,
            spans: Vec::new(),
        }
    }
}

impl Measure {
    /// Counts what begins from then on.
    pub(super) fn start(&mut self, from: Instant) {
        self.from = Some(from);
    }

    /// Whether what begins at `begun` counts.
    pub(super) fn counts(&self, begun: Instant) -> bool {
        self.from.is_some_and(|from| from <= begun)
    }

    /// An operation that was due begins only now.
    pub(super) fn begun(&mut self, due: Instant, now: Instant) {
        if self.counts(due) {
            record(&mut self.lateness, due, now);
        }
    }

    /// An operation has ended well.
    pub(super) fn done(&mut self, begun: Instant, now: Instant) {
        let Some(from) = self.from.filter(|from| *from <= begun) else {
            return;
        };
        record(&mut self.latency, begun, now);
        let span = (now.saturating_duration_since(from).as_micros() / SPAN.as_micros()) as usize;
        if self.spans.len() <= span {
            self.spans.resize(span + 1, 0);
        }
        self.spans[span] += 1;
        self.last = Some(now);
    }

    /// An operation has ended with an error of this URI, which says this.
    pub(super) fn failed(
        &mut self,
        begun: Instant,
        now: Instant,
        uri: &str,
        message: Option<String>,
    ) {
        if self.counts(begun) {
            let failures = self.errors.entry(uri.to_owned());
            let first = Failures { count: 0, message };
            failures.or_insert(first).count += 1;
            self.last = Some(now);
        }
    }

    /// How many operations have ended, well or not.
    pub(super) fn ended(&self) -> u64 {
        let failures = self.errors.values().map(|failures| failures.count);
        self.latency.len() + failures.sum::<u64>()
    }

    /// Bytes that came in and went out at `now`.
    pub(super) fn bytes(&mut self, now: Instant, came: usize, went: usize) {
        if self.counts(now) {
            self.bytes_in += came as u64;
            self.bytes_out += went as u64;
        }
    }

    /// How long it took from the first moment to the last end.
    pub(super) fn elapsed(&self) -> Duration {
        match (self.from, self.last) {
            (Some(from), Some(last)) => last.saturating_duration_since(from),
            _ => Duration::ZERO,
        }
    }
}

fn histogram() -> Histogram<u64> {
    let longest = u64::try_from(LONGEST.as_nanos()).expect("an hour in nanoseconds fits");
    Histogram::new_with_bounds(1, longest, 3).expect("the bounds are sound")
}

fn record(histogram: &mut Histogram<u64>, from: Instant, to: Instant) {
    let nanoseconds = to.saturating_duration_since(from).as_nanos();
    histogram.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
}
