//! Owns how many of a pool's workers are active: not all while jobs are many and quick. Knows
//! neither jobs nor connections.
//!
//! Jobs that the database answers within microseconds are limited by the processors, and a few
//! workers keep those busy. All others only look for work in between, and each look costs a switch
//! of threads that the busy ones wait for. So while jobs are that quick only some workers stay
//! active; the others sleep as soon as they find no job. All are woken when the active ones do not
//! keep up, because they wait for something other than a processor, or when one of them has a long
//! job.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Jobs are quick if a worker takes no longer than this for one, on average, while all work.
pub(crate) const QUICK: Duration = Duration::from_micros(500);

/// A worker takes the average of so many jobs at a time.
const SAMPLE: u32 = 64;

/// How often the active workers are reviewed while not all are active.
pub(crate) const REVIEW_PERIOD: Duration = Duration::from_millis(5);

/// Which of a pool's workers are active.
pub(crate) struct ActiveWorkers {
    /// How many stay active when not all do.
    size: u32,
    quick: Duration,
    is_reduced: AtomicBool,
    /// How many sleep. Held for falling asleep and for waking, so that nobody misses it.
    sleeping: Mutex<u32>,
    woken: Condvar,
}

impl ActiveWorkers {
    /// All workers are active at first. `None` if there are too few for any to sleep. Two workers
    /// keep a processor busy: one waits for the database while the other has its answer. One more
    /// evens out what is left.
    pub(crate) fn new(workers: u32, quick: Duration) -> Option<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let size = u32::try_from(2 * processors + 1).unwrap_or(u32::MAX);
        (workers > size).then(|| Self {
            size,
            quick,
            is_reduced: AtomicBool::new(false),
            sleeping: Mutex::new(0),
            woken: Condvar::new(),
        })
    }

    /// How many workers stay active when not all do: those with the lowest numbers.
    pub(crate) fn size(&self) -> usize {
        self.size as usize
    }

    pub(crate) fn is_reduced(&self) -> bool {
        self.is_reduced.load(Ordering::Relaxed)
    }

    /// Whether the worker of this number, from 1, is not needed now.
    pub(crate) fn may_sleep(&self, number: u32) -> bool {
        number > self.size && self.is_reduced()
    }

    /// Sleeps until all workers are woken.
    pub(crate) fn sleep(&self) {
        let mut sleeping = self.sleeping();
        *sleeping += 1;
        let woken = self.woken.wait_while(sleeping, |_| self.is_reduced());
        *woken.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    pub(crate) fn sleeping(&self) -> MutexGuard<'_, u32> {
        self.sleeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether fewer workers would do if all took this long for a job.
    pub(crate) fn is_quick(&self, each_job: Duration) -> bool {
        each_job <= self.quick
    }

    pub(crate) fn reduce(&self) {
        self.is_reduced.store(true, Ordering::Relaxed);
    }

    pub(crate) fn wake_all(&self) {
        let sleeping = self.sleeping();
        self.is_reduced.store(false, Ordering::Relaxed);
        drop(sleeping);
        self.woken.notify_all();
    }

    /// Whether the active workers, which have done this many jobs in this time, keep up. They must
    /// be twice as quick as the limit: otherwise all would be woken and reduced again in turn.
    pub(crate) fn keeps_up(&self, jobs: u64, time: Duration) -> bool {
        let spent = time.as_nanos() * u128::from(self.size);
        2 * spent <= self.quick.as_nanos() * u128::from(jobs)
    }
}

/// How long one worker takes for a job, on average.
pub(crate) struct AverageJobTime {
    since: Instant,
    jobs: u32,
}

impl AverageJobTime {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: now,
            jobs: 0,
        }
    }

    /// Counts a job that begins. With the last job of a sample, gives the average time from one job
    /// to the next.
    pub(crate) fn count(&mut self, now: Instant) -> Option<Duration> {
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
    fn the_job_time_is_the_average_of_a_sample() {
        let began = Instant::now();
        let mut job_time = AverageJobTime::new(began);
        let step = Duration::from_micros(100);
        let told: Vec<_> = (1..=2 * SAMPLE)
            .filter_map(|n| job_time.count(began + step * n).map(|each| (n, each)))
            .collect();
        assert_eq!(told, [(SAMPLE, step), (2 * SAMPLE, step)]);
    }

    #[test]
    fn few_workers_are_all_active_and_so_are_many_at_first() {
        assert!(ActiveWorkers::new(1, QUICK).is_none());
        let active = ActiveWorkers::new(1000, QUICK).unwrap();
        assert!(!active.may_sleep(1000));
        active.reduce();
        assert!(active.may_sleep(1000));
        assert!(!active.may_sleep(1));
    }

    #[test]
    fn the_active_workers_keep_up_when_they_are_twice_as_quick_as_all_were() {
        let active = ActiveWorkers::new(1000, QUICK).unwrap();
        let jobs = REVIEW_PERIOD.as_micros() as u64 * u64::from(active.size) / 250;
        assert!(active.keeps_up(jobs, REVIEW_PERIOD));
        assert!(!active.keeps_up(jobs - 1, REVIEW_PERIOD));
        assert!(!active.keeps_up(0, REVIEW_PERIOD));
    }
}
