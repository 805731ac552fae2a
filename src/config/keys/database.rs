//! Owns the keys of `extra.database` and the words that its choices take: libpq's where libpq has them, adbapi's with
//! `cp_`, and the pool's own.

use super::Use::{Instead, Served};
use super::{Choice, Keys};

pub(in crate::config) static DATABASE: Keys = Keys {
    of: "Database",
    keys: &[
        ("host", Served),
        ("port", Served),
        ("database", Served),
        ("user", Served),
        ("password", Served),
        ("sslmode", Served),
        ("sslrootcert", Served),
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
        (
            "hostaddr",
            Instead("write `host`, which takes addresses too"),
        ),
        ("ssl", Instead("write `sslmode`")),
        ("sslcert", Instead("certificates of clients are not served")),
        ("sslkey", Instead("certificates of clients are not served")),
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

/// Those of libpq's that the client library knows.
pub(in crate::config) static SESSION_ATTRIBUTES: Choice = Choice {
    served: &["any", "read-write", "read-only"],
    not_yet: &[],
};
