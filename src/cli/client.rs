//! What the commands that are clients of a router have in common: where the router is, what a session
//! tells, payloads as text, and what their exit codes mean. Must not know what a command asks for.

mod address;
mod failure;
pub(super) mod input;
mod payload;
mod session;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;

pub(super) use self::{
    failure::Failure,
    payload::{
        PayloadArgs, Source, compact, event_line, invocation_line, payload_envelope, payload_line,
        value_of,
    },
    session::{Session, SessionClient, Teller, Told},
};
pub(super) use super::bench::timeout as seconds;

/// How long the router may take to be reached, and again for each answer but that to a CALL.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What the help of each of these commands ends with.
macro_rules! exit_codes {
    () => {
        "\
Exit codes: 0 done; 1 the router was not reached, let no session in or was lost, or standard output
cannot be written; 2 the command line, the input or the configuration has faults; 3 the answer is an
error, which is on standard error with its URI; 4 --timeout is over; 130 interrupted by a signal."
    };
}
pub(super) use exit_codes;

/// Where the router is, and as whom to join it. Authentication belongs here.
#[derive(Args)]
pub(super) struct ConnectArgs {
    /// The router's WebSocket address [default: the first of --config, else ws://127.0.0.1:8080/ws]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The realm to join [default: the first of --config, else realm1]
    #[arg(long, value_name = "NAME")]
    realm: Option<String>,
    /// The configuration of a node, to take its address and its realm from
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConnectArgs {
    /// The configuration that is named.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// The exit code of a command, after its failure is told on standard error.
pub(super) fn exit(command: &str, outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(command),
    }
}
