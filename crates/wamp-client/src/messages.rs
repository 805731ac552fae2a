//! What the router says, and whom it is for: a request that waits, or the session's owner. Must not
//! know how requests are made.

use std::sync::Arc;

use super::{
    Client, End, Error, Handler,
    outgoing::{Phase, lock},
    pending::Request,
};
use wamp::{
    Abort, Goodbye, Hello, Identity, Invocation, Message, Peer, Question, RequestId, RequestType,
    Result as CallResult, Ticket, Transport, Unregistering, Unsubscribing, Welcome, Yield,
    error_uri,
};

impl<H: Handler> Peer for Client<H> {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        self.transport.get_or_init(|| transport);
        self.send(Hello {
            realm: self.realm.clone(),
            details: self.details.clone().into(),
        });
    }

    #[cfg_attr(
        not(test),
        expect(
            clippy::wildcard_enum_match_arm,
            reason = "answers are told apart elsewhere"
        )
    )]
    fn on_message(&self, message: Message) {
        self.note_thread();
        match message {
            Message::Welcome(welcome) => self.on_welcome(welcome),
            Message::Abort(abort) => {
                let Abort { details, reason } = abort.clone();
                if !self.end(End::by_router(reason, details)) {
                    self.handler.on_ignored(abort.into());
                }
            }
            Message::Goodbye(Goodbye { details, reason }) => {
                if self.end(End::by_router(reason, details)) {
                    self.say_goodbye(error_uri::GOODBYE_AND_OUT);
                } else {
                    self.handler.on_left(self);
                }
            }
            Message::Invocation(m) => self.handler.on_invocation(self, m, None),
            Message::Interrupt(m) => self.handler.on_interrupt(self, m),
            Message::Event(m) => self.handler.on_event(self, m),
            Message::Unregistered(wamp::Unregistered {
                how: Unregistering::Revoked(revoked),
            }) => self.handler.on_revoked(self, *revoked),
            Message::Result(m) if m.details.progress => self.on_progress(m),
            message => self.on_answer(message),
        }
    }

    fn on_invocation(&self, invocation: Invocation, caller: Arc<Identity>) {
        self.note_thread();
        self.handler.on_invocation(self, invocation, Some(caller));
    }

    fn on_question(&self, question: Question) {
        self.note_thread();
        self.handler.on_question(self, question);
    }

    fn on_withdrawn(&self, question: Ticket) {
        self.handler.on_withdrawn(self, question);
    }

    /// An answer, or a request that was left to this thread.
    #[cfg_attr(
        not(test),
        expect(clippy::wildcard_enum_match_arm, reason = "all others are requests")
    )]
    fn on_posted(&self, message: Message) {
        match &message {
            Message::Yield(Yield { request, .. }) | Message::Error(wamp::Error { request, .. }) => {
                self.handler.on_answer_posted(*request);
                self.send(message);
            }
            _ => self.send_posted(message),
        }
    }

    fn on_close(&self) {
        self.end(End::Disconnected);
    }
}

impl<H: Handler> Client<H> {
    fn on_welcome(&self, welcome: Welcome) {
        {
            let mut state = lock(&self.state);
            if state.phase != Phase::Joining {
                drop(state);
                return self.handler.on_ignored(welcome.into());
            }
            state.phase = Phase::Joined;
        }
        self.handler.on_join(self, welcome);
    }

    /// The answer to a request of this session, if one waits for it.
    #[cfg_attr(
        not(test),
        expect(clippy::wildcard_enum_match_arm, reason = "all others answer nothing")
    )]
    fn on_answer(&self, message: Message) {
        let (request, request_type) = match &message {
            Message::Result(m) => (m.request, RequestType::Call),
            Message::Published(m) => (m.request, RequestType::Publish),
            Message::Subscribed(m) => (m.request, RequestType::Subscribe),
            Message::Unsubscribed(wamp::Unsubscribed {
                how: Unsubscribing::Requested(request),
            }) => (*request, RequestType::Unsubscribe),
            Message::Registered(m) => (m.request, RequestType::Register),
            Message::Unregistered(wamp::Unregistered {
                how: Unregistering::Requested(request),
            }) => (*request, RequestType::Unregister),
            Message::Error(m) => (m.request, m.request_type),
            _ => return self.handler.on_ignored(message),
        };
        match self.take(request, request_type) {
            Some(request) => deliver(request, message),
            None => self.handler.on_ignored(message),
        }
    }

    fn take(&self, request: RequestId, request_type: RequestType) -> Option<Request> {
        lock(&self.state).pending.take(request, request_type)
    }

    /// A part of a result. Not under the lock: who takes it may make requests.
    fn on_progress(&self, part: CallResult) {
        let request = part.request;
        let on_progress = {
            let mut state = lock(&self.state);
            state.pending.progress(request).and_then(Option::take)
        };
        let Some(mut on_progress) = on_progress else {
            return self.handler.on_ignored(part.into());
        };
        on_progress(part.payload);
        if let Some(place) = lock(&self.state).pending.progress(request) {
            *place = Some(on_progress);
        }
    }
}

/// Gives an answer to whoever waits for it.
fn deliver(request: Request, message: Message) {
    match (request, message) {
        (request, Message::Error(m)) => request.fail(Error {
            uri: m.error,
            payload: m.payload,
        }),
        (Request::Call { on_result, .. }, Message::Result(m)) => on_result(Ok(m.payload)),
        (Request::Publish(on_result), Message::Published(m)) => on_result(Ok(m.publication)),
        (Request::Subscribe(on_result), Message::Subscribed(m)) => on_result(Ok(m.subscription)),
        (Request::Register(on_result), Message::Registered(m)) => on_result(Ok(m.registration)),
        (Request::Unsubscribe(on_result) | Request::Unregister(on_result), _) => on_result(Ok(())),
        // Their types were compared before.
        _ => unreachable!("an answer of another type than its request"),
    }
}
