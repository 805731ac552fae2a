//! Owns how a job or a work of the pool's own gets into the output of a connection, and which
//! connections are tried first. Must not know the queue.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use sql::TargetSessionAttrs;

use super::{
    policy::{self, Class, RECENT, Wish},
    shard::{Locked, TRUSTED},
    slot::Stage,
    ticket::{Owed, Ticket, Waiting},
};
use crate::{
    connecting::{may_change, question},
    session::{Work, lost},
    settings::Reset,
};

/// A connection that has idled for this long is tried, because a firewall between may have
/// forgotten it.
const STALE: Duration = Duration::from_secs(30);

/// To ask a server that has ever answered within this time costs a call little.
const NEAR: Duration = Duration::from_millis(5);

impl Locked<'_> {
    fn has_quick(&self) -> bool {
        let age = |at: Instant| self.now.saturating_duration_since(at);
        self.state.last_quick.is_some_and(|at| age(at) < RECENT)
    }

    pub(crate) fn pick(&mut self, wish: Wish) -> Option<usize> {
        let depth_is_one = self.pool.settings.reset == Reset::Discard;
        let has_quick = self.has_quick();
        let open = self
            .state
            .slots
            .iter()
            .filter(|slot| slot.is_open())
            .count();
        loop {
            let state = &*self.state;
            let views = state.slots.iter().map(|slot| slot.view(depth_is_one));
            let at = policy::pick(views, open, wish, has_quick, self.now)?;
            if !self.is_doubtful(at) {
                return Some(at);
            }
            // A job needs one connection, so it has one tried, not all that have idled.
            let tried = state.slots.iter().filter(|slot| slot.is_checked()).count();
            if tried >= state.queue.len().max(1) {
                return None;
            }
            self.check(at);
        }
    }

    /// Whether a connection is to be tried before it is used.
    fn is_doubtful(&self, at: usize) -> bool {
        let slot = &self.state.slots[at];
        let idled = self.now.saturating_duration_since(slot.last_used);
        if slot.in_flight() > 0 || idled < TRUSTED || !self.pool.settings.cp_reconnect {
            return false;
        }
        // A near server answers at once if it is not frozen, and what it has been sent cannot be taken
        // back. One that has become read-only, or is promoted, keeps its connections.
        idled > STALE
            || self.state.round_trip.is_some_and(|way| way < NEAR)
            || may_change(self.wanted()) && self.pool.health.lost_since(slot.last_used)
    }

    pub(crate) fn wanted(&self) -> TargetSessionAttrs {
        self.pool.servers.settings.target_session_attrs
    }

    /// Asks a connection whether it is well.
    fn check(&mut self, at: usize) {
        let mut script = self.pool.settings.cp_good_sql.clone();
        if may_change(self.wanted())
            && let Some(question) = question(self.wanted())
        {
            // The question alone shows that it is well, and its answer is the only one.
            script = question.sql.to_owned();
        }
        self.state.slots[at].begin_check(self.now);
        let ticket = Ticket::own(Owed::Check, self.now);
        self.send_own(at, ticket, script);
    }

    /// Sends a work of the pool's own.
    pub(crate) fn send_own(&mut self, at: usize, ticket: Ticket, script: String) {
        let work = Work::Simple(script.into());
        self.hand_over(at, ticket, work);
        self.call(at);
    }

    fn hand_over(&mut self, at: usize, ticket: Ticket, work: Work) {
        let slot = &mut self.state.slots[at];
        let Some(session) = &mut slot.session else {
            return;
        };
        if session.in_flight() == 0 {
            (slot.head_since, slot.head_was_alone) = (self.now, true);
        }
        slot.unflushed += 1;
        session.send(ticket, work, &mut slot.out);
    }

    /// Has a connection called.
    pub(crate) fn call(&mut self, at: usize) {
        let home = &*self.shard.home;
        self.turn.wakes |= self.state.slots[at].call(home);
    }

    /// Sends a job on a connection.
    pub(crate) fn send(&mut self, at: usize, mut waiting: Waiting, class: Class) {
        self.shard.load.fetch_add(1, Ordering::Relaxed);
        let slot = &mut self.state.slots[at];
        if matches!(slot.stage, Stage::Dead) {
            self.state.slots.swap_remove(at);
            let why = lost("it was found dead, and cp_reconnect is off");
            return self.end(waiting.ticket, Err(why));
        }
        waiting.ticket.sent_at = self.now;
        waiting.ticket.connecting = slot.opened_for(waiting.ticket.submitted);
        slot.limit_is_doubtful |= waiting.ticket.changes_limit;
        slot.is_long |= class != Class::Quick;
        if class == Class::Quick {
            self.state.last_quick = Some(self.now);
        }
        self.hand_over(at, waiting.ticket, waiting.work);
        if let Some(script) = self.state.slots[at].reset.clone() {
            let ticket = Ticket::own(Owed::Reset, self.now);
            self.hand_over(at, ticket, Work::Simple(script.into()));
        }
        self.call(at);
    }

    /// The next work of an interaction.
    pub(crate) fn send_step(&mut self, at: usize, ticket: Ticket, work: Work) {
        self.state.slots[at].has_owner = false;
        self.hand_over(at, ticket, work);
        self.call(at);
    }
}
