//! Owns the table of a database: libpq's keys where libpq has them, adbapi's with `cp_`, and the
//! pool's own.

mod choices;

pub(in crate::config) use self::choices::{BACKENDS, SESSION_ATTRIBUTES, SSL_MODES};
use self::choices::{
    CHANNEL_BINDING, ERROR_DETAILS, LEAST_TLS, LOAD_BALANCE, NEWEST_TLS, REQUIRE_AUTH, RESET,
    SSL_CERT_MODE, SSL_NEGOTIATION,
};
use super::{
    DefaultValue::{Boolean, Number, Special, Text},
    Key, Kind, Section, Times, boolean, inert, instead, integer, optional, served, word,
};

const NO_GSSAPI: &str = "there is no GSSAPI here";
const NO_CRL: &str = "revocation lists are not read: remove it";

const DAY: u64 = 86_400_000;

/// A served time: its range in milliseconds, its default in seconds.
const fn time(name: &'static str, times: Times, default: u64, meaning: &'static str) -> Key {
    served(name, Kind::Time(times), Number(default), meaning)
}

/// How long a connection may live or be idle.
const LIFETIMES: Times = Times::between(1000, 30 * DAY);
/// As many seconds as a socket takes.
const PROBE_TIMES: Times = Times::between(1000, i16::MAX as u64 * 1000);

const fn flag(name: &'static str, default: bool, meaning: &'static str) -> Key {
    served(name, Kind::Flag, Boolean(default), meaning)
}

const fn text(name: &'static str, default: &'static str, meaning: &'static str) -> Key {
    served(name, Kind::Text, Text(default), meaning)
}

pub(in crate::config) static DATABASE: Section = Section {
    heading: "Database",
    keys: &[
        optional(
            "backend",
            Kind::Word(&BACKENDS),
            "`adbapi`, where the program has it",
            "who speaks with PostgreSQL ([which to choose](performance.md#which-backend))",
        ),
        optional(
            "host",
            Kind::Text,
            "the directory of this machine's sockets: `/var/run/postgresql` if it is there, else \
             `/tmp`",
            "name, address, or the directory of a Unix socket (the fastest on the same machine); \
             several with commas between them, to be tried in this order",
        ),
        served(
            "port",
            Kind::IntegerOr(1..=65_535, "", "string"),
            Number(5432),
            "for all hosts, or one for each as in `\"5432,5433\"`",
        ),
        optional("database", Kind::Text, "the user's name", ""),
        optional(
            "user",
            Kind::Text,
            "who runs the node, by the system's word",
            "the role to log in as",
        ),
        optional(
            "password",
            Kind::Special("string"),
            "that of the `passfile`",
            "never shown; `\"\"` keeps `PGPASSWORD` out",
        ),
        optional(
            "hostaddr",
            Kind::Text,
            "where `host` leads",
            "an IP address to connect to, so that no name is resolved; one for each host. `host` \
             stays the name that TLS and the password file go by",
        ),
        optional(
            "service",
            Kind::Text,
            "none",
            "a section of `~/.pg_service.conf` or of the system's `pg_service.conf` that fills in \
             what is not written",
        ),
        optional(
            "passfile",
            Kind::Text,
            "`~/.pgpass`",
            "where to look for a password that is not written, each time a connection is made; \
             as with libpq, nobody else may read it",
        ),
        word(
            "channel_binding",
            &CHANNEL_BINDING,
            "prefer",
            "bind passwords to TLS; `require` takes no server that cannot, and needs TLS. It \
             makes sure that PostgreSQL knows the password, too",
        ),
        served(
            "require_auth",
            Kind::Word(&REQUIRE_AUTH),
            Special("none"),
            "only beside `channel_binding` `require`, which makes sure of it; libpq's other words \
             are refused",
        ),
        optional(
            "sslmode",
            Kind::Word(&SSL_MODES),
            "`prefer`, but `verify-full` with `sslrootcert` `system`",
            "how connections are secured",
        ),
        optional(
            "sslrootcert",
            Kind::Text,
            "none",
            "whom to trust: a PEM file that exists, or `system` for whom the operating system \
             trusts",
        ),
        optional(
            "sslcert",
            Kind::Text,
            "none",
            "a certificate to show to the server, a PEM file",
        ),
        optional(
            "sslkey",
            Kind::Text,
            "none",
            "its key, a PEM file without a passphrase that nobody else may read",
        ),
        word(
            "sslcertmode",
            &SSL_CERT_MODE,
            "allow",
            "`disable` shows no certificate",
        ),
        word(
            "sslnegotiation",
            &SSL_NEGOTIATION,
            "postgres",
            "`direct` saves a round trip with PostgreSQL 17 or newer, and needs an `sslmode` of \
             `require` or more",
        ),
        flag(
            "sslsni",
            true,
            "tell the server its name in the clear, as proxies need it",
        ),
        word(
            "ssl_min_protocol_version",
            &LEAST_TLS,
            "TLSv1.2",
            "the oldest TLS to speak, which is 1.2 at least",
        ),
        word(
            "ssl_max_protocol_version",
            &NEWEST_TLS,
            "TLSv1.3",
            "the newest TLS to speak",
        ),
        word(
            "load_balance_hosts",
            &LOAD_BALANCE,
            "disable",
            "`random` tries servers, and the addresses of each, in random order",
        ),
        word(
            "target_session_attrs",
            &SESSION_ATTRIBUTES,
            "any",
            "which servers to take",
        ),
        text(
            "application_name",
            "wampgres",
            "what PostgreSQL calls the sessions",
        ),
        optional(
            "options",
            Kind::Text,
            "none",
            "options for each session, as libpq has them: `-c geqo=off -c work_mem=16MB`; blanks \
             inside a value need a backslash",
        ),
        optional(
            "search_path",
            Kind::Text,
            "the role's",
            "as PostgreSQL's `search_path`: `shop, public`; blanks need nothing",
        ),
        // adbapi's defaults, but for `cp_max` (there 5). Each connection is a server process and,
        // here, a thread; more than these are a mistake.
        integer(
            "cp_min",
            (0..=1000, ""),
            3,
            "how many connections are kept open; lowered to a `cp_max` that is lower than the default",
        ),
        integer(
            "cp_max",
            (1..=1000, ""),
            10,
            "how many connections there are at most",
        ),
        boolean("cp_noisy", false, "log what the pool does"),
        boolean("cp_reconnect", true, "replace lost connections"),
        text(
            "cp_good_sql",
            "SELECT 1",
            "what shows that a connection is good",
        ),
        optional(
            "cp_name",
            Kind::Text,
            "its name in `databases`",
            "the pool's name in logs",
        ),
        integer(
            "queue_limit",
            (1..=1_000_000, ""),
            1024,
            "how many jobs may wait for a worker; more are refused (`wamp.error.unavailable`)",
        ),
        time(
            "queue_timeout",
            Times::between(1, DAY),
            0,
            "how long a job may wait for a worker",
        ),
        time(
            "connect_timeout",
            Times::between(100, DAY),
            5,
            "how long a job may wait for a connection; connecting to a server may take as long, \
             to each of several its share; 0: no limit, and calls wait until PostgreSQL is back",
        ),
        time(
            "statement_timeout",
            Times::between(1, DAY).elsewhere_millis(),
            0,
            "how long a statement may run before PostgreSQL ends it; whole milliseconds",
        ),
        time(
            "idle_timeout",
            LIFETIMES,
            600,
            "after which time without a job a connection beyond `cp_min` is closed; 0: never",
        ),
        time(
            "max_lifetime",
            LIFETIMES,
            1800,
            "how old a connection may become, less up to a tenth at random; 0: no limit",
        ),
        optional(
            "schema_file",
            Kind::Text,
            "none",
            "a file of SQL that `--embedded-postgres` runs at each start, before anything is served, as \
             the database's user and in one transaction; relative to the config file. It has to be \
             such that it can be run again: `IF NOT EXISTS`, `OR REPLACE`. No other server is sent it",
        ),
        optional(
            "slow_query_ms",
            Kind::Integer(0..=DAY, "ms"),
            "never",
            "from which duration on a statement is logged, without its parameters; 0 logs all",
        ),
        integer(
            "statement_cache",
            (0..=10_000, ""),
            100,
            "how many prepared statements each connection keeps",
        ),
        word(
            "reset",
            &RESET,
            "none",
            "whether what a job left in its session is undone before the next \
             ([adbapi.md](adbapi.md))",
        ),
        word(
            "error_details",
            &ERROR_DETAILS,
            "none",
            "what callers get of PostgreSQL's report of an error, besides `sqlstate`, `severity`, \
             message and hint: `names` adds `constraint`, `table` and `column`, `all` also \
             `detail`, which may quote what is stored; `debug` also what is about the inside of a \
             procedure, for development ([errors.md](errors.md))",
        ),
        flag(
            "keepalives",
            true,
            "probe the other end of a TCP connection that is silent",
        ),
        // The system's own defaults are two hours of silence and a quarter of an hour of
        // unacknowledged data.
        time(
            "keepalives_idle",
            PROBE_TIMES,
            30,
            "after which silence; whole seconds; 0 leaves it to the system",
        ),
        time(
            "keepalives_interval",
            PROBE_TIMES,
            10,
            "between two probes; whole seconds; 0 leaves it to the system",
        ),
        // Up to the system's most.
        integer(
            "keepalives_count",
            (0..=127, ""),
            3,
            "how many probes without an answer end the connection; 0 leaves it to the system",
        ),
        time(
            "tcp_user_timeout",
            Times::between(1000, DAY).elsewhere_millis(),
            30,
            "how long the other end may leave data unacknowledged; 0 leaves it to the system",
        ),
        instead(
            "cp_openfun",
            "it is a function, which the component's class sets",
        ),
        instead("dbname", "write `database`"),
        instead("username", "write `user`"),
        instead("hostname", "write `host`"),
        instead("ssl", "write `sslmode`"),
        instead("fallback_application_name", "write `application_name`"),
        instead("requiressl", "write `sslmode`"),
        inert("client_encoding", "", "sessions speak UTF-8"),
        inert("sslcompression", "", "TLS never compresses here"),
        inert("sslpassword", "", "an `sslkey` must not be encrypted"),
        inert("krbsrvname", "", NO_GSSAPI),
        inert("gsslib", "", NO_GSSAPI),
        inert("gssdelegation", "", NO_GSSAPI),
        instead("gssencmode", "there is no GSSAPI here: remove it"),
        instead("replication", "sessions are for SQL: remove it"),
        instead("sslcrl", NO_CRL),
        instead("sslcrldir", NO_CRL),
        instead(
            "requirepeer",
            "who serves a Unix socket is not asked: let only that user write to its directory",
        ),
        instead("schema", "write `search_path`"),
        instead(
            "close_grace",
            "what runs when the node stops has the time that the node gives its calls",
        ),
    ],
};
