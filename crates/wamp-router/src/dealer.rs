//! The dealer: procedures, who registered them, and what becomes of calls when a registration or
//! a session ends. Knows nothing of topics, nor of how its decisions reach a peer.
//!
//! A call that is not answered is in one of two stages ([`Stage`]): its callee is invoked, or it
//! is queued at a registration with a concurrency. However it ends, the answer goes out
//! when it is taken from its caller's session; so none is answered twice.

mod answers;
mod call_queue;
mod calls;
mod canceling;
mod check;
mod held;
mod questions;
mod shares;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    Limits, Output, PeerId,
    authorization::Action,
    call_id::CallId,
    departed::Departed,
    form,
    permission::Turn,
    refusal::Refusal,
    send,
    session::{PendingCall, Sessions, Stage},
    uri_map::UriMap,
};
use call_queue::{CallQueue, Queued, QueuedCall};
pub(super) use calls::{called_twice, deadline};
use wamp::{
    Message, Register, Registered, RegistrationId, Revoked, Ticket, Unregister, Unregistered,
    Unregistering, Uri, error_uri,
};

/// What has happened to the callee, or to everything, that calls waited for.
const CALLEE_GONE: &str = "the callee's session ended before it answered";
const ROUTER_GONE: &str = "the router shut down before the callee answered";
const UNREGISTERED: &str = "the registration ended";
const TAKEN_OVER: &str = "another callee has taken over the procedure";

/// What calls hear that wait for a registration which ends with nobody in its place.
const OVER: (&str, &str) = (error_uri::NO_SUCH_PROCEDURE, UNREGISTERED);

/// The registrations of a realm.
#[derive(Default)]
pub(super) struct Dealer {
    /// Here registrations live.
    procedures: UriMap<Registration>,
    /// Index: the procedure of each registration. A tree, which does not grow by leaps.
    by_id: BTreeMap<RegistrationId, Uri>,
    /// Index: the registrations for which calls wait, by their callees.
    awaited: BTreeSet<(PeerId, RegistrationId)>,
    /// The registrations of sessions that have left. They are over, and nobody waits for them.
    departed: Departed<RegistrationId>,
    /// Index: when the timeout of which call ends. An entry goes with its call, so there are
    /// never more than calls that are not answered.
    deadlines: BTreeSet<(Instant, PeerId, CallId)>,
    /// How many registrations there have been.
    registered: u64,
    /// How many calls all sessions together have not answered.
    pending: usize,
    /// How many of those are queued, with how many octets.
    queued: Queued,
    /// Octets of payloads that wait with invocations for a pool.
    at_pools: usize,
    /// How many CALLs there have been.
    calls: u64,
    /// How many CANCELs for pending calls there have been.
    cancels: u64,
    /// How many pending calls have run out of time.
    timeouts: u64,
    /// Whether no more calls are accepted.
    draining: bool,
    /// What authorizers have answered.
    answers: Vec<(Ticket, Message)>,
    /// How many calls have been queued.
    numbers: u64,
}

struct Registration {
    id: RegistrationId,
    callee: PeerId,
    /// Where the callee takes only so many invocations at a time.
    queue: Option<CallQueue>,
}

impl Dealer {
    pub(super) fn registrations(&self) -> usize {
        self.procedures.len()
    }

    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    pub(super) fn queued(&self) -> Queued {
        self.queued
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn cancels(&self) -> u64 {
        self.cancels
    }

    pub(super) fn timeouts(&self) -> u64 {
        self.timeouts
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, ..)| *deadline)
    }

    /// Whether calls are still accepted.
    pub(super) fn check_open(&self) -> Result<(), Refusal> {
        if !self.draining {
            return Ok(());
        }
        let why = "the router is shutting down: call again later, or at another router";
        Err(Refusal::new(error_uri::UNAVAILABLE, why))
    }

    /// Whether somebody has registered this procedure.
    pub(super) fn has_procedure(&self, sessions: &Sessions, procedure: &Uri) -> bool {
        let registration = self.procedures.get(procedure);
        registration.is_some_and(|registration| sessions.is_joined(registration.callee))
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    /// REGISTER: the answer comes into `out` after what a callee whose procedure is taken over is
    /// told, and before the ERRORs for those who were queued there.
    ///
    /// Source: WAMP specification, "Registering and Unregistering".
    pub(super) fn register(
        &mut self,
        sessions: &mut Sessions,
        limits: &Limits,
        turn: &Turn,
        peer: PeerId,
        register: Register,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        form::check_register(&register)?;
        let Register {
            request,
            options,
            procedure,
        } = register;
        let session = sessions.joined_mut(peer);
        turn.authorize(&session.authorization, Action::Register, &procedure)?;
        let former = (self.procedures.get(&procedure)).map(|former| (former.id, former.callee));
        let (former, left_behind) = match former {
            Some((_, callee)) if !sessions.is_joined(callee) => (None, former),
            former => (former, None),
        };
        let session = sessions.joined(peer);
        if former.is_some() && !options.force_reregister {
            return Err(Refusal::new(
                error_uri::PROCEDURE_ALREADY_EXISTS,
                format!("'{procedure}' is registered already: end that registration first"),
            ));
        }
        let is_own = former.is_some_and(|(_, callee)| callee == peer);
        if !is_own && session.registrations.len() >= limits.registrations_per_session {
            return Err(Refusal::limit(
                "registrations_per_session",
                limits.registrations_per_session,
                "unregister some procedures",
            ));
        }

        let mut failed = Vec::new();
        if let Some((id, callee)) = left_behind {
            self.departed.remove(callee, id);
            self.forget(id);
        } else if let Some((former, callee)) = former {
            out.push(self.revoke(sessions, former, callee, &mut failed));
        }
        self.registered += 1;
        let id = RegistrationId::new(self.registered).expect("nobody can register 2^53 times");
        sessions.joined_mut(peer).registrations.insert(id);
        self.by_id.insert(id, procedure.clone());
        let registration = Registration {
            id,
            callee: peer,
            queue: options.concurrency.map(CallQueue::new),
        };
        self.procedures.insert(procedure, registration);
        let registered = Registered {
            request,
            registration: id,
        };
        out.push(send(peer, registered));
        out.append(&mut failed);
        Ok(())
    }

    /// Ends a registration because its procedure is taken over: the UNREGISTERED for its callee.
    /// What is pending there stays so, and may still be answered, as after UNREGISTER; what is
    /// queued fails, and may be called again.
    ///
    /// Source: WAMP specification, "Registration Revocation".
    fn revoke(
        &mut self,
        sessions: &mut Sessions,
        registration: RegistrationId,
        callee: PeerId,
        failed: &mut Vec<Output>,
    ) -> Output {
        (sessions.joined_mut(callee).registrations).remove(&registration);
        let why = (error_uri::UNAVAILABLE, TAKEN_OVER);
        self.remove(sessions, registration, why, failed);
        let revoked = Revoked {
            registration,
            reason: Some(error_uri::UNREGISTERED.into()),
        };
        let how = Unregistering::Revoked(revoked.into());
        send(callee, Unregistered { how })
    }

    /// UNREGISTER. What is pending at the callee stays so, and may still be answered. What is
    /// queued is never invoked: the ERRORs for those callers come with the answer.
    ///
    /// Source: WAMP specification, "Registering and Unregistering".
    pub(super) fn unregister(
        &mut self,
        sessions: &mut Sessions,
        peer: PeerId,
        unregister: &Unregister,
    ) -> Result<(Unregistered, Vec<Output>), Refusal> {
        let id = unregister.registration;
        if !sessions.joined_mut(peer).registrations.remove(&id) {
            return Err(Refusal::new(
                error_uri::NO_SUCH_REGISTRATION,
                format!("this session has no registration {id}: use the id that REGISTERED gave"),
            ));
        }
        let mut failed = Vec::new();
        self.remove(sessions, id, OVER, &mut failed);
        let how = Unregistering::Requested(unregister.request);
        Ok((Unregistered { how }, failed))
    }

    /// Takes a registration away, and answers the calls that wait for it, in their order.
    fn remove(
        &mut self,
        sessions: &mut Sessions,
        id: RegistrationId,
        (error, what): (&'static str, &str),
        out: &mut Vec<Output>,
    ) {
        let registration = self.forget(id);
        self.awaited.remove(&(registration.callee, id));
        let queued = registration.queue.map(CallQueue::into_waiting);
        for (_, queued) in queued.into_iter().flatten() {
            let call = queued.id();
            let stage = self.close(sessions, call);
            self.queued.remove(&queued);
            self.fail(call, error, what, stage, out);
        }
    }

    /// Takes a registration out of the tables.
    fn forget(&mut self, id: RegistrationId) -> Registration {
        (self.by_id.remove(&id))
            .and_then(|procedure| self.procedures.remove(&procedure))
            .expect("a session's registrations exist")
    }

    pub(super) fn has_departed(&self) -> bool {
        !self.departed.is_empty()
    }

    /// Takes one registration of a session that has left out of the tables, if there is one.
    pub(super) fn clear_one(&mut self) -> bool {
        let Some((_, id)) = self.departed.pop() else {
            return false;
        };
        self.forget(id);
        true
    }

    /// A session leaves: its calls are forgotten, and whoever works for them is interrupted; its
    /// callers are answered in the order they came; its registrations end. Those for which nobody
    /// waits are left to be cleared away, and are nobody's as soon as the session has left.
    pub(super) fn leave(
        &mut self,
        sessions: &mut Sessions,
        peer: PeerId,
        fault: Option<&str>,
        out: &mut Vec<Output>,
    ) {
        self.abandon_calls(sessions, peer, out);
        match fault {
            None => self.fail_invocations(sessions, peer, CALLEE_GONE, out),
            Some(fault) => {
                let what = format!("{CALLEE_GONE}, because {fault}");
                self.fail_invocations(sessions, peer, &what, out);
            }
        }
        let mut registrations = std::mem::take(&mut sessions.joined_mut(peer).registrations);
        let first = RegistrationId::new(1).expect("the least id is one");
        while let Some((_, id)) = (self.awaited.range((peer, first)..).next())
            .filter(|(callee, _)| *callee == peer)
            .copied()
        {
            registrations.remove(&id);
            self.remove(sessions, id, OVER, out);
        }
        self.departed.add(peer, registrations);
    }

    /// Answers every pending call, callee by callee, and those that are queued in the
    /// order they came. Ends every registration.
    pub(super) fn shut_down(&mut self, sessions: &mut Sessions, out: &mut Vec<Output>) {
        for peer in sessions.peers() {
            self.fail_invocations(sessions, peer, ROUTER_GONE, out);
            sessions.joined_mut(peer).registrations.clear();
        }
        self.by_id.clear();
        self.awaited.clear();
        self.departed = Departed::default();
        let mut queued: Vec<(u64, QueuedCall)> = std::mem::take(&mut self.procedures)
            .into_values()
            .filter_map(|registration| registration.queue)
            .flat_map(CallQueue::into_waiting)
            .collect();
        queued.sort_unstable_by_key(|(number, _)| *number);
        for (_, queued) in queued {
            let call = queued.id();
            let stage = self.close(sessions, call);
            self.queued.remove(&queued);
            self.fail(call, error_uri::CANCELED, ROUTER_GONE, stage, out);
        }
    }

    /// Takes away everything that a callee was asked, and answers those who wait for it.
    fn fail_invocations(
        &mut self,
        sessions: &mut Sessions,
        callee: PeerId,
        what: &str,
        out: &mut Vec<Output>,
    ) {
        let mut invocations: Vec<_> = (sessions.joined_mut(callee).invocations.drain()).collect();
        invocations.sort_unstable_by_key(|(request, _)| *request);
        for (_, asked) in invocations {
            self.note_over(&asked);
            let Some(call) = asked.call else { continue };
            let stage = self.close(sessions, call);
            self.fail(call, error_uri::CANCELED, what, stage, out);
        }
    }

    /// Takes a call from its caller's session. Whoever calls this sees to its answer and to what
    /// its stage leads to.
    fn close(&mut self, sessions: &mut Sessions, call: PendingCall) -> Stage {
        let caller = sessions.joined_mut(call.caller);
        let open = (caller.calls.remove(&call.id))
            .expect("a call that is in a queue or an invocation is open");
        if let Stage::Invoked(invocation) = open.stage {
            caller.asked.remove(invocation.callee);
        }
        if let Some(deadline) = open.deadline {
            self.deadlines.remove(&(deadline, call.caller, call.id));
        }
        self.pending -= 1;
        open.stage
    }

    /// A call of this caller waits no longer.
    fn dequeue(&mut self, caller: PeerId, id: RegistrationId, number: u64) {
        let registration = self.registration_mut(id);
        let (callee, queue) = registration
            .and_then(|registration| Some((registration.callee, registration.queue.as_mut()?)))
            .expect("calls wait for a registration that is there");
        let call = queue
            .dequeue(caller, number)
            .expect("a call that waits is there");
        let is_awaited = queue.queued().calls > 0;
        self.queued.remove(&call);
        if !is_awaited {
            self.awaited.remove(&(callee, id));
        }
    }

    /// The registration, unless it has ended.
    fn registration_mut(&mut self, id: RegistrationId) -> Option<&mut Registration> {
        self.procedures.get_mut(self.by_id.get(&id)?)
    }
}
