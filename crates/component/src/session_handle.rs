//! What a component asks of its router: calls and publications by its session, while there is one;
//! procedures and subscriptions for all that come.
//! Must not know where the router is.

use std::{
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock, Weak},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Deferred, Error, GuardHandle, Procedure, RegistrationHandle, SubscribeRequest, Subscription,
    SubscriptionHandle, arguments, deferred,
    guard::{self, Guards},
    handler::ComponentHandler,
    registry::{self, Registry},
};
use deferred::{Control, Interrupt};
use wamp::{
    CallOptions, CancelMode, Pattern, Payload, PayloadError, PublicationId, PublishOptions,
    Question, RequestId, Uri, error_uri,
};
use wamp_client::Client;

type SessionClient = Client<ComponentHandler>;

/// The session of a component: calls procedures and publishes events. Cheap to clone, and to be used
/// from any thread. It comes with [`Setup`](super::Setup), before there is a session.
///
/// Calls and publications do not wait for a session. While there is none (in `on_join`, while a connection to
/// another router is lost, and after the node has begun to stop) whatever is asked for fails at once
/// with `wamp.error.unavailable`; nothing was sent then, so the same may be tried again. What is
/// without its answer when the session ends fails with `wamp.error.canceled`: it may have been
/// carried out or not. A component that must do something on each new session does it in
/// [`on_ready`](super::Component::on_ready).
///
/// So much may wait and no more: 10000 requests of a session without their answer, and 16 MiB on the
/// way to a router that is dialled. More fails with `wamp.error.unavailable`.
///
/// A procedure may call any other, also one of its own component, and answers with
/// [`Reply::later`](super::Reply::later). It must not `wait` for the result: that would hold up the
/// thread that is to bring it.
#[derive(Clone, Default)]
pub struct SessionHandle {
    shared: Arc<Shared>,
}

/// What all clones have together.
#[derive(Default)]
pub(super) struct Shared {
    current: RwLock<Weak<SessionClient>>,
    /// What the component has registered and subscribed to later.
    pub(super) registry: Registry,
    /// The topics that it guards.
    pub(super) guards: Guards,
}

impl Shared {
    /// The session that there is now.
    pub(super) fn client(&self) -> Option<Arc<SessionClient>> {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Whether this session has not ended.
    pub(super) fn is_current(&self, client: &Arc<SessionClient>) -> bool {
        let current = self.client();
        current.is_some_and(|current| Arc::ptr_eq(&current, client))
    }
}

impl SessionHandle {
    /// Whether there is a session now.
    pub fn is_joined(&self) -> bool {
        self.client().is_ok()
    }

    /// Calls a procedure with these positional arguments: a tuple, a list, or `()` for none.
    ///
    /// ```
    /// # use component::{Deferred, SessionHandle};
    /// fn total(session: &SessionHandle) -> Deferred<i64> {
    ///     let sum = session.call("com.example.add2", (23, 7));
    ///     sum.and_then(|result| result.value())
    /// }
    /// ```
    ///
    /// # Errors
    /// Later: what the procedure answers, or why it was not called; see [`SessionHandle`].
    pub fn call(&self, procedure: impl Into<Uri>, args: impl Serialize) -> Deferred<CallResult> {
        match payload(&args) {
            Ok(payload) => self.call_with(procedure, payload, CallOptions::default()),
            Err(error) => Deferred::ready(Err(error.into())),
        }
    }

    /// The same with a payload, which may have keyword arguments
    /// ([`Payload::from_args_kwargs`]), and with options, such as a timeout.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_with(
        &self,
        procedure: impl Into<Uri>,
        payload: Payload,
        options: CallOptions,
    ) -> Deferred<CallResult> {
        self.send_call(|client, on_result| {
            client.call(procedure.into(), options, payload, on_result)
        })
    }

    /// The same for a procedure that gives its result in parts: `on_progress` gets each, in their
    /// order, and the deferred the last. It must not block.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_progressive(
        &self,
        procedure: impl Into<Uri>,
        payload: Payload,
        options: CallOptions,
        mut on_progress: impl FnMut(CallResult) + Send + 'static,
    ) -> Deferred<CallResult> {
        // Its panic must not take the connections of its thread with it.
        let on_progress = move |part| {
            if catch_unwind(AssertUnwindSafe(|| on_progress(CallResult(part)))).is_err() {
                tracing::error!(target: crate::LOG, "what takes the parts of a result has panicked");
            }
        };
        self.send_call(|client, on_result| {
            client.call_progressive(procedure.into(), options, payload, on_progress, on_result)
        })
    }

    fn send_call(
        &self,
        send: impl FnOnce(&SessionClient, OnResult) -> Option<RequestId>,
    ) -> Deferred<CallResult> {
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return Deferred::ready(Err(error)),
        };
        let (promise, deferred) = deferred();
        let control = promise.control();
        let on_result: OnResult = Box::new(move |result| {
            promise.resolve(result.map(CallResult).map_err(Error::from));
        });
        if let Some(request) = send(&client, on_result) {
            let cancel: Arc<dyn Interrupt<Error>> = Arc::new(CancelCall {
                client: Arc::downgrade(&client),
                request,
            });
            // The result may be there already.
            control.begin(&cancel);
        }
        deferred
    }

    /// Publishes an event with these positional arguments: a tuple, a list, or `()` for none.
    /// Whether the router accepts it is not asked.
    ///
    /// # Errors
    /// When nothing was sent; see [`SessionHandle`].
    pub fn publish(&self, topic: impl Into<Uri>, args: impl Serialize) -> Result<(), Error> {
        self.publish_with(topic, payload(&args)?, PublishOptions::default())
    }

    /// The same with a payload and with options, such as who receives the event.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with(
        &self,
        topic: impl Into<Uri>,
        payload: Payload,
        options: PublishOptions,
    ) -> Result<(), Error> {
        let client = self.client()?;
        Ok(client.publish(topic.into(), options, payload)?)
    }

    /// Publishes an event and asks whether the router accepts it.
    ///
    /// # Errors
    /// Later: why it was not accepted, or not sent; see [`SessionHandle`].
    pub fn publish_acknowledged(
        &self,
        topic: impl Into<Uri>,
        payload: Payload,
        options: PublishOptions,
    ) -> Deferred<PublicationId> {
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return Deferred::ready(Err(error)),
        };
        let (promise, deferred) = deferred();
        client.publish_acknowledged(topic.into(), options, payload, move |result| {
            promise.resolve(result.map_err(Error::from));
        });
        deferred
    }

    /// Registers one more procedure, for as long as the handle lives that the deferred fires with:
    /// on each new session again. A `concurrency` holds for it as for those of the class, and so does
    /// what the configuration says in `extra.procedures`, where the class has
    /// [`REGISTERS_LATER`](super::Component::REGISTERS_LATER).
    ///
    /// Unlike a call it waits while there is no session, as in `on_join`.
    ///
    /// ```
    /// # use component::{Deferred, Procedure, RegistrationHandle, Reply, SessionHandle};
    /// fn serve(session: &SessionHandle) -> Deferred<RegistrationHandle> {
    ///     let add2 = Procedure::function("com.example.add2", |call| {
    ///         let (a, b): (i64, i64) = call.args()?;
    ///         Reply::now(a + b)
    ///     });
    ///     session.register(add2)
    /// }
    /// ```
    ///
    /// # Errors
    /// Later: why the router does not register it. `wamp.error.unavailable` once the node is
    /// stopping.
    pub fn register(&self, procedure: Procedure<()>) -> Deferred<RegistrationHandle> {
        registry::register(&self.shared, procedure.bind(&Arc::new(())))
    }

    /// Registers a procedure in the place of one that is there, with the same URI: for another
    /// concurrency, say. There is no moment without it. The handle of the former one is to be dropped
    /// once the deferred has fired; if that is with an error, the former one is still there.
    ///
    /// Calls that are under way are answered by the former one. Those that wait for their turn there
    /// fail with `wamp.error.unavailable`, and may be made again.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn replace(
        &self,
        former: &RegistrationHandle,
        procedure: Procedure<()>,
    ) -> Deferred<RegistrationHandle> {
        registry::replace(&self.shared, former, procedure.bind(&Arc::new(())))
    }

    /// Registers a procedure in `on_join`, as those of the class are: the component has not joined
    /// without it.
    pub(super) fn register_own(
        &self,
        procedure: Procedure<()>,
    ) -> Result<RegistrationHandle, Error> {
        registry::register_own(&self.shared, procedure.bind(&Arc::new(())))
    }

    /// Subscribes to one more topic, in the same way.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn subscribe(&self, subscription: Subscription<()>) -> Deferred<SubscriptionHandle> {
        registry::subscribe(&self.shared, subscription.bind(&Arc::new(())))
    }

    /// Guards topics, for as long as the handle lives that the deferred fires with: `guard` is asked
    /// before a SUBSCRIBE to any of them is granted. As with [`register`](Self::register) it waits
    /// while there is no session, as in `on_join`.
    ///
    /// The subscriber gets SUBSCRIBED when the deferred that `guard` gives has fired, or an ERROR with
    /// the error that it has fired with. Until then the SUBSCRIBE waits, and with it whatever its
    /// session requests after it; not for long: after 10 seconds the subscriber gets
    /// `wamp.error.authorization_failed`. Then, and when the subscriber has left, the deferred is
    /// canceled, and so is a job of a database behind it.
    ///
    /// A role that may not subscribe is refused before anybody is asked. Of several guards, of
    /// one or more components, all that match are asked, and all have to agree. The component's own
    /// subscriptions are not asked of its own guards. What is subscribed to before the guard is there
    /// stays so. If the component's session ends before the handle is dropped, nobody may subscribe
    /// to these topics until they are guarded again.
    ///
    /// `guard` is called on an I/O thread, or on the one that starts the node, one at a time and in
    /// order with the component's other messages. It must not block.
    ///
    /// ```
    /// # use component::{Deferred, Error, GuardHandle, Pattern, SessionHandle, SubscribeRequest};
    /// fn guard(session: &SessionHandle) -> Deferred<GuardHandle> {
    ///     session.guard_topics(Pattern::prefix("com.example.private."), |subscribe| {
    ///         let who = subscribe.identity().authid.as_deref().unwrap_or_default();
    ///         let is_own = subscribe.topic().as_str().ends_with(who);
    ///         Deferred::ready(if is_own {
    ///             Ok(())
    ///         } else {
    ///             Err(Error::new("com.example.not_yours", "this topic is somebody else's"))
    ///         })
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// Later: `wamp.error.option_not_allowed` at a router that is dialled, which asks nobody.
    pub fn guard_topics(
        &self,
        topics: Pattern,
        guard: impl Fn(SubscribeRequest) -> Deferred<()> + Send + Sync + 'static,
    ) -> Deferred<GuardHandle> {
        guard::guard(&self.shared, topics, Box::new(guard))
    }

    /// Sets how many invocations of a procedure that is registered later may be under way at once.
    pub(super) fn limit(&self, uri: &str, concurrency: NonZeroU64) {
        self.shared.registry.limit(uri, concurrency);
    }

    /// Takes the session that has just begun.
    pub(super) fn joined(&self, client: &Arc<SessionClient>) {
        *self.write() = Arc::downgrade(client);
    }

    /// Sets up the guards of topics at the router of the session that has just begun.
    pub(super) fn guard_all(&self, client: &SessionClient) {
        self.shared.guards.renew(&self.shared, client);
    }

    /// What a guard of the component says to a question.
    pub(super) fn ask(&self, client: &Arc<SessionClient>, question: Question) {
        (client.handler().questions).ask(&self.shared, client, question);
    }

    /// Asks the session that has just begun for what came later on earlier ones.
    pub(super) fn renew(&self, client: &Arc<SessionClient>) {
        for later in self.shared.registry.all() {
            later.ask(client);
        }
    }

    /// The component has left for good.
    pub(super) fn close(&self) {
        self.shared.registry.close();
    }

    /// This session has ended.
    pub(super) fn ended(&self, client: &Arc<SessionClient>) {
        let mut current = self.write();
        if std::ptr::eq(current.as_ptr(), Arc::as_ptr(client)) {
            *current = Weak::new();
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Weak<SessionClient>> {
        let current = self.shared.current.write();
        current.unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> Result<Arc<SessionClient>, Error> {
        self.shared.client().ok_or_else(|| {
            let why = "the component has no session with its router now: it has not joined yet, \
                       or the connection is lost, or the node is stopping";
            Error::new(error_uri::UNAVAILABLE, why)
        })
    }
}

type OnResult = Box<dyn FnOnce(Result<Payload, wamp_client::Error>) + Send>;

/// Ends a call whose result nobody waits for any more, or whose caller wants it to end.
struct CancelCall {
    client: Weak<SessionClient>,
    request: RequestId,
}

impl Interrupt<Error> for CancelCall {
    fn interrupt(&self, call: Arc<dyn Control<Error>>) {
        // Without a result yet, it is to have the one that the callee gives at its end.
        let mode = if call.take() {
            CancelMode::Kill
        } else {
            CancelMode::KillNoWait
        };
        if let Some(client) = self.client.upgrade() {
            client.cancel(self.request, mode);
        }
    }
}

/// What a procedure has answered, or a part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallResult(Payload);

impl CallResult {
    /// The one positional argument, which most procedures answer with.
    ///
    /// # Errors
    /// `wamp.error.runtime_error` that says what is wrong with it.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.args::<(T,)>().map(|(value,)| value)
    }

    /// The positional arguments as `T`; see [`Invocation::args`](super::Invocation::args).
    ///
    /// # Errors
    /// `wamp.error.runtime_error` that says which argument is wrong and what it should be.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, Error> {
        arguments::args(&self.0).map_err(unexpected)
    }

    /// The keyword arguments as `T`, a struct or a map.
    ///
    /// # Errors
    /// `wamp.error.runtime_error` that says which argument is wrong and what it should be.
    pub fn kwargs<T: DeserializeOwned>(&self) -> Result<T, Error> {
        arguments::kwargs(&self.0).map_err(unexpected)
    }

    /// The payload as it came.
    pub fn payload(&self) -> &Payload {
        &self.0
    }
}

/// Whoever passes this on has not been given a wrong argument.
fn unexpected(error: Error) -> Error {
    let message = error.message();
    Error::runtime(format_args!(
        "the result of a call is another than expected: {message}"
    ))
}

/// Positional arguments as a payload. A derived `()` is null.
fn payload(args: &impl Serialize) -> Result<Payload, PayloadError> {
    match Payload::from_args(args) {
        Err(PayloadError::ArgumentsNotAList)
            if serde_json::to_value(args).is_ok_and(|args| args.is_null()) =>
        {
            Ok(Payload::empty())
        }
        payload => payload,
    }
}
