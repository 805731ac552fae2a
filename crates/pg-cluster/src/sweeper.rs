//! Owns the end of a temporary cluster: its directory goes, and before it a server that still runs,
//! even when this process is killed. Knows nothing of how a server is started.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use nix::unistd::Pid;

use super::{Error, directory::Directory, leftover, tried};

/// Reads the number of the server each time one was started, or an empty line when it has ended.
/// What then runs at the end of the input is the server that holds the lock: it may be frozen, is
/// told to end at once, and is waited for until the last of its processes has let go of the lock.
const SCRIPT: &str = r#"
    trap '' INT TERM HUP
    while read -r line; do server=$line; done
    if [ -n "$server" ] && ! flock --nonblock "$2" true; then
        kill -CONT "$server"
        kill -QUIT "$server"
    fi
    flock --wait 40 "$2" true
    rm -rf "$1""#;

/// A shell that waits for the end of a pipe, which only this process holds open.
pub(super) struct Sweeper {
    shell: Mutex<Child>,
}

impl Sweeper {
    pub(super) fn new(directory: &Directory) -> Result<Self, Error> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "sweeper"])
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
