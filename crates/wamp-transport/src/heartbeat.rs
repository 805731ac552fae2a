//! Telling a dead peer from a silent one: pings and the wait for a sign of life. Must not know
//! frames nor sockets.

use std::time::{Duration, Instant};

/// How often a peer is pinged and how long it may stay silent after; `None` is off.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Intervals {
    pub(super) interval: Option<Duration>,
    pub(super) timeout: Option<Duration>,
}

/// The heartbeat of one connection.
pub(super) struct Heartbeat {
    intervals: Intervals,
    ping_at: Option<Instant>,
    alive_by: Option<Instant>,
    /// Whether the last flush has left output that the kernel did not take.
    has_backlog: bool,
}

/// What a deadline of the heartbeat asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing is due.
    Nothing,
    /// Send a ping.
    Ping,
    /// No sign of life came in time.
    Dead,
}

impl Heartbeat {
    pub(super) fn new(intervals: Intervals, now: Instant) -> Self {
        Self {
            intervals,
            ping_at: intervals.interval.map(|i| now + i),
            alive_by: None,
            has_backlog: false,
        }
    }

    /// The peer has sent something. Any bytes will do: a peer in the middle of a long message
    /// cannot send its pong before the end of it.
    pub(super) fn sign_of_life(&mut self) {
        self.alive_by = None;
    }

    /// A flush has left so much output unsent. A ping waits behind all of it, so a peer that takes
    /// its time to read cannot answer; but then the kernel takes more only as the peer does.
    pub(super) fn flushed(&mut self, unsent: usize) {
        let had_backlog = self.has_backlog;
        self.has_backlog = unsent > 0;
        if had_backlog || self.has_backlog {
            self.sign_of_life();
        }
    }

    /// When to ask again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ping_at.into_iter().chain(self.alive_by).min()
    }

    /// What is due now.
    pub(super) fn beat(&mut self, now: Instant) -> Beat {
        if self.alive_by.is_some_and(|by| by <= now) {
            return Beat::Dead;
        }
        if self.ping_at.is_none_or(|at| at > now) {
            return Beat::Nothing;
        }
        self.ping_at = self.intervals.interval.map(|i| now + i);
        self.alive_by = self.alive_by.or(self.intervals.timeout.map(|t| now + t));
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second, a beginning, and a heartbeat from then on that gives up after three.
    fn with_pings_each_second() -> (Duration, Instant, Heartbeat) {
        let (second, t0) = (Duration::from_secs(1), Instant::now());
        let intervals = Intervals {
            interval: Some(second),
            timeout: Some(3 * second),
        };
        (second, t0, Heartbeat::new(intervals, t0))
    }

    #[test]
    fn a_peer_is_dead_when_a_ping_stays_unanswered() {
        let (second, t0, mut heartbeat) = with_pings_each_second();
        assert_eq!(heartbeat.beat(t0), Beat::Nothing);
        assert_eq!(heartbeat.deadline(), Some(t0 + second));
        assert_eq!(heartbeat.beat(t0 + second), Beat::Ping);
        assert_eq!(heartbeat.beat(t0 + 2 * second), Beat::Ping);
        heartbeat.sign_of_life();
        assert_eq!(heartbeat.beat(t0 + 3 * second), Beat::Ping);
        assert_eq!(heartbeat.beat(t0 + 4 * second), Beat::Ping);
        // Pings in between do not postpone the end.
        assert_eq!(heartbeat.beat(t0 + 6 * second), Beat::Dead);
    }

    #[test]
    fn a_peer_that_takes_output_lives() {
        let (second, t0, mut heartbeat) = with_pings_each_second();
        assert_eq!(heartbeat.beat(t0 + second), Beat::Ping);
        heartbeat.flushed(1000);
        assert_eq!(heartbeat.beat(t0 + 5 * second), Beat::Ping);
        // The last of it has gone out, and the ping with it.
        heartbeat.flushed(0);
        assert_eq!(heartbeat.beat(t0 + 9 * second), Beat::Ping);
        // Output that the kernel takes at once says nothing of the peer.
        heartbeat.flushed(0);
        assert_eq!(heartbeat.beat(t0 + 12 * second), Beat::Dead);
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        let now = Instant::now();
        let mut heartbeat = Heartbeat::new(Intervals::default(), now);
        assert_eq!(heartbeat.deadline(), None);
        assert_eq!(
            heartbeat.beat(now + Duration::from_secs(9999)),
            Beat::Nothing
        );
    }
}
