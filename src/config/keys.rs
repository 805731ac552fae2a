//! Owns which keys and types of Crossbar.io's node configuration exist and which of them are served
//! here: the one place that says so. `docs/config.md` says the same to people, and a test compares
//! the two.

mod database;

pub(super) use database::*;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Read and honoured.
    Served,
    /// Accepted without an effect. An author who wrote another value than `as_if`, which is what
    /// happens here anyway, is told `note`; an empty note means that nobody would expect an effect.
    Inert {
        as_if: &'static str,
        note: &'static str,
    },
    /// A key of Crossbar.io's that asks for something that is missing here.
    NotYet,
    /// Not a key, but a likely mistake; the text says what to write instead.
    Instead(&'static str),
}

/// What is said of [`Use::NotYet`].
pub(super) const NOT_YET: &str = "known to Crossbar.io, not served by wampgres yet";

/// What to do about a key that is not served yet.
pub(super) fn detour(key: &str) -> &'static str {
    match key {
        "tls" => "put a TLS proxy in front (docs/config.md, HTTPS) and remove the key",
        "auth" | "cookie" => {
            "without it every client is `anonymous`; remove the key if that will do"
        }
        _ => "remove the key if that will do",
    }
}

/// The keys of one kind of object.
pub(super) struct Keys {
    /// What the object is: a heading of `docs/config.md`.
    pub(super) of: &'static str,
    pub(super) keys: &'static [(&'static str, Use)],
}

impl Keys {
    pub(super) fn use_of(&self, key: &str) -> Option<&'static Use> {
        self.keys
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, used)| used)
    }

    /// The keys to name to someone who wrote an unknown one: those that are served or, where there
    /// are none, those that are accepted.
    pub(super) fn allowed(&self) -> Vec<&'static str> {
        let with = |filter: fn(&Use) -> bool| -> Vec<&'static str> {
            (self.keys.iter())
                .filter(|(_, used)| filter(used))
                .map(|(name, _)| *name)
                .collect()
        };
        let served = with(|used| *used == Served);
        if served.is_empty() {
            return with(|used| matches!(used, Use::Inert { .. }));
        }
        served
    }
}

/// The values of a `type` or another choice.
pub(super) struct Choice {
    pub(super) served: &'static [&'static str],
    pub(super) not_yet: &'static [&'static str],
}

use Use::{Instead, NotYet, Served};

/// No effect, and none expected.
const SILENT: Use = Use::Inert {
    as_if: "",
    note: "",
};

const fn inert(as_if: &'static str, note: &'static str) -> Use {
    Use::Inert { as_if, note }
}

const LOGGING: Use = inert("false", "logging is set for the whole node with RUST_LOG");

pub(super) static NODE: Keys = Keys {
    of: "Node",
    keys: &[
        ("version", Served),
        ("workers", Served),
        ("$schema", SILENT),
        (
            "controller",
            inert("{}", "the node is one process and has no controller"),
        ),
        ("manager", NotYet),
    ],
};

pub(super) static WORKER_TYPES: Choice = Choice {
    served: &["router", "container"],
    not_yet: &["guest", "websocket-testee", "proxy", "hostmonitor"],
};

pub(super) static ROUTER: Keys = Keys {
    of: "Router worker",
    keys: &[
        ("type", Served),
        ("realms", Served),
        ("transports", Served),
        ("components", Served),
        ("options", Served),
        ("id", SILENT),
        ("manhole", NotYet),
        ("links", NotYet),
        ("connections", NotYet),
    ],
};

pub(super) static CONTAINER: Keys = Keys {
    of: "Container worker",
    keys: &[
        ("type", Served),
        ("components", Served),
        ("options", Served),
        ("id", SILENT),
        ("manhole", NotYet),
        ("connections", NotYet),
        (
            "transports",
            Instead("each component of a container has its own `transport`"),
        ),
    ],
};

pub(super) static WORKER_OPTIONS: Keys = Keys {
    of: "Worker options",
    keys: &[
        ("title", SILENT),
        (
            "python",
            inert("", "component classes are part of the program"),
        ),
        (
            "pythonpath",
            inert(
                "[]",
                "component classes are part of the program, nothing is imported",
            ),
        ),
        ("reactor", inert("{}", "there is one kind of reactor")),
        (
            "cpu_affinity",
            inert(
                "[]",
                "all workers share one process; use taskset to bind it",
            ),
        ),
        (
            "env",
            inert(
                "{}",
                "all workers run in the environment of the one process",
            ),
        ),
        (
            "shutdown",
            inert(
                "\"shutdown-manual\"",
                "the node runs until it is told to stop",
            ),
        ),
        (
            "restart",
            inert("\"restart-never\"", "components live as long as the node"),
        ),
        (
            "extra",
            inert("{}", "a component gets the `extra` that is its own"),
        ),
        ("disabled", NotYet),
        ("expose_controller", NotYet),
        ("expose_shared", NotYet),
    ],
};

pub(super) static REALM: Keys = Keys {
    of: "Realm",
    keys: &[
        ("name", Served),
        ("roles", Served),
        ("id", SILENT),
        ("options", NotYet),
        ("store", NotYet),
        ("stats", NotYet),
        ("schemas", NotYet),
    ],
};

pub(super) static ROLE: Keys = Keys {
    of: "Role",
    keys: &[
        ("name", Served),
        ("permissions", Served),
        ("id", SILENT),
        ("authorizer", NotYet),
    ],
};

pub(super) static PERMISSION: Keys = Keys {
    of: "Permission",
    keys: &[
        ("uri", Served),
        ("match", Served),
        ("allow", Served),
        ("disclose", Served),
        ("cache", Served),
        ("validate", NotYet),
        ("call", Instead("write it inside `allow`")),
        ("register", Instead("write it inside `allow`")),
        ("publish", Instead("write it inside `allow`")),
        ("subscribe", Instead("write it inside `allow`")),
    ],
};

pub(super) static MATCH_POLICIES: Choice = Choice {
    served: &["exact", "prefix", "wildcard"],
    not_yet: &[],
};

pub(super) static ALLOW: Keys = Keys {
    of: "Permission: allow",
    keys: &[
        ("call", Served),
        ("register", Served),
        ("publish", Served),
        ("subscribe", Served),
    ],
};

pub(super) static DISCLOSE: Keys = Keys {
    of: "Permission: disclose",
    keys: &[("caller", Served), ("publisher", Served)],
};

pub(super) static TRANSPORT_TYPES: Choice = Choice {
    served: &["web", "websocket"],
    not_yet: &[
        "rawsocket",
        "universal",
        "mqtt",
        "flashpolicy",
        "websocket.testee",
        "stream.testee",
    ],
};

pub(super) static WEB_TRANSPORT: Keys = Keys {
    of: "Web transport",
    keys: &[
        ("type", Served),
        ("endpoint", Served),
        ("paths", Served),
        ("options", Served),
        ("id", SILENT),
    ],
};

pub(super) static WEB_OPTIONS: Keys = Keys {
    of: "Web transport options",
    keys: &[
        ("access_log", LOGGING),
        (
            "display_tracebacks",
            inert("false", "a client never sees a trace back"),
        ),
        ("hixie76_aware", inert("false", "only RFC 6455 is spoken")),
        ("hsts", NotYet),
        ("hsts_max_age", NotYet),
        ("client_timeout", NotYet),
    ],
};

pub(super) static WEBSOCKET_TRANSPORT: Keys = Keys {
    of: "WebSocket transport",
    keys: &[
        ("type", Served),
        ("endpoint", Served),
        ("serializers", Served),
        ("options", Served),
        ("id", SILENT),
        ("url", SILENT),
        ("debug", LOGGING),
        ("auth", NotYet),
        ("cookie", NotYet),
    ],
};

pub(super) static ENDPOINT_TYPES: Choice = Choice {
    served: &["tcp"],
    not_yet: &["unix", "twisted", "onion", "tor"],
};

pub(super) static LISTENING_ENDPOINT: Keys = Keys {
    of: "Listening endpoint",
    keys: &[
        ("type", Served),
        ("port", Served),
        ("interface", Served),
        ("version", Served),
        ("backlog", Served),
        ("peer_timeout", Served),
        (
            "shared",
            inert("false", "one process accepts all connections"),
        ),
        ("portrange", NotYet),
        ("tls", NotYet),
    ],
};

pub(super) static PATH_TYPES: Choice = Choice {
    served: &["static", "websocket"],
    not_yet: &[
        "path",
        "json",
        "redirect",
        "nodeinfo",
        "reverseproxy",
        "websocket-reverseproxy",
        "publisher",
        "caller",
        "webhook",
        "longpoll",
        "upload",
        "archive",
        "schemadoc",
        "catalog",
        "cgi",
        "wsgi",
        "resource",
    ],
};

pub(super) static STATIC: Keys = Keys {
    of: "Static path service",
    keys: &[
        ("type", Served),
        ("directory", Served),
        ("options", Served),
        ("id", SILENT),
        ("package", NotYet),
        ("resource", NotYet),
    ],
};

pub(super) static STATIC_OPTIONS: Keys = Keys {
    of: "Static options",
    keys: &[
        ("enable_directory_listing", Served),
        ("mime_types", Served),
        ("cache_timeout", Served),
        ("default_file", Served),
        ("allow_cross_origin", Served),
    ],
};

pub(super) static WEBSOCKET_SERVICE: Keys = Keys {
    of: "WebSocket path service",
    keys: &[
        ("type", Served),
        ("serializers", Served),
        ("options", Served),
        ("id", SILENT),
        ("url", SILENT),
        ("debug", LOGGING),
        ("auth", NotYet),
        ("cookie", NotYet),
    ],
};

pub(super) static SERIALIZERS: Choice = Choice {
    served: &["json"],
    not_yet: &["msgpack", "cbor", "ubjson", "flatbuffers"],
};

pub(super) static WEBSOCKET_OPTIONS: Keys = Keys {
    of: "WebSocket options",
    keys: &[
        ("allowed_origins", Served),
        ("open_handshake_timeout", Served),
        ("close_handshake_timeout", Served),
        ("auto_ping_interval", Served),
        ("auto_ping_timeout", Served),
        ("auto_ping_size", Served),
        ("max_message_size", Served),
        ("max_frame_size", Served),
        ("tcp_nodelay", Served),
        ("enable_webstatus", Served),
        ("require_websocket_subprotocol", Served),
        ("fail_by_drop", Served),
        ("outbox_limit", Served),
        ("enable_rfc6455", inert("true", "only RFC 6455 is spoken")),
        ("enable_hybi10", inert("false", "only RFC 6455 is spoken")),
        ("enable_hixie76", inert("false", "only RFC 6455 is spoken")),
        ("validate_utf8", inert("true", "text is always validated")),
        (
            "mask_server_frames",
            inert("false", "RFC 6455 forbids masking a server's frames"),
        ),
        (
            "require_masked_client_frames",
            inert("true", "RFC 6455 demands masked client frames"),
        ),
        ("apply_mask", inert("true", "RFC 6455 demands masking")),
        (
            "auto_fragment_size",
            inert("0", "messages are not fragmented"),
        ),
        (
            "echo_close_codereason",
            inert("false", "the close code is answered as RFC 6455 says"),
        ),
        (
            "show_server_version",
            inert("true", "the status page shows the version"),
        ),
        ("enable_flash_policy", inert("false", "Flash is not served")),
        ("flash_policy", inert("", "Flash is not served")),
        ("allow_null_origin", NotYet),
        ("external_port", NotYet),
        ("compression", NotYet),
    ],
};

pub(super) static COMPONENT_TYPES: Choice = Choice {
    served: &["class"],
    not_yet: &["wamplet", "function"],
};

pub(super) static ROUTER_COMPONENT: Keys = Keys {
    of: "Router component",
    keys: &[
        ("type", Served),
        ("classname", Served),
        ("realm", Served),
        ("role", Served),
        ("extra", Served),
        ("id", SILENT),
        ("references", NotYet),
        (
            "transport",
            Instead(
                "a router's component joins its own router; one with a `transport` belongs into a container",
            ),
        ),
    ],
};

pub(super) static CONTAINER_COMPONENT: Keys = Keys {
    of: "Container component",
    keys: &[
        ("type", Served),
        ("classname", Served),
        ("realm", Served),
        ("transport", Served),
        ("extra", Served),
        ("id", SILENT),
        ("auth", NotYet),
        (
            "role",
            Instead(
                "a container's component joins as `anonymous`; for a role of its own move it to the components of the \
                 router, without its transport",
            ),
        ),
    ],
};

pub(super) static CLIENT_TRANSPORT_TYPES: Choice = Choice {
    served: &["websocket"],
    not_yet: &["rawsocket"],
};

pub(super) static CLIENT_TRANSPORT: Keys = Keys {
    of: "Container transport",
    keys: &[
        ("type", Served),
        ("url", Served),
        ("endpoint", Served),
        ("serializers", Served),
        ("options", Served),
        ("id", SILENT),
        ("debug", LOGGING),
        ("debug_wamp", LOGGING),
        ("auth", NotYet),
        ("proxy", NotYet),
    ],
};

pub(super) static CLIENT_ENDPOINT: Keys = Keys {
    of: "Connecting endpoint",
    keys: &[
        ("type", Served),
        ("host", Served),
        ("port", Served),
        ("timeout", Served),
        ("version", NotYet),
        ("tls", NotYet),
    ],
};

/// What stands below a URI in a component's `extra.procedures`. Ours; the other keys of `extra` are
/// the class's.
pub(super) static PROCEDURE: Keys = Keys {
    of: "Procedure",
    keys: &[("concurrency", Served)],
};

/// Whether the word is a key of the format, wherever.
pub(super) fn is_known(word: &str) -> bool {
    ALL_KEYS.iter().any(|keys| keys.use_of(word).is_some())
}

/// Every table of keys.
pub(super) static ALL_KEYS: &[&Keys] = &[
    &NODE,
    &ROUTER,
    &CONTAINER,
    &WORKER_OPTIONS,
    &REALM,
    &ROLE,
    &PERMISSION,
    &ALLOW,
    &DISCLOSE,
    &WEB_TRANSPORT,
    &WEB_OPTIONS,
    &WEBSOCKET_TRANSPORT,
    &LISTENING_ENDPOINT,
    &STATIC,
    &STATIC_OPTIONS,
    &WEBSOCKET_SERVICE,
    &WEBSOCKET_OPTIONS,
    &ROUTER_COMPONENT,
    &CONTAINER_COMPONENT,
    &CLIENT_TRANSPORT,
    &CLIENT_ENDPOINT,
    &PROCEDURE,
    &DATABASE,
];

/// Every choice and its heading in `docs/config.md`, for the same test.
#[cfg(test)]
pub(super) static ALL_CHOICES: &[(&str, &Choice)] = &[
    ("Worker types", &WORKER_TYPES),
    ("Match policies", &MATCH_POLICIES),
    ("Transport types", &TRANSPORT_TYPES),
    ("Endpoint types", &ENDPOINT_TYPES),
    ("Path services", &PATH_TYPES),
    ("Serializers", &SERIALIZERS),
    ("Component types", &COMPONENT_TYPES),
    ("Container transport types", &CLIENT_TRANSPORT_TYPES),
    ("TLS modes", &SSL_MODES),
    ("Session attributes", &SESSION_ATTRIBUTES),
];
