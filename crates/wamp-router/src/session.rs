//! The sessions of a realm: who is joined, in which state, holding what. Knows nothing of what a
//! registration, invocation or subscription means; dealer and broker do.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use super::{PeerId, authorization::Authorization};
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
    /// As a caller: its calls that are not answered. Index into callees' invocations and the
    /// dealer's queues, by ids that clients choose: hence the default hasher.
    pub(super) calls: HashMap<RequestId, OpenCall>,
    /// As a subscriber: what it subscribes to. Index into the broker's.
    pub(super) subscriptions: BTreeSet<SubscriptionId>,
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
    pub(super) request: RequestId,
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

    pub(super) fn join(
        &mut self,
        peer: PeerId,
        identity: Arc<Identity>,
        authorization: Arc<Authorization>,
        features: RpcFeatures,
    ) {
        self.by_id.insert(identity.session, peer);
        self.by_peer.insert(
            peer,
            Session {
                identity,
                authorization,
                features,
                registrations: BTreeSet::new(),
                invocations: HashMap::default(),
                next_invocation: RequestId::FIRST,
                calls: HashMap::new(),
                subscriptions: BTreeSet::new(),
            },
        );
    }

    pub(super) fn leave(&mut self, peer: PeerId) -> Option<Session> {
        let session = self.by_peer.remove(&peer)?;
        self.by_id.remove(&session.identity.session);
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
    }
}
