//! From sockets to sessions: listeners, connections, and the realms behind their locks. Knows
//! bytes, frames and outboxes; must not know SQL, components nor the configuration's form.
//!
//! A call takes this way: the reactor reads ([`reactor`]), a session cuts frames and
//! decodes, the [`Realm`] lets the router decide under its lock and puts the outcome into
//! outboxes, and the thread that owns the receiving connection encodes and writes, all of one
//! turn at once.

mod backlog;
mod client;
mod clock;
mod clock_handle;
mod connection_limits;
mod fan_out;
mod frame_lengths;
mod frames;
mod heartbeat;
pub mod limits;
mod listener;
mod local;
mod local_queue;
mod memory;
mod outbox;
mod realm;
mod refusal;
mod session;
#[cfg(test)]
mod tests;
mod web_connection;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub use backlog::Charge;
pub use client::{ClientHandshake, Dialler, MakePeer, OnFailure, Target};
pub use clock::start_clock;
pub use clock_handle::ClockHandle;
pub use connection_limits::{
    AddressLimit, ConnectionLimits, ConnectionStats, Connections, network_of,
};
pub use frames::{FrameLimits, Frames, Incoming, TooLarge};
pub use listener::{bind, bind_all, deal, set_peer_timeout};
pub use local::open_local;
pub use memory::{Memory, MemoryStats};
pub use outbox::{Broadcast, DiallerEvent, Mail};
pub use realm::Realm;
pub use web_connection::{PathService, WebService};

use wamp::Uri;
use web::AllowedOrigins;

/// The realms that the clients of a listener can join.
pub struct Realms {
    by_name: HashMap<Uri, Arc<Realm>>,
    memory: Arc<Memory>,
}

impl Realms {
    /// The realms with their names, and the memory that their clients have in common.
    pub fn new(realms: impl IntoIterator<Item = (Uri, Arc<Realm>)>, memory: Arc<Memory>) -> Self {
        Self {
            memory,
            by_name: realms.into_iter().collect(),
        }
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// The realm of this name.
    pub fn find(&self, name: &Uri) -> Option<&Arc<Realm>> {
        self.by_name.get(name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Realm>> {
        self.by_name.values()
    }
}

/// How WebSocket connections are treated. The names are those of Crossbar's options.
#[derive(Clone, Debug)]
pub struct WebSocketOptions {
    /// Which pages may connect, judged by the `Origin` a browser sends.
    pub allowed_origins: AllowedOrigins,
    /// How long a client may take from the opening handshake to its HELLO; `None` is for ever.
    pub open_handshake_timeout: Option<Duration>,
    /// How long the closing handshake may take before the connection is dropped.
    pub close_handshake_timeout: Option<Duration>,
    /// How often the client is pinged; `None` is never.
    pub auto_ping_interval: Option<Duration>,
    /// How long a client may stay silent after a ping; `None` is for ever.
    pub auto_ping_timeout: Option<Duration>,
    /// How many bytes a ping carries.
    pub auto_ping_size: usize,
    /// The largest message accepted, in bytes.
    pub max_message_size: usize,
    /// The largest frame accepted, in bytes.
    pub max_frame_size: usize,
    /// Whether small writes leave at once (without Nagle's algorithm).
    pub tcp_nodelay: bool,
    /// Whether a plain GET gets a page that says what is here.
    pub enable_webstatus: bool,
    /// Whether a client must name a subprotocol that is served.
    pub require_websocket_subprotocol: bool,
    /// Whether a client that breaks the protocol is dropped without a closing handshake.
    pub fail_by_drop: bool,
    /// How many bytes may wait for a client before it is not read from, and has to read itself. Four
    /// times as many are too much at once.
    pub outbox_limit: usize,
    /// How long a client may take for each 64 KiB ([`limits::LEAST_TAKEN`]) that it reads while more
    /// than `outbox_limit` waits for it, before it is dropped; `None` is for ever.
    pub slow_client_timeout: Option<Duration>,
    /// How long a message may take from its first byte to its last; `None` is for ever.
    pub message_timeout: Option<Duration>,
}

/// The target of its log, for `RUST_LOG`.
const LOG: &str = "wampgres::transport";
