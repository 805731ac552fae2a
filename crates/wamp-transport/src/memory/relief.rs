//! Who is dropped when the node holds too much: the policy, and the rounds in which it is carried
//! out. Must not know how a client is told.
//!
//! The user of memory is who can give it back: whoever does not end its message, does not read, or
//! has called too much. Those go first who stand still, then those who read slowly or have called.
//! Whose message comes in, and who holds little, goes only if there is nobody else, after others have
//! waited in vain. Among equals those go who cost the node most, until nine tenths of the limit are
//! left. An event that waits for many costs each of them its part only; but all of them have to go
//! before it goes, so each round with events that was not enough makes the next one twice as large.
//!
//! A publisher does not wait for them and is not dropped for them: one reader that does not read
//! would stop every publisher (docs/limits.md).

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Memory, address_of};
use crate::{
    backlog::{Backlog, MUCH},
    realm::Realm,
};

/// How often the clock looks while too much is held.
const LOOK: Duration = Duration::from_millis(20);
/// Those who are dropped have so long to go before others are.
const GOING: Duration = Duration::from_secs(1);
/// Whoever holds something stands still if nothing has moved for so long.
const STILL: Duration = Duration::from_millis(500);
/// Whose message comes in is left alone for so long while others wait for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many tenths of the limit are left.
const TENTHS: usize = 9;

/// What one session makes the node hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Usage {
    /// Bytes that nobody else has.
    own: usize,
    /// Bytes of events that others may have too.
    shared: usize,
    rank: Rank,
}

/// Who goes before whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
enum Rank {
    /// Nothing of it has moved for a while.
    Still,
    /// It reads, or its calls wait.
    #[default]
    Waiting,
    /// Most of it is a message that comes in, or will when there is room.
    Sending,
    /// It is little, no more than one read of a connection brings.
    Little,
}

/// So much is little.
const LITTLE: usize = 64 * 1024;

/// Who has to go so that at least `excess` bytes come back, as far as that can be known: indices of
/// `usages`, those first that rank lowest and then that cost most. The events take `events` bytes in
/// all. Whose message comes in and who has little has to go only in a `hurry`, if there is nobody else.
fn choose(usages: &[Usage], events: usize, excess: usize, hurry: bool) -> Vec<usize> {
    let shared: u128 = usages.iter().map(|usage| usage.shared as u128).sum();
    let cost = |usage: &Usage| {
        let part = usage.shared as u128 * events as u128 / shared.max(1);
        usage.own + usize::try_from(part).map_or(usage.shared, |part| part.min(usage.shared))
    };
    let mut order: Vec<_> = (usages.iter().enumerate())
        .map(|(index, usage)| (index, usage.rank, cost(usage)))
        .filter(|(_, _, cost)| *cost > 0)
        .collect();
    let are_others = order.iter().any(|(_, rank, _)| *rank < Rank::Sending);
    if are_others || !hurry {
        order.retain(|(_, rank, _)| *rank < Rank::Sending);
    }
    order.sort_by_key(|(_, rank, cost)| (*rank, Reverse(*cost)));
    let mut back = 0_usize;
    order
        .into_iter()
        .take_while(|(_, _, cost)| {
            let is_wanted = back < excess;
            back = back.saturating_add(*cost);
            is_wanted
        })
        .map(|(index, _, _)| index)
        .collect()
}

/// The rounds of dropping, for as long as too much is held.
#[derive(Default)]
pub(crate) struct Relief {
    rounds: u32,
    /// Who was told to go in the last round, and by when others are.
    going: Vec<Arc<Backlog>>,
    until: Option<Instant>,
    /// Since when nobody has gone, and no room was made.
    since: Option<Instant>,
    has_warned: bool,
}

impl Relief {
    /// Lets in who waits for room, and drops others if too much is held. When to look again.
    pub(crate) fn look(
        &mut self,
        memory: &Arc<Memory>,
        realms: &[Arc<Realm>],
        now: Instant,
    ) -> Option<Instant> {
        if memory.let_in() > 0 {
            (self.rounds, self.since) = (0, None);
        }
        let (held, wanted) = (memory.stats().held(), memory.wanted());
        if wanted == 0 && held <= memory.limit {
            *self = Self::default();
            return None;
        }
        let next = Some(now + LOOK);
        let is_going = self.going.iter().any(|user| user.usage() > 0);
        if is_going && self.until.is_some_and(|until| now < until) {
            return next;
        }
        let since = *self.since.get_or_insert(now);
        let hurry = held > memory.most() || now >= since + PATIENCE;
        let enough = memory.limit / 10 * TENTHS;
        let excess = (held + wanted).saturating_sub(enough);
        let excess = excess.saturating_mul(1 << self.rounds.min(16));
        let (users, usages): (Vec<_>, Vec<_>) = users(memory, realms, now).into_iter().unzip();
        let chosen = choose(&usages, memory.stats().events, excess, hurry);
        if chosen.is_empty() {
            self.warn_of_nobody(hurry, held, memory);
            return next;
        }
        self.going = chosen.iter().map(|&index| users[index].clone()).collect();
        for &index in &chosen {
            users[index].ask_to_go(usages[index].own + usages[index].shared);
        }
        let are_events = chosen.iter().any(|&index| usages[index].shared > 0);
        self.rounds += u32::from(are_events);
        self.since = None;
        self.until = Some(now + GOING);
        next
    }

    fn warn_of_nobody(&mut self, hurry: bool, held: usize, memory: &Memory) {
        if hurry && !self.has_warned {
            self.has_warned = true;
            tracing::warn!(
                target: crate::LOG,
                held,
                memory_limit = memory.limit,
                "the node holds more than limits.memory_limit, and there is no session to drop for it"
            );
        }
    }
}

/// The sessions that hold something, and what.
fn users(memory: &Memory, realms: &[Arc<Realm>], now: Instant) -> Vec<(Arc<Backlog>, Usage)> {
    // The last reference to an account must not end while a list is locked.
    let mut listed = Vec::new();
    memory.holders().retain(|_, holder| {
        let Some(accounts) = holder.accounts.upgrade() else {
            return false;
        };
        let has_moved = accounts.take_moved() || holder.moved.is_none();
        if has_moved {
            holder.moved = Some(now);
        }
        let stays = accounts.stays_listed();
        listed.push((accounts, holder.moved));
        stays
    });
    let mut calls = HashMap::new();
    for (caller, octets) in realms.iter().flat_map(|realm| realm.held_by_sessions()) {
        let (_, sum) = calls.entry(address_of(&caller)).or_insert((caller, 0));
        *sum += octets;
    }
    let waiting: HashSet<_> = (memory.waiting().iter())
        .map(|waiting| waiting.accounts.as_ptr() as usize)
        .collect();
    let mut users = Vec::with_capacity(listed.len() + calls.len());
    for (accounts, moved) in listed {
        let address = address_of(&accounts);
        let (input, output, shared) = accounts.held();
        let own = input + output + calls.remove(&address).map_or(0, |(_, octets)| octets);
        let is_still = moved.is_none_or(|at| now.duration_since(at) >= STILL);
        let waits = waiting.contains(&address);
        let is_sending = input > (own + shared) / 2;
        let rank = match is_still && !waits {
            _ if own + shared <= LITTLE => Rank::Little,
            true => Rank::Still,
            false if is_sending => Rank::Sending,
            false => Rank::Waiting,
        };
        users.push((accounts, Usage { own, shared, rank }));
    }
    users.extend(calls.into_values().map(|(caller, own)| {
        let rank = if own > LITTLE {
            Rank::Waiting
        } else {
            Rank::Little
        };
        let shared = 0;
        (caller, Usage { own, shared, rank })
    }));
    // Whoever calls has a few bytes somewhere, and is not to go for them.
    users.retain(|(_, usage)| usage.own + usage.shared > MUCH);
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(own: usize, shared: usize) -> Usage {
        Usage {
            own,
            shared,
            rank: Rank::Waiting,
        }
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
            assert_eq!(choose(&usages, 0, excess, false), chosen, "{excess}");
        }
    }

    #[test]
    fn an_event_costs_each_who_has_it_a_part_and_who_ends_no_message_goes_before_them() {
        let mut usages = vec![usage(0, 1000); 10];
        usages.push(usage(200, 0));
        assert_eq!(choose(&usages, 1000, 100, false), [10]);
        assert_eq!(choose(&usages, 1000, 300, false), [10, 0]);
        assert_eq!(choose(&usages, 1000, 1200, false).len(), 11);
        // Who has more of them goes first.
        usages[7].shared = 3000;
        assert_eq!(choose(&usages, 1000, 201, false), [7]);
    }

    #[test]
    fn who_stands_still_goes_first_and_whose_message_comes_in_last() {
        let mut usages = vec![usage(900, 0), usage(0, 50), usage(10, 0)];
        usages[0].rank = Rank::Sending;
        usages[2].rank = Rank::Still;
        for (excess, hurry, chosen) in [
            (1, false, &[2][..]),
            (11, false, &[2, 1]),
            (usize::MAX, true, &[2, 1]),
        ] {
            assert_eq!(choose(&usages, 50, excess, hurry), chosen, "{excess}");
        }
        assert!(choose(&usages[..1], 0, 1, false).is_empty());
        assert_eq!(choose(&usages[..1], 0, 1, true), [0]);
    }
}
