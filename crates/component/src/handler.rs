//! What a component does in its session, and how far that has come: registers and subscribes when it
//! has joined, answers invocations, takes events. Must not know how requests find their answers.

mod answering;

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Error, Event, Invocation, Reply,
    class::{BoundProcedure, Instance},
    guard::Questions,
    invocation::Unanswered,
    known::{Known, KnownIds},
    registry::What,
};
use deferred::CancelHandle;
use wamp::{
    Identity, Interrupt, Message, OwnIds, Question, RegisterOptions, RequestId, Revoked, SHOWN,
    Ticket, Uri, Welcome, error_uri, excerpt,
};
use wamp_client::{Client, End, Handler};

/// How far a session has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not all procedures are registered yet, or not all topics subscribed to.
    Joining,
    /// All procedures, so many, are registered, and all topics subscribed to.
    Joined(usize),
    /// The session has failed or ended, and why.
    Ended(String),
}

/// The owner of a component's session.
pub(super) struct ComponentHandler {
    name: String,
    pub(super) instance: Arc<Instance>,
    progress: Mutex<Progress>,
    pub(super) known: KnownIds,
    /// What guards of topics were asked and have not answered.
    pub(super) questions: Questions,
    /// The invocations that are not answered yet, to be stopped by INTERRUPT.
    under_way: Mutex<HashMap<RequestId, UnderWay, OwnIds>>,
}

struct Progress {
    status: Status,
    /// How many REGISTERs and SUBSCRIBEs that it cannot do without have no answer yet.
    unanswered: usize,
    /// How many procedures it cannot do without.
    procedures: usize,
}

/// An invocation that is not answered yet.
#[derive(Clone)]
struct UnderWay {
    procedure: Uri,
    job: CancelHandle,
    /// Whether it takes one of the places that its procedure's `concurrency` gives.
    has_slot: bool,
}

type SessionClient = Client<ComponentHandler>;

impl ComponentHandler {
    pub(super) fn new(name: String, instance: Arc<Instance>) -> Self {
        let procedures = instance.procedures.len();
        Self {
            name,
            progress: Mutex::new(Progress {
                status: Status::Joining,
                // And the session itself, until all is asked for.
                unanswered: procedures + instance.subscriptions.len() + 1,
                procedures,
            }),
            instance,
            known: KnownIds::default(),
            questions: Questions::default(),
            under_way: Mutex::default(),
        }
    }

    pub(super) fn status(&self) -> Status {
        self.progress().status.clone()
    }

    fn register_all(&self, client: &SessionClient) {
        for (index, procedure) in self.instance.procedures.iter().enumerate() {
            let options = RegisterOptions {
                concurrency: procedure.concurrency,
                ..RegisterOptions::default()
            };
            let weak = Arc::downgrade(&client.shared());
            client.register(procedure.uri.clone(), options, move |result| {
                if let Some(client) = weak.upgrade() {
                    let handler = client.handler();
                    let registered = result.map(|id| {
                        handler.known.note_registered(id, Known::AtStart(index));
                    });
                    let procedure = &handler.instance.procedures[index].uri;
                    handler.on_answered(&client, "register", procedure, registered);
                }
            });
        }
    }

    fn subscribe_all(&self, client: &SessionClient) {
        for (index, subscription) in self.instance.subscriptions.iter().enumerate() {
            let options = subscription.options.clone();
            let weak = Arc::downgrade(&client.shared());
            client.subscribe(subscription.topic.clone(), options, move |result| {
                if let Some(client) = weak.upgrade() {
                    let handler = client.handler();
                    let subscribed = result.map(|id| {
                        handler.known.note_subscribed(id, Known::AtStart(index));
                    });
                    let topic = &handler.instance.subscriptions[index].topic;
                    handler.on_answered(&client, "subscribe to", topic, subscribed);
                }
            });
        }
    }

    /// A REGISTER or a SUBSCRIBE is answered. A component without all its procedures and topics is
    /// none: better to leave and come again.
    fn on_answered(
        &self,
        client: &SessionClient,
        what: &str,
        uri: &Uri,
        result: Result<(), wamp_client::Error>,
    ) {
        match result {
            Ok(()) => self.has_one_more(),
            Err(error) => self.fail(client, what, uri, &error),
        }
    }

    /// A procedure that the component cannot do without is asked for.
    pub(super) fn needs_one_more(&self) {
        let mut progress = self.progress();
        progress.unanswered += 1;
        progress.procedures += 1;
    }

    /// Something that it cannot do without is there.
    pub(super) fn has_one_more(&self) {
        self.progress().unanswered -= 1;
        self.check_ready();
    }

    /// Something that the component cannot do without is refused.
    pub(super) fn fail(
        &self,
        client: &SessionClient,
        what: &str,
        uri: &Uri,
        error: &wamp_client::Error,
    ) {
        let why = format!("cannot {what} {uri}: {error}");
        if self.note_end(&excerpt(why, SHOWN)) {
            client.leave(error_uri::CLOSE_REALM);
        }
    }

    /// Tells the component when all that it needs is there.
    fn check_ready(&self) {
        let procedures = {
            let mut progress = self.progress();
            if progress.unanswered > 0 || progress.status != Status::Joining {
                return;
            }
            progress.status = Status::Joined(progress.procedures);
            progress.procedures
        };
        match self.instance.subscriptions.len() {
            0 => {
                tracing::info!(target: crate::LOG, component = self.name, "registered {procedures} procedures");
            }
            topics => {
                tracing::info!(target: crate::LOG, component = self.name, "registered {procedures} procedures, subscribed to {topics} topics");
            }
        }
        self.instance.ready();
    }

    /// Notes the end of the session and why; `false` if it was noted before.
    pub(super) fn note_end(&self, reason: &str) -> bool {
        let mut progress = self.progress();
        if matches!(progress.status, Status::Ended(_)) {
            return false;
        }
        progress.status = Status::Ended(reason.to_owned());
        drop(progress);
        tracing::info!(
            target: crate::LOG,
            component = self.name,
            reason,
            "the component's session has ended"
        );
        true
    }

    /// Gives an event to the method of a subscription, whose failure is nobody else's.
    fn take_event(&self, known: &Known, event: wamp::Event) {
        let subscription = match known {
            Known::AtStart(index) => &self.instance.subscriptions[*index],
            Known::Later(later) => match &later.what {
                What::Subscription(subscription) => subscription,
                What::Procedure(_) => return,
            },
        };
        let topic = &subscription.topic;
        let event = Event {
            topic: topic.clone(),
            publication: event.publication,
            details: event.details,
            payload: event.payload,
        };
        match catch_unwind(AssertUnwindSafe(|| (subscription.method)(event))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(target: crate::LOG, component = self.name, %topic, %error, "a component could not use an event");
            }
            Err(_) => {
                tracing::error!(target: crate::LOG, component = self.name, %topic, "what takes the events of a topic has panicked");
            }
        }
    }

    /// The procedure that a registration is of, and whether its invocations are counted.
    fn procedure<'a>(&'a self, known: &'a Known) -> Option<(&'a BoundProcedure, bool)> {
        match known {
            Known::AtStart(index) => {
                let procedure = &self.instance.procedures[*index];
                Some((procedure, procedure.concurrency.is_some()))
            }
            Known::Later(later) => match &later.what {
                What::Procedure(procedure) => Some((procedure, later.concurrency().is_some())),
                What::Subscription(_) => None,
            },
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<RequestId, UnderWay, OwnIds>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count_under_way(&self) -> usize {
        self.under_way().len()
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for ComponentHandler {
    fn on_join(&self, client: &SessionClient, _: Welcome) {
        self.instance.session.joined(&client.shared());
        self.instance.session.guard_all(client);
        self.register_all(client);
        self.subscribe_all(client);
        self.instance.session.renew(&client.shared());
        self.has_one_more();
    }

    fn on_invocation(
        &self,
        client: &SessionClient,
        invocation: wamp::Invocation,
        caller: Option<Arc<Identity>>,
    ) {
        let request = invocation.request;
        let known = self.known.registration(invocation.registration);
        let procedure = known.as_ref().and_then(|known| self.procedure(known));
        let Some((procedure, has_slot)) = procedure else {
            let why = "the component does not know this registration";
            let error = Error::new(error_uri::NO_SUCH_REGISTRATION, why);
            return client.answer(request, Err(error.into()));
        };
        let call = Invocation {
            procedure: procedure.uri.clone(),
            details: invocation.details,
            payload: invocation.payload,
            caller,
        };
        // The panic of one procedure must not take the connections of its thread with it.
        let answer = catch_unwind(AssertUnwindSafe(|| (procedure.method)(call))).unwrap_or_else(|_| {
            let uri = &procedure.uri;
            tracing::error!(target: crate::LOG, component = self.name, procedure = %uri, "a procedure has panicked");
            Err(Error::panicked())
        });
        match answer {
            Ok(Reply::Now(payload)) => client.answer(request, Ok(payload)),
            Ok(Reply::Later(later)) => {
                // Noted before the answer can come, which takes the note away again.
                let under_way = UnderWay {
                    procedure: procedure.uri.clone(),
                    job: later.cancel_handle(),
                    has_slot,
                };
                self.under_way().insert(request, under_way);
                let outbound = client.outbound();
                later.send_by(client.shared(), Unanswered { request, outbound });
            }
            Err(error) => {
                self.log(Some(&procedure.uri), &error);
                let error = error.for_callers(self.instance.error_details);
                client.answer(request, Err(error));
            }
        }
    }

    /// Stops an invocation. Its answer, an ERROR, comes the same way as any other; one that is
    /// answered already is left alone.
    fn on_interrupt(&self, _: &SessionClient, interrupt: Interrupt) {
        let under_way = self.under_way().get(&interrupt.request).cloned();
        match under_way {
            // The answer lets the next invocation begin, so it may not come while a worker runs
            // this one: workers would else be held by more jobs than there are slots.
            Some(UnderWay { job, has_slot, .. }) if has_slot => job.cancel_on_end(),
            Some(UnderWay { job, .. }) => job.cancel(),
            None => {}
        }
    }

    fn on_question(&self, client: &SessionClient, question: Question) {
        self.instance.session.ask(&client.shared(), question);
    }

    fn on_withdrawn(&self, _: &SessionClient, question: Ticket) {
        self.questions.withdraw(question);
    }

    fn on_answer_posted(&self, request: RequestId) {
        self.under_way().remove(&request);
    }

    fn on_event(&self, _: &SessionClient, event: wamp::Event) {
        let known = self.known.subscribers(event.subscription);
        let Some((last, others)) = known.as_deref().and_then(<[Known]>::split_last) else {
            return;
        };
        for known in others {
            self.take_event(known, event.clone());
        }
        self.take_event(last, event);
    }

    /// Somebody else has the procedure now. The others stay with this component: what it would
    /// leave for and come again is no longer to be had.
    fn on_revoked(&self, _: &SessionClient, revoked: Revoked) {
        let known = self.known.forget_registration(revoked.registration);
        let Some((procedure, _)) = known.as_ref().and_then(|known| self.procedure(known)) else {
            return;
        };
        if matches!(&known, Some(Known::Later(later)) if later.revoked()) {
            return;
        }
        tracing::error!(
            target: crate::LOG,
            component = self.name,
            procedure = %procedure.uri,
            reason = revoked.reason.as_ref().map(Uri::as_str),
            "the router has ended the registration of a procedure: another session may have taken \
             it over with force_reregister"
        );
    }

    fn on_ignored(&self, message: Message) {
        tracing::warn!(
            target: crate::LOG,
            component = self.name,
            message = message.message_type().name(),
            "ignoring a message that no component asked for"
        );
    }

    fn on_end(&self, client: &SessionClient, end: &End) {
        self.instance.session.ended(&client.shared());
        self.note_end(&end.to_string());
        self.questions.withdraw_all();
        // Nobody waits for the answers any more.
        let under_way = std::mem::take(&mut *self.under_way());
        for invocation in under_way.into_values() {
            invocation.job.cancel();
        }
    }
}
