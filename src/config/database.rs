//! Owns a component's `extra.database`: what is written there, what the environment fills in, and the defaults. Knows
//! nothing of how the database is reached.

mod given;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::given::{Given, Sources};
use super::check::Context;
use super::duration::{Times, time};
use super::json::Json;
use super::keys;
use super::listener::PORT;
use super::model::{
    Database, Keepalives, Secret, Server, SslMode, SslRootCert, TargetSessionAttrs,
};
use super::reader::{Cursor, Object};

/// PostgreSQL's, as libpq has it.
const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 5432;
const DEFAULT_USER: &str = "postgres";
const DEFAULT_APPLICATION: &str = "wampgres";
/// adbapi's, but for `cp_max` (there 5).
const DEFAULT_CP_MIN: u32 = 3;
const DEFAULT_CP_MAX: u32 = 10;
const DEFAULT_GOOD_SQL: &str = "SELECT 1";
const DEFAULT_QUEUE_LIMIT: usize = 1024;
const DEFAULT_STATEMENT_CACHE: usize = 100;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How long the other end may leave data unacknowledged, or be silent before it is probed. The system's own defaults
/// are a quarter of an hour and two hours.
const DEFAULT_PEER_SILENT: Duration = Duration::from_secs(30);
const DEFAULT_PROBE_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_PROBES: u32 = 3;

/// Each connection is a server process and, here, a thread; more than these are a mistake.
const CP_MIN: RangeInclusive<u64> = 0..=1000;
const CP_MAX: RangeInclusive<u64> = 1..=1000;
const QUEUE_LIMIT: RangeInclusive<u64> = 1..=1_000_000;
const STATEMENTS: RangeInclusive<u64> = 0..=10_000;
const SLOW_MILLIS: RangeInclusive<u64> = 0..=86_400_000;
/// The system's most.
const PROBES: RangeInclusive<u64> = 1..=127;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CONNECT_TIMES: Times =
    Times::between(Duration::from_millis(100), Duration::from_secs(10 * 60));
const QUEUE_TIMES: Times = Times::between(Duration::from_millis(1), DAY).or_zero();
const STATEMENT_TIMES: Times = Times::between(Duration::from_millis(1), DAY)
    .or_zero()
    .elsewhere_millis();
const CONNECTION_TIMES: Times =
    Times::between(SECOND, Duration::from_secs(30 * 24 * 60 * 60)).or_zero();
const PROBE_TIMES: Times = Times::between(SECOND, HOUR);
const USER_TIMES: Times = Times::between(SECOND, HOUR).or_zero().elsewhere_millis();

/// Checks a database that is written down, and fills in what is not. `None` when it has a fault.
pub(super) fn written(item: &Cursor<'_>, context: &Context<'_>) -> Option<Database> {
    let before = item.report().faults();
    let database = read(&item.object(&keys::DATABASE)?, context);
    (item.report().faults() == before).then_some(database)
}

/// The database of a component that has one but does not say which.
pub(super) fn from_environment(component: &Cursor<'_>, context: &Context<'_>) -> Option<Database> {
    let before = component.report().faults();
    let database = read(&component.with_nothing(&keys::DATABASE), context);
    (component.report().faults() == before).then_some(database)
}

/// What comes back counts only if no fault was reported.
fn read(object: &Object<'_>, context: &Context<'_>) -> Database {
    let sources = Sources::new(object, context);
    let user = string(sources.find("user"))
        .or_else(|| sources.variable("USER"))
        .unwrap_or_else(|| DEFAULT_USER.to_owned());
    let (sslmode, sslrootcert) = tls(&sources, context.base_dir);
    let (cp_min, cp_max) = connections(object);
    Database {
        servers: servers(&sources),
        database: string(sources.find("database")).unwrap_or_else(|| user.clone()),
        user,
        password: sources.find("password").map(password),
        sslmode,
        sslrootcert,
        target_session_attrs: target_session_attrs(&sources),
        application_name: string(sources.find("application_name"))
            .unwrap_or_else(|| DEFAULT_APPLICATION.to_owned()),
        options: options(&sources),
        keepalives: keepalives(&sources),
        tcp_user_timeout: limit(found_time(
            &sources,
            "tcp_user_timeout",
            &USER_TIMES,
            DEFAULT_PEER_SILENT,
        )),
        cp_min,
        cp_max,
        cp_noisy: object.boolean("cp_noisy", false),
        cp_reconnect: object.boolean("cp_reconnect", true),
        cp_good_sql: written_text(object, "cp_good_sql")
            .unwrap_or_else(|| DEFAULT_GOOD_SQL.to_owned()),
        cp_name: written_text(object, "cp_name"),
        queue_limit: object.integer("queue_limit", &QUEUE_LIMIT, DEFAULT_QUEUE_LIMIT),
        queue_timeout: written_limit(object, "queue_timeout", &QUEUE_TIMES, None),
        connect_timeout: found_time(
            &sources,
            "connect_timeout",
            &CONNECT_TIMES,
            DEFAULT_CONNECT_TIMEOUT,
        ),
        statement_timeout: written_limit(object, "statement_timeout", &STATEMENT_TIMES, None),
        idle_timeout: written_limit(
            object,
            "idle_timeout",
            &CONNECTION_TIMES,
            Some(DEFAULT_IDLE_TIMEOUT),
        ),
        max_lifetime: written_limit(
            object,
            "max_lifetime",
            &CONNECTION_TIMES,
            Some(DEFAULT_MAX_LIFETIME),
        ),
        slow_query: (object.member("slow_query_ms"))
            .and_then(|member| member.integer_in(&SLOW_MILLIS))
            .map(Duration::from_millis),
        statement_cache: object.integer("statement_cache", &STATEMENTS, DEFAULT_STATEMENT_CACHE),
    }
}

/// A text that goes to PostgreSQL, whose protocol ends texts with a NUL.
fn without_nul(given: &Given<'_>) -> Option<String> {
    let text = given.text()?;
    if text.contains('\0') {
        given.fault("must not hold a NUL");
    }
    Some(text.to_owned())
}

fn string(given: Option<Given<'_>>) -> Option<String> {
    given.as_ref().and_then(without_nul)
}

fn written_text(object: &Object<'_>, key: &str) -> Option<String> {
    string(object.member(key).map(Given::Written))
}

fn written_limit(
    object: &Object<'_>,
    key: &str,
    times: &Times,
    default: Option<Duration>,
) -> Option<Duration> {
    match object.member(key) {
        Some(member) => time(&member, times).and_then(limit),
        None => default,
    }
}

fn found_time(
    sources: &Sources<'_>,
    key: &'static str,
    times: &Times,
    default: Duration,
) -> Duration {
    let given = sources.find(key);
    given.and_then(|given| given.time(times)).unwrap_or(default)
}

/// 0 sets no limit.
fn limit(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

fn password(given: Given<'_>) -> Secret {
    Secret::new(match &given {
        // It may be empty, to keep PGPASSWORD out.
        Given::Written(member) => member.string().unwrap_or_default(),
        given => given.text().unwrap_or_default(),
    })
}

/// One server, or several in the order in which to try them, in libpq's notation (PostgreSQL's manual, 34.1.1.3).
fn servers(sources: &Sources<'_>) -> Vec<Server> {
    let hosts = string(sources.find("host")).unwrap_or_default();
    let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
    let ports = match sources.find("port") {
        Some(given) => ports(&given, hosts.len()),
        None => vec![DEFAULT_PORT],
    };
    let server = |(host, port): (&str, u16)| Server {
        host: match host {
            "" => DEFAULT_HOST,
            host => host,
        }
        .to_owned(),
        port,
    };
    match ports[..] {
        [port] => hosts.into_iter().map(|host| server((host, port))).collect(),
        _ => hosts.into_iter().zip(ports).map(server).collect(),
    }
}

/// One port for all hosts, or one for each.
fn ports(given: &Given<'_>, hosts: usize) -> Vec<u16> {
    let in_range = |port: &u64| (1..=*PORT.end()).contains(port);
    let ports: Option<Vec<u64>> = match given {
        Given::Written(member) if !matches!(member.value(), Json::String(_)) => {
            match member.value() {
                Json::Number(number) => number.as_u64().filter(in_range).map(|port| vec![port]),
                _ => None,
            }
        }
        given => given.text().and_then(|text| {
            text.split(',')
                .map(|port| match port.trim() {
                    "" => Some(u64::from(DEFAULT_PORT)),
                    port => port.parse().ok().filter(in_range),
                })
                .collect()
        }),
    };
    let Some(ports) = ports else {
        given.fault(format!(
            "must be an integer from 1 to {}, or one for each host as in \"5432,5433\"",
            PORT.end()
        ));
        return vec![DEFAULT_PORT];
    };
    if ports.len() != 1 && ports.len() != hosts {
        given.fault(format!(
            "must be one port for all hosts or one for each: there are {} ports for {hosts} {}",
            ports.len(),
            if hosts == 1 { "host" } else { "hosts" }
        ));
    }
    let narrow = |port| u16::try_from(port).expect("ports were compared with their range");
    ports.into_iter().map(narrow).collect()
}

/// As libpq has it (PostgreSQL's manual, 34.19), but that nothing is looked for in the user's home.
fn tls(sources: &Sources<'_>, base_dir: &Path) -> (SslMode, Option<SslRootCert>) {
    let given_mode = sources.find("sslmode");
    let given_cert = sources.find("sslrootcert");
    let cert = (given_cert.as_ref()).and_then(|given| root_cert(given, base_dir));
    let Some(given_mode) = given_mode else {
        let mode = match cert {
            Some(SslRootCert::System) => SslMode::VerifyFull,
            _ => SslMode::Prefer,
        };
        return (mode, cert);
    };
    let mode = match given_mode.one_of(&keys::SSL_MODES) {
        Some("disable") => SslMode::Disable,
        Some("allow") => SslMode::Allow,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(_) => SslMode::Prefer,
        None => return (SslMode::default(), cert),
    };
    match (mode, &given_cert) {
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => given_mode.fault(
            "must have an `sslrootcert` beside it: a PEM file, or with `verify-full` also `system`",
        ),
        (SslMode::Disable, Some(Given::Written(member))) => {
            member.note("has no effect: with this `sslmode` there is no TLS");
        }
        _ => {}
    }
    if mode != SslMode::VerifyFull && cert == Some(SslRootCert::System) {
        given_mode.fault(
            "must be `verify-full` where `sslrootcert` is `system`, which vouches for every host there is",
        );
    }
    (mode, cert)
}

fn root_cert(given: &Given<'_>, base_dir: &Path) -> Option<SslRootCert> {
    let written = given.text()?;
    if written == "system" {
        return Some(SslRootCert::System);
    }
    let file = match given {
        Given::Written(_) => base_dir.join(written),
        // A variable is set for whatever runs in the directory it is set in.
        Given::Environment { .. } => {
            std::path::absolute(written).unwrap_or_else(|_| PathBuf::from(written))
        }
    };
    if file.is_file() {
        return Some(SslRootCert::File(file));
    }
    match given {
        Given::Written(member) => member.fault(format!(
            "there is no file {}; relative ones are relative to the config file",
            file.display()
        )),
        given => given.fault("must be `system` or a file that exists"),
    }
    None
}

fn target_session_attrs(sources: &Sources<'_>) -> TargetSessionAttrs {
    let given = sources.find("target_session_attrs");
    match given.and_then(|given| given.one_of(&keys::SESSION_ATTRIBUTES)) {
        Some("read-write") => TargetSessionAttrs::ReadWrite,
        Some("read-only") => TargetSessionAttrs::ReadOnly,
        _ => TargetSessionAttrs::Any,
    }
}

/// The `options`, and behind them, where it has the last word, the `search_path`.
fn options(sources: &Sources<'_>) -> Option<String> {
    let path = written_text(sources.object, "search_path");
    let path = path.map(|path| format!("-c search_path={}", one_argument(&path)));
    let all: Vec<String> = string(sources.find("options"))
        .into_iter()
        .chain(path)
        .collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// PostgreSQL splits options at blanks and takes what follows a backslash as it is (its manual, 34.1.2, `options`).
fn one_argument(text: &str) -> String {
    let mut argument = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' || c == '\u{b}' || c.is_ascii_whitespace() {
            argument.push('\\');
        }
        argument.push(c);
    }
    argument
}

fn keepalives(sources: &Sources<'_>) -> Option<Keepalives> {
    let on = sources.find("keepalives").and_then(|given| given.flag());
    let count = sources.find("keepalives_count");
    let count = count.and_then(|given| given.integer_in(&PROBES));
    let time = |key, default| found_time(sources, key, &PROBE_TIMES, default);
    let keepalives = Keepalives {
        idle: time("keepalives_idle", DEFAULT_PEER_SILENT),
        interval: time("keepalives_interval", DEFAULT_PROBE_INTERVAL),
        count: count.map_or(DEFAULT_PROBES, |count| {
            u32::try_from(count).expect("the count was compared with its range")
        }),
    };
    on.unwrap_or(true).then_some(keepalives)
}

fn connections(object: &Object<'_>) -> (u32, u32) {
    let min = object.member("cp_min");
    let max = object.member("cp_max");
    let range = |member: &Option<Cursor<'_>>, range, default| match member {
        Some(member) => member.integer_in::<u32>(range),
        None => Some(default),
    };
    let (Some(least), Some(most)) = (
        range(&min, &CP_MIN, DEFAULT_CP_MIN),
        range(&max, &CP_MAX, DEFAULT_CP_MAX),
    ) else {
        return (DEFAULT_CP_MIN, DEFAULT_CP_MAX);
    };
    match (&min, &max) {
        (Some(min), _) if least > most => {
            min.fault(format!("must be at most cp_max, which is {most}"))
        }
        // Only cp_max is written and lower than the default of cp_min: the limit counts.
        (None, Some(_)) => return (least.min(most), most),
        _ => {}
    }
    (least, most)
}
