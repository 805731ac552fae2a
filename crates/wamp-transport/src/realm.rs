//! A realm as sessions on many threads reach it: the router behind its lock, and the outboxes of
//! its sessions. Must not know what a message means, nor how it gets onto the wire.
//!
//! The lock is held while the router decides and while its outputs are put into outboxes, so
//! that no EVENT overtakes its SUBSCRIBED. Waking threads and running components, which may
//! make system calls or run user code, come after.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use smallvec::SmallVec;

use super::{
    clock_handle::ClockHandle,
    local_queue::LocalQueue,
    outbox::{Broadcast, Mail, Outbox},
};
use reactor::Mailbox;
use wamp::{Hello, Message, OwnIds, Peer, TransportKind};
use wamp_router::{Input, Output, PeerId, Router, Stats};

/// A realm and its sessions.
pub struct Realm {
    state: Mutex<State>,
    next_peer: AtomicU64,
    clock: ClockHandle,
}

struct State {
    router: Router,
    outlets: HashMap<PeerId, Outlet, OwnIds>,
    /// Kept for its capacity.
    outputs: Vec<Output>,
    /// When the clock will look at this realm by itself.
    alarm: Option<Instant>,
}

/// Where a session's messages go.
enum Outlet {
    Connection(Outbox),
    Local(Arc<LocalQueue>),
}

/// What is left to do once the lock is gone: mostly for one thread or one component.
#[derive(Default)]
struct Afterwards<'a> {
    wake: SmallVec<[(usize, Mailbox<Mail>); 1]>,
    local: SmallVec<[Arc<LocalQueue>; 1]>,
    clock: Option<&'a ClockHandle>,
}

impl Realm {
    /// A realm around its router. It tells `clock` of deadlines that it does not know of.
    pub fn new(router: Router, clock: ClockHandle) -> Self {
        let state = State {
            router,
            outlets: HashMap::default(),
            outputs: Vec::new(),
            alarm: None,
        };
        Self {
            state: Mutex::new(state),
            next_peer: AtomicU64::new(1),
            clock,
        }
    }

    /// Takes in a session of this process. It must send its HELLO next.
    pub(super) fn admit_local(&self, peer: Arc<dyn Peer>) -> PeerId {
        self.admit(Outlet::Local(LocalQueue::new(peer)))
    }

    /// No new calls from now on; those under way may still be answered.
    pub fn drain(&self) {
        self.handle(Input::Drain);
    }

    /// Answers the calls under way with an ERROR and ends every session.
    pub fn shut_down(&self) {
        self.handle(Input::Shutdown);
    }

    /// What there is now.
    pub fn stats(&self) -> Stats {
        self.lock().router.stats()
    }

    /// Takes in a session on a connection by its HELLO.
    pub(super) fn join(&self, outbox: Outbox, hello: Hello, authrole: &str) -> PeerId {
        let peer = self.admit(Outlet::Connection(outbox));
        self.hello(peer, hello, authrole, TransportKind::WebSocket);
        peer
    }

    pub(super) fn hello(
        &self,
        peer: PeerId,
        hello: Hello,
        authrole: &str,
        transport: TransportKind,
    ) {
        let authrole = authrole.to_owned();
        self.handle(Input::Hello {
            peer,
            hello,
            authrole,
            transport,
        });
    }

    pub(super) fn receive(&self, peer: PeerId, message: Message) {
        self.handle(Input::Message { peer, message });
    }

    /// Takes a message without its payload, which is nested too deep.
    pub(super) fn too_deep(&self, peer: PeerId, message: Message) {
        self.handle(Input::TooDeep { peer, message });
    }

    pub(super) fn violation(&self, peer: PeerId, reason: String) {
        self.handle(Input::Violation { peer, reason });
    }

    /// The transport of a session is lost or closed.
    pub(super) fn leave(&self, peer: PeerId) {
        self.handle(Input::Gone { peer });
        self.lock().outlets.remove(&peer);
    }

    /// The same where the other end is to blame, and how: its callers are told.
    pub(super) fn lose(&self, peer: PeerId, why: String) {
        self.handle(Input::Lost { peer, why });
        self.lock().outlets.remove(&peer);
    }

    /// Lets the router meet the deadlines that have come. The next one, for the clock to come
    /// back at.
    pub(super) fn tick(&self) -> Option<Instant> {
        self.handle(Input::Tick);
        let mut state = self.lock();
        state.alarm = state.router.next_deadline();
        state.alarm
    }

    fn admit(&self, outlet: Outlet) -> PeerId {
        let peer = PeerId(self.next_peer.fetch_add(1, Ordering::Relaxed));
        self.lock().outlets.insert(peer, outlet);
        peer
    }

    fn handle(&self, input: Input) {
        let mut afterwards = Afterwards::default();
        {
            let mut state = self.lock();
            // Under the lock, so that the router's time does not go back.
            let now = Instant::now();
            let state = &mut *state;
            state.router.handle(now, input, &mut state.outputs);
            for output in state.outputs.drain(..) {
                deliver(&mut state.outlets, output, &mut afterwards);
            }
            let next = state.router.next_deadline();
            if next.is_some_and(|next| state.alarm.is_none_or(|alarm| next < alarm)) {
                state.alarm = next;
                afterwards.clock = Some(&self.clock);
            }
        }
        afterwards.run();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside the router would be a bug there; the sessions it did not concern are
        // better served by going on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn deliver(
    outlets: &mut HashMap<PeerId, Outlet, OwnIds>,
    output: Output,
    afterwards: &mut Afterwards<'_>,
) {
    match output {
        Output::Send { to, message } => match outlets.get(&to) {
            Some(Outlet::Connection(outbox)) => {
                outbox.put(Mail::Message(message));
                afterwards.wake(outbox);
            }
            Some(Outlet::Local(queue)) => {
                queue.put(message);
                afterwards.local.push(queue.clone());
            }
            None => {}
        },
        Output::Invoke {
            to,
            invocation,
            caller,
        } => match outlets.get(&to) {
            Some(Outlet::Connection(outbox)) => {
                outbox.put(Mail::Message(invocation.into()));
                afterwards.wake(outbox);
            }
            Some(Outlet::Local(queue)) => {
                queue.invoke(invocation, caller);
                afterwards.local.push(queue.clone());
            }
            None => {}
        },
        Output::Event { to, event } => {
            let broadcast = Arc::new(Broadcast::new(event));
            for peer in to {
                match outlets.get(&peer) {
                    Some(Outlet::Connection(outbox)) => {
                        outbox.put(Mail::Event(broadcast.clone()));
                        afterwards.wake(outbox);
                    }
                    Some(Outlet::Local(queue)) => {
                        queue.put(Message::Event(broadcast.event().clone()));
                        afterwards.local.push(queue.clone());
                    }
                    None => {}
                }
            }
        }
        Output::Close { peer } => close(outlets, peer, Mail::Close, afterwards),
        Output::GoAway { peer } => close(outlets, peer, Mail::GoAway, afterwards),
    }
}

fn close(
    outlets: &mut HashMap<PeerId, Outlet, OwnIds>,
    peer: PeerId,
    last: Mail,
    afterwards: &mut Afterwards<'_>,
) {
    match outlets.remove(&peer) {
        Some(Outlet::Connection(outbox)) => {
            outbox.put(last);
            afterwards.wake(&outbox);
        }
        Some(Outlet::Local(queue)) => {
            queue.close();
            afterwards.local.push(queue);
        }
        None => {}
    }
}

impl Afterwards<'_> {
    fn wake(&mut self, outbox: &Outbox) {
        if self
            .wake
            .iter()
            .all(|(io_thread, _)| *io_thread != outbox.io_thread)
        {
            self.wake.push((outbox.io_thread, outbox.mailbox.clone()));
        }
    }

    fn run(self) {
        if let Some(clock) = self.clock {
            clock.tell();
        }
        for (_, mailbox) in self.wake {
            mailbox.wake();
        }
        for queue in self.local {
            queue.deliver();
        }
    }
}
