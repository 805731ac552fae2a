//! What becomes of texts without faults.

use std::{collections::BTreeMap, num::NonZeroU64, path::Path, time::Duration};

use serde_json::Value;

use super::{CLASSES, DATABASE_CLASSES, NODE, database, node, node_with};
use crate::config::*;

/// The WebSocket options where none is written.
fn default_options() -> WebSocketOptions {
    WebSocketOptions {
        allowed_origins: vec!["*".to_owned()],
        open_handshake_timeout: Some(Duration::from_secs(5)),
        close_handshake_timeout: Some(Duration::from_secs(1)),
        auto_ping_interval: None,
        auto_ping_timeout: None,
        auto_ping_size: 4,
        max_message_size: Some(4 << 20),
        max_frame_size: None,
        tcp_nodelay: true,
        enable_webstatus: true,
        require_websocket_subprotocol: true,
        fail_by_drop: false,
        outbox_limit: 16 << 20,
        slow_client_timeout: Some(Duration::from_secs(10)),
        message_timeout: Some(Duration::from_secs(30)),
    }
}

/// The realm of the project's own config.
fn realm1() -> Realm {
    Realm {
        name: "realm1".into(),
        roles: vec![Role {
            name: "anonymous".into(),
            permissions: vec![Permission {
                uri: "com.".into(),
                match_policy: MatchPolicy::Prefix,
                allow: Allow {
                    call: true,
                    register: true,
                    publish: true,
                    subscribe: true,
                },
                disclose: Disclose {
                    caller: false,
                    publisher: false,
                },
                cache: true,
            }],
            authorizer: None,
        }],
    }
}

#[test]
fn the_projects_own_config_is_the_references_node() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let options = Options {
        classes: CLASSES,
        database_classes: DATABASE_CLASSES,
        environment: &|_| None,
    };
    let checked = load(&root.join("config.json"), &options).unwrap();

    let files = |directory: &str| PathService::Static {
        directory: root.join(directory),
        options: StaticOptions {
            enable_directory_listing: false,
            mime_types: vec![],
            cache_timeout: None,
            default_file: None,
            allow_cross_origin: false,
        },
    };
    let expected = NodeConfig {
        routers: vec![RouterWorker {
            realms: vec![realm1()],
            transports: vec![Listener {
                json_path: "workers[0].transports[0]".into(),
                endpoint: TcpEndpoint {
                    interface: None,
                    port: 8080,
                    version: None,
                    backlog: None,
                    peer_timeout: Some(Duration::from_secs(60)),
                },
                service: ListenerService::Web {
                    paths: vec![
                        ("/".into(), files("web")),
                        ("shared".into(), files("web/shared")),
                        ("ws".into(), PathService::WebSocket(default_options())),
                    ],
                },
            }],
        }],
        limits: Limits::default(),
        databases: vec![Database {
            user: "testuser".into(),
            database: "test".into(),
            password: Some(Secret::new("testuser")),
            cp_noisy: true,
            ..database(r#"{"host": "127.0.0.1"}"#, &[])
        }],
        components: vec![Component {
            json_path: "workers[1].components[0]".into(),
            classname: "hello.MyDatabaseComponent".into(),
            realm: "realm1".into(),
            role: None,
            extra: serde_json::json!({}),
            database: Some(0),
            databases: BTreeMap::new(),
            concurrency: BTreeMap::new(),
            transport: Transport::InProcess { router: 0 },
        }],
        notes: vec![],
    };
    assert_eq!(checked, expected);
}

#[test]
fn a_node_is_summed_up() {
    let root = env!("CARGO_MANIFEST_DIR");
    let socket = crate::config::database::socket_directory();
    assert_eq!(
        (node(NODE).to_string())
            .replace(root, "ROOT")
            .replace(socket, "SOCKET"),
        "realm realm1: anonymous (1 permission)\n\
         listener *:8080\n  \
         /: files of ROOT/.\n  \
         /ws: websocket\n\
         component test.Plain: realm realm1, in this process\n\
         component hello.MyDatabaseComponent: realm realm1, in this process; \
         database testuser of testuser at SOCKET:5432, 3 to 10 connections"
    );
}

#[test]
fn the_shorthand_of_a_permission_is_a_prefix() {
    for (written, uri, match_policy) in [
        (r#""com.example.*""#, "com.example.", MatchPolicy::Prefix),
        (r#""com.ex*""#, "com.ex", MatchPolicy::Prefix),
        (r#""*""#, "", MatchPolicy::Prefix),
        (r#""com.example""#, "com.example", MatchPolicy::Exact),
        (r#""", "match": "prefix""#, "", MatchPolicy::Prefix),
        (
            r#""com..now", "match": "wildcard""#,
            "com..now",
            MatchPolicy::Wildcard,
        ),
    ] {
        let text = node_with(&[(r#""com.", "match": "prefix""#, written)]);
        let permission = &node(&text).routers[0].realms[0].roles[0].permissions[0];
        assert_eq!(
            (permission.uri.as_str(), permission.match_policy),
            (uri, match_policy)
        );
        assert!(permission.allow.call && !permission.allow.publish);
    }
}

#[test]
fn websocket_options_are_read_in_crossbars_units() {
    let text = node_with(&[(
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket", "serializers": ["json"], "options": {
            "allowed_origins": ["http://*.example", "http://localhost:*", "null", "*"],
            "open_handshake_timeout": 2500,
            "close_handshake_timeout": 0,
            "auto_ping_interval": 10000,
            "auto_ping_timeout": 5000,
            "auto_ping_size": 12,
            "max_message_size": 1048576,
            "max_frame_size": 65536,
            "tcp_nodelay": false,
            "enable_webstatus": false,
            "require_websocket_subprotocol": false,
            "fail_by_drop": true,
            "outbox_limit": 1000000,
            "slow_client_timeout": 2000,
            "message_timeout": 0
        }}"#,
    )]);
    let node = node(&text);
    let ListenerService::Web { paths } = &node.routers[0].transports[0].service else {
        panic!("{node:?}");
    };
    assert_eq!(
        paths[1].1,
        PathService::WebSocket(WebSocketOptions {
            allowed_origins: ["http://*.example", "http://localhost:*", "null", "*"]
                .map(str::to_owned)
                .to_vec(),
            open_handshake_timeout: Some(Duration::from_millis(2500)),
            close_handshake_timeout: None,
            auto_ping_interval: Some(Duration::from_secs(10)),
            auto_ping_timeout: Some(Duration::from_secs(5)),
            auto_ping_size: 12,
            max_message_size: Some(1 << 20),
            max_frame_size: Some(1 << 16),
            tcp_nodelay: false,
            enable_webstatus: false,
            require_websocket_subprotocol: false,
            fail_by_drop: true,
            outbox_limit: 1_000_000,
            slow_client_timeout: Some(Duration::from_secs(2)),
            message_timeout: None,
        })
    );
}

#[test]
fn the_concurrency_of_procedures_is_read_and_not_the_classs_business() {
    let text = node_with(&[(
        r#""classname": "test.Plain", "#,
        r#""classname": "test.Plain", "extra": {"a": 1, "procedures": {
            "com.example.report": {"concurrency": 2}, "com.example.now": {}, "com.example.slow": {"concurrency": 1}
        }}, "#,
    )]);
    let plain = &node(&text).components[0];
    assert_eq!(plain.extra, serde_json::json!({"a": 1}));
    let limit = |uri: &str, limit| (uri.to_owned(), NonZeroU64::new(limit).unwrap());
    assert_eq!(
        plain.concurrency,
        BTreeMap::from([limit("com.example.report", 2), limit("com.example.slow", 1)])
    );
}

#[test]
fn static_options_are_read() {
    let text = node_with(&[(
        r#""directory": ".""#,
        r#""directory": ".", "options":
           {"enable_directory_listing": true, "cache_timeout": null, "mime_types": {".MD": "text/markdown"}}"#,
    )]);
    let node = node(&text);
    let ListenerService::Web { paths } = &node.routers[0].transports[0].service else {
        panic!("{node:?}");
    };
    let PathService::Static { options, .. } = &paths[0].1 else {
        panic!("{paths:?}");
    };
    assert_eq!(
        *options,
        StaticOptions {
            enable_directory_listing: true,
            mime_types: vec![(".md".into(), "text/markdown".into())],
            cache_timeout: None,
            default_file: None,
            allow_cross_origin: false,
        }
    );
}

/// The home of [`NODE`]'s container component with another endpoint of the listener, and another
/// URL.
fn transport(listener: &str, url: &str) -> Transport {
    let text = node_with(&[
        (r#"{"type": "tcp", "port": 8080},"#, listener),
        (
            r#""endpoint": {"type": "tcp", "host": "127.0.0.1", "port": 8080},"#,
            "",
        ),
        ("ws://127.0.0.1:8080/ws", url),
    ]);
    node(&text).components.remove(1).transport
}

#[test]
fn a_url_of_a_listener_stays_in_the_process() {
    let here = Transport::InProcess { router: 0 };
    for (listener, url) in [
        (
            r#"{"type": "tcp", "port": 8080},"#,
            "ws://127.0.0.1:8080/ws",
        ),
        (
            r#"{"type": "tcp", "port": 8080},"#,
            "ws://localhost:8080/ws",
        ),
        (
            r#"{"type": "tcp", "port": 8080},"#,
            "ws://[::1]:8080/ws?x=1",
        ),
        (r#"{"type": "tcp", "port": 80},"#, "ws://127.0.0.1/ws"),
        (r#"{"type": "tcp", "port": 0},"#, "ws://127.0.0.1:0/ws"),
        (
            r#"{"type": "tcp", "port": 8080, "interface": "10.1.2.3"},"#,
            "ws://10.1.2.3:8080/ws",
        ),
    ] {
        assert_eq!(transport(listener, url), here, "{listener} {url}");
    }
}

#[test]
fn any_other_url_is_dialled() {
    for (listener, url, host, port, path) in [
        (
            r#"{"type": "tcp", "port": 8080},"#,
            "ws://127.0.0.1:8081/ws",
            "127.0.0.1",
            8081,
            "/ws",
        ),
        (
            r#"{"type": "tcp", "port": 8080, "interface": "10.1.2.3"},"#,
            "ws://127.0.0.1:8080/ws",
            "127.0.0.1",
            8080,
            "/ws",
        ),
        (
            r#"{"type": "tcp", "port": 8080},"#,
            "ws://router.example?a=b",
            "router.example",
            80,
            "/?a=b",
        ),
    ] {
        let expected = Transport::Dialled(Box::new(ClientTransport {
            url: url.into(),
            host: host.into(),
            port,
            path: path.into(),
            timeout: Duration::from_secs(10),
            options: default_options(),
        }));
        assert_eq!(transport(listener, url), expected);
    }
}

#[test]
fn the_first_of_several_listeners_with_port_0_is_meant() {
    let text = r#"{"version": 2, "workers": [
        {"type": "router", "realms": [],
         "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0, "interface": "10.0.0.1"}}]},
        {"type": "router", "realms": [{"name": "one", "roles": [{"name": "anonymous"}]}],
         "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0}}]},
        {"type": "router", "realms": [{"name": "two", "roles": [{"name": "anonymous"}]}],
         "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0}}]},
        {"type": "container", "components": [{"type": "class", "classname": "test.Plain", "realm": "one",
         "transport": {"type": "websocket", "url": "ws://127.0.0.1:0/"}}]}
    ]}"#;
    assert_eq!(
        node(text).components[0].transport,
        Transport::InProcess { router: 1 }
    );
}

#[test]
fn a_container_alone_is_a_node() {
    let text = r#"{"version": 2, "workers": [{"type": "container", "components": [{
        "type": "class", "classname": "test.Plain", "realm": "anything",
        "transport": {"type": "websocket", "url": "ws://router.example:8080/ws",
                      "endpoint": {"type": "tcp", "host": "router.example", "port": 8080, "timeout": 3}}
    }]}]}"#;
    let node = node(text);
    assert!(node.routers.is_empty());
    assert_eq!(node.components[0].extra, Value::Null);
    let Transport::Dialled(connect) = &node.components[0].transport else {
        panic!("{node:?}");
    };
    assert_eq!(connect.timeout, Duration::from_secs(3));
    assert_eq!(
        node.to_string(),
        "component test.Plain: realm anything, at ws://router.example:8080/ws"
    );
}

#[test]
fn a_peer_timeout_is_what_is_written_and_zero_is_none() {
    for (written, expected) in [("2000", Some(Duration::from_secs(2))), ("0", None)] {
        let port = format!(r#""port": 8080, "peer_timeout": {written}"#);
        let text = node_with(&[(r#""port": 8080"#, &port)]);
        let endpoint = &node(&text).routers[0].transports[0].endpoint;
        assert_eq!(endpoint.peer_timeout, expected, "{written}");
    }
}

#[test]
fn limits_are_what_is_written_or_left_to_the_node() {
    for (written, all, of_address) in [
        ("{}", None, None),
        (r#"{"max_connections": 7}"#, Some(7), None),
        (
            r#"{"max_connections": 7, "max_connections_per_address": 0}"#,
            Some(7),
            Some(0),
        ),
    ] {
        let text = format!(r#""version": 2, "limits": {written}"#);
        let limits = node(&node_with(&[(r#""version": 2"#, &text)])).limits;
        let expected = Limits {
            max_connections: all,
            max_connections_per_address: of_address,
            memory_limit: None,
        };
        assert_eq!(limits, expected, "{written}");
    }
}

#[test]
fn a_memory_limit_is_in_bytes() {
    let text = r#""version": 2, "limits": {"memory_limit": 8388608}"#;
    let limits = node(&node_with(&[(r#""version": 2"#, text)])).limits;
    assert_eq!(limits.memory_limit, Some(8 << 20));
}

#[test]
fn what_has_no_effect_is_noted_where_one_is_expected() {
    let text = node_with(&[
        (
            r#""version": 2"#,
            r#""version": 2, "controller": {}, "$schema": "x""#,
        ),
        (
            r#""type": "container","#,
            r#""type": "container", "id": "c1", "options": {"title": "t", "pythonpath": [".."]},"#,
        ),
        (
            r#""ws": {"type": "websocket"}"#,
            r#""ws": {"type": "websocket", "debug": true, "options": {
                "validate_utf8": true, "apply_mask": false, "auto_ping_interval": 30}}"#,
        ),
    ]);
    let notes: Vec<String> = node(&text).notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "workers[0].transports[0].paths.ws.debug: has no effect: \
             logging is set for the whole node with RUST_LOG",
            "workers[0].transports[0].paths.ws.options.apply_mask: has no effect: RFC 6455 demands masking",
            "workers[0].transports[0].paths.ws.options.auto_ping_interval: \
             is 30 milliseconds, less than a second",
            "workers[1].options.pythonpath: has no effect: \
             component classes are part of the program, nothing is imported",
        ]
    );
}
