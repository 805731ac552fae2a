//! Owns why a client's command has not done what it was asked for: the words for people and the exit
//! code for scripts. Must not know commands.

use std::{io, process::ExitCode};

use super::payload::payload_envelope;
use crate::cli::{FAULTY, signals::INTERRUPTED};

/// The exit code for a router that answers with an error.
const REFUSED: u8 = 3;
/// The exit code for a time that is over.
const TIMED_OUT: u8 = 4;

/// Why a command has failed.
#[derive(Debug)]
pub(in crate::cli) enum Failure {
    /// The command line, what it names, or the input is at fault.
    Usage(String),
    /// There is no session, or no longer.
    NoSession(String),
    /// The answer is an error.
    Refused(wamp_client::Error),
    /// `--timeout` is over.
    TimedOut,
    /// By a signal.
    Interrupted,
    /// Standard output cannot be written.
    Output(io::Error),
}

impl Failure {
    /// Tells it on standard error. The exit code.
    pub(super) fn report(self, command: &str) -> ExitCode {
        let (words, code) = match self {
            Self::Usage(why) => (why, FAULTY),
            Self::NoSession(why) => (why, 1),
            Self::Refused(error) => (in_full(&error), REFUSED),
            Self::TimedOut => ("--timeout is over".to_owned(), TIMED_OUT),
            Self::Interrupted => ("interrupted".to_owned(), INTERRUPTED),
            // Whoever has closed it does not want to read any more.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Output(error) => (format!("standard output cannot be written: {error}"), 1),
        };
        eprintln!("wampgres {command}: {words}");
        ExitCode::from(code)
    }
}

/// An error with its URI, its message, and on a line of its own what it says besides.
fn in_full(error: &wamp_client::Error) -> String {
    let is_message_all = match error.message() {
        Some(message) => wamp::Payload::from_args(&[message]).is_ok_and(|all| all == error.payload),
        None => error.payload.is_empty(),
    };
    if is_message_all {
        return error.to_string();
    }
    format!("{error}\n{}", payload_envelope(&error.payload))
}

impl From<io::Error> for Failure {
    /// Of standard output.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
