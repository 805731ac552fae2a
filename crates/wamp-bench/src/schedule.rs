//! When the operations of an open load are due. Must not know who begins them.

use std::time::{Duration, Instant};

/// An even arrival rate. Operations are numbered in the order in which they are due; the sessions
/// take them in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// When the first one is due.
    from: Instant,
    /// The arrival rate: how many are due a second.
    rate: f64,
    /// How many there are in all.
    count: u64,
    /// How many sessions there are to take them.
    sessions: u64,
}

impl Schedule {
    /// `rate` operations a second, as many as are due before `until`.
    pub(super) fn until(until: Instant, from: Instant, rate: f64, sessions: u64) -> Self {
        Self {
            from,
            rate,
            count: due_within(until.duration_since(from), rate),
            sessions,
        }
    }

    /// `rate` operations a second, `most` of them after those due before `measured_from`.
    pub(super) fn of_count(
        most: u64,
        measured_from: Instant,
        from: Instant,
        rate: f64,
        sessions: u64,
    ) -> Self {
        Self {
            from,
            rate,
            count: due_within(measured_from.duration_since(from), rate).saturating_add(most),
            sessions,
        }
    }

    /// When operation `number` is due; `None` if it is beyond the last.
    pub(super) fn due(&self, number: u64) -> Option<Instant> {
        (number < self.count).then(|| self.from + due_after(number, self.rate))
    }

    /// The next operation of the session that takes `number`.
    pub(super) fn after(&self, number: u64) -> u64 {
        number + self.sessions
    }

    /// How many operations there are in all.
    pub(super) fn operations(&self) -> u64 {
        self.count
    }
}

/// How long after the first one operation `number` is due.
fn due_after(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

/// How many operations are due in the first `time` of a load.
fn due_within(time: Duration, rate: f64) -> u64 {
    let count = (time.as_secs_f64() * rate).ceil() as u64;
    // 0.55 * 100 is a little more than 55, but operation 55 is not due before 0.55 s.
    let is_rounded_up = count > 0 && due_after(count - 1, rate) >= time;
    count - u64::from(is_rounded_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_due_evenly_and_as_many_as_the_limit_says() {
        let from = Instant::now();
        let at = |millis| from + Duration::from_millis(millis);
        let schedule = Schedule::until(at(10), from, 1000.0, 3);
        assert_eq!(schedule.operations(), 10);
        assert_eq!(schedule.due(0), Some(from));
        assert_eq!(schedule.due(9), Some(at(9)));
        assert_eq!(schedule.due(10), None, "due when the load has ended");
        assert_eq!(schedule.after(1), 4);

        let schedule = Schedule::of_count(5, at(2), from, 1000.0, 3);
        assert_eq!(schedule.operations(), 7, "two while warming up");
        let schedule = Schedule::of_count(u64::MAX, at(2), from, 1000.0, 3);
        assert_eq!(schedule.operations(), u64::MAX);
    }

    #[test]
    fn no_rounding_makes_one_operation_more() {
        let from = Instant::now();
        for millis in 0..2000 {
            let schedule = Schedule::until(from + Duration::from_millis(millis), from, 100.0, 1);
            assert_eq!(schedule.operations(), millis.div_ceil(10), "{millis} ms");
        }
    }
}
