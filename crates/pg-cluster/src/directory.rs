//! Owns the cluster's directory: where it lies, whose it is, its lock, its access rules; never
//! starts a server.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use nix::unistd::{Uid, User};
use postgres_protocol::escape::escape_identifier;

use super::{Error, ROOT_DIRECTORY, tried};

/// A Unix socket's path ends at 107 bytes (`sun_path` less its NUL); `/.s.PGSQL.65535` is 15.
const SOCKET_DIRECTORY_BYTES_MAX: usize = 107 - 15;

/// The directory of the Unix socket in the cluster's directory.
const SOCKET: &str = "socket";
/// The server's log file in the cluster's directory.
const SERVER_LOG: &str = "server.log";

/// The unprivileged user that the server runs as when the node runs as root.
pub(super) struct Account {
    pub(super) name: String,
    uid: u32,
    gid: u32,
}

/// The directory of one cluster.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) data: PathBuf,
    /// `None`: the server runs as the node's own user.
    pub(super) account: Option<Account>,
    /// Who runs the node, as `peer` authentication names it.
    node_user: String,
}

impl Directory {
    /// Makes the directory when it is missing.
    pub(super) fn prepare(named: Option<&Path>) -> Result<Self, Error> {
        let uid = Uid::effective();
        let path = match named {
            Some(path) => std::path::absolute(path)
                .map_err(tried(format!("cannot make {} absolute", path.display())))?,
            None if uid.is_root() => PathBuf::from(ROOT_DIRECTORY),
            None => user_default(|name| env::var_os(name).map(PathBuf::from))?,
        };
        let account = if uid.is_root() {
            Some(unprivileged_account()?)
        } else {
            None
        };
        let node_user = User::from_uid(uid)
            .map_err(|errno| tried("cannot look up the user of the node")(errno.into()))?
            .map_or_else(|| uid.to_string(), |user| user.name);

        // In root's directory the server's user passes through to its own; it owns none of the
        // files that root writes, so it cannot turn them into links to somewhere else.
        let mode = if account.is_some() { 0o711 } else { 0o700 };
        make_directory(&path, mode)?;
        let failed = || tried(format!("cannot look at {}", path.display()));
        // One spelling, by which a server that was left behind is recognised.
        let path = fs::canonicalize(&path).map_err(failed())?;
        let metadata = fs::metadata(&path).map_err(failed())?;
        if metadata.mode() & 0o002 != 0 {
            return Err(Error::Exposed(path));
        }
        Ok(Self {
            data: path.join("data"),
            path,
            account,
            node_user,
        })
    }

    /// Takes the directory for this node until the file is closed.
    pub(super) fn lock(&self) -> Result<File, Error> {
        let path = self.path.join("lock");
        let failed = || tried(format!("cannot lock {}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Without the number the message is still true.
                let _ = file.read_to_string(&mut pid);
                let holder = match pid.trim() {
                    "" => String::new(),
                    pid => format!(" (process {pid})"),
                };
                return Err(Error::Locked {
                    directory: self.path.clone(),
                    holder,
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", process::id()))
            .map_err(failed())?;
        Ok(file)
    }

    /// The major version that made the cluster; `None` when there is none yet.
    pub(super) fn major(&self) -> Result<Option<u32>, Error> {
        let path = self.data.join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(tried(format!("cannot read {}", path.display()))(error)),
        }
    }

    /// A command that runs as the server's user, in the cluster's directory, in a process group
    /// of its own, with nothing of the node's environment that could hold a secret or turn
    /// PostgreSQL's head (`PGDATA`, `PGPORT`, …).
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C");
        for name in ["PATH", "LD_LIBRARY_PATH", "TZ"] {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        command.current_dir(&self.path);
        command.stdin(Stdio::null());
        command.process_group(0);
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Makes a directory that only the server's user (and root) may enter.
    pub(super) fn make_private(&self, path: &Path) -> Result<(), Error> {
        let failed = || tried(format!("cannot make {}", path.display()));
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(failed())?;
        if let Some(account) = &self.account {
            chown(path, Some(account.uid), Some(account.gid)).map_err(failed())?;
        }
        Ok(())
    }

    /// Writes a file that the server reads and only the user of this process may change. It holds
    /// no secret.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)))
            .map_err(tried(format!("cannot write {}", path.display())))
    }

    /// Writes a file that only the server's user (and root) may read.
    pub(super) fn write_private(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            if let Some(account) = &self.account {
                fchown(&file, Some(account.uid), Some(account.gid))?;
            }
            file.write_all(text.as_bytes())
        };
        write().map_err(tried(format!("cannot write {}", path.display())))?;
        Ok(path)
    }

    /// Writes who may log in: over TCP with a password, through the socket as the node's user.
    pub(super) fn write_access_rules(&self, roles: &[&str]) -> Result<(), Error> {
        let rules = "# Written by wampgres at every start.\n\
                     local all all peer map=node\n\
                     host all all 127.0.0.1/32 scram-sha-256\n";
        let mut map = String::from("# Written by wampgres at every start.\n");
        for role in roles {
            // The quoting of these files is that of SQL identifiers.
            let role = escape_identifier(role);
            map += &format!("node \"{}\" {role}\n", self.node_user);
        }
        self.write("pg_hba.conf", rules)?;
        self.write("pg_ident.conf", &map)
    }

    /// Opens a new log file; the one of the last run is kept beside it.
    pub(super) fn open_log(&self) -> Result<File, Error> {
        let path = self.log_path();
        let _ = fs::rename(&path, path.with_extension("log.1"));
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(tried(format!("cannot open {}", path.display())))
    }

    /// Where a running server writes its process number and its state.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.data.join("postmaster.pid")
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.path.join(SERVER_LOG)
    }

    /// `socket/` in the cluster's directory, or where that path is too long for a socket a new
    /// directory for temporary files.
    pub(super) fn socket_directory(&self) -> Result<SocketDirectory, Error> {
        let path = self.path.join(SOCKET);
        if fits_socket(&path) {
            // Made anew: the lock is ours and no server runs, so what is there is stale.
            let _ = fs::remove_dir_all(&path);
            self.make_private(&path)?;
            return Ok(SocketDirectory(path));
        }
        let path = temporary_path(fits_socket);
        self.make_private(&path)?;
        Ok(SocketDirectory(path))
    }
}

/// The directory of the Unix socket; it goes with this value.
#[derive(Debug)]
pub(super) struct SocketDirectory(PathBuf);

impl SocketDirectory {
    /// Whether the cluster's directory can have it.
    pub(super) fn fits_below(directory: &Path) -> bool {
        fits_socket(&directory.join(SOCKET))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        // Left-overs harm nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A name that nobody has yet, in a directory for temporary files; the first of two that `fits`.
pub(super) fn temporary_path(fits: impl Fn(&Path) -> bool) -> PathBuf {
    let name = format!("wampgres-{:016x}", rand::random::<u64>());
    let places = [env::temp_dir(), PathBuf::from("/tmp")].map(|place| place.join(&name));
    let [preferred, short] = places;
    if fits(&preferred) { preferred } else { short }
}

fn fits_socket(directory: &Path) -> bool {
    // The server's setting is text.
    let text = directory.to_str().filter(|_| directory.is_absolute());
    text.is_some_and(|text| text.len() <= SOCKET_DIRECTORY_BYTES_MAX)
}

/// The XDG base directory specification: `$XDG_DATA_HOME`, which counts only when absolute,
/// defaults to `~/.local/share`.
fn user_default(var: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
    let absolute = |name| var(name).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("wampgres/postgres"))
        .ok_or(Error::NoHome)
}

fn unprivileged_account() -> Result<Account, Error> {
    for name in ["postgres", "nobody"] {
        let user = User::from_name(name)
            .map_err(|errno| tried(format!("cannot look up the user {name}"))(errno.into()))?;
        if let Some(user) = user {
            return Ok(Account {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            });
        }
    }
    Err(Error::NoUnprivilegedUser)
}

/// Makes a directory and its missing parents; one that exists is left as it is. The modes are
/// set whatever the umask says, because another user may have to pass.
fn make_directory(path: &Path, mode: u32) -> Result<(), Error> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.exists()).collect();
    for (index, directory) in missing.into_iter().enumerate().rev() {
        let mode = if index == 0 { mode } else { 0o755 };
        fs::create_dir(directory)
            .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(mode)))
            .map_err(tried(format!("cannot make {}", directory.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_with(variables: &[(&str, &str)]) -> Result<PathBuf, Error> {
        user_default(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| PathBuf::from(value))
        })
    }

    #[test]
    fn the_default_follows_the_xdg_specification() {
        let home = ("HOME", "/home/a");
        assert_eq!(
            default_with(&[home]).unwrap(),
            Path::new("/home/a/.local/share/wampgres/postgres")
        );
        assert_eq!(
            default_with(&[home, ("XDG_DATA_HOME", "/data")]).unwrap(),
            Path::new("/data/wampgres/postgres")
        );
        assert_eq!(
            default_with(&[home, ("XDG_DATA_HOME", "relative")]).unwrap(),
            Path::new("/home/a/.local/share/wampgres/postgres")
        );
        let error = default_with(&[]).unwrap_err().to_string();
        assert!(error.contains("--embedded-postgres DIR"), "{error}");
    }

    #[test]
    fn a_directory_that_anybody_may_write_to_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("open");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        let error = Directory::prepare(Some(&path)).err().unwrap().to_string();
        assert!(error.contains("chmod o-w"), "{error}");
    }
}
