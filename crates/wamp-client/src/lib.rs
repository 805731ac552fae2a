//! A client's end of a WAMP session: joins, calls, registers, publishes, subscribes. Knows messages
//! and request ids; must not know sockets, nor whether the router is in this process.
//!
//! A [`Client`] is a [`Peer`](wamp::Peer): whoever has a way to a router gives it one, and it says
//! HELLO. From then on each request has a callback, which is called once: with the router's answer,
//! or with an [`Error`] when the session ends before. What comes unasked goes to the [`Handler`].
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use wamp::{CallOptions, HelloDetails, Message, Payload, Peer, PeerRoles, Transport};
//! use wamp_client::{Client, Handler, Limits};
//!
//! struct Nothing;
//! impl Handler for Nothing {}
//!
//! let details = HelloDetails {
//!     roles: PeerRoles::ALL,
//!     ..HelloDetails::default()
//! };
//! let client = Client::new("realm1".into(), details, Limits::default(), Nothing);
//!
//! // A router of the example's own.
//! let sent = Arc::new(Mutex::new(Vec::new()));
//! let router: Arc<dyn Transport> = {
//!     let sent = sent.clone();
//!     Arc::new(move |message: Message| sent.lock().expect("no panic").push(message))
//! };
//! client.on_open(router);
//! assert!(matches!(sent.lock().expect("no panic")[0], Message::Hello(_)));
//!
//! client.call("com.example.now".into(), CallOptions::default(), Payload::empty(), |result| {
//!     assert_eq!(result.unwrap_err().uri.as_str(), "wamp.error.unavailable", "not joined yet");
//! });
//! ```

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod client;
mod error;
mod handler;
mod messages;
mod outgoing;
mod pending;
#[cfg(test)]
mod tests;

pub use client::{Client, answer};
pub use error::Error;
pub use handler::{End, Handler};

/// How much may wait at once in one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many requests may be without their answer, of all kinds together. One more is refused
    /// with `wamp.error.unavailable`. 10000 by default.
    pub pending: usize,
    /// How many bytes may wait to leave for the router, about. While it is more, new requests are
    /// refused with `wamp.error.unavailable`. 16 MiB by default.
    pub unsent: usize,
}

impl Limits {
    /// 10,000 requests, and 16 MiB on the way.
    pub const DEFAULT: Self = Self {
        pending: 10_000,
        unsent: 16 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
