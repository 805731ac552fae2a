//! Owns one I/O thread's share of a pool: its queue, its connections, and who goes where. Nothing
//! here calls users' code or the system: what is to be done afterwards goes into a `Turn`.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reactor::TaskId;
use sql::{Error, Stats, TargetSessionAttrs};

use super::{
    Pool,
    policy::{Class, Durations},
    queue::Queue,
    slot::{Opening, Purpose, Slot},
    ticket::{Ticket, Waiting},
    turn::{Todo, Turn, failure},
};
use crate::{
    connecting::{Attempt, Hint},
    error::{closed, queue_full},
    reactors::Home,
    session::{Event, Outcome},
};

/// A connection that worked this short a time ago is trusted to work still.
pub(crate) const TRUSTED: Duration = Duration::from_millis(10);

/// One I/O thread's share.
pub(crate) struct Shard {
    pub(crate) number: usize,
    pub(crate) home: Box<dyn Home>,
    state: Mutex<State>,
    /// Jobs here that wait, and all jobs here, for others to choose by.
    pub(crate) waiting: AtomicUsize,
    pub(crate) load: AtomicUsize,
}

/// What the lock guards. Only the shard's own thread takes it in the normal case.
pub(crate) struct State {
    /// How many connections there may be, and how many there are to be.
    pub(crate) most: usize,
    pub(crate) least: usize,
    pub(crate) queue: Queue<Waiting>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) durations: Durations,
    pub(crate) last_quick: Option<Instant>,
    /// The task that keeps this shard's times, and when it will look.
    pub(crate) task: Option<TaskId>,
    pub(crate) armed: Option<Instant>,
    /// That task is looking, and will see when it must look again.
    pub(crate) is_looking: bool,
    pub(crate) is_closing: bool,
    pub(crate) tally: Stats,
    pub(super) events: Vec<Event<Ticket>>,
}

/// A shard while its lock is held.
pub(crate) struct Locked<'a> {
    pub(crate) state: MutexGuard<'a, State>,
    pub(crate) pool: &'a Pool,
    pub(crate) shard: &'a Shard,
    pub(crate) now: Instant,
    pub(crate) turn: &'a mut Turn,
}

impl Shard {
    pub(crate) fn new(number: usize, home: Box<dyn Home>, most: usize, least: usize) -> Self {
        let state = State {
            most,
            least,
            queue: Queue::default(),
            slots: Vec::new(),
            durations: Durations::default(),
            last_quick: None,
            task: None,
            armed: None,
            is_looking: false,
            is_closing: false,
            tally: Stats::default(),
            events: Vec::new(),
        };
        Self {
            number,
            home,
            state: Mutex::new(state),
            waiting: AtomicUsize::new(0),
            load: AtomicUsize::new(0),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No user code runs under the lock, so a poisoned one is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn find(&self, key: u64) -> Option<usize> {
        self.slots.iter().position(|slot| slot.key == key)
    }

    /// How many connections for jobs there are or will be.
    pub(crate) fn connections(&self) -> usize {
        let for_jobs = |slot: &&Slot| slot.purpose == Purpose::Jobs;
        self.slots.iter().filter(for_jobs).count()
    }

    /// Jobs that were sent, or have a connection.
    pub(crate) fn running(&self) -> usize {
        self.slots.iter().map(Slot::running).sum()
    }
}

impl Slot {
    /// How many jobs it has.
    pub(crate) fn running(&self) -> usize {
        if self.purpose == Purpose::Listening || self.is_opening() {
            return 0;
        }
        let sent = self.session.as_ref().map_or(0, |session| {
            session.tickets().filter(|ticket| ticket.is_job()).count()
        });
        sent + usize::from(self.has_owner)
    }
}

impl Locked<'_> {
    /// Sends a job or lets it wait.
    pub(crate) fn submit(&mut self, waiting: Waiting) {
        if self.state.is_closing {
            return self.refuse(waiting.ticket, closed());
        }
        let class = self.class(&waiting);
        if self.state.queue.list_is_empty(class)
            && let Some(at) = self.pick(class, waiting.ticket.needs_idle)
        {
            self.send(at, waiting, class);
            return self.grow();
        }
        let limit = self.pool.settings.queue_limit;
        if self.pool.waiting.fetch_add(1, Ordering::Relaxed) >= limit {
            self.pool.waiting.fetch_sub(1, Ordering::Relaxed);
            self.state.tally.errors.queue_full += 1;
            return self.refuse(waiting.ticket, queue_full(limit));
        }
        self.shard.waiting.fetch_add(1, Ordering::Relaxed);
        self.state.queue.push(class, waiting);
        self.grow();
        self.arm_for_queue();
        self.turn.push(Todo::Offer);
    }

    fn refuse(&mut self, ticket: Ticket, error: Error) {
        ticket.over(None);
        self.turn.push(Todo::End(ticket, Err(error)));
    }

    fn class(&self, waiting: &Waiting) -> Class {
        waiting.class(self.state.durations.class(waiting.ticket.kind))
    }

    /// A job leaves the queue.
    pub(crate) fn unqueued(&mut self, ticket: &Ticket) {
        self.pool.waiting.fetch_sub(1, Ordering::Relaxed);
        self.shard.waiting.fetch_sub(1, Ordering::Relaxed);
        let waited = self.now.saturating_duration_since(ticket.submitted);
        let longest = &mut self.state.tally.longest_wait;
        *longest = waited.max(*longest);
    }

    /// Puts a job that was taken, and has had no effect, before all others.
    pub(crate) fn requeue(&mut self, waiting: Waiting) {
        let class = self.class(&waiting);
        self.pool.waiting.fetch_add(1, Ordering::Relaxed);
        self.shard.waiting.fetch_add(1, Ordering::Relaxed);
        self.state.queue.push_first(class, waiting);
    }

    /// Sends what waits and may be sent now.
    pub(crate) fn dispatch(&mut self) {
        if self.state.is_closing {
            return;
        }
        while !self.state.queue.is_empty() && self.send_one() {}
        self.grow();
        self.arm_for_queue();
        let others_wait = self.state.queue.is_empty() && {
            // Mostly nobody waits anywhere.
            self.pool.waiting.load(Ordering::Relaxed) > 0
        };
        if others_wait && self.is_free() {
            self.turn.push(Todo::TakeOver);
        }
    }

    fn send_one(&mut self) -> bool {
        let state = &mut *self.state;
        let durations = &state.durations;
        let class_of = |waiting: &Waiting| waiting.class(durations.class(waiting.ticket.kind));
        state.queue.sort_fronts(class_of);
        let submitted = |class| state.queue.front(class).map(|front| front.ticket.submitted);
        // Of the two that need a connection at nothing, the older one.
        let rest = match (submitted(Class::Unknown), submitted(Class::Slow)) {
            (Some(unknown), Some(slow)) if slow < unknown => [Class::Slow, Class::Unknown],
            _ => [Class::Unknown, Class::Slow],
        };
        for class in [Class::Quick, rest[0], rest[1]] {
            let Some(front) = self.state.queue.front(class) else {
                continue;
            };
            let needs_idle = front.ticket.needs_idle;
            if let Some(at) = self.pick(class, needs_idle)
                && let Some(waiting) = self.state.queue.pop(class)
            {
                self.unqueued(&waiting.ticket);
                self.send(at, waiting, class);
                return true;
            }
        }
        false
    }

    /// The classes of which a job would be sent at once.
    pub(crate) fn takes(&mut self) -> Vec<Class> {
        let all = [Class::Quick, Class::Unknown, Class::Slow].into_iter();
        all.filter(|class| self.pick(*class, true).is_some())
            .collect()
    }

    /// Gives away the job that waits longest, of these classes.
    pub(crate) fn give(&mut self, classes: &[Class]) -> Option<Waiting> {
        let oldest = (classes.iter().copied())
            .filter_map(|class| Some((self.state.queue.front(class)?.ticket.submitted, class)))
            .min_by_key(|(submitted, _)| *submitted);
        let waiting = self.state.queue.pop(oldest?.1)?;
        self.unqueued(&waiting.ticket);
        Some(waiting)
    }

    /// Opens connections if some are missing.
    pub(crate) fn grow(&mut self) {
        let there = self.state.connections();
        if there >= self.state.most || self.state.is_closing {
            return;
        }
        let slots = &self.state.slots;
        let opening = slots.iter().filter(|slot| slot.is_opening()).count();
        let open = slots.iter().filter(|slot| slot.is_open());
        let fewest = open.map(|slot| slot.in_flight()).min();
        let mut wanted = match fewest {
            Some(0) => 0,
            // One more than what is there, as soon as jobs share a connection.
            Some(_) => self.state.queue.len().max(1),
            None => self.state.queue.len(),
        };
        wanted = wanted.saturating_sub(opening);
        wanted = wanted.max(self.state.least.saturating_sub(there));
        for _ in 0..wanted.min(self.state.most - there) {
            if !self.open(Purpose::Jobs, self.wanted()) {
                return;
            }
        }
    }

    /// Begins to open a connection, unless it is too early for that.
    pub(crate) fn open(&mut self, purpose: Purpose, wanted: TargetSessionAttrs) -> bool {
        if let Err(at) = self.pool.health.admit(self.now) {
            self.arm(at);
            return false;
        }
        let settings = &self.pool.settings;
        // One line for an outage, not one for each of its attempts.
        if settings.cp_noisy && !self.pool.health.is_down() {
            let line = format!("txpostgres connecting: {}", settings.target);
            self.turn.push(Todo::Noise(line));
        }
        let key = self.pool.next_key();
        let opening = Opening {
            attempt: Attempt::new(&self.pool.servers, wanted),
            hint: Hint::Nothing,
            deadline: self.now + self.pool.servers.limit,
            steps: Default::default(),
        };
        let slot = Slot::new(key, purpose, opening, self.now);
        self.state.slots.push(slot);
        self.turn.push(Todo::Attempt(key));
        true
    }

    /// A job is over: counts it, and has its result given.
    pub(crate) fn end(&mut self, ticket: Ticket, result: Result<Outcome, Error>) {
        self.shard.load.fetch_sub(1, Ordering::Relaxed);
        let failure = ticket.over(failure(&result));
        self.count(failure);
        self.turn.push(Todo::End(ticket, result));
    }

    /// A job that waited is over.
    pub(crate) fn end_waiting(&mut self, waiting: Waiting, error: Error) {
        self.unqueued(&waiting.ticket);
        let failure = waiting.ticket.over(Some(error.kind()));
        self.count(failure);
        self.turn.push(Todo::End(waiting.ticket, Err(error)));
    }

    /// Has the task of this shard look at `at`, or earlier.
    pub(crate) fn arm(&mut self, at: Instant) {
        if self.state.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        self.state.armed = Some(at);
        if let Some(task) = self.state.task.filter(|_| !self.state.is_looking) {
            self.shard.home.post_to_task(task);
        }
    }
}
