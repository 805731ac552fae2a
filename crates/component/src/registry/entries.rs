//! Owns the list of what a component registers and subscribes to later. Must not know how any of it is
//! asked for.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{super::Error, Later, What};
use wamp::error_uri;

/// All of them.
#[derive(Default)]
pub(in super::super) struct Registry(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    all: Vec<Arc<Later>>,
    /// What the configuration says of procedures that may come later, by their URIs.
    limits: HashMap<String, NonZeroU64>,
    /// The node is stopping.
    is_closed: bool,
}

impl Registry {
    pub(in super::super) fn all(&self) -> Vec<Arc<Later>> {
        self.entries().all.clone()
    }

    /// Sets the concurrency of a procedure that comes later, or has come.
    pub(in super::super) fn limit(&self, uri: &str, concurrency: NonZeroU64) {
        let mut entries = self.entries();
        entries.limits.insert(uri.to_owned(), concurrency);
        for later in entries
            .all
            .iter()
            .filter(|later| later.uri().as_str() == uri)
        {
            // The first one counts; a configuration has one for each URI.
            let _ = later.limit.set(concurrency);
        }
    }

    /// Keeps no more, and lets go of all that there is: what it calls may hold the component.
    pub(in super::super) fn close(&self) {
        let all = {
            let mut entries = self.entries();
            entries.is_closed = true;
            std::mem::take(&mut entries.all)
        };
        drop(all);
    }

    pub(super) fn insert(&self, later: &Arc<Later>) -> Result<(), Error> {
        let mut entries = self.entries();
        if entries.is_closed {
            let why = "the component has left its session for good: the node is stopping";
            return Err(Error::new(error_uri::UNAVAILABLE, why));
        }
        if let What::Procedure(procedure) = &later.what
            && let Some(limit) = entries.limits.get(procedure.uri.as_str())
        {
            let _ = later.limit.set(*limit);
        }
        entries.all.push(later.clone());
        Ok(())
    }

    pub(super) fn remove(&self, later: &Arc<Later>) {
        self.entries().all.retain(|one| !Arc::ptr_eq(one, later));
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
