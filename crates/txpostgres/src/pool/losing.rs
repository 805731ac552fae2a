//! Owns what becomes of a connection that is of no use any more, and of the jobs on it. Must not know
//! the queue's order.

use std::sync::atomic::Ordering;

use sql::Error;

use super::{
    policy::QUICK,
    shard::Locked,
    slot::{Purpose, Stage},
    ticket::{Owed, Ticket, Waiting},
    turn::Todo,
};
use crate::{connecting::SILENT, connection::Fault, error::timeout, session::lost};

impl Locked<'_> {
    /// A connection is of no use any more: its jobs end, or move if they were not sent.
    pub(crate) fn broke(&mut self, key: u64, error: &Error) {
        let Some(at) = self.state.find(key) else {
            return;
        };
        if self.state.slots[at].is_opening() {
            return self.attempt_failed(at, error);
        }
        let settings = &self.pool.settings;
        let is_idle = !self.state.slots[at].is_busy();
        if is_idle && !settings.cp_reconnect && self.state.slots[at].purpose == Purpose::Jobs {
            // The next job is to see it.
            self.pool.health.lost(self.now);
            let slot = &mut self.state.slots[at];
            (slot.stage, slot.session, slot.connection) = (Stage::Dead, None, None);
            slot.key = self.pool.next_key();
            return;
        }
        let mut slot = self.state.slots.swap_remove(at);
        if !slot.is_retired {
            self.pool.health.lost(self.now);
            if settings.cp_noisy {
                let line = format!("txpostgres: a connection was lost, reconnecting: {error}");
                self.turn.push(Todo::Noise(line));
            }
        }
        // PostgreSQL answers in order and has ended with this word, so it has begun nothing behind
        // the head. A pooler may have sent more on.
        let is_last_word = error.sqlstate() == Some("57P01") && settings.statement_cache > 0;
        let unsent = if is_last_word {
            slot.in_flight().saturating_sub(1).max(slot.unflushed)
        } else {
            slot.unflushed
        };
        let mut in_flight: Vec<_> = (slot.session.as_mut())
            .map(|session| session.lose(unsent).collect())
            .unwrap_or_default();
        // The last first, as each goes before all others.
        in_flight.reverse();
        for (ticket, work) in in_flight {
            match work {
                Some(work) if ticket.is_job() && self.may_move(&ticket) => {
                    self.shard.load.fetch_sub(1, Ordering::Relaxed);
                    self.requeue(Waiting { ticket, work });
                }
                _ => self.lose(key, ticket, error),
            }
        }
        if slot.purpose == Purpose::Listening {
            self.turn.push(Todo::NotListening(error.to_string()));
        }
        self.dispatch();
    }

    fn may_move(&self, ticket: &Ticket) -> bool {
        self.pool.settings.cp_reconnect && !self.state.is_closing && !ticket.is_interrupted()
    }

    /// A job that was under way when its connection broke.
    fn lose(&mut self, key: u64, ticket: Ticket, error: &Error) {
        let result = Err(error.clone());
        if matches!(ticket.owed, Owed::Interaction(_)) {
            self.turn.push(Todo::Step(key, ticket, result));
        } else if ticket.is_job() {
            self.end(ticket, result);
        }
    }

    /// The socket of a connection is gone.
    pub(crate) fn fell(&mut self, key: u64, fault: &Fault) {
        let Some(at) = self.state.find(key) else {
            return;
        };
        if self.state.slots[at].is_opening() {
            self.attempt_failed_by(at, fault);
        } else {
            self.broke(key, &lost(&fault.text));
        }
    }

    /// Its deadline has come: whether it is still to be used.
    pub(crate) fn overdue(&mut self, key: u64) -> bool {
        let Some(at) = self.state.find(key) else {
            return false;
        };
        let now = self.now;
        let slot = &mut self.state.slots[at];
        if slot
            .cancel
            .as_mut()
            .is_some_and(|cancel| cancel.repeat(now))
        {
            self.send_cancel(at);
        }
        let slot = &self.state.slots[at];
        match &slot.stage {
            Stage::Opening(opening) if opening.deadline <= now => {
                self.attempt_failed_by(at, &Fault::new(SILENT));
                return false;
            }
            Stage::Checked(until) if *until <= now => {
                self.broke(key, &lost("it gave no answer when it was tried"));
                return false;
            }
            _ => {}
        }
        if slot.frozen_at().is_some_and(|at| at <= now) {
            self.freeze(at);
            return false;
        }
        true
    }

    /// PostgreSQL does not even end a statement at its time limit. All that was sent here was sent
    /// within a moment, so it has waited as long.
    fn freeze(&mut self, at: usize) {
        self.send_cancel(at);
        let mut slot = self.state.slots.swap_remove(at);
        self.pool.health.lost(self.now);
        let in_flight: Vec<_> = (slot.session.as_mut())
            .map(|session| session.lose(0).collect())
            .unwrap_or_default();
        let limit = in_flight.iter().find_map(|(ticket, _)| ticket.limit);
        let limit = limit.unwrap_or(QUICK);
        for (ticket, _) in in_flight {
            let result = Err(timeout(limit));
            if matches!(ticket.owed, Owed::Interaction(_)) {
                self.turn.push(Todo::Step(slot.key, ticket, result));
            } else if ticket.is_job() {
                self.end(ticket, result);
            }
        }
        self.dispatch();
    }
}
