//! wampgres lets browsers and Autobahn clients call a PostgreSQL database over WAMP: a router, a
//! web server and database components in one process, on plain threads.
//!
//! ```text
//! browser / Autobahn client                                             PostgreSQL
//!     | ws  CALL com.example.now.v1                                        ^
//!     v                                                                    | one connection
//! I/O thread --(sans-IO router)--> component --job channel--> pool worker -+ per worker
//!     ^                                                            |
//!     +--------------------- RESULT <---- reply -------------------+
//! ```
//!
//! The program is [`cli::run`]. A program with component classes of its own calls it with those
//! classes and is a node like the one that comes with the package:
//!
//! ```no_run
//! use wampgres::{cli, component::Classes};
//!
//! fn main() -> std::process::ExitCode {
//!     cli::run(&Classes::default())
//! }
//! ```
//!
//! | crate or module | owns | may use of ours |
//! |---|---|---|
//! | [`wamp`] | the protocol's vocabulary | - |
//! | [`wamp_client`] | a client's end of a session | `wamp` |
//! | [`wamp_router`] | the state machine of a realm | `wamp` |
//! | [`reactor`] | the poll loop of an I/O thread | - |
//! | [`web`] | HTTP heads, static files, the WebSocket handshake | - |
//! | [`wamp_transport`] | sockets, sessions, realms behind their locks | `wamp`, `wamp_router`, `web`, `reactor` |
//! | [`sql`] | what backends for PostgreSQL share: jobs, rows, errors | `deferred` |
//! | [`adbapi`] | the database connection pool | `sql`, `deferred` |
//! | [`stdio`] | standard output and standard error, never waited for | - |
//! | [`component`] | what answers calls | `wamp`, `sql`, `deferred`, `adbapi`, `stdio` |
//! | [`pg_cluster`] | a private PostgreSQL cluster | - |
//! | [`wamp_bench`] | a load generator for routers | `wamp`, `wamp_client`, `reactor`, `wamp_transport` |
//! | [`config`] | the configuration, checked | - |
//! | [`node`] | putting all of this together | all |
//! | [`cli`] | the commands | all |
//!
//! The crates stand below `crates/` and are named here again, so that a program with component
//! classes of its own needs one dependency, this one.

#[cfg(feature = "adbapi")]
pub use adbapi;
#[cfg(feature = "txpostgres")]
pub use txpostgres;
pub use {
    component, pg_cluster, reactor, sql, stdio, wamp, wamp_bench, wamp_client, wamp_router,
    wamp_transport, web,
};

pub mod cli;
pub mod config;
pub mod node;
