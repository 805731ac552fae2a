//! PostgreSQL connections on non-blocking sockets inside a reactor, pipelined. Must not know WAMP,
//! JSON nor the configuration, and has no async runtime.

// The pool is built on it.
#[allow(dead_code, unused_imports)]
mod session;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use session::fuzz_session;
