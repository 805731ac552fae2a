//! Runs blocking database work on a fixed set of worker threads and hands back Deferreds: for
//! PostgreSQL, or for any other r2d2 manager. Must not know WAMP, JSON nor the configuration.
//!
//! A Rust take on Twisted's `twisted.enterprise.adbapi`: code that must not block hands SQL to a
//! [`ConnectionPool`] and gets a [`Deferred`] at once; a worker thread runs the SQL and fires the
//! Deferred. Every job ends in exactly one result or error: through a panic, a killed backend, a
//! restarted server, a closed pool.
//!
//! # How to
//!
//! Make a pool. That needs no PostgreSQL yet: connections come with the first jobs, and come back
//! by themselves after PostgreSQL was away.
//!
//! ```no_run
//! use adbapi::{ConnectionPool, Error};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = "host=127.0.0.1 user=app dbname=shop".parse()?;
//! let pool = ConnectionPool::builder(config)
//!     .cp_min(3)
//!     .cp_max(10)
//!     .cp_openfun(|client| client.batch_execute("SET TIME ZONE 'UTC'"))
//!     .build()?;
//! # Ok(()) }
//! ```
//!
//! Ask one question: one round trip, a prepared statement that is kept. The callback runs on the
//! worker.
//!
//! ```no_run
//! # use adbapi::{ConnectionPool, Error, params};
//! # fn example(pool: &ConnectionPool) {
//! pool.run_query("SELECT name FROM goods WHERE price < $1", params![100_i32])
//!     .on_result(|rows| match rows {
//!         Ok(rows) => println!("{} bargains", rows.len()),
//!         Err(error) if error.is_retryable() => println!("try again: {error}"),
//!         Err(error) => println!("no: {error}"),
//!     });
//! # }
//! ```
//!
//! Have the rows as structs, by serde: each field from the column of its name. [`sql::Row::to`] says
//! which types fit, and [`Transaction::query_as`] does the same inside of an interaction.
//!
//! ```no_run
//! # use adbapi::{ConnectionPool, params};
//! #[derive(serde::Deserialize)]
//! struct Goods {
//!     id: i32,
//!     name: String,
//!     price: Option<f64>,
//! }
//!
//! # fn example(pool: &ConnectionPool) -> Result<(), adbapi::Error> {
//! let goods = pool.run_query_as::<Goods>("SELECT * FROM goods WHERE price < $1", params![100.0]);
//! for Goods { id, name, .. } in goods.wait()? {
//!     println!("{id}: {name}");
//! }
//! # Ok(()) }
//! ```
//!
//! Do several things as one: all of it is committed if the closure returns `Ok`, none of it
//! otherwise.
//!
//! ```no_run
//! # use adbapi::{ConnectionPool, Error, params};
//! # fn example(pool: &ConnectionPool) -> Result<(), Error> {
//! let left: i32 = pool
//!     .run_interaction(|txn| {
//!         txn.execute("UPDATE goods SET stock = stock - 1 WHERE id = $1 RETURNING stock", params![7_i32])?;
//!         let row = txn.fetch_one().ok_or_else(|| Error::custom("no such goods"))?;
//!         let left = row.try_get(0)?;
//!         txn.execute("INSERT INTO sales (goods) VALUES ($1)", params![7_i32])?;
//!         Ok(left)
//!     })
//!     .wait()?;
//! # Ok(()) }
//! ```
//!
//! Whatever else the `postgres` crate can do, such as COPY, goes through [`Connection::client`]:
//!
//! ```no_run
//! # use adbapi::{ConnectionPool, Error};
//! # fn example(pool: &ConnectionPool) -> Result<(), Error> {
//! let copied = pool.run_with_connection(|connection| {
//!     let mut copy = connection.client().copy_in("COPY goods (name) FROM STDIN")?;
//!     std::io::Write::write_all(&mut copy, b"anvil\nhammer\n").map_err(Error::custom)?;
//!     Ok(copy.finish()?)
//! });
//! assert_eq!(copied.wait()?, 2);
//! pool.close();
//! # Ok(()) }
//! ```
//!
//! Cancel a job, from any thread: its caller is answered at once, and PostgreSQL stops the
//! statement.
//!
//! ```no_run
//! # use adbapi::ConnectionPool;
//! # fn example(pool: &ConnectionPool) {
//! let report = pool.run_query("SELECT * FROM a_long_report", ());
//! let handle = report.cancel_handle();
//! report.on_result(|result| println!("{:?}", result.map(|rows| rows.len())));
//! handle.cancel();
//! # }
//! ```
//!
//! Say which certificates to trust, if somebody could read or change what is sent:
//!
//! ```no_run
//! # use adbapi::{ConnectionPool, Error, SslMode};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = "host=db.example user=app dbname=shop".parse()?;
//! let pool = ConnectionPool::builder(config)
//!     .sslmode(SslMode::VerifyFull)
//!     .sslrootcert("/etc/ssl/db-ca.pem")
//!     .build()?;
//! # Ok(()) }
//! ```
//!
//! # Other drivers, and an ORM
//!
//! Twisted's pool takes any DB-API module. This one takes any r2d2 manager ([`R2d2`]), and closures
//! get its own connection. Queue, workers, limits, checks, statistics and the close are the same.
//! `run_query`, `run_query_as` and `run_operation` are for PostgreSQL only.
//!
//! ```no_run
//! use adbapi::{ConnectionPool, Error, R2d2};
//! # use r2d2_postgres::PostgresConnectionManager;
//!
//! # fn example(manager: PostgresConnectionManager<postgres::NoTls>) -> Result<(), Error> {
//! let driver = R2d2::new(manager).transactions(
//!     |client| Ok(client.batch_execute("BEGIN")?),
//!     |client| Ok(client.batch_execute("COMMIT")?),
//!     |client| Ok(client.batch_execute("ROLLBACK")?),
//! );
//! let pool = ConnectionPool::with_driver(driver).cp_max(10).build()?;
//! let sold = pool.run_interaction(|client| {
//!     Ok(client.execute("UPDATE goods SET stock = stock - 1 WHERE id = 7", &[])?)
//! });
//! assert_eq!(sold.wait()?, 1);
//! # Ok(()) }
//! ```
//!
//! An object-relational mapper that blocks, as SQLAlchemy does, is at home on these workers: Diesel
//! has an r2d2 manager, and `examples/orm` is a component whose procedures use its models, with its
//! errors as [`Error::Sql`] and its statements stopped by [`canceller`](R2d2::canceller).
//!
//! A driver that can do more implements [`Driver`] itself, which has a table of what the pool asks
//! of one.
//!
//! # TLS
//!
//! [`sslmode`](Builder::sslmode) and [`sslrootcert`](Builder::sslrootcert) mean what they mean in
//! libpq:
//!
//! | [`SslMode`] | encrypted | the server's certificate |
//! |---|---|---|
//! | `Disable` | no | |
//! | `Allow` | if PostgreSQL refuses it unencrypted | signed by a CA in `sslrootcert`, if that is given; else any |
//! | `Prefer`, the default | if PostgreSQL can | likewise |
//! | `Require` | yes, or [`Error::Unavailable`] | likewise |
//! | `VerifyCa` | likewise | signed by a CA in `sslrootcert` |
//! | `VerifyFull` | likewise | likewise, and for the `host` of the connection config |
//!
//! A certificate that is in `sslrootcert` itself is trusted too, so a self-signed one needs no CA.
//! With `sslrootcert("system")` the CAs of the operating system are trusted, and the mode is
//! `VerifyFull`. Cancel requests are encrypted as their connection is. Passwords are bound to the
//! channel where PostgreSQL offers it (SCRAM-SHA-256-PLUS; `channel_binding=require` in the
//! connection config insists).
//!
//! `Prefer` costs a server without TLS one short round trip for each new connection and nothing
//! afterwards. One with TLS encrypts, also on 127.0.0.1: say `Disable` there, or connect to its
//! Unix socket, which is never encrypted.
//!
//! [`client_certificate`](Builder::client_certificate), [`sslsni`](Builder::sslsni) and
//! [`tls_versions`](Builder::tls_versions) are libpq's as well. As in libpq, the common name counts
//! where a certificate has no alternative name of the host's kind, and a certificate of X.509
//! version 1 (which `openssl x509 -req` makes without extensions) is taken if one of `sslrootcert`
//! itself has signed it.
//!
//! Unlike in libpq, there are no default files in `~/.postgresql` and no revocation lists;
//! `Allow` and `Prefer` try the other way only when TLS fails or `pg_hba.conf` refuses the
//! connection (SQLSTATE 28000). A connection string knows `disable`, `prefer` and `require` only;
//! the others are the builder's.
//!
//! # What limits what
//!
//! | limit | default | what happens |
//! |---|---|---|
//! | [`queue_limit`](Builder::queue_limit) | 1024 jobs | one more fails at once: [`Error::QueueFull`] |
//! | [`queue_timeout`](Builder::queue_timeout) | none | a job that no worker has taken by then fails: [`Error::QueueTimeout`] |
//! | [`connect_timeout`](Builder::connect_timeout) | 5 s from submission | a job without a connection fails: [`Error::Unavailable`], with the reason |
//! | [`statement_timeout`](Builder::statement_timeout) | none | PostgreSQL ends the statement (57014); if it is frozen, [`Error::Timeout`] half a second later; a job may set another |
//! | [`idle_timeout`](Builder::idle_timeout), [`max_lifetime`](Builder::max_lifetime) | 10 min, 30 min | the connection is closed between jobs |
//! | [`close_grace`](Builder::close_grace) | 5 s | what runs then is cancelled: [`Error::Closed`] |
//!
//! The workers take jobs strictly in the order of their submission: `cp_max` slow ones hold up all
//! that come after. If you mix slow and quick jobs, give each kind a pool of its own, or limit how
//! many slow ones you submit at once.
//!
//! Where the connection config leaves it open, TCP connections get a `tcp_user_timeout` and a
//! keepalive of 30 s, the `application_name` is `cp_name`, and connecting, login included, takes at
//! most an equal share of `connect_timeout` for each address of a host. With
//! `target_session_attrs=read-write` the pool moves to the next host when a primary is gone, and
//! lets go of one that has become read-only;
//! [`target_session_attrs`](Builder::target_session_attrs) has all six of libpq's. A pooler such as
//! PgBouncer in transaction mode needs `statement_cache(0)`.
//!
//! # Coming from Twisted
//!
//! | Twisted | here |
//! |---|---|
//! | `ConnectionPool("psycopg2", host=..., cp_max=10)` | [`ConnectionPool::builder`]`(config).cp_max(10).build()?` |
//! | `ConnectionPool("sqlite3", ...)`, any DB-API module | [`ConnectionPool::with_driver`]`(R2d2::new(manager))`, any r2d2 manager |
//! | `runQuery(sql, params)` | [`run_query`](ConnectionPool::run_query) gives `Deferred<Vec<Row>>` |
//! | rows as objects: Twistar, SQLAlchemy | [`run_query_as`](ConnectionPool::run_query_as) for structs; Diesel for an ORM (above) |
//! | `runOperation(sql, params)` | [`run_operation`](ConnectionPool::run_operation) gives `Deferred<u64>`, the rows changed |
//! | `runInteraction(f)` | [`run_interaction`](ConnectionPool::run_interaction) |
//! | `runWithConnection(f)` | [`run_with_connection`](ConnectionPool::run_with_connection) |
//! | `Transaction.execute`, `fetchall`, `fetchone`, `fetchmany`, `rowcount` | [`Transaction`]: `execute`, `fetch_all`, `fetch_one`, `fetch_many`, `row_count` |
//! | `start`, `close` | [`start`](ConnectionPool::start), [`close`](ConnectionPool::close) |
//! | `ConnectionLost` | [`Error::ConnectionLost`] |
//! | `cp_min`, `cp_max`, `cp_noisy`, `cp_openfun`, `cp_reconnect`, `cp_good_sql`, `cp_name` | the same on the [`Builder`] |
//! | `sslmode="verify-full"`, `sslrootcert="..."`, which go to psycopg2 | [`sslmode`](Builder::sslmode), [`sslrootcert`](Builder::sslrootcert) |
//! | `%s` in SQL | `$1`, `$2`, ... as PostgreSQL has it |
//! | `addCallback`, `addErrback`, `addBoth` | [`map`](Deferred::map) and [`and_then`](Deferred::and_then), [`on_result`](Deferred::on_result) |
//! | `blockingCallFromThread` | [`wait`](Deferred::wait) |
//! | `defer.succeed`, `defer.fail`, `Deferred()` | [`Deferred::ready`], [`deferred()`] |
//!
//! # What is different, and why
//!
//! - Callbacks run on a worker, because there is no reactor here to run them. They must not block.
//! - The pool starts with its first job if nobody started it: Twisted starts it when its reactor
//!   runs. A job after `close` fails; Twisted's waits forever.
//! - There are always `cp_max` workers, because a sleeping thread costs nothing. `cp_min` is the number of
//!   idle connections.
//! - `run_query` and `run_operation` send one statement without BEGIN and COMMIT around it. One
//!   statement is atomic by itself, and this is one round trip instead of three. (With a
//!   `statement_cache` of 0 only `run_operation` without parameters does so.)
//! - `cp_reconnect` is on unless switched off, and costs no failed call: a connection that idled is
//!   looked at before it is used (and asked `cp_good_sql` after half a minute), and a job whose
//!   connection turns out dead before the job was sent moves to another one. Twisted's reports
//!   `ConnectionLost` for each dead connection instead. Only a statement that was under way when
//!   its connection broke fails, because it may have run. For the first 10 ms after a job a
//!   connection is trusted unlooked-at; one that breaks in just these costs a call too, because
//!   nobody can tell whether its statement was under way.
//! - A transaction is ended by the pool alone: COMMIT and its like are refused
//!   ([`Error::TransactionControl`]), and a closure that swallows an SQL error and returns `Ok`
//!   gets [`Error::Aborted`] instead of a COMMIT that quietly rolls back.
//! - Single statements may run outside of any transaction (VACUUM, CREATE DATABASE); what they set
//!   for the session (SET, temporary tables, LISTEN) stays for whichever job comes next on that
//!   connection, unless [`reset`](Builder::reset) says otherwise.
//! - The queue is bounded ([`Error::QueueFull`]); Twisted's grows until memory ends.
//! - No connection within `connect_timeout` is an error with a reason ([`Error::Unavailable`]); in
//!   Twisted each job tries for itself, as long as the driver takes.
//! - There is no async runtime in this API, but there is one inside: the `postgres` crate is a
//!   blocking shell around `tokio-postgres` and hides a private current-thread tokio runtime in
//!   each connection. It runs on the worker only while a statement does.
//!
//! # As any other database
//!
//! The pool is a [`sql::Database`]: jobs with settings for their transaction (who calls, role, time
//! zone, read only, isolation, time limit), results as PostgreSQL's own bytes or streamed in
//! batches, statements described, channels listened to. For the last the pool has one connection
//! and one thread more (`db-listen`) while somebody listens; `cp_openfun` is not called for it.
//! A stream holds its worker until it has been read or dropped.
//!
//! ```no_run
//! use sql::{Database, Settings, Statement, params};
//!
//! # fn example(pool: &adbapi::ConnectionPool) {
//! let goods = Statement::new("SELECT * FROM goods WHERE price < $1", params![100_i32]);
//! let caller = Settings::new().role("customer").read_only(true);
//! pool.submit(sql::Job::new(goods).with(caller)).on_result(|results| match results {
//!     Ok(results) => println!("{} bargains", results.first.len()),
//!     Err(error) => println!("no: {error}"),
//! });
//! # }
//! ```
//!
//! # Logging
//!
//! Through `tracing`, with target `adbapi`. The `tokio-postgres` crate writes statements with their
//! parameters to the `log` facade at level DEBUG: keep `tokio_postgres` at INFO where those are
//! secret.

#![cfg(feature = "postgres")]

mod aliases;
mod build;
mod builder;
mod connection;
mod database;
mod descriptors;
mod driver;
mod error;
mod listen;
mod notices;
mod pool;
mod postgres_driver;
mod postgres_settings;
mod query;
mod server;
mod session_attrs;
mod statements;
mod tally;
mod tls;
mod transaction;

#[cfg(test)]
mod tests;

pub use aliases::{CancelHandle, Deferred, Promise, deferred};
pub use builder::Builder;
pub use connection::Connection;
pub use driver::{Canceller, Driver, R2d2};
pub use error::Error;
pub use pool::{ConnectionPool, worker::CANCEL_WAIT, worker_state::WorkerState};
pub use postgres_driver::Postgres;
pub use postgres_settings::PostgresSettings;
pub use sql::{
    ErrorCounts, Params, Reset, Sql, SslMode, Stats, TargetSessionAttrs, TlsVersion, Value, params,
};
pub use transaction::Transaction;

/// What the values and rows of statements are made of: the `postgres` crate, in the version used
/// here.
pub use postgres;
pub use postgres::{
    Client, Config, Error as ClientError, Row,
    config::{ChannelBinding, LoadBalanceHosts, SslNegotiation},
    types,
};

/// The target of all log records.
const LOG: &str = "wampgres::adbapi";
