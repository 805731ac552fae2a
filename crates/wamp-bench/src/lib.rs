//! `wampgres bench`: a load generator for WAMP routers, and what it measures. Knows the client's
//! end of the protocol; must not know the node that it may be pointed at.
//!
//! One thread drives all connections, on the same reactor as the node's. In an open load each
//! session knows when its operations are due. The caller's thread starts the load, looks at the
//! state of the run, and ends it. Both threads share that state behind one lock.
//!
//! ```text
//!   runner ───── opens, starts, ends ──────► client_connection ─► client_session ─► workload:
//!      │                                            │                   │      rpc, pubsub, workloads
//!      └── looks at ─► run_state ◄── notes ─────────┘                   └─► wamp_client
//! ```
//!
//! A session joins, prepares and leaves by a [`wamp_client::Client`]. The few messages that make up
//! the load are written and read by hand (`wire`), which takes no allocation.
//!
//! Every answer is matched to its request. A wrong one ends the run with an [`Error`]: figures of
//! a router that answers wrongly are worth nothing.

mod client_connection;
mod client_output;
mod client_session;
mod error;
mod events_in_flight;
mod options;
mod plot;
mod pubsub;
mod report;
mod requests_in_flight;
mod rpc;
mod run_state;
mod runner;
mod samples;
mod schedule;
mod shared_run;
mod wire;
mod workload;
mod workloads;

pub use error::{Error, OnlyErrors, SessionError};
pub use options::{Load, Mode, RouterUrl, RunLimit, RunOptions, Wait};
pub use report::{Latency, RunReport};
pub use runner::{RunProgress, run};
pub use samples::ErrorCount;
