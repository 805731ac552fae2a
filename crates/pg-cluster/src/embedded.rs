//! Owns the server of a node that was told to bring its own: from the empty directory to the role
//! and the database it works with, and to its shutdown. Knows no configuration.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tracing::{error, info};

use super::{
    ADMIN, ADMIN_DATABASE, DROP_TIMEOUT, Error,
    binaries::{Binaries, Places},
    directory::{Directory, SocketDirectory},
    guard::Guard,
    launch::Launcher,
    leftover, make, role,
    sql::{Connection, Refusal},
    sweeper::Sweeper,
    tried,
};

/// What the cluster is asked to hold, and where it lies.
#[derive(Clone)]
pub struct Options {
    /// The cluster's directory. `None` is `$XDG_DATA_HOME/wampgres/postgres`, or
    /// `~/.local/share/wampgres/postgres`; for root it is [`ROOT_DIRECTORY`](super::ROOT_DIRECTORY).
    pub directory: Option<PathBuf>,
    /// The role to create; it owns the database and is no superuser.
    pub user: String,
    /// The role's password, set anew at every start. Without one the role can log in only
    /// through the Unix socket, as the operating system user that runs the node.
    pub password: Option<String>,
    /// The database to create.
    pub database: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("directory", &self.directory)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("database", &self.database)
            .finish()
    }
}

/// A private PostgreSQL server. It runs until this value is stopped or dropped: one that ends by
/// itself, say by the hand of the system when memory is short, is started again on the same port
/// and socket. Callers meet that as any other restart of PostgreSQL. When this process is killed, the
/// server ends by itself within seconds, and the next one recovers what that left.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    /// `None` once it was stopped.
    pub(super) guard: Option<Guard>,
    port: u16,
    socket_directory: SocketDirectory,
    /// Declared last: the directory is free for others only after the server is gone.
    pub(super) _lock: File,
}

impl EmbeddedPostgres {
    /// Starts the cluster, making it first when the directory is empty, and sees to it that the
    /// role and the database exist. A server that a killed node left behind is stopped first.
    ///
    /// # Errors
    ///
    /// No server binaries, another major version, a directory in use or out of reach, or a
    /// server that does not start: each says what to do, see [`enum@Error`].
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread until the server takes connections: a fraction of a second, a
    /// few seconds when the cluster is made, longer when it recovers from a crash, at most about
    /// two minutes.
    pub fn start(options: &Options) -> Result<Self, Error> {
        Self::start_from(options, &Places::of_this_system())
    }

    pub(super) fn start_from(options: &Options, places: &Places) -> Result<Self, Error> {
        role::check_names(options)?;

        let directory = Directory::prepare(options.directory.as_deref())?;
        let lock = directory.lock()?;
        let binaries = Binaries::find(places, &directory)?;
        leftover::clear(&directory)?;
        if !directory.data.join("PG_VERSION").exists() {
            info!(
                target: crate::LOG,
                directory = %directory.path.display(),
                "making a PostgreSQL {} cluster; this takes a few seconds, once", binaries.major
            );
            let initdb = make::initdb(&binaries, &directory, ADMIN);
            make::data_directory(&directory, initdb)?;
        }
        directory.write_access_rules(&[ADMIN, &options.user])?;

        let socket_directory = directory.socket_directory()?;
        let (major, path) = (binaries.major, directory.path.clone());
        let sweeper = Sweeper::of_server(&directory)?;
        let launcher = Launcher::new(binaries, directory, socket_directory.path(), None)?;
        let port = launcher.port();
        let mut server = launcher.start()?;
        sweeper.watch(Some(server.pid()));
        server.wait_until_ready()?;
        // From here on dropping this value stops the server.
        let started = Self {
            guard: Some(Guard::over(server, launcher, sweeper)?),
            port,
            socket_directory,
            _lock: lock,
        };
        let mut connection =
            Connection::open(started.socket_directory(), port, ADMIN, ADMIN_DATABASE)?;
        role::ensure(&mut connection, options)?;
        info!(
            target: crate::LOG,
            directory = %path.display(),
            "PostgreSQL {major} runs on {}:{port}", started.host()
        );
        Ok(started)
    }

    /// Runs the statements of a file as the role and in the database that `options` name, in one
    /// transaction unless the file says otherwise.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or what PostgreSQL has against it, with its place.
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread until the last statement has run, each of which may take two minutes.
    pub fn run_script(&self, file: &Path, options: &Options) -> Result<(), Error> {
        let script = fs::read_to_string(file);
        let script = script.map_err(tried(format!("cannot read {}", file.display())))?;
        self.run(file, &script, options)
    }

    /// Runs these statements in the same way; `name` stands for their file in errors.
    ///
    /// # Errors
    ///
    /// What PostgreSQL has against them, with its place.
    ///
    /// # Blocking
    ///
    /// As [`run_script`](Self::run_script).
    pub fn run(&self, name: &Path, script: &str, options: &Options) -> Result<(), Error> {
        let Options { user, database, .. } = options;
        let mut connection = Connection::open(self.socket_directory(), self.port, user, database)?;
        match connection.try_to_run(script)? {
            Ok(_) => Ok(()),
            Err(Refusal { words, position }) => Err(Error::Script {
                place: place(name, script, position),
                words,
            }),
        }
    }

    /// The address the server listens on: always `127.0.0.1`.
    pub fn host(&self) -> &str {
        "127.0.0.1"
    }

    /// The TCP port, which is also the number in the Unix socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the Unix socket, as a PostgreSQL `host` parameter takes it.
    pub fn socket_directory(&self) -> &Path {
        self.socket_directory.path()
    }

    /// Stops the server: PostgreSQL's fast shutdown, which breaks what connections there are and
    /// loses nothing; when that takes more than three quarters of `within` the immediate one, from
    /// which the next start recovers.
    ///
    /// # Errors
    ///
    /// The server has ended by itself, not in order, and is not up again; or it could not be
    /// signalled.
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread until the server is gone, as does dropping this value, which gives
    /// it 8 seconds.
    pub fn stop(mut self, within: Duration) -> Result<(), Error> {
        let guard = self.guard.take();
        guard.map_or(Ok(()), |guard| guard.stop(within))
    }
}

/// Where the server of a cluster's directory is that another process runs: the directory of its Unix
/// socket, and its port.
///
/// # Errors
///
/// No server runs there, or its file cannot be read.
pub fn running(directory: &Path) -> Result<(PathBuf, u16), Error> {
    let file = directory.join("data/postmaster.pid");
    let text = fs::read_to_string(&file);
    let text = text.map_err(tried(format!("cannot read {}", file.display())))?;
    // The server's process, its data, its start, its port, its socket.
    let mut lines = text.lines().skip(3);
    let port = lines.next().and_then(|line| line.trim().parse().ok());
    let socket_directory = lines.next().filter(|line| !line.is_empty());
    match (socket_directory, port) {
        (Some(socket_directory), Some(port)) => Ok((socket_directory.into(), port)),
        _ => {
            let unfinished = io::Error::other("the server is starting: try again");
            Err(tried(format!("cannot use {}", file.display()))(unfinished))
        }
    }
}

/// A place in a script, whose characters PostgreSQL counts from 1.
fn place(file: &Path, script: &str, position: Option<usize>) -> String {
    let file = file.display();
    let Some(before) = position.and_then(|position| position.checked_sub(1)) else {
        return file.to_string();
    };
    let before: String = script.chars().take(before).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{file}:{line}:{column}")
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.guard.take().map(|guard| guard.stop(DROP_TIMEOUT)) {
            error!(target: crate::LOG, "{error}");
        }
    }
}
