//! Whether there is room for a call, and whether its caller's share of it is used up: by looking at
//! all calls there are.

use super::{LIMITS, World};

/// So many calls everybody may have, as long as there is room.
const FEW: usize = 4;

impl World {
    /// Whether a call may wait for its turn; if not, whether there would be room for others.
    pub(super) fn may_wait(&self, caller: u64, registration: u64, octets: usize) -> (bool, bool) {
        let queued = (self.calls.open.iter())
            .filter(|call| call.registration == registration && !call.invoked);
        let (mut calls, mut own_calls, mut sum, mut own_sum) = (0, 0, 0, 0);
        for call in queued {
            let own = usize::from(call.caller == caller);
            (calls, sum) = (calls + 1, sum + call.octets);
            (own_calls, own_sum) = (own_calls + own, own_sum + own * call.octets);
        }
        let (free, left) = (
            LIMITS.queued_calls_per_registration - calls,
            LIMITS.queued_octets_per_registration - sum,
        );
        let room = free > 0 && octets <= left;
        let share = own_calls < free.max(FEW) && own_sum + octets <= left;
        (room && share, room)
    }

    /// Whether a call may be invoked at once; if not, whether others' might.
    pub(super) fn may_be_invoked(&self, caller: u64, callee: u64) -> (bool, bool) {
        let asked = |callees: &[u64]| {
            let asked = self.calls.asked.iter();
            asked
                .filter(|asked| callees.contains(&asked.callee))
                .count()
        };
        if asked(&[callee]) >= LIMITS.invocations_per_session {
            return (false, false);
        }
        let (limit, callees) = match self.peers[&callee].capacity {
            None => (LIMITS.invocations_per_session, vec![callee]),
            Some(capacity) => {
                let callees = (self.peers.iter())
                    .filter(|(_, peer)| peer.capacity == Some(capacity))
                    .map(|(id, _)| *id);
                (capacity.invocations, callees.collect())
            }
        };
        let own = (self.calls.open.iter())
            .filter(|call| call.caller == caller && call.invoked && callees.contains(&call.callee))
            .count();
        let free = limit.saturating_sub(asked(&callees));
        (own < free.max(FEW), true)
    }
}
