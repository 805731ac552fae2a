//! Where the outputs of a realm's router go: the outboxes and queues of its sessions, under the
//! realm's lock, and who is to be notified after it. Must not know what a message means.

use std::{collections::HashMap, sync::Arc};

use smallvec::SmallVec;

use crate::{
    backlog::{Backlog, Charge, EventsUnderWay},
    clock_handle::ClockHandle,
    fan_out::FanOut,
    local_queue::LocalQueue,
    memory::Memory,
    outbox::{Broadcast, Mail, Outbox},
};
use reactor::Mailbox;
use wamp::{
    Event, Invocation, Message, OwnIds, Receipt, RequestId, Result as CallResult, ResultDetails,
};
use wamp_router::{Output, PeerId};

/// Where the messages of each session go.
#[derive(Default)]
pub(super) struct Destinations {
    pub(super) by_peer: HashMap<PeerId, Destination, OwnIds>,
    pub(super) fan_out: FanOut,
    events_under_way: Arc<EventsUnderWay>,
    /// Invocations for which their callees had no room.
    pub(super) refused: Vec<(PeerId, RequestId)>,
    /// What sessions are charged for requests that wait for permission.
    waiting: HashMap<PeerId, Charge, OwnIds>,
}

/// Where a session's messages go.
pub(super) enum Destination {
    Connection(Outbox),
    Local(Arc<LocalQueue>),
}

/// A session whose message is being routed, and the accounts that what it causes is charged to.
pub(super) type Payer<'a> = (PeerId, &'a Arc<Backlog>);

/// The accounts, if what is to be charged is of this session.
fn of<'a>(payer: Option<Payer<'a>>, from: PeerId) -> Option<&'a Arc<Backlog>> {
    payer
        .filter(|(peer, _)| *peer == from)
        .map(|(_, backlog)| backlog)
}

/// Who is to be notified once the lock is gone: mostly one thread or one component.
#[derive(Default)]
pub(super) struct Notifications<'a> {
    pub(super) threads: SmallVec<[(usize, Mailbox<Mail>); 1]>,
    pub(super) local: SmallVec<[Arc<LocalQueue>; 1]>,
    pub(super) clock: Option<&'a ClockHandle>,
    /// Of the part of an answer that is being routed, until the RESULT has it. If nobody waits for
    /// that, it is dropped with this.
    pub(super) receipt: Option<Receipt>,
    /// What need not be charged any more.
    pub(super) released: Vec<Charge>,
}

impl Destinations {
    pub(super) fn deliver(
        &mut self,
        output: Output,
        payer: Option<Payer<'_>>,
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
                    let payer = of(payer, from).or_else(|| self.backlog_of(from));
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
            Output::Event { to, event, from } => {
                if let Some(payer) = of(payer, from) {
                    return self.broadcast(&to, &event, (Some(payer), memory), notifications);
                }
                let payer = self.backlog_of(from).cloned();
                self.broadcast(&to, &event, (payer.as_ref(), memory), notifications);
            }
            Output::Ask { to, question } => {
                if let Some(Destination::Local(queue)) = self.by_peer.get(&to) {
                    queue.ask(question);
                    notifications.local.push(queue.clone());
                }
            }
            Output::Withdraw { to, ticket } => {
                if let Some(Destination::Local(queue)) = self.by_peer.get(&to) {
                    queue.withdraw(ticket);
                    notifications.local.push(queue.clone());
                }
            }
            Output::Close { peer } => self.close(peer, Mail::Close, notifications),
            Output::GoAway { peer } => self.close(peer, Mail::GoAway, notifications),
        }
    }

    /// The accounts of a session on a connection. What has waited in the router goes on when something
    /// else happens, as when a callee answers another call, and is charged to its session all the
    /// same.
    fn backlog_of(&self, peer: PeerId) -> Option<&Arc<Backlog>> {
        match self.by_peer.get(&peer)? {
            Destination::Connection(outbox) => Some(&outbox.backlog),
            Destination::Local(_) => None,
        }
    }

    /// Charges sessions on connections for their requests that wait for permission: beyond a limit
    /// they are not read from. The charges that have been are let go after the lock, since that may
    /// wake a thread.
    pub(super) fn charge_waiting(
        &mut self,
        waiting: Vec<(PeerId, usize, usize)>,
        notifications: &mut Notifications<'_>,
    ) {
        for (peer, requests, octets) in waiting {
            let former = self.waiting.remove(&peer);
            notifications.released.extend(former);
            if requests > 0
                && let Some(backlog) = self.backlog_of(peer)
            {
                let charge = backlog.charge_waiting(requests, octets);
                self.waiting.insert(peer, charge);
            }
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

    pub(super) fn send(self) {
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
