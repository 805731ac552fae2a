//! Owns a component's `extra.database`: what is written there, what the environment fills in, and the defaults. Knows
//! nothing of how the database is reached.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::check::Context;
use super::keys;
use super::listener::PORT;
use super::model::{Database, Secret};
use super::reader::{Cursor, Object};
use super::url::PostgresUrl;

/// PostgreSQL's, as libpq has it.
const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 5432;
const DEFAULT_USER: &str = "postgres";
/// adbapi's, but for `cp_max` (there 5).
const DEFAULT_CP_MIN: u32 = 3;
const DEFAULT_CP_MAX: u32 = 10;
const DEFAULT_GOOD_SQL: &str = "SELECT 1";
const DEFAULT_QUEUE_LIMIT: usize = 1024;
const DEFAULT_CONNECT_TIMEOUT: u64 = 5;
const DEFAULT_STATEMENT_CACHE: usize = 100;

/// Each connection is a server process and, here, a thread; more than these are a mistake.
const CP_MIN: RangeInclusive<u64> = 0..=1000;
const CP_MAX: RangeInclusive<u64> = 1..=1000;
const QUEUE_LIMIT: RangeInclusive<u64> = 1..=1_000_000;
const CONNECT_SECONDS: RangeInclusive<u64> = 1..=600;
const STATEMENTS: RangeInclusive<u64> = 0..=10_000;

/// Checks a database that is written down, and fills in what is not. `None` when it has a fault.
pub(super) fn written(item: &Cursor<'_>, context: &Context<'_>) -> Option<Database> {
    let before = item.report().faults();
    let object = item.object(&keys::DATABASE)?;
    let written = Address {
        host: text(&object, "host"),
        port: object.member("port").map(|member| {
            member
                .integer_in(&(1..=*PORT.end()))
                .unwrap_or(DEFAULT_PORT)
        }),
        database: text(&object, "database"),
        user: text(&object, "user"),
        password: object
            .member("password")
            .map(|member| Secret::new(member.string().unwrap_or_default())),
    };
    let address = written.filled_in(item, context);
    let (cp_min, cp_max) = connections(&object);
    let seconds = object.integer("connect_timeout", &CONNECT_SECONDS, DEFAULT_CONNECT_TIMEOUT);
    let database = Database {
        cp_min,
        cp_max,
        cp_noisy: object.boolean("cp_noisy", false),
        cp_reconnect: object.boolean("cp_reconnect", true),
        cp_good_sql: text(&object, "cp_good_sql").unwrap_or_else(|| DEFAULT_GOOD_SQL.to_owned()),
        cp_name: text(&object, "cp_name"),
        queue_limit: object.integer("queue_limit", &QUEUE_LIMIT, DEFAULT_QUEUE_LIMIT),
        connect_timeout: Duration::from_secs(seconds),
        statement_cache: object.integer("statement_cache", &STATEMENTS, DEFAULT_STATEMENT_CACHE),
        ..address
    };
    (item.report().faults() == before).then_some(database)
}

/// The database of a component that has one but does not say which.
pub(super) fn from_environment(component: &Cursor<'_>, context: &Context<'_>) -> Option<Database> {
    let before = component.report().faults();
    let database = Address::default().filled_in(component, context);
    (component.report().faults() == before).then_some(database)
}

fn text(object: &Object<'_>, key: &str) -> Option<String> {
    object
        .member(key)
        .map(|member| member.text().unwrap_or_default().to_owned())
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

/// What the environment can fill in.
#[derive(Default)]
struct Address {
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
}

impl Address {
    /// What is not written comes from libpq's variables (PostgreSQL's manual, 34.15), then from `DATABASE_URL`, then
    /// from the defaults.
    fn filled_in(self, item: &Cursor<'_>, context: &Context<'_>) -> Database {
        let variable =
            |name: &str| (context.options.environment)(name).filter(|value| !value.is_empty());
        let port = self.port.or_else(|| {
            let value = variable("PGPORT")?;
            let port = value.parse().ok().filter(|port| *port > 0);
            if port.is_none() {
                item.fault_unseen(
                    "the environment's PGPORT fills in `port`, but is not a number from 1 to 65535",
                );
            }
            port
        });
        let some = Address {
            host: self.host.or_else(|| variable("PGHOST")),
            port,
            database: self.database.or_else(|| variable("PGDATABASE")),
            user: self.user.or_else(|| variable("PGUSER")),
            password: self
                .password
                .or_else(|| variable("PGPASSWORD").map(Secret::new)),
        };
        let url = if some.is_whole() {
            None
        } else {
            variable("DATABASE_URL")
        };
        let url = match url.as_deref().map(PostgresUrl::parse) {
            None => PostgresUrl::default(),
            Some(Ok(url)) => url,
            Some(Err(problem)) => {
                item.fault_unseen(format!(
                    "the environment's DATABASE_URL fills in what is not written, but is malformed: {problem}"
                ));
                PostgresUrl::default()
            }
        };
        let user = some
            .user
            .or(url.user)
            .or_else(|| variable("USER"))
            .unwrap_or_else(|| DEFAULT_USER.to_owned());
        Database {
            host: some
                .host
                .or(url.host)
                .unwrap_or_else(|| DEFAULT_HOST.to_owned()),
            port: some.port.or(url.port).unwrap_or(DEFAULT_PORT),
            database: some
                .database
                .or(url.database)
                .unwrap_or_else(|| user.clone()),
            user,
            password: some.password.or(url.password),
            cp_min: DEFAULT_CP_MIN,
            cp_max: DEFAULT_CP_MAX,
            cp_noisy: false,
            cp_reconnect: true,
            cp_good_sql: DEFAULT_GOOD_SQL.to_owned(),
            cp_name: None,
            queue_limit: DEFAULT_QUEUE_LIMIT,
            connect_timeout: Duration::from_secs(DEFAULT_CONNECT_TIMEOUT),
            statement_cache: DEFAULT_STATEMENT_CACHE,
        }
    }

    fn is_whole(&self) -> bool {
        self.host.is_some()
            && self.port.is_some()
            && self.database.is_some()
            && self.user.is_some()
            && self.password.is_some()
    }
}
