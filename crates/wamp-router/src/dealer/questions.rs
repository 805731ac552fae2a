//! Calls of the router's own, in the name of a session that they are about: what authorizers are asked.
//! Must not know what for.

use std::time::Instant;

use super::{
    Dealer, QueuedCall, Registration,
    calls::{check_room, not_registered},
};
use crate::{
    Limits, Output, PeerId,
    refusal::Refusal,
    session::{PendingCall, Sessions},
};
use wamp::{Message, Payload, Ticket, Uri, error_uri};

impl Dealer {
    /// Asks a procedure: the INVOCATION it leads to, if it is not queued.
    pub(crate) fn ask(
        &mut self,
        sessions: &mut Sessions,
        limits: &Limits,
        now: Instant,
        peer: PeerId,
        (ticket, procedure, payload): (Ticket, &Uri, Payload),
    ) -> Result<Option<Output>, Refusal> {
        let caller = sessions.joined(peer);
        let is_there =
            |r: &&mut Registration| self.departed.is_empty() || sessions.is_joined(r.callee);
        let registration = (self.procedures.get_mut(procedure)).filter(is_there);
        let registration = registration.ok_or_else(|| not_registered(procedure))?;
        check_room(
            sessions,
            limits,
            (peer, caller),
            registration,
            payload.len(),
        )?;
        let whom = registration.begin();
        self.pending += 1;
        let question = QueuedCall {
            caller: peer,
            call: ticket.into(),
            deadline: None,
            timeout: 0,
            disclose: false,
            progress: false,
            payload,
        };
        Ok(self.start(sessions, now, whom, question))
    }

    /// Nobody waits for what an authorizer says to a question about this session.
    pub(crate) fn end_question(
        &mut self,
        sessions: &mut Sessions,
        peer: PeerId,
        question: Ticket,
        out: &mut Vec<Output>,
    ) {
        let call = PendingCall {
            caller: peer,
            id: question.into(),
        };
        if sessions.joined(peer).calls.contains_key(&call.id) {
            let stage = self.close(sessions, call);
            self.let_go(sessions, peer, stage, Some(error_uri::CANCELED), out);
        }
    }

    /// What authorizers have answered since this was asked for: RESULTs or ERRORs.
    pub(crate) fn take_answers(&mut self) -> Vec<(Ticket, Message)> {
        std::mem::take(&mut self.answers)
    }

    pub(crate) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }
}
