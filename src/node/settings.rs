//! Translates the configuration's model into the options of the modules it configures, one function
//! for each. Must not start anything.

#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit};

use super::Error;
use crate::config::{
    self, ClientTransport, Database, IpVersion, Listener, ListenerService, NodeConfig, PathService,
    SslRootCert, TcpEndpoint,
};
use component::ErrorDetails;
use sql::{ConnectionSettings, Password};
use wamp::{MAX_ID, PublicationId, SessionId, Uri};
use wamp_router::{IdSource, Limits, RealmOptions};
use wamp_transport::{AddressLimit, ConnectionLimits, Target, WebService, WebSocketOptions};
use web::{AllowedOrigins, Paths, StaticDirectory, StaticOptions};

/// How the router names itself to clients.
const AGENT: &str = concat!("wampgres-", env!("CARGO_PKG_VERSION"));
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long the head of a request may take where files are served, or where a WebSocket service sets
/// no limit: a client that sends nothing must not hold a connection for ever. A service that sets
/// a higher limit gets it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Stands for "no limit" of sizes: the largest limit that can be configured. Room for a frame is
/// reserved as soon as its head has come, so a head must not be able to ask for more memory than
/// there can be.
const UNLIMITED: usize = 1 << 30;

/// Files that every node has open, besides those of its I/O threads and databases: standard streams,
/// listeners, the configuration of a moment.
const FILES: u64 = 32;
/// Files of an I/O thread: its poll, its wake-up, its timer, some room.
const FILES_OF_THREAD: u64 = 8;
/// Files of a connection to a database, that of a cancel request included.
const FILES_OF_DATABASE_CONNECTION: u64 = 5;
/// Of the files that the process may open, this part is for what connections need beyond their
/// sockets, as a file that is sent.
const FILES_IN_USE: u64 = 8;

/// Ids of the global scope, drawn from the thread's random generator.
pub(super) struct RandomIds;

impl IdSource for RandomIds {
    fn session(&mut self) -> SessionId {
        SessionId::new(random_id()).expect("random ids are drawn from the range of ids")
    }

    fn publication(&mut self) -> PublicationId {
        PublicationId::new(random_id()).expect("random ids are drawn from the range of ids")
    }
}

fn random_id() -> u64 {
    rand::random_range(1..=MAX_ID)
}

/// How many connections there may be on a node with so many I/O threads. The default is what this
/// process may open, less what else it needs; a quarter at least, since a node that serves nobody is
/// of no use.
pub(super) fn connection_limits(config: &NodeConfig, io_threads: usize) -> ConnectionLimits {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let most = most_connections(files, io_threads, &config.databases);
    let max_connections = config.limits.max_connections.unwrap_or(most);
    if max_connections > most {
        tracing::warn!(
            max_connections,
            files,
            "limits.max_connections is more than this process can have with its limit of open files; \
             {most} would leave enough for the rest: raise the limit (ulimit -Hn, LimitNOFILE)"
        );
    }
    let per_address = match config.limits.max_connections_per_address {
        None => AddressLimit::Share,
        Some(0) => AddressLimit::None,
        Some(most) => AddressLimit::Fixed(most),
    };
    ConnectionLimits {
        max_connections,
        per_address,
    }
}

/// How many connections a node may have by default that may open so many files.
fn most_connections(files: u64, io_threads: usize, databases: &[Database]) -> usize {
    let of_databases = (databases.iter())
        .map(|database| u64::from(database.cp_max) * FILES_OF_DATABASE_CONNECTION)
        .sum::<u64>();
    let reserve = FILES + FILES_OF_THREAD * io_threads as u64 + of_databases + files / FILES_IN_USE;
    let most = files.saturating_sub(reserve).max(files / 4).max(1);
    usize::try_from(most).unwrap_or(usize::MAX)
}

pub(super) fn realm(realm: &config::Realm) -> RealmOptions {
    RealmOptions {
        name: Uri::from(realm.name.as_str()),
        roles: realm.roles.iter().map(role).collect(),
        agent: AGENT.to_owned(),
        limits: Limits::default(),
    }
}

fn role(role: &config::Role) -> wamp_router::Role {
    wamp_router::Role {
        name: role.name.clone(),
        permissions: role.permissions.iter().map(permission).collect(),
        authorizer: role.authorizer.as_ref().map(authorizer),
    }
}

fn authorizer(authorizer: &config::Authorizer) -> wamp_router::Authorizer {
    wamp_router::Authorizer {
        procedure: Uri::from(authorizer.procedure.as_str()),
        timeout: authorizer.timeout,
        cache_ttl: authorizer.cache_ttl,
    }
}

fn permission(permission: &config::Permission) -> wamp_router::Permission {
    let config::Allow {
        call,
        register,
        publish,
        subscribe,
    } = permission.allow;
    let config::Disclose { caller, publisher } = permission.disclose;
    wamp_router::Permission {
        uri: permission.uri.clone(),
        match_policy: match permission.match_policy {
            config::MatchPolicy::Exact => wamp_router::MatchPolicy::Exact,
            config::MatchPolicy::Prefix => wamp_router::MatchPolicy::Prefix,
            config::MatchPolicy::Wildcard => wamp_router::MatchPolicy::Wildcard,
        },
        allow: wamp_router::Allow {
            call,
            register,
            publish,
            subscribe,
        },
        disclose: wamp_router::Disclose { caller, publisher },
    }
}

/// The addresses to bind, IPv4 first: those that the interface has of the IP version. Without an
/// interface, all of the machine; without a version, those of both.
pub(super) fn interface(endpoint: &TcpEndpoint) -> io::Result<Vec<IpAddr>> {
    let fits = |address: &IpAddr| match endpoint.version {
        None => true,
        Some(IpVersion::V4) => address.is_ipv4(),
        Some(IpVersion::V6) => address.is_ipv6(),
    };
    let mut addresses: Vec<IpAddr> = match &endpoint.interface {
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        // RFC 6761, section 6.3: the loopback addresses, whatever the file of hosts says.
        Some(interface) if interface.eq_ignore_ascii_case("localhost") => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Some(interface) => (interface.as_str(), endpoint.port)
            .to_socket_addrs()?
            .map(|address| address.ip())
            .collect(),
    };
    addresses.retain(fits);
    addresses.sort_unstable();
    addresses.dedup();
    if !addresses.is_empty() {
        Ok(addresses)
    } else {
        Err(io::Error::other(
            "the interface has no address of this IP version",
        ))
    }
}

pub(super) fn backlog(endpoint: &TcpEndpoint) -> u32 {
    endpoint.backlog.unwrap_or(BACKLOG)
}

pub(super) fn web_service(listener: &Listener) -> Result<WebService, Error> {
    let mut paths = Paths::new();
    // The opening handshake of a WebSocket is the head of a request, and which service it is
    // for shows only once it is there.
    let mut head_timeout = Duration::ZERO;
    let mut websocket = |options: &config::WebSocketOptions| {
        head_timeout = head_timeout.max(options.open_handshake_timeout.unwrap_or(HEAD_TIMEOUT));
        wamp_transport::PathService::WebSocket(Arc::new(websocket_options(options)))
    };
    match &listener.service {
        ListenerService::WebSocket(options) => {
            paths.insert("/", websocket(options));
        }
        ListenerService::Web { paths: configured } => {
            for (path, service) in configured {
                let service = match service {
                    PathService::WebSocket(options) => websocket(options),
                    PathService::Static { directory, options } => {
                        let directory = StaticDirectory::new(directory, &static_options(options))
                            .map_err(|source| Error::Directory {
                            json_path: listener.json_path.clone(),
                            directory: directory.display().to_string(),
                            source,
                        })?;
                        wamp_transport::PathService::Static(Box::new(directory))
                    }
                };
                paths.insert(path, service);
            }
        }
    }
    if matches!(listener.service, ListenerService::Web { .. }) {
        // It may have files, and answers 404 in any case.
        head_timeout = head_timeout.max(HEAD_TIMEOUT);
    }
    Ok(WebService::new(paths, head_timeout))
}

fn static_options(options: &config::StaticOptions) -> StaticOptions {
    StaticOptions {
        enable_directory_listing: options.enable_directory_listing,
        mime_types: options.mime_types.iter().cloned().collect(),
        cache_timeout: options
            .cache_timeout
            .map(|timeout| u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX)),
        allow_cross_origin: options.allow_cross_origin,
        default_file: options.default_file.clone(),
    }
}

fn websocket_options(options: &config::WebSocketOptions) -> WebSocketOptions {
    WebSocketOptions {
        allowed_origins: AllowedOrigins::new(&options.allowed_origins),
        open_handshake_timeout: options.open_handshake_timeout,
        close_handshake_timeout: options.close_handshake_timeout,
        auto_ping_interval: options.auto_ping_interval,
        auto_ping_timeout: options.auto_ping_timeout,
        auto_ping_size: options.auto_ping_size,
        max_message_size: options.max_message_size.unwrap_or(UNLIMITED),
        max_frame_size: options
            .max_frame_size
            .or(options.max_message_size)
            .unwrap_or(UNLIMITED),
        tcp_nodelay: options.tcp_nodelay,
        enable_webstatus: options.enable_webstatus,
        require_websocket_subprotocol: options.require_websocket_subprotocol,
        fail_by_drop: options.fail_by_drop,
        outbox_limit: options.outbox_limit,
        slow_client_timeout: options.slow_client_timeout,
        message_timeout: options.message_timeout,
    }
}

/// How often a router that is dialled is pinged, and how long its Pong may take, if the
/// configuration does not say.
const HEARTBEAT: Duration = Duration::from_secs(10);

pub(super) fn target(connect: &ClientTransport) -> Target {
    let options = &connect.options;
    Target {
        url: connect.url.clone(),
        host: connect.host.clone(),
        port: connect.port,
        timeout: connect.timeout,
        ping_interval: options.auto_ping_interval.unwrap_or(HEARTBEAT),
        ping_timeout: options.auto_ping_timeout.unwrap_or(HEARTBEAT),
        max_message_size: options.max_message_size.unwrap_or(UNLIMITED),
        max_frame_size: (options.max_frame_size)
            .or(options.max_message_size)
            .unwrap_or(UNLIMITED),
        tcp_nodelay: options.tcp_nodelay,
    }
}

/// What callers get of PostgreSQL's report of an error.
pub(super) fn error_details(database: &Database) -> ErrorDetails {
    match database.error_details {
        config::ErrorDetails::None => ErrorDetails::None,
        config::ErrorDetails::Names => ErrorDetails::Names,
        config::ErrorDetails::All => ErrorDetails::All,
        config::ErrorDetails::Debug => ErrorDetails::Debug,
    }
}

/// What the builders of both backends' pools are told, by the same names.
macro_rules! pool_settings {
    ($builder:expr, $database:expr) => {{
        let database: &Database = $database;
        let builder = $builder
            .cp_min(database.cp_min)
            .cp_max(database.cp_max)
            .cp_noisy(database.cp_noisy)
            .cp_reconnect(database.cp_reconnect)
            .cp_good_sql(database.cp_good_sql.as_str())
            .queue_limit(database.queue_limit)
            .queue_timeout(database.queue_timeout)
            .connect_timeout(database.connect_timeout.unwrap_or(Duration::MAX))
            .statement_timeout(database.statement_timeout)
            .idle_timeout(database.idle_timeout)
            .max_lifetime(database.max_lifetime)
            .slow_query(database.slow_query)
            .statement_cache(database.statement_cache)
            .reset(database.reset);
        match database.cp_name.as_ref().or(database.name.as_ref()) {
            Some(name) => builder.cp_name(name.as_str()),
            None => builder,
        }
    }};
}

/// The pool of a database by adbapi, ready to be built.
#[cfg(feature = "adbapi")]
pub(super) fn adbapi(database: &Database) -> adbapi::Builder {
    let settings = connection(database);
    pool_settings!(adbapi::ConnectionPool::with_settings(&settings), database)
}

/// The pool of a database by txpostgres, ready to be built.
#[cfg(feature = "txpostgres")]
pub(super) fn txpostgres(database: &Database) -> txpostgres::Builder {
    let settings = connection(database);
    pool_settings!(txpostgres::ConnectionPool::builder(settings), database)
}

/// How each connection of the pool is made, whichever backend makes it.
fn connection(database: &Database) -> ConnectionSettings {
    // As in libpq, an empty password is none.
    let password = database.password.as_ref().map(config::Secret::expose);
    let password = password.filter(|password| !password.is_empty());
    let own = database.client_certificate.as_ref();
    ConnectionSettings {
        servers: database.servers.clone(),
        load_balance_hosts: database.load_balance_hosts,
        target_session_attrs: database.target_session_attrs,
        database: database.database.clone(),
        user: database.user.clone(),
        password: password.map(Password::new),
        passfile: database.passfile.clone(),
        channel_binding: database.channel_binding,
        sslmode: Some(database.sslmode),
        sslrootcert: database.sslrootcert.as_ref().map(|trusted| match trusted {
            SslRootCert::File(file) => file.clone(),
            SslRootCert::System => PathBuf::from("system"),
        }),
        client_certificate: own.map(|own| (own.certificate.clone(), own.key.clone())),
        sslsni: database.sslsni,
        tls_versions: database.tls_versions,
        is_direct_tls: database.direct_tls,
        application_name: database.application_name.clone(),
        options: database.options.clone(),
        keepalives: database.keepalives,
        tcp_user_timeout: database.tcp_user_timeout,
    }
}
