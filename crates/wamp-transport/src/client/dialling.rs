//! A dialler at work, as a task of a reactor: resolves, connects, waits, connects again. Must not
//! know what is said on the connection.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use mio::net::TcpStream;

use super::{
    MakePeer, OnFailure, Shared, Target, connection::DialledConnection, reporter::Reporter,
};
use crate::outbox::{DiallerEvent, Mail};
use reactor::{Context, Mailbox, Task, TaskId};

/// The wait before a second try, doubled from try to try up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long a stop waits for the router to answer the last GOODBYE.
const FAREWELL: Duration = Duration::from_secs(2);

/// The task.
pub(super) struct Dialling {
    target: Arc<Target>,
    mailbox: Mailbox<Mail>,
    make_peer: Arc<MakePeer>,
    shared: Arc<Shared>,
    retry: Retry,
    phase: Phase,
    /// A thread asks for the host's addresses. Never more than one, however long it takes.
    is_resolving: bool,
    /// When this round of tries began.
    began: Instant,
    wait: Duration,
    last_failure: String,
    /// Dropped with the task.
    _life: Sender<()>,
}

/// What becomes of a router that cannot be reached, and of a connection that is lost.
pub(super) enum Retry {
    /// It is dialled again.
    Always,
    /// That was all; who is told of the one is there until then.
    Never(Option<OnFailure>),
}

enum Phase {
    /// Nothing is under way but the wait for the next try.
    Waiting,
    Resolving,
    /// One address is being tried; these come next.
    Connecting {
        next: std::vec::IntoIter<SocketAddr>,
    },
    Open,
    /// The router may still answer the GOODBYE.
    Leaving,
}

impl Dialling {
    pub(super) fn new(
        target: Target,
        mailbox: Mailbox<Mail>,
        make_peer: MakePeer,
        retry: Retry,
        (shared, life): (Arc<Shared>, Sender<()>),
    ) -> Self {
        Self {
            target: Arc::new(target),
            mailbox,
            make_peer: Arc::new(make_peer),
            shared,
            retry,
            phase: Phase::Waiting,
            is_resolving: false,
            began: Instant::now(),
            wait: FIRST_WAIT,
            last_failure: String::new(),
            _life: life,
        }
    }

    /// Begins a round: the addresses first. Asking for them may block, so a thread does it.
    fn dial(&mut self, context: &mut Context<'_>) {
        self.began = context.now;
        self.phase = Phase::Resolving;
        context.set_deadline(Some(context.now + self.target.timeout));
        let (host, port) = (self.target.host.clone(), self.target.port);
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.connect(vec![(address, port).into()].into_iter(), context);
        }
        if self.is_resolving {
            return;
        }
        let (mailbox, task) = (self.mailbox.clone(), context.id);
        let resolve = move || {
            let found = (host.as_str(), port).to_socket_addrs();
            let found = found
                .map(Iterator::collect)
                .map_err(|e| format!("the host {host:?} cannot be resolved: {e}"));
            let _ = mailbox.post_to_task(task, Mail::Dialler(DiallerEvent::Resolved(found)));
        };
        let thread = std::thread::Builder::new().name("resolve".to_owned());
        match thread.spawn(resolve) {
            Ok(_) => self.is_resolving = true,
            Err(e) => self.failed(&format!("no thread to resolve the host with: {e}"), context),
        }
    }

    /// Tries the next address, and spends on it no time that the others need.
    fn connect(&mut self, mut next: std::vec::IntoIter<SocketAddr>, context: &mut Context<'_>) {
        let Some(address) = next.next() else {
            let failure = format!("the host {:?} has no address", self.target.host);
            return self.failed(&failure, context);
        };
        let left = (self.began + self.target.timeout).saturating_duration_since(Instant::now());
        let share = left.div_f64((1 + next.len()) as f64);
        self.phase = Phase::Connecting { next };
        // The connection keeps its own time.
        context.set_deadline(None);
        match TcpStream::connect(address) {
            Ok(socket) => {
                let connection = DialledConnection::new(
                    self.target.clone(),
                    address,
                    Instant::now() + share,
                    self.mailbox.clone(),
                    self.make_peer.clone(),
                    self.reporter(context.id),
                );
                self.mailbox.adopt(socket, Box::new(connection));
            }
            Err(e) => self.attempt_failed(format!("{address}: {e}"), context),
        }
    }

    fn reporter(&self, task: TaskId) -> Reporter {
        Reporter {
            mailbox: self.mailbox.clone(),
            task,
            shared: self.shared.clone(),
        }
    }

    /// An address has come to nothing: the next one, or the end of the round.
    fn attempt_failed(&mut self, failure: String, context: &mut Context<'_>) {
        match std::mem::replace(&mut self.phase, Phase::Waiting) {
            Phase::Connecting { next } if next.len() > 0 => self.connect(next, context),
            _ => self.failed(&failure, context),
        }
    }

    /// The round has come to nothing.
    fn failed(&mut self, failure: &str, context: &mut Context<'_>) {
        if let Retry::Never(on_failure) = &mut self.retry {
            if let Some(on_failure) = on_failure.take() {
                on_failure(failure.to_owned());
            }
            return context.end();
        }
        // Once for each change of state, not once for each try.
        if failure != self.last_failure {
            tracing::warn!(
                target: crate::LOG,
                url = self.target.shown(),
                failure,
                "the router cannot be reached, trying on"
            );
            failure.clone_into(&mut self.last_failure);
        }
        self.wait_a_while(context);
    }

    fn wait_a_while(&mut self, context: &mut Context<'_>) {
        self.phase = Phase::Waiting;
        // A connection that lasted was a good one.
        if context.now.duration_since(self.began) > LONGEST_WAIT {
            self.wait = FIRST_WAIT;
        }
        // Jitter, so that many clients of a restarted router do not come all at once.
        let jittered = self.wait.mul_f64(rand::random_range(0.5..1.0));
        context.set_deadline(Some(context.now + jittered));
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    fn stop(&mut self, context: &mut Context<'_>) {
        match self.phase {
            Phase::Open => {
                self.phase = Phase::Leaving;
                context.set_deadline(Some(context.now + FAREWELL));
            }
            Phase::Leaving => {}
            Phase::Waiting | Phase::Resolving | Phase::Connecting { .. } => context.end(),
        }
    }
}

impl Task<Mail> for Dialling {
    fn on_start(&mut self, context: &mut Context<'_>) {
        self.shared.task.get_or_init(|| context.id);
        if self.shared.is_stopped.load(Ordering::SeqCst) {
            return context.end();
        }
        self.dial(context);
    }

    fn on_mail(&mut self, mail: Mail, context: &mut Context<'_>) {
        let Mail::Dialler(event) = mail else {
            return;
        };
        match event {
            DiallerEvent::Resolved(found) => {
                self.is_resolving = false;
                if matches!(self.phase, Phase::Resolving) {
                    match found {
                        Ok(addresses) => self.connect(addresses.into_iter(), context),
                        Err(failure) => self.failed(&failure, context),
                    }
                }
            }
            DiallerEvent::Opened => {
                tracing::info!(target: crate::LOG, url = self.target.shown(), "connected to the router");
                self.last_failure.clear();
                self.phase = Phase::Open;
            }
            DiallerEvent::Failed(failure) => self.attempt_failed(failure, context),
            DiallerEvent::Lost if matches!(self.phase, Phase::Leaving) => context.end(),
            DiallerEvent::Lost if matches!(self.retry, Retry::Never(_)) => context.end(),
            DiallerEvent::Lost => {
                tracing::warn!(
                    target: crate::LOG,
                    url = self.target.shown(),
                    "lost the connection to the router, dialling again"
                );
                self.wait_a_while(context);
            }
            DiallerEvent::Stop => self.stop(context),
        }
    }

    fn on_deadline(&mut self, context: &mut Context<'_>) {
        match self.phase {
            Phase::Waiting => self.dial(context),
            Phase::Resolving => {
                let host = &self.target.host;
                let failure = format!("the host {host:?} was not resolved in time");
                self.failed(&failure, context);
            }
            Phase::Leaving => context.end(),
            Phase::Connecting { .. } | Phase::Open => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net, sync::mpsc, thread};

    use crossbeam_channel::bounded;

    use super::*;
    use crate::{
        bind,
        client::tests::{Remote, accept_websocket, target},
        tests::{PATIENCE, hello},
    };
    use reactor::Reactor;

    /// A dialler whose host has these addresses.
    struct Resolved(Dialling, Vec<SocketAddr>);

    impl Task<Mail> for Resolved {
        fn on_start(&mut self, context: &mut Context<'_>) {
            let addresses = std::mem::take(&mut self.1);
            self.0.connect(addresses.into_iter(), context);
        }
        fn on_mail(&mut self, mail: Mail, context: &mut Context<'_>) {
            self.0.on_mail(mail, context);
        }
        fn on_deadline(&mut self, context: &mut Context<'_>) {
            self.0.on_deadline(context);
        }
    }

    #[test]
    fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let silent = bind("127.0.0.1".parse().unwrap(), 0, 0).unwrap();
        let silent = silent.local_addr().unwrap();
        // Nobody accepts there: once its queue is full the kernel answers no more.
        let mut queued = Vec::new();
        let soon = Duration::from_millis(200);
        while let Ok(socket) = net::TcpStream::connect_timeout(&silent, soon) {
            queued.push(socket);
            assert!(queued.len() < 100, "the queue does not fill");
        }
        let live = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = live.local_addr().unwrap();

        let reactor = Reactor::new().unwrap();
        let mailbox = reactor.mailbox();
        let thread = thread::spawn(move || reactor.run());
        let (told, _hears) = mpsc::channel();
        let make_peer: MakePeer = Box::new(move || {
            Arc::new(Remote {
                words: vec![hello()],
                told: told.clone(),
            })
        });
        let target = Target {
            timeout: Duration::from_secs(1),
            ..target(silent)
        };
        let (life, _alive) = bounded(0);
        let handles = (Arc::default(), life);
        let dialling = Dialling::new(target, mailbox.clone(), make_peer, Retry::Always, handles);
        mailbox.add_task(Box::new(Resolved(dialling, vec![silent, address])));
        // Its words come within the time of this round: not all of it went to the first.
        let (socket, _) = live.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let said = accept_websocket(socket).read().unwrap();
        assert!(said.to_string().starts_with("[1,"), "{said}");
        mailbox.stop();
        thread.join().unwrap().unwrap();
    }
}
