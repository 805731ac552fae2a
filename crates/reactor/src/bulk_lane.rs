//! The lane of a reactor's mail that is worked off in slices: events, and what must not come before
//! them. Owns their order; must not know what the mail says.

use std::{collections::VecDeque, mem};

use super::{ConnectionId, mailbox::KEPT_CAPACITY};

/// Mail in the order it was posted.
pub(super) struct BulkLane<M> {
    entries: VecDeque<Entry<M>>,
    /// Those of all entries for many, one entry's after the other's. So an entry needs no list of
    /// its own, and a receiver takes 8 bytes.
    receivers: VecDeque<ConnectionId>,
}

enum Entry<M> {
    One(ConnectionId, M),
    /// Mail for the next so many of the receivers, and how another of them gets its own.
    Many {
        left: usize,
        mail: M,
        share: fn(&M) -> M,
    },
}

impl<M> BulkLane<M> {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            receivers: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, to: ConnectionId, mail: M) {
        self.entries.push_back(Entry::One(to, mail));
    }

    pub(super) fn push_for_all(
        &mut self,
        to: impl IntoIterator<Item = ConnectionId>,
        mail: M,
        share: fn(&M) -> M,
    ) {
        let before = self.receivers.len();
        self.receivers.extend(to);
        let left = self.receivers.len() - before;
        if left > 0 {
            self.entries.push_back(Entry::Many { left, mail, share });
        }
    }

    /// The oldest mail, for one connection.
    pub(super) fn pop(&mut self) -> Option<(ConnectionId, M)> {
        let Some(Entry::Many { left, mail, share }) = self.entries.front_mut() else {
            return match self.entries.pop_front()? {
                Entry::One(to, mail) => Some((to, mail)),
                Entry::Many { .. } => None,
            };
        };
        let to = self.receivers.pop_front()?;
        *left -= 1;
        if *left > 0 {
            return Some((to, share(mail)));
        }
        match self.entries.pop_front()? {
            Entry::One(_, mail) | Entry::Many { mail, .. } => Some((to, mail)),
        }
    }

    /// How many entries there are, for one or for many.
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes all of `later`, behind what is here. What is left there is empty and has a capacity.
    pub(super) fn append(&mut self, later: &mut Self) {
        if later.is_empty() {
            return;
        }
        if self.is_empty() {
            mem::swap(self, later);
        } else {
            self.entries.append(&mut later.entries);
            self.receivers.append(&mut later.receivers);
        }
    }

    /// Gives back the memory of a burst that is over.
    pub(super) fn trim(&mut self) {
        if self.is_empty() && self.entries.capacity().max(self.receivers.capacity()) > KEPT_CAPACITY
        {
            *self = Self::new();
        }
    }
}
