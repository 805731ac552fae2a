//! Whether a reactor waits for news awake or asleep. Must not know what the news is.

use std::time::{Duration, Instant};

/// News within this time of the last are quick. A worker's answer from a database nearby, and a
/// client's next call after it, mostly are.
const QUICK: Duration = Duration::from_micros(200);
/// So many quick ones in a row are a flow, and a reactor in a flow waits awake.
const FLOW: u8 = 4;

/// The wait for news, awake while that has proved worth it.
///
/// Waking a thread costs both sides: the one that wakes a system call, the one woken the time
/// until a processor has it, together more than a call's own work. So a reactor that has had
/// quick news several times waits for the next awake, and lets every other thread run before it
/// looks again. It goes to sleep when they do not come: an idle reactor takes nothing, and one
/// that now and then has a call and its answer sleeps between them.
pub(super) struct Vigil {
    last_news: Instant,
    /// How many quick ones there were in a row, up to [`FLOW`].
    quick: u8,
    /// Whether a flow is waited for asleep as well.
    only_asleep: bool,
}

impl Vigil {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_news: now,
            quick: 0,
            only_asleep: false,
        }
    }

    /// Waits asleep from now on, whatever comes.
    pub(super) fn only_asleep(&mut self) {
        self.only_asleep = true;
    }

    /// Something has come.
    pub(super) fn news(&mut self, now: Instant) {
        self.quick = match now.duration_since(self.last_news) < QUICK {
            true => FLOW.min(self.quick + 1),
            false => 0,
        };
        self.last_news = now;
    }

    /// Whether to wait on awake.
    pub(super) fn goes_on(&self, now: Instant) -> bool {
        !self.only_asleep && self.quick == FLOW && now.duration_since(self.last_news) < QUICK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_flow_is_waited_for_awake_and_not_for_long() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        let mut vigil = Vigil::new(start);
        for n in 1..=4 {
            assert!(!vigil.goes_on(at(n * 100 - 1)), "{n}: no flow yet");
            vigil.news(at(n * 100));
        }
        assert!(vigil.goes_on(at(401)));
        assert!(vigil.goes_on(at(599)));
        assert!(!vigil.goes_on(at(600)), "in vain");
        vigil.news(at(700));
        assert!(!vigil.goes_on(at(701)), "the flow has ended");
    }

    #[test]
    fn a_flow_is_waited_for_asleep_where_that_is_asked_for() {
        let start = Instant::now();
        let mut vigil = Vigil::new(start);
        vigil.only_asleep();
        for n in 1..=10 {
            let now = start + Duration::from_micros(n);
            vigil.news(now);
            assert!(!vigil.goes_on(now));
        }
    }

    #[test]
    fn calls_with_a_pause_between_them_are_waited_for_asleep() {
        let start = Instant::now();
        let mut vigil = Vigil::new(start);
        for call in 0..100 {
            let call = start + Duration::from_millis(call);
            let answer = call + Duration::from_micros(60);
            for news in [call, answer] {
                vigil.news(news);
                assert!(!vigil.goes_on(news));
            }
        }
    }
}
