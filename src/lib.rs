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
//! | module | owns | may use of ours |
//! |---|---|---|
//! | [`wamp`] | the protocol's vocabulary | - |
//! | [`router`] | the state machine of a realm | `wamp` |
//! | [`reactor`] | the poll loop of an I/O thread | - |
//! | [`http`] | HTTP heads, static files, the WebSocket handshake | - |
//! | [`transport`] | sockets, sessions, realms behind their locks | `wamp`, `router`, `http`, `reactor` |
//! | [`adbapi`] | the database connection pool | - |
//! | [`stdio`] | standard output and standard error, never waited for | - |
//! | [`component`] | what answers calls | `wamp`, `adbapi`, `stdio` |
//! | [`config`] | the configuration, checked | - |
//! | [`embedded`] | a private PostgreSQL cluster | - |
//! | [`node`] | putting all of this together | all |
//! | [`mod@bench`] | a load generator for routers | `wamp`, `reactor`, `transport` |
//! | [`cli`] | the commands | all |

pub mod adbapi;
pub mod bench;
pub mod cli;
pub mod component;
pub mod config;
pub mod embedded;
pub mod http;
pub mod node;
pub mod reactor;
pub mod router;
pub mod stdio;
pub mod transport;
pub mod wamp;
