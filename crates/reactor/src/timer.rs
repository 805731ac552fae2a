//! The timer that wakes a sleeping reactor at a deadline. Must not know whose deadline it is.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use mio::{Interest, Poll, Token, unix::SourceFd};
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

/// The token of the timer in the poll; no connection or listener has it.
pub(super) const TIMER: Token = Token(usize::MAX - 1);

/// A timer of the kernel. The poll's own timeout counts milliseconds, which is too coarse for a
/// load generator that makes its calls at exact times.
pub(super) struct Timer {
    timer: TimerFd,
    set_for: Option<Instant>,
}

impl Timer {
    pub(super) fn new(poll: &Poll) -> io::Result<Self> {
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        poll.registry().register(
            &mut SourceFd(&timer.as_fd().as_raw_fd()),
            TIMER,
            Interest::READABLE,
        )?;
        Ok(Self {
            timer,
            set_for: None,
        })
    }

    /// Ends the poll `left` from now, which is at `at`, instead of when it was set for before.
    pub(super) fn set(&mut self, at: Instant, left: Duration) -> io::Result<()> {
        if self.set_for != Some(at) {
            let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
            self.timer.set(expiration, TimerSetTimeFlags::empty())?;
            self.set_for = Some(at);
        }
        Ok(())
    }

    /// Notes that the timer has ended the poll. It is edge-triggered, so nobody has to read it.
    pub(super) fn fired(&mut self) {
        self.set_for = None;
    }
}
