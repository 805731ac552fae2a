//! PostgreSQL connections on non-blocking sockets inside a reactor, pipelined. Must not know WAMP,
//! JSON nor the configuration, and has no async runtime.

mod builder;
mod connecting;
mod connection;
mod database;
mod error;
mod interaction;
mod listening;
mod notices;
mod pool;
mod reactors;
#[allow(dead_code, reason = "the pool uses a part of what a session can")]
mod session;
mod settings;
#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use interaction::Transaction;
pub use pool::ConnectionPool;
pub use reactors::Reactors;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use session::fuzz_session;
pub use settings::{OnConnect, Opened, Reset};
