//! Owns the processes: `initdb`, one server from start to shutdown; knows no SQL and starts none
//! again.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tracing::{info, warn};

use super::{ADMIN, Error, UNFINISHED, binaries::Binaries, directory::Directory, leftover, tried};

/// How long the server may take to accept connections; recovery after a crash takes its time.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a server that never became ready may take to end.
const FAILED_START_TIMEOUT: Duration = Duration::from_secs(40);
/// How often a process or file that cannot wake us is looked at.
pub(super) const POLL: Duration = Duration::from_millis(5);
/// How many ports are tried when others keep taking the one that was just free.
const PORT_ATTEMPTS: u32 = 5;
/// How much of a log an error shows.
const TAIL_LINES: usize = 15;

/// Makes the cluster. It appears under its name only when it is whole, so that an `initdb` that
/// is cut short leaves nothing that looks like a cluster.
pub(super) fn initdb(binaries: &Binaries, directory: &Directory) -> Result<(), Error> {
    let unfinished = directory.path.join(UNFINISHED);
    if let Err(error) = fs::remove_dir_all(&unfinished)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(tried(format!("cannot remove {}", unfinished.display()))(
            error,
        ));
    }
    directory.make_private(&unfinished)?;
    let lock = leftover::take_lock(directory)?;
    let output = directory
        .command(&binaries.initdb())
        .stdin(lock)
        .arg("--pgdata")
        .arg(&unfinished)
        .arg(format!("--username={ADMIN}"))
        .args(["--encoding=UTF8", "--locale=C.UTF-8"])
        // The cluster's own rules, which only count if somebody starts it without ours.
        .args(["--auth-local=peer", "--auth-host=scram-sha-256"])
        .output()
        .map_err(tried(format!("cannot run {}", binaries.initdb().display())))?;
    if !output.status.success() {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text += &String::from_utf8_lossy(&output.stderr);
        return Err(Error::Initdb {
            directory: directory.path.clone(),
            output: last_lines(&text),
        });
    }
    fs::rename(&unfinished, &directory.data)
        .map_err(tried(format!("cannot rename {}", unfinished.display())))
}

/// How the cluster's server is started, for the first time or again.
pub(super) struct Launch {
    binaries: Binaries,
    directory: Directory,
    socket_directory: PathBuf,
    log: File,
}

impl Launch {
    pub(super) fn new(
        binaries: Binaries,
        directory: Directory,
        socket_directory: &Path,
    ) -> Result<Self, Error> {
        Ok(Self {
            log: directory.open_log()?,
            binaries,
            directory,
            socket_directory: socket_directory.to_owned(),
        })
    }

    /// Starts the server on a free port and waits until it takes connections.
    pub(super) fn on_free_port(&self) -> Result<(Server, u16), Error> {
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            let mut server = self.on_port(port)?;
            match server.wait_until_ready(&self.directory) {
                Ok(()) => return Ok((server, port)),
                // Somebody took the port between our letting go of it and the server's start.
                Err(Error::Server { tail, .. })
                    if tail.contains("could not bind") && attempt < PORT_ATTEMPTS =>
                {
                    info!(target: crate::LOG, port, "the port was taken meanwhile, trying another");
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts the server on this port. It does not take connections yet. Fails while a process of
    /// the last one lives.
    pub(super) fn on_port(&self, port: u16) -> Result<Server, Error> {
        let lock = leftover::take_lock(&self.directory)?;
        leftover::remove_pid_file(&self.directory)?;
        leftover::remove_socket_lock(&self.socket_directory, port)?;
        let program = self.binaries.postgres();
        let failed = || tried(format!("cannot run {}", program.display()));
        let setting = |name: &str, path: &Path| {
            let mut setting = OsString::from(name);
            setting.push("=");
            setting.push(path);
            setting
        };
        let directory = &self.directory;
        // The value is a list, in which a path with a comma or a space has to be quoted.
        let sockets = super::quote_identifier(&self.socket_directory.display().to_string());
        let child = directory
            .command(&program)
            .arg("-D")
            .arg(&directory.data)
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", &format!("port={port}")])
            .args(["-c", &format!("unix_socket_directories={sockets}")])
            .args(["-c", "unix_socket_permissions=0700"])
            .arg("-c")
            .arg(setting("hba_file", &directory.path.join("pg_hba.conf")))
            .arg("-c")
            .arg(setting("ident_file", &directory.path.join("pg_ident.conf")))
            .args(["-c", "password_encryption=scram-sha-256"])
            .args([
                "-c",
                "logging_collector=off",
                "-c",
                "log_destination=stderr",
            ])
            .args(["-c", "cluster_name=wampgres"])
            .stdin(lock)
            .stdout(self.log.try_clone().map_err(failed())?)
            .stderr(Stdio::from(self.log.try_clone().map_err(failed())?))
            .spawn()
            .map_err(failed())?;
        Ok(Server {
            child,
            log: directory.log_path(),
        })
    }
}

/// One server, a child of this process.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    fn wait_until_ready(&mut self, directory: &Directory) -> Result<(), Error> {
        let pid_file = directory.data.join("postmaster.pid");
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_ready(&pid_file, self.child.id()) {
            if let Some(status) = self.exit_status()? {
                return Err(self.failed(format!("did not start ({status})")));
            }
            if Instant::now() > deadline {
                let seconds = START_TIMEOUT.as_secs();
                let error = self.failed(format!("was not ready within {seconds} seconds"));
                // The error that matters is the first; the server is gone either way.
                let _ = self.shut_down(FAILED_START_TIMEOUT);
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
    pub(super) fn stop(mut self, within: Duration) -> Result<(), Error> {
        if let Some(how) = self.ended_by_itself() {
            return how;
        }
        self.shut_down(within)?;
        match self.exit_status()? {
            Some(status) if !in_order(status) => {
                Err(self.failed(format!("did not end in order ({status})")))
            }
            _ => {
                info!(target: crate::LOG, "PostgreSQL has stopped");
                Ok(())
            }
        }
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

    fn shut_down(&mut self, within: Duration) -> Result<(), Error> {
        let ended = shut_down(self.pid(), within, || {
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
fn in_order(status: ExitStatus) -> bool {
    status.success() || status.signal() == Some(Signal::SIGINT as i32)
}

/// Asks for the fast shutdown, which writes what is not yet on disk. If that takes more than three
/// quarters of the time, asks for the immediate one, which writes nothing: the next start recovers.
/// Kills at last.
pub(super) fn shut_down(
    pid: Pid,
    within: Duration,
    mut gone: impl FnMut() -> io::Result<bool>,
) -> io::Result<()> {
    let steps = [
        (Signal::SIGINT, within * 3 / 4),
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

fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(tried("cannot find a free port on 127.0.0.1"))
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

fn last_lines(text: &str) -> String {
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
        let server = Server {
            child: command.spawn().unwrap(),
            log: PathBuf::new(),
        };
        let name = format!("/proc/{}/comm", server.child.id());
        while fs::read_to_string(&name).unwrap().trim_end() != "sleep" {
            thread::sleep(POLL);
        }
        server.stop(FAILED_START_TIMEOUT).unwrap();
    }
}
