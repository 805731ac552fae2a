//! `wampgres bench`: puts a load on a router and prints what it measures. Owns the progress line
//! and the files written; must not know how the load is made.

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::{CommandFactory, error::ErrorKind};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::value::RawValue;

use super::{BenchArgs, BenchMode, BenchSerializer, BenchWait, Cli, raise_file_limit};
use wamp::Serializer;
use wamp_bench::{Limit, Load, Mode, Options, Progress, Target, Wait};

/// How many files a run needs besides its connections.
const SPARE_FILES: u64 = 32;
/// How long the load is measured by default.
const DURATION: Duration = Duration::from_secs(10);
/// How long the load runs before it is measured, if time is the limit.
const WARMUP: Duration = Duration::from_millis(500);

pub(super) fn run(args: &BenchArgs) -> ExitCode {
    if let (BenchMode::Connect, Some(option)) = (args.mode, about_calls(args)) {
        let words = format!("--mode connect makes no calls: {option} is of no use with it");
        Cli::command()
            .error(ErrorKind::ArgumentConflict, words)
            .exit();
    }
    match measure(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wampgres bench: {error}");
            ExitCode::FAILURE
        }
    }
}

pub(super) fn target(text: &str) -> Result<Target, wamp_bench::Error> {
    Target::new(text)
}

/// Arguments of a call: a JSON list.
pub(super) fn list(text: &str) -> serde_json::Result<Box<RawValue>> {
    serde_json::from_str::<Vec<serde::de::IgnoredAny>>(text)?;
    RawValue::from_string(text.trim().to_owned())
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    seconds_from(0.0, text)
}

/// A time within which something has to happen.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    seconds_from(0.001, text)
}

fn seconds_from(least: f64, text: &str) -> Result<Duration, String> {
    // Eleven days, and far from where the clock's numbers end.
    const MOST: f64 = 1e6;
    match text.parse() {
        Ok(seconds) if (least..=MOST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("not a number of seconds from {least} to {MOST}")),
    }
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("not a number of calls a second from 0.001 to 1000000".to_owned()),
    }
}

/// An option that is there and says something about calls.
fn about_calls(args: &BenchArgs) -> Option<&'static str> {
    let options = [
        ("--procedure", args.procedure.is_some()),
        ("--args", args.args.is_some()),
        ("--inflight", args.inflight.is_some()),
        ("--rate", args.rate.is_some()),
        ("--calls", args.calls.is_some()),
        ("--warmup", args.warmup.is_some()),
    ];
    let mut there = options.into_iter().filter(|(_, is_there)| *is_there);
    there.next().map(|(option, _)| option)
}

/// What the command line asks for.
fn options(args: &BenchArgs) -> Options {
    let mode = match args.mode {
        BenchMode::Call => Mode::Call,
        BenchMode::Echo => Mode::Echo,
        BenchMode::Pubsub => Mode::PubSub,
        BenchMode::Connect => Mode::Connect,
    };
    let uri = args.procedure.as_deref().unwrap_or(match mode {
        Mode::Call | Mode::Connect => "com.example.now.v1",
        Mode::Echo => "com.example.bench.echo",
        Mode::PubSub => "com.example.bench.topic",
    });
    Options {
        target: args.url.clone(),
        realm: args.realm.clone(),
        mode,
        uri: uri.to_owned(),
        args: args.args.clone(),
        connections: args.connections.get().into(),
        load: match args.rate {
            Some(rate) => Load::Open { rate },
            None => Load::Closed {
                inflight: args.inflight.map_or(1, |inflight| inflight.get().into()),
            },
        },
        limit: match args.calls {
            Some(calls) => Limit::Operations(calls.get()),
            None => Limit::Duration(args.duration.unwrap_or(DURATION)),
        },
        // Exactly as many calls as were asked for.
        warmup: args.warmup.unwrap_or(if args.calls.is_some() {
            Duration::ZERO
        } else {
            WARMUP
        }),
        patience: args.timeout,
        serializer: match args.serializer {
            BenchSerializer::Json => Serializer::Json,
        },
        wait: match args.wait {
            BenchWait::Asleep => Wait::Asleep,
            BenchWait::Awake => Wait::Awake,
        },
    }
}

fn measure(args: &BenchArgs) -> Result<(), Box<dyn std::error::Error>> {
    let options = options(args);
    let files = raise_file_limit()?;
    let wanted = options.connections as u64 + SPARE_FILES;
    if files < wanted {
        return Err(format!(
            "{} connections need {wanted} open files, and the limit is {files}: raise it with \
             `ulimit -Hn {wanted}`, as root",
            options.connections
        )
        .into());
    }
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let plot = args.plot.as_deref().map(Output::open).transpose()?;
    let line = Line::new();
    let mut stays = options.mode == Mode::Connect;
    let outcome = wamp_bench::run(options, &mut |progress| {
        line.draw(progress);
        // For whoever waits until they are there.
        if stays && progress.ready == progress.sessions {
            stays = false;
            line.bar.suspend(|| {
                let _ = writeln!(io::stdout(), "{} sessions are ready", progress.ready);
            });
        }
    });
    line.clear();
    let report = outcome?;
    if let Some(json) = json {
        json.write(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(plot) = plot {
        plot.write(&report.plot().to_string())?;
    }
    // If standard output is closed, nobody wants to read it.
    let _ = writeln!(io::stdout(), "{report}");
    match report.only_errors {
        Some(errors) => Err(errors.into()),
        None => Ok(()),
    }
}

/// Opens a file for the figures before the run, so that a file that cannot be opened is found out
/// at once.
struct Output<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Output<'a> {
    fn open(path: &'a Path) -> Result<Self, String> {
        // It is not emptied yet, so a run that fails keeps the figures of the one before.
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| unwritable(path, &error))?;
        Ok(Self { path, file })
    }

    fn write(mut self, text: &str) -> Result<(), String> {
        let emptied = self.file.set_len(0);
        let written = emptied.and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| unwritable(self.path, &error))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

/// A line on a terminal that shows how far the run is; nothing elsewhere.
struct Line {
    bar: ProgressBar,
    /// The text behind the bar. It is not the bar's own message, because setting that draws once
    /// more.
    status: Arc<Mutex<String>>,
}

impl Line {
    /// What the bar counts to: parts of a run, a power of two so that halves of it are exact.
    const LENGTH: u64 = 1 << 20;

    fn new() -> Self {
        let status = Arc::new(Mutex::new(String::new()));
        let shown = status.clone();
        let style = ProgressStyle::with_template("[{bar:30}] {status}")
            .expect("the template is right")
            .progress_chars("#--")
            .with_key(
                "status",
                move |_: &ProgressState, out: &mut dyn fmt::Write| {
                    let status = shown.lock().unwrap_or_else(PoisonError::into_inner);
                    let _ = out.write_str(&status);
                },
            );
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(Self::LENGTH), target).with_style(style);
        Self { bar, status }
    }

    fn draw(&self, progress: &Progress) {
        let status = if progress.ready < progress.sessions {
            format!("{} of {} sessions ready", progress.ready, progress.sessions)
        } else {
            format!("{} done, {:.0}/s", progress.done, progress.per_second)
        };
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
        (self.bar).update(|state| state.set_pos((progress.fraction * Self::LENGTH as f64) as u64));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
