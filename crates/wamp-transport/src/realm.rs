//! A realm as sessions on many threads reach it: the router behind its lock, and the outboxes of
//! its sessions. Must not know what a message means, nor how it gets onto the wire.
//!
//! The lock is held while the router decides and while its outputs are put into outboxes, so
//! that no EVENT overtakes its SUBSCRIBED. Waking threads and running components, which may
//! make system calls or run user code, come after.

mod destinations;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::{
    backlog::Backlog,
    clock_handle::ClockHandle,
    local_queue::LocalQueue,
    memory::{Memory, Purpose},
    outbox::Outbox,
};
use destinations::{Destination, Destinations, Notifications, Payer};
use wamp::{
    GuardId, Hello, Identity, Message, Pattern, Peer, Receipt, Ticket, TransportKind, Uri, Verdict,
    Yield,
};
use wamp_router::{Capacity, Input, Output, PeerId, Router, Stats, refuse_invocation};

/// A realm and its sessions.
pub struct Realm {
    state: Mutex<State>,
    next_peer: AtomicU64,
    clock: ClockHandle,
    memory: Arc<Memory>,
}

struct State {
    router: Router,
    destinations: Destinations,
    /// Kept for its capacity.
    outputs: Vec<Output>,
    /// When the clock will look at this realm by itself.
    alarm: Option<Instant>,
    /// How many octets of calls the node's memory counts for this realm.
    counted: usize,
}

impl Realm {
    /// A realm around its router. It tells `clock` of deadlines that it does not know of, and counts
    /// in `memory` what waits.
    pub fn new(router: Router, clock: ClockHandle, memory: Arc<Memory>) -> Self {
        let state = State {
            router,
            destinations: Destinations::default(),
            outputs: Vec::new(),
            alarm: None,
            counted: 0,
        };
        Self {
            state: Mutex::new(state),
            next_peer: AtomicU64::new(1),
            clock,
            memory,
        }
    }

    /// Takes in a session of this process. It must send its HELLO next.
    pub(super) fn admit_local(&self, peer: Arc<dyn Peer>) -> PeerId {
        self.admit(Destination::Local(LocalQueue::new(peer)))
    }

    /// No new calls from now on; those under way may still be answered.
    pub fn drain(&self) {
        self.handle(Input::Drain);
    }

    /// Answers the calls under way with an ERROR and ends every session.
    pub fn shut_down(&self) {
        self.handle(Input::Shutdown);
    }

    /// Whether the permissions of its role let a session call a procedure.
    pub fn may_call(&self, caller: &Identity, procedure: &Uri) -> bool {
        self.lock().router.may_call(caller, procedure)
    }

    /// What there is now.
    pub fn stats(&self) -> Stats {
        self.lock().router.stats()
    }

    /// The roles whose authorizers nobody has registered, with those procedures.
    pub fn missing_authorizers(&self) -> Vec<(String, Uri)> {
        let state = self.lock();
        let missing = state.router.missing_authorizers().into_iter();
        missing
            .map(|(role, procedure)| (role.to_owned(), procedure.clone()))
            .collect()
    }

    /// Takes in a session on a connection by its HELLO.
    pub(super) fn join(&self, outbox: Outbox, hello: Hello, authrole: &str) -> PeerId {
        let peer = self.admit(Destination::Connection(outbox));
        self.hello(peer, hello, authrole, (TransportKind::WebSocket, None));
        peer
    }

    pub(super) fn hello(
        &self,
        peer: PeerId,
        hello: Hello,
        authrole: &str,
        (transport, capacity): (TransportKind, Option<Capacity>),
    ) {
        let authrole = authrole.to_owned();
        self.handle(Input::Hello {
            peer,
            hello,
            authrole,
            transport,
            capacity,
        });
    }

    /// Takes a message of a session. For what a CALL or a PUBLISH puts into the outboxes of others
    /// its backlog is charged, if there is one.
    pub(super) fn receive(&self, peer: PeerId, message: Message, backlog: Option<&Arc<Backlog>>) {
        let pays = matches!(message, Message::Call(_) | Message::Publish(_));
        let payer = backlog.filter(|_| pays).map(|backlog| (peer, backlog));
        self.handle_paid(Input::Message { peer, message }, payer);
    }

    /// Takes a part of an answer. Its receipt is dropped when its caller's connection, or its caller
    /// in this process, has taken it, or when no caller is to have it.
    pub(super) fn receive_part(&self, peer: PeerId, part: Yield, receipt: Receipt) {
        let message = part.into();
        let notifications = Notifications {
            receipt: Some(receipt),
            ..Notifications::default()
        };
        self.handle_all(Input::Message { peer, message }, None, notifications);
    }

    /// Takes a message without its payload, which is nested too deep.
    pub(super) fn too_deep(&self, peer: PeerId, message: Message) {
        self.handle(Input::TooDeep { peer, message });
    }

    pub(super) fn violation(&self, peer: PeerId, reason: String) {
        self.handle(Input::Violation { peer, reason });
    }

    /// A session of this process is to be asked before somebody subscribes to these topics.
    pub(super) fn guard(&self, peer: PeerId, guard: GuardId, topics: Pattern) {
        self.handle(Input::Guard {
            peer,
            guard,
            topics,
        });
    }

    pub(super) fn end_guard(&self, peer: PeerId, guard: GuardId) {
        self.handle(Input::EndGuard { peer, guard });
    }

    /// What a session of this process says to a question.
    pub(super) fn answer_question(&self, peer: PeerId, ticket: Ticket, verdict: Verdict) {
        self.handle(Input::Verdict {
            peer,
            ticket,
            verdict,
        });
    }

    /// The transport of a session is lost or closed.
    pub(super) fn leave(&self, peer: PeerId) {
        self.handle(Input::Gone { peer });
        self.lock().destinations.by_peer.remove(&peer);
    }

    /// The same where the other end is to blame, and how: its callers are told.
    pub(super) fn lose(&self, peer: PeerId, why: String) {
        self.handle(Input::Lost { peer, why });
        self.lock().destinations.by_peer.remove(&peer);
    }

    /// Lets the router meet the deadlines that have come. The next one, for the clock to come
    /// back at.
    pub(super) fn tick(&self) -> Option<Instant> {
        self.handle(Input::Tick);
        let mut state = self.lock();
        state.alarm = state.router.next_deadline();
        state.alarm
    }

    fn admit(&self, destination: Destination) -> PeerId {
        let peer = PeerId(self.next_peer.fetch_add(1, Ordering::Relaxed));
        self.lock().destinations.by_peer.insert(peer, destination);
        peer
    }

    fn handle(&self, input: Input) {
        self.handle_paid(input, None);
    }

    fn handle_paid(&self, input: Input, payer: Option<Payer<'_>>) {
        self.handle_all(input, payer, Notifications::default());
    }

    fn handle_all<'a>(
        &'a self,
        input: Input,
        payer: Option<Payer<'_>>,
        mut notifications: Notifications<'a>,
    ) {
        {
            let mut state = self.lock();
            // Under the lock, so that the router's time does not go back.
            let now = Instant::now();
            let state = &mut *state;
            state.router.handle(now, input, &mut state.outputs);
            for output in state.outputs.drain(..) {
                (state.destinations).deliver(output, payer, &self.memory, &mut notifications);
            }
            while let Some((peer, request)) = state.destinations.refused.pop() {
                let message = refuse_invocation(request).into();
                let input = Input::Message { peer, message };
                state.router.handle(now, input, &mut state.outputs);
                for output in state.outputs.drain(..) {
                    (state.destinations).deliver(output, None, &self.memory, &mut notifications);
                }
            }
            let held = state.router.held_octets();
            if held != state.counted {
                let before = std::mem::replace(&mut state.counted, held);
                self.memory.change(Purpose::Calls, before, held);
            }
            if state.router.has_waiting() {
                (state.destinations)
                    .charge_waiting(state.router.take_waiting(), &mut notifications);
            }
            let next = state.router.next_deadline();
            if next.is_some_and(|next| state.alarm.is_none_or(|alarm| next < alarm)) {
                state.alarm = next;
                notifications.clock = Some(&self.clock);
            }
        }
        notifications.send();
    }

    /// How many octets of requests are held, by the accounts of their sessions.
    pub(super) fn held_by_sessions(&self) -> Vec<(Arc<Backlog>, usize)> {
        let state = self.lock();
        if state.counted == 0 {
            return Vec::new();
        }
        let held = state.router.held_by_sessions().into_iter();
        held.filter_map(
            |(caller, octets)| match state.destinations.by_peer.get(&caller) {
                Some(Destination::Connection(outbox)) => Some((outbox.backlog.clone(), octets)),
                _ => None,
            },
        )
        .collect()
    }

    /// How often events have been handed over to an I/O thread.
    #[cfg(test)]
    pub(super) fn hand_overs(&self) -> usize {
        self.lock().destinations.fan_out.hand_overs
    }

    /// What waits because of all its sessions on connections, in bytes.
    #[cfg(test)]
    pub(super) fn caused(&self) -> usize {
        let state = self.lock();
        let caused = state.destinations.by_peer.values().map(|to| match to {
            Destination::Connection(outbox) => outbox.backlog.caused(),
            Destination::Local(_) => 0,
        });
        caused.sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside the router would be a bug there; the sessions it did not concern are
        // better served by going on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
