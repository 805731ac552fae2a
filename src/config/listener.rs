//! Owns the listening transports in the document: endpoints and web paths. Knows nothing of sockets.

use std::{net::IpAddr, path::Path, time::Duration};

use super::{
    context::Context,
    json::Json,
    keys,
    model::{IpVersion, Listener, ListenerService, PathService, StaticOptions, TcpEndpoint},
    object::Object,
    reader::Cursor,
    websocket::{serializers, websocket_options},
    words::unless_secret,
};

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
            object.object("options");
            let paths = object.required("paths");
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
        .required("endpoint")
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
    let port = object.required("port")?;
    if matches!(port.value(), Json::String(_)) {
        port.fault(
            "a port from the environment is known to Crossbar.io, not served by wampgres yet; \
             must be an integer from 0 to 65535",
        );
        return None;
    }
    let endpoint = TcpEndpoint {
        peer_timeout: object.milliseconds("peer_timeout"),
        interface,
        port: object.optional_integer("port")?,
        version,
        backlog: object.optional_integer("backlog"),
    };
    ports.0.push((port, endpoint.clone()));
    Some(endpoint)
}

/// The endpoints of the whole node, to find two that need the same port.
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
            let member = object.required("directory")?;
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
    let object = service.object("options");
    StaticOptions {
        enable_directory_listing: object.boolean("enable_directory_listing"),
        mime_types: object
            .member("mime_types")
            .map(|types| mime_types(&types))
            .unwrap_or_default(),
        cache_timeout: match object.member("cache_timeout") {
            Some(member) if matches!(member.value(), Json::Null) => None,
            _ => object
                .optional_integer("cache_timeout")
                .map(Duration::from_secs),
        },
        default_file: object
            .member("default_file")
            .and_then(|file| default_file(&file)),
        allow_cross_origin: object.boolean("allow_cross_origin"),
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
