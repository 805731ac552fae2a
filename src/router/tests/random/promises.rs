//! What the router owes to each operation, by what peers have sent and received before.

use std::collections::BTreeSet;

use super::{LIMITS, NAMES, World};
use crate::{
    router::{Input, Output, PeerId, tests::script::decode},
    wamp::{Event, Message, MessageType, Payload, RequestType},
};

impl World {
    fn owner(&self, procedure: &str) -> Option<u64> {
        let mut owners = (self.peers.iter())
            .filter(|(_, state)| state.registrations.values().any(|name| *name == procedure))
            .map(|(peer, _)| *peer);
        let owner = owners.next();
        assert_eq!(owners.next(), None, "{procedure} has one callee");
        owner
    }

    pub(super) fn registered(&mut self, peer: u64, procedure: &str, outputs: &[Output]) {
        let allowed = procedure.starts_with("com.") && !procedure.contains("..");
        let full = self.peers[&peer].registrations.len() == LIMITS.registrations_per_session;
        let expected = allowed && !full && self.owner(procedure).is_none();
        match only(peer, outputs) {
            Message::Registered(m) if expected => {
                let state = self.peers.get_mut(&peer).expect("joined");
                let fresh = state
                    .registrations
                    .insert(m.registration.value(), known(procedure));
                assert_eq!(fresh, None);
            }
            Message::Error(m) if !expected => {
                assert_eq!(m.request_type, RequestType::Register);
            }
            other => panic!("{other:?}, expected to be registered: {expected}"),
        }
    }

    pub(super) fn unregistered(&mut self, peer: u64, id: u64, outputs: &[Output]) {
        let state = self.peers.get_mut(&peer).expect("joined");
        match (state.registrations.remove(&id), only(peer, outputs)) {
            (Some(_), Message::Unregistered(_)) | (None, Message::Error(_)) => {}
            other => panic!("{other:?}"),
        }
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
        (acknowledge, exclude_me): (bool, bool),
        outputs: &[Output],
    ) {
        let state = self.peers.get_mut(&peer).expect("joined");
        state.published += 1;
        let accepted = topic.starts_with("com.") && !topic.contains("..");
        let receivers: Vec<u64> = (self.peers.iter())
            .filter(|(id, _)| accepted && !(exclude_me && **id == peer))
            .filter(|(_, state)| state.subscriptions.values().any(|name| *name == topic))
            .map(|(id, _)| *id)
            .collect();
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
            Some(Output::Event { to, event }) => {
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
        self.events += 1;
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

    /// A CALL leads to an INVOCATION or to an ERROR at once.
    pub(super) fn called(
        &mut self,
        peer: u64,
        procedure: &str,
        token_sent: u64,
        outputs: &[Output],
    ) {
        let owner = self.owner(procedure);
        let [Output::Send { to, message }] = outputs else {
            panic!("{outputs:?}")
        };
        match message {
            Message::Invocation(m) => {
                assert_eq!(Some(to.0), owner);
                let callee = self.peers.get_mut(&to.0).expect("joined");
                callee.invoked += 1;
                assert_eq!(
                    m.request.value(),
                    callee.invoked,
                    "invocations count 1, 2, 3"
                );
                assert!(callee.registrations.contains_key(&m.registration.value()));
                assert_eq!(token(&m.payload), token_sent);
                callee.invocations.insert(m.request.value(), token_sent);
            }
            Message::Error(m) => {
                let full = self.peers[&peer].calls.len() > LIMITS.calls_per_session
                    || owner.is_some_and(|o| {
                        self.live_invocations(o) == LIMITS.invocations_per_session
                    });
                assert!(
                    owner.is_none() || full,
                    "a callee that can be invoked is: {m:?}"
                );
                self.answer(to.0, m.request.value());
                assert_eq!(to.0, peer);
            }
            other => panic!("{other:?}"),
        }
    }

    /// The invocations of a callee whose callers still wait.
    fn live_invocations(&self, callee: u64) -> usize {
        (self.peers[&callee].invocations.values())
            .filter(|token| self.waiting(**token).is_some())
            .count()
    }

    /// Who waits for the answer to a call, and under which request.
    fn waiting(&self, token: u64) -> Option<(u64, u64)> {
        self.peers.iter().find_map(|(peer, state)| {
            (state.calls.iter())
                .find(|(_, pending)| **pending == token)
                .map(|(request, _)| (*peer, *request))
        })
    }

    /// The caller has its answer, and was waiting for one.
    fn answer(&mut self, caller: u64, request: u64) {
        let state = self.peers.get_mut(&caller).expect("joined");
        let call = state.calls.remove(&request);
        assert!(call.is_some(), "{caller} waits for an answer to {request}");
        self.answered += 1;
    }

    /// YIELD and ERROR reach whoever waits, and nobody else.
    pub(super) fn concluded(
        &mut self,
        peer: u64,
        invocation: u64,
        yields: bool,
        outputs: &[Output],
    ) {
        let state = self.peers.get_mut(&peer).expect("joined");
        let sent = state.invocations.remove(&invocation);
        let Some((caller, request)) = sent.and_then(|token| self.waiting(token)) else {
            assert_eq!(outputs, [], "nobody waits for this");
            return;
        };
        match only(caller, outputs) {
            Message::Result(m) if yields => {
                assert_eq!(m.request.value(), request);
                assert_eq!(Some(token(&m.payload)), sent);
            }
            Message::Error(m) if !yields => {
                assert_eq!(
                    (m.request.value(), m.request_type),
                    (request, RequestType::Call)
                );
                assert_eq!(m.error.as_str(), "com.failed");
                assert_eq!(Some(token(&m.payload)), sent);
            }
            other => panic!("{other:?}"),
        }
        self.answer(caller, request);
    }

    /// A session ends: with what it is told, and an ERROR for everybody it owed an answer.
    pub(super) fn leave(&mut self, peer: u64, input: Input, told: &[MessageType]) {
        let outputs = self.handle(input);
        let state = self.peers.remove(&peer).expect("joined");
        let owed: BTreeSet<(u64, u64)> = (state.invocations.values())
            .filter_map(|token| self.waiting(*token))
            .collect();
        let mut answered = BTreeSet::new();
        let mut heard = Vec::new();
        let mut closes = 0;
        for output in outputs {
            match output {
                Output::Send { to, message } if to.0 == peer => {
                    assert_eq!(closes, 0, "nothing comes after the close");
                    heard.push(message.message_type());
                }
                Output::Send {
                    to,
                    message: Message::Error(m),
                } => {
                    assert_eq!(m.error.as_str(), "wamp.error.canceled");
                    assert!(answered.insert((to.0, m.request.value())), "once");
                    self.answer(to.0, m.request.value());
                }
                Output::Close { peer: closed } => {
                    assert_eq!(closed.0, peer);
                    closes += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(answered, owed, "each caller has its answer");
        assert_eq!(heard, told);
        assert_eq!(closes, told.len());
        if closes == 1 {
            self.closed.insert(peer);
        }
    }

    /// Shutdown answers whatever is pending; then everybody leaves and nothing is left.
    pub(super) fn end(&mut self) {
        assert_eq!(self.handle(Input::Drain), []);
        let mut goodbyes = Vec::new();
        for output in self.handle(Input::Shutdown) {
            match output {
                Output::Send {
                    to,
                    message: Message::Error(m),
                } => {
                    assert!(!goodbyes.contains(&to.0), "answers come before GOODBYE");
                    self.answer(to.0, m.request.value());
                }
                Output::Send {
                    to,
                    message: Message::Goodbye(_),
                } => goodbyes.push(to.0),
                other => panic!("{other:?}"),
            }
        }
        let joined: Vec<u64> = self.peers.keys().copied().collect();
        assert_eq!(goodbyes, joined);
        assert!(self.peers.values().all(|state| state.calls.is_empty()));
        for peer in joined {
            let outputs = self.handle(Input::Message {
                peer: PeerId(peer),
                message: decode(r#"[6,{},"wamp.close.goodbye_and_out"]"#),
            });
            assert_eq!(outputs, [Output::Close { peer: PeerId(peer) }]);
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
    let (token,) = payload.args().unwrap();
    token
}

/// The same name, for as long as the test runs.
fn known(name: &str) -> &'static str {
    NAMES
        .into_iter()
        .find(|known| *known == name)
        .expect("one of the names")
}
