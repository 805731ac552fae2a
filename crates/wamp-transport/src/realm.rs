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
    backlog::{Backlog, EventsUnderWay},
    clock_handle::ClockHandle,
    fan_out::FanOut,
    local_queue::LocalQueue,
    memory::{Memory, Purpose},
    outbox::{Broadcast, Mail, Outbox},
};
use reactor::Mailbox;
use wamp::{
    Event, Hello, Identity, Invocation, Message, OwnIds, Peer, Receipt, RequestId,
    Result as CallResult, ResultDetails, TransportKind, Uri, Yield,
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

/// Where the messages of each session go.
#[derive(Default)]
struct Destinations {
    by_peer: HashMap<PeerId, Destination, OwnIds>,
    fan_out: FanOut,
    events_under_way: Arc<EventsUnderWay>,
    /// Invocations for which their callees had no room.
    refused: Vec<(PeerId, RequestId)>,
}

/// Where a session's messages go.
enum Destination {
    Connection(Outbox),
    Local(Arc<LocalQueue>),
}

/// Who is to be notified once the lock is gone: mostly one thread or one component.
#[derive(Default)]
struct Notifications<'a> {
    threads: SmallVec<[(usize, Mailbox<Mail>); 1]>,
    local: SmallVec<[Arc<LocalQueue>; 1]>,
    clock: Option<&'a ClockHandle>,
    /// Of the part of an answer that is being routed, until the RESULT has it. If nobody waits for
    /// that, it is dropped with this.
    receipt: Option<Receipt>,
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
        self.handle_paid(Input::Message { peer, message }, backlog.filter(|_| pays));
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

    fn handle_paid(&self, input: Input, payer: Option<&Arc<Backlog>>) {
        self.handle_all(input, payer, Notifications::default());
    }

    fn handle_all<'a>(
        &'a self,
        input: Input,
        payer: Option<&Arc<Backlog>>,
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
            let next = state.router.next_deadline();
            if next.is_some_and(|next| state.alarm.is_none_or(|alarm| next < alarm)) {
                state.alarm = next;
                notifications.clock = Some(&self.clock);
            }
        }
        notifications.send();
    }

    /// How many octets of calls are held, by the accounts of their callers.
    pub(super) fn held_by_callers(&self) -> Vec<(Arc<Backlog>, usize)> {
        let state = self.lock();
        if state.counted == 0 {
            return Vec::new();
        }
        let held = state.router.held_by_callers().into_iter();
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

impl Destinations {
    fn deliver(
        &mut self,
        output: Output,
        payer: Option<&Arc<Backlog>>,
        memory: &Arc<Memory>,
        notifications: &mut Notifications<'_>,
    ) {
        match output {
            Output::Send { to, message } => match self.by_peer.get(&to) {
                Some(Destination::Connection(outbox)) => {
                    let mail = match notifications.receipt_of(&message) {
                        None => Mail::Message(message),
                        Some(receipt) => Mail::Part(Box::new(message), receipt),
                    };
                    notifications.put(outbox, mail);
                }
                Some(Destination::Local(queue)) => {
                    match notifications.receipt_of(&message) {
                        None => queue.put(message),
                        Some(receipt) => queue.put_part(message, receipt),
                    }
                    notifications.local.push(queue.clone());
                }
                None => {}
            },
            Output::Invoke {
                to,
                invocation,
                caller,
                from,
            } => match self.by_peer.get(&to) {
                Some(Destination::Connection(outbox)) => {
                    let request = invocation.request;
                    let payer = payer.or_else(|| self.backlog_of(from));
                    if !notifications.invoke(outbox, invocation, payer) {
                        self.refused.push((to, request));
                    }
                }
                Some(Destination::Local(queue)) => {
                    queue.invoke(invocation, caller);
                    notifications.local.push(queue.clone());
                }
                None => {}
            },
            Output::Event { to, event } => {
                self.broadcast(&to, &event, (payer, memory), notifications)
            }
            Output::Close { peer } => self.close(peer, Mail::Close, notifications),
            Output::GoAway { peer } => self.close(peer, Mail::GoAway, notifications),
        }
    }

    /// The accounts of a session on a connection. A call that has waited in a queue of the router
    /// is invoked when its callee answers another one, and charged to its caller all the same.
    fn backlog_of(&self, peer: PeerId) -> Option<&Arc<Backlog>> {
        match self.by_peer.get(&peer)? {
            Destination::Connection(outbox) => Some(&outbox.backlog),
            Destination::Local(_) => None,
        }
    }

    fn broadcast(
        &mut self,
        to: &[PeerId],
        event: &Arc<Event>,
        (payer, memory): (Option<&Arc<Backlog>>, &Arc<Memory>),
        notifications: &mut Notifications<'_>,
    ) {
        let len = event.approximate_len();
        for peer in to {
            match self.by_peer.get(peer) {
                Some(Destination::Connection(outbox)) => self.fan_out.add(outbox, len),
                Some(Destination::Local(queue)) => {
                    let charge = payer.map(|payer| payer.charge(1, len));
                    queue.put_event(Event::clone(event), charge);
                    notifications.local.push(queue.clone());
                }
                None => {}
            }
        }
        let receivers = self.fan_out.receivers();
        if receivers == 0 {
            return;
        }
        let charge = self.events_under_way.charge(payer, receivers, len);
        let broadcast = Arc::new(Broadcast::new(event.clone(), receivers, charge, memory));
        (self.fan_out).hand_over(&broadcast, |io_thread, mailbox| {
            notifications.wake(io_thread, mailbox);
        });
    }

    fn close(&mut self, peer: PeerId, last: Mail, notifications: &mut Notifications<'_>) {
        match self.by_peer.remove(&peer) {
            Some(Destination::Connection(outbox)) => notifications.put(&outbox, last),
            Some(Destination::Local(queue)) => {
                queue.close();
                notifications.local.push(queue);
            }
            None => {}
        }
    }
}

impl Notifications<'_> {
    /// Puts mail into an outbox, whose thread is woken afterwards.
    fn put(&mut self, outbox: &Outbox, mail: Mail) {
        outbox.put(mail);
        self.wake(outbox.io_thread, &outbox.mailbox);
    }

    /// The same with an invocation, if there is room for it.
    fn invoke(
        &mut self,
        callee: &Outbox,
        invocation: Invocation,
        payer: Option<&Arc<Backlog>>,
    ) -> bool {
        let len = invocation.approximate_len();
        let charge = Backlog::charge_call(payer, &callee.backlog, len);
        if let Some(charge) = charge {
            self.put(callee, Mail::Invocation(invocation, charge));
            return true;
        }
        false
    }

    /// The receipt to go along with this message, if it is the part that is being routed.
    fn receipt_of(&mut self, message: &Message) -> Option<Receipt> {
        self.receipt.take_if(|_| {
            let progress = ResultDetails { progress: true };
            matches!(message, Message::Result(CallResult { details, .. }) if *details == progress)
        })
    }

    fn wake(&mut self, io_thread: usize, mailbox: &Mailbox<Mail>) {
        if self.threads.iter().all(|(known, _)| *known != io_thread) {
            self.threads.push((io_thread, mailbox.clone()));
        }
    }

    fn send(self) {
        if let Some(clock) = self.clock {
            clock.tell();
        }
        for (_, mailbox) in self.threads {
            mailbox.wake();
        }
        for queue in self.local {
            queue.deliver();
        }
    }
}
