//! Calls that end before their callee answers: CANCEL, timeouts, callers that are gone. Knows
//! nothing of how calls begin.
//!
//! Source: WAMP specification, "Call Canceling", "Call Timeouts" and "Caller Leaving During an
//! RPC Invocation".
//!
//! There are two departures from it, both for what it does not know:
//!
//! - To a registration with a concurrency INTERRUPT always says `kill`. Told `killnowait` a callee
//!   need not answer, and what it is at would count for ever.
//! - A callee that has announced the feature `_interrupt_on_skip` is interrupted in the mode `skip`
//!   too, where the specification lets callees finish what nobody hears of. The caller sees no
//!   difference. For what works in a database there is one: the statement would run on, with the
//!   connection it has, the locks it holds and the worker that waits for it. Any other callee is
//!   left alone.

use std::{mem, time::Instant};

use super::Dealer;
use crate::{
    Output, PeerId,
    refusal::Refusal,
    send,
    session::{PendingCall, PendingInvocation, Sessions, Stage},
};
use wamp::{Cancel, CancelMode, Interrupt, InterruptOptions, RequestType, error_uri};

const CANCELED: &str = "the caller has canceled the call";
const TIMED_OUT: &str = "the call's timeout ended before the callee answered";

impl Dealer {
    /// CANCEL. One for a call that is not pending crossed with its answer and is ignored. (As
    /// request ids are chosen freely, one that was never called cannot be told from that.) That
    /// the caller has announced `call_canceling` is not asked for: what it wants is clear.
    ///
    /// A call that is queued ends at once in every mode, because nobody works for it.
    /// After `kill` the caller may still send another CANCEL, to wait no longer.
    pub(crate) fn cancel(
        &mut self,
        sessions: &mut Sessions,
        peer: PeerId,
        cancel: Cancel,
        out: &mut Vec<Output>,
    ) {
        let call = PendingCall {
            caller: peer,
            id: cancel.request.into(),
        };
        let Some(open) = sessions.joined(peer).calls.get(&call.id) else {
            return;
        };
        self.cancels += 1;
        match (cancel.options.mode, open.stage) {
            (CancelMode::Kill, Stage::Invoked(invocation))
                if is_interruptible(sessions, invocation) =>
            {
                interrupt(
                    sessions,
                    invocation,
                    CancelMode::Kill,
                    error_uri::CANCELED,
                    out,
                );
            }
            (mode, _) => {
                let stage = self.close(sessions, call);
                self.fail(call, error_uri::CANCELED, CANCELED, stage, out);
                let kill = mode != CancelMode::Skip || wants_no_skip(sessions, stage);
                let why = kill.then_some(error_uri::CANCELED);
                self.let_go(sessions, call.caller, stage, why, out);
            }
        }
    }

    /// A call is canceled that waits elsewhere.
    pub(crate) fn note_cancel(&mut self) {
        self.cancels += 1;
    }

    /// The timeout of a call has ended that waits elsewhere.
    pub(crate) fn note_timeout(&mut self) {
        self.timeouts += 1;
    }

    /// Ends the calls whose time is up: as by CANCEL in the mode `killnowait`, with
    /// `wamp.error.timeout`. The timeout runs here also where the callee is told of it, so that
    /// the caller has its answer at any rate.
    ///
    /// Source: WAMP specification, "Call Timeouts", "Dealer-Initiated Timeouts".
    pub(crate) fn expire(&mut self, sessions: &mut Sessions, now: Instant, out: &mut Vec<Output>) {
        while let Some(&(deadline, caller, id)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            let call = PendingCall { caller, id };
            self.timeouts += 1;
            let stage = self.close(sessions, call);
            self.fail(call, error_uri::TIMEOUT, TIMED_OUT, stage, out);
            self.let_go(sessions, caller, stage, Some(error_uri::TIMEOUT), out);
        }
    }

    /// A part of a result cannot be passed on, and so not the whole: the caller has this error, and
    /// its callee is interrupted. A part that nobody waits for does no harm.
    pub(crate) fn fail_progress(
        &mut self,
        sessions: &mut Sessions,
        call: PendingCall,
        refusal: Refusal,
        out: &mut Vec<Output>,
    ) {
        let stage = self.close(sessions, call);
        let error = |request| refusal.into_error(RequestType::Call, request).into();
        self.reply(call, error, out);
        let why = Some(error_uri::INVALID_ARGUMENT);
        self.let_go(sessions, call.caller, stage, why, out);
    }

    /// The caller is gone, and its callees' work with it where they can be interrupted: as by
    /// CANCEL in the mode `killnowait`, without the ERROR.
    ///
    /// Source: WAMP specification, "Caller Leaving During an RPC Invocation".
    pub(super) fn abandon_calls(
        &mut self,
        sessions: &mut Sessions,
        caller: PeerId,
        out: &mut Vec<Output>,
    ) {
        let mut calls: Vec<_> = (sessions.joined(caller).calls.iter())
            .map(|(id, open)| (open.stage, *id))
            .collect();
        calls.sort_unstable_by_key(|(stage, _)| order(*stage));
        for (stage, id) in calls {
            self.close(sessions, PendingCall { caller, id });
            let to_itself =
                matches!(stage, Stage::Invoked(invocation) if invocation.callee == caller);
            let why = (!to_itself).then_some(error_uri::CANCELED);
            self.let_go(sessions, caller, stage, why, out);
        }
    }

    /// A call of this caller has ended in this stage: its place in the queue goes, or its invocation, which
    /// remains only where it is counted. With `why` the callee is interrupted.
    pub(super) fn let_go(
        &mut self,
        sessions: &mut Sessions,
        caller: PeerId,
        stage: Stage,
        why: Option<&str>,
        out: &mut Vec<Output>,
    ) {
        let invocation = match stage {
            Stage::Queued {
                registration,
                number,
            } => {
                return self.dequeue(caller, registration, number);
            }
            Stage::Invoked(invocation) => invocation,
        };
        let callee = sessions.joined_mut(invocation.callee);
        let unanswered = (callee.invocations.get_mut(&invocation.request))
            .expect("a call in this stage has its invocation");
        unanswered.call = None;
        let is_counted = unanswered.counted_by.is_some();
        if let Some(why) = why {
            // "Ignoring Results after Cancel", and the departure above.
            let mode = if is_counted {
                CancelMode::Kill
            } else {
                CancelMode::KillNoWait
            };
            interrupt(sessions, invocation, mode, why, out);
        }
        if !is_counted {
            let callee = sessions.joined_mut(invocation.callee);
            let ended = callee.invocations.remove(&invocation.request);
            ended.iter().for_each(|ended| self.note_over(ended));
        }
    }
}

/// Queued calls in their order, then callees in the order of their invocations.
fn order(stage: Stage) -> (bool, u64, u64) {
    match stage {
        Stage::Queued { number, .. } => (false, 0, number),
        Stage::Invoked(PendingInvocation { callee, request }) => (true, callee.0, request.value()),
    }
}

/// "If the callee does not support call canceling, then behavior is **skip**."
fn is_interruptible(sessions: &Sessions, invocation: PendingInvocation) -> bool {
    let callee = sessions.joined(invocation.callee);
    callee.features.call_canceling
}

/// Whether a callee has been asked that takes `skip` for `killnowait`: the second departure.
fn wants_no_skip(sessions: &Sessions, stage: Stage) -> bool {
    let Stage::Invoked(invocation) = stage else {
        return false;
    };
    let callee = sessions.joined(invocation.callee);
    callee.features.interrupt_on_skip
}

/// INTERRUPT, once for an invocation, and to callees that know it.
fn interrupt(
    sessions: &mut Sessions,
    invocation: PendingInvocation,
    mode: CancelMode,
    why: &str,
    out: &mut Vec<Output>,
) {
    if !is_interruptible(sessions, invocation) {
        return;
    }
    let callee = sessions.joined_mut(invocation.callee);
    let unanswered = (callee.invocations.get_mut(&invocation.request))
        .expect("an invocation that is interrupted is not answered");
    if mem::replace(&mut unanswered.interrupted, true) {
        return;
    }
    let interrupt = Interrupt {
        request: invocation.request,
        options: InterruptOptions {
            mode,
            reason: Some(why.into()),
        },
    };
    out.push(send(invocation.callee, interrupt));
}
