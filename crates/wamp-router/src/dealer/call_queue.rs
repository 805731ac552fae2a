//! The concurrency of one registration: how many invocations are at its callee, and which calls
//! wait for one to end. Knows neither sessions nor messages.

use std::{collections::BTreeMap, num::NonZeroU64, time::Instant};

use crate::{
    PeerId,
    session::{OpenCall, PendingCall, Stage},
};
use wamp::{Payload, RequestId};

/// How many invocations a registration has at its callee, and the calls that wait until there are
/// fewer.
///
/// An invocation counts from INVOCATION until the callee's answer, whatever becomes of the call in
/// between: a caller that cancels, or is gone, does not end the callee's work. So the callee's
/// answer alone makes room, and the next call is invoked just then. Calls wait only while there is
/// no room.
pub(super) struct CallQueue {
    concurrency: u64,
    running: u64,
    /// By the number of the call among all of the realm, so that the first came first.
    waiting: BTreeMap<u64, QueuedCall>,
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

impl CallQueue {
    pub(super) fn new(concurrency: NonZeroU64) -> Self {
        Self {
            concurrency: concurrency.get(),
            running: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Whether the callee takes no more invocations now.
    pub(super) fn is_full(&self) -> bool {
        self.running >= self.concurrency
    }

    pub(super) fn running(&self) -> u64 {
        self.running
    }

    pub(super) fn waiting(&self) -> &BTreeMap<u64, QueuedCall> {
        &self.waiting
    }

    pub(super) fn into_waiting(self) -> BTreeMap<u64, QueuedCall> {
        self.waiting
    }

    /// A call is invoked at once.
    pub(super) fn begin(&mut self) {
        self.running += 1;
    }

    /// A call has to wait.
    pub(super) fn enqueue(&mut self, number: u64, call: QueuedCall) {
        self.waiting.insert(number, call);
    }

    /// A call waits no longer.
    pub(super) fn dequeue(&mut self, number: u64) {
        self.waiting.remove(&number);
    }

    /// The callee has answered an invocation. The call that is to be invoked in its place, if one
    /// waits, is counted already.
    pub(super) fn finish(&mut self) -> Option<QueuedCall> {
        match self.waiting.pop_first() {
            Some((_, call)) => Some(call),
            None => {
                self.running -= 1;
                None
            }
        }
    }
}
