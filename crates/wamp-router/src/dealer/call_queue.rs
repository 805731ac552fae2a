//! The concurrency of one registration: how many invocations are at its callee, and which calls
//! wait for their turn. Knows neither sessions nor messages.

use std::{collections::BTreeMap, num::NonZeroU64, time::Instant};

use crate::{
    PeerId,
    session::{OpenCall, PendingCall, Stage},
};
use wamp::{Payload, RequestId};

/// The slots of a registration and its queue.
///
/// A slot is taken from INVOCATION until the callee's answer, whatever becomes of the call in
/// between: a caller that cancels, or is gone, does not end the callee's work. So a slot is given
/// back by the callee's answer alone, and the next call has its turn just then. Calls wait only
/// while every slot is taken.
pub(super) struct Turns {
    concurrency: u64,
    taken: u64,
    /// By turn: the number of the call among all of the realm, so that the first came first.
    queue: BTreeMap<u64, QueuedCall>,
}

/// A call that is ready to be invoked.
pub(super) struct QueuedCall {
    pub(super) caller: PeerId,
    pub(super) request: RequestId,
    /// When its timeout ends.
    pub(super) deadline: Option<Instant>,
    /// The timeout itself, in milliseconds.
    pub(super) timeout: u64,
    /// Whether the callee is told who calls.
    pub(super) disclose: bool,
    /// Whether the caller takes the result in parts.
    pub(super) progress: bool,
    pub(super) payload: Payload,
}

impl QueuedCall {
    pub(super) fn id(&self) -> PendingCall {
        PendingCall {
            caller: self.caller,
            request: self.request,
        }
    }

    /// What its caller's session knows of it.
    pub(super) fn open(&self, stage: Stage) -> OpenCall {
        OpenCall {
            stage,
            deadline: self.deadline,
            timeout: self.timeout,
        }
    }
}

impl Turns {
    pub(super) fn new(concurrency: NonZeroU64) -> Self {
        Self {
            concurrency: concurrency.get(),
            taken: 0,
            queue: BTreeMap::new(),
        }
    }

    pub(super) fn all_taken(&self) -> bool {
        self.taken >= self.concurrency
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn queue(&self) -> &BTreeMap<u64, QueuedCall> {
        &self.queue
    }

    pub(super) fn into_queue(self) -> BTreeMap<u64, QueuedCall> {
        self.queue
    }

    /// A call is invoked at once.
    pub(super) fn take(&mut self) {
        self.taken += 1;
    }

    /// A call waits for its turn.
    pub(super) fn enqueue(&mut self, turn: u64, call: QueuedCall) {
        self.queue.insert(turn, call);
    }

    /// A call waits no longer.
    pub(super) fn dequeue(&mut self, turn: u64) {
        self.queue.remove(&turn);
    }

    /// A slot is given back. The call that gets it, if one waits, has it already.
    pub(super) fn give_back(&mut self) -> Option<QueuedCall> {
        match self.queue.pop_first() {
            Some((_, call)) => Some(call),
            None => {
                self.taken -= 1;
                None
            }
        }
    }
}
