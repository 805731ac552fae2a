//! What all backends for PostgreSQL share: the contract [`Database`], and the jobs, rows, settings
//! and errors that it speaks of. Must not know WAMP, sockets, a driver or an async runtime.
//!
//! ```
//! use sql::{Database, Isolation, Job, Settings, Statement, params};
//!
//! /// Two statements as one, with the rights of whoever calls.
//! fn sell(db: &dyn Database, goods: i32, authid: &str) {
//!     let caller = Settings::new()
//!         .set("wamp.authid", authid)
//!         .role("customer")
//!         .isolation(Isolation::Serializable);
//!     let update = "UPDATE goods SET stock = stock - 1 WHERE id = $1 RETURNING stock";
//!     let job = Job::new(Statement::new(update, params![goods]))
//!         .then(Statement::new("INSERT INTO sales (goods) VALUES ($1)", params![goods]).count())
//!         .with(caller);
//!     db.submit(job).on_result(|results| match results {
//!         Ok(results) => match results.first.row(0).map(|row| row.get::<i32>("stock")) {
//!             Some(stock) => println!("left: {stock:?}"),
//!             None => println!("no such goods"),
//!         },
//!         Err(error) if error.is_retryable() => println!("try again: {error}"),
//!         Err(error) => println!("no: {error}"),
//!     });
//! }
//! ```

mod certificate;
mod connection_settings;
mod database;
mod error;
mod job;
mod job_times;
mod listen;
mod params;
mod passfile;
mod reset;
mod rows;
mod settings;
mod ssl_mode;
mod stats;
mod stream;
#[cfg(feature = "suite")]
pub mod suite;
mod tls;
mod words;

pub use connection_settings::{
    ChannelBinding, ConnectionSettings, Keepalives, Password, Server, TargetSessionAttrs,
};
pub use database::{Database, Description};
pub use error::{Deferred, Error, ErrorKind, Report};
pub use job::{Job, Statement, Wanted};
pub use job_times::JobTimes;
pub use listen::{ListenEvent, Listener, Notification, OnListenEvent, quote_channel};
pub use params::{Params, Sql, Value, params};
pub use passfile::{PasswordLogin, find_password};
/// PostgreSQL's types and the Rust types of their values.
pub use postgres_types as types;
pub use reset::Reset;
pub use rows::{Column, ColumnIndex, Format, RawRows, Results, Row, Rows};
pub use settings::{Isolation, Settings};
pub use ssl_mode::{SslMode, TlsVersion};
pub use stats::{ErrorCounts, Stats};
pub use stream::{Ended, NotSent, RowSink, RowStream, row_stream};
pub use tls::{TlsSettings, tls_server_end_point};
pub use words::{is_atomic, transaction_control};

/// The target of all log records.
const LOG: &str = "wampgres::sql";
