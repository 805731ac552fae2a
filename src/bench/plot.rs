//! A report as a picture: the distribution of latencies and the throughput over time, as SVG.
//! Must not know how either was measured.

use std::fmt::{self, Display};

use super::Report;

/// The size of the picture and of each of its two panels, in pixels.
const SIZE: (f64, f64) = (920.0, 360.0);
const PANEL: (f64, f64) = (360.0, 240.0);
/// Where the panels begin.
const TOP: f64 = 70.0;
const LEFTS: [f64; 2] = [70.0, 530.0];
/// More points than this are put together.
const MOST_POINTS: usize = 120;

impl Report {
    /// The picture, an SVG document.
    pub fn plot(&self) -> impl Display + '_ {
        Plot(self)
    }
}

struct Plot<'a>(&'a Report);

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

fn title(report: &Report) -> String {
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
fn latencies(report: &Report) -> Panel {
    const MOST_NINES: f64 = 4.0;
    let points: Vec<_> = (report.distribution.iter())
        .map(|(percentile, us)| (-(1.0 - percentile / 100.0).log10(), us.max(1.0).log10()))
        .filter(|(nines, _)| *nines <= MOST_NINES)
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
            .map(|(nines, value)| (nines / MOST_NINES, y(*value)))
            .collect(),
        x_ticks: [
            (0.0, "0"),
            (50.0, "50"),
            (90.0, "90"),
            (99.0, "99"),
            (99.9, "99.9"),
            (99.99, "99.99"),
        ]
        .map(|(p, name)| (-(1.0 - p / 100.0_f64).log10() / MOST_NINES, name.to_owned()))
        .to_vec(),
        y_ticks: decades.map(|decade| (y(decade), name(decade))).collect(),
    }
}

fn throughput(report: &Report) -> Panel {
    // The last span is not a whole one.
    let spans = match report.throughput.split_last() {
        Some((_, whole)) if !whole.is_empty() => whole,
        _ => &report.throughput[..],
    };
    let together = spans.len().div_ceil(MOST_POINTS).max(1);
    let rates: Vec<_> = (spans.chunks(together))
        .map(|spans| spans.iter().sum::<u64>() as f64 / (spans.len() as f64 * report.span_seconds))
        .collect();
    let high = round_up(rates.iter().copied().fold(1.0, f64::max));
    let seconds = spans.len() as f64 * report.span_seconds;
    let x = |place: usize| (place as f64 + 0.5) / rates.len() as f64;
    Panel {
        left: LEFTS[1],
        title: format!("Throughput over time, {}/s", report.unit()),
        points: (rates.iter().enumerate())
            .map(|(place, rate)| (x(place), rate / high))
            .collect(),
        x_ticks: [0.0, 0.5, 1.0]
            .map(|part| (part, format!("{:.1} s", part * seconds)))
            .to_vec(),
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
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, expected) in [(1.0, 1.0), (1.1, 2.0), (23_456.0, 40_000.0), (81.0, 100.0)] {
            assert!((round_up(value) - expected).abs() < 1e-9, "{value}");
        }
    }
}
