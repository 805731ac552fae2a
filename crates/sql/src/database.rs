//! Owns the contract between who has SQL to run and who runs it. Must not know how that is done.

use std::{num::NonZeroU32, time::Duration};

use postgres_types::Type;

use super::{
    error::{Deferred, Error},
    job::{Job, Statement},
    listen::{Listener, OnListenEvent},
    params::Sql,
    rows::Results,
    settings::Settings,
    stats::Stats,
    stream::RowStream,
};

/// One PostgreSQL database, whichever backend speaks with it.
///
/// A job ends in exactly one result or error, whatever becomes of its connection, and can be
/// cancelled at any time by its `Deferred`: then its statement is stopped in PostgreSQL. One that
/// was not sent moves to another connection when its own is dead; one that was sent is never
/// repeated. Results come on a thread of the backend's, which callbacks must not block.
pub trait Database: Send + Sync {
    /// Runs a job. Does not block.
    fn submit(&self, job: Job) -> Deferred<Results>;

    /// Runs a statement with these settings as one transaction, and gives its rows in batches of at
    /// most `batch` as they are asked for: a consumer that is slow keeps PostgreSQL waiting, its
    /// connection and its transaction taken, and two batches more than it has asked for in memory
    /// at most. Does not block.
    ///
    /// The statement's time limit is for each batch.
    fn stream(&self, settings: Settings, statement: Statement, batch: NonZeroU32) -> RowStream;

    /// Has PostgreSQL say what the parameters and the columns of a statement are, without running
    /// it. Does not block.
    fn describe(&self, sql: Sql) -> Deferred<Description> {
        self.describe_in(Settings::new(), sql)
    }

    /// The same in a transaction with these settings: another role may see what is meant by a name,
    /// and mean something else by it.
    fn describe_in(&self, settings: Settings, sql: Sql) -> Deferred<Description>;

    /// Listens to a channel, on the one connection that all listeners of this database share, which
    /// is with the primary. Does not block: that it listens is the first thing that `on_event` is
    /// told.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if there can be no such channel,
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) after the close.
    fn listen(&self, channel: &str, on_event: OnListenEvent) -> Result<Listener, Error>;

    /// How many connections it has at most, without the one that listens.
    fn max_connections(&self) -> u32;

    /// The figures of this moment, taken from what they are about.
    fn stats(&self) -> Stats;

    /// Ends it: jobs that wait fail with [`ErrorKind::Closed`](crate::ErrorKind::Closed), and so
    /// does what is submitted later; jobs that run have the grace time, then their statements are
    /// cancelled and they fail the same way.
    ///
    /// # Blocking
    /// Until nothing runs any more: at most the grace time and a little for cancelling.
    fn close(&self, grace: Duration);
}

/// What a statement takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The types of its parameters, `$1` first.
    pub params: Vec<Type>,
    /// The names and types of its columns; none for a statement that returns no rows.
    pub columns: Vec<(String, Type)>,
}
