//! Owns the pool as its users see it, and its shards, one for each I/O thread. What happens in a
//! shard is `pool/shard.rs`'s.

pub(crate) mod cancel;
mod closing;
mod events;
mod finishing;
mod health;
mod losing;
mod opening;
mod policy;
mod queue;
mod sending;
mod shard;
mod slot;
mod sockets;
mod tally;
mod ticket;
mod timers;
mod turn;

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, Weak,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use deferred::Interrupt;
use sql::{Error, Stats};

use super::{
    connecting::Servers,
    error::closed,
    listening::Listening,
    reactors::Home,
    session::{Shared, Work},
    settings::PoolSettings,
};

use cancel::Interrupter;
use closing::phase;
use health::Health;
#[cfg(test)]
pub(crate) use policy::DEPTH;
pub(crate) use shard::Locked;
use shard::Shard;
use timers::Clock;
use turn::Turn;

pub(crate) use slot::{Purpose, Stage};
pub(crate) use ticket::{Owed, Ticket, Waiting, is_explicit, kind_of_job, kind_of_text};

/// A pool of connections to one PostgreSQL database, on the I/O threads that it was built for.
///
/// Cloning it gives another handle on the same pool; dropping the last one closes it.
#[derive(Clone)]
pub struct ConnectionPool {
    handle: Arc<Handle>,
}

/// What all clones share. The I/O threads do not hold it, so its drop closes the pool.
struct Handle(Arc<Pool>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close(self.0.settings.close_grace);
    }
}

/// The pool itself.
pub(crate) struct Pool {
    pub(crate) settings: PoolSettings,
    pub(crate) servers: Servers,
    pub(crate) health: Health,
    pub(crate) shards: Vec<Shard>,
    pub(crate) listening: Listening,
    /// What its sessions have learnt for each other.
    sessions: Arc<Shared>,
    /// Jobs that wait, in all shards.
    waiting: AtomicUsize,
    phase: AtomicU8,
    /// What a job that is stopped calls.
    interrupt: Arc<dyn Interrupt<Error>>,
    last_key: AtomicU64,
    /// A job of a closed pool has ended.
    ends: (Mutex<()>, Condvar),
}

impl Pool {
    pub(crate) fn new(
        settings: PoolSettings,
        servers: Servers,
        homes: Vec<Box<dyn Home>>,
    ) -> Arc<Self> {
        let [most, least] =
            [settings.cp_max, settings.cp_min].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let shards = homes.len().min(most).max(1);
        let share = |of: usize, n: usize| of / shards + usize::from(n < of % shards);
        let homes = homes.into_iter().take(shards).enumerate();
        let shards = homes.map(|(n, home)| Shard::new(n, home, share(most, n), share(least, n)));
        Arc::new_cyclic(|pool: &Weak<Self>| Self {
            health: Health::new(settings.subject().to_owned()),
            servers,
            shards: shards.collect(),
            listening: Listening::default(),
            sessions: Arc::new(Shared::default()),
            waiting: AtomicUsize::new(0),
            phase: AtomicU8::new(phase::UNSTARTED),
            interrupt: Arc::new(Interrupter(pool.clone())),
            last_key: AtomicU64::new(0),
            ends: (Mutex::new(()), Condvar::new()),
            settings,
        })
    }

    pub(crate) fn next_key(&self) -> u64 {
        self.last_key.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes the lock of a shard.
    pub(crate) fn locked<'a>(
        &'a self,
        shard: usize,
        now: Instant,
        turn: &'a mut Turn,
    ) -> Locked<'a> {
        let shard = &self.shards[shard];
        Locked {
            state: shard.state(),
            pool: self,
            shard,
            now,
            turn,
        }
    }

    /// Opens the first connections, unless that was done before.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](sql::ErrorKind::Closed) after the close.
    pub(crate) fn start(self: &Arc<Self>) -> Result<(), Error> {
        let (from, to) = (phase::UNSTARTED, phase::RUNNING);
        let order = Ordering::SeqCst;
        match self.phase.compare_exchange(from, to, order, order) {
            Ok(_) => {}
            Err(phase::RUNNING) => return Ok(()),
            Err(_) => return Err(closed()),
        }
        for shard in &self.shards {
            let clock = Clock {
                pool: Arc::downgrade(self),
                shard: shard.number,
            };
            shard.home.add_task(Box::new(clock));
        }
        Ok(())
    }

    /// Sends a job, or lets it wait, or refuses it; never blocks.
    pub(crate) fn submit(self: &Arc<Self>, ticket: Ticket, work: Work) {
        if self.phase.load(Ordering::Relaxed) != phase::RUNNING
            && let Err(error) = self.start()
        {
            return ticket.resolve(Err(error));
        }
        if !ticket.begin(&self.interrupt) {
            return;
        }
        let (shard, now) = (self.choose(), ticket.submitted);
        self.act(shard, now, |locked| {
            locked.submit(Waiting { ticket, work });
        });
    }

    /// The shard of this thread, unless another one has nothing to do while this has; or else the
    /// one with the fewest jobs.
    fn choose(&self) -> usize {
        let load = |shard: &&Shard| {
            let waiting = shard.waiting.load(Ordering::Relaxed);
            waiting + shard.load.load(Ordering::Relaxed)
        };
        let here = self.shards.iter().find(|shard| shard.home.is_here());
        if let Some(here) = here {
            let waits = here.waiting.load(Ordering::Relaxed) > 0;
            let idle = || self.shards.iter().find(|other| load(other) == 0);
            let chosen = if waits { idle().unwrap_or(here) } else { here };
            return chosen.number;
        }
        let least = self.shards.iter().min_by_key(load);
        least.map_or(0, |shard| shard.number)
    }

    /// The figures of all shards at one moment.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        if self.is_closed() {
            return stats;
        }
        let states: Vec<_> = self.shards.iter().map(Shard::state).collect();
        for state in &states {
            state.add_to(&mut stats);
        }
        stats.opened = self.health.opened.load(Ordering::Relaxed);
        stats.lost = self.health.lost.load(Ordering::Relaxed);
        stats
    }
}

impl ConnectionPool {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        let handle = Arc::new(Handle(pool));
        Self { handle }
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.handle.0
    }

    /// Opens the first `cp_min` connections in the background. Jobs do this by themselves if nobody
    /// did it before; starting again does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](sql::ErrorKind::Closed) if the pool was closed.
    pub fn start(&self) -> Result<(), Error> {
        self.pool().start()
    }

    /// Ends the pool: jobs that wait fail with [`ErrorKind::Closed`](sql::ErrorKind::Closed); jobs
    /// that run get the grace time, then their statements are cancelled and they fail the same way.
    /// Closing again does nothing.
    ///
    /// # Blocking
    /// Until no job runs any more: at most the grace time and a little for cancelling. On an I/O
    /// thread of the pool's it does not block, and the pool ends by itself.
    pub fn close(&self) {
        self.close_within(self.pool().settings.close_grace);
    }

    /// The same with another grace time.
    ///
    /// # Blocking
    /// As [`close`](Self::close).
    pub fn close_within(&self, grace: Duration) {
        self.pool().close(grace);
    }

    /// The pool's figures, all of one moment; zeros before the start and after the close.
    pub fn stats(&self) -> Stats {
        self.pool().stats()
    }
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool().settings.fmt(f)
    }
}
