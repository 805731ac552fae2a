//! The broker: topics and who subscribes to them. Knows nothing of procedures, nor of how its
//! decisions reach a peer.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    IdSource, Limits, PeerId,
    authorization::Action,
    departed::Departed,
    form,
    permission::Turn,
    refusal::{Refusal, check_application_uri, check_options},
    session::{Session, Sessions},
    uri_map::UriMap,
};
use wamp::{
    Event, EventDetails, Identity, PublicationId, Publish, Receivers, Subscribe, Subscribed,
    SubscriptionId, Unsubscribe, Unsubscribed, Unsubscribing, Uri, error_uri,
};

/// The subscriptions of a realm.
#[derive(Default)]
pub(super) struct Broker {
    /// Here subscriptions live, as long as they have a subscriber.
    topics: UriMap<Subscription>,
    /// Index: the topic of each subscription. A tree, which does not grow by leaps.
    by_id: BTreeMap<SubscriptionId, Uri>,
    /// What sessions that have left are still noted as subscribers of. No event goes to them.
    departed: Departed<SubscriptionId>,
    /// How many subscriptions there have been.
    subscribed: u64,
    /// How many publications were accepted.
    publications: u64,
}

/// All subscribers of a topic share one subscription, so that an event is encoded once.
struct Subscription {
    id: SubscriptionId,
    /// In order, so that one is found quickly and all are copied at once.
    subscribers: Vec<PeerId>,
}

/// A publication that was accepted, and its event where somebody is to receive it.
pub(super) struct Publication {
    pub(super) id: PublicationId,
    pub(super) event: Option<(Vec<PeerId>, Arc<Event>)>,
}

impl Broker {
    pub(super) fn subscriptions(&self) -> usize {
        self.topics.len()
    }

    pub(super) fn publications(&self) -> u64 {
        self.publications
    }

    /// SUBSCRIBE. Who is subscribed already gets the same subscription again.
    ///
    /// Source: WAMP specification, "Subscribing and Unsubscribing".
    pub(super) fn subscribe(
        &mut self,
        sessions: &mut Sessions,
        limits: &Limits,
        turn: &Turn,
        peer: PeerId,
        subscribe: Subscribe,
    ) -> Result<Subscribed, Refusal> {
        form::check_subscribe(&subscribe)?;
        let Subscribe { request, topic, .. } = subscribe;
        let session = sessions.joined_mut(peer);
        turn.authorize(&session.authorization, Action::Subscribe, &topic)?;
        let existing = self.topics.get(&topic).map(|subscription| subscription.id);
        let is_subscribed = existing.is_some_and(|id| session.subscriptions.contains(&id));
        if !is_subscribed && session.subscriptions.len() >= limits.subscriptions_per_session {
            return Err(Refusal::limit(
                "subscriptions_per_session",
                limits.subscriptions_per_session,
                "unsubscribe from some topics",
            ));
        }

        let id = existing.unwrap_or_else(|| self.create(topic.clone()));
        if session.subscriptions.insert(id) {
            let subscription = self
                .topics
                .get_mut(&topic)
                .expect("it exists or was created");
            let at = (subscription.subscribers).partition_point(|subscriber| *subscriber < peer);
            subscription.subscribers.insert(at, peer);
        }
        Ok(Subscribed {
            request,
            subscription: id,
        })
    }

    fn create(&mut self, topic: Uri) -> SubscriptionId {
        self.subscribed += 1;
        let id = SubscriptionId::new(self.subscribed).expect("nobody can subscribe 2^53 times");
        self.by_id.insert(id, topic.clone());
        let subscription = Subscription {
            id,
            subscribers: Vec::new(),
        };
        self.topics.insert(topic, subscription);
        id
    }

    /// UNSUBSCRIBE. Source: WAMP specification, "Subscribing and Unsubscribing".
    pub(super) fn unsubscribe(
        &mut self,
        sessions: &mut Sessions,
        peer: PeerId,
        unsubscribe: &Unsubscribe,
    ) -> Result<Unsubscribed, Refusal> {
        let id = unsubscribe.subscription;
        if !sessions.joined_mut(peer).subscriptions.remove(&id) {
            return Err(Refusal::new(
                error_uri::NO_SUCH_SUBSCRIPTION,
                format!("this session has no subscription {id}: use the id that SUBSCRIBED gave"),
            ));
        }
        self.remove(peer, id);
        let how = Unsubscribing::Requested(unsubscribe.request);
        Ok(Unsubscribed { how })
    }

    /// Takes a subscriber from a subscription, and the subscription away with its last.
    fn remove(&mut self, peer: PeerId, id: SubscriptionId) {
        let topic = &self.by_id[&id];
        let subscription = self
            .topics
            .get_mut(topic)
            .expect("every subscription has its topic");
        if let Ok(at) = subscription.subscribers.binary_search(&peer) {
            subscription.subscribers.remove(at);
        }
        if subscription.subscribers.is_empty() {
            self.topics.remove(topic);
            self.by_id.remove(&id);
        }
    }

    /// PUBLISH: the publication, and who is to receive its event.
    ///
    /// Source: WAMP specification, "Publishing and Events"; for `exclude_me`, "Publisher
    /// Exclusion"; for `disclose_me`, "Publisher Identification"; for the lists, "Subscriber Black-
    /// and Whitelisting".
    pub(super) fn publish(
        &mut self,
        sessions: &Sessions,
        turn: &Turn,
        peer: PeerId,
        publish: Publish,
        ids: &mut dyn IdSource,
    ) -> Result<Publication, Refusal> {
        let (publisher, options) = (sessions.joined(peer), &publish.options);
        check_options(options.bad.as_deref())?;
        check_application_uri(&publish.topic)?;
        let role = &publisher.authorization;
        let disclose = turn.authorize(role, Action::Publish, &publish.topic)?;

        self.publications += 1;
        let id = ids.publication();
        let event = self.topics.get(&publish.topic).and_then(|subscription| {
            let subscribers = self.present(sessions, subscription);
            let excluded = options.exclude_me.then_some(peer);
            let to = match &options.receivers {
                None => all_but(&subscribers, excluded),
                Some(lists) => restricted(sessions, &subscribers, excluded, lists),
            };
            let event = Event {
                subscription: subscription.id,
                publication: id,
                details: EventDetails {
                    publisher: (disclose.publisher || options.disclose_me)
                        .then(|| publisher.identity.clone()),
                    topic: None,
                },
                payload: publish.payload,
            };
            (!to.is_empty()).then(|| (to, Arc::new(event)))
        });
        Ok(Publication { id, event })
    }

    /// The subscribers that have not left.
    #[inline]
    fn present<'a>(&self, sessions: &Sessions, to: &'a Subscription) -> Cow<'a, [PeerId]> {
        if self.departed.is_empty() {
            return Cow::Borrowed(&to.subscribers);
        }
        let subscribers = to.subscribers.iter().copied();
        Cow::Owned(
            subscribers
                .filter(|peer| sessions.is_joined(*peer))
                .collect(),
        )
    }

    /// A session has left: its subscriptions end.
    pub(super) fn leave(&mut self, peer: PeerId, subscriptions: BTreeSet<SubscriptionId>) {
        self.departed.add(peer, subscriptions);
    }

    pub(super) fn has_departed(&self) -> bool {
        !self.departed.is_empty()
    }

    /// Takes one subscriber that has left from its subscription, if there is one.
    pub(super) fn clear_one(&mut self) -> bool {
        let Some((peer, id)) = self.departed.pop() else {
            return false;
        };
        self.remove(peer, id);
        true
    }

    /// Ends every subscription.
    pub(super) fn shut_down(&mut self, sessions: &mut Sessions) {
        self.topics = UriMap::default();
        self.by_id.clear();
        self.departed = Departed::default();
        for peer in sessions.peers() {
            sessions.joined_mut(peer).subscriptions.clear();
        }
    }

    /// Panics unless every index agrees with what it is an index of.
    pub(super) fn check(&self, sessions: &Sessions, limits: &Limits) {
        assert_eq!(
            self.by_id.len(),
            self.topics.len(),
            "as many subscription ids as subscriptions"
        );
        let departed: BTreeSet<_> = self.departed.ids().collect();
        let mut subscribers = 0;
        for (by, topic) in &self.by_id {
            let subscription = self.topics.get(topic).expect("each id has its topic");
            let id = subscription.id;
            assert_eq!(id, *by, "subscription {id} is found by its id");
            assert!(
                !subscription.subscribers.is_empty(),
                "subscription {id} has a subscriber"
            );
            assert!(
                subscription.subscribers.is_sorted_by(|a, b| a < b),
                "the subscribers of {id} are in order, none twice"
            );
            for peer in &subscription.subscribers {
                assert!(
                    departed.contains(&(*peer, id))
                        || sessions.joined(*peer).subscriptions.contains(&id),
                    "{peer:?} knows its subscription {id}, or has left"
                );
            }
            subscribers += subscription.subscribers.len();
        }
        let mut known = departed.len();
        for peer in sessions.peers() {
            let subscriptions = sessions.joined(peer).subscriptions.len();
            assert!(
                subscriptions <= limits.subscriptions_per_session,
                "{peer:?} is within the limits"
            );
            known += subscriptions;
        }
        assert_eq!(
            known, subscribers,
            "sessions know no subscription that is none"
        );
    }
}

/// All subscribers but one.
fn all_but(subscribers: &[PeerId], excluded: Option<PeerId>) -> Vec<PeerId> {
    match excluded.map(|peer| subscribers.binary_search(&peer)) {
        Some(Ok(at)) => [&subscribers[..at], &subscribers[at + 1..]].concat(),
        _ => subscribers.to_vec(),
    }
}

/// The subscribers that the publisher's lists admit, in their order.
fn restricted(
    sessions: &Sessions,
    subscribers: &[PeerId],
    excluded: Option<PeerId>,
    lists: &Receivers,
) -> Vec<PeerId> {
    let admitted = |peer: &PeerId| Some(*peer) != excluded && admits(lists, sessions.joined(*peer));
    match &lists.eligible {
        // An event for a few costs as much as they are, however many have subscribed.
        Some(eligible) if eligible.len() < subscribers.len() => {
            let mut to: Vec<_> = (eligible.iter())
                .filter_map(|id| sessions.peer(*id))
                .filter(|peer| subscribers.binary_search(peer).is_ok())
                .filter(admitted)
                .collect();
            to.sort_unstable();
            to
        }
        _ => (subscribers.iter().copied()).filter(admitted).collect(),
    }
}

/// Whether the lists let a subscriber receive the event: it is in each list of the eligible that
/// there is, and in none of the excluded.
fn admits(lists: &Receivers, subscriber: &Session) -> bool {
    let Identity {
        session,
        authid,
        authrole,
        ..
    } = &*subscriber.identity;
    let names =
        |list: &BTreeSet<String>, text: Option<&str>| text.is_some_and(|text| list.contains(text));
    let (authid, authrole) = (authid.as_deref(), authrole.as_deref());
    let eligible = (lists.eligible.as_ref()).is_none_or(|list| list.contains(session))
        && (lists.eligible_authid.as_ref()).is_none_or(|list| names(list, authid))
        && (lists.eligible_authrole.as_ref()).is_none_or(|list| names(list, authrole));
    let excluded = (lists.exclude.as_ref()).is_some_and(|list| list.contains(session))
        || (lists.exclude_authid.as_ref()).is_some_and(|list| names(list, authid))
        || (lists.exclude_authrole.as_ref()).is_some_and(|list| names(list, authrole));
    eligible && !excluded
}
