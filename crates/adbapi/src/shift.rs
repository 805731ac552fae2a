//! Owns how many workers are on shift: not all while jobs are many and short. Knows neither jobs nor connections.
//!
//! Jobs that PostgreSQL answers within microseconds are limited by the processors, and a few workers keep those busy.
//! All others only look for work in between, and each look costs a switch of threads that those with work wait for. So
//! while jobs are that quick only some workers stay on shift; the rest sleep as soon as they find no job. When those on
//! shift do not keep up, because they wait for something else than a processor, or one of them is at a long job, all come
//! back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Jobs are quick while each of all workers takes no longer for one, on average.
pub(super) const QUICK: Duration = Duration::from_micros(500);

/// A worker judges its pace by so many jobs at a time.
const SAMPLE: u32 = 64;

/// So often somebody looks after a shift that is short.
pub(super) const ROUND: Duration = Duration::from_millis(5);

/// Who of a pool's workers is on shift.
pub(super) struct Shift {
    /// How many stay when it is short.
    size: u32,
    quick: Duration,
    is_short: AtomicBool,
    /// How many rest. Held for falling asleep and for calling back, so that nobody misses it.
    resting: Mutex<u32>,
    called_back: Condvar,
}

impl Shift {
    /// A shift of so many workers, all on it; `None` if there are too few to send any away. Two for each processor
    /// keep it busy, one waiting for PostgreSQL and the other with its answer; one more takes up what is uneven.
    pub(super) fn new(workers: u32, quick: Duration) -> Option<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let size = u32::try_from(2 * processors + 1).unwrap_or(u32::MAX);
        (workers > size).then(|| Self {
            size,
            quick,
            is_short: AtomicBool::new(false),
            resting: Mutex::new(0),
            called_back: Condvar::new(),
        })
    }

    /// How many workers stay on shift when it is short, those with the lowest numbers.
    pub(super) fn size(&self) -> usize {
        self.size as usize
    }

    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    /// Whether the worker of this number, from 1, is not wanted now.
    pub(super) fn may_rest(&self, number: u32) -> bool {
        number > self.size && self.is_short()
    }

    /// Sleeps until all workers are called back.
    pub(super) fn rest(&self) {
        let mut resting = self.resting();
        *resting += 1;
        let woken = self.called_back.wait_while(resting, |_| self.is_short());
        *woken.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    pub(super) fn resting(&self) -> MutexGuard<'_, u32> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a worker at this pace, when all are at it, calls for a short shift.
    pub(super) fn is_quick(&self, each_job: Duration) -> bool {
        each_job <= self.quick
    }

    pub(super) fn shorten(&self) {
        self.is_short.store(true, Ordering::Relaxed);
    }

    pub(super) fn call_back(&self) {
        let resting = self.resting();
        self.is_short.store(false, Ordering::Relaxed);
        drop(resting);
        self.called_back.notify_all();
    }

    /// Whether those on shift keep up who have done so many jobs in this time: they must be quicker than all were, or
    /// the shift would be short again as soon as it is whole.
    pub(super) fn keeps_up(&self, jobs: u64, time: Duration) -> bool {
        let spent = time.as_nanos() * u128::from(self.size);
        2 * spent <= self.quick.as_nanos() * u128::from(jobs)
    }
}

/// How quickly one worker does its jobs.
pub(super) struct Pace {
    since: Instant,
    jobs: u32,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            jobs: 0,
        }
    }

    /// Counts a job that begins. What each of a sample took, with the time between them, when this is its last.
    pub(super) fn count(&mut self, now: Instant) -> Option<Duration> {
        self.jobs += 1;
        if self.jobs < SAMPLE {
            return None;
        }
        let sample = now.saturating_duration_since(self.since);
        *self = Self::new(now);
        Some(sample / SAMPLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_the_average_of_a_sample() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        let step = Duration::from_micros(100);
        let told: Vec<_> = (1..=2 * SAMPLE)
            .filter_map(|n| pace.count(began + step * n).map(|each| (n, each)))
            .collect();
        assert_eq!(told, [(SAMPLE, step), (2 * SAMPLE, step)]);
    }

    #[test]
    fn few_workers_are_never_sent_away_and_of_many_none_at_first() {
        assert!(Shift::new(1, QUICK).is_none());
        let shift = Shift::new(1000, QUICK).unwrap();
        assert!(!shift.may_rest(1000));
        shift.shorten();
        assert!(shift.may_rest(1000));
        assert!(!shift.may_rest(1));
    }

    #[test]
    fn those_on_shift_keep_up_at_twice_the_pace_of_all() {
        let shift = Shift::new(1000, QUICK).unwrap();
        let jobs = ROUND.as_micros() as u64 * u64::from(shift.size) / 250;
        assert!(shift.keeps_up(jobs, ROUND));
        assert!(!shift.keeps_up(jobs - 1, ROUND));
        assert!(!shift.keeps_up(0, ROUND));
    }
}
