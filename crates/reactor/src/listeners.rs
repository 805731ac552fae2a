//! The sockets that a reactor accepts from, and a spare file descriptor for when there is no other.
//! Must not know what becomes of what is accepted.

use std::{
    fs::File,
    io,
    net::SocketAddr,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, TcpStream},
};
use nix::libc;

/// Listeners have tokens from here up, connections below.
const FIRST_TOKEN: usize = 1 << 32;
/// So many connections are accepted in one go, so that a flood of them does not starve those
/// that are there.
pub(super) const ACCEPTS_IN_A_ROW: usize = 256;
/// So many are accepted in one go while there is no file descriptor for them.
const LAST_DESCRIPTORS_IN_A_ROW: usize = 16;
/// After an error of accept (too many open files, mostly) it is tried again so much later.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// So much later it goes on when whoever takes the connections makes room first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

/// What a listener has for whoever takes its connections.
#[derive(Debug)]
pub enum Accepted {
    /// A connection, and the address of its other end.
    Connection(TcpStream, SocketAddr),
    /// A connection that has the last file descriptor. Whatever fits into the socket's buffer may be
    /// sent; it has to be closed before the call returns.
    LastDescriptor(TcpStream, SocketAddr),
    /// Why no connection could be accepted. Those that come wait meanwhile.
    Failed(io::Error),
}

impl Accepted {
    /// Whether the process, or the system, has no file descriptor left.
    pub fn lacks_descriptors(&self) -> bool {
        matches!(self, Self::Failed(error) if lacks_descriptors(error))
    }
}

/// Takes what a listener accepts. [`ControlFlow::Break`] makes the listener wait for a moment, in
/// which room may be made. If it is not asked to after a failure for want of file descriptors,
/// connections that wait are accepted with a spare one, and closed.
pub type Accept = Box<dyn FnMut(Accepted) -> ControlFlow<()> + Send>;

/// The listeners of one reactor.
#[derive(Default)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    /// Given up for a moment when there is no file descriptor left.
    spare: Option<File>,
}

struct Listener {
    socket: TcpListener,
    accept: Accept,
    retry_at: Option<Instant>,
}

impl Listeners {
    pub(super) fn add(
        &mut self,
        registry: &Registry,
        mut socket: TcpListener,
        accept: Accept,
    ) -> io::Result<()> {
        let token = Token(FIRST_TOKEN + self.all.len());
        registry.register(&mut socket, token, Interest::READABLE)?;
        self.all.push(Listener {
            socket,
            accept,
            retry_at: None,
        });
        take_spare(&mut self.spare);
        Ok(())
    }

    /// Accepts what an event for this token announces. `false` if it is no listener's.
    pub(super) fn accept(&mut self, Token(token): Token, now: Instant) -> bool {
        let Some(index) = token.checked_sub(FIRST_TOKEN) else {
            return false;
        };
        // It may be closed since the event.
        if let Some(listener) = self.all.get_mut(index) {
            listener.accept(now, &mut self.spare);
        }
        true
    }

    /// Accepts where an earlier attempt has stopped.
    pub(super) fn retry(&mut self, now: Instant) {
        for listener in &mut self.all {
            if listener.retry_at.is_some_and(|at| at <= now) {
                listener.accept(now, &mut self.spare);
            }
        }
    }

    /// When the next listener tries again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        let retries = self.all.iter().filter_map(|listener| listener.retry_at);
        retries.min()
    }

    pub(super) fn close(&mut self) {
        *self = Self::default();
    }
}

impl Listener {
    fn accept(&mut self, now: Instant, spare: &mut Option<File>) {
        self.retry_at = None;
        take_spare(spare);
        for _ in 0..ACCEPTS_IN_A_ROW {
            match self.socket.accept() {
                Ok((socket, remote)) => {
                    if self
                        .hand_over(Accepted::Connection(socket, remote))
                        .is_break()
                    {
                        self.retry_at = Some(now + ACCEPT_PAUSE);
                        return;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => return self.fail(e, now, spare),
            }
        }
        // No event will announce those that still wait.
        self.retry_at = Some(now);
    }

    fn fail(&mut self, error: io::Error, now: Instant, spare: &mut Option<File>) {
        let is_for_descriptors = lacks_descriptors(&error);
        if self.hand_over(Accepted::Failed(error)).is_break() {
            self.retry_at = Some(now + ACCEPT_PAUSE);
            return;
        }
        self.retry_at = Some(now + ACCEPT_RETRY);
        if is_for_descriptors {
            self.accept_with_spare(spare);
        }
    }

    /// Accepts with the spare file descriptor, so that those who wait are told.
    fn accept_with_spare(&mut self, spare: &mut Option<File>) {
        for _ in 0..LAST_DESCRIPTORS_IN_A_ROW {
            if spare.take().is_none() {
                return;
            }
            let accepted = self.socket.accept();
            let is_over = accepted.is_err();
            if let Ok((socket, remote)) = accepted {
                let _ = self.hand_over(Accepted::LastDescriptor(socket, remote));
            }
            take_spare(spare);
            if is_over {
                return;
            }
        }
    }

    fn hand_over(&mut self, accepted: Accepted) -> ControlFlow<()> {
        // The panic has been reported by its hook; here it must not end the thread of others.
        let called = catch_unwind(AssertUnwindSafe(|| (self.accept)(accepted)));
        called.unwrap_or(ControlFlow::Continue(()))
    }
}

/// Opens the spare file descriptor, if it is not there and there is one.
fn take_spare(spare: &mut Option<File>) {
    if spare.is_none() {
        *spare = File::open("/dev/null").ok();
    }
}

fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
