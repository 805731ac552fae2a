//! Owns which router a command dials, out of its arguments and a configuration. Must not dial.

use std::time::Duration;

use component::Classes;
use wamp_transport::Target;

use super::{ConnectArgs, Failure, PATIENCE};
use crate::{
    cli::load,
    config::{IpVersion, Listener, ListenerService, NodeConfig, PathService, WebSocketUrl},
};

/// The router of a node that runs with the project's configuration.
const URL: &str = "ws://127.0.0.1:8080/ws";
const REALM: &str = "realm1";
/// How often the router is pinged, and how long it may take to answer.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The largest message that is taken from a router, whose limits are its own matter.
const MAX_MESSAGE_SIZE: usize = 256 << 20;

/// Where to dial, and the realm to join.
pub(super) fn of(args: &ConnectArgs, classes: &Classes) -> Result<(Target, String), Failure> {
    let (mut url, mut realm) = (args.url.clone(), args.realm.clone());
    if let (Some(file), true) = (&args.config, url.is_none() || realm.is_none()) {
        let usage = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
        let config = load(file, classes).map_err(|error| usage(error.to_string()))?;
        if url.is_none() {
            url = Some(url_of(&config).map_err(usage)?);
        }
        realm = realm.or_else(|| {
            let realms = config.routers.into_iter().flat_map(|worker| worker.realms);
            realms.map(|realm| realm.name).next()
        });
    }
    let url = url.unwrap_or_else(|| URL.to_owned());
    let target = target(url)?;
    Ok((target, realm.unwrap_or_else(|| REALM.to_owned())))
}

fn target(url: String) -> Result<Target, Failure> {
    let usage = |why: String| Failure::Usage(format!("--url: {why}"));
    let WebSocketUrl { host, port, .. } = WebSocketUrl::parse(&url).map_err(usage)?;
    if port == 0 {
        return Err(usage("nobody can be reached at port 0".to_owned()));
    }
    Ok(Target {
        url,
        host,
        port,
        timeout: PATIENCE,
        ping_interval: HEARTBEAT,
        ping_timeout: HEARTBEAT,
        max_message_size: MAX_MESSAGE_SIZE,
        max_frame_size: MAX_MESSAGE_SIZE,
        tcp_nodelay: true,
    })
}

/// The first WebSocket of a configuration, as it is reached from this machine.
fn url_of(config: &NodeConfig) -> Result<String, String> {
    let mut listeners = config.routers.iter().flat_map(|worker| &worker.transports);
    let found = listeners.find_map(|listener| Some((listener, path_of(listener)?)));
    let Some((listener, path)) = found else {
        return Err("has no WebSocket: say --url".to_owned());
    };
    let endpoint = &listener.endpoint;
    if endpoint.port == 0 {
        let place = &listener.json_path;
        return Err(format!(
            "{place} listens on any free port: say --url, the node prints it"
        ));
    }
    let is_ipv6 = endpoint.version == Some(IpVersion::V6);
    let host = match endpoint.interface.as_deref() {
        None if is_ipv6 => "[::1]".to_owned(),
        None | Some("0.0.0.0") => "127.0.0.1".to_owned(),
        Some("::") => "[::1]".to_owned(),
        Some(address) if address.contains(':') => format!("[{address}]"),
        Some(host) => host.to_owned(),
    };
    Ok(format!("ws://{host}:{}{path}", endpoint.port))
}

/// The path of a listener's first WebSocket.
fn path_of(listener: &Listener) -> Option<String> {
    match &listener.service {
        ListenerService::WebSocket(_) => Some("/".to_owned()),
        ListenerService::Web { paths } => paths.iter().find_map(|(path, service)| match service {
            PathService::WebSocket(_) => Some(format!("/{path}")),
            PathService::Static { .. } => None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{self, Options};

    fn config(endpoint: Value) -> NodeConfig {
        let text = json!({"version": 2, "workers": [{
            "type": "router",
            "realms": [{"name": "shop", "roles": [{"name": "anonymous"}]}],
            "transports": [{"type": "web", "endpoint": endpoint, "paths": {
                "files": {"type": "static", "directory": "."},
                "wamp": {"type": "websocket"}
            }}]
        }]});
        let options = Options {
            classes: &[],
            database_classes: &[],
            environment: &|_| None,
        };
        let directory = std::env::temp_dir();
        config::check_text(&text.to_string(), &directory, &options)
            .unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn a_configuration_leads_to_its_first_websocket() {
        for (endpoint, url) in [
            (
                json!({"type": "tcp", "port": 81}),
                Ok("ws://127.0.0.1:81/wamp"),
            ),
            (
                json!({"type": "tcp", "port": 81, "version": 6}),
                Ok("ws://[::1]:81/wamp"),
            ),
            (
                json!({"type": "tcp", "port": 81, "interface": "::"}),
                Ok("ws://[::1]:81/wamp"),
            ),
            (
                json!({"type": "tcp", "port": 81, "interface": "localhost"}),
                Ok("ws://localhost:81/wamp"),
            ),
            (json!({"type": "tcp", "port": 0}), Err("say --url")),
        ] {
            match (url_of(&config(endpoint)), url) {
                (Ok(found), Ok(url)) => assert_eq!(found, url),
                (Err(why), Err(words)) => assert!(why.contains(words), "{why}"),
                other => panic!("{other:?}"),
            }
        }
        let none = url_of(&NodeConfig::default()).unwrap_err();
        assert!(none.contains("--url"), "{none}");
    }
}
