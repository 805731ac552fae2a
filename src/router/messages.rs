//! What a joined peer may send, and who decides upon it. Knows neither how dealer and broker
//! decide nor how sessions end.

use super::{
    Output, PeerId, Router,
    refusal::{Offence, Refusal, Violation},
    send,
    session::{PendingCall, State},
};
use crate::wamp::{
    Call, Error, Message, Publish, Published, RequestId, RequestType, Result as CallResult, Uri,
    error_uri,
};

impl Router {
    /// A message within a session.
    pub(super) fn message(
        &mut self,
        peer: PeerId,
        state: State,
        message: Message,
        out: &mut Vec<Output>,
    ) {
        // "Session Statechart", 4 and 14: what crossed with our GOODBYE is ignored.
        if state == State::ShuttingDown {
            if matches!(message, Message::Goodbye(_) | Message::Abort(_)) {
                self.close(peer, out);
            }
            return;
        }
        match message {
            Message::Call(call) => self.call(peer, call, out),
            Message::Yield(result) => {
                if let Some(call) = self.answered(peer, result.request, out) {
                    let result = CallResult {
                        request: call.request,
                        payload: result.payload,
                    };
                    out.push(send(call.caller, result));
                }
            }
            Message::Error(error) => self.error(peer, error, out),
            Message::Publish(publish) => self.publish(peer, publish, out),
            Message::Register(register) => {
                let request = register.request;
                let decision =
                    (self.dealer).register(&mut self.sessions, &self.limits, peer, register);
                out.push(answer(peer, RequestType::Register, request, decision));
            }
            Message::Unregister(unregister) => {
                let decision = (self.dealer).unregister(&mut self.sessions, peer, &unregister);
                let request = unregister.request;
                out.push(answer(peer, RequestType::Unregister, request, decision));
            }
            Message::Subscribe(subscribe) => {
                let request = subscribe.request;
                let decision =
                    (self.broker).subscribe(&mut self.sessions, &self.limits, peer, subscribe);
                out.push(answer(peer, RequestType::Subscribe, request, decision));
            }
            Message::Unsubscribe(unsubscribe) => {
                let decision = (self.broker).unsubscribe(&mut self.sessions, peer, &unsubscribe);
                let request = unsubscribe.request;
                out.push(answer(peer, RequestType::Unsubscribe, request, decision));
            }
            Message::Goodbye(_) => self.goodbye(peer, out),
            Message::Abort(_) => self.close(peer, out),
            Message::Hello(_) => {
                let why = "HELLO after the session was established: a session begins with just one";
                self.violation(peer, Violation(why.to_owned()), out);
            }
            Message::Welcome(_)
            | Message::Published(_)
            | Message::Subscribed(_)
            | Message::Unsubscribed(_)
            | Message::Event(_)
            | Message::Result(_)
            | Message::Registered(_)
            | Message::Unregistered(_)
            | Message::Invocation(_) => {
                let name = message.message_type().name();
                let why = format!("{name} is for routers to send, not for clients");
                self.violation(peer, Violation(why), out);
            }
        }
    }

    fn call(&mut self, peer: PeerId, call: Call, out: &mut Vec<Output>) {
        let request = call.request;
        match (self.dealer).call(&mut self.sessions, &self.limits, peer, call) {
            Ok((callee, invocation)) => out.push(send(callee, invocation)),
            Err(Offence::Refused(refusal)) => {
                out.push(send(peer, refusal.into_error(RequestType::Call, request)));
            }
            Err(Offence::Violation(why)) => self.violation(peer, why, out),
        }
    }

    /// The call that a callee's answer belongs to, if somebody still waits for it.
    fn answered(
        &mut self,
        peer: PeerId,
        request: RequestId,
        out: &mut Vec<Output>,
    ) -> Option<PendingCall> {
        match self.dealer.answered(&mut self.sessions, peer, request) {
            Ok(call) => call,
            Err(why) => {
                self.violation(peer, why, out);
                None
            }
        }
    }

    /// ERROR of a client. Source: WAMP specification, "Calling and Invocations", "Invocation
    /// ERROR"; "Protocol errors".
    fn error(&mut self, peer: PeerId, error: Error, out: &mut Vec<Output>) {
        if error.request_type != RequestType::Invocation {
            let name = error.request_type.message_type().name();
            let why = format!("ERROR for {name}: clients answer INVOCATION alone");
            return self.violation(peer, Violation(why), out);
        }
        let Some(call) = self.answered(peer, error.request, out) else {
            return;
        };
        // An ERROR cannot be answered with ERROR invalid_uri, and the caller must have one that
        // its client library reads.
        let error_uri = if error.error.is_loose() {
            error.error
        } else {
            Uri::from(error_uri::RUNTIME_ERROR)
        };
        let error = Error {
            request_type: RequestType::Call,
            request: call.request,
            error: error_uri,
            payload: error.payload,
        };
        out.push(send(call.caller, error));
    }

    /// PUBLISH. It is answered only where the publisher asks for it.
    fn publish(&mut self, peer: PeerId, publish: Publish, out: &mut Vec<Output>) {
        let (request, acknowledge) = (publish.request, publish.options.acknowledge);
        let publisher = self.sessions.joined(peer);
        let (published, event) =
            match (self.broker).publish(publisher, peer, publish, self.ids.as_mut()) {
                Ok(publication) => {
                    let published = Published {
                        request,
                        publication: publication.id,
                    };
                    (Ok(published), publication.event)
                }
                Err(refusal) => (Err(refusal), None),
            };
        if acknowledge {
            out.push(answer(peer, RequestType::Publish, request, published));
        }
        if let Some((to, event)) = event {
            out.push(Output::Event { to, event });
        }
    }
}

/// The answer to a request: what it asked for, or an ERROR.
fn answer(
    peer: PeerId,
    request_type: RequestType,
    request: RequestId,
    decision: Result<impl Into<Message>, Refusal>,
) -> Output {
    match decision {
        Ok(message) => send(peer, message),
        Err(refusal) => send(peer, refusal.into_error(request_type, request)),
    }
}
