//! Owns one server's process, from its start to its shutdown; knows no SQL and starts none.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tracing::{info, warn};

use super::{Error, directory::Directory, tried};

/// How long the server may take to accept connections; recovery after a crash takes its time.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a server that never became ready may take to end.
const FAILED_START_TIMEOUT: Duration = Duration::from_secs(40);
/// How often a process or file that cannot wake us is looked at.
pub(super) const POLL: Duration = Duration::from_millis(5);
/// How much of a log an error shows.
const TAIL_LINES: usize = 15;

/// How a server is asked to end. The words are those of `pg_ctl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Waits until the last client has gone.
    Smart,
    /// Breaks the connections there are, and loses nothing.
    Fast,
    /// Writes nothing to disk: the next start recovers, as after a crash.
    Immediate,
}

impl Shutdown {
    fn signal(self) -> Signal {
        match self {
            Self::Smart => Signal::SIGTERM,
            Self::Fast => Signal::SIGINT,
            Self::Immediate => Signal::SIGQUIT,
        }
    }
}

/// A server's first process, the postmaster, which is a child of this process.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
    pid_file: PathBuf,
    log: PathBuf,
}

impl ServerProcess {
    pub(super) fn new(child: Child, directory: &Directory) -> Self {
        Self {
            child,
            pid_file: directory.pid_file(),
            log: directory.log_path(),
        }
    }

    /// Blocks until the server takes connections. It is gone if this fails.
    pub(super) fn wait_until_ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_ready(&self.pid_file, self.child.id()) {
            if let Some(status) = self.exit_status()? {
                return Err(self.failed(format!("did not start ({status})")));
            }
            if Instant::now() > deadline {
                let seconds = START_TIMEOUT.as_secs();
                let error = self.failed(format!("was not ready within {seconds} seconds"));
                // The error that matters is the first; the server is gone either way.
                let _ = self.shut_down(Shutdown::Fast, FAILED_START_TIMEOUT);
                return Err(error);
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process numbers fit in pid_t"))
    }

    /// Ends the server within this time and reaps it.
    pub(super) fn stop(mut self, how: Shutdown, within: Duration) -> Result<(), Error> {
        if let Some(ended) = self.ended_by_itself() {
            return ended;
        }
        self.shut_down(how, within)?;
        match self.exit_status()? {
            Some(status) if !in_order(status, how) => {
                Err(self.failed(format!("did not end in order ({status})")))
            }
            _ => {
                info!(target: crate::LOG, "PostgreSQL has stopped");
                Ok(())
            }
        }
    }

    /// Kills the process and reaps it.
    pub(super) fn kill(mut self) -> Result<(), Error> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(tried("cannot kill PostgreSQL")).map(drop)
    }

    /// How the server ended, if it has. Reaps it then. Somebody may have stopped it in order: a
    /// service manager signals all processes of a service, this one and its parent.
    pub(super) fn ended_by_itself(&mut self) -> Option<Result<(), Error>> {
        match self.exit_status() {
            Ok(status) => Some(match status? {
                status if status.success() => Ok(()),
                status => Err(self.failed(format!("has ended by itself ({status})"))),
            }),
            Err(error) => Some(Err(error)),
        }
    }

    fn shut_down(&mut self, how: Shutdown, within: Duration) -> Result<(), Error> {
        let ended = shut_down(self.pid(), how, within, || {
            self.child.try_wait().map(|status| status.is_some())
        });
        ended.map_err(tried("cannot stop the embedded PostgreSQL"))
    }

    fn exit_status(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child
            .try_wait()
            .map_err(tried("cannot wait for the embedded PostgreSQL"))
    }

    fn failed(&self, what: String) -> Error {
        Error::Server {
            what,
            log: self.log.clone(),
            tail: log_tail(&self.log),
        }
    }
}

/// Whether `postmaster.pid` is of this process and its eighth line says that the server takes
/// connections (`pg_ctl` waits for the same). Asking the server itself before it is ready would
/// fill its log with refusals.
fn is_ready(pid_file: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(pid_file) else {
        return false;
    };
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6) == Some("ready")
}

/// Whether a server that was told to end had nothing left to do. One that has just been started
/// takes no signals yet: it dies of the first, and has not begun anything.
fn in_order(status: ExitStatus, how: Shutdown) -> bool {
    status.success() || status.signal() == Some(how.signal() as i32)
}

/// Asks for this shutdown, and if it takes more than three quarters of the time, for the immediate
/// one. Kills at last.
pub(super) fn shut_down(
    pid: Pid,
    how: Shutdown,
    within: Duration,
    mut gone: impl FnMut() -> io::Result<bool>,
) -> io::Result<()> {
    let steps = [
        (how.signal(), within * 3 / 4),
        (Signal::SIGQUIT, within / 8),
        (Signal::SIGKILL, within / 8),
    ];
    for (signal, timeout) in steps {
        // The process is not reaped before `gone` has seen its end: the number is still its own.
        if gone()? {
            return Ok(());
        }
        kill(pid, signal)?;
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if gone()? {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        warn!(target: crate::LOG, "PostgreSQL did not end within {timeout:?} of {signal}");
    }
    Err(io::Error::from(ErrorKind::TimedOut))
}

fn log_tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(8192)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().map_or_else(
        |error| format!("(not readable: {error})"),
        |text| last_lines(&text),
    )
}

pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_server_that_takes_no_signals_yet_is_stopped_in_order() {
        let mut command = Command::new("env");
        // Whoever runs the tests may have SIGINT ignored, as a shell does for what it runs in the
        // background.
        command.args(["--default-signal=INT", "sleep", "60"]);
        let server = ServerProcess {
            child: command.spawn().unwrap(),
            pid_file: PathBuf::new(),
            log: PathBuf::new(),
        };
        let name = format!("/proc/{}/comm", server.child.id());
        while fs::read_to_string(&name).unwrap().trim_end() != "sleep" {
            thread::sleep(POLL);
        }
        server.stop(Shutdown::Fast, FAILED_START_TIMEOUT).unwrap();
    }
}
