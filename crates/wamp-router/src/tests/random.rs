//! Seeded random operations, legal and illegal, against a model that knows who is owed what.
//! The model reads only what peers send and receive. Owns the operations; `promises` and, for
//! calls, `calls` and `shares` say what they must lead to; `receivers` owns the lists of
//! publications, `waiting` what waits for permission.

mod asked;
mod calls;
mod handling;
mod promises;
mod reached;
mod receivers;
mod shares;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::script::{Counted, decode, realm};
use crate::{Capacity, Input, Limits, Output, PeerId, Router};
use asked::Asked;
use calls::{Calls, QUESTION, Said, error, said};
use reached::Reached;
use waiting::{Waits, choose, take_errors};
use wamp::{Error, Message, MessageType, RpcFeatures, SessionId, Yield};

const SEEDS: [u64; 12] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233];
const OPERATIONS: usize = 8_000;
const PEERS: u64 = 10;
const NAMES: [&str; 5] = ["com.a", "com.b", "com.c", "wamp.d", "com..e"];

/// Small enough to be reached.
const LIMITS: Limits = Limits {
    registrations_per_session: 3,
    subscriptions_per_session: 2,
    calls_per_session: 9,
    invocations_per_session: 10,
    queued_calls_per_registration: 7,
    queued_octets_per_registration: 480,
    waiting_requests_per_session: 6,
    waiting_octets_per_session: 30,
    authorization_timeout: Duration::from_millis(60),
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
struct Report {
    seed: u64,
    operation: usize,
    doing: String,
}

impl Drop for Report {
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
    let mut reached = Reached::default();
    for seed in SEEDS {
        let mut report = Report {
            seed,
            operation: 0,
            doing: String::new(),
        };
        let mut world = World::new(seed);
        for operation in 0..OPERATIONS {
            report.operation = operation;
            world.operate(&mut report.doing);
            world.waits.check_told();
        }
        report.doing = "shutdown".to_owned();
        world.end();
        reached.add(&world);
    }
    // The operations have to reach what they are to test.
    assert!(reached.is_enough(), "{reached:?}");
}

/// What one peer has sent and received.
struct Peer {
    session: SessionId,
    authrole: &'static str,
    features: RpcFeatures,
    capacity: Option<Capacity>,
    /// The invocations it has received and not answered: the token that each carries.
    invocations: BTreeMap<u64, u64>,
    invoked: u64,
    registrations: BTreeMap<u64, Registration>,
    subscriptions: BTreeMap<u64, &'static str>,
    /// The last event received of each publisher.
    heard: HashMap<u64, u64>,
    requests: u64,
}

impl Peer {
    fn new(
        session: SessionId,
        authrole: &'static str,
        features: RpcFeatures,
        capacity: Option<Capacity>,
    ) -> Self {
        Self {
            session,
            authrole,
            features,
            capacity,
            invocations: BTreeMap::new(),
            invoked: 0,
            registrations: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            heard: HashMap::new(),
            requests: 0,
        }
    }
}

struct Registration {
    procedure: &'static str,
    concurrency: Option<u64>,
}

struct World {
    random: Random,
    router: Router,
    started: Instant,
    /// How many milliseconds have passed since.
    now: u64,
    calls: Calls,
    waits: Waits,
    asked: Asked,
    peers: BTreeMap<u64, Peer>,
    /// Peers that are closed, but whose transport the router has not heard is lost.
    closed: BTreeSet<u64>,
    next_peer: u64,
    tokens: u64,
    interrupts: u64,
    /// How many calls had to wait and then were invoked.
    turns: u64,
    /// How many calls have ended with an answer that was too deep.
    too_deep: u64,
    /// How many parts of results have reached their callers.
    parts: u64,
    /// How many registrations have been taken over.
    taken_over: u64,
    /// How many events have gone to some of several subscribers.
    restricted: u64,
    /// How many inputs have left something to be cleared away.
    clearing: u64,
    /// How many calls were refused because their caller's share was used up.
    shared: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut realm = realm();
        realm.limits = LIMITS;
        realm.roles.push(asked::role());
        let mut router = Router::new(realm, Counted::boxed());
        // So that a session that has left has something to be cleared away for a while.
        router.cleared_at_once = 1;
        // Requests that have waited go on where the test lets them, one by one.
        router.released_at_once = 0;
        Self {
            random: Random(seed),
            router,
            started: Instant::now(),
            now: 0,
            calls: Calls::default(),
            waits: Waits::default(),
            asked: Asked::default(),
            peers: BTreeMap::new(),
            closed: BTreeSet::new(),
            next_peer: 1,
            tokens: 0,
            interrupts: 0,
            turns: 0,
            too_deep: 0,
            parts: 0,
            taken_over: 0,
            restricted: 0,
            shared: 0,
            clearing: 0,
        }
    }

    fn operate(&mut self, doing: &mut String) {
        self.check_clearing();
        let joined: Vec<u64> = self.peers.keys().copied().collect();
        let closed: Vec<u64> = self.closed.iter().copied().collect();
        if joined.len() < 3 || (joined.len() as u64) < PEERS && self.random.below(8) == 0 {
            *doing = "join".to_owned();
            return self.join();
        }
        let peer = self.random.one_of(&joined).expect("three at least");
        if let Some(operation) = choose(&mut self.random, &self.waits) {
            *doing = format!("{peer} or others guard, answer or go on");
            return operation(self, peer);
        }
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
            10..=40 => {
                self.now += self.random.below(12);
                *doing = format!("later, at {}", self.now);
                // Now and then the router learns it from what happens next only.
                if self.random.below(2) == 0 {
                    assert_eq!(self.handle(Input::Tick), []);
                }
            }
            _ => {
                let (text, ends_with) = self.message(peer);
                *doing = format!("{peer} > {text}");
                self.send(peer, &text, ends_with);
            }
        }
    }

    /// What sessions that have left had registered is cleared away, and nothing else.
    fn check_clearing(&self) {
        if self.router.to_clear.is_none() {
            let registrations = self.peers.values().map(|peer| peer.registrations.len());
            let sum: usize = registrations.sum();
            assert_eq!(
                self.router.stats().registrations,
                sum,
                "nothing is left behind"
            );
        }
    }

    fn join(&mut self) {
        let peer = PeerId(self.next_peer);
        self.next_peer += 1;
        let features = RpcFeatures {
            call_canceling: self.random.below(2) == 0,
            call_timeout: self.random.below(2) == 0,
            progressive_call_results: self.random.below(3) > 0,
            interrupt_on_skip: self.random.below(2) == 0,
            ..RpcFeatures::NONE
        };
        let Message::Hello(mut hello) = decode(r#"[1,"realm1",{}]"#) else {
            panic!("not a HELLO")
        };
        hello.details.roles.callee = Some(features);
        let authroles = ["open", "open", "anonymous", "anonymous", asked::ROLE];
        let authrole = self.random.one_of(&authroles).expect("some");
        let capacity = (self.random.below(3) == 0).then(|| Capacity {
            pool: self.random.below(2) as usize,
            invocations: 9,
            settings: "queue_limit",
            mend: "raise queue_limit",
        });
        let outputs = self.handle(Input::Hello {
            peer,
            hello,
            authrole: authrole.to_owned(),
            transport: wamp::TransportKind::Memory,
            capacity,
        });
        let [
            Output::Send {
                to,
                message: Message::Welcome(welcome),
            },
        ] = &outputs[..]
        else {
            panic!("a WELCOME: {outputs:?}")
        };
        assert_eq!(*to, peer);
        let joined = Peer::new(welcome.session, authrole, features, capacity);
        self.peers.insert(peer.0, joined);
    }

    /// A message that the peer might send, and what the router must then end the session with,
    /// if it must.
    #[expect(clippy::too_many_lines, reason = "one message of each kind")]
    fn message(&mut self, peer: u64) -> (String, Option<MessageType>) {
        let mut pending = self.calls.requests_of(peer, self.now);
        pending.extend(self.waits.calls_of(peer, self.now));
        let served: Vec<&str> = (self.peers.values())
            .flat_map(|state| state.registrations.values())
            .map(|registration| registration.procedure)
            .collect();
        let sessions: Vec<u64> = (self.peers.values())
            .map(|state| state.session.value())
            .collect();
        let random = &mut self.random;
        let name = random.one_of(&NAMES).expect("some names");
        let id = SessionId::new(1).unwrap();
        let empty = Peer::new(id, "nobody", RpcFeatures::NONE, None);
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
        let what = match random.below(100) {
            // Who has nothing to answer calls instead, most of the time.
            70..=96 if invocations.is_empty() && random.below(20) > 0 => 45,
            70..=96 if token >= QUESTION && random.below(4) > 0 => 80,
            // Somebody says what may be done, mostly.
            _ if !served.contains(&asked::AUTHORIZER) && random.below(4) == 0 => 9,
            what => what,
        };
        match what {
            0..=9 => {
                let options = random.one_of(&[
                    "{}",
                    r#"{"concurrency":1}"#,
                    r#"{"concurrency":2}"#,
                    r#"{"force_reregister":true}"#,
                    r#"{"force_reregister":true,"concurrency":1}"#,
                ]);
                let options = options.expect("some");
                let procedure = if what == 9 { asked::AUTHORIZER } else { name };
                (format!(r#"[64,{request},{options},"{procedure}"]"#), None)
            }
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
                self.tokens += 1;
                let number = self.tokens;
                let lists = receivers::lists(random, &sessions);
                let options =
                    format!(r#"{{"acknowledge":{acknowledge},"exclude_me":{exclude_me}{lists}}}"#);
                (
                    format!(r#"[16,{request},{options},"{name}",[{peer},{number}]]"#),
                    None,
                )
            }
            45..=65 => {
                self.tokens += 1;
                let token = self.tokens;
                let timeout = random.one_of(&[0, 0, 0, 0, 0, 1, 50, 200]).expect("some");
                let name = match random.below(4) {
                    0 => name,
                    _ => random.one_of(&served).unwrap_or(name),
                };
                let progress = random.below(2) == 0;
                let options = format!(r#"{{"timeout":{timeout},"receive_progress":{progress}}}"#);
                (
                    format!(r#"[48,{request},{options},"{name}",[{token}]]"#),
                    None,
                )
            }
            66..=69 => {
                let request = random.one_of(&pending).unwrap_or(request);
                let modes = ["{}", r#"{"mode":"kill"}"#, r#"{"mode":"skip"}"#];
                let mode = random.one_of(&modes).expect("some");
                (format!("[49,{request},{mode}]"), None)
            }
            70..=79 => (
                format!(r#"[70,{invocation},{{"progress":true}},[{token}]]"#),
                never_asked,
            ),
            80..=89 if token >= QUESTION => {
                let answer = random.one_of(&asked::ANSWERS).expect("some");
                (format!("[70,{invocation},{{}},[{answer}]]"), never_asked)
            }
            80..=89 => (format!("[70,{invocation},{{}},[{token}]]"), never_asked),
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
                    "[69,1,{}]",
                    r#"[8,48,1,{},"com.x"]"#,
                    "[70,9007199254740992,{}]",
                    r#"[1,"realm1",{}]"#,
                ];
                let text = random.one_of(&illegal).expect("some").to_owned();
                (text, Some(MessageType::Abort))
            }
            99 if !pending.is_empty() && random.below(8) == 0 => {
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
        if self.waits.is_leaving(peer) {
            self.waits(peer, &message);
            return;
        }
        if let Some(last) = ends_with {
            if last == MessageType::Goodbye && self.leaves_in_turn(peer, &message) {
                return;
            }
            return self.leave(peer, input, &[last]);
        }
        let state = self.peers.get_mut(&peer).expect("joined");
        state.requests += 1;
        if self.random.below(20) == 0 {
            return self.send_deep(peer, message);
        }
        if self.waits(peer, &message) {
            return;
        }
        let outputs = self.handle(input);
        self.performed(peer, message, self.now, outputs);
    }

    /// A message that came at this time is carried out, and has led to these outputs.
    fn performed(&mut self, peer: u64, message: Message, came: u64, outputs: Vec<Output>) {
        match message {
            Message::Register(m) => {
                let concurrency = m.options.concurrency.map(u64::from);
                let how = (concurrency, m.options.force_reregister);
                self.registered(peer, m.procedure.as_str(), how, outputs);
            }
            Message::Unregister(m) => self.unregistered(peer, m.registration.value(), outputs),
            Message::Subscribe(m) => self.subscribed(peer, m.topic.as_str(), &outputs),
            Message::Unsubscribe(m) => self.unsubscribed(peer, m.subscription.value(), &outputs),
            Message::Publish(m) => self.published(peer, m.topic.as_str(), &m.options, &outputs),
            Message::Call(m) => {
                let token = (promises::token(&m.payload), m.payload.len());
                let timeout = m.options.timeout;
                let deadline = (timeout > 0).then(|| came + timeout);
                let options = (timeout, deadline, m.options.receive_progress);
                let procedure = m.procedure.as_str();
                let owed = self.call(peer, m.request.value(), procedure, token, options);
                self.expect(outputs, &owed);
            }
            Message::Cancel(m) => {
                let owed = self.cancel(peer, m.request.value(), m.options.mode);
                self.expect(outputs, &owed);
            }
            Message::Yield(m) if m.options.progress => {
                let owed = self.progress(peer, m.request.value(), None);
                self.parts += owed.len() as u64;
                self.expect(outputs, &owed);
            }
            Message::Yield(m) => {
                let owed = self.conclude(peer, m.request.value(), Ok(&m.payload));
                self.turns += self.expect(outputs, &owed);
            }
            Message::Error(m) => {
                let owed = self.conclude(peer, m.request.value(), Err("com.failed"));
                self.turns += self.expect(outputs, &owed);
            }
            other => panic!("{other:?} is not sent here"),
        }
    }

    /// Sends the message with a payload nested too deep, if it is one that has a payload.
    fn send_deep(&mut self, peer: u64, message: Message) {
        const REFUSED: &str = "wamp.error.invalid_argument";
        let input = |message| Input::TooDeep {
            peer: PeerId(peer),
            message,
        };
        match message {
            Message::Call(m) => {
                let owed = [error(peer, m.request.value(), REFUSED)];
                let outputs = self.handle(input(m.into()));
                self.expect(outputs, &owed);
            }
            Message::Yield(m) if m.options.progress => {
                let request = m.request.value();
                let outputs = self.handle(input(m.into()));
                let owed = self.progress(peer, request, Some(REFUSED));
                self.too_deep += u64::from(!owed.is_empty());
                self.expect(outputs, &owed);
            }
            Message::Yield(Yield { request, .. }) | Message::Error(Error { request, .. }) => {
                let outputs = self.handle(input(message));
                let owed = self.conclude(peer, request.value(), Err(REFUSED));
                self.too_deep += u64::from(!owed.is_empty());
                self.turns += self.expect(outputs, &owed);
            }
            Message::Publish(m) => {
                let acknowledge = m.options.acknowledge;
                let outputs = self.handle(input(m.into()));
                let errors = outputs.iter().filter(|output| {
                    matches!(output, Output::Send { to, message: Message::Error(m) }
                        if to.0 == peer && m.error.as_str() == REFUSED)
                });
                assert_eq!(errors.count(), usize::from(acknowledge));
                assert_eq!(outputs.len(), usize::from(acknowledge));
            }
            _ => {}
        }
    }
}
