//! A report as a picture: the distribution of latencies and the throughput over time, as SVG.
//! Must not know how either was measured.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use super::report::RunReport;

/// The size of the picture and of each of its two panels, in pixels.
const SIZE: (f64, f64) = (920.0, 360.0);
const PANEL: (f64, f64) = (360.0, 240.0);
/// Where the panels begin.
const TOP: f64 = 70.0;
const LEFTS: [f64; 2] = [70.0, 530.0];
/// More points than this are put together.
const MOST_POINTS: usize = 120;

impl RunReport {
    /// The picture, an SVG document.
    pub fn plot(&self) -> impl Display + '_ {
        Plot(self)
    }
}

struct Plot<'a>(&'a RunReport);

impl Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let (width, height) = SIZE;
        writeln!(
            f,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="{}" y="30" font-size="16">{}</text>"##,
            LEFTS[0],
            escaped(&title(report)),
        )?;
        latencies(report).fmt(f)?;
        throughput(report).fmt(f)?;
        writeln!(f, "</svg>")
    }
}

fn title(report: &RunReport) -> String {
    let uri = report.uri.as_deref().unwrap_or("sessions joining");
    let load = match (report.inflight, report.rate) {
        (Some(inflight), _) => format!(", {inflight} in flight"),
        (None, Some(rate)) => format!(", {rate} a second"),
        (None, None) => String::new(),
    };
    format!(
        "{uri}: {} connections{load}: {:.0} {}/s",
        report.connections,
        report.per_second,
        report.unit(),
    )
}

/// One diagram: a line and what is written around it. Points and ticks are parts of its width and
/// height, from 0 to 1.
struct Panel {
    left: f64,
    title: String,
    points: Vec<(f64, f64)>,
    x_ticks: Vec<(f64, String)>,
    y_ticks: Vec<(f64, String)>,
}

/// Latency over the percentile, both logarithmic: each step to the right is a tenth of the calls.
/// No step leads to the longest of all, which stands at the end.
fn latencies(report: &RunReport) -> Panel {
    const MOST_NINES: f64 = 4.0;
    const END: f64 = 5.0;
    let nines = |percentile: f64| -(1.0 - percentile / 100.0).log10();
    let points: Vec<_> = (report.distribution.iter())
        .map(|(percentile, us)| (nines(*percentile), us.max(1.0).log10()))
        .filter(|(nines, _)| *nines <= MOST_NINES || nines.is_infinite())
        .map(|(nines, value)| (nines.min(END), value))
        .collect();
    let values = points.iter().map(|(_, value)| *value);
    let low = values
        .clone()
        .fold(f64::INFINITY, f64::min)
        .min(6.0)
        .floor();
    let high = values.fold(low + 1.0, f64::max).ceil();
    let y = |value: f64| (value - low) / (high - low);
    let name = |decade: f64| match decade as i32 {
        decade @ ..3 => format!("{} us", 10_u64.pow(decade.unsigned_abs())),
        decade @ 3..6 => format!("{} ms", 10_u64.pow(decade.unsigned_abs() - 3)),
        decade => format!("{} s", 10_u64.pow(decade.unsigned_abs() - 6)),
    };
    let decades = (0..)
        .map(|n| low + f64::from(n))
        .take_while(|decade| *decade <= high);
    Panel {
        left: LEFTS[0],
        title: "Latency by percentile".to_owned(),
        points: (points.iter())
            .map(|(nines, value)| (nines / END, y(*value)))
            .collect(),
        x_ticks: [
            (0.0, "0"),
            (50.0, "50 %"),
            (90.0, "90 %"),
            (99.0, "99 %"),
            (99.9, "99.9 %"),
            (99.99, "99.99 %"),
            (100.0, "max"),
        ]
        .map(|(percentile, name)| (nines(percentile).min(END) / END, name.to_owned()))
        .to_vec(),
        y_ticks: decades.map(|decade| (y(decade), name(decade))).collect(),
    }
}

fn throughput(report: &RunReport) -> Panel {
    let (rates, seconds) = match report.throughput.split_last() {
        // The last span is not a whole one.
        Some((_, spans)) if !spans.is_empty() => {
            let seconds = |spans: &[u64]| spans.len() as f64 * report.span_seconds;
            let together = spans.len().div_ceil(MOST_POINTS);
            let rates = (spans.chunks(together))
                .map(|spans| spans.iter().sum::<u64>() as f64 / seconds(spans));
            (rates.collect(), seconds(spans))
        }
        Some(_) => (vec![report.per_second], report.seconds),
        None => (Vec::new(), 0.0),
    };
    let high = round_up(rates.iter().copied().fold(1.0, f64::max));
    let x = |place: usize| (place as f64 + 0.5) / rates.len() as f64;
    Panel {
        left: LEFTS[1],
        title: format!("Throughput over time, {}/s", report.unit()),
        points: (rates.iter().enumerate())
            .map(|(place, rate)| (x(place), rate / high))
            .collect(),
        x_ticks: vec![
            (0.0, "0".to_owned()),
            (
                0.5,
                format!("{:.2?}", Duration::from_secs_f64(seconds / 2.0)),
            ),
            (1.0, format!("{:.2?}", Duration::from_secs_f64(seconds))),
        ],
        y_ticks: [0.0, 0.25, 0.5, 0.75, 1.0]
            .map(|part| (part, format!("{}", part * high)))
            .to_vec(),
    }
}

/// The next number that begins with 1, 2, 4 or 8 and goes on with zeros.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 4.0, 8.0, 10.0]
        .into_iter()
        .find(|step| value <= step * decade);
    step.unwrap_or(10.0) * decade
}

impl Display for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = PANEL;
        let x = |part: f64| self.left + part * width;
        let y = |part: f64| TOP + (1.0 - part) * height;
        writeln!(
            f,
            r##"<text x="{}" y="{}">{}</text>"##,
            self.left,
            TOP - 12.0,
            escaped(&self.title)
        )?;
        for (part, name) in &self.y_ticks {
            let (x, y, right) = (self.left, y(*part), self.left + width);
            writeln!(
                f,
                r##"<path d="M{x} {y:.1}H{right}" stroke="#ddd"/><text x="{}" y="{:.1}" text-anchor="end">{name}</text>"##,
                x - 8.0,
                y + 4.0
            )?;
        }
        for (part, name) in &self.x_ticks {
            let (x, y) = (x(*part), TOP + height);
            writeln!(
                f,
                r##"<path d="M{x:.1} {y}v5" stroke="#888"/><text x="{x:.1}" y="{}" text-anchor="middle">{name}</text>"##,
                y + 20.0
            )?;
        }
        // A line from one point to none is not drawn.
        if let [(px, py)] = self.points[..] {
            let (x, y) = (x(px), y(py));
            return writeln!(
                f,
                r##"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="#06c"/>"##
            );
        }
        write!(
            f,
            r##"<polyline fill="none" stroke="#06c" stroke-width="1.5" points=""##
        )?;
        for (px, py) in &self.points {
            write!(f, "{:.1},{:.1} ", x(*px), y(*py))?;
        }
        writeln!(f, r#""/>"#)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Mode, Wait};

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, expected) in [(1.0, 1.0), (1.1, 2.0), (23_456.0, 40_000.0), (81.0, 100.0)] {
            assert!((round_up(value) - expected).abs() < 1e-9, "{value}");
        }
    }

    fn plot(throughput: &[u64], seconds: f64, distribution: &[(f64, f64)]) -> String {
        let operations: u64 = throughput.iter().sum();
        let report = RunReport {
            mode: Mode::Call,
            url: "ws://127.0.0.1/ws".to_owned(),
            uri: Some("com.example.<a>".to_owned()),
            connections: 1,
            inflight: Some(1),
            rate: None,
            wait: Wait::Asleep,
            operations,
            seconds,
            per_second: operations as f64 / seconds,
            latency_us: None,
            lateness_us: None,
            errors: BTreeMap::new(),
            only_errors: None,
            bytes_in: 0,
            bytes_out: 0,
            span_seconds: 0.1,
            throughput: throughput.to_vec(),
            distribution: distribution.to_vec(),
        };
        report.plot().to_string()
    }

    fn assert_has(plot: &str, parts: &[&str]) {
        for part in parts {
            assert!(plot.contains(part), "{part} in {plot}");
        }
    }

    #[test]
    fn one_point_is_a_dot_and_short_times_are_told_apart() {
        let one_call = plot(&[1], 0.0123, &[(100.0, 500.0)]);
        assert_eq!(one_call.matches("<circle").count(), 2, "{one_call}");
        assert_has(&one_call, &[">0<", ">6.15ms<", ">12.30ms<"]);
        let one_span = plot(&[30, 4], 0.12, &[]);
        assert_has(&one_span, &[">50.00ms<", ">100.00ms<", "<circle"]);
        let long = plot(&[1; 251], 25.1, &[]);
        assert_has(&long, &[">12.50s<", ">25.00s<"]);
        assert_eq!(long.matches("<circle").count(), 0, "{long}");
        let nothing = plot(&[], 1.0, &[]);
        assert!(
            !nothing.contains("NaN") && !nothing.contains("inf"),
            "{nothing}"
        );
    }

    #[test]
    fn the_longest_latency_stands_at_the_end_of_the_axis() {
        let steps = [(0.0, 10.0), (90.0, 100.0), (99.995, 500.0), (100.0, 1000.0)];
        let plot = plot(&[1, 1, 1], 0.3, &steps);
        assert_has(&plot, &[">50 %<", ">99 %<", ">99.99 %<", ">max<"]);
        let (left, right) = (LEFTS[0], LEFTS[0] + PANEL.0);
        let (low, high) = (TOP + PANEL.1, TOP);
        let middle = f64::midpoint(low, high);
        let line = format!(
            "{left:.1},{low:.1} {:.1},{middle:.1} {right:.1},{high:.1} ",
            left + PANEL.0 / 5.0
        );
        assert_has(&plot, &[&format!(r#"points="{line}""#)]);
    }
}
