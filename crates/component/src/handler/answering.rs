//! Owns how answers that come later are sent, and which errors operators hear of. Must not know what
//! brings them.

use wamp::{Payload, Peer as _, Receipt, RequestId, Uri};
use wamp_client::answer;

use super::{
    super::{
        Error,
        invocation::{Callee, Unanswered},
    },
    ComponentHandler, SessionClient,
};

impl ComponentHandler {
    /// Logs an error if it is for operators.
    pub(super) fn log(&self, procedure: Option<&Uri>, error: &Error) {
        let Some(why) = error.log() else { return };
        let component = &*self.name;
        let procedure = procedure.map(Uri::as_str).unwrap_or_default();
        tracing::error!(target: crate::LOG, component, procedure, "a call has failed: {why}");
    }

    /// The same of an invocation that is under way.
    fn log_of(&self, request: RequestId, error: &Error) {
        if error.log().is_some() {
            let under_way = self.under_way().get(&request).cloned();
            self.log(under_way.as_ref().map(|one| &one.procedure), error);
        }
    }
}

impl Callee for SessionClient {
    /// Whoever routes an answer touches the memory of all that is under way. Done by one I/O
    /// thread it stays near the same processor, and workers, which may be made to pause anywhere,
    /// hold up nobody with the realm's lock.
    fn answer_later(&self, invocation: Unanswered, result: Result<Payload, Error>) {
        let shown = self.handler().instance.error_details;
        if let Err(error) = &result {
            self.handler().log_of(invocation.request, error);
        }
        let message = answer(
            invocation.request,
            result.map_err(|error| error.for_callers(shown)),
        );
        let left = match invocation.outbound {
            Some(outbound) => outbound.post(message),
            None => Err(message),
        };
        if let Err(message) = left {
            self.on_posted(message);
        }
    }

    fn send_part(&self, request: RequestId, part: Payload, taken: Receipt) {
        self.progress(request, part, taken);
    }
}
