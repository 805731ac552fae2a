//! Owns the words that the choices of a database take: libpq's where libpq has them. Knows no key.

use crate::config::keys::Choice;

pub(in crate::config) static BACKENDS: Choice = Choice {
    heading: "Backends",
    served: &[
        (
            "adbapi",
            "worker threads that wait for PostgreSQL, one for each connection",
        ),
        (
            "txpostgres",
            "the I/O threads, without a thread more; several statements are on their way on one \
             connection",
        ),
    ],
    not_yet: &[],
};

/// libpq's.
pub(in crate::config) static SSL_MODES: Choice = Choice {
    heading: "TLS modes",
    served: &[
        ("disable", "no TLS"),
        ("allow", "TLS if the server takes nobody without"),
        ("prefer", "TLS if the server has it"),
        ("require", "TLS"),
        (
            "verify-ca",
            "TLS, and a certificate that `sslrootcert` vouches for",
        ),
        (
            "verify-full",
            "the same, and it is for the host that is dialled",
        ),
    ],
    not_yet: &[],
};

/// libpq's.
pub(in crate::config) static SESSION_ATTRIBUTES: Choice = Choice {
    heading: "Session attributes",
    served: &[
        ("any", ""),
        ("read-write", "it can write"),
        ("read-only", ""),
        ("primary", "it is no standby"),
        ("standby", ""),
        (
            "prefer-standby",
            "a standby if there is one that can be reached, else any",
        ),
    ],
    not_yet: &[],
};

/// A choice that its key explains.
const fn words(served: &'static [(&'static str, &'static str)]) -> Choice {
    Choice {
        heading: "",
        served,
        not_yet: &[],
    }
}

pub(super) static CHANNEL_BINDING: Choice =
    words(&[("disable", ""), ("prefer", ""), ("require", "")]);
pub(super) static SSL_NEGOTIATION: Choice = words(&[("postgres", ""), ("direct", "")]);
/// Without libpq's `require`: whether a server has asked for a certificate is not seen.
pub(super) static SSL_CERT_MODE: Choice = words(&[("disable", ""), ("allow", "")]);
/// The two old ones ask for no more than what is so anyway.
pub(super) static LEAST_TLS: Choice = words(&[
    ("TLSv1", ""),
    ("TLSv1.1", ""),
    ("TLSv1.2", ""),
    ("TLSv1.3", ""),
]);
pub(super) static NEWEST_TLS: Choice = words(&[("TLSv1.2", ""), ("TLSv1.3", "")]);
pub(super) static LOAD_BALANCE: Choice = words(&[("disable", ""), ("random", "")]);
pub(super) static REQUIRE_AUTH: Choice = words(&[("scram-sha-256", "")]);
/// The pool's.
pub(super) static RESET: Choice = words(&[("none", ""), ("discard", "")]);
pub(super) static ERROR_DETAILS: Choice =
    words(&[("none", ""), ("names", ""), ("all", ""), ("debug", "")]);
