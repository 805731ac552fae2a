//! Whether a reactor waits for news awake or asleep. Must not know what the news is.

use std::time::{Duration, Instant};

/// How long a reactor waits awake. A worker's answer from a database nearby, and a client's next
/// call after it, mostly come sooner.
const LIMIT: Duration = Duration::from_micros(100);

/// The wait for news, awake while that has proved worth it.
///
/// Waking a thread costs both sides: the one that wakes a system call, the one woken the time
/// until a processor has it, together more than a call's own work. So a reactor that has had
/// news at short intervals waits for the next awake, and lets every other thread run before it
/// looks again. When the news come further apart than that it sleeps: an idle one takes nothing,
/// and one with little to do no more than [`LIMIT`] after each flurry.
pub(super) struct Vigil {
    last_news: Instant,
    is_worthwhile: bool,
}

impl Vigil {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_news: now,
            is_worthwhile: false,
        }
    }

    /// Something has come.
    pub(super) fn news(&mut self, now: Instant) {
        self.is_worthwhile = now.duration_since(self.last_news) < LIMIT;
        self.last_news = now;
    }

    /// Whether to wait on awake.
    pub(super) fn goes_on(&self, now: Instant) -> bool {
        self.is_worthwhile && now.duration_since(self.last_news) < LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_at_short_intervals_are_waited_for_awake_and_not_for_long() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        let mut vigil = Vigil::new(start);
        assert!(!vigil.goes_on(at(1)), "nothing has come yet");
        vigil.news(at(1_000));
        assert!(!vigil.goes_on(at(1_001)), "news after a long time");
        vigil.news(at(1_050));
        assert!(vigil.goes_on(at(1_051)), "news after a short time");
        assert!(vigil.goes_on(at(1_149)));
        assert!(!vigil.goes_on(at(1_150)), "in vain");
        vigil.news(at(1_200));
        assert!(!vigil.goes_on(at(1_201)), "the last wait was too long");
    }
}
