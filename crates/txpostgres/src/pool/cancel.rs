//! Owns how a job is stopped from outside: taken out of the queue, or by a cancel request on a
//! connection of its own, encrypted as its parent is. Must not know why it is stopped.
//!
//! libpq's rule is kept: nothing new is sent to a session before the server has closed the
//! connection of the request, because until then the signal may come.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use deferred::{Control, Failure, Interrupt};
use sql::Error;
use tracing::warn;

use super::{
    Pool,
    shard::Locked,
    slot::Stage,
    ticket::{Owed, Ticket},
    turn::Turn,
};
use crate::{
    connecting::Target,
    connection::{Fault, Role, Speaker},
    error::LOG,
    session::{CancelKey, Session},
};

/// How long a cancel request may take.
const LIMIT: Duration = Duration::from_secs(5);

/// One cancel request: what it says, and which connection of which shard it is for.
pub(crate) struct CancelLine {
    shard: usize,
    key: u64,
    request: [u8; 16],
}

impl CancelLine {
    pub(crate) fn new(shard: usize, key: u64, session: &CancelKey) -> Self {
        Self {
            shard,
            key,
            request: session.request(),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
    }
}

/// What a job that is stopped from outside calls.
pub(crate) struct Interrupter(pub(crate) Weak<Pool>);

impl Interrupt<Error> for Interrupter {
    fn interrupt(&self, job: Arc<dyn Control<Error>>) {
        let Some(pool) = self.0.upgrade() else { return };
        for shard in 0..pool.shards.len() {
            let is_found = pool.act(shard, Instant::now(), |locked| locked.interrupt(&job));
            if is_found {
                return;
            }
        }
        // An interaction is between two statements. It looks for itself.
    }
}

impl Locked<'_> {
    /// Stops a job if it is here.
    fn interrupt(&mut self, job: &Arc<dyn Control<Error>>) -> bool {
        let waiting = (self.state.queue).take_all(|waiting| waiting.ticket.is(job));
        let is_found = !waiting.is_empty();
        for waiting in waiting {
            self.end_waiting(waiting, Error::cancelled());
        }
        if is_found {
            return true;
        }
        for at in 0..self.state.slots.len() {
            let Some(session) = &self.state.slots[at].session else {
                continue;
            };
            let position = session.tickets().position(|ticket| ticket.is(job));
            match position {
                None => continue,
                Some(0) => self.stop_head(at),
                // When its turn comes.
                Some(_) => {}
            }
            return true;
        }
        false
    }

    fn stop_head(&mut self, at: usize) {
        let slot = &mut self.state.slots[at];
        let Some(session) = &mut slot.session else {
            return;
        };
        let is_stream = matches!(
            session.head().map(|ticket: &Ticket| &ticket.owed),
            Some(Owed::Stream(..))
        );
        if is_stream {
            // Where its consumer is waited for, PostgreSQL is at nothing.
            session.end_stream(&mut slot.out);
            if slot.held.take().is_some() {
                return self.call(at);
            }
        }
        self.cancel_head(at);
    }
}

impl Pool {
    /// Sends a cancel request.
    pub(crate) fn send_cancel(self: &Arc<Self>, target: &Target, line: CancelLine) {
        match self.servers.open(&target.place) {
            Ok(socket) => {
                let home = &self.shards[line.shard].home;
                let speaker = Speaker {
                    pool: self.clone(),
                    role: Role::Cancel(line),
                    deadline: Instant::now() + LIMIT,
                    fault: None,
                    waits_for_tls: false,
                };
                home.adopt(socket, self.servers.encryption(target), speaker);
            }
            Err(why) => self.cancel_sent(&line, &Fault::new(why)),
        }
    }

    /// The connection of a cancel request is closed: the signal was sent, or never will be.
    pub(crate) fn cancel_sent(self: &Arc<Self>, line: &CancelLine, fault: &Fault) {
        if fault.is_of_tls {
            warn!(target: LOG, "a statement could not be cancelled: {}", fault.text);
        }
        self.act(line.shard, Instant::now(), |locked| {
            let Some(at) = locked.state.find(line.key) else {
                return;
            };
            let slot = &mut locked.state.slots[at];
            if let Some(cancel) = &mut slot.cancel {
                cancel.is_under_way = false;
            }
            let is_open = matches!(slot.stage, Stage::Open);
            let head = slot.session.as_ref().and_then(Session::head);
            if is_open && !head.is_some_and(Ticket::is_interrupted) {
                slot.cancel = None;
            }
            // Its deadline is another one now.
            locked.call(at);
            locked.dispatch();
        });
    }

    /// Does something with a shard, and then what that leaves to do.
    pub(crate) fn act<T>(
        self: &Arc<Self>,
        shard: usize,
        now: Instant,
        act: impl FnOnce(&mut Locked<'_>) -> T,
    ) -> T {
        let mut turn = Turn::default();
        let done = act(&mut self.locked(shard, now, &mut turn));
        self.finish(shard, turn);
        done
    }
}
