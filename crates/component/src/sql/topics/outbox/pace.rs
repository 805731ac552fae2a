//! Owns when the outbox is read: when it is woken, and by itself while events come quickly. Must not
//! know how it is read; time is an input.
//!
//! NOTIFY makes commits wait for each other. So publishers wake nobody while somebody has asked them not
//! to and looks every few milliseconds instead. When that time is over, some transactions may still
//! be under way that have published within it, and will wake nobody: until they have ended, the
//! outbox is looked at now and then.

use std::time::{Duration, Instant};

/// How often the outbox is read while nobody is woken.
const POLL: Duration = Duration::from_millis(5);
/// How long publishers are asked to wake nobody.
pub(super) const AWAKE: Duration = Duration::from_secs(1);
/// Two wake-ups in this time are so many that it is better to look.
const QUICK: Duration = Duration::from_millis(20);
/// The pauses while transactions are under way that may wake nobody.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_AT_MOST: Duration = Duration::from_secs(1);
/// How often it is read although nobody has woken it.
const SELDOM: Duration = Duration::from_secs(10);

/// When to read next.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
    woken: Option<Instant>,
    /// It was woken twice in a short time.
    is_busy: bool,
    /// Events were found since publishers were last asked to wake nobody.
    has_found: bool,
    silent: Silent,
}

/// The transactions that may have published without waking anybody.
#[derive(Debug)]
enum Silent {
    /// There are none.
    None,
    /// There may be; which, is to be asked.
    Unknown,
    /// Only those with smaller numbers than this.
    Below { xid: u64, pause: Duration },
}

/// What a read of the outbox has found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) events: usize,
    /// There are more to read.
    pub(super) more: bool,
    /// How long publishers go on to wake nobody.
    pub(super) awake: Duration,
    /// The number of the oldest transaction that is under way.
    pub(super) oldest: u64,
}

/// What is to be asked of the database after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// That publishers wake nobody for the time of [`AWAKE`].
    StayAwake,
    /// The number of the next transaction, for [`Pace::note_next`].
    NextTransaction,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now,
            woken: None,
            is_busy: false,
            has_found: false,
            silent: Silent::Unknown,
        }
    }

    /// When to read next.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// Somebody has published, and has committed.
    pub(super) fn wake(&mut self, now: Instant) {
        let before = self.woken.replace(now);
        self.is_busy |= before.is_some_and(|before| now.duration_since(before) < QUICK);
        self.next = self.next.min(now);
    }

    /// It begins to listen: what was said before is not known.
    pub(super) fn listens(&mut self, now: Instant) {
        self.silent = Silent::Unknown;
        self.next = now;
    }

    /// It was read.
    pub(super) fn note(&mut self, now: Instant, found: Found) -> Option<Ask> {
        self.has_found |= found.events > 0;
        let is_busy = std::mem::take(&mut self.is_busy);
        let is_awake = !found.awake.is_zero();
        if is_awake || is_busy {
            self.silent = Silent::Unknown;
            self.next = if found.more { now } else { now + POLL };
            let extends = is_busy || (self.has_found && found.awake < AWAKE / 2);
            self.has_found &= !extends;
            return extends.then_some(Ask::StayAwake);
        }
        if let Silent::Below { xid, .. } = self.silent
            && xid <= found.oldest
        {
            self.silent = Silent::None;
        }
        let (pause, ask) = match &mut self.silent {
            Silent::None => (SELDOM, None),
            Silent::Unknown => (PAUSE, Some(Ask::NextTransaction)),
            Silent::Below { pause, .. } => {
                *pause = (*pause * 2).min(PAUSE_AT_MOST);
                (*pause, None)
            }
        };
        self.next = if found.more { now } else { now + pause };
        ask
    }

    /// The number of the next transaction, asked after publishers have begun to wake again.
    pub(super) fn note_next(&mut self, xid: u64) {
        let pause = PAUSE;
        self.silent = Silent::Below { xid, pause };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Found = Found {
        events: 0,
        more: false,
        awake: Duration::ZERO,
        oldest: 100,
    };

    fn after(pace: &Pace, now: Instant) -> Duration {
        pace.due().saturating_duration_since(now)
    }

    /// A pace with nothing to wait for but to be woken.
    fn asleep(now: Instant) -> Pace {
        let mut pace = Pace::new(now);
        assert_eq!(pace.note(now, NOTHING), Some(Ask::NextTransaction));
        pace.note_next(100);
        assert_eq!(pace.note(now, NOTHING), None);
        assert_eq!(after(&pace, now), SELDOM);
        pace
    }

    #[test]
    fn it_is_read_when_it_is_woken() {
        let now = Instant::now();
        let mut pace = asleep(now);
        let mut at = now;
        for _ in 0..10 {
            at += QUICK;
            pace.wake(at);
            assert_eq!(after(&pace, at), Duration::ZERO);
            assert_eq!(
                pace.note(
                    at,
                    Found {
                        events: 1,
                        ..NOTHING
                    }
                ),
                None
            );
            assert_eq!(after(&pace, at), SELDOM);
        }
    }

    #[test]
    fn quick_wake_ups_make_it_look_by_itself_for_as_long_as_it_finds_something() {
        let mut now = Instant::now();
        let mut pace = asleep(now);
        pace.wake(now);
        now += QUICK / 2;
        pace.wake(now);
        let found = Found {
            events: 2,
            ..NOTHING
        };
        assert_eq!(pace.note(now, found), Some(Ask::StayAwake));
        assert_eq!(after(&pace, now), POLL);
        let awake = |awake| Found { awake, ..NOTHING };
        assert_eq!(
            pace.note(
                now,
                Found {
                    events: 1,
                    ..awake(AWAKE)
                }
            ),
            None
        );
        assert_eq!(pace.note(now, awake(AWAKE / 3)), Some(Ask::StayAwake));
        // It finds nothing more, and lets the time run out.
        assert_eq!(pace.note(now, awake(AWAKE / 3)), None);
        assert_eq!(after(&pace, now), POLL);
        assert_eq!(pace.note(now, NOTHING), Some(Ask::NextTransaction));
    }

    #[test]
    fn transactions_that_may_wake_nobody_are_waited_for() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.note(now, NOTHING), Some(Ask::NextTransaction));
        assert_eq!(after(&pace, now), PAUSE);
        pace.note_next(105);
        for pause in [2, 4, 8, 16, 32] {
            assert_eq!(pace.note(now, NOTHING), None);
            assert_eq!(after(&pace, now), PAUSE * pause);
        }
        assert_eq!(pace.note(now, NOTHING), None);
        assert_eq!(after(&pace, now), PAUSE_AT_MOST);
        assert_eq!(
            pace.note(
                now,
                Found {
                    oldest: 105,
                    ..NOTHING
                }
            ),
            None
        );
        assert_eq!(after(&pace, now), SELDOM);
        // After the connection was lost, all of that is unknown again.
        pace.listens(now);
        assert_eq!(after(&pace, now), Duration::ZERO);
        assert_eq!(pace.note(now, NOTHING), Some(Ask::NextTransaction));
    }

    #[test]
    fn what_is_left_is_read_at_once() {
        let now = Instant::now();
        for awake in [Duration::ZERO, AWAKE] {
            let mut pace = asleep(now);
            let found = Found {
                events: 1000,
                more: true,
                awake,
                ..NOTHING
            };
            pace.note(now, found);
            assert_eq!(after(&pace, now), Duration::ZERO);
        }
    }
}
