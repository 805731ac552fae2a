//! Why a run fails: what its user reads. Owns the words only.

use std::{io, time::Duration};

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No load can be put on this address.
    #[error("{url:?} cannot be used: {why}")]
    Url {
        /// The address.
        url: String,
        /// Why not.
        why: &'static str,
    },
    /// Nobody listens at the address.
    #[error(
        "cannot reach {url}: {source}; is the node running there? `wampgres start` starts one, \
         and prints its address to give as --url"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// This machine has no local port left to connect to the router from.
    #[error(
        "no local port is left for one more connection to {url} after {connections}; let the system \
         use more of them, as root: sysctl -w net.ipv4.ip_local_port_range='1024 65535'"
    )]
    NoPort {
        /// The address.
        url: String,
        /// How many connections there are.
        connections: usize,
    },
    /// The system has no threads or descriptors left.
    #[error("cannot begin: {0}")]
    System(#[from] io::Error),
    /// Sessions were still joining, and the router had said nothing for the timeout.
    #[error(
        "only {ready} of {wanted} sessions were ready when the router had said nothing for \
         {timeout:?}"
    )]
    NotReady {
        /// How many were ready.
        ready: usize,
        /// How many there were to be.
        wanted: usize,
        /// How long it was silent.
        timeout: Duration,
    },
    /// Answers are outstanding, and none has come for the timeout.
    #[error(
        "{count} answers are missing and nothing has come for {timeout:?}, the first of them {example}"
    )]
    Lost {
        /// How many.
        count: u64,
        /// How long the router was silent.
        timeout: Duration,
        /// One of them.
        example: String,
    },
    /// The run has had errors only for the timeout.
    #[error("given up after {timeout:?}: {errors}")]
    GivenUp {
        /// How long the run has had errors only.
        timeout: Duration,
        /// The errors.
        errors: OnlyErrors,
    },
    /// A session saw an error that ends the run.
    #[error("session {session}: {error}")]
    Session {
        /// The session, counted from 0 in the order of connecting.
        session: usize,
        /// What it saw.
        error: SessionError,
    },
}

/// Calls were answered, and all with errors.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no call succeeded: {count} answered with an error, the first with {first}")]
pub struct OnlyErrors {
    /// How many were answered.
    pub count: u64,
    /// The first error: its URI and what it says.
    pub first: String,
}

/// What went wrong in a session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The opening handshake was not granted.
    #[error("the WebSocket was not opened: {0}; is the path of --url that of the router?")]
    Handshake(String),
    /// The router did not let it in, or threw it out.
    #[error("the router ended the session: {reason}{}", colon(.message))]
    Ended {
        /// The reason as a URI.
        reason: String,
        /// What the router says to people.
        message: Option<String>,
    },
    /// A request that the run needs was refused.
    #[error("{request} failed with {error}: {message}")]
    Refused {
        /// The request.
        request: &'static str,
        /// The error as a URI.
        error: String,
        /// Its arguments.
        message: String,
    },
    /// The connection is gone.
    #[error("the connection was lost {0}; did the node go away?")]
    Disconnected(&'static str),
    /// The system does not watch the connection.
    #[error(
        "the system does not watch one more socket; does this user watch as many as \
         fs.epoll.max_user_watches allows?"
    )]
    Unwatched,
    /// The router broke a protocol.
    #[error("the router sent what it must not send: {0}")]
    Violation(String),
    /// An answer came twice.
    #[error("request {0} was answered twice")]
    Doubled(u64),
    /// An answer came to a request that was never made.
    #[error("an answer came to request {0}, which was never made")]
    NeverMade(u64),
    /// The session has ended, and an answer had not come.
    #[error("{0} had not come when the session ended")]
    Missing(String),
    /// The callee got a call twice, or late.
    #[error("INVOCATION {request} came after INVOCATION {last}: it is doubled or out of order")]
    Invocation {
        /// The one that came before.
        last: u64,
        /// The one that came.
        request: u64,
    },
    /// The router cannot keep up with an open load.
    #[error("the router is {0} answers behind: it cannot do as many a second; lower --rate")]
    Behind(u64),
    /// A call was answered with the result of another.
    #[error("request {request} was answered with {received}, not with {sent}, which was sent")]
    Changed {
        /// The request.
        request: u64,
        /// The arguments sent.
        sent: String,
        /// The arguments that came back.
        received: String,
    },
    /// An event is missing, or came twice.
    #[error("event {received} came where event {expected} was due: it is {}", if received < expected {
        "doubled"
    } else {
        "out of order, or those between are lost"
    })]
    Sequence {
        /// The event due.
        expected: u64,
        /// The event that came.
        received: u64,
    },
}

/// A message to be appended to what it explains: a colon and the text, or nothing.
pub(super) fn colon(message: &Option<String>) -> String {
    message
        .as_ref()
        .map_or_else(String::new, |message| format!(": {message}"))
}
