//! How many octets of calls the node holds in all, and for whom: those that are queued at a
//! registration, and those whose work waits in this process for a pool. Limits nothing.

use std::collections::HashMap;

use super::{Dealer, call_queue::QueuedCall};
use crate::{
    PeerId,
    session::{Session, Sessions, Unanswered},
};
use wamp::OwnIds;

/// How many octets an invocation holds until it is answered. What another process is sent, it
/// holds itself.
pub(super) fn octets_for_pool(callee: &Session, call: &QueuedCall) -> u32 {
    match &callee.capacity {
        Some(_) => u32::try_from(call.payload.len()).unwrap_or(u32::MAX),
        None => 0,
    }
}

impl Dealer {
    /// How many octets of calls are held.
    pub(crate) fn held_octets(&self) -> usize {
        self.queued.octets + self.at_pools
    }

    /// The same by their callers. Looks at all there is.
    pub(crate) fn held_by_callers(&self, sessions: &Sessions) -> HashMap<PeerId, usize, OwnIds> {
        let mut held = HashMap::default();
        for peer in sessions.peers() {
            let session = sessions.joined(peer);
            if session.capacity.is_some() {
                for asked in session.invocations.values() {
                    if let Some(call) = asked.call {
                        *held.entry(call.caller).or_default() += asked.octets as usize;
                    }
                }
            }
        }
        for (_, id) in &self.awaited {
            let registration = (self.by_id.get(id)).and_then(|uri| self.procedures.get(uri));
            let queue = registration.and_then(|registration| registration.queue.as_ref());
            for (_, call) in queue.into_iter().flat_map(|queue| queue.waiting()) {
                *held.entry(call.caller).or_default() += call.payload.len();
            }
        }
        held
    }

    /// An invocation begins.
    pub(super) fn note_begun(&mut self, asked: &Unanswered) {
        self.at_pools += asked.octets as usize;
    }

    /// An invocation is over.
    pub(super) fn note_over(&mut self, asked: &Unanswered) {
        self.at_pools -= asked.octets as usize;
    }

    /// Panics unless what is held is what there is.
    pub(super) fn check_held(&self, sessions: &Sessions) {
        let peers = sessions.peers().into_iter();
        let octets = peers.flat_map(|peer| {
            let asked = sessions.joined(peer).invocations.values();
            asked.map(|asked| asked.octets as usize)
        });
        assert_eq!(octets.sum::<usize>(), self.at_pools, "what waits for pools");
    }
}
