//! One run of a program: arguments in, its answer out. Must not know when it is to end.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use nix::{
    sys::wait::{Id, WaitPidFlag, waitid},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use wamp::{Invocation, Payload, RequestId, Uri, error_uri};
use wamp_client::Error;

use super::runs::{Runs, Why};
use crate::cli::client::{Failure, invocation_line, value_of};

/// The longest result.
const MOST_OUTPUT: u64 = 16 << 20;
/// The longest line of standard error that is an error's message.
const LONGEST_LINE: usize = 64 << 10;
/// How long the standard streams of a program that has ended may stay open: another process, which
/// has left its group, may hold them.
const LEFT_OPEN: Duration = Duration::from_secs(1);

/// A program that answers invocations.
pub(super) struct Program {
    program: OsString,
    args: Vec<OsString>,
}

type Result<T> = std::result::Result<T, Error>;

impl Program {
    /// # Errors
    /// There is no such program.
    pub(super) fn new(
        program: OsString,
        args: Vec<OsString>,
    ) -> std::result::Result<Self, Failure> {
        if !is_there(&program) {
            let program = program.display();
            return Err(Failure::Usage(format!(
                "--exec: there is no program {program}"
            )));
        }
        Ok(Self { program, args })
    }

    /// Runs the program for an invocation; `began` is called once it runs.
    ///
    /// # Blocking
    /// Until it has ended.
    pub(super) fn answer(
        &self,
        procedure: &Uri,
        invocation: &Invocation,
        runs: &Runs,
        began: impl FnOnce(),
    ) -> Result<Payload> {
        let request = invocation.request;
        let started = runs.start(request, || self.spawn());
        let mut child = started.map_err(|why| self.ended_for(why))??;
        began();
        let streams = Streams::of(&mut child, invocation_line(procedure, invocation), request);
        let streams = streams.map_err(|why| {
            // Nobody would hear it.
            let _ = child.kill();
            self.failed(&why.to_string())
        });
        let pid = Id::Pid(pid(&child));
        // Its process stays until it is waited for again, so that no other gets its id meanwhile.
        let waited = waitid(pid, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let ended = runs.ended(request);
        let status = child.wait();
        waited.map_err(|why| self.failed(&why.to_string()))?;
        let status = status.map_err(|why| self.failed(&why.to_string()))?;
        let (output, last_line) = streams?.ends(self)?;
        match ended {
            Some(why) => Err(self.ended_for(why)),
            None if output.len() as u64 > MOST_OUTPUT => Err(self.ended_for(Why::TooMuch)),
            None if status.success() => result(output).map_err(|why| self.failed(why)),
            None => Err(self.error(status, &last_line)),
        }
    }

    fn spawn(&self) -> Result<(Child, Pid)> {
        let child = Command::new(&self.program)
            .args(&self.args)
            // A signal to the terminal is for this process, which ends programs in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.map_err(|why| self.failed(&format!("cannot be run: {why}")))?;
        let group = pid(&child);
        Ok((child, group))
    }

    /// What a caller gets for a program that has failed by its exit status.
    fn error(&self, status: ExitStatus, last_line: &str) -> Error {
        #[derive(Deserialize)]
        struct Own {
            error: String,
            #[serde(default)]
            args: Vec<Box<RawValue>>,
            #[serde(default)]
            kwargs: Map<String, Value>,
        }
        if let Ok(Own {
            error,
            args,
            kwargs,
        }) = serde_json::from_str(last_line)
            && Uri::from(error.as_str()).is_loose()
        {
            let payload = Payload::from_args_kwargs(&args, &kwargs).unwrap_or_default();
            return Error {
                uri: error.into(),
                payload,
            };
        }
        let (what, number) = match status.code() {
            Some(code) => ("exit_status", code),
            None => ("signal", status.signal().unwrap_or_default()),
        };
        let message = match last_line {
            "" => self.told(&format!(
                "has ended with {} {number}",
                what.replace('_', " ")
            )),
            line => line.to_owned(),
        };
        let payload = Payload::from_args_kwargs(&[message], &json!({what: number}));
        Error {
            uri: error_uri::RUNTIME_ERROR.into(),
            payload: payload.unwrap_or_default(),
        }
    }

    fn ended_for(&self, why: Why) -> Error {
        let (uri, words) = match why {
            Why::Canceled => (error_uri::CANCELED, "was ended: the call is canceled"),
            Why::TimedOut => (
                error_uri::TIMEOUT,
                "was ended: it took longer than --timeout",
            ),
            Why::TooMuch => (
                error_uri::PAYLOAD_SIZE_EXCEEDED,
                "has written more than 16 MiB to standard output",
            ),
            Why::Stopping => (error_uri::CANCELED, "was ended: its callee is leaving"),
        };
        Error::new(uri, &self.told(words))
    }

    fn failed(&self, why: &str) -> Error {
        Error::new(error_uri::RUNTIME_ERROR, &self.told(why))
    }

    /// Callers need not know where it is.
    fn told(&self, what: &str) -> String {
        let program = std::path::Path::new(&self.program).file_name();
        format!("{} {what}", program.unwrap_or_default().display())
    }
}

/// Whether a program can be found, here or in the search path.
fn is_there(program: &OsString) -> bool {
    let path = std::path::Path::new(program);
    if path.components().count() > 1 {
        return path.is_file();
    }
    let places = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&places).any(|place| place.join(path).is_file())
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id is a pid_t"))
}

/// What a program has written as a payload: nothing, JSON, or a string.
fn result(output: Vec<u8>) -> std::result::Result<Payload, &'static str> {
    let text = String::from_utf8(output).map_err(|_| "has written what is no UTF-8")?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Ok(Payload::empty());
    }
    Payload::from_args(&[value_of(text, false)])
        .map_err(|_| "has written JSON that is nested too deep")
}

/// The threads at the standard streams of a program.
struct Streams {
    output: Receiver<Vec<u8>>,
    last_line: Receiver<String>,
}

impl Streams {
    fn of(child: &mut Child, input: String, request: RequestId) -> io::Result<Self> {
        let (mut stdin, stdout, stderr) =
            match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
                (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
                _ => unreachable!("all three are piped"),
            };
        let thread = |name: &str| std::thread::Builder::new().name(format!("{name}-{request}"));
        // A program need not read what it is given.
        thread("stdin").spawn(move || drop(stdin.write_all(input.as_bytes())))?;
        let (send, output) = channel();
        thread("stdout").spawn(move || {
            let mut bytes = Vec::new();
            // One more shows that there is more. It is not read, and the program gets SIGPIPE.
            let _ = stdout.take(MOST_OUTPUT + 1).read_to_end(&mut bytes);
            send.send(bytes)
        })?;
        let (send, last_line) = channel();
        thread("stderr").spawn(move || send.send(pass_on(stderr)))?;
        Ok(Self { output, last_line })
    }

    /// What was written, and the last line of standard error.
    fn ends(self, program: &Program) -> Result<(Vec<u8>, String)> {
        let open = "has ended, and another process keeps its standard output open";
        let output = self.output.recv_timeout(LEFT_OPEN);
        let output = output.map_err(|_| program.failed(open))?;
        let last_line = self.last_line.recv_timeout(LEFT_OPEN).unwrap_or_default();
        Ok((output, last_line))
    }
}

/// Passes standard error on, line by line. The last that is not empty.
fn pass_on(stderr: impl Read) -> String {
    let mut stderr = BufReader::new(stderr);
    let mut last = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut stderr)
            .take(LONGEST_LINE as u64)
            .read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            return last;
        }
        let _ = io::stderr().write_all(&line);
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            text.trim().clone_into(&mut last);
        }
    }
}
