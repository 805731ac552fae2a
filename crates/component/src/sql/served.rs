//! Owns which procedures are served: for each URI what answers its calls now, and its registration at
//! the router. Must not know where procedures come from, nor when they become others.

use std::{
    collections::BTreeMap,
    mem,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::{
    super::{self as component, Answer, Error, Invocation, RegistrationHandle, SessionHandle},
    target::{Origin, Target},
};

/// All procedures that are served. None that stays is without its registration for a moment.
pub(super) struct Served {
    session: SessionHandle,
    by_uri: Mutex<BTreeMap<String, Entry>>,
}

/// A URI.
struct Entry {
    current: Arc<Current>,
    /// How many invocations it is to have at once.
    concurrency: Option<NonZeroU64>,
    registration: Registration,
    /// Removed while the router had not answered yet.
    is_removed: bool,
}

enum Registration {
    /// The router has not answered.
    Asked,
    /// With this concurrency.
    Done(RegistrationHandle, Option<NonZeroU64>),
}

/// What answers the calls of a URI now. Those under way keep what they began with.
struct Current(RwLock<Target>);

impl Current {
    fn call(&self, call: &Invocation) -> Answer {
        let target = self.get();
        target.call(call)
    }

    fn get(&self) -> Target {
        let current = self.0.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, target: Target) {
        let current = self.0.write();
        *current.unwrap_or_else(PoisonError::into_inner) = target;
    }
}

impl Served {
    pub(super) fn new(session: SessionHandle) -> Arc<Self> {
        Arc::new(Self {
            session,
            by_uri: Mutex::default(),
        })
    }

    /// Serves this from the component's start on.
    pub(super) fn serve_own(&self, target: Target) -> Result<(), Error> {
        let uri = target.uri().to_string();
        let mut entry = Entry::new(target);
        let concurrency = entry.concurrency;
        let own = self.session.register_own(entry.procedure(&uri))?;
        entry.registration = Registration::Done(own, concurrency);
        self.by_uri().insert(uri, entry);
        Ok(())
    }

    /// Serves this, in the place of what has its URI if there is anything. `then` is called when the
    /// router has answered, or need not be asked.
    pub(super) fn serve(self: &Arc<Self>, target: Target, then: impl FnOnce() + Send + 'static) {
        let uri = target.uri().to_string();
        let new = {
            let mut by_uri = self.by_uri();
            if let Some(entry) = by_uri.get_mut(&uri) {
                entry.concurrency = target.concurrency();
                entry.current.set(target);
                entry.is_removed = false;
                None
            } else {
                let entry = Entry::new(target);
                let new = (entry.procedure(&uri), entry.concurrency);
                by_uri.insert(uri.clone(), entry);
                Some(new)
            }
        };
        let Some((new, concurrency)) = new else {
            self.settle(&uri);
            return then();
        };
        let this = self.clone();
        self.session.register(new).on_result(move |result| {
            match result {
                Ok(registration) => this.registered(&uri, registration, concurrency),
                Err(error) => {
                    this.by_uri().remove(&uri);
                    tracing::error!(target: crate::LOG, procedure = uri, %error, "the router does not register a procedure");
                }
            }
            then();
        });
    }

    /// Serves a URI no more.
    pub(super) fn remove(&self, uri: &str) {
        let mut by_uri = self.by_uri();
        let Some(entry) = by_uri.get_mut(uri) else {
            return;
        };
        match entry.registration {
            Registration::Asked => entry.is_removed = true,
            Registration::Done(..) => {
                let entry = by_uri.remove(uri);
                // Its end asks the router.
                drop(by_uri);
                drop(entry);
            }
        }
    }

    /// What answers the calls of a URI.
    pub(super) fn get(&self, uri: &str) -> Option<Target> {
        let by_uri = self.by_uri();
        let entry = by_uri.get(uri).filter(|entry| !entry.is_removed)?;
        Some(entry.current.get())
    }

    /// All that is served, in the order of the URIs.
    pub(super) fn all(&self) -> Vec<Target> {
        let by_uri = self.by_uri();
        let there = by_uri.values().filter(|entry| !entry.is_removed);
        there.map(|entry| entry.current.get()).collect()
    }

    /// All URIs whose calls are answered by what is of this origin, in their order.
    pub(super) fn uris(&self, origin: Origin) -> Vec<String> {
        let by_uri = self.by_uri();
        let there = by_uri
            .iter()
            .filter(|(_, entry)| !entry.is_removed && entry.current.get().origin() == origin);
        there.map(|(uri, _)| uri.clone()).collect()
    }

    fn registered(
        self: &Arc<Self>,
        uri: &str,
        registration: RegistrationHandle,
        concurrency: Option<NonZeroU64>,
    ) {
        let unwanted = {
            let mut by_uri = self.by_uri();
            match by_uri.get_mut(uri) {
                Some(entry) if !entry.is_removed => {
                    entry.registration = Registration::Done(registration, concurrency);
                    None
                }
                _ => Some((by_uri.remove(uri), registration)),
            }
        };
        drop(unwanted);
        self.settle(uri);
    }

    /// Registers a URI anew if it is to have another concurrency than it has.
    fn settle(self: &Arc<Self>, uri: &str) {
        let (former, had, concurrency, new) = {
            let mut by_uri = self.by_uri();
            let Some(entry) = by_uri.get_mut(uri) else {
                return;
            };
            if matches!(entry.registration, Registration::Done(_, has) if has != entry.concurrency)
            {
                let done = mem::replace(&mut entry.registration, Registration::Asked);
                let Registration::Done(former, had) = done else {
                    return;
                };
                (former, had, entry.concurrency, entry.procedure(uri))
            } else {
                return;
            }
        };
        let (this, uri) = (self.clone(), uri.to_owned());
        let replaced = self.session.replace(&former, new);
        replaced.on_result(move |result| match result {
            Ok(registration) => {
                this.registered(&uri, registration, concurrency);
                drop(former);
            }
            Err(error) => {
                tracing::error!(target: crate::LOG, procedure = uri, %error, "the concurrency of a procedure stays as it was");
                if let Some(entry) = this.by_uri().get_mut(&uri) {
                    entry.concurrency = had;
                }
                this.registered(&uri, former, had);
            }
        });
    }

    /// Nothing panics under the lock but for want of memory, which aborts.
    fn by_uri(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.by_uri.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(target: Target) -> Self {
        Self {
            concurrency: target.concurrency(),
            current: Arc::new(Current(RwLock::new(target))),
            registration: Registration::Asked,
            is_removed: false,
        }
    }

    /// What is registered for it.
    fn procedure(&self, uri: &str) -> component::Procedure<()> {
        let current = self.current.clone();
        let procedure = component::Procedure::function(uri, move |call| current.call(&call));
        match self.concurrency {
            Some(limit) => procedure.concurrency(limit),
            None => procedure,
        }
    }
}
