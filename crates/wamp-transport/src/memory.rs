//! The node's memory that clients can make it hold: how much of it there is, by purpose, and who
//! holds much. Must not know what messages do, nor how a client is dropped.
//!
//! Only what waits is counted: input that is not complete, output that a socket has not taken,
//! events that sockets have not taken (each once, whoever has it), and calls that are queued or
//! wait for a pool. So a message that is taken and sent on at once costs nothing here.

mod relief;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use super::{backlog::Backlog, clock_handle::ClockHandle};
pub(super) use relief::Relief;

/// A message may exceed the limit by this part of it: others are dropped for it. What would go
/// further is refused before any memory is taken for it.
const MARGIN_PART: usize = 8;

/// What memory is held for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Input,
    Output,
    Events,
    Calls,
}

/// The memory that clients can make a node hold.
pub struct Memory {
    limit: usize,
    /// In bytes, by purpose.
    held: [AtomicUsize; 4],
    /// The largest message that was refused since the clock has looked.
    wanted: AtomicUsize,
    dropped: AtomicU64,
    /// Sessions that have held much, by the address of their accounts.
    holders: Mutex<HashMap<usize, Weak<Backlog>>>,
    clock: ClockHandle,
}

/// What the clients of a node make it hold, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryStats {
    /// `memory_limit`: how much it may be in all.
    pub limit: usize,
    /// Messages that are not complete, or not taken yet.
    pub input: usize,
    /// What waits for sockets to take it, without large events.
    pub output: usize,
    /// Large events, each once.
    pub events: usize,
    /// Payloads of calls that are queued or wait for a pool.
    pub calls: usize,
    /// How many sessions have been dropped so far because it was too much.
    pub dropped: u64,
}

impl MemoryStats {
    /// All of it.
    pub fn held(&self) -> usize {
        self.input + self.output + self.events + self.calls
    }
}

impl Memory {
    /// The memory of a node, of which clients may make it hold so many bytes. It tells `clock` when
    /// that is too much.
    pub fn new(limit: usize, clock: ClockHandle) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: Default::default(),
            wanted: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            holders: Mutex::default(),
            clock,
        })
    }

    /// What is held now. Costs nothing.
    pub fn stats(&self) -> MemoryStats {
        let held = |purpose: Purpose| self.held[purpose as usize].load(Ordering::Relaxed);
        MemoryStats {
            limit: self.limit,
            input: held(Purpose::Input),
            output: held(Purpose::Output),
            events: held(Purpose::Events),
            calls: held(Purpose::Calls),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// So much is held for a purpose where `before` was.
    pub(super) fn change(&self, purpose: Purpose, before: usize, now: usize) {
        let held = &self.held[purpose as usize];
        if now < before {
            held.fetch_sub(before - now, Ordering::Relaxed);
        } else {
            held.fetch_add(now - before, Ordering::Relaxed);
            if self.stats().held() > self.limit {
                self.clock.tell();
            }
        }
    }

    /// Whether there is room for a message that announces so many bytes. If there is not, the clock
    /// makes some, for those who come next.
    pub(super) fn has_room(&self, len: u64) -> bool {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let most = self.limit + self.limit / MARGIN_PART;
        if self.stats().held().saturating_add(len) <= most {
            return true;
        }
        // Nobody is dropped for what could never be.
        if len <= self.limit {
            self.wanted.fetch_max(len, Ordering::Relaxed);
            self.clock.tell();
        }
        false
    }

    /// Counts bytes until what this gives is dropped.
    pub(super) fn hold(self: &Arc<Self>, purpose: Purpose, octets: usize) -> Held {
        self.change(purpose, 0, octets);
        Held {
            memory: self.clone(),
            purpose,
            octets,
        }
    }

    /// A session is dropped for what it holds.
    pub(super) fn note_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// A session holds much.
    pub(super) fn list(&self, holder: &Arc<Backlog>) {
        let address = Arc::as_ptr(holder) as usize;
        self.holders().insert(address, Arc::downgrade(holder));
    }

    /// A session that was listed is no more.
    pub(super) fn unlist(&self, holder: *const Backlog) {
        self.holders().remove(&(holder as usize));
    }

    fn holders(&self) -> MutexGuard<'_, HashMap<usize, Weak<Backlog>>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that are counted until this is dropped.
pub(super) struct Held {
    memory: Arc<Memory>,
    purpose: Purpose,
    octets: usize,
}

impl Held {
    /// Bytes for the same purpose, which are counted until the last who shares them lets them go.
    pub(super) fn share(&self, text: Vec<u8>) -> Bytes {
        let held = self.memory.hold(self.purpose, text.len());
        Bytes::from_owner(Counted { text, _held: held })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.change(self.purpose, self.octets, 0);
    }
}

struct Counted {
    text: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_counted_once_and_until_nobody_has_it() {
        let memory = Memory::new(1000, ClockHandle::default());
        let event = memory.hold(Purpose::Events, 100);
        let text = event.share(vec![0; 50]);
        let other = text.clone();
        drop((event, text));
        assert_eq!(memory.stats().events, 50);
        drop(other);
        assert_eq!(memory.stats().held(), 0);
    }

    #[test]
    fn a_message_finds_room_a_little_beyond_the_limit_and_no_more() {
        let memory = Memory::new(800, ClockHandle::default());
        let _held = memory.hold(Purpose::Input, 600);
        assert!(memory.has_room(300));
        assert_eq!(memory.wanted.load(Ordering::Relaxed), 0);
        assert!(!memory.has_room(301) && !memory.has_room(801) && !memory.has_room(u64::MAX));
        assert_eq!(memory.wanted.load(Ordering::Relaxed), 301);
    }
}
