//! The concurrency of one registration: how many invocations are at its callee, and which calls
//! wait for one to end. Knows neither sessions nor messages.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    num::NonZeroU64,
    time::Instant,
};

use super::shares::Common;
use crate::{
    FEW_CALLS, Limits, PeerId,
    call_id::CallId,
    refusal::Refusal,
    session::{OpenCall, PendingCall, Stage},
};
use wamp::{OwnIds, Payload};

/// How many invocations a registration has at its callee, and the calls that wait until there are
/// fewer.
///
/// An invocation counts from INVOCATION until the callee's answer, whatever becomes of the call in
/// between: a caller that cancels, or is gone, does not end the callee's work. So the callee's
/// answer alone makes room, and the next call is invoked just then. Calls wait only while there is
/// no room.
///
/// Callers take turns, one call each, so that nobody waits for all that another has called before.
/// Calls of one caller are invoked in their order.
pub(super) struct CallQueue {
    concurrency: u64,
    running: u64,
    callers: HashMap<PeerId, Waiting, OwnIds>,
    /// The callers of calls that wait, each once, in the order of their turns.
    turns: VecDeque<PeerId>,
    queued: Queued,
}

/// What helps when too much is queued, besides waiting.
const RAISE: &str = "register the procedure with a higher concurrency";

/// So many calls, and the octets of their payloads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Queued {
    pub(crate) calls: usize,
    pub(crate) octets: usize,
}

/// The calls of one caller that wait.
#[derive(Default)]
struct Waiting {
    /// By the number of the call among all of the realm, so that the first came first.
    calls: BTreeMap<u64, QueuedCall>,
    octets: usize,
}

/// A call that is ready to be invoked.
pub(super) struct QueuedCall {
    pub(super) caller: PeerId,
    pub(super) call: CallId,
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
            id: self.call,
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

impl Queued {
    pub(super) fn add(&mut self, call: &QueuedCall) {
        self.calls += 1;
        self.octets += call.payload.len();
    }

    pub(super) fn remove(&mut self, call: &QueuedCall) {
        self.calls -= 1;
        self.octets -= call.payload.len();
    }
}

impl CallQueue {
    pub(super) fn new(concurrency: NonZeroU64) -> Self {
        Self {
            concurrency: concurrency.get(),
            running: 0,
            callers: HashMap::default(),
            turns: VecDeque::new(),
            queued: Queued::default(),
        }
    }

    /// Whether the callee takes no more invocations now.
    pub(super) fn is_full(&self) -> bool {
        self.running >= self.concurrency
    }

    pub(super) fn running(&self) -> u64 {
        self.running
    }

    pub(super) fn queued(&self) -> Queued {
        self.queued
    }

    /// The calls that wait, by their numbers.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (u64, &QueuedCall)> {
        let callers = self.callers.values();
        callers.flat_map(|waiting| waiting.calls.iter().map(|(number, call)| (*number, call)))
    }

    /// The calls that wait, in the order they came.
    pub(super) fn into_waiting(self) -> Vec<(u64, QueuedCall)> {
        let callers = self.callers.into_values();
        let mut waiting: Vec<_> = callers.flat_map(|waiting| waiting.calls).collect();
        waiting.sort_unstable_by_key(|(number, _)| *number);
        waiting
    }

    /// Whether there is room for one more call of this caller, with so many octets.
    pub(super) fn check_room(
        &self,
        limits: &Limits,
        caller: PeerId,
        octets: usize,
    ) -> Result<(), Refusal> {
        let own = self.callers.get(&caller);
        let (own_calls, own_octets) = own.map_or((0, 0), |own| (own.calls.len(), own.octets));
        let calls = Common {
            name: "queued_calls_per_registration",
            limit: limits.queued_calls_per_registration,
            used: self.queued.calls,
            mend: RAISE,
        };
        calls.check_room(1)?;
        calls.check_share(own_calls, 1, FEW_CALLS)?;
        let in_all = Common {
            name: "queued_octets_per_registration",
            limit: limits.queued_octets_per_registration,
            used: self.queued.octets,
            mend: RAISE,
        };
        in_all.check_room(octets)?;
        in_all.check_share(own_octets, octets, 0)
    }

    /// A call is invoked at once.
    pub(super) fn begin(&mut self) {
        self.running += 1;
    }

    /// A call has to wait.
    pub(super) fn enqueue(&mut self, number: u64, call: QueuedCall) {
        self.queued.add(&call);
        let own = self.callers.entry(call.caller).or_default();
        if own.calls.is_empty() {
            self.turns.push_back(call.caller);
        }
        own.octets += call.payload.len();
        own.calls.insert(number, call);
    }

    /// A call of this caller waits no longer.
    pub(super) fn dequeue(&mut self, caller: PeerId, number: u64) -> Option<QueuedCall> {
        let call = self.take(caller, |calls| calls.remove(&number))?;
        if !self.callers.contains_key(&caller) {
            self.turns.retain(|other| *other != caller);
        }
        Some(call)
    }

    /// The callee has answered an invocation. The call that is to be invoked in its place, if one
    /// waits, is counted already.
    pub(super) fn finish(&mut self) -> Option<QueuedCall> {
        let Some(caller) = self.turns.pop_front() else {
            self.running -= 1;
            return None;
        };
        let call = self.take(caller, |calls| Some(calls.pop_first()?.1));
        if self.callers.contains_key(&caller) {
            self.turns.push_back(caller);
        }
        call
    }

    /// Takes a call from those of a caller, and the caller away with its last.
    fn take(
        &mut self,
        caller: PeerId,
        which: impl FnOnce(&mut BTreeMap<u64, QueuedCall>) -> Option<QueuedCall>,
    ) -> Option<QueuedCall> {
        let own = self.callers.get_mut(&caller)?;
        let call = which(&mut own.calls)?;
        own.octets -= call.payload.len();
        if own.calls.is_empty() {
            self.callers.remove(&caller);
        }
        self.queued.remove(&call);
        Some(call)
    }

    /// Panics unless the indices are those of the calls.
    pub(super) fn check(&self, id: wamp::RegistrationId) {
        let mut queued = Queued::default();
        for (caller, own) in &self.callers {
            let before = queued;
            for call in own.calls.values() {
                assert_eq!(call.caller, *caller, "calls for {id} are with their caller");
                queued.add(call);
            }
            assert!(!own.calls.is_empty(), "{caller:?} waits for {id}");
            assert_eq!(
                own.octets,
                queued.octets - before.octets,
                "the octets of {caller:?} that wait for {id} are counted"
            );
        }
        assert_eq!(queued, self.queued, "what waits for {id} is counted");
        let mut turns: Vec<_> = self.turns.iter().collect();
        let mut callers: Vec<_> = self.callers.keys().collect();
        turns.sort_unstable();
        callers.sort_unstable();
        assert_eq!(
            turns, callers,
            "each caller that waits for {id} has one turn"
        );
    }
}
