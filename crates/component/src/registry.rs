//! What a component registers and subscribes to later than at its start: kept until it is ended, and
//! asked for on each new session. Must not know what becomes of invocations and events.

mod entries;

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use super::{
    Deferred, Error, Promise, class::BoundProcedure, deferred, handler::ComponentHandler,
    known::Known, session_handle::Shared, subscription::BoundSubscription,
};
pub(super) use entries::Registry;
use wamp::{RegisterOptions, RegistrationId, SubscriptionId, Uri};
use wamp_client::Client;

type SessionClient = Client<ComponentHandler>;

/// A procedure that was registered later than at the start. Dropped, it is unregistered.
#[derive(Debug)]
#[must_use = "dropped, the procedure is unregistered"]
pub struct RegistrationHandle(Kept);

impl RegistrationHandle {
    /// Unregisters the procedure. Calls that are under way are answered all the same. The deferred
    /// fires when the router has done it, or at once while there is no session.
    ///
    /// # Errors
    /// Later: what the router says, as when another session has taken the procedure over.
    pub fn unregister(self) -> Deferred<()> {
        self.0.end()
    }
}

/// A subscription that began later than at the start. Dropped, it ends.
#[derive(Debug)]
#[must_use = "dropped, the subscription ends"]
pub struct SubscriptionHandle(Kept);

impl SubscriptionHandle {
    /// Ends the subscription: no event that comes after this calls its method. The deferred fires when
    /// the router has done it, or at once while there is no session.
    ///
    /// # Errors
    /// Later: what the router says.
    pub fn unsubscribe(self) -> Deferred<()> {
        self.0.end()
    }
}

/// What is to be there until this is dropped.
#[derive(Debug)]
struct Kept {
    later: Weak<Later>,
    shared: Weak<Shared>,
}

/// A procedure or a subscription, and how far it is.
pub(super) struct Later {
    pub(super) what: What,
    /// The concurrency that the configuration says.
    limit: OnceLock<NonZeroU64>,
    shared: Weak<Shared>,
    /// Whether the component cannot do without it from its start, as with those of its class.
    is_own: bool,
    state: Mutex<State>,
}

pub(super) enum What {
    Procedure(BoundProcedure),
    Subscription(BoundSubscription),
}

#[derive(Default)]
struct State {
    /// The session that was asked for it last.
    session: Weak<SessionClient>,
    /// What that calls it.
    id: Option<Id>,
    /// Whoever waits for it to be there for the first time.
    promise: Option<Promise<Kept>>,
    /// The session on which it takes the place of another one, which is the component's too.
    replaces_on: Weak<SessionClient>,
    /// The session counts it among what it needs.
    is_counted: bool,
    /// What takes its place, or has.
    successor: Weak<Later>,
    is_over: bool,
}

#[derive(Clone, Copy)]
enum Id {
    Registration(RegistrationId),
    Subscription(SubscriptionId),
}

/// Registers a procedure, now if there is a session, and on each one that comes.
pub(super) fn register(
    shared: &Arc<Shared>,
    procedure: BoundProcedure,
) -> Deferred<RegistrationHandle> {
    let later = Later::new(shared, What::Procedure(procedure), State::default());
    keep(shared, &Arc::new(later)).map(RegistrationHandle)
}

/// Registers one that the component cannot do without, before it has a session.
pub(super) fn register_own(
    shared: &Arc<Shared>,
    procedure: BoundProcedure,
) -> Result<RegistrationHandle, Error> {
    let mut later = Later::new(shared, What::Procedure(procedure), State::default());
    later.is_own = true;
    let later = Arc::new(later);
    shared.registry.insert(&later)?;
    Ok(RegistrationHandle(later.kept()))
}

/// Registers a procedure in the place of another one of the same URI.
pub(super) fn replace(
    shared: &Arc<Shared>,
    former: &RegistrationHandle,
    procedure: BoundProcedure,
) -> Deferred<RegistrationHandle> {
    let former = former.0.later.upgrade();
    let of_former = former.as_ref().map(|former| former.state().session.clone());
    let state = State {
        replaces_on: of_former.unwrap_or_default(),
        ..State::default()
    };
    let later = Arc::new(Later::new(shared, What::Procedure(procedure), state));
    if let Some(former) = former {
        former.state().successor = Arc::downgrade(&later);
    }
    keep(shared, &later).map(RegistrationHandle)
}

/// The same as [`register`] for a subscription.
pub(super) fn subscribe(
    shared: &Arc<Shared>,
    subscription: BoundSubscription,
) -> Deferred<SubscriptionHandle> {
    let later = Later::new(shared, What::Subscription(subscription), State::default());
    keep(shared, &Arc::new(later)).map(SubscriptionHandle)
}

fn keep(shared: &Arc<Shared>, later: &Arc<Later>) -> Deferred<Kept> {
    let (promise, deferred) = deferred();
    later.state().promise = Some(promise);
    if let Err(error) = shared.registry.insert(later) {
        return Deferred::ready(Err(error));
    }
    // A session that begins meanwhile asks for it as well; the later of the two finds it asked for.
    if let Some(client) = shared.client() {
        later.ask(&client);
    }
    deferred
}

impl Later {
    fn new(shared: &Arc<Shared>, what: What, state: State) -> Self {
        Self {
            what,
            limit: OnceLock::new(),
            shared: Arc::downgrade(shared),
            is_own: false,
            state: Mutex::new(state),
        }
    }

    fn kept(self: &Arc<Self>) -> Kept {
        Kept {
            later: Arc::downgrade(self),
            shared: self.shared.clone(),
        }
    }

    /// How many invocations of the procedure may be under way at once.
    pub(super) fn concurrency(&self) -> Option<NonZeroU64> {
        match &self.what {
            What::Procedure(procedure) => self.limit.get().copied().or(procedure.concurrency),
            What::Subscription(_) => None,
        }
    }

    pub(super) fn uri(&self) -> &Uri {
        match &self.what {
            What::Procedure(procedure) => &procedure.uri,
            What::Subscription(subscription) => &subscription.topic,
        }
    }

    /// Asks the router of this session for it, unless that is done.
    pub(super) fn ask(self: &Arc<Self>, client: &Arc<SessionClient>) {
        let is_it =
            |session: &Weak<SessionClient>| std::ptr::eq(session.as_ptr(), Arc::as_ptr(client));
        let force_reregister = {
            let mut state = self.state();
            if state.is_over || is_it(&state.session) {
                return;
            }
            state.session = Arc::downgrade(client);
            state.id = None;
            state.is_counted = self.is_own;
            is_it(&state.replaces_on)
        };
        if self.is_own {
            client.handler().needs_one_more();
        }
        let (later, weak) = (self.clone(), Arc::downgrade(client));
        let answered = move |result| {
            if let Some(client) = weak.upgrade() {
                later.answered(&client, result);
            }
        };
        match &self.what {
            What::Procedure(procedure) => {
                let options = RegisterOptions {
                    concurrency: self.concurrency(),
                    force_reregister,
                    ..RegisterOptions::default()
                };
                client.register(procedure.uri.clone(), options, move |result| {
                    answered(result.map(Id::Registration));
                });
            }
            What::Subscription(BoundSubscription { topic, options, .. }) => {
                client.subscribe(topic.clone(), options.clone(), move |result| {
                    answered(result.map(Id::Subscription));
                });
            }
        }
    }

    fn answered(
        self: &Arc<Self>,
        client: &Arc<SessionClient>,
        result: Result<Id, wamp_client::Error>,
    ) {
        let id = match result {
            Ok(id) => id,
            Err(error) => return self.refused(client, error),
        };
        let promise = {
            let mut state = self.state();
            if state.is_over {
                drop(state);
                drop(self.end_at(client, id));
                return;
            }
            let known = &client.handler().known;
            match id {
                Id::Registration(id) => known.note_registered(id, Known::Later(self.clone())),
                Id::Subscription(id) => known.note_subscribed(id, Known::Later(self.clone())),
            }
            state.id = Some(id);
            state.promise.take()
        };
        if let Some(promise) = promise {
            promise.resolve(Ok(self.kept()));
        }
        if std::mem::take(&mut self.state().is_counted) {
            client.handler().has_one_more();
        }
    }

    /// The router does not want it. One that was there before is missing then, and a component
    /// without it is none: it leaves and comes again, as with those of its class.
    fn refused(self: &Arc<Self>, client: &Arc<SessionClient>, error: wamp_client::Error) {
        let shared = self.shared.upgrade();
        let Some(shared) = shared.filter(|shared| shared.is_current(client)) else {
            // The session has ended; the next one asks again.
            return;
        };
        let promise = self.state().promise.take();
        let Some(promise) = promise else {
            let what = match &self.what {
                What::Procedure(_) => "register",
                What::Subscription(_) => "subscribe to",
            };
            return client.handler().fail(client, what, self.uri(), &error);
        };
        self.state().is_over = true;
        shared.registry.remove(self);
        promise.resolve(Err(error.into()));
    }

    /// The router has ended the registration; whether another one of the component's takes its
    /// place.
    pub(super) fn revoked(&self) -> bool {
        let mut state = self.state();
        state.id = None;
        state.successor.strong_count() > 0
    }

    /// Ends it at the router of a session.
    fn end_at(self: &Arc<Self>, client: &Arc<SessionClient>, id: Id) -> Deferred<()> {
        let (promise, deferred) = deferred();
        let (later, weak) = (self.clone(), Arc::downgrade(client));
        // With its session it has ended too.
        let ended = move |result: Result<(), wamp_client::Error>| {
            let shared = later.shared.upgrade();
            let client = weak.upgrade().filter(|client| {
                shared
                    .as_ref()
                    .is_some_and(|shared| shared.is_current(client))
            });
            promise.resolve(match client {
                Some(_) => result.map_err(Error::from),
                None => Ok(()),
            });
        };
        let handler_of = Arc::downgrade(client);
        match id {
            Id::Registration(id) => client.unregister(id, move |result| {
                // Not before: invocations may still come.
                if let Some(client) = handler_of.upgrade() {
                    client.handler().known.forget_registration(id);
                }
                ended(result);
            }),
            Id::Subscription(id) if client.handler().known.forget_subscriber(id, self) => {
                client.unsubscribe(id, move |result| {
                    if let Some(client) = handler_of.upgrade() {
                        ask_again(&client, id);
                    }
                    ended(result);
                });
            }
            // Others have the same topic.
            Id::Subscription(_) => ended(Ok(())),
        }
        deferred
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The router has ended a subscription. Whoever subscribed to the same topic just before has lost it
/// with that.
fn ask_again(client: &Arc<SessionClient>, id: SubscriptionId) {
    let lost = client.handler().known.forget_subscribers(id);
    for known in lost.as_deref().unwrap_or_default() {
        if let Known::Later(later) = known {
            later.state().session = Weak::new();
            later.ask(client);
        }
    }
}

impl Kept {
    fn end(&self) -> Deferred<()> {
        let (Some(later), Some(shared)) = (self.later.upgrade(), self.shared.upgrade()) else {
            return Deferred::ready(Ok(()));
        };
        shared.registry.remove(&later);
        let (session, id) = {
            let mut state = later.state();
            state.is_over = true;
            (state.session.upgrade(), state.id.take())
        };
        match (session, id) {
            (Some(client), Some(id)) if shared.is_current(&client) => later.end_at(&client, id),
            _ => Deferred::ready(Ok(())),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.end());
    }
}
