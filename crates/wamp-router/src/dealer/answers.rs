//! How calls are answered, and by whom they are heard: clients, or the router where a call is its own.
//! Must not know why they end.

use super::Dealer;
use crate::{
    Output,
    call_id::CallKind,
    refusal::Refusal,
    send,
    session::{PendingCall, Stage},
};
use wamp::{Message, RequestId, RequestType};

impl Dealer {
    /// Answers a call that ends without its callee's answer: with what has happened, and whether the
    /// procedure can have run.
    pub(super) fn fail(
        &mut self,
        call: PendingCall,
        error: &'static str,
        what: &str,
        stage: Stage,
        out: &mut Vec<Output>,
    ) {
        let so = match stage {
            Stage::Invoked(_) => "the procedure may have run or not",
            Stage::Queued { .. } => {
                "the call still waited for its turn, so the procedure has not run"
            }
        };
        let refusal = Refusal::new(error, format!("{what}: {so}"));
        let error = |request| refusal.into_error(RequestType::Call, request).into();
        self.reply(call, error, out);
    }

    /// Gives a call its answer: to the client, or to the router where it is the router's own.
    #[inline]
    pub(crate) fn reply(
        &mut self,
        call: PendingCall,
        answer: impl FnOnce(RequestId) -> Message,
        out: &mut Vec<Output>,
    ) {
        match call.id.kind() {
            CallKind::Request(request) => out.push(send(call.caller, answer(request))),
            CallKind::Question(ticket) => {
                self.answers.push((ticket, answer(RequestId::FIRST)));
            }
        }
    }
}
