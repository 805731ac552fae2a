//! Owns the tables of components and of the transports by which containers join routers.

use super::{
    Choice, DefaultValue::Text, Key, Kind, SERIALIZERS_KEY, Section, TLS, WEBSOCKET_OPTIONS_KEY,
    authentication, instead, integer, logging, not_yet, optional, required, served, silent,
    transport::PORT, type_key,
};

pub(in crate::config) static COMPONENT_TYPES: Choice = Choice {
    heading: "Component types",
    served: &[("class", "")],
    not_yet: &["wamplet", "function"],
};

const CLASSNAME: Key = required(
    "classname",
    Kind::Text,
    "the name of a component class",
    "a class the program knows",
);

const EXTRA: Key = optional(
    "extra",
    Kind::Special("anything"),
    "`null`",
    "what the class makes of it, but for `database` and `procedures`, which are described below",
);

pub(in crate::config) static ROUTER_COMPONENT: Section = Section {
    heading: "Router component",
    keys: &[
        type_key("`\"class\"`"),
        CLASSNAME,
        required(
            "realm",
            Kind::Uri,
            "the realm the component joins",
            "a realm of this router",
        ),
        served("role", Kind::Uri, Text("anonymous"), "a role of that realm"),
        EXTRA,
        silent("id"),
        not_yet("references"),
        instead(
            "transport",
            "a router's component joins its own router; one with a `transport` belongs into a \
             container",
        ),
    ],
};

pub(in crate::config) static CONTAINER_COMPONENT: Section = Section {
    heading: "Container component",
    keys: &[
        type_key("`\"class\"`"),
        CLASSNAME,
        required(
            "realm",
            Kind::Uri,
            "the realm the component joins",
            "the realm to join",
        ),
        required(
            "transport",
            Kind::Object(&CLIENT_TRANSPORT),
            "an object of type `websocket` with a `url`",
            "the router to join",
        ),
        EXTRA,
        silent("id"),
        authentication("auth"),
        instead(
            "role",
            "a container's component joins as `anonymous`; for a role of its own move it to the \
             components of the router, without its transport",
        ),
    ],
};

pub(in crate::config) static CLIENT_TRANSPORT_TYPES: Choice = Choice {
    heading: "Container transport types",
    served: &[("websocket", "")],
    not_yet: &["rawsocket"],
};

pub(in crate::config) static CLIENT_TRANSPORT: Section = Section {
    heading: "Container transport",
    keys: &[
        type_key("`\"websocket\"`"),
        required(
            "url",
            Kind::Text,
            "a WebSocket URL such as ws://127.0.0.1:8080/ws",
            "`ws://host[:port]/path`",
        ),
        optional(
            "endpoint",
            Kind::Object(&CLIENT_ENDPOINT),
            "from `url`",
            "must agree with `url` (required in Crossbar.io)",
        ),
        SERIALIZERS_KEY,
        WEBSOCKET_OPTIONS_KEY,
        silent("id"),
        logging("debug"),
        logging("debug_wamp"),
        authentication("auth"),
        not_yet("proxy"),
    ],
};

pub(in crate::config) static CLIENT_ENDPOINT: Section = Section {
    heading: "Connecting endpoint",
    keys: &[
        type_key("`\"tcp\"`"),
        required(
            "host",
            Kind::Text,
            "the host of the URL",
            "that of `url`; all names of the loopback interface are one",
        ),
        required("port", PORT, "the port of the URL", "that of `url`"),
        // Crossbar's range, without its 0.
        integer("timeout", (1..=600, "seconds"), 10, "for connecting"),
        not_yet("version"),
        TLS,
    ],
};

/// What stands below a URI in a component's `extra.procedures`. Ours; the other keys of `extra` are
/// the class's.
pub(in crate::config) static PROCEDURE: Section = Section {
    heading: "Procedure",
    keys: &[optional(
        "concurrency",
        // More invocations of a procedure than these at once are as good as no limit.
        Kind::Integer(1..=1_000_000, ""),
        "the class's, else no limit",
        "how many invocations may run at once; further calls wait in the router, in their order",
    )],
};
