//! The sessions of a realm: who is joined, in which state, holding what. Knows nothing of what a
//! registration, invocation or subscription means; dealer and broker do.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use super::{Capacity, PeerId, authorization::Authorization, call_id::CallId};
use wamp::{Identity, OwnIds, RegistrationId, RequestId, RpcFeatures, SessionId, SubscriptionId};

/// A session: from its WELCOME until it is disposed of.
///
/// Of the specification's states ("Session Statechart") it is always in ESTABLISHED: the others
/// last no longer than a decision.
pub(super) struct Session {
    pub(super) identity: Arc<Identity>,
    pub(super) authorization: Arc<Authorization>,
    /// As a callee: what it can do.
    pub(super) features: RpcFeatures,
    /// As a callee: the procedures it registered. Index into the dealer's.
    pub(super) registrations: BTreeSet<RegistrationId>,
    /// As a callee: what it was asked and has not answered. Here invocations live.
    pub(super) invocations: HashMap<RequestId, Unanswered, OwnIds>,
    /// As a callee: the id its next INVOCATION will have.
    pub(super) next_invocation: RequestId,
    /// As a callee: what its work is limited by, where the callee has said so.
    pub(super) capacity: Option<Box<Capacity>>,
    /// As a caller: its calls that are not answered, and what authorizers are asked about it. Index
    /// into callees' invocations and the dealer's queues, by ids that clients choose: hence the
    /// default hasher.
    pub(super) calls: HashMap<CallId, OpenCall>,
    /// As a caller: how many of those are invoked at which callee.
    pub(super) asked: Asked,
    /// As a subscriber: what it subscribes to. Index into the broker's.
    pub(super) subscriptions: BTreeSet<SubscriptionId>,
}

/// How many of a caller's calls are invoked at each callee. A list, because few callers have calls
/// at more than a few callees.
#[derive(Default)]
pub(super) struct Asked(Vec<(PeerId, usize)>);

impl Asked {
    /// How many calls are invoked at any of these callees.
    pub(super) fn at(&self, callees: &[PeerId]) -> usize {
        let known = self.0.iter().filter(|(callee, _)| callees.contains(callee));
        known.map(|(_, calls)| calls).sum()
    }

    /// A call is invoked at a callee.
    pub(super) fn add(&mut self, callee: PeerId) {
        match self.0.iter_mut().find(|(known, _)| *known == callee) {
            Some((_, calls)) => *calls += 1,
            None => self.0.push((callee, 1)),
        }
    }

    /// A call is no longer.
    pub(super) fn remove(&mut self, callee: PeerId) {
        let at = self.0.iter().position(|(known, _)| *known == callee);
        let at = at.expect("a call that is invoked is counted");
        self.0[at].1 -= 1;
        if self.0[at].1 == 0 {
            self.0.swap_remove(at);
        }
    }

    /// Every callee and its calls.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, usize)> {
        self.0.iter().copied()
    }
}

/// An invocation that its callee has not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unanswered {
    /// The call that waits for the answer; none once that has ended without it.
    pub(super) call: Option<PendingCall>,
    /// The registration whose concurrency counts it until it is answered.
    pub(super) counted_by: Option<RegistrationId>,
    /// Whether INTERRUPT has been sent.
    pub(super) interrupted: bool,
    /// Whether the callee has been told that it may answer in parts.
    pub(super) progress: bool,
    /// How many octets of payload wait with it, at a callee whose work waits in this process.
    pub(super) octets: u32,
}

/// A call that is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OpenCall {
    pub(super) stage: Stage,
    /// When its timeout ends. Index into the dealer's.
    pub(super) deadline: Option<Instant>,
    /// The timeout itself, in milliseconds: each part of a result begins it anew.
    pub(super) timeout: u64,
}

/// How far a call has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It is queued at the registration, in the order of its number.
    Queued {
        registration: RegistrationId,
        number: u64,
    },
    /// The callee has been asked.
    Invoked(PendingInvocation),
}

/// The call that an invocation is to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PendingCall {
    pub(super) caller: PeerId,
    pub(super) id: CallId,
}

/// The invocation that is to answer a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PendingInvocation {
    pub(super) callee: PeerId,
    pub(super) request: RequestId,
}

/// Every session by its peer, and the session ids in use.
#[derive(Default)]
pub(super) struct Sessions {
    by_peer: HashMap<PeerId, Session, OwnIds>,
    /// Index: the peer of each session.
    by_id: HashMap<SessionId, PeerId, OwnIds>,
    /// Index: the sessions that have a capacity together, by its pool.
    by_pool: BTreeMap<usize, Vec<PeerId>>,
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.by_peer.len()
    }

    pub(super) fn has_id(&self, id: SessionId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// The peer that has this session.
    pub(super) fn peer(&self, id: SessionId) -> Option<PeerId> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn is_joined(&self, peer: PeerId) -> bool {
        self.by_peer.contains_key(&peer)
    }

    /// Every peer, in order, so that what is done to all is done in the same order every time.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        let mut peers: Vec<_> = self.by_peer.keys().copied().collect();
        peers.sort_unstable();
        peers
    }

    /// The session of a peer that is joined for certain.
    pub(super) fn joined(&self, peer: PeerId) -> &Session {
        self.by_peer
            .get(&peer)
            .expect("whoever acts, or is named by an index, is joined")
    }

    /// The session of a peer that is joined for certain.
    pub(super) fn joined_mut(&mut self, peer: PeerId) -> &mut Session {
        self.by_peer
            .get_mut(&peer)
            .expect("whoever acts, or is named by an index, is joined")
    }

    /// The sessions that have the capacity of this pool together.
    pub(super) fn of_pool(&self, pool: usize) -> &[PeerId] {
        self.by_pool.get(&pool).map_or(&[], Vec::as_slice)
    }

    pub(super) fn join(
        &mut self,
        peer: PeerId,
        identity: Arc<Identity>,
        authorization: Arc<Authorization>,
        (features, capacity): (RpcFeatures, Option<Capacity>),
    ) {
        self.by_id.insert(identity.session, peer);
        if let Some(Capacity { pool, .. }) = capacity {
            self.by_pool.entry(pool).or_default().push(peer);
        }
        self.by_peer.insert(
            peer,
            Session {
                identity,
                authorization,
                features,
                registrations: BTreeSet::new(),
                invocations: HashMap::default(),
                next_invocation: RequestId::FIRST,
                capacity: capacity.map(Box::new),
                calls: HashMap::new(),
                asked: Asked::default(),
                subscriptions: BTreeSet::new(),
            },
        );
    }

    pub(super) fn leave(&mut self, peer: PeerId) -> Option<Session> {
        let session = self.by_peer.remove(&peer)?;
        self.by_id.remove(&session.identity.session);
        if let Some(pool) = session.capacity.as_ref().map(|capacity| capacity.pool)
            && let Some(peers) = self.by_pool.get_mut(&pool)
        {
            peers.retain(|other| *other != peer);
            if peers.is_empty() {
                self.by_pool.remove(&pool);
            }
        }
        Some(session)
    }

    /// Panics unless the ids are those of the sessions.
    pub(super) fn check(&self) {
        assert_eq!(
            self.by_id,
            (self.by_peer.iter())
                .map(|(peer, session)| (session.identity.session, *peer))
                .collect(),
            "the session ids in use are those of the sessions"
        );
        assert_eq!(
            self.by_id.len(),
            self.by_peer.len(),
            "no two sessions share an id"
        );
        let mut pools = BTreeMap::<_, BTreeSet<_>>::new();
        for (peer, session) in &self.by_peer {
            if let Some(capacity) = &session.capacity {
                pools.entry(capacity.pool).or_default().insert(*peer);
            }
        }
        let known = self.by_pool.iter();
        assert_eq!(
            pools,
            known
                .map(|(pool, peers)| (*pool, peers.iter().copied().collect()))
                .collect(),
            "the sessions of a pool are found by it"
        );
    }
}
