//! PostgreSQL connections on non-blocking sockets inside a reactor, pipelined. Must not know WAMP,
//! JSON nor the configuration, and has no async runtime.
//!
//! A Rust take on [txpostgres](https://github.com/wulczer/txpostgres), Twisted's driver for
//! PostgreSQL without threads: code on an I/O thread hands SQL to a [`ConnectionPool`] and gets a
//! [`Deferred`](sql::Deferred) at once, which fires on that thread. Every job ends in exactly one
//! result or error: through a panic, a killed backend, a restarted server, a closed pool.
//!
//! # How to
//!
//! Make a pool on the reactors that the program runs. That needs no PostgreSQL yet: connections come
//! with the first jobs, and come back by themselves after PostgreSQL was away. The last argument
//! makes mail of the reactors' own kind that means "look".
//!
//! ```no_run
//! use reactor::Reactor;
//! use sql::{ConnectionSettings, Server};
//! use txpostgres::{ConnectionPool, Reactors};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reactor = Reactor::<()>::new()?;
//! let mailbox = reactor.mailbox();
//! std::thread::spawn(move || reactor.run());
//! let server = Server { host: "db.example".to_owned(), address: None, port: 5432 };
//! let pool = ConnectionPool::builder(ConnectionSettings::new(server, "shop", "app"))
//!     .cp_min(3)
//!     .cp_max(10)
//!     .on_connect(|_| Ok(vec!["SET TIME ZONE 'UTC'".into()]))
//!     .build(Reactors::new([mailbox], || ()))?;
//! # Ok(()) }
//! ```
//!
//! Ask one question: one round trip, a prepared statement that is kept.
//!
//! ```no_run
//! # fn example(pool: &txpostgres::ConnectionPool) {
//! pool.run_query("SELECT name FROM goods WHERE price < $1", sql::params![100_i32])
//!     .on_result(|rows| match rows {
//!         Ok(rows) => println!("{} bargains", rows.len()),
//!         Err(error) if error.is_retryable() => println!("try again: {error}"),
//!         Err(error) => println!("no: {error}"),
//!     });
//! # }
//! ```
//!
//! Do several things as one, in coroutine style: all of it is committed if the block returns `Ok`,
//! none of it otherwise.
//!
//! ```no_run
//! # fn example(pool: &txpostgres::ConnectionPool) {
//! let left = pool.run_interaction(|mut txn| async move {
//!     let update = "UPDATE goods SET stock = stock - 1 WHERE id = $1 RETURNING stock";
//!     let rows = txn.query(update, sql::params![7_i32]).await?;
//!     let none = || sql::Error::new(sql::ErrorKind::Other, "no such goods");
//!     let left: i32 = rows.row(0).ok_or_else(none)?.get(0)?;
//!     txn.execute("INSERT INTO sales (goods) VALUES ($1)", sql::params![7_i32]).await?;
//!     Ok(left)
//! });
//! left.on_result(|left| println!("{left:?}"));
//! # }
//! ```
//!
//! There is no executor: the I/O thread polls the block when the answer to its statement has come.
//! So a block may await statements of its transaction and nothing else; one that waits for anything
//! else is ended with an error that says so. It must not block: one that takes 10 ms is logged with
//! its duration. A panic ends its call and nothing else.
//!
//! Jobs with settings for their transaction, streams, descriptions and listeners are those of
//! [`sql::Database`], which the pool is.
//!
//! # Threads
//!
//! None but a name resolver (`db-resolve`, while the name of a host is looked up) and `db-close`,
//! which waits for the end of a pool that one of its own I/O threads has closed. Each I/O thread owns
//! its share of `cp_max` connections and a queue. A job from an I/O thread is encoded straight into
//! the output of one of its connections; all that a turn of the reactor brings leaves in one write,
//! and the result fires there. A job from another thread goes to the I/O thread with the fewest. An
//! I/O thread without a job takes one over from another that has more than it can send. With more
//! I/O threads than `cp_max`, some have no connection, and their jobs go to another thread.
//!
//! # Which job goes where
//!
//! What PostgreSQL has been sent it runs in that order. So whatever is sent behind a slow statement
//! waits for it, while what waits here can still go elsewhere. The rules (`pool/policy.rs` has them
//! with their reasons):
//!
//! - Each kind of job, by the text of its statements, has a learnt duration. A quick kind (under
//!   2 ms) is sent ahead to the connection with the fewest jobs, at most 16 deep. A slow one, or one
//!   that was never seen, goes to a connection that is at nothing, and nothing is sent behind it.
//! - A connection whose oldest job is unanswered for 2 ms gets nothing more until it answers.
//! - While there were quick jobs within the last second, slow ones leave two open connections to
//!   them, and unknown ones leave one; the last connection is for all.
//! - Jobs that wait keep their order within quick, unknown and slow ones.
//! - Streams, interactions and transactions with an isolation have a connection for themselves.
//!
//! # What limits what
//!
//! | limit | default | what happens |
//! |---|---|---|
//! | [`queue_limit`](Builder::queue_limit) | 1024 jobs | one more fails at once: `QueueFull` |
//! | [`queue_timeout`](Builder::queue_timeout) | none | a job that was not sent by then fails: `QueueTimeout` |
//! | [`connect_timeout`](Builder::connect_timeout) | 5 s from submission | while its thread has no connection a job fails: `Unavailable`, with the reason |
//! | [`statement_timeout`](Builder::statement_timeout) | none | PostgreSQL ends the statement (57014); if it is frozen, `Timeout` half a second later for all that was sent on that connection |
//! | [`idle_timeout`](Builder::idle_timeout), [`max_lifetime`](Builder::max_lifetime) | 10 min, 30 min | the connection is closed between jobs |
//! | [`close_grace`](Builder::close_grace) | 5 s | what runs then is cancelled: `Closed` |
//!
//! Connections that die while they are idle are replaced at once. One that has idled for 10 ms is
//! looked at before it is written to, and one that has idled for half a minute is asked
//! `cp_good_sql`. A job that was not sent, or that PostgreSQL has not begun by its own last word,
//! moves to another connection; any other that was under way fails with `ConnectionLost`. A cancel
//! request is sent on a connection of its own, encrypted as its parent, and nothing is sent to the
//! session before the server has closed that; a neighbour that it hits all the same is run once more
//! if PostgreSQL has undone it as a whole.
//!
//! # Coming from txpostgres
//!
//! | txpostgres | here |
//! |---|---|
//! | `Connection().connect(...)` | [`ConnectionPool::builder`], then [`start`](ConnectionPool::start) or the first job |
//! | `ConnectionPool(None, min=3, ...)` | the same with [`cp_min`](Builder::cp_min) and [`cp_max`](Builder::cp_max) |
//! | `runQuery`, `runOperation` | [`run_query`](ConnectionPool::run_query), [`run_operation`](ConnectionPool::run_operation) |
//! | `runInteraction(f)`, `f` gives Deferreds | [`run_interaction`](ConnectionPool::run_interaction), a block that awaits |
//! | `Cursor.execute`, `fetchall`, `fetchone` | [`Transaction::query`], then the rows |
//! | `Cursor.execute` of what has no rows, `rowcount` | [`Transaction::execute`] |
//! | `Cursor.callproc("now")` | `SELECT now()`, or `CALL` |
//! | a server-side cursor | [`Database::stream`](sql::Database::stream) |
//! | `Connection.cursor()` and transactions by hand | none: COMMIT and its like are the pool's to send |
//! | `Deferred.cancel()`, `Connection.cancel()` | [`Deferred::cancel`](deferred::Deferred::cancel), [`cancel_handle`](deferred::Deferred::cancel_handle) |
//! | `addNotifyObserver(f)`, `removeNotifyObserver(f)` | [`Database::listen`](sql::Database::listen) for a channel, until its `Listener` is dropped |
//! | `DeadConnectionDetector` | built in: see [`cp_reconnect`](Builder::cp_reconnect) |
//! | `addRecoveryHandler(f)` | [`on_connect`](Builder::on_connect), and `ListenEvent::Listening` with its gap |
//! | `ConnectionDead` | `ErrorKind::Unavailable`, after `connect_timeout` and with the reason |
//! | `RollbackFailed` | none: the caller gets the first error, the connection is replaced |
//! | `AlreadyConnected`, `AlreadyPolling`, `UnexpectedPollResult` | cannot happen |
//! | `close()` | [`close`](ConnectionPool::close) |
//!
//! Its tests, and which of ours shows the same (`suite` is that of [`sql`], the others are in
//! `tests/`):
//!
//! | `test_txpostgres.py`, `test_reconnection.py` | here |
//! |---|---|
//! | `test_simpleConnection`, `test_connectionSetup` | `closing::close_ends_connections`, `sessions::each_session_is_set_up_by_what_is_asked_for_it`, `suite::a_bare_statement_has_no_transaction_around_it` |
//! | `test_errors` of connecting | `faults::an_absent_server_answers_within_the_limit_with_the_reason_and_serves_once_it_is_up`, `faults::a_wrong_database_is_named_and_the_password_never` |
//! | `test_simpleQuery`, `test_queryResults`, `test_runQuery` | `suite::values_come_as_postgresql_sent_them` |
//! | `test_errors` of a query, `test_wrongCall` | `suite::errors_have_all_that_postgresql_said`, `suite::parameters_go_there_and_wrong_ones_are_told` |
//! | `test_manualTransactions` | `suite::nobody_else_ends_the_transaction` |
//! | `test_runQueryMultiple` | `fairness::quick_ones_are_sent_behind_each_other_on_one_connection` |
//! | `test_runOperation` | `suite::a_count_keeps_no_rows` |
//! | `test_runSimpleInteraction`, `test_runErrorInteraction` | `interactions::ok_commits_and_an_error_rolls_back`, `interactions::a_statement_that_fails_ends_the_transaction` |
//! | `test_errorOnRollback`, `test_errorInInteraction` | `interactions::an_interaction_whose_connection_breaks_keeps_the_first_error`, `interactions::a_panic_ends_its_call_and_keeps_the_connection` |
//! | of the notify observers | the six of `suite` about listening |
//! | of the pool | `fairness`, `limits` and `closing` |
//! | of cancelling | `cancels`, `suite::a_job_that_runs_can_be_cancelled_and_its_statement_stops` |
//! | `TestDeadConnectionDetector.test_basic` | `faults::the_pool_reopens_after_a_lost_connection_and_tells_it_from_bad_sql`, `sessions::an_idle_connection_that_dies_is_replaced_before_the_next_job` |
//! | `test_brokenRecovery` | `sessions::each_session_is_set_up_by_what_is_asked_for_it` |
//! | the polling mixin's | none: the reactor's own tests |
//!
//! # Logging
//!
//! Through `tracing`, with target `wampgres::txpostgres`. Parameters are never logged.

mod builder;
mod connecting;
mod connection;
mod database;
mod error;
mod interaction;
mod listening;
mod notices;
mod pool;
mod reactors;
#[allow(dead_code, reason = "the pool uses a part of what a session can")]
mod session;
mod settings;
#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use interaction::Transaction;
pub use pool::ConnectionPool;
pub use reactors::Reactors;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use session::fuzz_session;
pub use settings::{OnConnect, Opened, Reset};
