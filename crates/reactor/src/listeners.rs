//! The sockets that a reactor accepts from. Must not know what becomes of what is accepted.

use std::{
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, TcpStream},
};

/// Listeners have tokens from here up, connections below.
const FIRST_TOKEN: usize = 1 << 32;
/// So many connections are accepted in one go, so that a flood of them does not starve those
/// that are there.
pub(super) const ACCEPTS_IN_A_ROW: usize = 256;
/// After an error of accept (too many open files, mostly) it is tried again so much later.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Takes what a listener accepts, or the error that kept it from accepting.
pub type Accept = Box<dyn FnMut(io::Result<(TcpStream, SocketAddr)>) + Send>;

/// The listeners of one reactor.
#[derive(Default)]
pub(super) struct Listeners(Vec<Listener>);

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
        let token = Token(FIRST_TOKEN + self.0.len());
        registry.register(&mut socket, token, Interest::READABLE)?;
        self.0.push(Listener {
            socket,
            accept,
            retry_at: None,
        });
        Ok(())
    }

    /// Accepts what an event for this token announces. `false` if it is no listener's.
    pub(super) fn accept(&mut self, Token(token): Token, now: Instant) -> bool {
        let Some(index) = token.checked_sub(FIRST_TOKEN) else {
            return false;
        };
        // It may be closed since the event.
        if let Some(listener) = self.0.get_mut(index) {
            listener.accept(now);
        }
        true
    }

    /// Accepts where an earlier attempt has stopped.
    pub(super) fn retry(&mut self, now: Instant) {
        for listener in &mut self.0 {
            if listener.retry_at.is_some_and(|at| at <= now) {
                listener.accept(now);
            }
        }
    }

    /// When the next listener tries again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.0.iter().filter_map(|listener| listener.retry_at).min()
    }

    pub(super) fn close(&mut self) {
        self.0.clear();
    }
}

impl Listener {
    fn accept(&mut self, now: Instant) {
        self.retry_at = None;
        for _ in 0..ACCEPTS_IN_A_ROW {
            match self.socket.accept() {
                Ok(accepted) => self.hand_over(Ok(accepted)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => {
                    self.retry_at = Some(now + ACCEPT_RETRY);
                    return self.hand_over(Err(e));
                }
            }
        }
        // No event will announce those that still wait.
        self.retry_at = Some(now);
    }

    fn hand_over(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        // The panic has been reported by its hook; here it must not end the thread of others.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.accept)(accepted)));
    }
}
