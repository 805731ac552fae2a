//! The wake-up of a sleeping reactor at a deadline. Must not know whose deadline it is.

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

/// The token of the alarm in the poll; no connection or listener has it.
pub(super) const ALARM: Token = Token(usize::MAX - 1);

/// A timer of the kernel: the poll's own counts milliseconds, and who measures a router with
/// calls at exact times needs microseconds.
pub(super) struct Alarm {
    timer: TimerFd,
    set_for: Option<Instant>,
}

impl Alarm {
    pub(super) fn new(poll: &Poll) -> io::Result<Self> {
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        poll.registry().register(
            &mut SourceFd(&timer.as_fd().as_raw_fd()),
            ALARM,
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

    /// It has ended the poll. Being edge-triggered it need not be read.
    pub(super) fn rang(&mut self) {
        self.set_for = None;
    }
}
