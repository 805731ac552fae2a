//! What the router owes to each operation but calls, by what peers have sent and received
//! before.

use super::{LIMITS, NAMES, QUESTION, Registration, Said, World, said, take_errors};
use crate::{Input, Output, PeerId, tests::script::decode};
use wamp::{
    Event, Message, MessageType, Payload, PublishOptions, RequestType, Unregistered, Unregistering,
};

impl World {
    /// The callee of a procedure, and its registration.
    pub(super) fn owner(&self, procedure: &str) -> Option<(u64, u64)> {
        let mut owners = self.peers.iter().flat_map(|(peer, state)| {
            (state.registrations.iter())
                .filter(|(_, registration)| registration.procedure == procedure)
                .map(|(id, _)| (*peer, *id))
        });
        let owner = owners.next();
        assert_eq!(owners.next(), None, "{procedure} has one callee");
        owner
    }

    pub(super) fn registered(
        &mut self,
        peer: u64,
        procedure: &str,
        (concurrency, force): (Option<u64>, bool),
        mut outputs: Vec<Output>,
    ) {
        let allowed = procedure.starts_with("com.") && !procedure.contains("..");
        let owner = self.owner(procedure);
        let is_own = owner.is_some_and(|(callee, _)| callee == peer);
        let full = self.peers[&peer].registrations.len() == LIMITS.registrations_per_session;
        let expected = allowed && (!full || force && is_own) && (force || owner.is_none());
        let mut owed = Vec::new();
        if let Some((callee, registration)) = owner.filter(|_| expected) {
            owed = self.taken_over(callee, registration, outputs.remove(0));
        }
        let failed = outputs.split_off(outputs.len().min(1));
        match only(peer, &outputs) {
            Message::Registered(m) if expected => {
                let state = self.peers.get_mut(&peer).expect("joined");
                let registration = Registration {
                    procedure: known(procedure),
                    concurrency,
                };
                let id = m.registration.value();
                let former = state.registrations.insert(id, registration);
                assert!(former.is_none(), "the id is new");
            }
            Message::Error(m) if !expected => {
                assert_eq!(m.request_type, RequestType::Register);
            }
            other => panic!("{other:?}, expected to be registered: {expected}"),
        }
        self.expect(failed, &owed);
    }

    /// A callee is told that it has lost a registration, and those who wait for it have errors.
    fn taken_over(&mut self, callee: u64, registration: u64, told: Output) -> Vec<Said> {
        let outputs = [told];
        let Message::Unregistered(Unregistered {
            how: Unregistering::Revoked(revoked),
        }) = only(callee, &outputs)
        else {
            panic!("UNREGISTERED: {outputs:?}")
        };
        assert_eq!(revoked.registration.value(), registration);
        let callee = self.peers.get_mut(&callee).expect("joined");
        callee.registrations.remove(&registration);
        self.taken_over += 1;
        (self.calls).unregister(registration, "wamp.error.unavailable")
    }

    pub(super) fn unregistered(&mut self, peer: u64, id: u64, mut outputs: Vec<Output>) {
        let failed = outputs.split_off(outputs.len().min(1));
        let state = self.peers.get_mut(&peer).expect("joined");
        let mut owed = Vec::new();
        match (state.registrations.remove(&id), only(peer, &outputs)) {
            (Some(_), Message::Unregistered(_)) => {
                owed = self.calls.unregister(id, "wamp.error.no_such_procedure");
            }
            (None, Message::Error(_)) => {}
            (_, other) => panic!("{other:?}"),
        }
        self.expect(failed, &owed);
    }

    pub(super) fn subscribed(&mut self, peer: u64, topic: &str, outputs: &[Output]) {
        let others = self.peers.values().flat_map(|state| &state.subscriptions);
        let shared = others
            .filter(|(_, name)| **name == topic)
            .map(|(id, _)| *id)
            .next();
        let state = self.peers.get_mut(&peer).expect("joined");
        let has = state.subscriptions.values().any(|name| *name == topic);
        let expected = !topic.contains("..")
            && (has || state.subscriptions.len() < LIMITS.subscriptions_per_session);
        match only(peer, outputs) {
            Message::Subscribed(m) if expected => {
                let id = m.subscription.value();
                assert_eq!(id, shared.unwrap_or(id), "all subscribers share the id");
                state.subscriptions.insert(id, known(topic));
            }
            Message::Error(_) if !expected => {}
            other => panic!("{other:?}, expected to be subscribed: {expected}"),
        }
    }

    pub(super) fn unsubscribed(&mut self, peer: u64, id: u64, outputs: &[Output]) {
        let state = self.peers.get_mut(&peer).expect("joined");
        match (state.subscriptions.remove(&id), only(peer, outputs)) {
            (Some(_), Message::Unsubscribed(_)) | (None, Message::Error(_)) => {}
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn published(
        &mut self,
        peer: u64,
        topic: &str,
        options: &PublishOptions,
        outputs: &[Output],
    ) {
        let (acknowledge, exclude_me) = (options.acknowledge, options.exclude_me);
        let accepted = topic.starts_with("com.") && !topic.contains("..");
        let receivers: Vec<u64> = (self.peers.iter())
            .filter(|(id, _)| accepted && !(exclude_me && **id == peer))
            .filter(|(_, state)| state.subscriptions.values().any(|name| *name == topic))
            .filter(|(_, state)| {
                (options.receivers.as_deref()).is_none_or(|lists| state.is_admitted(lists))
            })
            .map(|(id, _)| *id)
            .collect();
        let subscribed = (self.peers.values())
            .filter(|state| state.subscriptions.values().any(|name| *name == topic))
            .count();
        let some = !receivers.is_empty() && receivers.len() + 1 < subscribed;
        self.restricted += u64::from(some);
        let mut outputs = outputs.iter();
        if acknowledge {
            match outputs.next() {
                Some(Output::Send {
                    message: Message::Published(_),
                    to,
                }) if accepted => assert_eq!(to.0, peer),
                Some(Output::Send {
                    message: Message::Error(_),
                    to,
                }) if !accepted => assert_eq!(to.0, peer),
                other => panic!("{other:?}, expected acceptance: {accepted}"),
            }
        }
        match outputs.next() {
            Some(Output::Event { to, event, .. }) => {
                let to: Vec<u64> = to.iter().map(|peer| peer.0).collect();
                assert_eq!(to, receivers);
                for receiver in to {
                    self.heard(receiver, event);
                }
            }
            None => assert_eq!(receivers, [0; 0], "nobody is left out"),
            other => panic!("{other:?}"),
        }
        assert_eq!(outputs.next(), None);
    }

    fn heard(&mut self, receiver: u64, event: &Event) {
        let state = self.peers.get_mut(&receiver).expect("joined");
        assert!(
            state
                .subscriptions
                .contains_key(&event.subscription.value()),
            "SUBSCRIBED before EVENT"
        );
        let (publisher, number): (u64, u64) = event.payload.args().unwrap();
        let last = state.heard.insert(publisher, number).unwrap_or(0);
        assert!(last < number, "a publisher's events come in order");
    }

    /// A session ends: with what it is told, an ERROR for everybody it owed an answer, and an
    /// INTERRUPT for whoever works for it.
    pub(super) fn leave(&mut self, peer: u64, input: Input, told: &[MessageType]) {
        let mut outputs = self.handle(input);
        let refused = self.waits.leave(peer);
        self.asked.leave(peer);
        take_errors(&mut outputs, &refused);
        let mut owed = self.calls.leave(&self.peers, peer);
        self.settle_questions(&mut outputs);
        self.peers.remove(&peer).expect("joined");
        let (mut others, own) = said(outputs);
        owed.sort_unstable();
        others.sort_unstable();
        assert_eq!(others, owed, "all those are told who have to be");
        let (mut heard, mut closes) = (Vec::new(), 0);
        for output in own {
            match output {
                Output::Send { to, message } if to.0 == peer => {
                    assert_eq!(closes, 0, "nothing comes after the close");
                    heard.push(message.message_type());
                }
                Output::Close { peer: closed } => {
                    assert_eq!(closed.0, peer);
                    closes += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, told);
        assert_eq!(closes, told.len());
        if closes == 1 {
            self.closed.insert(peer);
        }
        self.check_calls();
    }

    /// Shutdown answers whatever is pending; then everybody leaves and nothing is left.
    pub(super) fn end(&mut self) {
        assert_eq!(self.handle(Input::Drain), []);
        let mut outputs = self.handle(Input::Shutdown);
        let refused = self.waits.shut_down();
        take_errors(&mut outputs, &refused);
        let is_end = |output: &Output| matches!(output, Output::GoAway { .. });
        assert!(outputs.is_sorted_by_key(is_end), "answers come first");
        let (mut answers, ends) = said(outputs);
        let mut owed = self.calls.shut_down();
        self.calls.answers.clear();
        owed.sort_unstable();
        answers.sort_unstable();
        assert_eq!(answers, owed, "each call has its answer");
        self.check_calls();
        let ends: Vec<u64> = (ends.iter())
            .map(|output| match output {
                Output::GoAway { peer } => peer.0,
                other => panic!("{other:?}"),
            })
            .collect();
        let joined: Vec<u64> = self.peers.keys().copied().collect();
        assert_eq!(ends, joined);
        for peer in joined {
            let outputs = self.handle(Input::Message {
                peer: PeerId(peer),
                message: decode(r#"[6,{},"wamp.close.goodbye_and_out"]"#),
            });
            assert_eq!(outputs, []);
        }
        let stats = self.router.stats();
        assert_eq!(
            (
                stats.sessions,
                stats.registrations,
                stats.subscriptions,
                stats.pending_invocations
            ),
            (0, 0, 0, 0)
        );
    }
}

/// The one message that is given, which is for this peer.
fn only(peer: u64, outputs: &[Output]) -> &Message {
    let [Output::Send { to, message }] = outputs else {
        panic!("one message: {outputs:?}")
    };
    assert_eq!(to.0, peer);
    message
}

pub(super) fn token(payload: &Payload) -> u64 {
    let arguments: Vec<serde_json::Value> = payload.args().unwrap();
    // The authorizer has four.
    match &arguments[..] {
        [token] => token.as_u64().expect("a number"),
        arguments => {
            assert_eq!(arguments.len(), 4, "{arguments:?}");
            QUESTION
        }
    }
}

/// The same name, for as long as the test runs.
fn known(name: &str) -> &'static str {
    NAMES
        .into_iter()
        .find(|known| *known == name)
        .expect("one of the names")
}
