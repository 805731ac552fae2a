//! Who is dropped when the node holds too much: the policy, and the rounds in which it is carried
//! out. Must not know how a client is told.
//!
//! The user of memory is who can give it back: whoever does not end its message, does not read, or
//! has called too much. Those who cost the node most go first, until nine tenths of the limit are
//! left. An event that waits for many costs each of them its part only; but all of them have to go
//! before it goes, so each round that was not enough makes the next one twice as large.
//!
//! A publisher does not wait for them and is not dropped for them: one reader that does not read
//! would stop every publisher (docs/limits.md).

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::Memory;
use crate::{backlog::Backlog, realm::Realm};

/// How often the clock looks while too much is held.
const LOOK: Duration = Duration::from_millis(20);
/// Those who are dropped have so long to go before others are.
const GOING: Duration = Duration::from_secs(1);
/// So many tenths of the limit are left.
const TENTHS: usize = 9;

/// What one session makes the node hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Usage {
    /// Bytes that nobody else has.
    own: usize,
    /// Bytes of events that others may have too.
    shared: usize,
}

/// Who has to go so that at least `excess` bytes come back, as far as that can be known: indices of
/// `usages`, those first that cost most. The events take `events` bytes in all.
fn choose(usages: &[Usage], events: usize, excess: usize) -> Vec<usize> {
    let shared: u128 = usages.iter().map(|usage| usage.shared as u128).sum();
    let cost = |usage: &Usage| {
        let part = usage.shared as u128 * events as u128 / shared.max(1);
        usage.own + usize::try_from(part).map_or(usage.shared, |part| part.min(usage.shared))
    };
    let mut order: Vec<_> = (usages.iter().map(cost).enumerate())
        .filter(|(_, cost)| *cost > 0)
        .collect();
    order.sort_by_key(|(_, cost)| Reverse(*cost));
    let mut back = 0_usize;
    order
        .into_iter()
        .take_while(|(_, cost)| {
            let is_wanted = back < excess;
            back = back.saturating_add(*cost);
            is_wanted
        })
        .map(|(index, _)| index)
        .collect()
}

/// The rounds of dropping, for as long as too much is held.
#[derive(Default)]
pub(crate) struct Relief {
    rounds: u32,
    /// Who was told to go in the last round, and by when others are.
    going: Vec<Arc<Backlog>>,
    until: Option<Instant>,
}

impl Relief {
    /// Drops those who hold most, if too much is held. When to look again.
    pub(crate) fn look(
        &mut self,
        memory: &Memory,
        realms: &[Arc<Realm>],
        now: Instant,
    ) -> Option<Instant> {
        let held = memory.stats().held();
        let wanted = memory.wanted.swap(0, Ordering::Relaxed);
        if held <= memory.limit && (wanted == 0 || held + wanted <= memory.limit) {
            *self = Self::default();
            return None;
        }
        let is_going = self.going.iter().any(|user| user.usage() > 0);
        if is_going && self.until.is_some_and(|until| now < until) {
            memory.wanted.fetch_max(wanted, Ordering::Relaxed);
            return Some(now + LOOK);
        }
        let enough = memory.limit / 10 * TENTHS;
        let excess = (held + wanted).saturating_sub(enough);
        let excess = excess.saturating_mul(1 << self.rounds.min(16));
        let (users, usages): (Vec<_>, Vec<_>) = users(memory, realms).into_iter().unzip();
        let chosen = choose(&usages, memory.stats().events, excess);
        if chosen.is_empty() && self.rounds == 0 {
            tracing::warn!(
                target: crate::LOG,
                held,
                memory_limit = memory.limit,
                "the node holds more than limits.memory_limit, and there is no session to drop for it"
            );
        }
        self.going = chosen.iter().map(|&index| users[index].clone()).collect();
        for &index in &chosen {
            users[index].ask_to_go(usages[index].own + usages[index].shared);
        }
        self.rounds += 1;
        self.until = Some(now + GOING);
        Some(now + LOOK)
    }
}

/// The sessions that hold something, and what.
fn users(memory: &Memory, realms: &[Arc<Realm>]) -> Vec<(Arc<Backlog>, Usage)> {
    let mut users = HashMap::new();
    // The last reference to an account must not end while the list is locked.
    let mut listed = Vec::new();
    memory.holders().retain(|_, holder| {
        let Some(holder) = holder.upgrade() else {
            return false;
        };
        let stays = holder.stays_listed();
        listed.push(holder);
        stays
    });
    for holder in listed {
        let (own, shared) = holder.held();
        let address = Arc::as_ptr(&holder) as usize;
        users.insert(address, (holder, Usage { own, shared }));
    }
    for (caller, octets) in realms.iter().flat_map(|realm| realm.held_by_callers()) {
        let address = Arc::as_ptr(&caller) as usize;
        let user = users.entry(address);
        let (_, usage) = user.or_insert_with(|| (caller, Usage::default()));
        usage.own += octets;
    }
    users.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(own: usize, shared: usize) -> Usage {
        Usage { own, shared }
    }

    #[test]
    fn the_largest_go_first_and_no_more_than_needed() {
        let usages = [usage(5, 0), usage(900, 0), usage(0, 0), usage(400, 0)];
        for (excess, chosen) in [
            (0, &[][..]),
            (1, &[1]),
            (900, &[1]),
            (901, &[1, 3]),
            (1301, &[1, 3, 0]),
            (usize::MAX, &[1, 3, 0]),
        ] {
            assert_eq!(choose(&usages, 0, excess), chosen, "{excess}");
        }
    }

    #[test]
    fn an_event_costs_each_who_has_it_a_part_and_who_ends_no_message_goes_before_them() {
        let mut usages = vec![usage(0, 1000); 10];
        usages.push(usage(200, 0));
        assert_eq!(choose(&usages, 1000, 100), [10]);
        assert_eq!(choose(&usages, 1000, 300), [10, 0]);
        assert_eq!(choose(&usages, 1000, 1200).len(), 11);
        // Who has more of them goes first.
        usages[7].shared = 3000;
        assert_eq!(choose(&usages, 1000, 201), [7]);
    }
}
