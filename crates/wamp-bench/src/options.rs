//! What a run is asked to do. Must not know how it is done.

use std::{num::NonZeroU16, ops::Range, time::Duration};

use serde::Serialize;
use serde_json::value::RawValue;
use tungstenite::http::Uri;
use wamp::Serializer;

use super::error::Error;

/// What a run does.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The router.
    pub router: RouterUrl,
    /// The realm that all sessions join.
    pub realm: String,
    /// What the sessions do.
    pub mode: Mode,
    /// The procedure called, or in [`Mode::PubSub`] the topic.
    pub uri: String,
    /// The positional arguments. `None` is none, and in [`Mode::Echo`] others for each call.
    pub args: Option<Box<RawValue>>,
    /// How many sessions call, subscribe or merely join.
    pub connections: usize,
    /// When they begin operations.
    pub load: Load,
    /// When the load ends.
    pub limit: RunLimit,
    /// How long the load runs before it is measured.
    pub warmup: Duration,
    /// How long the router may be silent while answers are outstanding, or give errors only; not
    /// zero.
    pub timeout: Duration,
    /// How messages are encoded.
    pub serializer: Serializer,
    /// How the generator waits for answers.
    pub wait: Wait,
}

impl RunOptions {
    /// How many sessions the run has in all.
    pub(super) fn sessions(&self) -> usize {
        self.connections
            + match self.mode {
                Mode::Call | Mode::Connect => 0,
                // The callee, the publisher: session 0.
                Mode::Echo | Mode::PubSub => 1,
            }
    }

    /// The sessions that begin operations.
    pub(super) fn active_sessions(&self) -> Range<usize> {
        match self.mode {
            Mode::Call | Mode::Connect => 0..self.connections,
            Mode::Echo => 1..self.connections + 1,
            Mode::PubSub => 0..1,
        }
    }

    /// How often each operation completes.
    pub(super) fn completions_per_operation(&self) -> u64 {
        match self.mode {
            Mode::PubSub => self.connections as u64,
            Mode::Call | Mode::Echo | Mode::Connect => 1,
        }
    }
}

/// What the sessions do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They call a procedure that is there.
    Call,
    /// They call a procedure that one more session of the run registers and answers.
    Echo,
    /// They subscribe to a topic that one more session publishes to.
    PubSub,
    /// They join, stay, and leave.
    Connect,
}

impl Mode {
    /// What an operation is called.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Call | Self::Echo => "calls",
            Self::PubSub => "events",
            Self::Connect => "joins",
        }
    }
}

/// How the generator waits for answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// It sleeps, as a browser and most clients do. The system wakes it, and that time is in the
    /// latency.
    Asleep,
    /// It looks for the next answer without a pause while answers come quickly. So the latency is
    /// without the waking of the client; it takes a processor.
    Awake,
}

/// When the next operation begins.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Load {
    /// Each session has so many operations in flight: the next begins when one completes.
    Closed {
        /// How many.
        inflight: usize,
    },
    /// Operations begin at an even arrival rate on all sessions together, whether those before have
    /// completed or not. Their latency counts from when they were due.
    Open {
        /// How many begin a second.
        rate: f64,
    },
}

/// When the load completions_per_operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunLimit {
    /// After so long. In [`Mode::Connect`], how long the sessions stay.
    Duration(Duration),
    /// After so many calls or publications.
    Operations(u64),
}

/// The WebSocket address of a router.
#[derive(Clone, Debug)]
pub struct RouterUrl {
    pub(super) url: Uri,
    pub(super) host: String,
    pub(super) port: u16,
}

impl RouterUrl {
    /// The router at `ws://host[:port][/path]`.
    ///
    /// # Errors
    /// [`Error::Url`] for anything else.
    pub fn new(url: &str) -> Result<Self, Error> {
        let error = |why| Error::Url {
            url: url.to_owned(),
            why,
        };
        let other = || error("it is no WebSocket address, which looks like ws://127.0.0.1:8080/ws");
        let parsed: Uri = url.parse().map_err(|_| other())?;
        match parsed.scheme_str() {
            Some("ws") => {}
            Some("wss") => return Err(error("the load generator does not speak TLS")),
            _ => return Err(other()),
        }
        let authority = parsed.authority().ok_or_else(other)?;
        let host = authority.host();
        // A port beyond 65535 is none for `Authority::port_u16`, as if there were none.
        let without_user = authority.as_str().rsplit('@').next();
        let port = match without_user.and_then(|address| address.strip_prefix(host)) {
            Some("" | ":") => 80,
            Some(port) => (port.trim_start_matches(':').parse::<NonZeroU16>())
                .map_err(|_| error("its port is not one of 1 to 65535"))?
                .get(),
            None => return Err(other()),
        };
        Ok(Self {
            // A host in brackets is an IPv6 address, which is resolved without them.
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            url: parsed,
        })
    }

    /// The address as it was given.
    pub fn url(&self) -> String {
        self.url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_mostly_a_port() {
        for (url, host, port) in [
            ("ws://127.0.0.1:8080/ws", "127.0.0.1", 8080),
            ("ws://example.com/ws", "example.com", 80),
            ("ws://example.com:/ws", "example.com", 80),
            ("ws://1:81", "1", 81),
            ("ws://a@a:65535/a", "a", 65535),
            ("ws://[::1]:9/ws", "::1", 9),
            ("ws://[::1]", "::1", 80),
        ] {
            let target = RouterUrl::new(url).expect(url);
            assert_eq!((target.host.as_str(), target.port), (host, port), "{url}");
        }
        for (url, words) in [
            ("ws://host:99999/ws", "port"),
            ("ws://host:0/ws", "port"),
            ("wss://host/ws", "TLS"),
            ("http://host/ws", "ws://127.0.0.1:8080/ws"),
            ("host:80", "ws://127.0.0.1:8080/ws"),
            ("", "ws://127.0.0.1:8080/ws"),
        ] {
            let error = RouterUrl::new(url).expect_err(url).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
