//! Owns the listening transports in the document: endpoints, web paths, WebSocket options. Knows
//! nothing of sockets.

use std::{net::IpAddr, ops::RangeInclusive, path::Path, time::Duration};

use super::{
    check::Context,
    json::Json,
    keys,
    model::{
        IpVersion, Listener, ListenerService, PathService, StaticOptions, TcpEndpoint,
        WebSocketOptions,
    },
    reader::{Cursor, Object},
    words::unless_secret,
};

/// Timeouts are up to a day; whoever wants longer wants none.
const MILLISECONDS: RangeInclusive<u64> = 0..=86_400_000;
/// A day, and a year: the range in which a cache time makes sense (RFC 9111 knows no upper limit).
const CACHE_SECONDS: RangeInclusive<u64> = 0..=31_536_000;
/// Up to 1 GiB.
const BYTES: RangeInclusive<u64> = 0..=1 << 30;
/// At least a few messages, up to 1 GiB.
const OUTBOX_BYTES: RangeInclusive<u64> = 65_536..=1 << 30;
/// Crossbar's range (the payload of a control frame is at most 125 bytes: RFC 6455, section 5.5).
const PING_BYTES: RangeInclusive<u64> = 4..=125;
/// A peer that is gone is noticed within twice the time: see `transport::set_peer_timeout`.
const DEFAULT_PEER_TIMEOUT: Duration = Duration::from_secs(60);
const BACKLOG: RangeInclusive<u64> = 1..=65_535;
pub(super) const PORT: RangeInclusive<u64> = 0..=65_535;

/// Checks an item of `transports`. `None` when it has a fault.
pub(super) fn listener<'a>(
    item: &Cursor<'a>,
    context: &Context<'_>,
    ports: &mut Ports<'a>,
) -> Option<Listener> {
    let before = item.report().faults();
    let (object, service) = match item.kind(&keys::TRANSPORT_TYPES)? {
        "web" => {
            let object = item.object(&keys::WEB_TRANSPORT)?;
            if let Some(options) = object.member("options") {
                options.object(&keys::WEB_OPTIONS);
            }
            let paths = object.required("paths", "an object with the path `/` and others");
            let paths = paths
                .map(|paths| services(&paths, context))
                .unwrap_or_default();
            (object, ListenerService::Web { paths })
        }
        _ => {
            let object = item.object(&keys::WEBSOCKET_TRANSPORT)?;
            serializers(&object);
            let options = websocket_options(&object);
            (object, ListenerService::WebSocket(options))
        }
    };
    let endpoint = object
        .required(
            "endpoint",
            "an object such as {\"type\": \"tcp\", \"port\": 8080}",
        )
        .and_then(|endpoint| tcp_endpoint(&endpoint, ports))?;
    (item.report().faults() == before).then(|| Listener {
        json_path: item.path().to_owned(),
        endpoint,
        service,
    })
}

fn tcp_endpoint<'a>(item: &Cursor<'a>, ports: &mut Ports<'a>) -> Option<TcpEndpoint> {
    item.kind(&keys::ENDPOINT_TYPES)?;
    let object = item.object(&keys::LISTENING_ENDPOINT)?;
    let version = object
        .member("version")
        .and_then(|member| match member.seen().as_str() {
            "4" => Some(IpVersion::V4),
            "6" => Some(IpVersion::V6),
            _ => {
                member.fault("must be 4 or 6");
                None
            }
        });
    let interface = object.member("interface").and_then(|member| {
        let interface = member.text()?;
        let contradicts = |address: IpAddr| match version {
            Some(IpVersion::V4) => address.is_ipv6(),
            Some(IpVersion::V6) => address.is_ipv4(),
            None => false,
        };
        if interface.parse().is_ok_and(contradicts) {
            member.fault("is an address of the other IP version than `version`");
        }
        Some(interface.to_owned())
    });
    let backlog = object
        .member("backlog")
        .and_then(|member| member.integer_in(&BACKLOG));
    let port = object.required("port", "an integer from 0 to 65535")?;
    if matches!(port.value(), Json::String(_)) {
        port.fault(
            "a port from the environment is known to Crossbar.io, not served by wampgres yet; \
             must be an integer from 0 to 65535",
        );
        return None;
    }
    let endpoint = TcpEndpoint {
        peer_timeout: milliseconds(&object, "peer_timeout", Some(DEFAULT_PEER_TIMEOUT)),
        interface,
        port: port.integer_in(&PORT)?,
        version,
        backlog,
    };
    ports.0.push((port, endpoint.clone()));
    Some(endpoint)
}

/// The endpoints of the whole node, to find those that would take each other's port.
#[derive(Default)]
pub(super) struct Ports<'a>(Vec<(Cursor<'a>, TcpEndpoint)>);

impl Ports<'_> {
    /// Reports every endpoint that cannot be bound because an earlier one is.
    pub(super) fn check_distinct(&self) {
        for (at, (port, endpoint)) in self.0.iter().enumerate() {
            let mut earlier = self.0[..at].iter();
            if let Some((first, _)) = earlier.find(|(_, other)| clash(endpoint, other)) {
                port.fault(format!(
                    "the port is taken by {}: choose another, or an interface for each",
                    first.path()
                ));
            }
        }
    }
}

fn clash(a: &TcpEndpoint, b: &TcpEndpoint) -> bool {
    let versions_differ = matches!((version(a), version(b)), (Some(a), Some(b)) if a != b);
    // 0 stands for any free port: it never clashes.
    a.port == b.port && a.port != 0 && !versions_differ && interfaces_overlap(a, b)
}

/// The only IP version that will be listened on. `None` for both, and for a name, which the system
/// resolves.
fn version(endpoint: &TcpEndpoint) -> Option<IpVersion> {
    let of_interface = || match endpoint.interface.as_deref()?.parse() {
        Ok(IpAddr::V4(_)) => Some(IpVersion::V4),
        Ok(IpAddr::V6(_)) => Some(IpVersion::V6),
        Err(_) => None,
    };
    endpoint.version.or_else(of_interface)
}

fn interfaces_overlap(a: &TcpEndpoint, b: &TcpEndpoint) -> bool {
    let name = |endpoint: &TcpEndpoint| match endpoint.interface.as_deref() {
        None | Some("0.0.0.0" | "::") => None,
        // It has an address of each version, and those of different versions do not clash.
        Some("127.0.0.1" | "::1") => Some("localhost".to_owned()),
        Some(other) => Some(other.to_owned()),
    };
    match (name(a), name(b)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

fn services(paths: &Cursor<'_>, context: &Context<'_>) -> Vec<(String, PathService)> {
    if !matches!(paths.value(), Json::Object(_)) {
        paths.fault("must be an object");
        return Vec::new();
    }
    let mut services = Vec::new();
    for (path, item) in paths.members() {
        let segment = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if path != "/" && (path.is_empty() || !path.chars().all(segment)) {
            item.fault_unseen(
                "a path must be `/` or one segment without slashes: letters, digits, `_` and `-`",
            );
        }
        services.extend(service(path, &item, context).map(|service| (path.to_owned(), service)));
    }
    services
}

fn service(path: &str, item: &Cursor<'_>, context: &Context<'_>) -> Option<PathService> {
    match item.kind(&keys::PATH_TYPES)? {
        "static" => {
            let object = item.object(&keys::STATIC)?;
            let options = static_options(&object);
            let member = object.required("directory", "a directory")?;
            let written = member.text()?;
            let directory = context.base_dir.join(Path::new(written));
            if !directory.is_dir() {
                member.fault(format!(
                    "there is no directory {}; relative ones are relative to the config file",
                    unless_secret(directory.display().to_string())
                ));
            }
            Some(PathService::Static { directory, options })
        }
        _ if path == "/" => {
            item.fault_unseen(
                "`/` cannot be a websocket; give it a path of its own or use a transport of type `websocket`",
            );
            None
        }
        _ => {
            let object = item.object(&keys::WEBSOCKET_SERVICE)?;
            serializers(&object);
            Some(PathService::WebSocket(websocket_options(&object)))
        }
    }
}

fn static_options(service: &Object<'_>) -> StaticOptions {
    let defaults = StaticOptions::default();
    let Some(object) = service
        .member("options")
        .and_then(|options| options.object(&keys::STATIC_OPTIONS))
    else {
        return defaults;
    };
    StaticOptions {
        enable_directory_listing: object.boolean(
            "enable_directory_listing",
            defaults.enable_directory_listing,
        ),
        mime_types: object
            .member("mime_types")
            .map(|types| mime_types(&types))
            .unwrap_or_default(),
        cache_timeout: match object.member("cache_timeout") {
            None => defaults.cache_timeout,
            Some(member) if matches!(member.value(), Json::Null) => None,
            Some(member) => member.integer_in(&CACHE_SECONDS).map(Duration::from_secs),
        },
        default_file: object
            .member("default_file")
            .and_then(|file| default_file(&file)),
        allow_cross_origin: object.boolean("allow_cross_origin", defaults.allow_cross_origin),
    }
}

fn default_file(member: &Cursor<'_>) -> Option<String> {
    let name = member.text()?;
    if name.is_empty()
        || name
            .split('/')
            .any(|part| part.is_empty() || part.starts_with('.'))
    {
        member.fault("must be a file below `directory`, such as `index.html`; none that begins with a dot is served");
        return None;
    }
    Some(name.to_owned())
}

fn mime_types(types: &Cursor<'_>) -> Vec<(String, String)> {
    if !matches!(types.value(), Json::Object(_)) {
        types.fault("must be an object such as {\".md\": \"text/markdown\"}");
    }
    let mut found = Vec::new();
    for (extension, member) in types.members() {
        if extension.len() < 2 || !extension.starts_with('.') || extension.contains('/') {
            member
                .fault_unseen("the key must be a file name extension with its dot, such as `.md`");
        }
        let media_type = |text: &str| {
            let visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            visible
                && matches!(text.split_once('/'), Some((a, b)) if !a.is_empty() && !b.is_empty())
        };
        match member.text() {
            Some(text) if media_type(text) => {
                found.push((extension.to_ascii_lowercase(), text.to_owned()));
            }
            Some(_) => member.fault("must be a media type such as text/markdown"),
            None => {}
        }
    }
    found
}

/// Checks the list of serializers. There is one that is served, so nothing is chosen by it.
pub(super) fn serializers(transport: &Object<'_>) {
    let Some(list) = transport.member("serializers") else {
        return;
    };
    let Some(items) = list.array() else { return };
    if items.is_empty() {
        list.fault("must name a serializer: `json`");
    }
    for item in items {
        item.one_of(&keys::SERIALIZERS);
    }
}

/// The `options` of a listening or a connecting WebSocket, or their defaults.
pub(super) fn websocket_options(transport: &Object<'_>) -> WebSocketOptions {
    let defaults = WebSocketOptions::default();
    let Some(object) = transport
        .member("options")
        .and_then(|options| options.object(&keys::WEBSOCKET_OPTIONS))
    else {
        return defaults;
    };
    WebSocketOptions {
        allowed_origins: match object.member("allowed_origins") {
            Some(list) => origins(&list),
            None => defaults.allowed_origins,
        },
        open_handshake_timeout: milliseconds(
            &object,
            "open_handshake_timeout",
            defaults.open_handshake_timeout,
        ),
        close_handshake_timeout: milliseconds(
            &object,
            "close_handshake_timeout",
            defaults.close_handshake_timeout,
        ),
        auto_ping_interval: milliseconds(
            &object,
            "auto_ping_interval",
            defaults.auto_ping_interval,
        ),
        auto_ping_timeout: milliseconds(&object, "auto_ping_timeout", defaults.auto_ping_timeout),
        auto_ping_size: object.integer("auto_ping_size", &PING_BYTES, defaults.auto_ping_size),
        max_message_size: limit(&object, "max_message_size", defaults.max_message_size),
        max_frame_size: limit(&object, "max_frame_size", defaults.max_frame_size),
        tcp_nodelay: object.boolean("tcp_nodelay", defaults.tcp_nodelay),
        enable_webstatus: object.boolean("enable_webstatus", defaults.enable_webstatus),
        require_websocket_subprotocol: object.boolean(
            "require_websocket_subprotocol",
            defaults.require_websocket_subprotocol,
        ),
        fail_by_drop: object.boolean("fail_by_drop", defaults.fail_by_drop),
        outbox_limit: object.integer("outbox_limit", &OUTBOX_BYTES, defaults.outbox_limit),
    }
}

fn origins(list: &Cursor<'_>) -> Vec<String> {
    // Crossbar.io's `*` crosses the `//`, so `*.example.com` means something there. Here it would
    // match nothing.
    let matches_some = |pattern: &str| {
        matches!(pattern, "*" | "null")
            || (pattern.split_once("://")).is_some_and(|(_, host)| !host.contains('/'))
    };
    let mut origins = Vec::new();
    for item in list.array().unwrap_or_default() {
        match item.text() {
            Some(pattern) if matches_some(pattern) => origins.push(pattern.to_owned()),
            Some(_) => item.fault(
                "must be `*`, `null` or an origin without a path, such as `https://*.example.com`",
            ),
            None => {}
        }
    }
    origins
}

fn milliseconds(object: &Object<'_>, key: &str, default: Option<Duration>) -> Option<Duration> {
    let Some(member) = object.member(key) else {
        return default;
    };
    match member.integer_in(&MILLISECONDS)? {
        0 => None,
        value => {
            // Crossbar.io refuses such values as a mistake of the unit; a test may want one.
            if value < 1000 {
                member.note(format!("is {value} milliseconds, less than a second"));
            }
            Some(Duration::from_millis(value))
        }
    }
}

fn limit(object: &Object<'_>, key: &str, default: Option<usize>) -> Option<usize> {
    match object.member(key) {
        None => default,
        Some(member) => member.integer_in(&BYTES).filter(|bytes| *bytes > 0),
    }
}
