//! Owns one database: what is written of it, what the environment fills in, and the defaults. Knows
//! nothing of how the database is reached, nor of who uses it.

mod parameter_value;
mod servers;
mod service;
mod sources;
mod tls;
mod user;

use std::{path::PathBuf, time::Duration};

#[cfg(test)]
pub(super) use self::user::socket_directory;
use self::{
    parameter_value::{Origin, ParameterValue},
    servers::{is_unix_socket, servers},
    sources::Sources,
    tls::tls,
};
use super::{
    context::Context,
    keys,
    model::{
        Backend, ChannelBinding, Database, ErrorDetails, Keepalives, Reset, Secret, SslMode,
        TargetSessionAttrs,
    },
    object::Object,
    reader::Cursor,
    words::unless_secret,
};

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

/// Reads what is written and fills in what is not. The result counts only if no fault was reported.
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
        json_path: object.at.path().to_owned(),
        name: None,
        backend: backend(object),
        servers,
        database: sources
            .find("database")
            .and_then(|given| given.name())
            .unwrap_or_else(|| user.clone()),
        user,
        password: sources.find("password").map(password),
        passfile: passfile(&sources, context),
        channel_binding,
        sslmode: tls.sslmode,
        sslrootcert: tls.sslrootcert,
        client_certificate: tls.client_certificate,
        direct_tls: tls.direct,
        sslsni: sources.flag("sslsni"),
        tls_versions: tls.versions,
        load_balance_hosts: sources.word("load_balance_hosts") == Some("random"),
        target_session_attrs: target_session_attrs(&sources),
        application_name: application_name(&sources),
        options: options(&sources),
        keepalives: keepalives(&sources),
        tcp_user_timeout: limit(sources.time("tcp_user_timeout")),
        cp_min,
        cp_max,
        cp_noisy: object.boolean("cp_noisy"),
        cp_reconnect: object.boolean("cp_reconnect"),
        cp_good_sql: written_text(&sources, "cp_good_sql").unwrap_or_default(),
        cp_name: written_text(&sources, "cp_name"),
        queue_limit: object.integer("queue_limit"),
        queue_timeout: object.time("queue_timeout"),
        connect_timeout: limit(sources.time("connect_timeout")),
        statement_timeout: object.time("statement_timeout"),
        idle_timeout: object.time("idle_timeout"),
        max_lifetime: object.time("max_lifetime"),
        schema_file: schema_file(object, context),
        slow_query: object
            .optional_integer("slow_query_ms")
            .map(Duration::from_millis),
        statement_cache: object.integer("statement_cache"),
        reset: match object.word("reset") {
            Some("discard") => Reset::Discard,
            _ => Reset::None,
        },
        error_details: error_details(object),
    }
}

fn error_details(object: &Object<'_>) -> ErrorDetails {
    match object.word("error_details") {
        Some("debug") => ErrorDetails::Debug,
        Some("all") => ErrorDetails::All,
        Some("names") => ErrorDetails::Names,
        _ => ErrorDetails::None,
    }
}

/// A file that has to be there.
fn schema_file(object: &Object<'_>, context: &Context<'_>) -> Option<PathBuf> {
    let member = object.member("schema_file")?;
    let file = context.base_dir.join(member.text()?);
    if !file.is_file() {
        let file = unless_secret(file.display().to_string());
        member.fault(format!(
            "there is no file {file}; relative ones are relative to the config file"
        ));
    }
    Some(file)
}

/// The one that is written, which this program must have.
fn backend(object: &Object<'_>) -> Backend {
    let word = object.word("backend").map(str::parse);
    match (word, object.member("backend")) {
        (Some(Err(fault)), Some(member)) => {
            member.fault(fault);
            Backend::default()
        }
        (word, _) => word.and_then(Result::ok).unwrap_or_default(),
    }
}

/// As in libpq, the user who runs the program if no other is named.
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

/// Whether passwords are bound to the channel. `require_auth` demands it as well.
fn channel_binding(sources: &Sources<'_>, mode: SslMode, has_unix_socket: bool) -> ChannelBinding {
    let given = sources.find("channel_binding");
    let binding = match sources.word("channel_binding") {
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
        && given.one_of().is_some()
        && binding != ChannelBinding::Require
    {
        given.fault("must have `channel_binding` `require` beside it, which makes sure of it");
    }
    binding
}

fn string(given: Option<ParameterValue<'_>>) -> Option<String> {
    given.and_then(|given| given.without_nul())
}

/// What PostgreSQL calls the sessions. libpq has a second name for when there is no first.
fn application_name(sources: &Sources<'_>) -> String {
    string(sources.find("application_name"))
        .or_else(|| string(sources.find("fallback_application_name")))
        .or_else(|| sources.default_text("application_name"))
        .unwrap_or_default()
}

/// A text that only the document has, or its default.
fn written_text(sources: &Sources<'_>, key: &'static str) -> Option<String> {
    match sources.written(key) {
        Some(value) => value.without_nul(),
        None => sources.default_text(key),
    }
}

/// 0 sets no limit.
fn limit(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

fn password(given: ParameterValue<'_>) -> Secret {
    Secret::new(match &given.origin {
        // It may be empty, to keep PGPASSWORD out.
        Origin::Written(member) => member.string().unwrap_or_default(),
        Origin::Elsewhere { value, .. } => value,
    })
}

fn target_session_attrs(sources: &Sources<'_>) -> TargetSessionAttrs {
    match sources.word("target_session_attrs") {
        Some("read-write") => TargetSessionAttrs::ReadWrite,
        Some("read-only") => TargetSessionAttrs::ReadOnly,
        Some("primary") => TargetSessionAttrs::Primary,
        Some("standby") => TargetSessionAttrs::Standby,
        Some("prefer-standby") => TargetSessionAttrs::PreferStandby,
        _ => TargetSessionAttrs::Any,
    }
}

/// The `options`, followed by the settings of variables and the `search_path`, which override them.
fn options(sources: &Sources<'_>) -> Option<String> {
    let path = written_text(sources, "search_path").map(|path| ("search_path", path));
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
    let keepalives = Keepalives {
        idle: sources.time("keepalives_idle"),
        interval: sources.time("keepalives_interval"),
        count: u32::try_from(sources.integer("keepalives_count"))
            .expect("the count was compared with its range"),
    };
    sources.flag("keepalives").then_some(keepalives)
}

fn connections(object: &Object<'_>) -> (u32, u32) {
    let before = object.at.report().faults();
    let (least, most) = (object.integer("cp_min"), object.integer("cp_max"));
    let are_sound = object.at.report().faults() == before;
    match object.member("cp_min") {
        Some(min) if are_sound && least > most => {
            min.fault(format!("must be at most cp_max, which is {most}"));
            (least, most)
        }
        Some(_) => (least, most),
        // The default of cp_min is lowered to a cp_max that is written.
        None => (most.min(least), most),
    }
}
