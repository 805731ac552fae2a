//! Owns what is left to do once a shard's lock is free: callbacks, system calls, logs. Must not know
//! how it came about.

use std::{sync::Arc, time::Duration};

use sql::{Error, ErrorKind, Notification, Report, RowSink, Rows, Sql};

use super::{cancel::CancelLine, ticket::Ticket};
use crate::{connecting::Target, session::Outcome, settings::Opened};

/// What one call of a shard leaves to do. Users' code and system calls run only after the lock.
#[derive(Default)]
pub(crate) struct Turn {
    /// The shard's thread must be woken if it sleeps.
    pub(crate) wakes: bool,
    pub(crate) todo: Vec<Todo>,
}

pub(crate) enum Todo {
    /// A job has ended.
    End(Ticket, Result<Outcome, Error>),
    /// An interaction goes on, on this connection.
    Step(u64, Ticket, Result<Outcome, Error>),
    /// A batch has come on this connection.
    Batch(u64, Arc<RowSink>, Rows),
    /// The last batch of a stream that has ended.
    LastBatch(Arc<RowSink>, Rows),
    /// The attempt to connect of this slot goes on.
    Attempt(u64),
    /// The session of this slot is there and has to be set up.
    SetUp(u64, Opened),
    /// A cancel request is due.
    Cancel(Target, CancelLine),
    Notice(Report),
    NoticesLeftOut(u64),
    Slow(Sql, Duration),
    /// There is a listening connection.
    CanListen,
    /// The listening connection listens to what was wanted when it was asked.
    Listens,
    Notified(Notification),
    /// The listening connection is lost or cannot be had.
    NotListening(String),
    /// A line of `cp_noisy`.
    Noise(String),
    /// There is a free connection, and jobs may wait in another shard.
    TakeOver,
    /// A job waits here, and another shard may have a free connection.
    Offer,
}

impl Turn {
    pub(crate) fn push(&mut self, todo: Todo) {
        self.todo.push(todo);
    }
}

/// What went wrong with a work, if anything did.
pub(crate) fn failure(result: &Result<Outcome, Error>) -> Option<ErrorKind> {
    result.as_ref().err().map(Error::kind)
}
