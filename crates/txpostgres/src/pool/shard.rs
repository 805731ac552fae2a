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
use sql::{Error, ErrorKind, Stats, TargetSessionAttrs};

use super::{
    Pool,
    policy::{self, Class, Durations, RECENT},
    queue::Queue,
    slot::{Opening, Purpose, Slot, Stage},
    ticket::{Owed, Ticket, Waiting},
    turn::{Todo, Turn, failure},
};
use crate::{
    connecting::{Attempt, Hint, may_change, question},
    error::{closed, queue_full},
    reactors::Home,
    session::{Event, Outcome, Work, lost},
    settings::Reset,
};

/// A connection that worked this short a time ago is trusted to work still.
pub(crate) const TRUSTED: Duration = Duration::from_millis(10);

/// A connection that has idled for this long is tried, because a firewall between may have
/// forgotten it.
const STALE: Duration = Duration::from_secs(30);

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

    /// Adds what is here to the figures of all.
    pub(crate) fn add_to(&self, stats: &mut Stats) {
        for slot in &self.slots {
            if slot.purpose == Purpose::Listening {
                continue;
            }
            if slot.is_opening() {
                stats.connecting += 1;
                continue;
            }
            let is_busy = slot.running() > 0;
            stats.connections += 1;
            *(if is_busy {
                &mut stats.busy
            } else {
                &mut stats.idle
            }) += 1;
            stats.running += u32::try_from(slot.running()).unwrap_or(u32::MAX);
        }
        stats.waiting += self.queue.len();
        let tally = &self.tally;
        stats.longest_wait = stats.longest_wait.max(tally.longest_wait);
        stats.jobs += tally.jobs;
        stats.statement_hits += tally.statement_hits;
        stats.statement_misses += tally.statement_misses;
        let (all, its) = (&mut stats.errors, &tally.errors);
        for (all, its) in [
            (&mut all.database, its.database),
            (&mut all.connection_lost, its.connection_lost),
            (&mut all.unavailable, its.unavailable),
            (&mut all.queue_full, its.queue_full),
            (&mut all.queue_timeout, its.queue_timeout),
            (&mut all.timeout, its.timeout),
            (&mut all.cancelled, its.cancelled),
            (&mut all.panicked, its.panicked),
            (&mut all.other, its.other),
        ] {
            *all += its;
        }
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

    fn has_quick(&self) -> bool {
        let age = |at: Instant| self.now.saturating_duration_since(at);
        self.state.last_quick.is_some_and(|at| age(at) < RECENT)
    }

    fn pick(&mut self, class: Class, needs_idle: bool) -> Option<usize> {
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
            let at = policy::pick(views, open, class, needs_idle, has_quick, self.now)?;
            if !self.is_doubtful(at) {
                return Some(at);
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
        // A server that has become read-only, or is promoted, keeps its connections.
        idled > STALE || may_change(self.wanted()) && self.pool.health.lost_since(slot.last_used)
    }

    fn wanted(&self) -> TargetSessionAttrs {
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

    pub(crate) fn count(&mut self, failure: Option<ErrorKind>) {
        let tally = &mut self.state.tally;
        tally.jobs += 1;
        let Some(kind) = failure else { return };
        let errors = &mut tally.errors;
        *match kind {
            ErrorKind::Database => &mut errors.database,
            ErrorKind::ConnectionLost => &mut errors.connection_lost,
            ErrorKind::Unavailable => &mut errors.unavailable,
            ErrorKind::QueueTimeout => &mut errors.queue_timeout,
            ErrorKind::Timeout => &mut errors.timeout,
            ErrorKind::Cancelled => &mut errors.cancelled,
            ErrorKind::Panicked => &mut errors.panicked,
            _ => &mut errors.other,
        } += 1;
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
