//! What sessions that have left still have in a table, until it is cleared away some at a time.
//! Knows nothing of what it is.

use std::collections::{BTreeMap, BTreeSet};

use super::PeerId;

/// The ids of what each session that has left still has: none without any.
pub(super) struct Departed<Id>(BTreeMap<PeerId, BTreeSet<Id>>);

impl<Id> Default for Departed<Id> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<Id: Ord + Copy> Departed<Id> {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A session leaves these behind.
    pub(super) fn add(&mut self, peer: PeerId, ids: BTreeSet<Id>) {
        if !ids.is_empty() {
            self.0.insert(peer, ids);
        }
    }

    /// One is cleared away before its turn.
    pub(super) fn remove(&mut self, peer: PeerId, id: Id) {
        if let Some(ids) = self.0.get_mut(&peer) {
            ids.remove(&id);
            if ids.is_empty() {
                self.0.remove(&peer);
            }
        }
    }

    /// The next to be cleared away.
    pub(super) fn pop(&mut self) -> Option<(PeerId, Id)> {
        let mut first = self.0.first_entry()?;
        let (peer, id) = (*first.key(), first.get_mut().pop_first()?);
        if first.get().is_empty() {
            first.remove();
        }
        Some((peer, id))
    }

    /// Everything, for tests.
    pub(super) fn ids(&self) -> impl Iterator<Item = (PeerId, Id)> {
        let peers = self.0.iter();
        peers.flat_map(|(peer, ids)| ids.iter().map(|id| (*peer, *id)))
    }
}
