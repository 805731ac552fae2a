//! What a joined peer may send, and who decides upon it. Knows neither how dealer and broker
//! decide nor how sessions end.

use std::time::Instant;

use super::{
    Output, PeerId, Router, dealer,
    permission::{CLEAR_CACHE, Turn},
    refusal::{Offence, Refusal, Violation},
    send,
};
use wamp::{
    Call, Error, ErrorDetails, Message, PayloadError, Publish, Published, Register, RequestId,
    RequestType, Result as CallResult, ResultDetails, Unregister, Uri, Yield, YieldOptions,
    error_uri,
};

impl Router {
    /// A message within a session.
    #[inline]
    pub(super) fn message(
        &mut self,
        now: Instant,
        peer: PeerId,
        message: Message,
        out: &mut Vec<Output>,
    ) {
        if self.asks() {
            self.consider(now, peer, message, out);
        } else {
            self.perform(&Turn::at(now), peer, message, out);
        }
    }

    /// Carries out what a message asks for, whose turn it is.
    pub(super) fn perform(
        &mut self,
        turn: &Turn,
        peer: PeerId,
        message: Message,
        out: &mut Vec<Output>,
    ) {
        let now = turn.now;
        match message {
            Message::Call(call) => self.call(turn, peer, call, out),
            Message::Cancel(cancel) => (self.dealer).cancel(&mut self.sessions, peer, cancel, out),
            Message::Yield(part) if part.options.progress => self.progressed(now, peer, part, out),
            Message::Yield(result) => {
                let payload = result.payload;
                self.answered(now, peer, result.request, out, |request| {
                    CallResult {
                        request,
                        details: ResultDetails::default(),
                        payload,
                    }
                    .into()
                });
            }
            Message::Error(error) => self.error(now, peer, error, out),
            Message::Publish(publish) => self.publish(turn, peer, publish, out),
            Message::Register(register) => self.register(turn, peer, register, out),
            Message::Unregister(unregister) => self.unregister(peer, &unregister, out),
            Message::Subscribe(subscribe) => {
                let request = subscribe.request;
                let sessions = &mut self.sessions;
                let decision =
                    (self.broker).subscribe(sessions, &self.limits, turn, peer, subscribe);
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
            | Message::Invocation(_)
            | Message::Interrupt(_) => {
                let name = message.message_type().name();
                let why = format!("{name} is for routers to send, not for clients");
                self.violation(peer, Violation(why), out);
            }
        }
    }

    fn register(&mut self, turn: &Turn, peer: PeerId, register: Register, out: &mut Vec<Output>) {
        let request = register.request;
        if self.has_authorizers && register.procedure.as_str() == CLEAR_CACHE {
            let why = format!("'{CLEAR_CACHE}' is the router's own: choose another URI");
            let refusal = Refusal::new(error_uri::PROCEDURE_ALREADY_EXISTS, why);
            return out.push(send(
                peer,
                refusal.into_error(RequestType::Register, request),
            ));
        }
        let sessions = &mut self.sessions;
        let decision = (self.dealer).register(sessions, &self.limits, turn, peer, register, out);
        if let Err(refusal) = decision {
            out.push(send(
                peer,
                refusal.into_error(RequestType::Register, request),
            ));
        }
    }

    fn unregister(&mut self, peer: PeerId, unregister: &Unregister, out: &mut Vec<Output>) {
        let request = unregister.request;
        let (decision, failed) =
            match (self.dealer).unregister(&mut self.sessions, peer, unregister) {
                Ok((unregistered, failed)) => (Ok(unregistered), failed),
                Err(refusal) => (Err(refusal), Vec::new()),
            };
        out.push(answer(peer, RequestType::Unregister, request, decision));
        out.extend(failed);
    }

    /// A message whose payload is nested deeper than those who receive it could be expected to
    /// read: the request that it makes or answers is refused.
    ///
    /// It is no protocol error. The specification has no such limit, and what a callee yields may
    /// be within it but for what its caller has sent.
    #[cold]
    pub(super) fn too_deep(
        &mut self,
        now: Instant,
        peer: PeerId,
        message: Message,
        out: &mut Vec<Output>,
    ) {
        if self.waiting.is_leaving(peer) {
            return;
        }
        match message {
            Message::Call(Call { request, .. }) => self.deep_call(peer, request, out),
            Message::Publish(Publish {
                request, options, ..
            }) => {
                if options.acknowledge {
                    let error =
                        not_passed_on("the event").into_error(RequestType::Publish, request);
                    out.push(send(peer, error));
                }
            }
            Message::Yield(Yield {
                request,
                options: YieldOptions { progress: true },
                ..
            }) => match (self.dealer).progressed(&mut self.sessions, now, peer, request) {
                Ok(Some(call)) => {
                    let refusal = not_passed_on("a part of the callee's answer");
                    (self.dealer).fail_progress(&mut self.sessions, call, refusal, out);
                }
                Ok(None) => {}
                Err(why) => self.violation(peer, why, out),
            },
            Message::Yield(Yield { request, .. })
            | Message::Error(Error {
                request_type: RequestType::Invocation,
                request,
                ..
            }) => self.answered(now, peer, request, out, |request| {
                let refusal = not_passed_on("the callee's answer");
                refusal.into_error(RequestType::Call, request).into()
            }),
            message @ (Message::Hello(_)
            | Message::Welcome(_)
            | Message::Abort(_)
            | Message::Goodbye(_)
            | Message::Error(_)
            | Message::Published(_)
            | Message::Subscribe(_)
            | Message::Subscribed(_)
            | Message::Unsubscribe(_)
            | Message::Unsubscribed(_)
            | Message::Event(_)
            | Message::Cancel(_)
            | Message::Result(_)
            | Message::Register(_)
            | Message::Registered(_)
            | Message::Unregister(_)
            | Message::Unregistered(_)
            | Message::Invocation(_)
            | Message::Interrupt(_)) => self.message(now, peer, message, out),
        }
    }

    fn deep_call(&mut self, peer: PeerId, request: RequestId, out: &mut Vec<Output>) {
        if self.waiting.call(peer, request).is_some() {
            return self.violation(peer, dealer::called_twice(request), out);
        }
        if let Err(why) = (self.dealer).begin_call(self.sessions.joined(peer), request) {
            return self.violation(peer, why, out);
        }
        let error = not_passed_on("the call").into_error(RequestType::Call, request);
        out.push(send(peer, error));
    }

    fn call(&mut self, turn: &Turn, peer: PeerId, call: Call, out: &mut Vec<Output>) {
        let request = call.request;
        if self.has_authorizers && call.procedure.as_str() == CLEAR_CACHE {
            let authorize = |role: &_, action, uri: &_| turn.authorize(role, action, uri);
            return match self.clear_cache(authorize, peer, &call) {
                Ok(result) => out.push(send(peer, result)),
                Err(offence) => self.offend(peer, request, offence, out),
            };
        }
        match (self.dealer).call(&mut self.sessions, &self.limits, turn, peer, call) {
            Ok(invocation) => out.extend(invocation),
            Err(offence) => self.offend(peer, request, offence, out),
        }
    }

    /// A call is not acted upon.
    fn offend(
        &mut self,
        peer: PeerId,
        request: RequestId,
        offence: Offence,
        out: &mut Vec<Output>,
    ) {
        match offence {
            Offence::Refused(refusal) => {
                out.push(send(peer, refusal.into_error(RequestType::Call, request)));
            }
            Offence::Violation(why) => self.violation(peer, why, out),
        }
    }

    /// A part of a callee's answer, for the call if somebody still waits for it and takes parts.
    fn progressed(&mut self, now: Instant, peer: PeerId, part: Yield, out: &mut Vec<Output>) {
        match (self.dealer).progressed(&mut self.sessions, now, peer, part.request) {
            Ok(Some(call)) => {
                let result = |request| {
                    CallResult {
                        request,
                        details: ResultDetails { progress: true },
                        payload: part.payload,
                    }
                    .into()
                };
                self.dealer.reply(call, result, out);
            }
            Ok(None) => {}
            Err(why) => self.violation(peer, why, out),
        }
    }

    /// A callee's answer, for the call if somebody still waits for it. Then the next call may
    /// be invoked.
    fn answered(
        &mut self,
        now: Instant,
        peer: PeerId,
        request: RequestId,
        out: &mut Vec<Output>,
        answer: impl FnOnce(RequestId) -> Message,
    ) {
        match self.dealer.answered(&mut self.sessions, peer, request) {
            Ok(Some(answered)) => {
                if let Some(call) = answered.call {
                    self.dealer.reply(call, answer, out);
                }
                if let Some(registration) = answered.counted_by {
                    out.extend((self.dealer).invoke_next(&mut self.sessions, now, registration));
                }
            }
            Ok(None) => {}
            Err(why) => self.violation(peer, why, out),
        }
    }

    /// ERROR of a client. Source: WAMP specification, "Calling and Invocations", "Invocation
    /// ERROR"; "Protocol errors".
    fn error(&mut self, now: Instant, peer: PeerId, error: Error, out: &mut Vec<Output>) {
        if error.request_type != RequestType::Invocation {
            let name = error.request_type.message_type().name();
            let why = format!("ERROR for {name}: clients answer INVOCATION alone");
            return self.violation(peer, Violation(why), out);
        }
        // An ERROR cannot be answered with ERROR invalid_uri, and the caller must have one that
        // its client library reads.
        let error_uri = if error.error.is_loose() && !error.error.is_too_long() {
            error.error
        } else {
            Uri::from(error_uri::RUNTIME_ERROR)
        };
        let payload = error.payload;
        self.answered(now, peer, error.request, out, |request| {
            Error {
                request_type: RequestType::Call,
                request,
                details: ErrorDetails::default(),
                error: error_uri,
                payload,
            }
            .into()
        });
    }

    /// PUBLISH. It is answered only where the publisher asks for it.
    fn publish(&mut self, turn: &Turn, peer: PeerId, publish: Publish, out: &mut Vec<Output>) {
        let (request, acknowledge) = (publish.request, publish.options.acknowledge);
        let sessions = &self.sessions;
        let (published, event) =
            match (self.broker).publish(sessions, turn, peer, publish, self.ids.as_mut()) {
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
            out.push(Output::Event {
                to,
                event,
                from: peer,
            });
        }
    }
}

/// Why what is nested too deep ends here.
fn not_passed_on(what: &str) -> Refusal {
    let why = format!("{what} is not passed on: {}", PayloadError::TooDeep);
    Refusal::new(error_uri::INVALID_ARGUMENT, why)
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
