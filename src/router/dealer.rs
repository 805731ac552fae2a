//! The dealer: procedures, who registered them, and which calls wait for whose answer. Knows
//! nothing of topics, nor of how its decisions reach a peer.

use std::collections::HashMap;

use super::{
    Limits, PeerId,
    authorization::Action,
    refusal::{Offence, Refusal, Violation, check_application_uri, check_option, check_uri},
    session::{OwnIds, PendingCall, PendingInvocation, Session, Sessions},
};
use crate::wamp::{
    Call, Invocation, InvocationDetails, Register, Registered, RegistrationId, RequestId,
    Unregister, Unregistered, Uri, error_uri,
};

/// The registrations of a realm.
#[derive(Default)]
pub(super) struct Dealer {
    /// Here registrations live.
    procedures: HashMap<Uri, Registration>,
    /// Index: the procedure of each registration.
    by_id: HashMap<RegistrationId, Uri, OwnIds>,
    /// How many registrations there have been.
    registered: u64,
    /// How many invocations all sessions together have not answered.
    pending: usize,
    /// How many CALLs there have been.
    calls: u64,
    /// Whether no more calls are accepted.
    draining: bool,
}

#[derive(Clone, Copy)]
struct Registration {
    id: RegistrationId,
    callee: PeerId,
}

impl Dealer {
    pub(super) fn registrations(&self) -> usize {
        self.procedures.len()
    }

    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    /// REGISTER. Source: WAMP specification, "Registering and Unregistering".
    pub(super) fn register(
        &mut self,
        sessions: &mut Sessions,
        limits: &Limits,
        peer: PeerId,
        register: Register,
    ) -> Result<Registered, Refusal> {
        let Register {
            request,
            options,
            procedure,
        } = register;
        let session = sessions.joined_mut(peer);
        check_option("match", "exact", options.match_policy.as_ref())?;
        check_option("invoke", "single", options.invoke.as_ref())?;
        check_application_uri(&procedure)?;
        (session.authorization).authorize(Action::Register, &procedure)?;
        if self.procedures.contains_key(&procedure) {
            return Err(Refusal::new(
                error_uri::PROCEDURE_ALREADY_EXISTS,
                format!("'{procedure}' is registered already: end that registration first"),
            ));
        }
        if session.registrations.len() >= limits.registrations_per_session {
            return Err(Refusal::limit(
                "registrations_per_session",
                limits.registrations_per_session,
                "unregister some procedures",
            ));
        }

        self.registered += 1;
        let id = RegistrationId::new(self.registered).expect("nobody can register 2^53 times");
        session.registrations.insert(id);
        self.by_id.insert(id, procedure.clone());
        let registration = Registration { id, callee: peer };
        self.procedures.insert(procedure, registration);
        Ok(Registered {
            request,
            registration: id,
        })
    }

    /// UNREGISTER. What is pending at the callee stays so, and may still be answered.
    ///
    /// Source: WAMP specification, "Registering and Unregistering".
    pub(super) fn unregister(
        &mut self,
        sessions: &mut Sessions,
        peer: PeerId,
        unregister: &Unregister,
    ) -> Result<Unregistered, Refusal> {
        let id = unregister.registration;
        if !sessions.joined_mut(peer).registrations.remove(&id) {
            return Err(Refusal::new(
                error_uri::NO_SUCH_REGISTRATION,
                format!("this session has no registration {id}: use the id that REGISTERED gave"),
            ));
        }
        self.remove(id);
        Ok(Unregistered {
            request: unregister.request,
        })
    }

    fn remove(&mut self, id: RegistrationId) {
        let procedure = self
            .by_id
            .remove(&id)
            .expect("a session's registrations exist");
        self.procedures.remove(&procedure);
    }

    /// CALL: whom to invoke and how.
    ///
    /// A client's request ids only have to be in the range of ids and, here, not to be pending.
    /// That they count 1, 2, 3, … ("Identifiers", "IDs") is not enforced: clients in the field
    /// draw them freely.
    ///
    /// Source: WAMP specification, "Calling and Invocations".
    pub(super) fn call(
        &mut self,
        sessions: &mut Sessions,
        limits: &Limits,
        peer: PeerId,
        call: Call,
    ) -> Result<(PeerId, Invocation), Offence> {
        self.calls += 1;
        let caller = sessions.joined(peer);
        if caller.calls.contains_key(&call.request) {
            let why = format!(
                "CALL with request id {}, which a pending call has: the answers could not be \
                 told apart",
                call.request
            );
            return Err(Violation(why).into());
        }
        if self.draining {
            let why = "the router is shutting down: call again later, or at another router";
            return Err(Refusal::new(error_uri::UNAVAILABLE, why).into());
        }
        check_uri(&call.procedure)?;
        let disclose = (caller.authorization).authorize(Action::Call, &call.procedure)?;
        let &Registration { id, callee } =
            self.procedures.get(&call.procedure).ok_or_else(|| {
                Refusal::new(
                    error_uri::NO_SUCH_PROCEDURE,
                    format!(
                        "no callee has registered '{}': start the component that does, or check \
                         the name",
                        call.procedure
                    ),
                )
            })?;
        if caller.calls.len() >= limits.calls_per_session {
            return Err(Refusal::limit(
                "calls_per_session",
                limits.calls_per_session,
                "wait for answers before calling on",
            )
            .into());
        }
        let details = if disclose.caller {
            disclosed(caller)
        } else {
            InvocationDetails::default()
        };
        let invoked = sessions.joined_mut(callee);
        if invoked.invocations.len() >= limits.invocations_per_session {
            return Err(Refusal::limit(
                "invocations_per_session",
                limits.invocations_per_session,
                "call again when the callee has answered some",
            )
            .into());
        }

        let request = invoked.next_invocation;
        invoked.next_invocation = request.next();
        let pending_call = PendingCall {
            caller: peer,
            request: call.request,
        };
        invoked.invocations.insert(request, pending_call);
        let pending_invocation = PendingInvocation { callee, request };
        (sessions.joined_mut(peer).calls).insert(call.request, pending_invocation);
        self.pending += 1;
        let invocation = Invocation {
            request,
            registration: id,
            details,
            payload: call.payload,
        };
        Ok((callee, invocation))
    }

    /// YIELD or ERROR of a callee: the call that it answers, unless that is pending no more.
    ///
    /// An answer to what was answered before, or whose caller is gone, crossed with those events
    /// and is ignored. An answer to what was never asked breaks the protocol.
    pub(super) fn answered(
        &mut self,
        sessions: &mut Sessions,
        peer: PeerId,
        request: RequestId,
    ) -> Result<Option<PendingCall>, Violation> {
        let callee = sessions.joined_mut(peer);
        let Some(call) = callee.invocations.remove(&request) else {
            if request < callee.next_invocation {
                return Ok(None);
            }
            return Err(Violation(format!(
                "an answer to INVOCATION {request}, which was never sent"
            )));
        };
        sessions.joined_mut(call.caller).calls.remove(&call.request);
        self.pending -= 1;
        Ok(Some(call))
    }

    /// A session has left: its registrations end, its own calls are forgotten. Returns the calls
    /// of others that it will never answer, in the order they came.
    pub(super) fn leave(
        &mut self,
        sessions: &mut Sessions,
        peer: PeerId,
        session: &mut Session,
    ) -> Vec<PendingCall> {
        for id in std::mem::take(&mut session.registrations) {
            self.remove(id);
        }
        let mut unanswered = self.take_invocations(session);
        // Its calls to itself have just gone with the invocations.
        unanswered.retain(|call| call.caller != peer);
        for call in &unanswered {
            sessions.joined_mut(call.caller).calls.remove(&call.request);
        }
        for (_, invocation) in session.calls.drain() {
            if invocation.callee != peer {
                let callee = sessions.joined_mut(invocation.callee);
                callee.invocations.remove(&invocation.request);
                self.pending -= 1;
            }
        }
        unanswered
    }

    /// Ends every registration and returns every pending call, callee by callee.
    pub(super) fn shut_down(&mut self, sessions: &mut Sessions) -> Vec<PendingCall> {
        self.procedures.clear();
        self.by_id.clear();
        let mut unanswered = Vec::with_capacity(self.pending);
        for peer in sessions.peers() {
            let session = sessions.joined_mut(peer);
            session.registrations.clear();
            session.calls.clear();
            unanswered.append(&mut self.take_invocations(session));
        }
        unanswered
    }

    fn take_invocations(&mut self, session: &mut Session) -> Vec<PendingCall> {
        let mut invocations: Vec<_> = session.invocations.drain().collect();
        invocations.sort_unstable_by_key(|(request, _)| *request);
        self.pending -= invocations.len();
        invocations.into_iter().map(|(_, call)| call).collect()
    }

    /// Panics unless every index agrees with what it is an index of.
    pub(super) fn check(&self, sessions: &Sessions, limits: &Limits) {
        assert_eq!(
            self.by_id.len(),
            self.procedures.len(),
            "as many registration ids as registrations"
        );
        for (procedure, Registration { id, callee }) in &self.procedures {
            assert_eq!(
                self.by_id.get(id),
                Some(procedure),
                "registration {id} is found by its id"
            );
            assert!(
                sessions.joined(*callee).registrations.contains(id),
                "{callee:?} knows its registration {id}"
            );
        }
        let (mut registrations, mut invocations, mut calls) = (0, 0, 0);
        for peer in sessions.peers() {
            let session = sessions.joined(peer);
            registrations += session.registrations.len();
            invocations += session.invocations.len();
            calls += session.calls.len();
            for (request, call) in &session.invocations {
                assert!(
                    *request < session.next_invocation,
                    "{peer:?} was sent invocation {request}"
                );
                let invocation = PendingInvocation {
                    callee: peer,
                    request: *request,
                };
                assert_eq!(
                    sessions.joined(call.caller).calls.get(&call.request),
                    Some(&invocation),
                    "{:?} knows where its call {} is pending",
                    call.caller,
                    call.request
                );
            }
            assert!(
                session.registrations.len() <= limits.registrations_per_session
                    && session.invocations.len() <= limits.invocations_per_session
                    && session.calls.len() <= limits.calls_per_session,
                "{peer:?} is within the limits"
            );
        }
        assert_eq!(
            registrations,
            self.procedures.len(),
            "sessions know no registration that is none"
        );
        assert_eq!(invocations, self.pending, "pending invocations are counted");
        assert_eq!(calls, invocations, "every pending call has its invocation");
    }
}

fn disclosed(caller: &Session) -> InvocationDetails {
    InvocationDetails {
        caller: Some(caller.id),
        caller_authid: Some(caller.authid()),
        caller_authrole: Some(caller.authorization.role().to_owned()),
    }
}
