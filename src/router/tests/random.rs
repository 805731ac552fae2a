//! Seeded random operations, legal and illegal, against a model that knows who is owed what.
//! The model reads only what peers send and receive. Owns the operations; `promises` says what
//! they must lead to.

mod promises;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::script::{Counted, decode, realm};
use crate::{
    router::{Input, Limits, Output, PeerId, Router},
    wamp::{Message, MessageType},
};

const SEEDS: [u64; 12] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233];
const OPERATIONS: usize = 3_000;
const PEERS: u64 = 10;
const NAMES: [&str; 5] = ["com.a", "com.b", "com.c", "wamp.d", "com..e"];

/// Small enough to be reached.
const LIMITS: Limits = Limits {
    registrations_per_session: 3,
    subscriptions_per_session: 2,
    calls_per_session: 6,
    invocations_per_session: 8,
    queued_calls_per_registration: 3,
};

/// SplitMix64: small, and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let at = self.below(choices.len().max(1) as u64);
        choices.get(at as usize).copied()
    }
}

/// Says which seed failed and where.
struct Place {
    seed: u64,
    operation: usize,
    doing: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {}, operation {}: {}",
                self.seed, self.operation, self.doing
            );
        }
    }
}

#[test]
fn random_operations_keep_every_promise() {
    let mut answered = 0;
    let mut events = 0;
    for seed in SEEDS {
        let mut place = Place {
            seed,
            operation: 0,
            doing: String::new(),
        };
        let mut world = World::new(seed);
        for operation in 0..OPERATIONS {
            place.operation = operation;
            world.operate(&mut place.doing);
        }
        place.doing = "shutdown".to_owned();
        world.end();
        answered += world.answered;
        events += world.events;
    }
    // The operations have to reach what they are to test.
    assert!(answered > 2_000, "{answered} calls answered");
    assert!(events > 2_000, "{events} events received");
}

/// What one peer has sent and received.
#[derive(Default)]
struct Peer {
    /// Its unanswered calls, by request: the token that each carries.
    calls: BTreeMap<u64, u64>,
    /// The invocations it has received and not answered: the token that each carries.
    invocations: BTreeMap<u64, u64>,
    invoked: u64,
    registrations: BTreeMap<u64, &'static str>,
    subscriptions: BTreeMap<u64, &'static str>,
    /// The last event received of each publisher.
    heard: HashMap<u64, u64>,
    requests: u64,
    published: u64,
}

struct World {
    random: Random,
    router: Router,
    peers: BTreeMap<u64, Peer>,
    /// Peers that are closed, but whose transport the router has not heard is lost.
    closed: BTreeSet<u64>,
    next_peer: u64,
    tokens: u64,
    answered: usize,
    events: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut realm = realm();
        realm.limits = LIMITS;
        Self {
            random: Random(seed),
            router: Router::new(realm, Counted::boxed()),
            peers: BTreeMap::new(),
            closed: BTreeSet::new(),
            next_peer: 1,
            tokens: 0,
            answered: 0,
            events: 0,
        }
    }

    fn operate(&mut self, doing: &mut String) {
        let joined: Vec<u64> = self.peers.keys().copied().collect();
        let closed: Vec<u64> = self.closed.iter().copied().collect();
        if joined.len() < 3 || (joined.len() as u64) < PEERS && self.random.below(8) == 0 {
            *doing = "join".to_owned();
            return self.join();
        }
        let peer = self.random.one_of(&joined).expect("three at least");
        match self.random.below(400) {
            0 => {
                *doing = format!("{peer} gone");
                self.leave(peer, Input::Gone { peer: PeerId(peer) }, &[]);
            }
            1 => {
                *doing = format!("{peer} garbles");
                let reason = "garbage".to_owned();
                let peer_id = PeerId(peer);
                let input = Input::Violation {
                    peer: peer_id,
                    reason,
                };
                self.leave(peer, input, &[MessageType::Abort]);
            }
            2..=9 => {
                let Some(peer) = self.random.one_of(&closed) else {
                    return;
                };
                *doing = format!("{peer} speaks after its end");
                let (text, _) = self.message(peer);
                let message = decode(&text);
                let peer_id = PeerId(peer);
                let outputs = self.handle(Input::Message {
                    peer: peer_id,
                    message,
                });
                assert_eq!(outputs, [], "the closed are not heard");
                if self.random.below(2) == 0 {
                    self.closed.remove(&peer);
                    assert_eq!(self.handle(Input::Gone { peer: peer_id }), []);
                }
            }
            _ => {
                let (text, ends_with) = self.message(peer);
                *doing = format!("{peer} > {text}");
                self.send(peer, &text, ends_with);
            }
        }
    }

    fn join(&mut self) {
        let peer = PeerId(self.next_peer);
        self.next_peer += 1;
        let Message::Hello(hello) = decode(r#"[1,"realm1",{"roles":{"callee":{}}}]"#) else {
            panic!("not a HELLO")
        };
        let authrole = if self.random.below(2) == 0 {
            "open"
        } else {
            "anonymous"
        };
        let outputs = self.handle(Input::Hello {
            peer,
            hello,
            authrole: authrole.to_owned(),
        });
        assert!(matches!(
            &outputs[..],
            [Output::Send { to, message: Message::Welcome(_) }] if *to == peer
        ));
        self.peers.insert(peer.0, Peer::default());
    }

    /// A message that the peer might send, and what the router must then end the session with,
    /// if it must.
    fn message(&mut self, peer: u64) -> (String, Option<MessageType>) {
        let random = &mut self.random;
        let name = random.one_of(&NAMES).expect("some names");
        let empty = Peer::default();
        let state = self.peers.get(&peer).unwrap_or(&empty);
        let request = state.requests + 1;
        let invocations: Vec<u64> = state.invocations.keys().copied().collect();
        // Now and then one that was answered before, or whose caller is gone.
        let invocation = match random.below(6) {
            0 if state.invoked > 0 => 1 + random.below(state.invoked),
            _ => random
                .one_of(&invocations)
                .unwrap_or_else(|| state.invoked.max(1)),
        };
        let token = state.invocations.get(&invocation).copied().unwrap_or(0);
        let never_asked = (state.invoked == 0).then_some(MessageType::Abort);
        let own = |ids: Vec<u64>, random: &mut Random| {
            random.one_of(&ids).unwrap_or_else(|| 1 + random.below(30))
        };
        match random.below(100) {
            0..=9 => (format!(r#"[64,{request},{{}},"{name}"]"#), None),
            10..=14 => {
                let id = own(state.registrations.keys().copied().collect(), random);
                (format!("[66,{request},{id}]"), None)
            }
            15..=24 => (format!(r#"[32,{request},{{}},"{name}"]"#), None),
            25..=29 => {
                let id = own(state.subscriptions.keys().copied().collect(), random);
                (format!("[34,{request},{id}]"), None)
            }
            30..=44 => {
                let (acknowledge, exclude_me) = (random.below(2) == 0, random.below(2) == 0);
                let number = state.published + 1;
                let options =
                    format!(r#"{{"acknowledge":{acknowledge},"exclude_me":{exclude_me}}}"#);
                (
                    format!(r#"[16,{request},{options},"{name}",[{peer},{number}]]"#),
                    None,
                )
            }
            45..=69 => {
                self.tokens += 1;
                let token = self.tokens;
                (format!(r#"[48,{request},{{}},"{name}",[{token}]]"#), None)
            }
            70..=89 => (format!("[70,{invocation},{{}},[{token}]]"), never_asked),
            90..=96 => (
                format!(r#"[8,68,{invocation},{{}},"com.failed",[{token}]]"#),
                never_asked,
            ),
            97 if random.below(8) == 0 => (
                r#"[6,{},"wamp.close.close_realm"]"#.to_owned(),
                Some(MessageType::Goodbye),
            ),
            98 if random.below(8) == 0 => {
                let illegal = [
                    "[50,1,{}]",
                    "[68,1,1,{}]",
                    r#"[8,48,1,{},"com.x"]"#,
                    "[70,9007199254740992,{}]",
                    r#"[1,"realm1",{}]"#,
                ];
                let text = random.one_of(&illegal).expect("some").to_owned();
                (text, Some(MessageType::Abort))
            }
            99 if !state.calls.is_empty() && random.below(8) == 0 => {
                let pending: Vec<u64> = state.calls.keys().copied().collect();
                let request = random.one_of(&pending).expect("some");
                (
                    format!(r#"[48,{request},{{}},"com.a"]"#),
                    Some(MessageType::Abort),
                )
            }
            _ => (r#"[16,1,{},"com.nobody"]"#.to_owned(), None),
        }
    }

    fn send(&mut self, peer: u64, text: &str, ends_with: Option<MessageType>) {
        let message = decode(text);
        let input = Input::Message {
            peer: PeerId(peer),
            message: message.clone(),
        };
        if let Some(last) = ends_with {
            return self.leave(peer, input, &[last]);
        }
        let state = self.peers.get_mut(&peer).expect("joined");
        state.requests += 1;
        let outputs = self.handle(input);
        match message {
            Message::Register(m) => self.registered(peer, m.procedure.as_str(), &outputs),
            Message::Unregister(m) => self.unregistered(peer, m.registration.value(), &outputs),
            Message::Subscribe(m) => self.subscribed(peer, m.topic.as_str(), &outputs),
            Message::Unsubscribe(m) => self.unsubscribed(peer, m.subscription.value(), &outputs),
            Message::Publish(m) => self.published(
                peer,
                m.topic.as_str(),
                (m.options.acknowledge, m.options.exclude_me),
                &outputs,
            ),
            Message::Call(m) => {
                let token = promises::token(&m.payload);
                let state = self.peers.get_mut(&peer).expect("joined");
                state.calls.insert(m.request.value(), token);
                self.called(peer, m.procedure.as_str(), token, &outputs);
            }
            Message::Yield(m) => self.concluded(peer, m.request.value(), true, &outputs),
            Message::Error(m) => self.concluded(peer, m.request.value(), false, &outputs),
            other => panic!("{other:?} is not sent here"),
        }
    }

    fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.router
            .handle(std::time::Instant::now(), input, &mut outputs);
        self.router.check();
        for output in &outputs {
            let Output::Send { to, message } = output else {
                continue;
            };
            if !matches!(message, Message::Abort(_) | Message::Welcome(_)) {
                assert!(self.peers.contains_key(&to.0), "only the joined are told");
            }
        }
        outputs
    }
}
