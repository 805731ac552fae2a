//! Owns the checked node: plain data that the rest of the program can rely on. Ranges and defaults
//! stand in the tables of keys. Knows nothing of JSON keys or of how the values came to be.

use std::{collections::BTreeMap, fmt, num::NonZeroU64, path::PathBuf, time::Duration};

use serde_json::Value;

use super::fault::Note;

mod backend;
mod database;

pub use backend::Backend;
pub use database::{
    ChannelBinding, ClientCertificate, Database, ErrorDetails, Keepalives, Reset, Secret, Server,
    SslMode, SslRootCert, TargetSessionAttrs, TlsVersion,
};

/// A whole node, every part of which has been checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeConfig {
    /// The router workers, in the order of the document.
    pub routers: Vec<RouterWorker>,
    /// The databases that components use, those with a name and those of one component alone.
    pub databases: Vec<Database>,
    /// The components of all workers, routers' and containers', in the order of the document.
    pub components: Vec<Component>,
    /// What clients may take of the node.
    pub limits: Limits,
    /// What was accepted, but has no effect here.
    pub notes: Vec<Note>,
}

/// The limits on what clients may take of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The most connections of clients at once; `None` leaves it to what files the process may open.
    pub max_connections: Option<usize>,
    /// The most of them from one address; `None` is a share of what others leave, and 0 sets no limit.
    pub max_connections_per_address: Option<usize>,
    /// The most bytes that clients may make the node hold; `None` is a quarter of what there is.
    pub memory_limit: Option<usize>,
}

/// A worker of type `router`: realms, and the listeners through which sessions reach them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RouterWorker {
    /// No two have the same name.
    pub realms: Vec<Realm>,
    /// The worker's `transports`.
    pub transports: Vec<Listener>,
}

/// A routing namespace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Realm {
    /// The realm's URI.
    pub name: String,
    /// No two have the same name.
    pub roles: Vec<Role>,
}

/// What the sessions of a role may do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Role {
    /// `anonymous` is the role of a session that did not authenticate.
    pub name: String,
    /// No two have the same URI and match policy. What no permission names is not allowed, unless there
    /// is an authorizer.
    pub permissions: Vec<Permission>,
    /// Who says what is allowed where no permission matches.
    pub authorizer: Option<Authorizer>,
}

/// A procedure that says what the sessions of a role may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorizer {
    /// Its URI.
    pub procedure: String,
    /// How long it may take.
    pub timeout: Duration,
    /// How long an answer holds that may be kept; zero for none.
    pub cache_ttl: Duration,
}

/// What is allowed on the URIs that match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permission {
    /// The pattern, without the `*` of Crossbar's shorthand.
    pub uri: String,
    /// How `uri` is compared.
    pub match_policy: MatchPolicy,
    /// The actions that are allowed.
    pub allow: Allow,
    /// Whose identity is disclosed, whatever the peer asks for.
    pub disclose: Disclose,
    /// Whether an authorization may be remembered. Decisions made from the configuration always may;
    /// the key is kept for Crossbar's sake.
    pub cache: bool,
}

/// How a permission's URI is compared with that of an action (WAMP, section "Pattern-based
/// subscriptions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MatchPolicy {
    /// The same URI.
    #[default]
    Exact,
    /// The URI begins with the pattern, character by character.
    Prefix,
    /// An empty component of the pattern stands for any component.
    Wildcard,
}

/// The four actions of WAMP. All are denied by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allow {
    /// May call procedures.
    pub call: bool,
    /// May register procedures.
    pub register: bool,
    /// May publish events.
    pub publish: bool,
    /// May subscribe to topics.
    pub subscribe: bool,
}

/// Whose identity is disclosed to the other side. Nobody's by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disclose {
    /// The caller's, to the callee.
    pub caller: bool,
    /// The publisher's, to the subscribers.
    pub publisher: bool,
}

/// A socket that the node listens on, and what it serves there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it stands in the document, for messages about it.
    pub json_path: String,
    /// What to listen on.
    pub endpoint: TcpEndpoint,
    /// What is served.
    pub service: ListenerService,
}

/// A listening TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpEndpoint {
    /// The address or the name of the interface; `None` means all.
    pub interface: Option<String>,
    /// 0 stands for any free port.
    pub port: u16,
    /// The IP version; `None` means each that `interface` has, and both without one (Crossbar.io:
    /// 4).
    pub version: Option<IpVersion>,
    /// How many connections may wait to be accepted; `None` leaves it to the listener.
    pub backlog: Option<u32>,
    /// How long the system of a peer may leave everything unanswered; `None` leaves it to this
    /// system.
    pub peer_timeout: Option<Duration>,
}

/// The version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What a listener serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerService {
    /// HTTP, with services by the first segment of the path.
    Web {
        /// Names without slashes, and `/`, which takes what no other path takes and is never a
        /// WebSocket. Without a `/`, that is 404. In the order of the document.
        paths: Vec<(String, PathService)>,
    },
    /// WAMP over WebSocket on every path.
    WebSocket(WebSocketOptions),
}

/// What is served below a path of a web listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathService {
    /// The files of a directory.
    Static {
        /// Absolute, and there when it was checked.
        directory: PathBuf,
        /// How they are served.
        options: StaticOptions,
    },
    /// WAMP over WebSocket.
    WebSocket(WebSocketOptions),
}

impl fmt::Display for PathService {
    /// As `wampgres check` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static { directory, .. } => write!(f, "files of {}", directory.display()),
            Self::WebSocket(_) => f.write_str("websocket"),
        }
    }
}

/// How static files are served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StaticOptions {
    /// Whether a directory without an index file shows its entries.
    pub enable_directory_listing: bool,
    /// Further MIME types by file name extension, with its dot and in lower case: (`.md`,
    /// `text/markdown`).
    pub mime_types: Vec<(String, String)>,
    /// How long a client may keep a file without asking again; `None` lets it ask every time, and a
    /// file that has not changed is answered with 304.
    pub cache_timeout: Option<Duration>,
    /// A file below the directory that is sent, with 200, for paths that lead to nothing and have no
    /// extension.
    pub default_file: Option<String>,
    /// Whether pages of other origins may read the files.
    pub allow_cross_origin: bool,
}

/// How WebSocket connections behave: Crossbar's options (there in milliseconds) and our own. `None` is written as 0 in the document and turns the feature or the limit off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketOptions {
    /// Patterns of allowed `Origin`s, in which `*` stands for any run of characters.
    pub allowed_origins: Vec<String>,
    /// How long a client may take for its opening handshake, and again for its HELLO.
    pub open_handshake_timeout: Option<Duration>,
    /// How long the answer to our Close frame may take.
    pub close_handshake_timeout: Option<Duration>,
    /// How often to send a Ping.
    pub auto_ping_interval: Option<Duration>,
    /// How long a Pong may take before the peer counts as dead.
    pub auto_ping_timeout: Option<Duration>,
    /// The payload of a Ping, in bytes.
    pub auto_ping_size: usize,
    /// The largest message that is accepted, in bytes.
    pub max_message_size: Option<usize>,
    /// The largest frame that is accepted, in bytes.
    pub max_frame_size: Option<usize>,
    /// Whether Nagle's algorithm is disabled.
    pub tcp_nodelay: bool,
    /// Whether a plain GET shows a status page.
    pub enable_webstatus: bool,
    /// Whether the client must offer a WAMP subprotocol.
    pub require_websocket_subprotocol: bool,
    /// Whether a violation of the protocol drops the connection, without a Close frame.
    pub fail_by_drop: bool,
    /// How many bytes may wait for a slow client before it has to read. Ours, as are the next two.
    pub outbox_limit: usize,
    /// How long it may take to read them, before it is dropped.
    pub slow_client_timeout: Option<Duration>,
    /// How long a message may take from its first byte to its last.
    pub message_timeout: Option<Duration>,
}

/// An application component that the node runs.
#[derive(Clone, PartialEq)]
pub struct Component {
    /// Where it stands in the document, for messages about it.
    pub json_path: String,
    /// One of the classes the caller knows.
    pub classname: String,
    /// The realm it joins; in process, one of its router's.
    pub realm: String,
    /// The role it joins as; `None` leaves it to the router (`anonymous`).
    pub role: Option<String>,
    /// What the class makes of it; null when not written. Without its `database` and its
    /// `procedures`, which became [`Component::database`] and [`Component::concurrency`].
    pub extra: Value,
    /// Its database, if it has one: an index into [`NodeConfig::databases`].
    pub database: Option<usize>,
    /// The others that it may use, by their names, in the same way.
    pub databases: BTreeMap<String, usize>,
    /// How many invocations of a procedure may run at once, by its URI; the calls beyond that wait
    /// in the router. Which procedures the class has is not known here.
    pub concurrency: BTreeMap<String, NonZeroU64>,
    /// Where it joins.
    pub transport: Transport,
}

impl Component {
    /// Whether it uses this database, or may.
    pub fn may_use(&self, database: usize) -> bool {
        self.database == Some(database) || self.databases.values().any(|index| *index == database)
    }
}

/// Shows no value of `extra`: what a class keeps there may be a secret.
impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra: Vec<&String> = self
            .extra
            .as_object()
            .into_iter()
            .flat_map(|o| o.keys())
            .collect();
        f.debug_struct("Component")
            .field("json_path", &self.json_path)
            .field("classname", &self.classname)
            .field("realm", &self.realm)
            .field("role", &self.role)
            .field("extra", &extra)
            .field("database", &self.database)
            .field("concurrency", &self.concurrency)
            .field("transport", &self.transport)
            .finish()
    }
}

/// Where a component joins its realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// In this process: a router's own component, or a container's whose URL is a listener of this
    /// node.
    InProcess {
        /// An index into [`NodeConfig::routers`].
        router: usize,
    },
    /// Any other router, as a WAMP client.
    Dialled(Box<ClientTransport>),
}

/// How to reach another router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTransport {
    /// As written.
    pub url: String,
    /// The host to dial; an IPv6 address stands without brackets.
    pub host: String,
    /// The port to dial.
    pub port: u16,
    /// The target of the opening handshake: path and query.
    pub path: String,
    /// How long connecting may take.
    pub timeout: Duration,
    /// How the connection behaves. Options that only a server has do not count.
    pub options: WebSocketOptions,
}
