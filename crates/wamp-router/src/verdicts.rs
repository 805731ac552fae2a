//! What authorizers have said and may be kept for a while. Knows whom it holds for and until when;
//! must not know how it is found out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use super::{PeerId, authorization::Action};
use wamp::Uri;

/// So many verdicts are kept for a session, and for a role.
pub const VERDICTS_OF_ONE: usize = 256;
/// So many are kept in all.
pub const VERDICTS: usize = 16 * 1024;

/// The verdicts of a realm's authorizers.
#[derive(Default)]
pub(super) struct Verdicts {
    /// Here they live.
    owners: HashMap<Owner, HashMap<Arc<Wish>, Kept>>,
    /// Index: which is over when. Those that are over first go first.
    by_end: BTreeMap<End, (Owner, Arc<Wish>)>,
    numbers: u64,
}

/// When a verdict is over, and its number.
type End = (Instant, u64);

/// Whom a verdict holds for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Owner {
    Session(PeerId),
    Role(Arc<str>),
}

/// What somebody wants to do, with which options: all that an authorizer is told of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Wish {
    pub(super) action: Action,
    pub(super) uri: Uri,
    pub(super) options: Box<str>,
}

/// Whether it may, and whether others are told about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    pub(super) allow: bool,
    pub(super) disclose: bool,
}

#[derive(Clone, Copy)]
struct Kept {
    verdict: Verdict,
    end: End,
}

impl Verdicts {
    pub(super) fn len(&self) -> usize {
        self.by_end.len()
    }

    /// What is known about a wish of a session of this role.
    pub(super) fn get(
        &self,
        now: Instant,
        peer: PeerId,
        role: &Arc<str>,
        wish: &Wish,
    ) -> Option<Verdict> {
        if self.by_end.is_empty() {
            return None;
        }
        let owners = [Owner::Session(peer), Owner::Role(role.clone())];
        let kept = |owner: &Owner| self.owners.get(owner)?.get(wish);
        let kept = owners
            .iter()
            .filter_map(kept)
            .find(|kept| kept.end.0 > now)?;
        Some(kept.verdict)
    }

    /// Keeps a verdict until then.
    pub(super) fn keep(&mut self, owner: Owner, wish: Wish, verdict: Verdict, until: Instant) {
        let own = self.owners.get(&owner);
        let former = own.and_then(|own| own.get(&wish)).map(|kept| kept.end);
        let first = if own.is_some_and(|own| own.len() >= VERDICTS_OF_ONE) {
            own.and_then(|own| own.values().map(|kept| kept.end).min())
        } else {
            let is_full = self.by_end.len() >= VERDICTS;
            is_full
                .then(|| self.by_end.keys().next().copied())
                .flatten()
        };
        if let Some(end) = former.or(first) {
            self.forget(end);
        }
        self.numbers += 1;
        let (end, wish) = ((until, self.numbers), Arc::new(wish));
        self.by_end.insert(end, (owner.clone(), wish.clone()));
        let own = self.owners.entry(owner).or_default();
        own.insert(wish, Kept { verdict, end });
    }

    /// Forgets what holds for this one alone. How much that was.
    pub(super) fn clear(&mut self, owner: &Owner) -> usize {
        let own = self.owners.remove(owner).unwrap_or_default();
        for kept in own.values() {
            self.by_end.remove(&kept.end);
        }
        own.len()
    }

    /// Forgets everything. How much that was.
    pub(super) fn clear_all(&mut self) -> usize {
        let all = self.len();
        *self = Self {
            numbers: self.numbers,
            ..Self::default()
        };
        all
    }

    fn forget(&mut self, end: End) {
        let Some((owner, wish)) = self.by_end.remove(&end) else {
            return;
        };
        if let Some(own) = self.owners.get_mut(&owner) {
            own.remove(&wish);
            if own.is_empty() {
                self.owners.remove(&owner);
            }
        }
    }

    /// Panics unless the indexes are those of the verdicts, and there are no more than there may be.
    pub(super) fn check(&self) {
        let mut by_end = BTreeMap::new();
        for (owner, own) in &self.owners {
            assert!(!own.is_empty(), "{owner:?} has a verdict");
            assert!(
                own.len() <= VERDICTS_OF_ONE,
                "{owner:?} is within the limits"
            );
            for (wish, kept) in own {
                by_end.insert(kept.end, (owner.clone(), wish.clone()));
            }
        }
        assert_eq!(by_end, self.by_end, "verdicts end when they are noted to");
        assert!(by_end.len() <= VERDICTS, "verdicts are within the limits");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const YES: Verdict = Verdict {
        allow: true,
        disclose: false,
    };

    fn wish(uri: &str) -> Wish {
        Wish {
            action: Action::Call,
            uri: uri.into(),
            options: "{}".into(),
        }
    }

    #[test]
    fn a_verdict_holds_for_whom_it_was_given_and_for_a_while() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let (user, admin): (Arc<str>, Arc<str>) = ("user".into(), "admin".into());
        verdicts.keep(Owner::Session(PeerId(1)), wish("com.a"), YES, at(10));
        verdicts.keep(Owner::Role(user.clone()), wish("com.b"), YES, at(5));
        verdicts.check();
        let get = |verdicts: &Verdicts, seconds, peer, role, uri| {
            verdicts.get(at(seconds), PeerId(peer), role, &wish(uri))
        };
        assert_eq!(get(&verdicts, 0, 1, &user, "com.a"), Some(YES));
        assert_eq!(get(&verdicts, 9, 1, &admin, "com.a"), Some(YES));
        assert_eq!(get(&verdicts, 10, 1, &user, "com.a"), None);
        assert_eq!(get(&verdicts, 0, 2, &user, "com.a"), None);
        assert_eq!(get(&verdicts, 0, 2, &user, "com.b"), Some(YES));
        assert_eq!(get(&verdicts, 0, 2, &admin, "com.b"), None);
        assert_eq!(get(&verdicts, 5, 2, &user, "com.b"), None);
        // Another one takes its place.
        let no = Verdict {
            allow: false,
            disclose: false,
        };
        verdicts.keep(Owner::Session(PeerId(1)), wish("com.a"), no, at(20));
        verdicts.check();
        assert_eq!(get(&verdicts, 15, 1, &user, "com.a"), Some(no));
        assert_eq!(verdicts.clear(&Owner::Session(PeerId(1))), 1);
        assert_eq!(verdicts.clear(&Owner::Session(PeerId(1))), 0);
        verdicts.check();
        assert_eq!((verdicts.len(), verdicts.clear_all()), (1, 1));
        verdicts.check();
    }

    #[test]
    fn there_are_so_many_and_the_oldest_go_first() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        let role: Arc<str> = "user".into();
        let keep = |verdicts: &mut Verdicts, peer, n: usize| {
            let until = now + Duration::from_secs(1 + n as u64);
            let owner = Owner::Session(PeerId(peer));
            verdicts.keep(owner, wish(&format!("com.{n}")), YES, until);
        };
        for n in 0..=VERDICTS_OF_ONE {
            keep(&mut verdicts, 1, n);
        }
        verdicts.check();
        assert_eq!(verdicts.len(), VERDICTS_OF_ONE);
        let get = |verdicts: &Verdicts, peer, n: usize| {
            verdicts.get(now, PeerId(peer), &role, &wish(&format!("com.{n}")))
        };
        assert_eq!(get(&verdicts, 1, 0), None);
        assert_eq!(get(&verdicts, 1, 1), Some(YES));
        for peer in 2..=(VERDICTS / VERDICTS_OF_ONE + 2) as u64 {
            for n in 0..VERDICTS_OF_ONE {
                keep(&mut verdicts, peer, n);
            }
        }
        verdicts.check();
        assert_eq!(verdicts.len(), VERDICTS);
    }
}
