//! Where the log goes and what it looks like. Must not know what is logged.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::LogFormat;

/// Sends the log to standard error; `RUST_LOG` sets what it tells.
pub(super) fn start(format: LogFormat) {
    // Below INFO tokio_postgres writes the parameters of statements, which may be secrets.
    let no_parameters = "tokio_postgres=info".parse().expect("a target and a level");
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy()
        .add_directive(no_parameters);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would tell standard error of an error of standard error, and panic over that one.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
