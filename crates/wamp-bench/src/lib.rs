//! `wampgres bench`: a load generator for WAMP routers, and what it measures. Knows the client's
//! end of the protocol; must not know the node that it may be pointed at.
//!
//! One thread drives all connections, on the reactor that serves the node's as well; where a rate
//! is asked for, each connection knows when its calls are due. The thread of the caller looks on:
//! it starts and ends the load. What the connections share stands behind one lock that is
//! contended by nothing else.
//!
//! ```text
//!   conduct ──── opens, starts, ends ──────► connection ── texts ──► duty: caller, callee,
//!      ▲                                          │                   publisher, subscriber
//!      └────────────── looks at ◄──────────────  run: who is ready, what was measured
//! ```
//!
//! Every answer is matched to its request. A wrong one ends the run with an [`Error`]: figures of
//! a router that answers wrongly are worth nothing.

mod client_connection;
mod error;
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
mod wire;
mod workload;

pub use error::{Error, Fault, OnlyErrors};
pub use options::{Limit, Load, Mode, Options, Target, Wait};
pub use report::{Latency, Report};
pub use runner::{Progress, run};
pub use samples::Failures;
