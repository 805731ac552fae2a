//! Owns the tables of listening transports: web and WebSocket, endpoints, path services.

use std::ops::RangeInclusive;

use super::{
    Choice, DefaultValue::Text, Key, Kind, Section, Usage, authentication, boolean, inert, integer,
    logging, not_yet, optional, required, served, silent, type_key,
};
use wamp::MAX_URI_LEN;
use wamp_transport::limits;

/// Timeouts are up to a day; who wants a longer one wants none.
const MILLISECONDS: (RangeInclusive<u64>, &str) = (0..=86_400_000, "ms");
/// Up to 1 GiB.
const BYTES: (RangeInclusive<u64>, &str) = (0..=1 << 30, "bytes");
/// At least a few messages, up to 1 GiB.
const OUTBOX_BYTES: (RangeInclusive<u64>, &str) = (65_536..=1 << 30, "bytes");
/// The defaults of `max_message_size` and `outbox_limit`.
const MESSAGE: u64 = 4 << 20;
const OUTBOX: u64 = 16 << 20;
// An answer as large as a message may be does not fill an outbox, what one session may cause does not
// either, and what shows that a client reads is no more than what it has to have waiting.
const _: () = assert!((MAX_URI_LEN as u64) < MESSAGE && MESSAGE * 2 <= OUTBOX);
const _: () = assert!((limits::BACKLOG_LIMIT as u64) < OUTBOX);
const _: () = assert!(limits::LEAST_TAKEN as u64 <= *OUTBOX_BYTES.0.start());
/// Crossbar's range (the payload of a control frame is at most 125 bytes: RFC 6455, section 5.5).
const PING_BYTES: (RangeInclusive<u64>, &str) = (4..=125, "bytes");
/// Up to a year (RFC 9111 has no upper limit).
const CACHE_SECONDS: RangeInclusive<u64> = 0..=31_536_000;
const BACKLOG: RangeInclusive<u64> = 1..=65_535;

/// The type of a TCP port at which somebody listens or is to be dialled.
pub(super) const PORT: Kind = Kind::Integer(0..=65_535, "");

pub(in crate::config) static TRANSPORT_TYPES: Choice = Choice {
    heading: "Transport types",
    served: &[("web", ""), ("websocket", "")],
    not_yet: &[
        "rawsocket",
        "universal",
        "mqtt",
        "flashpolicy",
        "websocket.testee",
        "stream.testee",
    ],
};

const ENDPOINT: Key = required(
    "endpoint",
    Kind::Object(&LISTENING_ENDPOINT),
    "an object such as {\"type\": \"tcp\", \"port\": 8080}",
    "where to listen",
);

pub(in crate::config) static WEB_TRANSPORT: Section = Section {
    heading: "Web transport",
    keys: &[
        type_key("`\"web\"`"),
        ENDPOINT,
        required(
            "paths",
            Kind::Special("object of [path services](#path-services)"),
            "an object with the path `/` and others",
            "path services by path: `/`, or one segment without slashes (letters, digits, `_`, \
             `-`); what no path takes is 404",
        ),
        optional("options", Kind::Object(&WEB_OPTIONS), "none", ""),
        silent("id"),
    ],
};

pub(in crate::config) static WEB_OPTIONS: Section = Section {
    heading: "Web transport options",
    keys: &[
        logging("access_log"),
        inert(
            "display_tracebacks",
            "false",
            "a client never sees a trace back",
        ),
        inert("hixie76_aware", "false", "only RFC 6455 is spoken"),
        not_yet("hsts"),
        not_yet("hsts_max_age"),
        not_yet("client_timeout"),
    ],
};

pub(in crate::config) static WEBSOCKET_TRANSPORT: Section = Section {
    heading: "WebSocket transport",
    keys: &[
        type_key("`\"websocket\"`"),
        ENDPOINT,
        SERIALIZERS_KEY,
        WEBSOCKET_OPTIONS_KEY,
        silent("id"),
        silent("url"),
        logging("debug"),
        authentication("auth"),
        authentication("cookie"),
    ],
};

pub(in crate::config) static ENDPOINT_TYPES: Choice = Choice {
    heading: "Endpoint types",
    served: &[("tcp", "")],
    not_yet: &["unix", "twisted", "onion", "tor"],
};

pub(in crate::config) static LISTENING_ENDPOINT: Section = Section {
    heading: "Listening endpoint",
    keys: &[
        type_key("`\"tcp\"`"),
        required(
            "port",
            PORT,
            "an integer from 0 to 65535",
            "0 takes any free port (not in Crossbar.io)",
        ),
        optional(
            "interface",
            Kind::Text,
            "all",
            "the address or name to listen on; a name means every address that it has \
             (`localhost`: `127.0.0.1` and `::1`)",
        ),
        optional(
            "version",
            Kind::Special("4 or 6"),
            "both",
            "listen in this IP version only (Crossbar.io: 4)",
        ),
        optional(
            "backlog",
            Kind::Integer(BACKLOG, ""),
            "the listener's",
            "how many connections may wait to be accepted",
        ),
        // A peer that is gone is noticed within twice the time: see `transport::set_peer_timeout`.
        integer(
            "peer_timeout",
            MILLISECONDS,
            60_000,
            "how long a peer's system may leave everything unanswered; 0 leaves it to this \
             system; see below (not in Crossbar.io)",
        ),
        inert("shared", "false", "one process accepts all connections"),
        not_yet("portrange"),
        TLS,
    ],
};

/// What is said of a `tls` in an endpoint.
pub(super) const TLS: Key = Key {
    name: "tls",
    usage: Usage::NotYet("put a TLS proxy in front (docs/config.md, HTTPS) and remove the key"),
};

pub(in crate::config) static PATH_TYPES: Choice = Choice {
    heading: "Path services",
    served: &[("static", ""), ("websocket", "not on `/`")],
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

pub(in crate::config) static STATIC: Section = Section {
    heading: "Static path service",
    keys: &[
        type_key("`\"static\"`"),
        required(
            "directory",
            Kind::Text,
            "a directory",
            "a directory that exists",
        ),
        optional("options", Kind::Object(&STATIC_OPTIONS), "none", ""),
        silent("id"),
        not_yet("package"),
        not_yet("resource"),
    ],
};

pub(in crate::config) static STATIC_OPTIONS: Section = Section {
    heading: "Static options",
    keys: &[
        boolean(
            "enable_directory_listing",
            false,
            "list the entries of a directory without an index file",
        ),
        optional(
            "mime_types",
            Kind::Special("object"),
            "none",
            "media types by file name extension: `{\".md\": \"text/markdown\"}`",
        ),
        optional(
            "cache_timeout",
            Kind::IntegerOr(CACHE_SECONDS, "seconds", "`null`"),
            "none",
            "how long a client may keep a file without asking; without it, the client asks every \
             time and an unchanged file is answered with 304 (Crossbar: 43200, in which nobody \
             sees a new page)",
        ),
        optional(
            "default_file",
            Kind::Text,
            "none",
            "a file below `directory` that is sent, with 200, for paths that lead to nothing and \
             whose last name has no dot: the page of a single-page application. A file that is \
             missing stays 404 (in Crossbar.io it gets the page, too). Let the page write its \
             links from `/`, or a `<base href>`",
        ),
        boolean(
            "allow_cross_origin",
            false,
            "let pages of other origins read the files (fonts, modules, `fetch`): \
             `Access-Control-Allow-Origin: *`, and preflights are answered. Crossbar.io does so \
             by default, and echoes the origin with `Access-Control-Allow-Credentials: true`, by \
             which any page could read what lies behind a proxy's login",
        ),
    ],
};

pub(in crate::config) static WEBSOCKET_SERVICE: Section = Section {
    heading: "WebSocket path service",
    keys: &[
        type_key("`\"websocket\"`"),
        SERIALIZERS_KEY,
        WEBSOCKET_OPTIONS_KEY,
        silent("id"),
        silent("url"),
        logging("debug"),
        authentication("auth"),
        authentication("cookie"),
    ],
};

pub(super) const SERIALIZERS_KEY: Key = served(
    "serializers",
    Kind::Array("[serializers](#serializers)"),
    Text("[\"json\"]"),
    "",
);

pub(super) const WEBSOCKET_OPTIONS_KEY: Key =
    optional("options", Kind::Object(&WEBSOCKET_OPTIONS), "none", "");

pub(in crate::config) static SERIALIZERS: Choice = Choice {
    heading: "Serializers",
    served: &[("json", "")],
    not_yet: &["msgpack", "cbor", "ubjson", "flatbuffers"],
};

pub(in crate::config) static WEBSOCKET_OPTIONS: Section = Section {
    heading: "WebSocket options",
    keys: &[
        served(
            "allowed_origins",
            Kind::Array("strings"),
            Text("[\"*\"]"),
            "`Origin`s that may connect: `*`, `null`, or origins such as `http://localhost:*` and \
             `https://*.example.com`, in which `*` stands for any characters but `/` and `@` (in \
             Crossbar.io for any, so that `*.example.com` needs no scheme; here that is a fault)",
        ),
        integer(
            "open_handshake_timeout",
            MILLISECONDS,
            5000,
            "for the opening handshake, and again for HELLO; see below",
        ),
        integer(
            "close_handshake_timeout",
            MILLISECONDS,
            1000,
            "for the answer to a Close frame",
        ),
        integer("auto_ping_interval", MILLISECONDS, 0, "between two Pings"),
        integer(
            "auto_ping_timeout",
            MILLISECONDS,
            0,
            "for the Pong, after which the peer is dropped",
        ),
        integer("auto_ping_size", PING_BYTES, 4, "the payload of a Ping"),
        integer(
            "max_message_size",
            BYTES,
            MESSAGE,
            "a larger message ends the connection with 1009; the log names session and option, \
             and those who wait for the session are told",
        ),
        integer(
            "max_frame_size",
            BYTES,
            0,
            "the same for each frame; 0 is `max_message_size`",
        ),
        boolean("tcp_nodelay", true, "disable Nagle's algorithm"),
        boolean("enable_webstatus", true, "a plain GET shows a status page"),
        boolean(
            "require_websocket_subprotocol",
            true,
            "the client must offer a WAMP subprotocol",
        ),
        boolean(
            "fail_by_drop",
            false,
            "drop the connection on a violation of the protocol, without a Close frame",
        ),
        integer(
            "outbox_limit",
            OUTBOX_BYTES,
            OUTBOX,
            "what may wait for a client before nothing more is read from it; who leaves four times as \
             much, or reads nothing of it for `slow_client_timeout`, is dropped (not in Crossbar.io)",
        ),
        integer(
            "slow_client_timeout",
            MILLISECONDS,
            10_000,
            "for each 64 KiB that a client reads, once more than `outbox_limit` waits for it; 0 is for \
             ever (not in Crossbar.io)",
        ),
        integer(
            "message_timeout",
            MILLISECONDS,
            30_000,
            "for the whole of a message, from its first byte; 0 is for ever (not in Crossbar.io)",
        ),
        inert("enable_rfc6455", "true", "only RFC 6455 is spoken"),
        inert("enable_hybi10", "false", "only RFC 6455 is spoken"),
        inert("enable_hixie76", "false", "only RFC 6455 is spoken"),
        inert("validate_utf8", "true", "text is always validated"),
        inert(
            "mask_server_frames",
            "false",
            "RFC 6455 forbids masking a server's frames",
        ),
        inert(
            "require_masked_client_frames",
            "true",
            "RFC 6455 demands masked client frames",
        ),
        inert("apply_mask", "true", "RFC 6455 demands masking"),
        inert("auto_fragment_size", "0", "messages are not fragmented"),
        inert(
            "echo_close_codereason",
            "false",
            "the close code is answered as RFC 6455 says",
        ),
        inert(
            "show_server_version",
            "true",
            "the status page shows the version",
        ),
        inert("enable_flash_policy", "false", "Flash is not served"),
        inert("flash_policy", "", "Flash is not served"),
        not_yet("allow_null_origin"),
        not_yet("external_port"),
        not_yet("compression"),
    ],
};
