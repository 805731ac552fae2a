//! The client's end of a session: what its owner asks of the router. Must not know what becomes of
//! the answers.

use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::{
    End, Error, Handler, Limits,
    outgoing::{State, lock, send_posted, send_waiting},
    pending::{OnProgress, Request},
};
use wamp::{
    Call, CallOptions, Cancel, CancelMode, CancelOptions, ClosingDetails, ErrorDetails, Goodbye,
    GuardId, HelloDetails, Message, Outbound, Pattern, Payload, PublicationId, Publish,
    PublishOptions, Receipt, Register, RegisterOptions, RegistrationId, RequestId, RequestType,
    Subscribe, SubscribeOptions, SubscriptionId, Ticket, Transport, Unregister, Unsubscribe, Uri,
    Verdict, Yield, YieldOptions,
};

/// A session's end that belongs to `H`. Lives for one session: whoever connects again makes a new
/// one.
///
/// No method blocks, and each may be called from any thread, also from within a callback. A callback
/// is called once, mostly on the thread that brings the answer, which is an I/O thread as a rule: it
/// must neither block nor panic. In a process that has I/O threads the requests of all other threads
/// are sent by one of those. A request that is refused here has its callback called before the
/// method returns.
pub struct Client<H> {
    this: Weak<Self>,
    pub(super) realm: Uri,
    pub(super) details: HelloDetails,
    limits: Limits,
    pub(super) handler: H,
    /// Set before the session says its first word.
    pub(super) transport: OnceLock<Arc<dyn Transport>>,
    /// The first I/O thread that a message came on, where there are such.
    io_thread: OnceLock<Arc<dyn Outbound>>,
    pub(super) state: Mutex<State>,
}

impl<H: Handler> Client<H> {
    /// A client that joins `realm` with these details as soon as there is a way to a router.
    pub fn new(realm: Uri, details: HelloDetails, limits: Limits, handler: H) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            realm,
            details,
            limits,
            handler,
            transport: OnceLock::new(),
            io_thread: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    /// The owner.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The client itself, for what outlives a call.
    ///
    /// # Panics
    /// Never: whoever can call this has an [`Arc`] of it.
    pub fn shared(&self) -> Arc<Self> {
        self.this.upgrade().expect("it is being called")
    }

    /// Calls a procedure. The id is for [`cancel`](Self::cancel); none if the call was refused here.
    pub fn call(
        &self,
        procedure: Uri,
        options: CallOptions,
        payload: Payload,
        on_result: impl FnOnce(Result<Payload, Error>) + Send + 'static,
    ) -> Option<RequestId> {
        let request = Request::Call {
            on_progress: None,
            on_result: Box::new(on_result),
        };
        self.send_call(procedure, options, payload, request)
    }

    /// Calls a procedure that may give its result in parts. `on_progress` gets each of them, before
    /// `on_result` gets the last.
    ///
    /// Source: WAMP specification, "Progressive Call Results".
    pub fn call_progressive(
        &self,
        procedure: Uri,
        options: CallOptions,
        payload: Payload,
        on_progress: impl FnMut(Payload) + Send + 'static,
        on_result: impl FnOnce(Result<Payload, Error>) + Send + 'static,
    ) -> Option<RequestId> {
        let on_progress: OnProgress = Box::new(on_progress);
        let request = Request::Call {
            on_progress: Some(on_progress),
            on_result: Box::new(on_result),
        };
        let options = CallOptions {
            receive_progress: true,
            ..options
        };
        self.send_call(procedure, options, payload, request)
    }

    fn send_call(
        &self,
        procedure: Uri,
        options: CallOptions,
        payload: Payload,
        request: Request,
    ) -> Option<RequestId> {
        self.request(request, |request| {
            Call {
                request,
                options: options.into(),
                procedure,
                payload,
            }
            .into()
        })
    }

    /// Asks for a call to be ended. Its callback gets what the router makes of it, mostly
    /// `wamp.error.canceled`. Nothing happens if the call has its result already.
    ///
    /// Source: WAMP specification, "Call Canceling".
    pub fn cancel(&self, call: RequestId, mode: CancelMode) {
        let mut state = lock(&self.state);
        if state.pending.is(call, RequestType::Call) {
            let options = CancelOptions { mode };
            state.put_after(
                Cancel {
                    request: call,
                    options,
                }
                .into(),
            );
            drop(state);
            self.send_waiting();
        }
    }

    /// Publishes an event, without asking whether it was accepted: `acknowledge` is not sent.
    ///
    /// # Errors
    /// When nothing was sent: there is no session, or too much waits.
    pub fn publish(
        &self,
        topic: Uri,
        options: PublishOptions,
        payload: Payload,
    ) -> Result<(), Error> {
        let sent = self.put(None, |request| {
            let acknowledge = false;
            publish(request, topic, options, acknowledge, payload)
        });
        sent.map(|_| ()).map_err(|(error, _)| error)
    }

    /// Publishes an event, and asks whether it was accepted.
    pub fn publish_acknowledged(
        &self,
        topic: Uri,
        options: PublishOptions,
        payload: Payload,
        on_result: impl FnOnce(Result<PublicationId, Error>) + Send + 'static,
    ) {
        self.request(Request::Publish(Box::new(on_result)), |request| {
            publish(request, topic, options, true, payload)
        });
    }

    /// Subscribes to a topic. Its events go to [`Handler::on_event`]; the first of them may come
    /// while the callback has not returned.
    pub fn subscribe(
        &self,
        topic: Uri,
        options: SubscribeOptions,
        on_result: impl FnOnce(Result<SubscriptionId, Error>) + Send + 'static,
    ) {
        self.request(Request::Subscribe(Box::new(on_result)), |request| {
            Subscribe {
                request,
                options,
                topic,
            }
            .into()
        });
    }

    /// Ends a subscription.
    pub fn unsubscribe(
        &self,
        subscription: SubscriptionId,
        on_result: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        self.request(Request::Unsubscribe(Box::new(on_result)), |request| {
            Unsubscribe {
                request,
                subscription,
            }
            .into()
        });
    }

    /// Registers a procedure. Calls to it go to [`Handler::on_invocation`].
    pub fn register(
        &self,
        procedure: Uri,
        options: RegisterOptions,
        on_result: impl FnOnce(Result<RegistrationId, Error>) + Send + 'static,
    ) {
        self.request(Request::Register(Box::new(on_result)), |request| {
            Register {
                request,
                options: options.into(),
                procedure,
            }
            .into()
        });
    }

    /// Ends a registration. Invocations that are under way are to be answered all the same.
    pub fn unregister(
        &self,
        registration: RegistrationId,
        on_result: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        self.request(Request::Unregister(Box::new(on_result)), |request| {
            Unregister {
                request,
                registration,
            }
            .into()
        });
    }

    /// Has [`Handler::on_question`] asked before a SUBSCRIBE to any of these topics is granted.
    /// `false` where there is no router of this process that would ask.
    pub fn guard(&self, guard: GuardId, topics: Pattern) -> bool {
        (self.transport.get()).is_some_and(|transport| transport.guard(guard, topics))
    }

    /// Ends a guard. What it has been asked is still to be answered.
    pub fn end_guard(&self, guard: GuardId) {
        if let Some(transport) = self.transport.get() {
            transport.end_guard(guard);
        }
    }

    /// Answers a question, now and from this thread.
    pub fn answer_question(&self, question: Ticket, verdict: Verdict) {
        if let Some(transport) = self.transport.get() {
            transport.answer_question(question, verdict);
        }
    }

    /// Takes the next request id, for a request that the caller writes and sends itself, before it
    /// makes another one of this session. Its answer goes to [`Handler::on_ignored`], as nobody waits
    /// for it here; it counts for none of the [`Limits`].
    pub fn reserve_request(&self) -> RequestId {
        lock(&self.state).next_request()
    }

    /// Answers an invocation, now and from this thread.
    pub fn answer(&self, invocation: RequestId, result: Result<Payload, Error>) {
        self.send(answer(invocation, result));
    }

    /// Gives a part of the answer to an invocation whose caller takes it in parts
    /// (`receive_progress`), now and from this thread. `taken` is dropped when there is room for the
    /// next part; see [`Transport::send_part`].
    pub fn progress(&self, invocation: RequestId, part: Payload, taken: Receipt) {
        let part = Yield {
            request: invocation,
            options: YieldOptions { progress: true },
            payload: part,
        };
        if let Some(transport) = self.transport.get() {
            transport.send_part(part, taken);
        }
    }

    /// A way to answer later from this thread; see [`Transport::outbound`].
    pub fn outbound(&self) -> Option<Arc<dyn Outbound>> {
        self.transport.get()?.outbound()
    }

    /// Says GOODBYE, if there is a session to end. The router's answer closes the connection.
    pub fn leave(&self, reason: &str) {
        if self.end(End::Left(reason.into())) {
            self.say_goodbye(reason);
        }
    }

    pub(super) fn say_goodbye(&self, reason: &str) {
        self.send(Goodbye {
            details: ClosingDetails::default(),
            reason: reason.into(),
        });
    }

    /// Notes the end of the session and fails its requests; `false` if it had ended before.
    pub(super) fn end(&self, end: End) -> bool {
        let Some(unanswered) = lock(&self.state).end(end.clone()) else {
            return false;
        };
        self.handler.on_end(self, &end);
        for request in unanswered {
            request.fail(Error::unanswered(&end));
        }
        true
    }

    /// Sends a message that is no request.
    pub(super) fn send(&self, message: impl Into<Message>) {
        if let Some(transport) = self.transport.get() {
            transport.send(message.into());
        }
    }

    /// Sends a request that is answered; one that is refused here fails at once.
    fn request(
        &self,
        request: Request,
        make: impl FnOnce(RequestId) -> Message,
    ) -> Option<RequestId> {
        match self.put(Some(request), make) {
            Ok(id) => Some(id),
            Err((error, request)) => {
                if let Some(request) = request {
                    request.fail(error);
                }
                None
            }
        }
    }

    fn put(
        &self,
        request: Option<Request>,
        make: impl FnOnce(RequestId) -> Message,
    ) -> Result<RequestId, (Error, Option<Request>)> {
        let unsent = self.transport.get().map_or(0, |t| t.unsent());
        if unsent > self.limits.unsent {
            let why = format!("{unsent} bytes wait to leave for the router already");
            return Err((Error::unavailable(&why), request));
        }
        let id = lock(&self.state).put(&self.limits, request, make)?;
        self.send_waiting();
        Ok(id)
    }

    fn send_waiting(&self) {
        if let Some(transport) = self.transport.get() {
            send_waiting(
                &self.state,
                &**transport,
                self.io_thread.get().map(|o| &**o),
            );
        }
    }

    /// Sends a request that another thread has left to this one.
    pub(super) fn send_posted(&self, request: Message) {
        if let Some(transport) = self.transport.get() {
            let io_thread = self.io_thread.get().map(|o| &**o);
            send_posted(&self.state, request, &**transport, io_thread);
        }
    }

    /// A message has come: its thread may be one to leave requests to.
    pub(super) fn note_thread(&self) {
        if self.io_thread.get().is_none()
            && let Some(here) = self.outbound()
        {
            self.io_thread.get_or_init(|| here);
        }
    }
}

/// The message that answers an invocation.
pub fn answer(invocation: RequestId, result: Result<Payload, Error>) -> Message {
    match result {
        Ok(payload) => Yield {
            request: invocation,
            options: YieldOptions::default(),
            payload,
        }
        .into(),
        Err(Error { uri, payload }) => wamp::Error {
            request_type: RequestType::Invocation,
            request: invocation,
            details: ErrorDetails::default(),
            error: uri,
            payload,
        }
        .into(),
    }
}

fn publish(
    request: RequestId,
    topic: Uri,
    options: PublishOptions,
    acknowledge: bool,
    payload: Payload,
) -> Message {
    let options = PublishOptions {
        acknowledge,
        ..options
    };
    Publish {
        request,
        options: options.into(),
        topic,
        payload,
    }
    .into()
}
