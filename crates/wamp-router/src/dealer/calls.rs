//! Calls that take their course: CALL, INVOCATION, and the callee's answer. Knows nothing of
//! calls that are canceled.
//!
//! Invocations reach a callee in the order of the calls ("Remote Procedure Call Ordering"). Where
//! a callee asks for a concurrency, which the specification does not know, that holds for each
//! such registration by itself: while calls wait for one, those to the callee's other procedures
//! pass, which is what it is for.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

use super::{Dealer, QueuedCall, Registration, held::octets_for_pool, shares::Common};
use crate::{
    FEW_CALLS, Limits, Output, PeerId,
    authorization::Action,
    call_id::CallId,
    permission::Turn,
    refusal::{Offence, Refusal, Violation, check_options, check_uri},
    session::{PendingCall, PendingInvocation, Session, Sessions, Stage, Unanswered},
};
use wamp::{Call, Invocation, InvocationDetails, RegistrationId, RequestId, Uri, error_uri};

/// Whom to invoke.
#[derive(Clone, Copy)]
pub(super) struct Endpoint {
    registration: RegistrationId,
    callee: PeerId,
    /// Whether the concurrency of the registration counts the invocation.
    is_counted: bool,
}

impl Registration {
    /// Begins an invocation: at whom, or that the callee takes no more of them now.
    #[inline]
    pub(super) fn begin(&mut self) -> Result<Endpoint, RegistrationId> {
        if let Some(queue) = &mut self.queue {
            if queue.is_full() {
                return Err(self.id);
            }
            queue.begin();
        }
        Ok(Endpoint {
            registration: self.id,
            callee: self.callee,
            is_counted: self.queue.is_some(),
        })
    }
}

impl Dealer {
    /// CALL, whatever it calls.
    ///
    /// A client's request ids only have to be in the range of ids and, here, not to be pending.
    /// That they count 1, 2, 3, … ("Identifiers", "IDs") is not enforced: clients in the field
    /// draw them freely.
    #[inline]
    pub(crate) fn begin_call(
        &mut self,
        caller: &Session,
        request: RequestId,
    ) -> Result<(), Violation> {
        self.calls += 1;
        if !caller.calls.contains_key(&request.into()) {
            return Ok(());
        }
        Err(called_twice(request))
    }

    /// CALL: the INVOCATION it leads to, if it is not queued.
    ///
    /// Source: WAMP specification, "Calling and Invocations"; for the timeout, "Call Timeouts"; for
    /// `disclose_me`, "Caller Identification".
    pub(crate) fn call(
        &mut self,
        sessions: &mut Sessions,
        limits: &Limits,
        turn: &Turn,
        peer: PeerId,
        call: Call,
    ) -> Result<Option<Output>, Offence> {
        let caller = sessions.joined(peer);
        self.begin_call(caller, call.request)?;
        if turn.waited_since.is_none() {
            self.check_open()?;
        }
        check_options(call.options.bad.as_deref())?;
        let is_there =
            |r: &&mut Registration| self.departed.is_empty() || sessions.is_joined(r.callee);
        let registration = (self.procedures.get_mut(&call.procedure)).filter(is_there);
        if registration.is_none() {
            // Of a procedure it has been checked when it was registered.
            check_uri(&call.procedure)?;
        }
        let role = &caller.authorization;
        let disclose = turn.authorize(role, Action::Call, &call.procedure)?;
        let registration = registration.ok_or_else(|| not_registered(&call.procedure))?;
        check_room(
            sessions,
            limits,
            (peer, caller),
            registration,
            call.payload.len(),
        )?;

        let whom = registration.begin();
        let id = CallId::from(call.request);
        let came = turn.waited_since.unwrap_or(turn.now);
        let deadline = deadline(came, call.options.timeout);
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, peer, id));
        }
        self.pending += 1;
        let queued = QueuedCall {
            caller: peer,
            call: id,
            deadline,
            timeout: call.options.timeout,
            disclose: disclose.caller || call.options.disclose_me,
            progress: call.options.receive_progress,
            payload: call.payload,
        };
        Ok(self.start(sessions, turn.now, whom, queued))
    }

    /// Invokes a call for which there is room, or queues it.
    pub(super) fn start(
        &mut self,
        sessions: &mut Sessions,
        now: Instant,
        whom: Result<Endpoint, RegistrationId>,
        call: QueuedCall,
    ) -> Option<Output> {
        let id = match whom {
            Ok(endpoint) => return Some(self.invoke(sessions, now, endpoint, call)),
            Err(full) => full,
        };
        self.numbers += 1;
        let number = self.numbers;
        let stage = Stage::Queued {
            registration: id,
            number,
        };
        (sessions.joined_mut(call.caller).calls).insert(call.call, call.open(stage));
        self.queued.add(&call);
        let registration = self.registration_mut(id);
        let (callee, queue) = registration
            .and_then(|registration| Some((registration.callee, registration.queue.as_mut()?)))
            .expect("a registration that is full has a queue");
        let is_first = queue.queued().calls == 0;
        queue.enqueue(number, call);
        if is_first {
            self.awaited.insert((callee, id));
        }
        None
    }

    /// YIELD or ERROR of a callee: the invocation that it answers, unless that is over.
    ///
    /// An answer to what was answered before, or whose call has ended, crossed with those events
    /// and is ignored. An answer to what was never asked breaks the protocol.
    pub(crate) fn answered(
        &mut self,
        sessions: &mut Sessions,
        peer: PeerId,
        request: RequestId,
    ) -> Result<Option<Unanswered>, Violation> {
        let callee = sessions.joined_mut(peer);
        let Some(answered) = callee.invocations.remove(&request) else {
            return over(callee, request);
        };
        self.note_over(&answered);
        if let Some(call) = answered.call {
            self.close(sessions, call);
        }
        Ok(Some(answered))
    }

    /// YIELD of a callee with a part of a result: the call that it is for, unless that is over.
    /// The timeout begins anew with each part.
    ///
    /// A part that the caller has not asked for, or the callee was not told may be, is ignored: who
    /// waits for one answer has it when the callee is done.
    ///
    /// Source: WAMP specification, "Progressive Call Results".
    pub(crate) fn progressed(
        &mut self,
        sessions: &mut Sessions,
        now: Instant,
        peer: PeerId,
        request: RequestId,
    ) -> Result<Option<PendingCall>, Violation> {
        let callee = sessions.joined(peer);
        let Some(asked) = callee.invocations.get(&request) else {
            return over(callee, request);
        };
        let Some(call) = asked.call.filter(|_| asked.progress) else {
            return Ok(None);
        };
        let open = (sessions.joined_mut(call.caller).calls.get_mut(&call.id))
            .expect("a call that an invocation is to answer is open");
        if let Some(former) = open.deadline {
            open.deadline = deadline(now, open.timeout);
            self.deadlines.remove(&(former, call.caller, call.id));
            (self.deadlines).extend(open.deadline.map(|at| (at, call.caller, call.id)));
        }
        Ok(Some(call))
    }

    /// A callee has answered an invocation that is counted: the INVOCATION of the next call, if one waits and the
    /// registration has not ended.
    pub(crate) fn invoke_next(
        &mut self,
        sessions: &mut Sessions,
        now: Instant,
        registration: RegistrationId,
    ) -> Option<Output> {
        let registration = self.registration_mut(registration)?;
        let queue = registration.queue.as_mut()?;
        let call = queue.finish()?;
        let is_awaited = queue.queued().calls > 0;
        let endpoint = Endpoint {
            registration: registration.id,
            callee: registration.callee,
            is_counted: true,
        };
        self.queued.remove(&call);
        if !is_awaited {
            (self.awaited).remove(&(endpoint.callee, endpoint.registration));
        }
        Some(self.invoke(sessions, now, endpoint, call))
    }

    /// Notes an invocation at both its ends. There is room at the callee: a call that is invoked at
    /// once has checked it, and one that had to wait follows another.
    fn invoke(
        &mut self,
        sessions: &mut Sessions,
        now: Instant,
        endpoint: Endpoint,
        call: QueuedCall,
    ) -> Output {
        let caller = sessions.joined(call.caller).identity.clone();
        let callee = sessions.joined_mut(endpoint.callee);
        let deadline = call.deadline.filter(|_| callee.features.call_timeout);
        // "Progressive Call Results" wants `call_canceling` of the callee as well. AutobahnJS cannot be
        // interrupted and gives progress, as it does behind Crossbar.io; what nobody waits for any more
        // is ignored here.
        let progress = call.progress && callee.features.progressive_call_results;
        let details = InvocationDetails {
            caller: call.disclose.then(|| caller.clone()),
            timeout: deadline.and_then(|deadline| milliseconds(now, deadline)),
            receive_progress: progress,
        };
        let request = callee.next_invocation;
        callee.next_invocation = request.next();
        let unanswered = Unanswered {
            call: Some(call.id()),
            counted_by: endpoint.is_counted.then_some(endpoint.registration),
            interrupted: false,
            progress,
            octets: octets_for_pool(callee, &call),
        };
        self.note_begun(&unanswered);
        callee.invocations.insert(request, unanswered);
        let stage = Stage::Invoked(PendingInvocation {
            callee: endpoint.callee,
            request,
        });
        let caller_session = sessions.joined_mut(call.caller);
        caller_session.asked.add(endpoint.callee);
        caller_session.calls.insert(call.call, call.open(stage));
        let invocation = Invocation {
            request,
            registration: endpoint.registration,
            details: details.into(),
            payload: call.payload,
        };
        Output::Invoke {
            to: endpoint.callee,
            invocation,
            caller,
            from: call.caller,
        }
    }
}

/// A client has given two calls the same id.
#[cold]
pub(crate) fn called_twice(request: RequestId) -> Violation {
    Violation(format!(
        "CALL with request id {request}, which a pending call has: the answers could not be told \
         apart"
    ))
}

#[cold]
pub(super) fn not_registered(procedure: &Uri) -> Refusal {
    Refusal::new(
        error_uri::NO_SUCH_PROCEDURE,
        format!(
            "no callee has registered '{procedure}': start the component that does, or check the \
             name"
        ),
    )
}

/// Whether there is room for one more call with so many octets, at its caller and at the callee or
/// in the queue for it.
pub(super) fn check_room(
    sessions: &Sessions,
    limits: &Limits,
    (peer, caller): (PeerId, &Session),
    registration: &Registration,
    octets: usize,
) -> Result<(), Refusal> {
    if caller.calls.len() >= limits.calls_per_session {
        let later = "wait for answers before calling on";
        return Err(
            Refusal::limit("calls_per_session", limits.calls_per_session, later).retryable(),
        );
    }
    match registration.queue.as_ref().filter(|queue| queue.is_full()) {
        Some(queue) => queue.check_room(limits, peer, octets),
        None => check_callee(sessions, limits, caller, registration.callee),
    }
}

/// Whether the callee has room for one more invocation, and the caller a share in it.
fn check_callee(
    sessions: &Sessions,
    limits: &Limits,
    caller: &Session,
    callee_peer: PeerId,
) -> Result<(), Refusal> {
    let callee = sessions.joined(callee_peer);
    let at_callee = Common {
        name: "invocations_per_session",
        limit: limits.invocations_per_session,
        used: callee.invocations.len(),
        mend: "spread the procedures over more callees",
    };
    at_callee.check_room(1)?;
    // No caller has more calls at one callee than in all: counting them is for those with many.
    if caller.calls.len() < FEW_CALLS {
        return Ok(());
    }
    let Some(capacity) = &callee.capacity else {
        if caller.calls.len() < at_callee.share() {
            return Ok(());
        }
        let own = caller.asked.at(&[callee_peer]);
        return at_callee.check_share(own, 1, FEW_CALLS);
    };
    let callees = sessions.of_pool(capacity.pool);
    let in_pool = Common {
        name: capacity.settings,
        limit: capacity.invocations,
        used: (callees.iter())
            .map(|callee| sessions.joined(*callee).invocations.len())
            .sum(),
        mend: capacity.mend,
    };
    in_pool.check_share(caller.asked.at(callees), 1, FEW_CALLS)
}

/// What there is to say to an answer that no invocation waits for.
fn over<T>(callee: &Session, request: RequestId) -> Result<Option<T>, Violation> {
    if request < callee.next_invocation {
        return Ok(None);
    }
    Err(Violation(format!(
        "an answer to INVOCATION {request}, which was never sent"
    )))
}

/// When the timeout of a CALL ends, if ever.
///
/// Source: WAMP specification, "Call Timeouts": milliseconds, and 0 for none.
pub(crate) fn deadline(now: Instant, timeout: u64) -> Option<Instant> {
    (timeout > 0)
        .then(|| now.checked_add(Duration::from_millis(timeout)))
        .flatten()
}

/// How many milliseconds a deadline is away; at least one, because 0 stands for no timeout.
fn milliseconds(now: Instant, deadline: Instant) -> Option<NonZeroU64> {
    let left = deadline.saturating_duration_since(now);
    let left = left.as_nanos().div_ceil(1_000_000).max(1);
    NonZeroU64::new(u64::try_from(left).unwrap_or(u64::MAX))
}
