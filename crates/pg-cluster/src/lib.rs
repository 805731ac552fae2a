//! Owns a private PostgreSQL cluster made from installed server binaries, from `initdb` to
//! shutdown; knows nothing of WAMP, pools or the config file.
//!
//! What lies in the cluster's directory:
//!
//! | name | what it is |
//! |---|---|
//! | `data/` | PostgreSQL's data directory, made once by `initdb` |
//! | `socket/` | the Unix socket, for the node's own user only |
//! | `pg_hba.conf`, `pg_ident.conf` | who may log in; written anew at every start |
//! | `server.log`, `server.log.1` | what the server logged in this run and in the last |
//! | `lock` | held while a node uses the directory |
//! | `server.lock` | held while a process of a server, or `initdb`, lives |
//! | `data.unfinished/` | what `initdb` is making; made anew if that was cut short |
//!
//! The server listens on 127.0.0.1 (scram-sha-256), for `psql` and its like, and on the Unix
//! socket, which admits only the operating system user the node runs as (`peer`). The server never
//! sees a password: the node sends it the SCRAM verifier.
//!
//! PostgreSQL refuses to run as root, so a node that runs as root starts it as the user `postgres`,
//! or `nobody` where there is none. That user has to reach the directory, which root's home does
//! not allow: root's default is [`ROOT_DIRECTORY`].
//!
//! The server runs as a direct child, not through `pg_ctl`, so that the node reaps it, sees at once
//! when it ends and starts it again, and can give it a process group of its own: Ctrl-C on a
//! terminal would otherwise end the server under the feet of a node that is still answering its
//! last calls.

mod binaries;
mod directory;
mod guard;
mod leftover;
mod server;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use postgres::NoTls;
use thiserror::Error;
use tracing::{error, info};

use self::{
    binaries::{Binaries, Places},
    directory::{Directory, SocketDirectory},
    guard::Guard,
    server::Launch,
};

/// Where root's cluster lives when no directory is named.
pub const ROOT_DIRECTORY: &str = "/var/lib/wampgres/postgres";

/// The cluster's superuser. It has no password and logs in through the Unix socket only.
const ADMIN: &str = "wampgres_admin";

/// Where `initdb` makes a cluster, in its directory.
const UNFINISHED: &str = "data.unfinished";

/// How long the server may take to end when this value is dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(8);

/// PostgreSQL cuts longer names short (`NAMEDATALEN` - 1), which would make two of them one.
const NAME_BYTES_MAX: usize = 63;

/// What the cluster is asked to hold, and where it lies.
#[derive(Clone)]
pub struct Options {
    /// The cluster's directory. `None` is `$XDG_DATA_HOME/wampgres/postgres`, or
    /// `~/.local/share/wampgres/postgres`; for root it is [`ROOT_DIRECTORY`].
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

/// Why the embedded PostgreSQL did not start or stop. Each message names the fix.
#[derive(Debug, Error)]
pub enum Error {
    /// Neither `PATH`, nor Debian's directories, nor `pg_config` leads to a server.
    #[error(
        "found no PostgreSQL server (initdb and postgres) on PATH, in {0}, or through pg_config; \
         install one: apt-get install postgresql"
    )]
    NoBinaries(String),
    /// The cluster was made by another major version than those installed.
    #[error(
        "the cluster in {} was made by PostgreSQL {cluster}, but only {installed} is installed; \
         install that version (apt-get install postgresql-{cluster}), move its data over with \
         pg_upgrade or pg_dump, or choose an empty directory",
        directory.display()
    )]
    OtherVersion {
        /// The cluster's directory.
        directory: PathBuf,
        /// The major version that made it.
        cluster: u32,
        /// The major versions found.
        installed: String,
    },
    /// Another node uses the directory.
    #[error(
        "another node{holder} runs on the embedded cluster in {}; stop it, or give this one a \
         directory of its own: --embedded-postgres DIR",
        directory.display()
    )]
    Locked {
        /// The cluster's directory.
        directory: PathBuf,
        /// ` (process 123)`, when it is known.
        holder: String,
    },
    /// A process of an earlier server lives where this node cannot see or stop it.
    #[error(
        "a PostgreSQL server that an earlier node started still runs on the embedded cluster ({} is in use), perhaps in \
         another container; stop it there (`fuser` on the host names its processes) and start again",
        lock.display()
    )]
    ServerLives {
        /// The file that shows it.
        lock: PathBuf,
    },
    /// No directory was named, and the environment has no home to put one into.
    #[error(
        "there is no home directory for the embedded cluster; name one: --embedded-postgres DIR"
    )]
    NoHome,
    /// Anybody may write to the directory.
    #[error("anybody may write to {}, so no cluster is kept there; chmod o-w it or choose another directory", .0.display())]
    Exposed(PathBuf),
    /// The unprivileged user cannot enter the directory or run the server.
    #[error(
        "PostgreSQL cannot run as root, and the user `{user}` it would run as cannot enter {} or \
         run {}; let it (chmod o+x on the parent directories) or choose a directory such as {ROOT_DIRECTORY}",
        directory.display(), program.display()
    )]
    OutOfReach {
        /// The user the server runs as.
        user: String,
        /// The cluster's directory.
        directory: PathBuf,
        /// The server's program.
        program: PathBuf,
    },
    /// The node runs as root and the system has no other user to run the server.
    #[error(
        "PostgreSQL cannot run as root, and there is neither a user `postgres` nor a user `nobody`; create one or run the node as an ordinary user"
    )]
    NoUnprivilegedUser,
    /// A role or database name that PostgreSQL would not take as it is.
    #[error("{what} name {name:?} cannot be used: {why}")]
    Name {
        /// `role` or `database`.
        what: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `initdb` failed; its output follows.
    #[error("initdb could not make a cluster in {}: {output}", directory.display())]
    Initdb {
        /// The directory it was to be made in.
        directory: PathBuf,
        /// What initdb printed.
        output: String,
    },
    /// The server ended or was not ready in time; the last lines of its log follow.
    #[error("the embedded PostgreSQL {what}; the end of {}:\n{tail}", log.display())]
    Server {
        /// What it did, as the rest of a sentence.
        what: String,
        /// The server's log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// Creating the role or the database failed.
    #[error("the embedded PostgreSQL did not take the role or the database: {}", reason(.0))]
    Sql(#[source] postgres::Error),
    /// A file, a directory or a process could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Names what was tried, for [`Error::Io`].
fn tried(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// What PostgreSQL said; `postgres::Error` itself only says that it said something.
fn reason(error: &postgres::Error) -> String {
    let said = error.as_db_error().map(ToString::to_string);
    said.unwrap_or_else(|| error.to_string())
}

/// A private PostgreSQL server. It runs until this value is stopped or dropped: one that ends by
/// itself, say by the hand of the system when memory is short, is started again on the same port
/// and socket. Callers meet that as any other restart of PostgreSQL.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    /// `None` once it was stopped.
    guard: Option<Guard>,
    port: u16,
    socket_directory: SocketDirectory,
    /// Declared last: the directory is free for others only after the server is gone.
    _lock: File,
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

    fn start_from(options: &Options, places: &Places) -> Result<Self, Error> {
        check_name("role", &options.user)?;
        check_name("database", &options.database)?;

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
            server::initdb(&binaries, &directory)?;
        }
        directory.write_access_rules(&[ADMIN, &options.user])?;

        let socket_directory = directory.socket_directory()?;
        let (major, path) = (binaries.major, directory.path.clone());
        let launch = Launch::new(binaries, directory, socket_directory.path())?;
        let (server, port) = launch.on_free_port()?;
        // From here on dropping this value stops the server.
        let started = Self {
            guard: Some(Guard::over(server, launch, port)?),
            port,
            socket_directory,
            _lock: lock,
        };
        started.create_role_and_database(options)?;
        info!(
        target: crate::LOG,
                   directory = %path.display(),
                   "PostgreSQL {major} runs on {}:{port}", started.host()
               );
        Ok(started)
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

    fn create_role_and_database(&self, options: &Options) -> Result<(), Error> {
        let mut client = postgres::Config::new()
            .host_path(self.socket_directory())
            .port(self.port)
            .user(ADMIN)
            .dbname("postgres")
            .application_name("wampgres embedded")
            .connect(NoTls)
            .map_err(Error::Sql)?;
        ensure_role_and_database(&mut client, options).map_err(Error::Sql)
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.guard.take().map(|guard| guard.stop(DROP_TIMEOUT)) {
            error!(target: crate::LOG, "{error}");
        }
    }
}

/// Brings the role, its password and the database to what the options say; repeating it changes
/// nothing.
fn ensure_role_and_database(
    client: &mut postgres::Client,
    options: &Options,
) -> Result<(), postgres::Error> {
    // A statement that fails would else be quoted in the server's log, verifier and all.
    client.batch_execute("SET log_min_error_statement = panic; SET log_statement = none")?;

    let role = quote_identifier(&options.user);
    let known = client.query("SELECT FROM pg_roles WHERE rolname = $1", &[&options.user])?;
    if known.is_empty() {
        client.batch_execute(&format!("CREATE ROLE {role}"))?;
    }
    // The verifier is made here so that the password itself never leaves this process. It is
    // base64 with `$` and `:`, which needs no quoting.
    let password = match &options.password {
        Some(password) => {
            let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
            format!("'{verifier}'")
        }
        None => "NULL".to_owned(),
    };
    client.batch_execute(&format!("ALTER ROLE {role} LOGIN PASSWORD {password}"))?;

    let database = quote_identifier(&options.database);
    let known = client.query(
        "SELECT FROM pg_database WHERE datname = $1",
        &[&options.database],
    )?;
    if known.is_empty() {
        client.batch_execute(&format!("CREATE DATABASE {database} OWNER {role}"))
    } else {
        client.batch_execute(&format!("ALTER DATABASE {database} OWNER TO {role}"))
    }
}

fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 63 bytes"
    } else if name.chars().any(char::is_control) {
        "it holds a control character"
    } else if name == ADMIN {
        "the embedded cluster keeps it for its superuser"
    } else {
        return Ok(());
    };
    Err(Error::Name {
        what,
        name: name.to_owned(),
        why,
    })
}

/// The target of its log, for `RUST_LOG`.
const LOG: &str = "wampgres::embedded";
