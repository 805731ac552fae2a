//! The ids of a session: which procedure a registration is of, and who takes the events of a
//! subscription. Must not know how they are asked for.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::registry::Later;
use wamp::{OwnIds, RegistrationId, SubscriptionId};

/// A procedure or a subscription of the component.
#[derive(Clone)]
pub(super) enum Known {
    /// Of its class, by the index.
    AtStart(usize),
    /// One that came later.
    Later(Arc<Later>),
}

#[derive(Default)]
pub(super) struct KnownIds {
    /// Written when something is registered or unregistered.
    registrations: RwLock<HashMap<RegistrationId, Known, OwnIds>>,
    /// The same for subscriptions. Two of the same topic are one at the router.
    subscriptions: RwLock<HashMap<SubscriptionId, Arc<[Known]>, OwnIds>>,
}

impl KnownIds {
    pub(super) fn registration(&self, id: RegistrationId) -> Option<Known> {
        read(&self.registrations).get(&id).cloned()
    }

    pub(super) fn note_registered(&self, id: RegistrationId, procedure: Known) {
        write(&self.registrations).insert(id, procedure);
    }

    pub(super) fn forget_registration(&self, id: RegistrationId) -> Option<Known> {
        write(&self.registrations).remove(&id)
    }

    pub(super) fn subscribers(&self, id: SubscriptionId) -> Option<Arc<[Known]>> {
        read(&self.subscriptions).get(&id).cloned()
    }

    pub(super) fn note_subscribed(&self, id: SubscriptionId, subscriber: Known) {
        let mut subscriptions = write(&self.subscriptions);
        let subscribers = subscriptions.entry(id).or_default();
        *subscribers = subscribers.iter().cloned().chain([subscriber]).collect();
    }

    /// Takes one subscriber out; whether none is left.
    pub(super) fn forget_subscriber(&self, id: SubscriptionId, subscriber: &Arc<Later>) -> bool {
        let mut subscriptions = write(&self.subscriptions);
        let Some(subscribers) = subscriptions.get_mut(&id) else {
            return true;
        };
        let is_other =
            |known: &&Known| !matches!(known, Known::Later(one) if Arc::ptr_eq(one, subscriber));
        *subscribers = subscribers.iter().filter(is_other).cloned().collect();
        let is_last = subscribers.is_empty();
        if is_last {
            subscriptions.remove(&id);
        }
        is_last
    }

    /// Takes out whoever a subscription has.
    pub(super) fn forget_subscribers(&self, id: SubscriptionId) -> Option<Arc<[Known]>> {
        write(&self.subscriptions).remove(&id)
    }
}

// Nothing panics under the locks but for want of memory, which aborts.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
