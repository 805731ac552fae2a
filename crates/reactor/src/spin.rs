//! Whether a reactor waits for its next event awake, by polling without a timeout, or asleep. Must
//! not know what the events are.

use std::time::{Duration, Instant};

/// An event within this time of the last is quick. An answer of a database nearby mostly is, and so
/// is a client's next call.
const QUICK: Duration = Duration::from_micros(200);
/// After so many quick ones in a row a reactor waits awake.
const STREAK: u8 = 4;

/// The policy: awake while that has proved worth it.
///
/// Waking a thread costs the waker a system call, and the sleeper the time until it has a processor
/// again. Together that is more than a call's own work. So a reactor that has had several quick
/// events waits awake for the next, and lets every other thread run before it looks again. It
/// sleeps when none comes. An idle reactor takes nothing, and a reactor that has a call now and
/// then sleeps between the call and its answer.
pub(super) struct SpinPolicy {
    last_event: Instant,
    /// How many quick ones there were in a row, up to [`STREAK`].
    quick: u8,
    /// Whether it always waits asleep.
    only_asleep: bool,
}

impl SpinPolicy {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_event: now,
            quick: 0,
            only_asleep: false,
        }
    }

    /// Waits asleep from now on, whatever comes.
    pub(super) fn only_asleep(&mut self) {
        self.only_asleep = true;
    }

    /// An event has come.
    pub(super) fn event(&mut self, now: Instant) {
        let is_quick = now.duration_since(self.last_event) < QUICK;
        self.quick = if is_quick {
            STREAK.min(self.quick + 1)
        } else {
            0
        };
        self.last_event = now;
    }

    /// Whether to wait awake now.
    pub(super) fn spins(&self, now: Instant) -> bool {
        !self.only_asleep && self.quick == STREAK && now.duration_since(self.last_event) < QUICK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_streak_is_waited_for_awake_and_not_for_long() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        let mut policy = SpinPolicy::new(start);
        for n in 1..=4 {
            assert!(!policy.spins(at(n * 100 - 1)), "{n}: no streak yet");
            policy.event(at(n * 100));
        }
        assert!(policy.spins(at(401)));
        assert!(policy.spins(at(599)));
        assert!(!policy.spins(at(600)), "in vain");
        policy.event(at(700));
        assert!(!policy.spins(at(701)), "the streak has ended");
    }

    #[test]
    fn a_streak_is_waited_for_asleep_where_that_is_asked_for() {
        let start = Instant::now();
        let mut policy = SpinPolicy::new(start);
        policy.only_asleep();
        for n in 1..=10 {
            let now = start + Duration::from_micros(n);
            policy.event(now);
            assert!(!policy.spins(now));
        }
    }

    #[test]
    fn calls_with_a_pause_between_them_are_waited_for_asleep() {
        let start = Instant::now();
        let mut policy = SpinPolicy::new(start);
        for call in 0..100 {
            let call = start + Duration::from_millis(call);
            let answer = call + Duration::from_micros(60);
            for event in [call, answer] {
                policy.event(event);
                assert!(!policy.spins(event));
            }
        }
    }
}
