//! Owns what the time of jobs went into, as far as a backend sees it. Must not know who wants to know.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// What the time of one or more jobs went into. A backend adds to it what it sees, before the job has
/// its result; several jobs may share one, as when one is tried again.
#[derive(Debug, Default)]
pub struct JobTimes {
    waited: AtomicU64,
    connecting: AtomicU64,
    database: AtomicU64,
}

impl JobTimes {
    /// Adds what one job, or one run of it, has taken.
    pub fn add(&self, waited: Duration, connecting: Duration, database: Duration) {
        add(&self.waited, waited);
        add(&self.connecting, connecting);
        add(&self.database, database);
    }

    /// How long they waited for their turn: for a worker, a connection that others had, or what was
    /// sent before them.
    pub fn waited(&self) -> Duration {
        of(&self.waited)
    }

    /// How long they waited for a connection to be made.
    pub fn connecting(&self) -> Duration {
        of(&self.connecting)
    }

    /// How long PostgreSQL took for them, the way there and back included.
    pub fn database(&self) -> Duration {
        of(&self.database)
    }
}

fn add(to: &AtomicU64, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    to.fetch_add(micros, Ordering::Relaxed);
}

fn of(micros: &AtomicU64) -> Duration {
    Duration::from_micros(micros.load(Ordering::Relaxed))
}
