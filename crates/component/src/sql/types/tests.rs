//! Owns the tests of types: against a real PostgreSQL as the judge, and without one.

// They open it by both backends.
#![cfg(all(feature = "adbapi", feature = "txpostgres"))]

mod documented;
mod extensions;
mod generated;
mod judge;
mod judged;
mod parameters;
mod written;

use std::{
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use pg_cluster::TemporaryCluster;
use serde::Serialize;
use sql::{Database, Job, Rows, Settings, Statement, Value};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// The database of all tests here, by each backend.
pub(in crate::sql) fn databases() -> impl Iterator<Item = Arc<dyn Database>> {
    static SERVER: OnceLock<(TemporaryCluster, [Arc<dyn Database>; 2])> = OnceLock::new();
    let (_, databases) = SERVER.get_or_init(|| {
        let cluster = TemporaryCluster::create("app", None).unwrap();
        cluster.start().unwrap();
        let databases = [by_adbapi(&cluster), by_txpostgres(&cluster)];
        for sql in SCHEMA {
            run(&*databases[0], sql, Vec::new());
        }
        (cluster, databases)
    });
    databases.iter().cloned()
}

fn by_adbapi(cluster: &TemporaryCluster) -> Arc<dyn Database> {
    let mut config = adbapi::postgres::Config::new();
    config.host_path(cluster.socket_directory());
    config.port(cluster.port()).user("app").dbname("postgres");
    let pool = adbapi::ConnectionPool::builder(config).cp_min(1).cp_max(4);
    let pool = pool.build().unwrap();
    pool.start().unwrap();
    Arc::new(pool)
}

/// On an I/O thread that runs as long as the test's process.
fn by_txpostgres(cluster: &TemporaryCluster) -> Arc<dyn Database> {
    let reactor = reactor::Reactor::<()>::new().unwrap();
    let mailbox = reactor.mailbox();
    thread::spawn(move || reactor.run().unwrap());
    let server = sql::Server {
        host: cluster.socket_directory().display().to_string(),
        address: None,
        port: cluster.port(),
    };
    let settings = sql::ConnectionSettings::new(server, "postgres", "app");
    let pool = txpostgres::ConnectionPool::builder(settings)
        .cp_min(1)
        .cp_max(4);
    let reactors = txpostgres::Reactors::new([mailbox], || ());
    Arc::new(pool.build(reactors).unwrap())
}

/// What users make themselves.
const SCHEMA: &[&str] = &[
    "CREATE TYPE mood AS ENUM ('sad', 'so, so', 'very \"happy\"')",
    "CREATE DOMAIN price AS numeric CHECK (VALUE >= 0)",
    "CREATE DOMAIN prices AS price[]",
    "CREATE TYPE goods AS (id int8, name text, price price, made timestamptz, mood mood)",
    "CREATE TYPE shelf AS (place point, goods goods[], best goods, label bytea, note json)",
    "CREATE TYPE floats AS RANGE (subtype = float8, subtype_diff = float8mi)",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION ltree",
    "CREATE EXTENSION citext",
    "CREATE DOMAIN address AS citext",
    "CREATE TYPE tagged AS (id int4, tags hstore)",
];

/// Runs a statement in UTC.
pub(in crate::sql) fn run(database: &dyn Database, sql: &str, params: Vec<Value<'static>>) -> Rows {
    try_run(database, sql, params).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn try_run(
    database: &dyn Database,
    sql: &str,
    params: Vec<Value<'static>>,
) -> Result<Rows, sql::Error> {
    let settings = Settings::new().set("TimeZone", "UTC");
    let job = Job::new(Statement::new(sql.to_owned(), params)).with(settings);
    let results = database.submit(job).wait_timeout(LIMIT);
    results
        .expect("a result comes")
        .map(|results| results.first)
}

fn described(database: &dyn Database, sql: &str) -> Result<sql::Description, sql::Error> {
    let description = database.describe(sql.to_owned().into());
    description.wait_timeout(LIMIT).expect("it comes")
}

fn json(value: impl Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_else(|error| panic!("{error}"))
}
