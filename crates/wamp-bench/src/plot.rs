//! A report as a picture: latency by percentile and throughput over time, as SVG. Must not know how
//! either was measured.

use std::{io, ops::Range};

use plotters::{
    coord::{
        Shift,
        ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter},
        types::RangedCoordf64,
    },
    prelude::*,
};

use super::report::RunReport;

/// The size of the picture, in pixels.
const SIZE: (u32, u32) = (960, 390);
/// More spans than this are averaged.
const MAX_POINTS: usize = 120;

const FONT: &str = "sans-serif";
const LINE: RGBColor = RGBColor(0x00, 0x66, 0xcc);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

impl RunReport {
    /// The picture, an SVG document.
    pub fn plot(&self) -> String {
        let mut svg = String::new();
        draw(self, &mut svg).expect("a String takes every drawing");
        svg
    }
}

fn draw(report: &RunReport, svg: &mut String) -> Drawn {
    let picture = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    picture.fill(&WHITE)?;
    let below_title = picture
        .margin(10, 0, 0, 0)
        .titled(&title(report), (FONT, 20))?;
    let halves = below_title.split_evenly((1, 2));
    latency(report).draw(&halves[0])?;
    throughput(report).draw(&halves[1])?;
    picture.present()
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

/// One diagram with one line.
struct Chart {
    caption: &'static str,
    points: Vec<(f64, f64)>,
    x: Axis,
    y: Axis,
}

struct Axis {
    name: String,
    /// Its ticks with their labels.
    ticks: Vec<(f64, String)>,
    /// Where it ends; it begins at the first tick.
    end: f64,
}

impl Axis {
    /// From 0 to `end`, with ticks at round numbers.
    fn from_zero(name: String, end: f64) -> Self {
        const MAX_TICKS: usize = 7;
        let ticks = RangedCoordf64::from(0.0..end).key_points(MAX_TICKS);
        // Without the digits that adding up parts of one has left.
        let label = |tick: f64| ((tick * 1e9).round() / 1e9).to_string();
        Self {
            name,
            ticks: ticks.into_iter().map(|tick| (tick, label(tick))).collect(),
            end,
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.ticks[0].0..self.end
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(at, _)| at == value);
        tick.map_or_else(String::new, |(_, label)| label.clone())
    }
}

/// Latency over the percentile, both logarithmic: each step to the right is a tenth of the calls.
/// The longest latency of all would be infinitely far away, so it stands at the end.
fn latency(report: &RunReport) -> Chart {
    const MAX_NINES: f64 = 4.0;
    const END: f64 = 5.0;
    let nines = |percentile: f64| -(1.0 - percentile / 100.0).log10();
    let points: Vec<_> = (report.distribution.iter())
        .map(|(percentile, us)| (nines(*percentile), us.max(1.0)))
        .filter(|(nines, _)| *nines <= MAX_NINES || nines.is_infinite())
        .map(|(nines, us)| (nines.min(END), us.log10()))
        .collect();
    let percentiles = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0].map(|percentile| {
        let label = match percentile {
            // There is no room for it beside 50 %.
            0.0 => String::new(),
            100.0 => "max".to_owned(),
            _ => format!("{percentile} %"),
        };
        (nines(percentile).min(END), label)
    });
    let ticks: Vec<_> = (latency_ticks(&points).into_iter())
        .map(|us| (us.log10(), with_unit(us)))
        .collect();
    Chart {
        caption: "Latency by percentile",
        points,
        x: Axis {
            name: "percentile".to_owned(),
            ticks: percentiles.to_vec(),
            end: END,
        },
        y: Axis {
            name: "latency".to_owned(),
            end: ticks.last().map_or(1.0, |(at, _)| *at),
            ticks,
        },
    }
}

/// Round numbers of microseconds from below the lowest point to above the highest.
fn latency_ticks(points: &[(f64, f64)]) -> Vec<f64> {
    const MAX_DECADES: f64 = 3.0;
    let logarithms = || points.iter().map(|(_, logarithm)| *logarithm);
    let low = logarithms().reduce(f64::min).unwrap_or(0.0);
    let high = logarithms().reduce(f64::max).unwrap_or(0.0);
    let steps: &[f64] = if high - low > MAX_DECADES {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    // Up to 10,000 seconds, more than a latency is counted to.
    let all: Vec<f64> = (0..=10)
        .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
        .collect();
    let first = all.iter().rposition(|tick| tick.log10() <= low);
    let last = all.iter().position(|tick| tick.log10() >= high);
    let (first, last) = (first.unwrap_or(0), last.unwrap_or(all.len() - 1));
    all[first..=last.max(first + 1)].to_vec()
}

fn with_unit(us: f64) -> String {
    match us {
        ..1e3 => format!("{us} us"),
        1e3..1e6 => format!("{} ms", us / 1e3),
        _ => format!("{} s", us / 1e6),
    }
}

fn throughput(report: &RunReport) -> Chart {
    let span = report.span_seconds;
    let (points, seconds): (Vec<_>, _) = match report.throughput.split_last() {
        // The last span is not a whole one.
        Some((_, spans)) if !spans.is_empty() => {
            let together = spans.len().div_ceil(MAX_POINTS);
            let points = spans.chunks(together).enumerate().map(|(index, spans)| {
                let seconds = spans.len() as f64 * span;
                let begin = (index * together) as f64 * span;
                (
                    begin + seconds / 2.0,
                    spans.iter().sum::<u64>() as f64 / seconds,
                )
            });
            (points.collect(), spans.len() as f64 * span)
        }
        Some(_) => (
            vec![(report.seconds / 2.0, report.per_second)],
            report.seconds,
        ),
        None => (Vec::new(), report.seconds),
    };
    let highest = points.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    // An axis needs some length.
    let or_one = |end: f64| if end > 0.0 { end } else { 1.0 };
    Chart {
        caption: "Throughput over time",
        points,
        x: Axis::from_zero("seconds".to_owned(), or_one(seconds)),
        y: Axis::from_zero(format!("{}/s", report.unit()), or_one(highest * 1.1)),
    }
}

impl Chart {
    fn draw(self, area: &Area<'_>) -> Drawn {
        let (x_name, y_name) = (self.x.name.clone(), self.y.name.clone());
        let mut chart = ChartBuilder::on(area)
            .caption(self.caption, (FONT, 16))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(45)
            .y_label_area_size(85)
            .build_cartesian_2d(self.x, self.y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 14))
            .x_desc(x_name)
            .y_desc(y_name)
            .draw()?;
        if let [point] = self.points[..] {
            // A line from one point to none would not be seen.
            chart.draw_series([Circle::new(point, 3, LINE.filled())])?;
        } else {
            chart.draw_series(LineSeries::new(self.points, LINE.stroke_width(2)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Mode, Wait};

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
        report.plot()
    }

    /// Asserts that these texts stand in the picture, each as a whole.
    fn assert_says(plot: &str, texts: &[&str]) {
        for text in texts {
            let is_there = plot.lines().any(|line| line == *text);
            assert!(is_there, "{text} in {plot}");
        }
    }

    /// The points of the lines of the data, and the dots.
    fn drawn(plot: &str) -> (Vec<&str>, usize) {
        let data = || plot.lines().filter(|line| line.contains("\"#0066CC\""));
        let lines = data().filter_map(|line| line.split_once("points=\"")?.1.split('"').next());
        let dots = data().filter(|line| line.starts_with("<circle"));
        (lines.collect(), dots.count())
    }

    #[test]
    fn a_picture_says_what_it_shows() {
        let plot = plot(&[1000, 1000, 7], 0.2, &[(0.0, 100.0), (100.0, 2000.0)]);
        let title = "com.example.&lt;a&gt;: 1 connections, 1 in flight: 10035 calls/s";
        let axes = ["percentile", "latency", "seconds", "calls/s"];
        assert_says(
            &plot,
            &[title, "Latency by percentile", "Throughput over time"],
        );
        assert_says(&plot, &axes);
        assert_eq!((drawn(&plot).0.len(), drawn(&plot).1), (2, 0), "{plot}");
    }

    #[test]
    fn one_point_is_a_dot_and_short_times_are_told_apart() {
        let one_call = plot(&[1], 0.0123, &[(100.0, 500.0)]);
        assert_eq!(drawn(&one_call), (Vec::new(), 2), "{one_call}");
        assert_says(&one_call, &["0", "0.002", "0.012"]);
        let one_span = plot(&[30, 4], 0.12, &[]);
        assert_eq!(drawn(&one_span).1, 1, "{one_span}");
        assert_says(&one_span, &["0.02", "0.1", "300"]);
        let long = plot(&[1; 251], 25.1, &[]);
        assert_says(&long, &["5", "25"]);
        assert_eq!(drawn(&long).1, 0, "{long}");
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
        assert_says(&plot, &["50 %", "99 %", "99.99 %", "max", "10 us", "1 ms"]);
        let line = drawn(&plot).0[0];
        let points: Vec<(f64, f64)> = (line.split_whitespace())
            .map(|point| point.split_once(',').expect("two coordinates"))
            .map(|(x, y)| (x.parse().expect("a number"), y.parse().expect("a number")))
            .collect();
        let [low, middle, high] = points[..] else {
            panic!("not the three points up to 99.99 % and the longest: {line}");
        };
        // 90 % are a fifth of the way, 100 us half of the way from 10 us to 1 ms.
        assert!(
            (middle.0 - (low.0 + (high.0 - low.0) / 5.0)).abs() <= 1.0,
            "{line}"
        );
        assert!(
            (middle.1 - f64::midpoint(low.1, high.1)).abs() <= 1.0,
            "{line}"
        );
    }

    #[test]
    fn latencies_have_round_numbers_around_them() {
        let ticks = |us: &[f64]| {
            let points: Vec<_> = us.iter().map(|us| (0.0, us.log10())).collect();
            latency_ticks(&points)
        };
        assert_eq!(ticks(&[130.0, 190.0]), [100.0, 200.0]);
        assert_eq!(ticks(&[20.0, 20.0]), [20.0, 50.0]);
        assert_eq!(ticks(&[30.0, 400_000.0]), [1e1, 1e2, 1e3, 1e4, 1e5, 1e6]);
        assert_eq!(ticks(&[3.6e9]), [2e9, 5e9]);
        assert_eq!(ticks(&[]), [1.0, 2.0]);
        assert_eq!([1.0, 2e3, 5e6].map(with_unit), ["1 us", "2 ms", "5 s"]);
    }
}
