//! Owns the table of libpq's parameters (PostgreSQL's manual, 34.1.2): the variable of each, and
//! what becomes of it here. Knows no values and nothing of where they are written.

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// It fills in this key of `extra.database`.
    Key(&'static str),
    /// Nothing here depends on it, for this reason.
    NoEffect(&'static str),
    /// The same, but only for these values. Any other asks for something that is not served.
    NoEffectIf(&'static [&'static str], &'static str),
    /// It protects somebody, so it must not be ignored.
    Refused(Protects, &'static str),
    /// A setting of PostgreSQL's that each session begins with; only a variable has it.
    Session(&'static str),
}

/// Which connections a parameter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protects {
    Tls,
    UnixSocket,
}

/// One of libpq's parameters.
pub(super) struct Parameter {
    /// In a URL and in a service file. Empty if only a variable has it.
    pub(super) name: &'static str,
    /// In the environment (PostgreSQL's manual, 34.15). Empty if it has none.
    pub(super) variable: &'static str,
    pub(super) means: Means,
}

const fn of(name: &'static str, variable: &'static str, means: Means) -> Parameter {
    Parameter {
        name,
        variable,
        means,
    }
}

/// A parameter whose key has its own name.
const fn key(name: &'static str, variable: &'static str) -> Parameter {
    of(name, variable, Means::Key(name))
}

const NO_GSSAPI: Means = Means::NoEffect("there is no GSSAPI here");
const NO_CRL: Means = Means::Refused(
    Protects::Tls,
    "revocation lists are not read: remove it, and the certificate's authority from `sslrootcert` if it issued \
     certificates that must not count",
);

/// All of libpq 17.
pub(super) static PARAMETERS: &[Parameter] = &[
    key("service", "PGSERVICE"),
    key("host", "PGHOST"),
    key("hostaddr", "PGHOSTADDR"),
    key("port", "PGPORT"),
    of("dbname", "PGDATABASE", Means::Key("database")),
    key("user", "PGUSER"),
    key("password", "PGPASSWORD"),
    key("passfile", "PGPASSFILE"),
    key("require_auth", "PGREQUIREAUTH"),
    key("channel_binding", "PGCHANNELBINDING"),
    key("connect_timeout", "PGCONNECT_TIMEOUT"),
    of(
        "client_encoding",
        "PGCLIENTENCODING",
        Means::NoEffect("sessions speak UTF-8"),
    ),
    key("options", "PGOPTIONS"),
    key("application_name", "PGAPPNAME"),
    key("fallback_application_name", ""),
    key("keepalives", ""),
    key("keepalives_idle", ""),
    key("keepalives_interval", ""),
    key("keepalives_count", ""),
    key("tcp_user_timeout", ""),
    of(
        "replication",
        "",
        Means::NoEffectIf(&["false", "off", "no", "0"], "sessions are for SQL"),
    ),
    of(
        "gssencmode",
        "PGGSSENCMODE",
        Means::NoEffectIf(&["disable", "prefer"], "there is no GSSAPI here"),
    ),
    key("sslmode", "PGSSLMODE"),
    // The older form of `sslmode`.
    of("requiressl", "PGREQUIRESSL", Means::Key("sslmode")),
    key("sslnegotiation", "PGSSLNEGOTIATION"),
    of(
        "sslcompression",
        "PGSSLCOMPRESSION",
        Means::NoEffect("TLS never compresses here"),
    ),
    key("sslcert", "PGSSLCERT"),
    key("sslkey", "PGSSLKEY"),
    of(
        "sslpassword",
        "",
        Means::NoEffect("an `sslkey` must not be encrypted"),
    ),
    key("sslcertmode", "PGSSLCERTMODE"),
    key("sslrootcert", "PGSSLROOTCERT"),
    of("sslcrl", "PGSSLCRL", NO_CRL),
    of("sslcrldir", "PGSSLCRLDIR", NO_CRL),
    key("sslsni", "PGSSLSNI"),
    of(
        "requirepeer",
        "PGREQUIREPEER",
        Means::Refused(
            Protects::UnixSocket,
            "who serves a Unix socket is not asked: remove it, and let only that user write to the socket's directory",
        ),
    ),
    key("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    key("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    of("krbsrvname", "PGKRBSRVNAME", NO_GSSAPI),
    of("gsslib", "PGGSSLIB", NO_GSSAPI),
    of("gssdelegation", "PGGSSDELEGATION", NO_GSSAPI),
    key("target_session_attrs", "PGTARGETSESSIONATTRS"),
    key("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    of("", "PGTZ", Means::Session("TimeZone")),
    of("", "PGDATESTYLE", Means::Session("DateStyle")),
    of("", "PGGEQO", Means::Session("geqo")),
    of(
        "",
        "PGLOCALEDIR",
        Means::NoEffect("the node's own messages are not translated"),
    ),
];

/// The parameter of this name.
pub(super) fn named(name: &str) -> Option<&'static Parameter> {
    (PARAMETERS.iter()).find(|parameter| !name.is_empty() && parameter.name == name)
}

/// What `requiressl` means in terms of `sslmode`, as libpq takes it.
pub(super) fn sslmode_of_requiressl(value: &str) -> &'static str {
    if value.starts_with('1') {
        "require"
    } else {
        "prefer"
    }
}
