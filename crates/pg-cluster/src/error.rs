//! Owns the crate's errors, each of which names its mend; knows nothing of what raises them.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::ROOT_DIRECTORY;

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
    /// `initdb`, or another program that makes a cluster, failed; its output follows.
    #[error("{program} could not make a cluster in {}: {output}", directory.display())]
    NotMade {
        /// The program.
        program: String,
        /// The directory it was to be made in.
        directory: PathBuf,
        /// What the program printed.
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
    #[error("the embedded PostgreSQL did not take the role or the database: {0}")]
    Sql(String),
    /// PostgreSQL does not take a script.
    #[error("{place}: {words}")]
    Script {
        /// The script, with line and column where they are known.
        place: String,
        /// What PostgreSQL says.
        words: String,
    },
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
pub(super) fn tried(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}
