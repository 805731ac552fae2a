//! `wampgres call`: calls a procedure and prints what it answers. Owns what goes to which standard
//! stream.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use component::Classes;
use wamp::Payload;

use super::client::{
    ConnectArgs, Failure, PayloadArgs, Session, Source, Told, exit, exit_codes, input,
    payload_envelope, payload_line, seconds,
};

pub(super) const HELP: &str = concat!(
    "\
Examples:
  wampgres call com.shop.goods.cheap 10           the goods below 10
  wampgres call com.shop.goods.cheap -k price=10  the same by the parameter's name
  wampgres call com.shop.login --input -          arguments that other users must not see
  wampgres call com.shop.all --stream > all.jsonl a result in parts, a line each

The answer is one line of JSON on standard output: the value of the result, null if it has none, or an
object of `args` and `kwargs` if it has several.

",
    exit_codes!()
);

#[derive(Args)]
pub(super) struct CallArgs {
    /// The procedure
    #[arg(value_name = "URI")]
    procedure: String,
    #[command(flatten)]
    payload: PayloadArgs,
    /// Take the result in parts and write each as a line to standard error
    #[arg(long)]
    progress: bool,
    /// Take the result in parts and write each as a line to standard output. The last, which says
    /// that this was all, is written if there is something in it
    #[arg(long, conflicts_with = "progress")]
    stream: bool,
    /// Write each result as an object of `args` and `kwargs`
    #[arg(long)]
    full: bool,
    /// How long the answer may take. The call is canceled then [default: as long as it takes]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) fn run(args: &CallArgs, classes: &Classes) -> ExitCode {
    exit("call", call(args, classes))
}

fn call(args: &CallArgs, classes: &Classes) -> Result<(), Failure> {
    let payload = match args.payload.source()? {
        Source::CommandLine(payload) => payload,
        Source::Input(file) => input::read_one(file)?,
    };
    let session = Session::open(&args.connect, classes)?;
    let outcome = answer(args, &session, payload);
    session.leave();
    outcome
}

fn answer(args: &CallArgs, session: &Session, payload: Payload) -> Result<(), Failure> {
    let in_parts = args.progress || args.stream;
    let call = session.call(args.procedure.as_str().into(), payload, in_parts);
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
    let line = if args.full {
        payload_envelope
    } else {
        payload_line
    };
    loop {
        match session.next(deadline) {
            Ok(Told::Part(part)) if args.stream => writeln!(io::stdout(), "{}", line(&part))?,
            // Whoever has closed it does not want to read this.
            Ok(Told::Part(part)) => drop(writeln!(io::stderr(), "{}", line(&part))),
            Ok(Told::Answered(Ok(last))) if args.stream && last.is_empty() => return Ok(()),
            Ok(Told::Answered(Ok(result))) => {
                writeln!(io::stdout(), "{}", line(&result))?;
                return Ok(());
            }
            Ok(Told::Answered(Err(error))) => return Err(Failure::Refused(error)),
            Ok(_) => {}
            Err(failure) => {
                call.inspect(|call| session.cancel(*call));
                return Err(failure);
            }
        }
    }
}
