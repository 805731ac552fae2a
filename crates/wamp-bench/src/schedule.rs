//! When the operations of an open load are due. Must not know who begins them.

use std::time::{Duration, Instant};

/// An even pace: operations are numbered in the order in which they are due, and dealt to the
/// sessions in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// When the first one is due.
    from: Instant,
    /// So many are due in a second.
    rate: f64,
    /// How many there are in all.
    end: u64,
    /// How many sessions take turns.
    sessions: u64,
}

impl Pace {
    /// The pace of `rate` a second, of those that are due before `until`.
    pub(super) fn until(until: Instant, from: Instant, rate: f64, sessions: u64) -> Self {
        Self {
            from,
            rate,
            end: due_within(until.duration_since(from), rate),
            sessions,
        }
    }

    /// The pace of `rate` a second, of `most` operations besides those due before `counted_from`.
    pub(super) fn of(
        most: u64,
        counted_from: Instant,
        from: Instant,
        rate: f64,
        sessions: u64,
    ) -> Self {
        Self {
            from,
            rate,
            end: due_within(counted_from.duration_since(from), rate).saturating_add(most),
            sessions,
        }
    }

    /// When operation `number` is due; `None` if it is none of this load.
    pub(super) fn due(&self, number: u64) -> Option<Instant> {
        (number < self.end).then(|| self.from + due_after(number, self.rate))
    }

    /// The operation that is the same session's after `number`.
    pub(super) fn after(&self, number: u64) -> u64 {
        number + self.sessions
    }

    /// How many operations there are in all.
    pub(super) fn operations(&self) -> u64 {
        self.end
    }
}

/// How long after the first one operation `number` is due.
fn due_after(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

/// How many operations are due in the beginning of a load.
fn due_within(time: Duration, rate: f64) -> u64 {
    let count = (time.as_secs_f64() * rate).ceil() as u64;
    // 0.55 * 100 is a little more than 55, and the operation after 55 not due before 0.55 s.
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
        let pace = Pace::until(at(10), from, 1000.0, 3);
        assert_eq!(pace.operations(), 10);
        assert_eq!(pace.due(0), Some(from));
        assert_eq!(pace.due(9), Some(at(9)));
        assert_eq!(pace.due(10), None, "due when the load has ended");
        assert_eq!(pace.after(1), 4);

        let pace = Pace::of(5, at(2), from, 1000.0, 3);
        assert_eq!(pace.operations(), 7, "two while warming up");
        let pace = Pace::of(u64::MAX, at(2), from, 1000.0, 3);
        assert_eq!(pace.operations(), u64::MAX);
    }

    #[test]
    fn no_rounding_makes_one_operation_more() {
        let from = Instant::now();
        for millis in 0..2000 {
            let pace = Pace::until(from + Duration::from_millis(millis), from, 100.0, 1);
            assert_eq!(pace.operations(), millis.div_ceil(10), "{millis} ms");
        }
    }
}
