//! Owns what ends a server, and a temporary cluster with its directory, even when this process is
//! killed. Knows nothing of how a server is started.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use nix::unistd::Pid;

use super::{Error, directory::Directory, leftover, tried};

/// Reads the number of the server each time one was started, or an empty line when it has ended.
const READ: &str = r#"
    trap '' INT TERM HUP
    began() { cut -d ' ' -f 22 "/proc/$1/stat" 2>/dev/null; }
    while read -r line; do server=$line; first=$(began "$line"); done"#;

/// What then runs at the end of the input is the server that holds the lock: it may be frozen, is
/// told to end at once, and is waited for until the last of its processes has let go of the lock.
const SWEEP: &str = r#"
    if [ -n "$server" ] && ! flock --nonblock "$2" true; then
        kill -CONT "$server"
        kill -QUIT "$server"
    fi
    flock --wait 40 "$2" true
    rm -rf "$1""#;

/// Ends the server in order (it may be frozen), at once if that takes more than five seconds, and
/// kills it if that takes more than three. A node that starts meanwhile stops it too, which does no
/// harm. The number may be another process's by then, which began at another time.
const STOP: &str = r#"
    [ -n "$first" ] || exit 0
    for step in INT:50 QUIT:30 KILL:1; do
        [ "$(began "$server")" = "$first" ] || exit 0
        kill -CONT "$server"
        kill "-${step%:*}" "$server"
        left=${step#*:}
        while [ "$left" -gt 0 ] && [ "$(began "$server")" = "$first" ]; do
            sleep 0.1
            left=$((left - 1))
        done
    done"#;

/// A shell that waits for the end of a pipe, which only this process holds open.
pub(super) struct Sweeper {
    shell: Mutex<Child>,
}

impl Sweeper {
    /// Ends the server and removes the directory.
    pub(super) fn of_cluster(directory: &Directory) -> Result<Self, Error> {
        Self::start(SWEEP, directory)
    }

    /// Ends the server. Its data stays.
    pub(super) fn of_server(directory: &Directory) -> Result<Self, Error> {
        Self::start(STOP, directory)
    }

    fn start(end: &str, directory: &Directory) -> Result<Self, Error> {
        let script = format!("{READ}\n{end}");
        let shell = Command::new("sh")
            .args(["-c", &script, "sweeper"])
            .args([&directory.path, &directory.path.join(leftover::LOCK)])
            .current_dir("/")
            // Ctrl-C on a terminal ends this process, not the shell.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(tried("cannot run sh"))?;
        Ok(Self {
            shell: Mutex::new(shell),
        })
    }

    /// Names the server that now runs.
    pub(super) fn watch(&self, server: Option<Pid>) {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = server.map(|pid| pid.to_string()).unwrap_or_default();
        if let Some(stdin) = &mut shell.stdin {
            // If somebody has killed the shell, the server ends with the value that stands for it.
            let _ = writeln!(stdin, "{pid}");
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        let shell = self.shell.get_mut();
        // Closes the pipe first.
        let _ = shell.unwrap_or_else(PoisonError::into_inner).wait();
    }
}
