//! Owns what the connections of one pool have found out together: whether PostgreSQL is there, why
//! not, and when a connection was last lost. Must not know jobs.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{error, info};

use crate::error::LOG;

/// While PostgreSQL is away, attempts to connect are at least this far apart. The pause grows up to
/// the other, which keeps the first success within half a second of its return.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_AT_MOST: Duration = Duration::from_millis(400);

pub(crate) struct Health {
    /// The pool's name, or what it connects to; for the log.
    subject: String,
    outage: Mutex<Option<Outage>>,
    last_loss: Mutex<Option<Instant>>,
    pub(crate) opened: AtomicU64,
    pub(crate) lost: AtomicU64,
}

struct Outage {
    reason: String,
    since: Instant,
    next_attempt: Instant,
    pause: Duration,
}

impl Health {
    pub(crate) fn new(subject: String) -> Self {
        Self {
            subject,
            outage: Mutex::default(),
            last_loss: Mutex::default(),
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

    pub(crate) fn is_down(&self) -> bool {
        self.outage().is_some()
    }

    /// Asks for permission to connect. While PostgreSQL is away, one attempt at a time speaks for
    /// all that would come with it.
    ///
    /// # Errors
    /// When to ask again.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Instant> {
        let mut outage = self.outage();
        let Some(outage) = outage.as_mut() else {
            return Ok(());
        };
        if now < outage.next_attempt {
            return Err(outage.next_attempt);
        }
        outage.next_attempt = now + outage.pause + jitter(PAUSE);
        Ok(())
    }

    /// A connection was made.
    pub(crate) fn connected(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        // The log may be slow, and who waits for the outage would wait for it.
        let outage = self.outage().take();
        if let Some(outage) = outage {
            let seconds = outage.since.elapsed().as_secs_f32();
            info!(target: LOG, "{}: PostgreSQL answers again after {seconds:.1} s", self.subject);
        }
    }

    /// No connection could be made. Logged once for each new reason, not once for each attempt.
    pub(crate) fn refused(&self, reason: &str, now: Instant) {
        let mut outage = self.outage();
        let since = outage.as_ref().map_or(now, |outage| outage.since);
        let before = outage.as_ref().map(|outage| outage.pause);
        let pause = before.map_or(PAUSE, |before| (before * 2).min(PAUSE_AT_MOST));
        let before = outage.replace(Outage {
            reason: reason.to_owned(),
            since,
            next_attempt: now + pause + jitter(PAUSE),
            pause,
        });
        drop(outage);
        if before.is_none_or(|outage| outage.reason != reason) {
            error!(target: LOG, "{}: cannot connect to PostgreSQL, will keep trying: {reason}", self.subject);
        }
    }

    /// A connection was found dead, or broke: others that are as old may be of another server now.
    pub(crate) fn lost(&self, now: Instant) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        *self.last_loss() = Some(now);
    }

    /// Whether a connection was found dead after `moment`.
    pub(crate) fn lost_since(&self, moment: Instant) -> bool {
        self.last_loss().is_some_and(|loss| loss >= moment)
    }

    fn last_loss(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_loss
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
    fn one_attempt_speaks_for_all_while_postgresql_is_away() {
        let (health, now) = (Health::new("test".into()), Instant::now());
        assert_eq!((health.admit(now), health.admit(now)), (Ok(()), Ok(())));
        health.refused("connection refused", now);
        assert_eq!(health.reason().unwrap(), "connection refused");
        let first = health.admit(now).unwrap_err();
        assert!((PAUSE..=2 * PAUSE).contains(&(first - now)));
        assert_eq!(health.admit(first), Ok(()));
        let next = health.admit(first).unwrap_err();
        assert!(next > first, "one at a time");
        for _ in 0..10 {
            health.refused("connection refused", now);
        }
        let longest = health.admit(now).unwrap_err() - now;
        assert!(longest <= PAUSE_AT_MOST + PAUSE, "{longest:?}");
        health.connected();
        assert_eq!((health.admit(now), health.is_down()), (Ok(()), false));
    }

    #[test]
    fn a_loss_makes_older_connections_doubtful() {
        let (health, before) = (Health::new("test".into()), Instant::now());
        assert!(!health.lost_since(before));
        health.lost(before + PAUSE);
        assert!(health.lost_since(before));
        assert!(!health.lost_since(before + 2 * PAUSE));
    }
}
