//! Every kind of fault, with its exact path and words.

use super::{NODE, check, faults, node, node_with};
use crate::config::ConfigError;

/// A change of [`NODE`] and the one fault it causes.
const FAULTS: &[(&str, &str, &str)] = &[
    // The document.
    (r#""version": 2,"#, "", "version: missing; must be 2"),
    (
        r#""version": 2"#,
        r#""version": 1"#,
        "version: seen 1; must be 2, the version of Crossbar.io's format that is understood",
    ),
    (
        r#""version": 2"#,
        r#""version": 2, "wrokers": []"#,
        "wrokers: unknown key, did you mean `workers`?; allowed: version, workers, databases, limits",
    ),
    (
        r#""version": 2"#,
        r#""version": 2, "manager": {}"#,
        "manager: known to Crossbar.io, not served by wampgres yet: remove the key if that will do",
    ),
    (
        r#""version": 2"#,
        r#""version": 2, "version": 2"#,
        "version: the key is written twice in this object; keep one",
    ),
    (
        r#""user": "testuser""#,
        r#""user": "testuser", "user": "x""#,
        "workers[1].components[0].extra.database.user: the key is written twice in this object; keep one",
    ),
    // Workers.
    (
        r#""type": "container","#,
        r#""type": "guest","#,
        "workers[1].type: seen \"guest\"; known to Crossbar.io, not served by wampgres yet; \
         must be `router` or `container`",
    ),
    (
        r#""type": "container","#,
        r#""type": "contaner","#,
        "workers[1].type: seen \"contaner\"; must be `router` or `container`, did you mean `container`?",
    ),
    (
        r#""type": "container","#,
        "",
        "workers[1].type: missing; must be `router` or `container`",
    ),
    (
        r#""type": "container","#,
        r#""type": "container", "options": {"pythonpaths": []},"#,
        "workers[1].options.pythonpaths: unknown key, did you mean `pythonpath`?; \
         allowed: title, python, pythonpath, reactor, cpu_affinity, env, shutdown, \
         restart, extra",
    ),
    (
        r#""type": "container","#,
        r#""type": "container", "transports": [],"#,
        "workers[1].transports: not a key here; each component of a container has its own `transport`",
    ),
    // Realms and roles.
    (
        r#"[{"name": "realm1","#,
        r#"[{"name": "realm1"}, {"name": "realm1","#,
        "workers[0].realms[1].name: seen \"realm1\"; the name is taken; join the two",
    ),
    (
        r#"[{"name": "anonymous","#,
        r#"[{"name": "anonymous"}, {"name": "anonymous","#,
        "workers[0].realms[0].roles[1].name: seen \"anonymous\"; the name is taken; join the two",
    ),
    (
        r#"[{"name": "realm1","#,
        r#"[{"name": "realm1"}, {"name": "realm 2"}, {"name": "realm3","#,
        "workers[0].realms[1].name: seen \"realm 2\"; \
         must be a URI: no blanks, no `#`, no empty part between its dots",
    ),
    (
        r#"[{"name": "anonymous","#,
        r#"[{"name": "anonymous", "authorizer": "com..auth","#,
        "workers[0].realms[0].roles[0].authorizer: seen \"com..auth\"; \
         must be a URI: no blanks, no `#`, no empty part between its dots",
    ),
    (
        r#"[{"name": "anonymous","#,
        r#"[{"name": "anonymous", "authorizer": "wamp.auth","#,
        "workers[0].realms[0].roles[0].authorizer: seen \"wamp.auth\"; \
         must be a procedure of your own: `wamp.` is reserved for WAMP itself",
    ),
    (
        r#"[{"name": "anonymous","#,
        r#"[{"name": "anonymous", "authorizer_timeout": 3,"#,
        "workers[0].realms[0].roles[0].authorizer_timeout: \
         the role has no `authorizer`: write one, or leave this out",
    ),
    (
        r#"[{"name": "anonymous","#,
        r#"[{"name": "anonymous", "authorizer": "com.auth", "authorizer_timeout": 0,"#,
        "workers[0].realms[0].roles[0].authorizer_timeout: seen 0; must be from 0.1 to 600 seconds, \
         as a number or with a unit as in \"500ms\" or \"2min\"",
    ),
    // Permissions.
    (
        r#""allow": {"call": true}"#,
        r#""call": true"#,
        "workers[0].realms[0].roles[0].permissions[0].call: not a key here; write it inside `allow`",
    ),
    (
        r#"{"call": true}"#,
        r#"{"call": "yes"}"#,
        "workers[0].realms[0].roles[0].permissions[0].allow.call: seen \"yes\"; must be true or false",
    ),
    (
        r#"{"call": true}"#,
        "true",
        "workers[0].realms[0].roles[0].permissions[0].allow: seen true; must be an object",
    ),
    (
        r#""match": "prefix""#,
        r#""match": "regex""#,
        "workers[0].realms[0].roles[0].permissions[0].match: seen \"regex\"; \
         must be `exact`, `prefix` or `wildcard`",
    ),
    (
        r#""uri": "com.""#,
        r#""uri": "com.*""#,
        "workers[0].realms[0].roles[0].permissions[0].uri: seen \"com.*\"; `*` may only stand at the end of a \
         URI without `match`; a wildcard has an empty part between its dots instead",
    ),
    (
        r#""match": "prefix""#,
        r#""match": "exact""#,
        "workers[0].realms[0].roles[0].permissions[0].uri: seen \"com.\"; \
         must be a URI without an empty part between its dots; no blanks, no `#`",
    ),
    (
        r#""uri": "com.", "match": "prefix","#,
        r#""uri": "com.", "match": "prefix"}, {"uri": "com.*","#,
        "workers[0].realms[0].roles[0].permissions[1]: \
         the role has a permission for `com.` with this match policy already: make one of the two",
    ),
    // Listeners.
    (
        r#""type": "web","#,
        r#""type": "rawsocket","#,
        "workers[0].transports[0].type: seen \"rawsocket\"; known to Crossbar.io, not served by wampgres yet; \
         must be `web` or `websocket`",
    ),
    (
        r#"{"type": "tcp", "port": 8080},"#,
        r#"{"type": "tcp", "port": "$PORT"},"#,
        "workers[0].transports[0].endpoint.port: seen \"$PORT\"; a port from the environment is known to \
         Crossbar.io, not served by wampgres yet; must be an integer from 0 to 65535",
    ),
    (
        r#"{"type": "tcp", "port": 8080},"#,
        r#"{"type": "tcp", "port": 65536},"#,
        "workers[0].transports[0].endpoint.port: seen 65536; must be an integer from 0 to 65535",
    ),
    (
        r#"{"type": "tcp", "port": 8080},"#,
        r#"{"type": "tcp"},"#,
        "workers[0].transports[0].endpoint.port: missing; must be an integer from 0 to 65535",
    ),
    (
        r#""endpoint": {"type": "tcp", "port": 8080},"#,
        "",
        "workers[0].transports[0].endpoint: missing; \
         must be an object such as {\"type\": \"tcp\", \"port\": 8080}",
    ),
    (
        r#"{"type": "tcp", "port": 8080},"#,
        r#"{"type": "unix", "path": "x"},"#,
        "workers[0].transports[0].endpoint.type: seen \"unix\"; \
         known to Crossbar.io, not served by wampgres yet; must be `tcp`",
    ),
    (
        r#"{"type": "tcp", "port": 8080},"#,
        r#"{"type": "tcp", "port": 8080, "tls": {}},"#,
        "workers[0].transports[0].endpoint.tls: known to Crossbar.io, not served by wampgres yet: \
         put a TLS proxy in front (docs/config.md, HTTPS) and remove the key",
    ),
    (
        r#""type": "container","#,
        r#""type": "container", "options": {"disabled": true},"#,
        "workers[1].options.disabled: known to Crossbar.io, not served by wampgres yet: remove the key if \
         that will do",
    ),
    (
        r#"{"type": "tcp", "port": 8080},"#,
        r#"{"type": "tcp", "port": 8080, "version": 5},"#,
        "workers[0].transports[0].endpoint.version: seen 5; must be 4 or 6",
    ),
    (
        r#"{"type": "tcp", "port": 8080},"#,
        r#"{"type": "tcp", "port": 8080, "version": 4, "interface": "::1"},"#,
        "workers[0].transports[0].endpoint.interface: seen \"::1\"; \
         is an address of the other IP version than `version`",
    ),
    (
        r#""transports": [{"#,
        r#""transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 8080}}, {"#,
        "workers[0].transports[1].endpoint.port: seen 8080; \
         the port is taken by workers[0].transports[0].endpoint.port: choose another, or an interface for each",
    ),
    // Paths.
    (
        r#", "directory": ".""#,
        r#", "directory": ".", "options": {"default_file": "../index.html"}"#,
        "workers[0].transports[0].paths[\"/\"].options.default_file: seen \"../index.html\"; must be a file below \
         `directory`, such as `index.html`; none that begins with a dot is served",
    ),
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websockt"}"#,
        "workers[0].transports[0].paths.ws.type: seen \"websockt\"; \
         must be `static` or `websocket`, did you mean `websocket`?",
    ),
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket"}, "old": {"type": "longpoll"}"#,
        "workers[0].transports[0].paths.old.type: seen \"longpoll\"; \
         known to Crossbar.io, not served by wampgres yet; must be `static` or `websocket`",
    ),
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket"}, "a/b": {"type": "websocket"}"#,
        "workers[0].transports[0].paths[\"a/b\"]: \
         a path must be `/` or one segment without slashes: letters, digits, `_` and `-`",
    ),
    (
        r#""/": {"type": "static", "directory": "."}"#,
        r#""/": {"type": "websocket"}"#,
        "workers[0].transports[0].paths[\"/\"]: `/` cannot be a websocket; \
         give it a path of its own or use a transport of type `websocket`",
    ),
    (
        r#", "directory": ".""#,
        "",
        "workers[0].transports[0].paths[\"/\"].directory: missing; must be a directory",
    ),
    (
        r#", "directory": ".""#,
        r#", "directory": ".", "options": {"cache_timeout": -1}"#,
        "workers[0].transports[0].paths[\"/\"].options.cache_timeout: seen -1; \
         must be an integer from 0 to 31536000",
    ),
    (
        r#", "directory": ".""#,
        r#", "directory": ".", "options": {"mime_types": {"md": "text/markdown"}}"#,
        "workers[0].transports[0].paths[\"/\"].options.mime_types.md: \
         the key must be a file name extension with its dot, such as `.md`",
    ),
    (
        r#", "directory": ".""#,
        r#", "directory": ".", "options": {"mime_types": {".md": "markdown"}}"#,
        "workers[0].transports[0].paths[\"/\"].options.mime_types[\".md\"]: seen \"markdown\"; \
         must be a media type such as text/markdown",
    ),
    // WebSockets.
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket", "auth": {"anonymous": {}}}"#,
        "workers[0].transports[0].paths.ws.auth: known to Crossbar.io, not served by wampgres yet: \
         without it every client is `anonymous`; remove the key if that will do",
    ),
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket", "serializers": ["json", "msgpack"]}"#,
        "workers[0].transports[0].paths.ws.serializers[1]: seen \"msgpack\"; \
         known to Crossbar.io, not served by wampgres yet; must be `json`",
    ),
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket", "serializers": []}"#,
        "workers[0].transports[0].paths.ws.serializers: seen []; must name a serializer: `json`",
    ),
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket", "options": {"auto_ping_size": 126}}"#,
        "workers[0].transports[0].paths.ws.options.auto_ping_size: seen 126; \
         must be an integer from 4 to 125",
    ),
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket", "options": {"allowed_origins": "*"}}"#,
        "workers[0].transports[0].paths.ws.options.allowed_origins: seen \"*\"; must be an array",
    ),
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket", "options": {"allowed_origins": ["*", "*.example.com"]}}"#,
        "workers[0].transports[0].paths.ws.options.allowed_origins[1]: seen \"*.example.com\"; \
         must be `*`, `null` or an origin without a path, such as `https://*.example.com`",
    ),
    (
        r#""ws": {"type": "websocket"}"#,
        r#""ws": {"type": "websocket", "options": {"allowed_origins": ["https://example.com/"]}}"#,
        "workers[0].transports[0].paths.ws.options.allowed_origins[0]: seen \"https://example.com/\"; \
         must be `*`, `null` or an origin without a path, such as `https://*.example.com`",
    ),
    // Components.
    (
        r#""classname": "test.Plain""#,
        r#""classname": "hello.HelloFromPython""#,
        "workers[0].components[0].classname: seen \"hello.HelloFromPython\"; no such class in this program; known are: \
         hello.MyDatabaseComponent, sql.Procedures, test.Plain. A Python class cannot run here: start it by itself as a WAMP client and \
         remove the component, or write it in Rust (examples/custom_component.rs)",
    ),
    (
        r#""classname": "test.Plain""#,
        r#""classname": "test.Plane""#,
        "workers[0].components[0].classname: seen \"test.Plane\"; no such class in this program, did you mean `test.Plain`?; \
         known are: hello.MyDatabaseComponent, sql.Procedures, test.Plain",
    ),
    (
        r#""classname": "test.Plain", "realm": "realm1""#,
        r#""classname": "test.Plain", "realm": "realm2""#,
        "workers[0].components[0].realm: seen \"realm2\"; \
         the router has no such realm, did you mean `realm1`?; it has: realm1",
    ),
    (
        r#""classname": "test.Plain", "#,
        r#""classname": "test.Plain", "role": "backend", "#,
        "workers[0].components[0].role: seen \"backend\"; the realm has no such role; it has: anonymous",
    ),
    (
        r#""classname": "test.Plain", "#,
        r#""classname": "test.Plain", "role": 7, "#,
        "workers[0].components[0].role: seen 7; must be a string",
    ),
    (
        r#"{"type": "class", "classname": "test.Plain""#,
        r#"{"type": "wamplet", "package": "x", "classname": "test.Plain""#,
        "workers[0].components[0].type: seen \"wamplet\"; known to Crossbar.io, not served by wampgres yet; \
         must be `class`",
    ),
    // The transports of containers.
    (
        r#""url": "ws://127.0.0.1:8080/ws""#,
        r#""url": "wss://127.0.0.1:8080/ws""#,
        "workers[1].components[0].transport.url: seen \"wss://127.0.0.1:8080/ws\"; \
         `wss://` (TLS) is known to Crossbar.io, not served by wampgres yet: dial `ws://`, through a TLS proxy or a \
         tunnel",
    ),
    (
        r#""url": "ws://127.0.0.1:8080/ws""#,
        r#""url": "http://127.0.0.1:8080/ws""#,
        "workers[1].components[0].transport.url: seen \"http://127.0.0.1:8080/ws\"; \
         must be a WebSocket URL such as ws://127.0.0.1:8080/ws",
    ),
    (
        r#""url": "ws://127.0.0.1:8080/ws""#,
        r#""url": "ws://127.0.0.1:8080/wss""#,
        "workers[1].components[0].transport.url: seen \"ws://127.0.0.1:8080/wss\"; the port is a listener of \
         this node, which has no websocket at \"/wss\"; it has: /ws",
    ),
    (
        r#""host": "127.0.0.1", "port": 8080}"#,
        r#""host": "127.0.0.1", "port": 8081}"#,
        "workers[1].components[0].transport.endpoint.port: seen 8081; contradicts `url`, whose port is 8080: \
         make them the same, or leave out the endpoint",
    ),
    (
        r#""host": "127.0.0.1", "port": 8080}"#,
        r#""host": "other.example", "port": 8080}"#,
        "workers[1].components[0].transport.endpoint.host: seen \"other.example\"; \
         contradicts `url`, whose host is 127.0.0.1: make them the same, or leave out the endpoint",
    ),
    (
        r#""url": "ws://127.0.0.1:8080/ws""#,
        r#""uri": "ws://127.0.0.1:8080/ws", "url": "ws://127.0.0.1:8080/ws""#,
        "workers[1].components[0].transport.uri: unknown key, did you mean `url`?; \
         allowed: type, url, endpoint, serializers, options",
    ),
    // What the node reads of `extra`.
    (
        r#""extra": {"#,
        r#""extra": {"procedures": ["com.example.now.v1"], "#,
        "workers[1].components[0].extra.procedures: seen an array; \
         must be an object with an object for each URI of a procedure",
    ),
    (
        r#""extra": {"#,
        r#""extra": {"procedures": {"com.example.now.v1": 2}, "#,
        "workers[1].components[0].extra.procedures[\"com.example.now.v1\"]: seen 2; must be an object",
    ),
    (
        r#""extra": {"#,
        r#""extra": {"procedures": {"com.example.now.v1": {"concurrency": 0}}, "#,
        "workers[1].components[0].extra.procedures[\"com.example.now.v1\"].concurrency: seen 0; \
         must be an integer from 1 to 1000000",
    ),
    (
        r#""extra": {"#,
        r#""extra": {"procedures": {"com.example.now.v1": {"concurency": 1}}, "#,
        "workers[1].components[0].extra.procedures[\"com.example.now.v1\"].concurency: unknown key, \
         did you mean `concurrency`?; allowed: concurrency",
    ),
    (
        r#""user": "testuser""#,
        r#""user": 7"#,
        "workers[1].components[0].extra.database.user: seen 7; must be a string",
    ),
];

#[test]
fn each_fault_names_its_path_the_value_and_what_is_allowed() {
    node(NODE);
    for (from, to, expected) in FAULTS {
        let found = faults(&node_with(&[(from, to)]));
        assert_eq!(found, [*expected], "after {from} became {to}");
    }
}

#[test]
fn a_missing_directory_is_named_in_full() {
    let text = node_with(&[(r#""directory": ".""#, r#""directory": "no/such""#)]);
    let full = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("no/such");
    assert_eq!(
        faults(&text),
        [format!(
            "workers[0].transports[0].paths[\"/\"].directory: seen \"no/such\"; there is no directory {}; \
             relative ones are relative to the config file",
            full.display()
        )]
    );
}

#[test]
fn all_faults_are_listed_in_the_order_of_the_document() {
    let text = node_with(&[
        (r#""version": 2"#, r#""version": 3"#),
        (r#""port": 8080},"#, r#""port": -1},"#),
        (
            r#""ws": {"type": "websocket"}"#,
            r#""ws": {"type": "wsgi"}"#,
        ),
        (r#""classname": "test.Plain""#, r#""classname": "Plain""#),
        (r#""user": "testuser""#, r#""cp_max": 0, "foo": 1"#),
    ]);
    let paths: Vec<String> = (faults(&text).iter())
        .map(|fault| fault.split(": ").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            "version",
            "workers[0].transports[0].endpoint.port",
            "workers[0].transports[0].paths.ws.type",
            "workers[0].components[0].classname",
            "workers[1].components[0].extra.database.cp_max",
            "workers[1].components[0].extra.database.foo",
        ]
    );
}

#[test]
fn the_error_is_a_count_and_a_line_for_each_fault() {
    let error = check(r#"{"version": 1, "workers": 7}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 faults\n  version: seen 1; must be 2, the version of Crossbar.io's format that is understood\n  \
         workers: seen 7; must be an array"
    );
}

#[test]
fn a_node_of_nothing_is_a_fault() {
    for workers in ["[]", r#"[{"type": "container"}]"#] {
        let text = format!(r#"{{"version": 2, "workers": {workers}}}"#);
        assert_eq!(
            faults(&text),
            ["workers: has neither a router nor a component: the node would do nothing"]
        );
    }
    assert_eq!(faults("[]"), ["$: seen []; must be an object"]);
    assert_eq!(
        faults(r#"{"version": 2}"#),
        ["workers: missing; must be an array of workers"]
    );
}

#[test]
fn a_component_needs_a_role_to_join_as() {
    let text = node_with(&[(r#""name": "anonymous""#, r#""name": "backend""#)]);
    let words = "seen \"realm1\"; the realm has no role `anonymous`, as which the component joins: add it, or name another in the `role` of a component of the router; it has: backend";
    assert_eq!(
        faults(&text),
        [
            format!("workers[0].components[0].realm: {words}"),
            format!("workers[1].components[0].realm: {words}"),
        ]
    );
}

#[test]
fn port_0_names_a_listener_with_port_0_only() {
    let text = node_with(&[
        (
            r#""host": "127.0.0.1", "port": 8080}"#,
            r#""host": "127.0.0.1", "port": 0}"#,
        ),
        ("ws://127.0.0.1:8080/ws", "ws://127.0.0.1:0/ws"),
    ]);
    assert_eq!(
        faults(&text),
        [
            "workers[1].components[0].transport.url: seen \"ws://127.0.0.1:0/ws\"; \
          port 0 stands for a listener of this node with port 0; there is none"
        ]
    );
}

#[test]
fn wrong_types_anywhere_are_faults_and_never_a_panic() {
    // Every value of the node, replaced by each of these in turn.
    let intruders = [
        "null",
        "true",
        "-1",
        "1e400",
        "1.5",
        "\"\"",
        "\"x y\"",
        "[]",
        "[null]",
        "{}",
        "{\"type\": 1}",
    ];
    let values: Vec<(usize, usize)> = value_spans(NODE);
    assert!(values.len() > 40, "{}", values.len());
    for (start, end) in values {
        for intruder in intruders {
            let text = format!("{}{intruder}{}", &NODE[..start], &NODE[end..]);
            match check(&text) {
                Err(ConfigError::Faults(faults)) => assert!(!faults.is_empty()),
                Err(ConfigError::Syntax { .. }) => assert_eq!(intruder, "1e400"),
                Err(error @ ConfigError::Io { .. }) => panic!("{error}"),
                Ok(_) => {}
            }
        }
    }
}

/// Where the scalars and the objects after a `: ` begin and end.
fn value_spans(text: &str) -> Vec<(usize, usize)> {
    text.match_indices(": ")
        .map(|(at, _)| at + 2)
        .map(|start| {
            let mut values =
                serde_json::Deserializer::from_str(&text[start..]).into_iter::<serde_json::Value>();
            values.next().unwrap().unwrap();
            (start, start + values.byte_offset())
        })
        .collect()
}
