//! The node's memory that clients can make it hold: how much of it there is, by purpose, and who
//! holds much. Must not know what messages do, nor how a client is dropped.
//!
//! Only what waits is counted: input that is not complete, output that a socket has not taken,
//! events that sockets have not taken (each once, whoever has it), and calls that are queued or
//! wait for a pool. So a message that is taken and sent on at once costs nothing here.

mod relief;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;

use super::{backlog::Backlog, clock_handle::ClockHandle};
pub(super) use relief::Relief;

/// A message may exceed the limit by this part of it: others are dropped for it. What would go
/// further waits, before any memory is taken for it.
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
    dropped: AtomicU64,
    /// Sessions that have held much, by the address of their accounts.
    holders: Mutex<HashMap<usize, Holder>>,
    /// Messages that wait for room, in the order in which they came.
    waiting: Mutex<VecDeque<Waiting>>,
    clock: ClockHandle,
}

/// A session that holds much.
struct Holder {
    accounts: Weak<Backlog>,
    /// When the clock has seen it last that its message came in or that its socket took something.
    moved: Option<Instant>,
}

/// A session whose message has announced itself.
struct Waiting {
    accounts: Weak<Backlog>,
    octets: usize,
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
            dropped: AtomicU64::new(0),
            holders: Mutex::default(),
            waiting: Mutex::default(),
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

    /// How much may be held for a moment.
    pub(super) fn most(&self) -> usize {
        self.limit + self.limit / MARGIN_PART
    }

    /// Whether there is room now for a message that announces so many bytes. Nobody overtakes those
    /// who wait.
    pub(super) fn has_room(&self, len: u64) -> bool {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.waiting().is_empty() && self.stats().held().saturating_add(len) <= self.most()
    }

    /// Lets a session with such a message wait: it is told by [`Mail::Room`](super::Mail::Room) once
    /// the clock has made room. `false` if that could never be.
    pub(super) fn wait_for_room(&self, session: &Arc<Backlog>, len: u64) -> bool {
        let octets = usize::try_from(len).unwrap_or(usize::MAX);
        if octets > self.limit {
            return false;
        }
        self.waiting().push_back(Waiting {
            accounts: Arc::downgrade(session),
            octets,
        });
        self.clock.tell();
        true
    }

    /// Lets in who waits, in their order, as far as there is room. How many these are.
    pub(super) fn let_in(self: &Arc<Self>) -> usize {
        let mut let_in = 0;
        while let Some((session, held)) = self.next_with_room() {
            session.give_room(held);
            let_in += 1;
        }
        let_in
    }

    fn next_with_room(self: &Arc<Self>) -> Option<(Arc<Backlog>, Held)> {
        let mut waiting = self.waiting();
        waiting.retain(|waiting| waiting.accounts.strong_count() > 0);
        let first = waiting.front()?;
        if self.stats().held() + first.octets > self.limit {
            return None;
        }
        let held = self.hold(Purpose::Input, first.octets);
        let first = waiting.pop_front()?;
        Some((first.accounts.upgrade()?, held))
    }

    /// How much the one that waits longest has announced.
    pub(super) fn wanted(&self) -> usize {
        self.waiting().front().map_or(0, |first| first.octets)
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
        let accounts = Arc::downgrade(holder);
        let moved = None;
        self.holders()
            .insert(address_of(holder), Holder { accounts, moved });
    }

    /// A session that was listed is no more.
    pub(super) fn unlist(&self, holder: *const Backlog) {
        self.holders().remove(&(holder as usize));
    }

    fn holders(&self) -> MutexGuard<'_, HashMap<usize, Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address_of(session: &Arc<Backlog>) -> usize {
    Arc::as_ptr(session) as usize
}

/// Bytes that are counted until this is dropped.
pub struct Held {
    memory: Arc<Memory>,
    purpose: Purpose,
    octets: usize,
}

impl Held {
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

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
    fn a_message_finds_room_a_little_beyond_the_limit_and_else_waits_behind_others() {
        let memory = Memory::new(800, ClockHandle::default());
        let held = memory.hold(Purpose::Input, 600);
        assert!(memory.has_room(300) && !memory.has_room(301) && !memory.has_room(u64::MAX));
        let [first, second, gone] = [(); 3].map(|()| Backlog::new(100, None));
        assert!(!memory.wait_for_room(&gone, 801) && !memory.wait_for_room(&gone, u64::MAX));
        assert!(memory.wait_for_room(&gone, 800) && memory.wait_for_room(&first, 301));
        assert!(memory.wait_for_room(&second, 500) && !memory.has_room(1));
        drop(gone);
        assert_eq!((memory.let_in(), memory.wanted()), (0, 301));
        drop(held);
        // Who is let in and is gone meanwhile holds nothing.
        assert_eq!((memory.let_in(), memory.wanted()), (2, 0));
        assert_eq!(memory.stats().held(), 0);
        assert!(memory.has_room(900));
    }
}
