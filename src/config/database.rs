//! Owns a component's `extra.database`: what is written there, what the environment fills in, and
//! the defaults. Knows nothing of how the database is reached.

mod parameter_value;
mod servers;
mod service;
mod sources;
mod tls;
mod user;

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

#[cfg(test)]
pub(super) use self::user::socket_directory;
use self::{
    parameter_value::ParameterValue,
    servers::{is_unix_socket, servers},
    sources::Sources,
    tls::tls,
};
use super::{
    check::Context,
    duration::{Times, time},
    keys,
    model::{ChannelBinding, Database, Keepalives, Reset, Secret, SslMode, TargetSessionAttrs},
    reader::{Cursor, Object},
};

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
/// How long the other end may leave data unacknowledged, or be silent before it is probed. The
/// system's own defaults are a quarter of an hour and two hours.
const DEFAULT_PEER_SILENT: Duration = Duration::from_secs(30);
const DEFAULT_PROBE_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_PROBES: u32 = 3;

/// Each connection is a server process and, here, a thread; more than these are a mistake.
const CP_MIN: RangeInclusive<u64> = 0..=1000;
const CP_MAX: RangeInclusive<u64> = 1..=1000;
const QUEUE_LIMIT: RangeInclusive<u64> = 1..=1_000_000;
const STATEMENTS: RangeInclusive<u64> = 0..=10_000;
const SLOW_MILLIS: RangeInclusive<u64> = 0..=86_400_000;
/// The system's most; 0 leaves it to the system, as does a time of 0.
const PROBES: RangeInclusive<u64> = 0..=127;

const SECOND: Duration = Duration::from_secs(1);
/// As many seconds as a socket takes.
const PROBE_MOST: Duration = Duration::from_secs(i16::MAX as u64);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CONNECT_TIMES: Times = Times::between(Duration::from_millis(100), DAY).or_zero();
const QUEUE_TIMES: Times = Times::between(Duration::from_millis(1), DAY).or_zero();
const STATEMENT_TIMES: Times = Times::between(Duration::from_millis(1), DAY)
    .or_zero()
    .elsewhere_millis();
const CONNECTION_TIMES: Times =
    Times::between(SECOND, Duration::from_secs(30 * 24 * 60 * 60)).or_zero();
const PROBE_TIMES: Times = Times::between(SECOND, PROBE_MOST).or_zero();
const USER_TIMES: Times = Times::between(SECOND, DAY).or_zero().elsewhere_millis();

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
    let user = user(&sources);
    let servers = servers(&sources);
    let tls = tls(&sources, context.base_dir);
    let has_unix_socket = servers.iter().any(is_unix_socket);
    let has_tls = tls.sslmode != SslMode::Disable && !servers.iter().all(is_unix_socket);
    let channel_binding = channel_binding(&sources, tls.sslmode, has_unix_socket);
    sources.judge_the_rest(has_tls, has_unix_socket);
    let (cp_min, cp_max) = connections(object);
    Database {
        servers,
        database: name(sources.find("database")).unwrap_or_else(|| user.clone()),
        user,
        password: sources.find("password").map(password),
        passfile: passfile(&sources, context),
        channel_binding,
        sslmode: tls.sslmode,
        sslrootcert: tls.sslrootcert,
        client_certificate: tls.client_certificate,
        direct_tls: tls.direct,
        sslsni: sources
            .find("sslsni")
            .and_then(|given| given.flag())
            .unwrap_or(true),
        tls_versions: tls.versions,
        load_balance_hosts: (sources.find("load_balance_hosts"))
            .and_then(|given| given.one_of(&keys::LOAD_BALANCE))
            == Some("random"),
        target_session_attrs: target_session_attrs(&sources),
        application_name: string(sources.find("application_name"))
            .or_else(|| string(sources.find("fallback_application_name")))
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
        connect_timeout: limit(found_time(
            &sources,
            "connect_timeout",
            &CONNECT_TIMES,
            DEFAULT_CONNECT_TIMEOUT,
        )),
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
        reset: match (object.member("reset")).and_then(|member| member.one_of(&keys::RESET)) {
            Some("discard") => Reset::Discard,
            _ => Reset::None,
        },
    }
}

/// As libpq has it: who runs the program, by the system's word.
fn user(sources: &Sources<'_>) -> String {
    let given = string(sources.find("user"));
    given.or_else(user::name).unwrap_or_else(|| {
        let place = &sources.object.at;
        place.fault_unseen("has no `user`, and the system has no name for who runs the program");
        String::new()
    })
}

/// The file in which libpq looks for passwords (PostgreSQL's manual, 34.16).
fn passfile(sources: &Sources<'_>, context: &Context<'_>) -> Option<PathBuf> {
    match sources.find("passfile") {
        Some(given) => given.file(context.base_dir),
        None => user::home(&|name| sources.variable(name)).map(|home| home.join(".pgpass")),
    }
}

/// Whether passwords are bound to the channel, and what else says that they must be.
fn channel_binding(sources: &Sources<'_>, mode: SslMode, has_unix_socket: bool) -> ChannelBinding {
    let given = sources.find("channel_binding");
    let word = (given.as_ref()).and_then(|given| given.one_of(&keys::CHANNEL_BINDING));
    let binding = match word {
        Some("disable") => ChannelBinding::Disable,
        Some("require") => ChannelBinding::Require,
        _ => ChannelBinding::Prefer,
    };
    if let (ChannelBinding::Require, Some(given)) = (binding, &given) {
        if mode == SslMode::Disable {
            given.fault("cannot be `require` where `sslmode` is `disable`: only TLS has a channel to bind to");
        } else if has_unix_socket {
            given.fault("cannot be `require` on a Unix socket: only TLS has a channel to bind to");
        }
    }
    if let Some(given) = sources.find("require_auth")
        && given.one_of(&keys::REQUIRE_AUTH).is_some()
        && binding != ChannelBinding::Require
    {
        given.fault("must have `channel_binding` `require` beside it, which makes sure of it");
    }
    binding
}

/// A text that goes to PostgreSQL, whose protocol ends texts with a NUL.
fn without_nul(given: &ParameterValue<'_>) -> Option<String> {
    let text = given.text()?;
    if text.contains('\0') {
        given.fault("must not hold a NUL");
    }
    Some(text.to_owned())
}

fn string(given: Option<ParameterValue<'_>>) -> Option<String> {
    given.as_ref().and_then(without_nul)
}

/// The name of a thing, which is shown in logs and summaries. A connection string in its place
/// would be shown with its password, and is no name anyway.
fn name(given: Option<ParameterValue<'_>>) -> Option<String> {
    let given = given?;
    let name = without_nul(&given)?;
    // An `@` may begin the name of a socket.
    if name.contains("://") || name.contains('=') || name.rfind('@').is_some_and(|at| at > 0) {
        given.fault(
            "must be a name and not a connection string: say each of its parts by a key of its own",
        );
    }
    Some(name)
}

fn written_text(object: &Object<'_>, key: &str) -> Option<String> {
    string(object.member(key).map(ParameterValue::Written))
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

fn password(given: ParameterValue<'_>) -> Secret {
    Secret::new(match &given {
        // It may be empty, to keep PGPASSWORD out.
        ParameterValue::Written(member) => member.string().unwrap_or_default(),
        given => given.text().unwrap_or_default(),
    })
}

fn target_session_attrs(sources: &Sources<'_>) -> TargetSessionAttrs {
    let given = sources.find("target_session_attrs");
    match given.and_then(|given| given.one_of(&keys::SESSION_ATTRIBUTES)) {
        Some("read-write") => TargetSessionAttrs::ReadWrite,
        Some("read-only") => TargetSessionAttrs::ReadOnly,
        Some("primary") => TargetSessionAttrs::Primary,
        Some("standby") => TargetSessionAttrs::Standby,
        Some("prefer-standby") => TargetSessionAttrs::PreferStandby,
        _ => TargetSessionAttrs::Any,
    }
}

/// The `options`, and behind them, where they have the last word, the settings of variables and the
/// `search_path`.
fn options(sources: &Sources<'_>) -> Option<String> {
    let path = written_text(sources.object, "search_path").map(|path| ("search_path", path));
    let settings = (sources.session_settings().chain(path))
        .map(|(name, value)| format!("-c {name}={}", one_argument(&value)));
    let all: Vec<String> = string(sources.find("options"))
        .into_iter()
        .chain(settings)
        .collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// PostgreSQL splits options at blanks and takes what follows a backslash as it is (its manual,
/// 34.1.2, `options`).
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
