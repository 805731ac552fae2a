//! `wampgres register`: a procedure whose calls a program answers, run once for each. Owns how many
//! run at once and when they are ended; must not know how a program is run.

mod program;
mod runs;

use std::{
    ffi::OsString,
    io::{self, Write},
    num::{NonZeroU16, NonZeroU64},
    process::ExitCode,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clap::Args;
use component::Classes;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use wamp::{Invocation, RegisterOptions, RegistrationId, error_uri};
use wamp_client::Error;

use self::{
    program::Program,
    runs::{Runs, Why},
};
use super::client::{
    ConnectArgs, Failure, Session, SessionClient, Teller, Told, exit, exit_codes, seconds,
};

pub(super) const HELP: &str = concat!(
    "\
Examples:
  wampgres register com.shop.hash --exec sha256sum
  wampgres register com.shop.pdf --exec python3 --concurrency 2 --timeout 30 -- make_pdf.py

The program gets one line of JSON on standard input: {\"procedure\", \"args\", \"kwargs\", \"details\"}; the
details say who calls, where the router discloses that. What it writes to standard output is the result:
JSON is taken as JSON, all else as a string. What it writes to standard error goes on to here. With an exit
status other than 0 the call fails: with the URI wamp.error.runtime_error and the last line of standard
error, or as that line says if it is {\"error\": URI, \"args\": [], \"kwargs\": {}}.

A program whose call is canceled or takes longer than --timeout is sent SIGTERM, and SIGKILL 5 seconds
later, with all processes of its process group. A signal (SIGINT, SIGTERM) ends the registration, waits
--stop-timeout for the programs that run, and ends the command with exit code 0.

",
    exit_codes!()
);

#[derive(Args)]
pub(super) struct RegisterArgs {
    /// The procedure
    #[arg(value_name = "URI")]
    procedure: String,
    /// The program that answers calls
    #[arg(long, value_name = "PROGRAM")]
    exec: OsString,
    /// The arguments of the program
    #[arg(value_name = "PROGRAM ARGS", last = true)]
    exec_args: Vec<OsString>,
    /// How many programs may run at once; further calls wait in the router [default: as many as there
    /// are processors]
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroU16>,
    /// How long a program may run [default: as long as it takes]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// How long programs may run on after a signal
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "9")]
    stop_timeout: Duration,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// So many invocations may wait here for a program that has ended. A router that knows
/// `concurrency` sends none that has to wait.
const WAITING: usize = 100;

pub(super) fn run(args: &RegisterArgs, classes: &Classes) -> ExitCode {
    exit("register", register(args, classes))
}

fn register(args: &RegisterArgs, classes: &Classes) -> Result<(), Failure> {
    let program = Program::new(args.exec.clone(), args.exec_args.clone())?;
    let session = Session::open(&args.connect, classes)?;
    let concurrency = args.concurrency.map_or_else(processors, NonZeroU16::get);
    let (jobs, waiting) = bounded(WAITING);
    let callee = Callee {
        session: &session,
        runs: Arc::new(Runs::new(args.timeout)),
        jobs,
        registration: None,
    };
    let worker = Worker {
        program: Arc::new(program),
        procedure: args.procedure.as_str().into(),
        runs: callee.runs.clone(),
        waiting,
        client: session.client.clone(),
        teller: session.teller(),
    };
    let workers = (0..concurrency).map(|_| worker.clone().start());
    let outcome = match workers.collect::<io::Result<Vec<_>>>() {
        Ok(workers) => callee.serve(args, concurrency, workers),
        Err(why) => Err(Failure::NoSession(format!("cannot start a thread: {why}"))),
    };
    session.leave();
    outcome
}

fn processors() -> u16 {
    let processors = std::thread::available_parallelism();
    processors.map_or(1, |processors| {
        processors.get().try_into().unwrap_or(u16::MAX)
    })
}

/// The thread that hears the router.
struct Callee<'a> {
    session: &'a Session,
    runs: Arc<Runs>,
    jobs: Sender<Box<Invocation>>,
    registration: Option<RegistrationId>,
}

impl Callee<'_> {
    /// Registers, and serves until a signal or the end of the session; then ends what runs.
    fn serve(
        mut self,
        args: &RegisterArgs,
        concurrency: u16,
        workers: Vec<JoinHandle<()>>,
    ) -> Result<(), Failure> {
        let options = RegisterOptions {
            concurrency: NonZeroU64::new(concurrency.into()),
            ..RegisterOptions::default()
        };
        (self.session).register(args.procedure.as_str().into(), options);
        let outcome = self.until_it_ends(args);
        let grace = match outcome {
            Ok(()) => args.stop_timeout,
            Err(_) => Duration::ZERO,
        };
        self.runs.stop(Instant::now() + grace);
        let end = self.wait_for_runs();
        // Without jobs the workers end.
        drop(self.jobs);
        for worker in workers {
            // A panic has told of itself.
            let _ = worker.join();
        }
        outcome.and(end)
    }

    /// Serves until a signal, which is its way to end.
    fn until_it_ends(&mut self, args: &RegisterArgs) -> Result<(), Failure> {
        loop {
            let told = match self.registration {
                None => self.session.answer(),
                Some(_) => self.session.next(self.runs.next_deadline()),
            };
            match told {
                Ok(Told::Registered(result)) => {
                    self.registration = Some(result.map_err(Failure::Refused)?);
                    let _ = writeln!(io::stderr(), "registered {}", args.procedure);
                }
                Ok(Told::Revoked) => {
                    let why = "the router has ended the registration: another session may have \
                               taken the procedure over";
                    return Err(Failure::NoSession(why.to_owned()));
                }
                Ok(told) => self.take(told),
                Err(Failure::TimedOut) => self.runs.end_due(),
                Err(Failure::Interrupted) if self.registration.is_some() => return Ok(()),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Waits until no program runs, each of which has a deadline by now. The session may end before.
    fn wait_for_runs(&mut self) -> Result<(), Failure> {
        if let Some(registration) = self.registration {
            // Whatever it answers: the session ends next.
            self.session.client.unregister(registration, drop);
        }
        let mut end = Ok(());
        while !self.runs.is_empty() {
            match self.session.next(self.runs.next_deadline()) {
                Ok(told) => self.take(told),
                Err(Failure::TimedOut) => self.runs.end_due(),
                Err(failure) => {
                    self.runs.stop(Instant::now());
                    end = Err(failure);
                }
            }
        }
        end
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Invocation(invocation) => self.invoke(invocation),
            Told::Interrupt(request) => self.runs.end(request, Why::Canceled),
            // A program runs, or does so no longer: the next deadline is another.
            _ => {}
        }
    }

    fn invoke(&self, invocation: Box<Invocation>) {
        let request = invocation.request;
        self.runs.note(request);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.jobs.try_send(invocation)
        {
            self.runs.forget(request);
            let why = format!("{WAITING} calls wait for a program already");
            let error = Error::new(error_uri::UNAVAILABLE, &why);
            self.session.client.answer(request, Err(error));
        }
    }
}

/// A thread that runs one program after the other.
#[derive(Clone)]
struct Worker {
    program: Arc<Program>,
    procedure: wamp::Uri,
    runs: Arc<Runs>,
    waiting: Receiver<Box<Invocation>>,
    client: Arc<SessionClient>,
    teller: Teller,
}

impl Worker {
    fn start(self) -> io::Result<JoinHandle<()>> {
        let thread = std::thread::Builder::new().name("program".to_owned());
        thread.spawn(move || self.work())
    }

    fn work(self) {
        while let Ok(invocation) = self.waiting.recv() {
            let request = invocation.request;
            let began = || self.teller.tell(Told::Look);
            let result = (self.program).answer(&self.procedure, &invocation, &self.runs, began);
            self.runs.forget(request);
            self.client.answer(request, result);
            self.teller.tell(Told::Look);
        }
    }
}
