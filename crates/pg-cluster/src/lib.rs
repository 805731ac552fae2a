//! Owns private PostgreSQL clusters made from installed server binaries, from `initdb` to
//! shutdown; knows nothing of WAMP, pools or the config file.
//!
//! - [`EmbeddedPostgres`] is a node's: it stays in its directory, has one role with one database,
//!   and its server is started again when it ends by itself.
//! - [`TemporaryCluster`] is for tests and trials: whoever has it starts and stops its server, sets
//!   what it likes, and leaves nothing behind, not even when its own process is killed.
//!
//! What lies in a cluster's directory:
//!
//! | name | what it is |
//! |---|---|
//! | `data/` | PostgreSQL's data directory, made once by `initdb` |
//! | `socket/` | the Unix socket, for the node's own user only |
//! | `pg_hba.conf`, `pg_ident.conf` | who may log in; written anew at every start |
//! | `server.log`, `server.log.1` | what the server logged in this run and in the last |
//! | `lock` | held while a node uses the directory |
//! | `postgresql.conf` | a temporary cluster's settings; it includes the file of that name in `data/` |
//! | `server.lock` | held while a process of a server, or `initdb`, lives |
//! | `data.unfinished/` | what `initdb` is making; made anew if that was cut short |
//!
//! The embedded server listens on 127.0.0.1 (scram-sha-256), for `psql` and its like, and on the
//! Unix socket, which admits only the operating system user the node runs as (`peer`). The server
//! never sees a password: the node sends it the SCRAM verifier.
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
mod embedded;
mod error;
mod guard;
mod launch;
mod leftover;
mod make;
mod port;
mod role;
mod server;
mod sql;
mod sweeper;
mod temporary;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::error::tried;
pub use self::{
    embedded::{EmbeddedPostgres, Options, running},
    error::Error,
    port::ReservedPort,
    server::Shutdown,
    temporary::TemporaryCluster,
};

/// Where root's cluster lives when no directory is named.
pub const ROOT_DIRECTORY: &str = "/var/lib/wampgres/postgres";

/// The embedded cluster's superuser. It has no password and logs in through the Unix socket only.
const ADMIN: &str = "wampgres_admin";

/// The database that each cluster has, where roles and databases are made.
const ADMIN_DATABASE: &str = "postgres";

/// Where a data directory is made, in the cluster's directory.
const UNFINISHED: &str = "data.unfinished";

/// How long a server may take to end when the value that stands for it is dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(8);

/// The target of its log, for `RUST_LOG`.
const LOG: &str = "wampgres::embedded";
