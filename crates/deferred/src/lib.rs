//! Owns how one result travels from the thread that has it to the one that wants it, and the ways
//! to end the job behind it; knows nothing of databases. Uses nothing but std.
//!
//! A job has a [`Promise`], whoever wants its result a [`Deferred`], as in Twisted. Whoever runs
//! jobs for others drives them by [`Promise::control`]: see [`Control`].
//!
//! ```
//! use deferred::{Failure, deferred};
//!
//! #[derive(Debug)]
//! struct Error(String);
//!
//! impl Failure for Error {
//!     type Kind = ();
//!     fn cancelled() -> Self {
//!         Self("cancelled".to_owned())
//!     }
//!     fn dropped() -> Self {
//!         Self("nobody gave a result".to_owned())
//!     }
//!     fn panicked(message: &str) -> Self {
//!         Self(format!("panicked: {message}"))
//!     }
//!     fn kind(&self) {}
//!     fn callback_panicked(_: &str) {}
//! }
//!
//! let (promise, later) = deferred::<i32, Error>();
//! std::thread::spawn(move || promise.resolve(Ok(41)));
//! assert_eq!(later.map(|n| n + 1).wait().expect("a number"), 42);
//! ```

#![warn(clippy::wildcard_enum_match_arm)]

mod control;
mod failure;
mod promise;
mod shared;
#[cfg(test)]
mod tests;

pub use control::{Cancel, CancelHandle, Control, Interrupt, Stage};
pub use failure::{Failure, panic_message};
pub use promise::{Deferred, Promise, deferred};
