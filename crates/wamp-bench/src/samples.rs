//! What is measured while the load runs: latencies, errors, bytes, throughput. Must not know what an
//! operation is.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Throughput is kept for each span of this length.
pub(super) const SPAN: Duration = Duration::from_millis(100);
/// Latencies are kept in nanoseconds up to this one, to three digits.
const MAX_LATENCY: Duration = Duration::from_secs(3600);

/// How many operations have failed with one error.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorCount {
    /// How many.
    pub count: u64,
    /// What the first of them says to people.
    pub message: Option<String>,
}

/// The samples of a run. Only operations that begin at or after a moment count; until then the load
/// warms up.
pub(super) struct Samples {
    /// When the warm-up ends.
    from: Option<Instant>,
    /// When an operation last completed.
    last: Option<Instant>,
    pub(super) latency: Histogram<u64>,
    /// In an open load: how long after they were due the operations began.
    pub(super) lateness: Histogram<u64>,
    pub(super) errors: BTreeMap<String, ErrorCount>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Operations that succeeded in each [`SPAN`] since the warm-up ended.
    pub(super) spans: Vec<u64>,
}

impl Default for Samples {
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

impl Samples {
    /// The warm-up ends at `from`; what begins from then on counts.
    pub(super) fn start(&mut self, from: Instant) {
        self.from = Some(from);
    }

    /// Whether what begins at `begun` counts.
    pub(super) fn counts(&self, begun: Instant) -> bool {
        self.from.is_some_and(|from| from <= begun)
    }

    /// An operation of an open load begins.
    pub(super) fn begun(&mut self, due: Instant, now: Instant) {
        if self.counts(due) {
            record(&mut self.lateness, due, now);
        }
    }

    /// An operation has succeeded.
    pub(super) fn succeeded(&mut self, begun: Instant, now: Instant) {
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

    /// An operation has failed with an error of this URI and message.
    pub(super) fn failed(
        &mut self,
        begun: Instant,
        now: Instant,
        uri: &str,
        message: Option<String>,
    ) {
        if self.counts(begun) {
            let error = self.errors.entry(uri.to_owned());
            let first = ErrorCount { count: 0, message };
            error.or_insert(first).count += 1;
            self.last = Some(now);
        }
    }

    /// How many samples there are, of successes and of errors.
    pub(super) fn count(&self) -> u64 {
        let errors = self.errors.values().map(|error| error.count);
        self.latency.len() + errors.sum::<u64>()
    }

    /// Bytes have come in and gone out.
    pub(super) fn bytes(&mut self, now: Instant, bytes_in: usize, bytes_out: usize) {
        if self.counts(now) {
            self.bytes_in += bytes_in as u64;
            self.bytes_out += bytes_out as u64;
        }
    }

    /// From the end of the warm-up to the last completion.
    pub(super) fn elapsed(&self) -> Duration {
        match (self.from, self.last) {
            (Some(from), Some(last)) => last.saturating_duration_since(from),
            _ => Duration::ZERO,
        }
    }
}

fn histogram() -> Histogram<u64> {
    let longest = u64::try_from(MAX_LATENCY.as_nanos()).expect("an hour in nanoseconds fits");
    Histogram::new_with_bounds(1, longest, 3).expect("the bounds are sound")
}

fn record(histogram: &mut Histogram<u64>, from: Instant, to: Instant) {
    let nanoseconds = to.saturating_duration_since(from).as_nanos();
    histogram.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
}
