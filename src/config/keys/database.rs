//! Owns the keys of `extra.database` and the words that its choices take: libpq's where libpq has
//! them, adbapi's with `cp_`, and the pool's own.

use super::{
    Choice, Keys,
    Use::{Instead, Served},
    inert,
};

const NO_GSSAPI: &str = "there is no GSSAPI here";

pub(in crate::config) static DATABASE: Keys = Keys {
    of: "Database",
    keys: &[
        ("host", Served),
        ("port", Served),
        ("database", Served),
        ("user", Served),
        ("password", Served),
        ("hostaddr", Served),
        ("service", Served),
        ("passfile", Served),
        ("channel_binding", Served),
        ("require_auth", Served),
        ("sslmode", Served),
        ("sslrootcert", Served),
        ("sslcert", Served),
        ("sslkey", Served),
        ("sslcertmode", Served),
        ("sslnegotiation", Served),
        ("sslsni", Served),
        ("ssl_min_protocol_version", Served),
        ("ssl_max_protocol_version", Served),
        ("load_balance_hosts", Served),
        ("target_session_attrs", Served),
        ("application_name", Served),
        ("options", Served),
        ("search_path", Served),
        ("cp_min", Served),
        ("cp_max", Served),
        ("cp_noisy", Served),
        ("cp_reconnect", Served),
        ("cp_good_sql", Served),
        ("cp_name", Served),
        ("queue_limit", Served),
        ("queue_timeout", Served),
        ("connect_timeout", Served),
        ("statement_timeout", Served),
        ("idle_timeout", Served),
        ("max_lifetime", Served),
        ("slow_query_ms", Served),
        ("statement_cache", Served),
        ("reset", Served),
        ("keepalives", Served),
        ("keepalives_idle", Served),
        ("keepalives_interval", Served),
        ("keepalives_count", Served),
        ("tcp_user_timeout", Served),
        (
            "cp_openfun",
            Instead("it is a function, which the component's class sets"),
        ),
        ("dbname", Instead("write `database`")),
        ("username", Instead("write `user`")),
        ("hostname", Instead("write `host`")),
        ("ssl", Instead("write `sslmode`")),
        (
            "fallback_application_name",
            Instead("write `application_name`"),
        ),
        ("requiressl", Instead("write `sslmode`")),
        ("client_encoding", inert("", "sessions speak UTF-8")),
        ("sslcompression", inert("", "TLS never compresses here")),
        (
            "sslpassword",
            inert("", "an `sslkey` must not be encrypted"),
        ),
        ("krbsrvname", inert("", NO_GSSAPI)),
        ("gsslib", inert("", NO_GSSAPI)),
        ("gssdelegation", inert("", NO_GSSAPI)),
        ("gssencmode", Instead("there is no GSSAPI here: remove it")),
        ("replication", Instead("sessions are for SQL: remove it")),
        (
            "sslcrl",
            Instead("revocation lists are not read: remove it"),
        ),
        (
            "sslcrldir",
            Instead("revocation lists are not read: remove it"),
        ),
        (
            "requirepeer",
            Instead(
                "who serves a Unix socket is not asked: let only that user write to its directory",
            ),
        ),
        ("schema", Instead("write `search_path`")),
        (
            "close_grace",
            Instead("what runs when the node stops has the time that the node gives its calls"),
        ),
    ],
};

/// libpq's.
pub(in crate::config) static SSL_MODES: Choice = Choice {
    served: &[
        "disable",
        "allow",
        "prefer",
        "require",
        "verify-ca",
        "verify-full",
    ],
    not_yet: &[],
};

const fn served(served: &'static [&'static str]) -> Choice {
    Choice {
        served,
        not_yet: &[],
    }
}

/// libpq's.
pub(in crate::config) static SESSION_ATTRIBUTES: Choice = served(&[
    "any",
    "read-write",
    "read-only",
    "primary",
    "standby",
    "prefer-standby",
]);
pub(in crate::config) static CHANNEL_BINDING: Choice = served(&["disable", "prefer", "require"]);
pub(in crate::config) static SSL_NEGOTIATION: Choice = served(&["postgres", "direct"]);
/// Without libpq's `require`: whether a server has asked for a certificate is not seen.
pub(in crate::config) static SSL_CERT_MODE: Choice = served(&["disable", "allow"]);
/// The two old ones ask for no more than what is so anyway.
pub(in crate::config) static LEAST_TLS: Choice =
    served(&["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]);
pub(in crate::config) static NEWEST_TLS: Choice = served(&["TLSv1.2", "TLSv1.3"]);
pub(in crate::config) static LOAD_BALANCE: Choice = served(&["disable", "random"]);
pub(in crate::config) static REQUIRE_AUTH: Choice = served(&["scram-sha-256"]);

/// The pool's.
pub(in crate::config) static RESET: Choice = served(&["none", "discard"]);
