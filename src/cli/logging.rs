//! Where the log goes and what it looks like. Must not know what is logged.

pub(crate) mod limit;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    env, io,
    io::IsTerminal,
    panic::PanicHookInfo,
    thread,
    time::Duration,
};

use tracing_subscriber::{
    EnvFilter, Layer, filter::Directive, filter::LevelFilter, layer::SubscriberExt,
    util::SubscriberInitExt,
};

use self::limit::{Limit, Limits};
use super::LogFormat;
use stdio::LogWriter;

/// How long the end of the process waits for whoever reads its log.
const FAREWELL: Duration = Duration::from_secs(1);
/// The most bytes of a panic's message in the log: it may repeat what a peer has sent.
const PANIC_LIMIT: usize = 2048;
/// Directives that count whatever `RUST_LOG` says. Nobody would think of asking for the first two;
/// and below INFO tokio_postgres writes the parameters of statements, and tungstenite whole messages,
/// in which may be secrets.
const DIRECTIVES: [&str; 4] = [
    "wampgres::stdio=error",
    "wampgres::panic=error",
    "tokio_postgres=info",
    "tungstenite=info",
];

/// The log while the node runs. Dropped, it says what was left out, and waits a moment for what was
/// logged and printed to be written.
pub(super) struct Log {
    limits: Limits,
}

/// Sends the log to standard error; `RUST_LOG` sets what is logged.
///
/// # Errors
/// When the system has no threads or descriptors left.
pub(super) fn start(format: LogFormat) -> io::Result<Log> {
    stdio::start()?;
    let wanted = env::var("RUST_LOG").unwrap_or_default();
    let (filter, ignored) = filter(&wanted);
    let limits = Limits::default();
    let log = tracing_subscriber::fmt::layer()
        .with_writer(|| LogWriter)
        // It would write an error of standard error to standard error, and panic when that fails.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    let log = match format {
        LogFormat::Text => log.with_target(false).boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(Limit(limits.clone()))
        .with(log)
        .init();
    std::panic::set_hook(Box::new(log_panic));
    for directive in ignored {
        tracing::warn!("RUST_LOG: ignoring {directive:?}, which is no directive of a filter");
    }
    Ok(Log { limits })
}

/// Sends warnings to standard error as they come, for a command that serves nobody; `RUST_LOG` sets
/// what is logged.
pub(super) fn start_for_client() {
    let wanted = env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
    let log = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .with_target(false);
    let (filter, _) = filter(&wanted);
    tracing_subscriber::registry().with(filter).with(log).init();
}

/// What `RUST_LOG` asks for, and the parts that cannot be understood, which the crate would write
/// to standard error itself.
fn filter(wanted: &str) -> (EnvFilter, Vec<&str>) {
    let parts = wanted.split(',').filter(|part| !part.is_empty());
    let (good, ignored): (Vec<_>, Vec<_>) =
        parts.partition(|part| part.parse::<Directive>().is_ok());
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse_lossy(good.join(","));
    let filter = DIRECTIVES.iter().fold(filter, |filter, directive| {
        filter.add_directive(directive.parse().expect("a target and a level"))
    });
    (filter, ignored)
}

/// Logs a panic like anything else. The standard library's hook would wait for whoever reads
/// standard error.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let message = panic.payload_as_str().unwrap_or("its message is no text");
    let message = &message[..message.floor_char_boundary(PANIC_LIMIT)];
    let backtrace = Backtrace::capture();
    let is_wanted = backtrace.status() == BacktraceStatus::Captured;
    tracing::error!(
        target: "wampgres::panic",
        thread = thread.name().unwrap_or("unnamed"),
        place = panic.location().map(tracing::field::display),
        backtrace = is_wanted.then(|| tracing::field::display(backtrace)),
        panic = message,
        "there was a panic"
    );
}

impl Drop for Log {
    fn drop(&mut self) {
        self.limits.tell_all();
        stdio::finish(FAREWELL);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, panic, sync::mpsc};

    use super::*;

    struct Lines(mpsc::Sender<String>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_one_line_of_the_log() {
        const NAME: &str = "doomed";
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| match thread::current().name() {
            Some(NAME) => log_panic(info),
            _ => others(info),
        }));
        let (send, lines) = mpsc::channel();
        let doomed = thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            let log = tracing_subscriber::fmt()
                .json()
                .with_writer(move || Lines(send.clone()))
                .finish();
            tracing::subscriber::with_default(log, || panic!("{}", "x".repeat(10_000)));
        });
        assert!(doomed.unwrap().join().is_err());
        let lines: Vec<_> = lines.iter().collect();
        assert_eq!(lines.len(), 1);
        let entry: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(entry["fields"]["thread"], NAME);
        let place = entry["fields"]["place"].as_str().unwrap();
        assert!(place.contains("logging.rs"), "{place}");
        let message = entry["fields"]["panic"].as_str().unwrap();
        assert!(message.starts_with("xxx") && message.len() < 2100);
    }

    #[test]
    fn what_rust_log_cannot_mean_is_given_back() {
        let (filter, ignored) = filter("debug,a b=c=d,wampgres::adbapi=trace");
        assert_eq!(ignored, ["a b=c=d"]);
        let filter = filter.to_string();
        for directive in DIRECTIVES
            .iter()
            .chain(&["debug", "wampgres::adbapi=trace"])
        {
            assert!(filter.contains(directive), "{directive} in {filter}");
        }
    }
}
