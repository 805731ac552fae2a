//! Owns what the connections of one pool have found out together: whether the database is there,
//! why not, and when a connection was last lost. Knows no job.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{error, info};

use crate::{LOG, stats::Stats};

/// While the database is away, attempts to connect are at least this far apart, whoever makes them.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// And up to this much more, at random, so that several nodes do not come in step.
const JITTER: Duration = Duration::from_millis(100);

pub(crate) struct Health {
    /// The pool's name, or what it connects to; for the log.
    subject: String,
    /// What the log calls the database.
    database: &'static str,
    outage: Mutex<Option<Outage>>,
    born: Instant,
    last_loss: AtomicInstant,
    last_silence: AtomicInstant,
    connecting: AtomicU32,
    opened: AtomicU64,
    lost: AtomicU64,
}

struct Outage {
    reason: String,
    since: Instant,
    next_attempt: Instant,
}

impl Health {
    pub(crate) fn new(subject: String, database: &'static str) -> Self {
        Self {
            subject,
            database,
            outage: Mutex::new(None),
            born: Instant::now(),
            last_loss: AtomicInstant::default(),
            last_silence: AtomicInstant::default(),
            connecting: AtomicU32::new(0),
            opened: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    fn outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why there is no connecting at present, if there is none.
    pub(crate) fn reason(&self) -> Option<String> {
        self.outage().as_ref().map(|outage| outage.reason.clone())
    }

    /// Whether the database could not be reached when this was last tried.
    pub(crate) fn is_down(&self) -> bool {
        self.outage().is_some()
    }

    /// Asks for permission to connect. While the database is away, one attempt at a time speaks for
    /// all that would come with it.
    ///
    /// # Errors
    /// The reason of the last failure, when the next attempt is not due yet.
    pub(crate) fn admit(&self) -> Result<(), String> {
        let mut outage = self.outage();
        let Some(outage) = outage.as_mut() else {
            return Ok(());
        };
        let now = Instant::now();
        if now < outage.next_attempt {
            return Err(outage.reason.clone());
        }
        outage.next_attempt = now + MIN_PAUSE + jitter(JITTER);
        Ok(())
    }

    /// Counts an attempt to connect while it lasts.
    pub(crate) fn connecting<T>(&self, attempt: impl FnOnce() -> T) -> T {
        self.connecting.fetch_add(1, Ordering::Relaxed);
        let result = attempt();
        self.connecting.fetch_sub(1, Ordering::Relaxed);
        result
    }

    /// The figures that are kept here.
    pub(crate) fn report(&self, stats: &mut Stats) {
        stats.connecting = self.connecting.load(Ordering::Relaxed);
        stats.opened = self.opened.load(Ordering::Relaxed);
        stats.lost = self.lost.load(Ordering::Relaxed);
    }

    /// A connection was made.
    pub(crate) fn connected(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        // The log may be slow, and who waits for the outage would wait for it.
        let outage = self.outage().take();
        if let Some(outage) = outage {
            let seconds = outage.since.elapsed().as_secs_f32();
            info!(target: LOG, "{}: {} answers again after {seconds:.1} s", self.subject, self.database);
        }
    }

    /// No connection could be made. Logged once for each new reason, not once for each attempt.
    pub(crate) fn refused(&self, reason: &str) {
        let now = Instant::now();
        let mut outage = self.outage();
        let since = outage.as_ref().map_or(now, |outage| outage.since);
        let before = outage.replace(Outage {
            reason: reason.to_owned(),
            since,
            next_attempt: now + MIN_PAUSE + jitter(JITTER),
        });
        drop(outage);
        if before.is_none_or(|outage| outage.reason != reason) {
            error!(target: LOG, "{}: cannot connect to {}, will keep trying: {reason}", self.subject, self.database);
        }
    }

    /// A connection was found dead: others that are as old may be too.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.last_loss.set(self.born);
    }

    /// Whether a connection was found dead after `moment`.
    pub(crate) fn lost_since(&self, moment: Instant) -> bool {
        self.last_loss.is_after(self.born, moment)
    }

    /// A connection gave no answer when it was tried.
    pub(crate) fn silent(&self) {
        self.last_silence.set(self.born);
    }

    /// Whether a connection gave no answer after `moment`.
    pub(crate) fn silent_since(&self, moment: Instant) -> bool {
        self.last_silence.is_after(self.born, moment)
    }
}

/// When something last happened, in nanoseconds after a beginning; 0 is never. Each checkout reads
/// it, so it is not a lock.
#[derive(Default)]
struct AtomicInstant(AtomicU64);

impl AtomicInstant {
    fn set(&self, beginning: Instant) {
        let nanos = u64::try_from(beginning.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Ordering::Relaxed);
    }

    fn is_after(&self, beginning: Instant, moment: Instant) -> bool {
        let nanos = self.0.load(Ordering::Relaxed);
        nanos > 0 && beginning + Duration::from_nanos(nanos) >= moment
    }
}

/// A random part of `most`. Not for secrets: the standard library's hash seed is random enough to
/// spread load.
pub(crate) fn jitter(most: Duration) -> Duration {
    let part = RandomState::new().hash_one(0) as u32;
    most.mul_f64(f64::from(part) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_speaks_for_all_while_the_database_is_away() {
        let health = Health::new("test".into(), "PostgreSQL");
        assert!(
            health.admit().is_ok() && health.admit().is_ok(),
            "free while all is well"
        );
        health.refused("connection refused");
        assert_eq!(health.admit().unwrap_err(), "connection refused");
        assert_eq!(health.reason().unwrap(), "connection refused");
        health.connected();
        assert!(!health.is_down() && health.admit().is_ok());
    }

    #[test]
    fn a_loss_casts_doubt_on_what_is_older() {
        let health = Health::new("test".into(), "PostgreSQL");
        let before = Instant::now();
        assert!(!health.lost_since(before));
        health.lost();
        assert!(health.lost_since(before));
        assert!(!health.lost_since(Instant::now() + Duration::from_secs(1)));
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_varies() {
        let draws: Vec<_> = (0..50).map(|_| jitter(JITTER)).collect();
        assert!(draws.iter().all(|draw| *draw <= JITTER));
        assert!(draws.iter().any(|draw| *draw != draws[0]));
    }
}
