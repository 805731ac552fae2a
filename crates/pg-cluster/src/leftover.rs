//! Owns what a killed node left behind on the cluster: a server or an `initdb` that still runs, and
//! lock files that keep the next server from starting; starts no server itself.
//!
//! Whoever calls this holds the node's lock on the directory, so no other node runs a server there.
//! A server may live all the same, as an orphan. Each server and each `initdb` has the open file
//! [`LOCK`] as its standard input, locked: the lock is held as long as one of their processes
//! lives, in whatever container that is, and goes with the last.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, TryLockError},
    io::ErrorKind,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::unistd::Pid;
use tracing::{info, warn};

use super::{
    Error, UNFINISHED,
    directory::Directory,
    server::{POLL, Shutdown, shut_down},
    tried,
};

/// The file that every process of a server holds locked.
pub(super) const LOCK: &str = "server.lock";
/// How long a server that was left behind may take to end.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(40);
/// How long the processes of a server may take to notice that it was killed.
const LAST_PROCESSES_TIMEOUT: Duration = Duration::from_secs(10);

/// Stops what a killed node left running on the directory, then removes the lock files of servers
/// that are gone.
pub(super) fn clear(directory: &Directory) -> Result<(), Error> {
    stop_orphans(directory)?;
    let deadline = Instant::now() + LAST_PROCESSES_TIMEOUT;
    let lock = loop {
        match take_lock(directory) {
            Err(Error::ServerLives { .. }) if Instant::now() < deadline => thread::sleep(POLL),
            taken => break taken?,
        }
    };
    let cleared = remove_pid_file(directory);
    drop(lock);
    cleared
}

/// The lock to give to a server as its standard input.
pub(super) fn take_lock(directory: &Directory) -> Result<File, Error> {
    let path = directory.path.join(LOCK);
    let failed = || tried(format!("cannot lock {}", path.display()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::ServerLives { lock: path }),
        Err(TryLockError::Error(error)) => Err(failed()(error)),
    }
}

/// Removes `postmaster.pid`: empty or damaged by a power cut it keeps PostgreSQL down, and so does
/// a number that some other process has now. With the number that the new server gets, as in a
/// container, the file would say that the server is ready before it is. PostgreSQL still finds a
/// server that lives, by its shared memory.
///
/// The caller knows that none of the server's processes is left.
pub(super) fn remove_pid_file(directory: &Directory) -> Result<(), Error> {
    let path = directory.pid_file();
    if named_memory_is_in_use(&fs::read(&path).unwrap_or_default()) {
        return Err(Error::ServerLives { lock: path });
    }
    // Only the link is removed, never what a link points to.
    remove(&path)
}

/// Removes the lock file of a Unix socket, which PostgreSQL reads as it reads `postmaster.pid`.
pub(super) fn remove_socket_lock(socket_directory: &Path, port: u16) -> Result<(), Error> {
    remove(&socket_directory.join(format!(".s.PGSQL.{port}.lock")))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => {
            info!(target: crate::LOG, "removed {}, which a killed server left", path.display());
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(tried(format!("cannot remove {}", path.display()))(error)),
    }
}

/// Stops each server and each `initdb` on the directory. The server is the one that
/// `postmaster.pid` names, or where that file is damaged or gone, whichever process was started
/// with the directory.
fn stop_orphans(directory: &Directory) -> Result<(), Error> {
    let named = fs::read(directory.pid_file()).unwrap_or_default();
    let named = String::from_utf8_lossy(&named)
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok());
    let named = named.filter(|pid| is_ours(*pid, directory));
    let mut found: Vec<i32> = match named {
        Some(pid) => vec![pid],
        None => Vec::new(),
    };
    if found.is_empty() {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        found = pids.filter(|pid| is_ours(*pid, directory)).collect();
    }
    for pid in found {
        warn!(
        target: crate::LOG,
                   pid,
                   "stopping the PostgreSQL process that a killed node left behind"
               );
        let gone = || Ok(!is_ours(pid, directory));
        shut_down(Pid::from_raw(pid), Shutdown::Fast, ORPHAN_TIMEOUT, gone)
            .map_err(tried(format!("cannot stop the server process {pid}")))?;
    }
    Ok(())
}

/// Whether this process is a server, or an `initdb`, on the directory. It reads the command line,
/// which a dead but unreaped process has not. A server that was started by another name of the
/// directory works in it; to see that needs rights that root lacks in many containers.
fn is_ours(pid: i32, directory: &Directory) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let Ok(line) = fs::read(process.join("cmdline")) else {
        return false;
    };
    let mut words = line.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let program = Path::new(words.next().unwrap_or_default()).file_name();
    let owner = |path: &Path| fs::metadata(path).map(|metadata| metadata.uid()).ok();
    let place = match program.and_then(OsStr::to_str) {
        Some("postgres") => directory.data.clone(),
        Some("initdb") => directory.path.join(UNFINISHED),
        _ => return false,
    };
    let is_there = || {
        let works_in = fs::read_link(process.join("cwd"));
        works_in.is_ok_and(|path| path == directory.data)
    };
    owner(&process) == owner(&place) && (words.any(|word| word == place) || is_there())
}

/// Whether some process still uses the shared memory that the seventh line of `postmaster.pid`
/// names by its key and its number. PostgreSQL itself asks the same.
fn named_memory_is_in_use(pid_file: &[u8]) -> bool {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let text = String::from_utf8_lossy(pid_file);
    let Some(line) = text.lines().nth(6) else {
        return false;
    };
    let named: Vec<i64> = numbers(line);
    let [key, id] = named[..] else { return false };
    // The columns: key, number, permissions, size, creator, last user, how many are attached.
    table.lines().map(numbers).any(|row| {
        let attached = row.get(6).is_some_and(|attached| *attached > 0);
        attached && row[1] == id && same_key(row[0], key)
    })
}

/// One of the two may be written with a sign.
fn same_key(one: i64, other: i64) -> bool {
    const MASK: i64 = 0xffff_ffff;
    one & MASK == other & MASK
}

fn numbers(line: &str) -> Vec<i64> {
    let words = line.split_whitespace();
    words.map_while(|word| word.parse().ok()).collect()
}
