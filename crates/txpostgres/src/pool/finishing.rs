//! Owns what is done once a shard's lock is free, in what order. Must not know how it came about.

use std::{sync::Arc, time::Instant};

use sql::{Error, ErrorKind, NotSent, RowSink, Rows};
use tracing::{info, warn};

use super::{
    Pool,
    shard::Locked,
    slot::Slot,
    ticket::{Owed, Ticket},
    turn::{Todo, Turn},
};
use crate::{
    error::LOG,
    interaction::Step,
    notices,
    session::{Outcome, lost},
};

impl Pool {
    /// Does what a call of a shard has left to do. Users' code runs here, and may use the pool.
    pub(crate) fn finish(self: &Arc<Self>, shard: usize, mut turn: Turn) {
        loop {
            if std::mem::take(&mut turn.wakes) {
                let home = &self.shards[shard].home;
                if !home.is_here() {
                    home.wake();
                }
            }
            if turn.todo.is_empty() {
                return;
            }
            for todo in std::mem::take(&mut turn.todo) {
                self.do_it(shard, todo, &mut turn);
            }
        }
    }

    fn do_it(self: &Arc<Self>, shard: usize, todo: Todo, turn: &mut Turn) {
        match todo {
            Todo::End(ticket, result) => {
                ticket.resolve(result);
                self.note_end();
            }
            Todo::Step(key, ticket, result) => self.go_on(shard, key, ticket, result, turn),
            Todo::Batch(key, sink, rows) => self.hand_on(shard, key, &sink, rows, turn),
            Todo::LastBatch(sink, rows) => sink.send_last(rows),
            Todo::Attempt(key) => self.advance(shard, key, turn),
            Todo::SetUp(key, opened) => self.set_up(shard, key, opened, turn),
            Todo::Cancel(target, line) => self.send_cancel(&target, line),
            Todo::Notice(report) => notices::log(&report),
            Todo::NoticesLeftOut(left_out) => {
                warn!(target: LOG, left_out, "notices of PostgreSQL were left out of the log");
            }
            Todo::Slow(sql, took) => {
                warn!(target: LOG, millis = took.as_millis(), "slow query: {}", &*sql);
            }
            Todo::CanListen => self.can_listen(),
            Todo::Listens => self.listens(),
            Todo::Notified(notification) => self.listening.notified(notification),
            Todo::NotListening(reason) => self.not_listening(&reason),
            Todo::Noise(line) => info!(target: LOG, "{line}"),
            Todo::TakeOver => self.take_over(shard, turn),
            Todo::Offer => self.offer(shard),
        }
    }

    /// An interaction goes on with what has come.
    fn go_on(
        self: &Arc<Self>,
        shard: usize,
        key: u64,
        mut ticket: Ticket,
        mut came: Result<Outcome, Error>,
        turn: &mut Turn,
    ) {
        loop {
            let is_interrupted = ticket.is_interrupted();
            let Owed::Interaction(interaction) = &mut ticket.owed else {
                return ticket.resolve(came);
            };
            let step = interaction.step(came, is_interrupted);
            let mut locked = self.locked(shard, Instant::now(), turn);
            match step {
                Step::Send(work) => match locked.state.find(key) {
                    Some(at) => return locked.send_step(at, ticket, *work),
                    None => came = Err(lost("it is gone")),
                },
                Step::Over(failure) => {
                    locked.interaction_over(key, &ticket);
                    let failure = ticket.over(failure);
                    locked.count(failure);
                    drop(locked);
                    let unfinished = Error::new(ErrorKind::Other, "the interaction has no result");
                    ticket.resolve(Err(unfinished));
                    return self.note_end();
                }
            }
        }
    }

    /// Hands a batch to its consumer, and asks for the next if there is room.
    fn hand_on(
        self: &Arc<Self>,
        shard: usize,
        key: u64,
        sink: &RowSink,
        rows: Rows,
        turn: &mut Turn,
    ) {
        let pool = Arc::downgrade(self);
        let on_room = move || {
            if let Some(pool) = pool.upgrade() {
                pool.act(shard, Instant::now(), |locked| locked.has_room(key));
            }
        };
        let sent = sink.try_send(rows, on_room);
        let mut locked = self.locked(shard, Instant::now(), turn);
        let Some(at) = locked.state.find(key) else {
            return;
        };
        let slot: &mut Slot = &mut locked.state.slots[at];
        let Some(session) = &mut slot.session else {
            return;
        };
        let is_over = !session.head().is_some_and(|head| head.is_of(sink));
        match sent {
            Err(NotSent::Full(rows)) if is_over => {
                drop(locked);
                return sink.send_last(rows);
            }
            _ if is_over => return,
            Ok(()) => session.next_batch(&mut slot.out),
            Err(NotSent::Ended) => session.end_stream(&mut slot.out),
            Err(NotSent::Full(rows)) if session.head().is_some_and(Ticket::is_interrupted) => {
                drop(rows);
                session.end_stream(&mut slot.out);
            }
            Err(NotSent::Full(rows)) => slot.held = Some(rows),
        }
        // The answer's time begins now.
        slot.head_since = Instant::now();
        locked.call(at);
    }

    /// Has a shard with nothing to do take a job of this one.
    fn offer(self: &Arc<Self>, shard: usize) {
        use std::sync::atomic::Ordering::Relaxed;
        let idle = (self.shards.iter())
            .filter(|other| other.number != shard && self.shards[shard].waiting.load(Relaxed) > 0)
            .find(|other| other.load.load(Relaxed) + other.waiting.load(Relaxed) == 0);
        if let Some(idle) = idle
            && self.act(idle.number, Instant::now(), |locked| locked.is_free())
        {
            let mut turn = Turn::default();
            self.take_over(idle.number, &mut turn);
            self.finish(idle.number, turn);
        }
    }

    /// Takes a job from a shard that has more than it can send.
    fn take_over(self: &Arc<Self>, shard: usize, turn: &mut Turn) {
        use std::sync::atomic::Ordering::Relaxed;
        for other in &self.shards {
            if other.number == shard || other.waiting.load(Relaxed) == 0 {
                continue;
            }
            let classes = self.locked(shard, Instant::now(), turn).takes();
            let mut of_other = Turn::default();
            let taken = self
                .locked(other.number, Instant::now(), &mut of_other)
                .give(&classes);
            if let Some(waiting) = taken {
                let mut locked = self.locked(shard, Instant::now(), turn);
                locked.requeue(waiting);
                locked.dispatch();
            }
        }
    }
}

impl Locked<'_> {
    /// Whether a job that is sent now is sent at once.
    pub(crate) fn is_free(&self) -> bool {
        let is_free = |slot: &Slot| slot.is_open() && !slot.is_busy() && !slot.is_retired;
        self.state.slots.iter().any(is_free)
    }

    /// The consumer of a stream may have room again.
    fn has_room(&mut self, key: u64) {
        if let Some(at) = self.state.find(key) {
            self.state.slots[at].has_room = true;
            self.call(at);
        }
    }
}
