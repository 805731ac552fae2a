//! Guards of topics: what a component is asked before somebody may subscribe, and what becomes of its
//! answers. Must not know what subscribing leads to, nor how questions get here.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Deferred, Error, ErrorDetails, Promise, deferred, handler::ComponentHandler,
    session_handle::Shared,
};
use deferred::CancelHandle;
use wamp::{
    Denial, GuardId, Identity, MatchPolicy, Outbound, OwnIds, Pattern, Question, Ticket, Uri, Work,
    error_uri,
};
use wamp_client::Client;

type SessionClient = Client<ComponentHandler>;

/// Somebody wants to subscribe to what a component guards; see
/// [`SessionHandle::guard_topics`](super::SessionHandle::guard_topics).
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    identity: Arc<Identity>,
    topic: Uri,
    match_policy: MatchPolicy,
}

impl SubscribeRequest {
    /// Who wants to subscribe, complete, for the component to decide by.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The same, for what outlives this.
    pub fn shared_identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The topic, or the pattern of topics.
    pub fn topic(&self) -> &Uri {
        &self.topic
    }

    /// Whether it is a pattern. The router of this node serves no other than exact topics.
    pub fn match_policy(&self) -> MatchPolicy {
        self.match_policy
    }
}

/// Topics that are guarded as long as this lives.
#[derive(Debug)]
#[must_use = "dropped, the guard ends"]
pub struct GuardHandle {
    id: GuardId,
    shared: Weak<Shared>,
}

impl GuardHandle {
    /// Ends the guard. What it has been asked before is answered all the same.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for GuardHandle {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.guards.entries().remove(&self.id);
            if let Some(client) = shared.client() {
                client.end_guard(self.id);
            }
        }
    }
}

type Ask = Box<dyn Fn(SubscribeRequest) -> Deferred<()> + Send + Sync>;

struct Guard {
    id: GuardId,
    topics: Pattern,
    ask: Ask,
    /// Whoever waits for it to be there for the first time.
    promise: Mutex<Option<Promise<GuardHandle>>>,
}

/// The guards of a component, for each session it has.
#[derive(Default)]
pub(super) struct Guards {
    numbers: AtomicU64,
    entries: Mutex<HashMap<GuardId, Arc<Guard>, OwnIds>>,
}

/// Guards topics, now if there is a session, and on each one that comes.
pub(super) fn guard(shared: &Arc<Shared>, topics: Pattern, ask: Ask) -> Deferred<GuardHandle> {
    let (promise, deferred) = deferred();
    let id = GuardId(shared.guards.numbers.fetch_add(1, Ordering::Relaxed));
    let guard = Arc::new(Guard {
        id,
        topics,
        ask,
        promise: Mutex::new(Some(promise)),
    });
    shared.guards.entries().insert(id, guard.clone());
    // A session that begins meanwhile sets it up as well, which does no harm.
    if let Some(client) = shared.client() {
        guard.set_up(shared, &client);
    }
    deferred
}

impl Guards {
    /// Sets up all guards at the router of a session that has just begun.
    pub(super) fn renew(&self, shared: &Arc<Shared>, client: &SessionClient) {
        let all: Vec<_> = self.entries().values().cloned().collect();
        for guard in all {
            guard.set_up(shared, client);
        }
    }

    fn find(&self, id: GuardId) -> Option<Arc<Guard>> {
        self.entries().get(&id).cloned()
    }

    // Nothing panics under the lock but for want of memory, which aborts.
    fn entries(&self) -> MutexGuard<'_, HashMap<GuardId, Arc<Guard>, OwnIds>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard {
    fn set_up(&self, shared: &Arc<Shared>, client: &SessionClient) {
        let is_set_up = client.guard(self.id, self.topics.clone());
        let promise = (self.promise.lock().unwrap_or_else(PoisonError::into_inner)).take();
        let Some(promise) = promise else {
            return;
        };
        promise.resolve(if is_set_up {
            Ok(GuardHandle {
                id: self.id,
                shared: Arc::downgrade(shared),
            })
        } else {
            shared.guards.entries().remove(&self.id);
            let why = format_args!(
                "topics ({}) can be guarded at a router of this process alone, and the component's \
                 is another: let it run in a router of this node",
                self.topics.uri
            );
            Err(Error::new(error_uri::OPTION_NOT_ALLOWED, why))
        });
    }
}

/// The questions of a session that are not answered yet, to be stopped when nobody waits any more.
#[derive(Default)]
pub(super) struct Questions(Mutex<HashMap<Ticket, CancelHandle, OwnIds>>);

impl Questions {
    /// Asks a guard of the component, and gives the router its answer.
    pub(super) fn ask(&self, shared: &Shared, client: &Arc<SessionClient>, question: Question) {
        let ticket = question.ticket;
        let Some(guard) = shared.guards.find(question.guard) else {
            // It has ended meanwhile, and nobody guards.
            return client.answer_question(ticket, Ok(()));
        };
        let request = SubscribeRequest {
            identity: question.identity,
            topic: question.topic,
            match_policy: question.match_policy,
        };
        let topic = request.topic.clone();
        // The panic of a guard must not take the connections of its thread with it.
        let asked = catch_unwind(AssertUnwindSafe(|| (guard.ask)(request)));
        let asked = asked.unwrap_or_else(|_| {
            tracing::error!(target: crate::LOG, %topic, "the guard of a topic has panicked");
            Deferred::ready(Err(Error::panicked()))
        });
        // Noted before the answer can come, which takes the note away again.
        self.open().insert(ticket, asked.cancel_handle());
        let (client, outbound) = (client.clone(), client.outbound());
        asked.on_result(move |result| answer(&client, outbound, ticket, result));
    }

    /// Nobody waits for the answer any more.
    pub(super) fn withdraw(&self, question: Ticket) {
        let asked = self.open().remove(&question);
        if let Some(asked) = asked {
            asked.cancel();
        }
    }

    /// The session has ended.
    pub(super) fn withdraw_all(&self) {
        let all = std::mem::take(&mut *self.open());
        for asked in all.into_values() {
            asked.cancel();
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Ticket, CancelHandle, OwnIds>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the router an answer, from an I/O thread if there is one: what it knows stays near that
/// thread's processor.
fn answer(
    client: &Arc<SessionClient>,
    outbound: Option<Arc<dyn Outbound>>,
    question: Ticket,
    result: Result<(), Error>,
) {
    let handler = client.handler();
    handler.questions.open().remove(&question);
    let verdict = result.map_err(|error| denial(error, handler.instance.error_details));
    let here = client.clone();
    let work: Work = Box::new(move || here.answer_question(question, verdict));
    match outbound.filter(|_| client.outbound().is_none()) {
        None => work(),
        Some(outbound) => {
            if let Err(work) = outbound.run(work) {
                work();
            }
        }
    }
}

fn denial(error: Error, shown: ErrorDetails) -> Box<Denial> {
    let wamp_client::Error { uri, payload } = error.for_callers(shown);
    let denial = Denial {
        error: uri,
        payload,
    };
    denial.into()
}
