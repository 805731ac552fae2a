//! Owns which connection a job is sent to, and which jobs wait. Must not know PostgreSQL: it sees
//! figures of connections and of statements.
//!
//! - A job whose kind is known to be quick is sent ahead, at most [`DEPTH`] deep. PostgreSQL reads the
//!   next job while the answer to the last one travels, and many jobs share one write and one read.
//! - It goes to the connection with the most jobs, as long as those there take less than [`QUICK`]
//!   together; if all have that many, to the one with the fewest. A backend that sleeps has to be woken,
//!   and each one that runs wants a processor, which costs more than a quick job does.
//! - A job whose kind is slow, or was never seen, goes to a connection that is at nothing, and
//!   nothing is sent behind it: what PostgreSQL has been sent stays in its order, so whatever is
//!   behind a slow statement waits for it.
//! - A kind is quick as long as its jobs take less than [`QUICK`], beside the time to the server and
//!   back. That is several times what a job costs on the wire, so quick ones gain by the pipeline,
//!   and [`DEPTH`] of them are still a wait that nobody sees.
//! - A quick kind may have a slow job (a lock, a cold cache). A connection whose oldest job is
//!   unanswered for [`QUICK`] gets nothing more until it answers, so such a job holds up what was
//!   sent within that time at most.
//! - While there are quick jobs, slow ones leave some connections to them: two, or one to kinds that
//!   were never seen. Otherwise as many slow jobs as there are connections would stop all others.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How many jobs are sent ahead on a connection at most.
pub(crate) const DEPTH: usize = 32;

/// What a quick job takes at most.
pub(crate) const QUICK: Duration = Duration::from_millis(2);

/// What takes this long is no hiccup.
const FAR: Duration = Duration::from_millis(250);

/// Quick jobs count as being there for so long after the last one.
pub(crate) const RECENT: Duration = Duration::from_secs(1);

/// So many kinds of jobs are remembered. Texts that are made at run time would fill the memory.
const MOST_KINDS: usize = 4096;

/// What a job will take, as far as one can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Quick,
    Unknown,
    Slow,
}

/// Names what jobs have in common that take equally long: their statements.
pub(crate) type Kind = u64;

/// What jobs took, by their kind.
#[derive(Default)]
pub(crate) struct Durations {
    /// In microseconds.
    known: HashMap<Kind, u32>,
}

impl Durations {
    pub(crate) fn class(&self, kind: Kind) -> Class {
        match self.known.get(&kind) {
            None => Class::Unknown,
            Some(&took) if u128::from(took) < QUICK.as_micros() => Class::Quick,
            Some(_) => Class::Slow,
        }
    }

    /// How many jobs of this kind a connection is given before another one gets any.
    pub(crate) fn fill(&self, kind: Kind) -> usize {
        let took = self.known.get(&kind).copied().unwrap_or(u32::MAX).max(1);
        let jobs = QUICK.as_micros() / u128::from(took);
        usize::try_from(jobs).map_or(DEPTH, |jobs| jobs.clamp(1, DEPTH))
    }

    /// A job of this kind has taken so long. One that took very long counts at once. Others move
    /// the figure up by a sixteenth and down by a half, and count as twice [`QUICK`] at most: on a busy
    /// machine many jobs take longer than they need to, and none takes less.
    pub(crate) fn learn(&mut self, kind: Kind, took: Duration) {
        let in_micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let is_far = took >= FAR;
        let took = in_micros(took).min(in_micros(4 * QUICK));
        if let Some(known) = self.known.get_mut(&kind) {
            let counts = took.min(in_micros(2 * QUICK));
            *known = match counts {
                _ if is_far => took.max(*known),
                _ if counts >= *known => *known + (counts - *known) / 16,
                _ => *known - (*known - counts).div_ceil(2),
            };
            return;
        }
        if self.known.len() >= MOST_KINDS {
            self.known.clear();
        }
        self.known.insert(kind, took);
    }
}

/// What the policy sees of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// How many jobs were sent and are not answered.
    pub(crate) in_flight: usize,
    /// Since when the oldest of them is at the server.
    pub(crate) head_since: Instant,
    /// It takes nothing now: it is being opened or closed, a job has it for itself, or it is being
    /// cancelled.
    pub(crate) is_taken: bool,
    /// A slow job, or one that was never seen, is at it.
    pub(crate) is_long: bool,
}

impl View {
    /// Whether a quick job may be sent behind what is there.
    fn takes_more(&self, now: Instant) -> bool {
        let is_late = || now.saturating_duration_since(self.head_since) >= QUICK;
        !self.is_taken
            && !self.is_long
            && (self.in_flight == 0 || self.in_flight < DEPTH && !is_late())
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.is_taken && self.in_flight == 0
    }

    /// Where this one stands among those that take a quick job; the least gets it.
    fn rank(&self, fill: usize) -> (bool, usize) {
        let is_being_filled = (1..fill).contains(&self.in_flight);
        if is_being_filled {
            (false, fill - self.in_flight)
        } else {
            (true, self.in_flight)
        }
    }
}

/// What the policy sees of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) class: Class,
    /// How many of its kind a connection is given before another one gets any.
    pub(crate) fill: usize,
    /// It wants a connection for itself.
    pub(crate) needs_idle: bool,
}

/// How many connections slow jobs may have, of so many.
fn most_long(class: Class, connections: usize, quick_recently: bool) -> usize {
    let left = match class {
        _ if !quick_recently => 0,
        Class::Quick | Class::Unknown => 1,
        Class::Slow => 2,
    };
    // The last one is nobody's own.
    connections.saturating_sub(left).max(1)
}

/// Which of these connections gets a job. `connections` is how many are open.
pub(crate) fn pick<'a>(
    views: impl Iterator<Item = View> + Clone + 'a,
    connections: usize,
    wish: Wish,
    quick_recently: bool,
    now: Instant,
) -> Option<usize> {
    let Wish {
        class,
        fill,
        needs_idle,
    } = wish;
    if class == Class::Quick && !needs_idle {
        return (views.enumerate())
            .filter(|(_, view)| view.takes_more(now))
            .min_by_key(|(_, view)| view.rank(fill))
            .map(|(at, _)| at);
    }
    let long = views.clone().filter(|view| view.is_long).count();
    if class != Class::Quick && long >= most_long(class, connections, quick_recently) {
        return None;
    }
    views.into_iter().position(|view| view.is_idle())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn view(in_flight: usize, head_since: Instant) -> View {
        View {
            in_flight,
            head_since,
            is_taken: false,
            is_long: false,
        }
    }

    fn wish(class: Class) -> Wish {
        Wish {
            class,
            fill: 1,
            needs_idle: false,
        }
    }

    fn long(now: Instant) -> View {
        View {
            is_long: true,
            ..view(1, now)
        }
    }

    #[test]
    fn quick_jobs_go_to_the_connection_with_the_fewest() {
        let now = Instant::now();
        let quick = |views: &[View]| {
            let views = views.to_vec();
            pick(views.into_iter(), 3, wish(Class::Quick), true, now)
        };
        assert_eq!(quick(&[view(2, now), view(1, now), view(1, now)]), Some(1));
        assert_eq!(quick(&[view(DEPTH, now)]), None);
        assert_eq!(quick(&[view(DEPTH - 1, now)]), Some(0));
        assert_eq!(
            quick(&[long(now)]),
            None,
            "nothing is sent behind a slow job"
        );
        let late = now - QUICK;
        assert_eq!(quick(&[view(1, late), view(5, now)]), Some(1));
        assert_eq!(quick(&[view(0, late)]), Some(0), "it is late with nothing");
        let taken = View {
            is_taken: true,
            ..view(0, now)
        };
        assert_eq!(quick(&[taken]), None);
    }

    #[test]
    fn a_connection_is_filled_before_another_one_gets_any() {
        let now = Instant::now();
        let quick = |fill: usize, in_flight: &[usize]| {
            let views: Vec<_> = in_flight.iter().map(|&n| view(n, now)).collect();
            let wish = Wish {
                fill,
                ..wish(Class::Quick)
            };
            pick(views.into_iter(), in_flight.len(), wish, true, now)
        };
        assert_eq!(quick(4, &[0, 1, 0]), Some(1));
        assert_eq!(quick(4, &[0, 1, 3]), Some(2), "the one with the most");
        assert_eq!(quick(4, &[0, 4, 4]), Some(0));
        assert_eq!(quick(4, &[5, 4, 6]), Some(1), "all are full");
        assert_eq!(quick(1, &[1, 0, 2]), Some(1));
        assert_eq!(quick(DEPTH, &[DEPTH, 0]), Some(1));
    }

    #[test]
    fn the_longer_jobs_take_the_fewer_fill_a_connection() {
        let mut durations = Durations::default();
        assert_eq!(durations.fill(0), 1, "nothing is known");
        for (kind, micros, jobs) in [(1, 0, DEPTH), (2, 200, 10), (3, 700, 2), (4, 1500, 1)] {
            durations.learn(kind, Duration::from_micros(micros));
            assert_eq!(durations.fill(kind), jobs, "{micros}");
        }
    }

    #[test]
    fn slow_jobs_have_a_connection_each_and_leave_some_to_the_quick() {
        let now = Instant::now();
        let at = |class, longs: usize, of: usize, quick_recently| {
            let views = (0..of).map(|n| if n < longs { long(now) } else { view(0, now) });
            let views: Vec<_> = views.collect();
            pick(views.into_iter(), of, wish(class), quick_recently, now)
        };
        assert_eq!(at(Class::Slow, 7, 10, true), Some(7));
        assert_eq!(at(Class::Slow, 8, 10, true), None);
        assert_eq!(at(Class::Unknown, 8, 10, true), Some(8));
        assert_eq!(at(Class::Unknown, 9, 10, true), None);
        assert_eq!(at(Class::Quick, 9, 10, true), Some(9));
        assert_eq!(at(Class::Slow, 9, 10, false), Some(9));
        for class in [Class::Slow, Class::Unknown] {
            assert_eq!(at(class, 0, 1, true), Some(0), "the only one is for all");
            assert_eq!(at(class, 1, 2, true), None);
        }
        let busy = [view(1, now)];
        let slow = pick(busy.into_iter(), 1, wish(Class::Slow), false, now);
        assert_eq!(slow, None, "it goes to a connection at nothing");
        let for_itself = Wish {
            needs_idle: true,
            ..wish(Class::Quick)
        };
        let alone = pick(busy.into_iter(), 1, for_itself, false, now);
        assert_eq!(alone, None, "as does a quick one that wants it for itself");
    }

    #[test]
    fn what_a_kind_takes_is_learnt() {
        let mut durations = Durations::default();
        assert_eq!(durations.class(1), Class::Unknown);
        durations.learn(1, MILLISECOND / 10);
        assert_eq!(durations.class(1), Class::Quick);
        durations.learn(1, 5 * MILLISECOND);
        assert_eq!(durations.class(1), Class::Quick, "once may be a hiccup");
        for _ in 0..16 {
            durations.learn(1, 5 * MILLISECOND);
        }
        assert_eq!(durations.class(1), Class::Slow);
        for _ in 0..2 {
            durations.learn(1, MILLISECOND / 10);
        }
        assert_eq!(durations.class(1), Class::Quick);
        durations.learn(1, Duration::from_secs(5));
        assert_eq!(durations.class(1), Class::Slow, "at once");
        for kind in 0..2 * MOST_KINDS as u64 {
            durations.learn(kind, MILLISECOND);
        }
        assert!(durations.known.len() <= MOST_KINDS);
    }
}
