//! What the dealer relies on, verified. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Dealer,
    call_queue::{CallQueue, Queued},
};
use crate::{
    Limits, PeerId,
    session::{OpenCall, PendingCall, PendingInvocation, Sessions, Stage},
};
use wamp::RegistrationId;

impl Dealer {
    /// Panics unless every index agrees with what it is an index of.
    pub(crate) fn check(&self, sessions: &Sessions, limits: &Limits) {
        self.check_registrations(sessions);
        let running = self.check_invocations(sessions, limits);
        let queued = self.check_queues(sessions, limits, &running);
        assert_eq!(queued, self.queued, "calls that wait are counted");
        self.check_calls(sessions);
        self.check_held(sessions);
    }

    fn check_registrations(&self, sessions: &Sessions) {
        assert_eq!(
            self.by_id.len(),
            self.procedures.len(),
            "as many registration ids as registrations"
        );
        let departed: BTreeSet<_> = self.departed.ids().collect();
        for (by, procedure) in &self.by_id {
            let registration = self.procedures.get(procedure);
            let registration = registration.expect("each id has its procedure");
            let (id, callee) = (registration.id, registration.callee);
            assert_eq!(id, *by, "registration {id} is found by its id");
            assert!(
                departed.contains(&(callee, id))
                    || sessions.joined(callee).registrations.contains(&id),
                "{callee:?} knows its registration {id}, or has left"
            );
        }
        let peers = sessions.peers().into_iter();
        let known: usize = peers
            .map(|peer| sessions.joined(peer).registrations.len())
            .sum();
        assert_eq!(
            known + departed.len(),
            self.procedures.len(),
            "sessions know no registration that is none"
        );
    }

    /// Returns how many invocations each registration counts at which callee.
    fn check_invocations(
        &self,
        sessions: &Sessions,
        limits: &Limits,
    ) -> HashMap<(PeerId, RegistrationId), u64> {
        let mut running = HashMap::new();
        for peer in sessions.peers() {
            let session = sessions.joined(peer);
            for (request, unanswered) in &session.invocations {
                assert!(
                    *request < session.next_invocation,
                    "{peer:?} was sent invocation {request}"
                );
                if let Some(call) = unanswered.call {
                    let invocation = PendingInvocation {
                        callee: peer,
                        request: *request,
                    };
                    assert_stage(sessions, call, Stage::Invoked(invocation));
                } else {
                    assert!(
                        unanswered.counted_by.is_some(),
                        "invocation {request} of {peer:?} is kept to be counted alone"
                    );
                }
                assert!(
                    session.features.call_canceling || !unanswered.interrupted,
                    "{peer:?} knows INTERRUPT"
                );
                if let Some(registration) = unanswered.counted_by {
                    *running.entry((peer, registration)).or_default() += 1;
                }
            }
            assert!(
                session.registrations.len() <= limits.registrations_per_session
                    && session.invocations.len() <= limits.invocations_per_session
                    && session.calls.len() <= limits.calls_per_session,
                "{peer:?} is within the limits"
            );
        }
        running
    }

    /// Returns what is queued.
    fn check_queues(
        &self,
        sessions: &Sessions,
        limits: &Limits,
        running: &HashMap<(PeerId, RegistrationId), u64>,
    ) -> Queued {
        let (mut queued, mut awaited) = (Queued::default(), BTreeSet::new());
        for procedure in self.by_id.values() {
            let registration = self.procedures.get(procedure);
            let registration = registration.expect("each id has its procedure");
            let (id, taken) = (
                registration.id,
                running.get(&(registration.callee, registration.id)),
            );
            if !sessions.is_joined(registration.callee) {
                let left = registration.queue.as_ref().map(CallQueue::queued);
                assert_eq!(
                    left.unwrap_or_default(),
                    Queued::default(),
                    "nobody waits for {id}"
                );
                continue;
            }
            let Some(queue) = &registration.queue else {
                assert_eq!(taken, None, "registration {id} counts no invocations");
                continue;
            };
            assert_eq!(
                queue.running(),
                taken.copied().unwrap_or(0),
                "the invocations of registration {id} are counted"
            );
            assert!(
                queue.queued() == Queued::default() || queue.is_full(),
                "calls wait for registration {id} only while it is full"
            );
            assert!(
                queue.queued().calls <= limits.queued_calls_per_registration
                    && queue.queued().octets <= limits.queued_octets_per_registration,
                "the queue of registration {id} is within the limits"
            );
            queue.check(id);
            if queue.queued().calls > 0 {
                awaited.insert((registration.callee, id));
            }
            for (number, call) in queue.waiting() {
                let stage = Stage::Queued {
                    registration: id,
                    number,
                };
                let open = assert_stage(sessions, call.id(), stage);
                assert_eq!(open.deadline, call.deadline, "{call:?}", call = call.id());
            }
            queued.calls += queue.queued().calls;
            queued.octets += queue.queued().octets;
        }
        assert_eq!(
            awaited, self.awaited,
            "the registrations that calls wait for"
        );
        queued
    }

    fn check_calls(&self, sessions: &Sessions) {
        let (mut calls, mut invoked, mut deadlines) = (0, 0, BTreeSet::new());
        for peer in sessions.peers() {
            let session = sessions.joined(peer);
            invoked += (session.invocations.values())
                .filter(|unanswered| unanswered.call.is_some())
                .count();
            calls += session.calls.len();
            let mut asked = BTreeMap::<_, usize>::new();
            for (id, open) in &session.calls {
                if let Stage::Invoked(invocation) = open.stage {
                    *asked.entry(invocation.callee).or_default() += 1;
                }
                deadlines.extend(open.deadline.map(|deadline| (deadline, peer, *id)));
            }
            let mut counted: Vec<_> = session.asked.iter().collect();
            counted.sort_unstable();
            assert_eq!(
                counted,
                asked.into_iter().collect::<Vec<_>>(),
                "{peer:?} counts its calls at each callee"
            );
        }
        assert_eq!(
            calls, self.pending,
            "calls that are not answered are counted"
        );
        assert_eq!(
            calls,
            invoked + self.queued.calls,
            "every such call has its invocation or is queued"
        );
        assert_eq!(
            deadlines, self.deadlines,
            "deadlines are those of such calls"
        );
    }
}

/// Panics unless the caller knows how far its call has come.
fn assert_stage(sessions: &Sessions, call: PendingCall, stage: Stage) -> OpenCall {
    let open = sessions.joined(call.caller).calls.get(&call.id);
    let open = open.unwrap_or_else(|| panic!("{call:?} is known to its caller"));
    assert_eq!(open.stage, stage, "{call:?} is where its caller knows it");
    *open
}
