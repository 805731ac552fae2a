//! Owns the tables of the node, its workers, realms, roles and permissions.

use super::DefaultValue::{Number, Special};
use super::{
    Choice, Key, Kind, Section, Times, boolean, inert, instead, not_yet, optional, required,
    served, silent, type_key, word,
};

pub(in crate::config) static NODE: Section = Section {
    heading: "Node",
    keys: &[
        required(
            "version",
            Kind::Special("the number 2"),
            "2",
            "the version of the format",
        ),
        required(
            "workers",
            Kind::Array("workers"),
            "an array of workers",
            "routers and containers; at least one router or component",
        ),
        optional(
            "databases",
            Kind::Special("object of [databases](#database)"),
            "none",
            "databases by name, each of which several components may use; see \
             [below](#databases) (not in Crossbar.io)",
        ),
        served(
            "limits",
            Kind::Object(&LIMITS),
            Special("none"),
            "what clients may take of the node (not in Crossbar.io)",
        ),
        silent("$schema"),
        inert(
            "controller",
            "{}",
            "the node is one process and has no controller",
        ),
        not_yet("manager"),
    ],
};

pub(in crate::config) static LIMITS: Section = Section {
    heading: "Limits",
    keys: &[
        optional(
            "max_connections",
            Kind::Integer(1..=10_000_000, ""),
            "what files the process may open, less a reserve",
            "how many clients may be connected at once, to all listeners together",
        ),
        optional(
            "max_connections_per_address",
            Kind::Integer(0..=10_000_000, ""),
            "half of what other addresses leave, and always 16",
            "how many of them may come from one address; 0 sets no limit. Those of one IPv6 /64 count \
             as one, and behind a proxy all have the proxy's",
        ),
        optional(
            "memory_limit",
            Kind::Integer(1 << 20..=1 << 50, "bytes"),
            "a quarter of what this process may have",
            "how much clients may make the node hold: messages that are not complete, what waits to \
             be read, calls that wait; beyond it those who make it hold most are dropped. May have: \
             the least of the machine's memory, that of its cgroup, and the address space that is left",
        ),
    ],
};

pub(in crate::config) static WORKER_TYPES: Choice = Choice {
    heading: "Worker types",
    served: &[("router", ""), ("container", "")],
    not_yet: &["guest", "websocket-testee", "proxy", "hostmonitor"],
};

pub(in crate::config) static ROUTER: Section = Section {
    heading: "Router worker",
    keys: &[
        type_key("`\"router\"`"),
        optional("realms", Kind::Array("realms"), "none", ""),
        optional(
            "transports",
            Kind::Array("transports"),
            "none",
            "what the node listens on",
        ),
        optional(
            "components",
            Kind::Array("router components"),
            "none",
            "components that run in the node's process",
        ),
        WORKER_OPTIONS_KEY,
        silent("id"),
        not_yet("manhole"),
        not_yet("links"),
        not_yet("connections"),
    ],
};

pub(in crate::config) static CONTAINER: Section = Section {
    heading: "Container worker",
    keys: &[
        type_key("`\"container\"`"),
        optional(
            "components",
            Kind::Array("container components"),
            "none",
            "components that join a router through a URL",
        ),
        WORKER_OPTIONS_KEY,
        silent("id"),
        not_yet("manhole"),
        not_yet("connections"),
        instead(
            "transports",
            "each component of a container has its own `transport`",
        ),
    ],
};

const WORKER_OPTIONS_KEY: Key = served(
    "options",
    Kind::Object(&WORKER_OPTIONS),
    Special("none"),
    "",
);

pub(in crate::config) static WORKER_OPTIONS: Section = Section {
    heading: "Worker options",
    keys: &[
        silent("title"),
        inert("python", "", "component classes are part of the program"),
        inert(
            "pythonpath",
            "[]",
            "component classes are part of the program, nothing is imported",
        ),
        inert("reactor", "{}", "there is one kind of reactor"),
        inert(
            "cpu_affinity",
            "[]",
            "all workers share one process; use taskset to bind it",
        ),
        inert(
            "env",
            "{}",
            "all workers run in the environment of the one process",
        ),
        inert(
            "shutdown",
            "\"shutdown-manual\"",
            "the node runs until it is told to stop",
        ),
        inert(
            "restart",
            "\"restart-never\"",
            "components live as long as the node",
        ),
        inert(
            "extra",
            "{}",
            "a component gets the `extra` that is its own",
        ),
        not_yet("disabled"),
        not_yet("expose_controller"),
        not_yet("expose_shared"),
    ],
};

pub(in crate::config) static REALM: Section = Section {
    heading: "Realm",
    keys: &[
        required(
            "name",
            Kind::Uri,
            "the realm's name",
            "each realm of a router has its own",
        ),
        optional(
            "roles",
            Kind::Array("roles"),
            "none",
            "without roles nobody can join",
        ),
        silent("id"),
        not_yet("options"),
        not_yet("store"),
        not_yet("stats"),
        not_yet("schemas"),
    ],
};

pub(in crate::config) static ROLE: Section = Section {
    heading: "Role",
    keys: &[
        required(
            "name",
            Kind::Uri,
            "the role's name",
            "each role of a realm has its own; `anonymous` is the role of sessions that do not \
             authenticate",
        ),
        optional(
            "permissions",
            Kind::Array("permissions"),
            "none",
            "what no permission names is not allowed, unless an `authorizer` allows it",
        ),
        optional(
            "authorizer",
            Kind::Uri,
            "none",
            "a procedure of the realm that is asked what the role may do where none of its permissions \
             matches (Crossbar.io asks it only where there are no `permissions` at all); see \
             [security.md](security.md#asking-a-procedure)",
        ),
        served(
            "authorizer_timeout",
            Kind::Time(Times::within(100, 600_000)),
            Number(10),
            "how long its answer may take, before the request fails with \
             `wamp.error.authorization_failed` (not in Crossbar.io)",
        ),
        served(
            "authorizer_cache_ttl",
            Kind::Time(Times::within(0, 86_400_000)),
            Number(60),
            "how long an answer holds of which the procedure says that it may be kept; with 0 none is \
             (not in Crossbar.io)",
        ),
        silent("id"),
    ],
};

pub(in crate::config) static PERMISSION: Section = Section {
    heading: "Permission",
    keys: &[
        required(
            "uri",
            Kind::Special("string"),
            "a URI or a pattern such as \"com.example.*\"",
            "a URI or a pattern; without `match`, a `*` at the end makes it a prefix (`com.*`, `*`)",
        ),
        word(
            "match",
            &MATCH_POLICIES,
            "exact",
            "how `uri` is compared with the URI of an action",
        ),
        optional(
            "allow",
            Kind::Object(&ALLOW),
            "nothing",
            "the actions that are allowed",
        ),
        optional(
            "disclose",
            Kind::Object(&DISCLOSE),
            "nobody",
            "whose identity the other side learns",
        ),
        boolean(
            "cache",
            false,
            "whether an authorization may be remembered; one that is made from this file always may",
        ),
        not_yet("validate"),
        instead("call", INSIDE_ALLOW),
        instead("register", INSIDE_ALLOW),
        instead("publish", INSIDE_ALLOW),
        instead("subscribe", INSIDE_ALLOW),
    ],
};

const INSIDE_ALLOW: &str = "write it inside `allow`";

pub(in crate::config) static MATCH_POLICIES: Choice = Choice {
    heading: "Match policies",
    served: &[
        ("exact", "the same URI"),
        ("prefix", "the URI begins with it"),
        (
            "wildcard",
            "an empty part between dots stands for any: `com..now`",
        ),
    ],
    not_yet: &[],
};

pub(in crate::config) static ALLOW: Section = Section {
    heading: "Permission: allow",
    keys: &[
        boolean("call", false, "may call procedures"),
        boolean("register", false, "may register procedures"),
        boolean("publish", false, "may publish events"),
        boolean("subscribe", false, "may subscribe to topics"),
    ],
};

pub(in crate::config) static DISCLOSE: Section = Section {
    heading: "Permission: disclose",
    keys: &[
        boolean("caller", false, "callees learn who calls"),
        boolean("publisher", false, "subscribers learn who publishes"),
    ],
};
