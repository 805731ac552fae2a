//! Owns what becomes of what a session says: results, rows, what is to be
//! sent next. Must not know the queue's order.

use std::{
    mem,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use sql::Error;

use super::{
    cancel::CancelLine,
    shard::Locked,
    slot::{Cancelling, Purpose, Stage},
    ticket::{Owed, Ticket, Waiting},
    turn::Todo,
};
use crate::{
    connecting::{may_change, question},
    session::{Event, Outcome, Session, Work, lost},
    settings::Opened,
};

/// How late a signal may come that the server sends when it gets a cancel request. It takes far less,
/// even where many processes want its processor.
const LATEST: Duration = Duration::from_secs(5);

impl Locked<'_> {
    /// Hands bytes to a session and does what follows.
    pub(crate) fn receive(&mut self, key: u64, bytes: &[u8]) {
        let Some(at) = self.state.find(key) else {
            return;
        };
        let mut events = mem::take(&mut self.state.events);
        let slot = &mut self.state.slots[at];
        let Some(session) = &mut slot.session else {
            return;
        };
        let received = session.receive(bytes, &mut slot.out, &mut events);
        let counts = session.statement_counts();
        let before = mem::replace(&mut slot.counted, counts);
        self.state.tally.statement_hits += counts.0 - before.0;
        self.state.tally.statement_misses += counts.1 - before.1;
        for event in events.drain(..) {
            self.happened(key, event);
        }
        self.state.events = events;
        if let Err(error) = received {
            self.broke(key, &error);
        }
        self.dispatch();
    }

    fn happened(&mut self, key: u64, event: Event<Ticket>) {
        let Some(at) = self.state.find(key) else {
            return;
        };
        match event {
            Event::Ready => {
                let key_of_session =
                    (self.state.slots[at].session.as_ref()).and_then(Session::cancel_key);
                let process_id = key_of_session.map_or(0, |key| key.process_id);
                let opened = Opened { process_id };
                self.turn.push(Todo::SetUp(key, opened));
            }
            Event::Done(ticket, result) => self.done(at, ticket, result),
            Event::Stopped(ticket, work, error) => self.stopped(at, ticket, work, error),
            Event::Batch(rows) => {
                let slot = &mut self.state.slots[at];
                slot.head_since = self.now;
                let head = slot.session.as_ref().and_then(Session::head);
                if let Some(Owed::Stream(_, sink)) = head.map(|head| &head.owed) {
                    let sink = sink.clone();
                    self.turn.push(Todo::Batch(key, sink, rows));
                }
            }
            Event::Notification(notification) => {
                if self.state.slots[at].purpose == Purpose::Listening {
                    self.turn.push(Todo::Notified(notification));
                }
            }
            Event::Notice { report, .. } => {
                if self.state.slots[at].notices.admit(&report, self.now) {
                    self.turn.push(Todo::Notice(report));
                }
            }
            Event::NoticesLeftOut(left_out) => self.turn.push(Todo::NoticesLeftOut(left_out)),
            Event::Parameter(..) => {}
        }
    }

    /// The head of a session is another now. How long the last one took, and how much of that was
    /// the way.
    fn head_ended(&mut self, at: usize) -> (Duration, Duration) {
        let slot = &mut self.state.slots[at];
        let took = self.now.saturating_duration_since(slot.head_since);
        (slot.head_since, slot.last_used) = (self.now, self.now);
        if slot.in_flight() == 0 {
            slot.is_long = false;
        }
        if !mem::replace(&mut slot.head_was_alone, false) {
            return (took, Duration::ZERO);
        }
        // One that is the first of all would be all way, however slow it is.
        let way = self.state.round_trip;
        self.state.round_trip = Some(way.map_or(took, |least| least.min(took)));
        (took, way.unwrap_or_default())
    }

    /// The work at the head has ended.
    fn done(&mut self, at: usize, mut ticket: Ticket, result: Result<Outcome, Error>) {
        let (took, on_the_way) = self.head_ended(at);
        ticket.note_times(self.now, took);
        match &ticket.owed {
            Owed::SetUp => return self.set_up_done(at, result),
            Owed::Check => return self.checked(at, result),
            Owed::Reset => return self.reset_done(at, result),
            Owed::Listen => return self.listen_done(at, result),
            Owed::Interaction(_) => return self.step_done(at, ticket, result),
            Owed::Stream(_, sink) => {
                let slot = &mut self.state.slots[at];
                slot.has_room = false;
                if let Some(rows) = slot.held.take() {
                    self.turn.push(Todo::LastBatch(sink.clone(), rows));
                }
            }
            Owed::Results(_) | Owed::Description(_) => {
                let own = took.saturating_sub(on_the_way);
                self.state.durations.learn(ticket.kind, own);
            }
        }
        if let (Some(sql), Some(slow)) = (&ticket.sql, self.pool.settings.slow_query)
            && took >= slow
        {
            let sql = sql.clone();
            self.turn.push(Todo::Slow(sql, took));
        }
        self.end(ticket, result);
        self.next_head(at);
    }

    /// What comes after a work that has ended.
    pub(crate) fn next_head(&mut self, at: usize) {
        let slot = &mut self.state.slots[at];
        // A request that is still under way could hit what is sent next.
        slot.cancel.take_if(|cancel| !cancel.is_under_way);
        let head = slot.session.as_ref().and_then(Session::head);
        if head.is_some_and(Ticket::is_interrupted) {
            self.cancel_head(at);
        }
    }

    /// Has PostgreSQL stop what is at the head.
    pub(crate) fn cancel_head(&mut self, at: usize) {
        let slot = &mut self.state.slots[at];
        if slot.cancel.is_some() {
            return;
        }
        slot.cancel = Some(Cancelling::begin(self.now));
        self.send_cancel(at);
        self.call(at);
    }

    /// Sends a cancel request once the lock is free.
    pub(crate) fn send_cancel(&mut self, at: usize) {
        let slot = &mut self.state.slots[at];
        let key = slot.session.as_ref().and_then(Session::cancel_key);
        slot.cancelled_at = Some(self.now);
        if let (Some(target), Some(session)) = (slot.target.clone(), key) {
            let line = CancelLine::new(self.shard.number, slot.key, &session);
            self.turn.push(Todo::Cancel(target, line));
        }
    }

    /// A cancel request has stopped a job that has no effect then: its own request, or one for a job
    /// before it that came late.
    fn stopped(&mut self, at: usize, mut ticket: Ticket, work: Work, error: Error) {
        let cancelled_at = self.state.slots[at].cancelled_at;
        let age = |cancelled: Instant| self.now.saturating_duration_since(cancelled);
        let is_late = cancelled_at.is_some_and(|at| age(at) < LATEST);
        if !is_late || !ticket.runs_again() {
            return self.done(at, ticket, Err(error));
        }
        self.head_ended(at);
        self.shard.load.fetch_sub(1, Ordering::Relaxed);
        self.requeue(Waiting { ticket, work });
        self.next_head(at);
    }

    fn checked(&mut self, at: usize, result: Result<Outcome, Error>) {
        let wanted = self.pool.servers.settings.target_session_attrs;
        let question = question(wanted).filter(|_| may_change(wanted));
        let fault = match (result, question) {
            (Err(error), _) => Some(error),
            (Ok(Outcome::Simple(answers)), Some(question))
                if answers
                    .iter()
                    .flatten()
                    .any(|answer| **answer == *question.unwanted) =>
            {
                Some(lost(question.objection))
            }
            (Ok(_), _) => None,
        };
        match fault {
            None => self.state.slots[at].stage = Stage::Open,
            Some(error) => {
                let key = self.state.slots[at].key;
                self.broke(key, &error);
            }
        }
    }

    fn listen_done(&mut self, at: usize, result: Result<Outcome, Error>) {
        match result {
            Ok(_) => self.turn.push(Todo::Listens),
            Err(error) => {
                let key = self.state.slots[at].key;
                self.broke(key, &error);
            }
        }
    }

    fn reset_done(&mut self, at: usize, result: Result<Outcome, Error>) {
        self.state.slots[at].limit_is_doubtful = false;
        if let Err(error) = result {
            let key = self.state.slots[at].key;
            let why = lost(&format!("a session could not be reset: {error}"));
            self.broke(key, &why);
        }
    }

    /// A statement of an interaction has ended, or its beginning or its end.
    fn step_done(&mut self, at: usize, ticket: Ticket, result: Result<Outcome, Error>) {
        let slot = &mut self.state.slots[at];
        slot.has_owner = true;
        let key = slot.key;
        self.turn.push(Todo::Step(key, ticket, result));
    }

    /// An interaction has ended on its connection, if that is still there.
    pub(crate) fn interaction_over(&mut self, key: u64, ticket: &Ticket) {
        self.shard.load.fetch_sub(1, Ordering::Relaxed);
        let took = self.now.saturating_duration_since(ticket.sent_at);
        self.state.durations.learn(ticket.kind, took);
        if let Some(at) = self.state.find(key) {
            let slot = &mut self.state.slots[at];
            (slot.has_owner, slot.is_long) = (false, false);
            slot.last_used = self.now;
            self.call(at);
            self.next_head(at);
        }
        self.dispatch();
    }

    /// Hands a batch on that its consumer had no room for, now that it has.
    pub(crate) fn try_held(&mut self, at: usize) {
        let slot = &mut self.state.slots[at];
        let head = slot.session.as_ref().and_then(Session::head);
        let Some(Owed::Stream(_, sink)) = head.map(|head| &head.owed) else {
            return;
        };
        let sink = sink.clone();
        if slot.has_room
            && let Some(rows) = slot.held.take()
        {
            slot.has_room = false;
            let key = slot.key;
            self.turn.push(Todo::Batch(key, sink, rows));
        }
    }
}
