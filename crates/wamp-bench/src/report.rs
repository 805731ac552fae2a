//! What a run has measured: as figures, and as words for people. Must not know how it was done.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    error::{OnlyErrors, colon},
    options::{Load, Mode, RunOptions, Wait},
    run_state::RunState,
    samples::{ErrorCount, SPAN},
};

/// The figures of a run. Serialized, they are the JSON of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// What the sessions did.
    pub mode: Mode,
    /// The router's address.
    pub url: String,
    /// The procedure or topic; `None` if sessions merely joined.
    pub uri: Option<String>,
    /// How many sessions called, subscribed or joined.
    pub connections: usize,
    /// In a closed load: how many operations each session had in flight.
    pub inflight: Option<usize>,
    /// In an open load: the arrival rate, operations due a second.
    pub rate: Option<f64>,
    /// How the generator waited for answers.
    pub wait: Wait,
    /// Operations that succeeded: results, events delivered, sessions joined.
    pub operations: u64,
    /// From the end of the warm-up to the last completion.
    pub seconds: f64,
    /// Operations that succeeded, a second.
    pub per_second: f64,
    /// How long they took, in microseconds; `None` if none succeeded.
    pub latency_us: Option<Latency>,
    /// In an open load: how long after they were due the operations began, in microseconds. So much
    /// of `latency_us` is the generator's, or comes from the lack of a processor for it.
    pub lateness_us: Option<Latency>,
    /// Operations that failed, by the error's URI.
    pub errors: BTreeMap<String, ErrorCount>,
    /// The errors, if the run has had nothing else, the warm-up included.
    #[serde(skip)]
    pub only_errors: Option<OnlyErrors>,
    /// Bytes received, with their framing.
    pub bytes_in: u64,
    /// Bytes sent, with their framing.
    pub bytes_out: u64,
    /// The length of the spans of `throughput`, in seconds.
    pub span_seconds: f64,
    /// How many operations succeeded in each span.
    pub throughput: Vec<u64>,
    /// The distribution of latencies: percentiles with their microseconds.
    pub distribution: Vec<(f64, f64)>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// The shortest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// Half of all are not longer.
    pub p50: f64,
    /// 90 of 100 are not longer.
    pub p90: f64,
    /// 99 of 100 are not longer.
    pub p99: f64,
    /// 999 of 1,000 are not longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

const NANOSECONDS: f64 = 1000.0;

impl Latency {
    fn new(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / NANOSECONDS;
        Some(Self {
            min: histogram.min() as f64 / NANOSECONDS,
            mean: histogram.mean() / NANOSECONDS,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / NANOSECONDS,
        })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            p50,
            p90,
            p99,
            p999,
            max,
            ..
        } = self;
        write!(
            f,
            "p50 {p50:.0} p90 {p90:.0} p99 {p99:.0} p99.9 {p999:.0} max {max:.0} us"
        )
    }
}

impl RunReport {
    pub(super) fn new(options: &RunOptions, run: &RunState) -> Self {
        let samples = &run.samples;
        let (inflight, rate) = match options.load {
            _ if options.mode == Mode::Connect => (None, None),
            Load::Closed { inflight } => (Some(inflight), None),
            Load::Open { rate } => (None, Some(rate)),
        };
        let operations = samples.latency.len();
        let seconds = samples.elapsed().as_secs_f64();
        Self {
            mode: options.mode,
            url: options.router.url(),
            uri: (options.mode != Mode::Connect).then(|| options.uri.clone()),
            connections: options.connections,
            inflight,
            rate,
            wait: options.wait,
            operations,
            seconds,
            per_second: if seconds > 0.0 {
                operations as f64 / seconds
            } else {
                0.0
            },
            latency_us: Latency::new(&samples.latency),
            lateness_us: rate.and_then(|_| Latency::new(&samples.lateness)),
            errors: samples.errors.clone(),
            only_errors: run.only_errors().cloned(),
            bytes_in: samples.bytes_in,
            bytes_out: samples.bytes_out,
            span_seconds: SPAN.as_secs_f64(),
            throughput: samples.spans.clone(),
            distribution: distribution(&samples.latency),
        }
    }

    /// What an operation is called.
    pub fn unit(&self) -> &'static str {
        self.mode.unit()
    }
}

/// Percentiles, closer together towards the end.
fn distribution(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let steps = histogram.iter_quantiles(4);
    steps
        .map(|step| {
            let value = step.value_iterated_to() as f64 / NANOSECONDS;
            (step.quantile_iterated_to() * 100.0, value)
        })
        .collect()
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit();
        let time = Duration::from_secs_f64(self.seconds);
        writeln!(f, "{unit:<10}{} in {time:.2?}", self.operations)?;
        writeln!(f, "{:<10}{:.0}", format!("{unit}/s"), self.per_second)?;
        match &self.latency_us {
            Some(latency) => writeln!(f, "latency   {latency}")?,
            None => writeln!(f, "latency   -")?,
        }
        if let Some(lateness) = &self.lateness_us {
            writeln!(f, "late by   {lateness}")?;
        }
        match self.wait {
            Wait::Asleep => writeln!(f, "waited    asleep, as most clients do")?,
            Wait::Awake => writeln!(
                f,
                "waited    awake; a client that sleeps sees less (--wait asleep)"
            )?,
        }
        write!(f, "bytes     {} in, {} out", self.bytes_in, self.bytes_out)?;
        for (uri, ErrorCount { count, message }) in &self.errors {
            write!(f, "\nerrors    {count} {uri}{}", colon(message))?;
        }
        Ok(())
    }
}
