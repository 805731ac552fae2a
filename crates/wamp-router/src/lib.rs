//! The router: one realm's state machine, dealer and broker of WAMP's Basic Profile with what
//! README names of the Advanced Profile. Pure: knows no sockets, threads, clocks, locks, logs or
//! random numbers, and nothing of ours but `wamp`.
//!
//! [`Router::handle`] takes the time and one [`Input`], and appends what is to be done, as
//! [`Output`]s in order. It never fails: an offence becomes an ERROR or an ABORT. Time is what it
//! is told: whoever tells it wakes up at [`Router::next_deadline`] for an [`Input::Tick`]. Whoever
//! owns the connections keeps a router behind a lock, puts the outputs on the peers' queues under
//! that same lock, and thereby keeps the ordering guarantees of the specification: a peer's
//! messages are decided upon in the order they came, and what a decision gives to a peer stays in
//! that order.
//!
//! Every decision validates first and mutates second. What a session does is checked in this order:
//! may such a message be sent at all (else ABORT `wamp.error.protocol_violation`), are its options
//! served, is its URI valid, does the role permit it, can it be done, is there room (else ERROR,
//! whose one argument is a message for people).
//!
//! | file | owns |
//! |---|---|
//! | `lifecycle` | how sessions begin and end |
//! | `messages` | which message a session may send, and who decides upon it |
//! | `session` | who is joined and what each session holds |
//! | `dealer` | registrations; what becomes of the calls when they end |
//! | `dealer/calls` | which invocation answers which call, and when |
//! | `dealer/answers` | who has the answer of a call |
//! | `dealer/questions` | calls that the router makes itself |
//! | `dealer/canceling` | calls that end before their callee answers |
//! | `dealer/call_queue` | the concurrency of a registration and the calls that wait for it |
//! | `dealer/held` | how many octets of calls are held, and for whom |
//! | `dealer/shares` | how much of what callers have in common one of them may have |
//! | `call_id` | how calls of clients and questions to authorizers are told apart |
//! | `broker` | subscriptions; who receives an event |
//! | `uri_map` | procedures and topics by their URI |
//! | `departed` | what sessions that have left still have in those |
//! | `authorization` | which permission of a role decides |
//! | `permission` | who else is asked, and what becomes of requests that wait for it |
//! | `permission/authorizers`, `authorizer` | what the authorizer of a role is asked, and its answers |
//! | `verdicts` | what authorizers have said and may be kept |
//! | `guards` | who is asked before a SUBSCRIBE is granted |
//! | `waiting` | the requests that wait for permission, each session's in its order |
//! | `form` | what a request must be like, whoever makes it |
//! | `refusal` | the words of ERRORs and ABORTs |
//!
//! ```
//! use std::time::Instant;
//!
//! use wamp_router::{
//!     Allow, IdSource, Input, Limits, MatchPolicy, Output, PeerId, Permission, RealmOptions,
//!     Role, Router,
//! };
//! use wamp::{ANONYMOUS, Message, PublicationId, Serializer, SessionId, TransportKind};
//!
//! struct NotRandom;
//! impl IdSource for NotRandom {
//!     fn session(&mut self) -> SessionId {
//!         SessionId::new(4711).expect("an id")
//!     }
//!     fn publication(&mut self) -> PublicationId {
//!         PublicationId::new(1).expect("an id")
//!     }
//! }
//!
//! let anyone = Role {
//!     name: ANONYMOUS.into(),
//!     permissions: vec![Permission {
//!         uri: "com.".into(),
//!         match_policy: MatchPolicy::Prefix,
//!         allow: Allow::ALL,
//!         ..Permission::default()
//!     }],
//!     authorizer: None,
//! };
//! let options = RealmOptions {
//!     name: "realm1".into(),
//!     roles: vec![anyone],
//!     agent: "wampgres".into(),
//!     limits: Limits::default(),
//! };
//! let mut router = Router::new(options, Box::new(NotRandom));
//!
//! let Message::Hello(hello) = Serializer::Json.decode(br#"[1,"realm1",{"roles":{"caller":{}}}]"#)?
//! else {
//!     unreachable!("1 is the code of HELLO")
//! };
//! let (peer, mut outputs) = (PeerId(1), Vec::new());
//! let transport = TransportKind::Memory;
//! let authrole = ANONYMOUS.into();
//! let input = Input::Hello { peer, hello, authrole, transport, capacity: None };
//! router.handle(Instant::now(), input, &mut outputs);
//! assert!(matches!(&outputs[..], [Output::Send { message: Message::Welcome(_), .. }]));
//! # Ok::<(), wamp::DecodeError>(())
//! ```

// A new message or output has to be thought of wherever they are told apart.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod authorization;
mod authorizer;
mod broker;
mod call_id;
mod dealer;
mod departed;
mod form;
mod guards;
mod interface;
mod lifecycle;
mod messages;
mod options;
mod permission;
mod refusal;
mod session;
mod stats;
#[cfg(test)]
mod tests;
mod uri_map;
mod verdicts;
mod waiting;

use std::{collections::HashMap, sync::Arc, time::Instant};

pub use interface::{Capacity, IdSource, Input, Output, PeerId};
pub use options::{
    Allow, Authorizer, CLEARED_AT_ONCE, Disclose, FEW_CALLS, Limits, Permission, RealmOptions, Role,
};
pub use permission::CLEAR_CACHE;
pub use refusal::{protocol_violation, refuse_invocation, refuse_realm};
pub use stats::Stats;
pub use verdicts::{VERDICTS, VERDICTS_OF_ONE};
pub use wamp::MatchPolicy;

use authorization::{Action, Authorization};
use broker::Broker;
use dealer::Dealer;
use guards::{Guard, Guards};
use permission::RELEASED_AT_ONCE;
use refusal::Violation;
use session::Sessions;
use stats::Counters;
use verdicts::Verdicts;
use waiting::Waiting;
use wamp::{Identity, Message, OwnIds, Uri};

/// One realm.
pub struct Router {
    name: Uri,
    agent: String,
    limits: Limits,
    roles: HashMap<String, Arc<Authorization>>,
    ids: Box<dyn IdSource>,
    sessions: Sessions,
    dealer: Dealer,
    broker: Broker,
    guards: Guards,
    waiting: Waiting,
    verdicts: Verdicts,
    /// Whether some role has an authorizer.
    has_authorizers: bool,
    counters: Counters,
    has_shut_down: bool,
    cleared_at_once: usize,
    released_at_once: usize,
    /// When sessions that have left were last seen to have left entries behind.
    to_clear: Option<Instant>,
    /// When requests were last seen that need not wait any more.
    to_go_on: Option<Instant>,
}

impl Router {
    /// A realm that nobody has joined yet.
    pub fn new(options: RealmOptions, ids: Box<dyn IdSource>) -> Self {
        let RealmOptions {
            name,
            roles,
            agent,
            limits,
        } = options;
        let has_authorizers = roles.iter().any(|role| role.authorizer.is_some());
        Self {
            name,
            agent,
            limits,
            roles: (roles.into_iter())
                .map(|role| (role.name.clone(), Arc::new(Authorization::new(role))))
                .collect(),
            ids,
            sessions: Sessions::default(),
            dealer: Dealer::default(),
            broker: Broker::default(),
            guards: Guards::default(),
            waiting: Waiting::default(),
            verdicts: Verdicts::default(),
            has_authorizers,
            counters: Counters::default(),
            has_shut_down: false,
            cleared_at_once: CLEARED_AT_ONCE,
            released_at_once: RELEASED_AT_ONCE,
            to_clear: None,
            to_go_on: None,
        }
    }

    /// Whether the permissions of its role let a session call a procedure, which need not be there.
    pub fn may_call(&self, caller: &Identity, procedure: &Uri) -> bool {
        let role = (caller.authrole.as_deref()).and_then(|role| self.roles.get(role));
        role.is_some_and(|role| role.authorize(Action::Call, procedure).is_ok())
    }

    /// Decides upon one input. What is to be done about it is appended to `out`, after what is
    /// to be done about calls whose timeout has ended by `now`, and before requests that need not
    /// wait for permission any more.
    ///
    /// `now` should not go back: a timeout is counted from the `now` of its CALL.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let before = out.len();
        self.dealer.expire(&mut self.sessions, now, out);
        if !self.waiting.is_empty() {
            self.expire_waiting(now, out);
        }
        self.decide(now, input, out);
        if self.dealer.has_answers() {
            self.hear_authorizers(now, out);
        }
        if self.waiting.has_ready() || self.to_go_on.is_some() {
            self.go_on(now, out);
        }
        if self.dealer.has_departed() || self.broker.has_departed() || self.to_clear.is_some() {
            self.clear_away(now);
        }
        self.counters.count(&out[before..]);
    }

    fn decide(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Hello {
                peer,
                hello,
                authrole,
                transport,
                capacity,
            } => {
                if self.sessions.is_joined(peer) {
                    self.message(now, peer, hello.into(), out);
                } else {
                    self.hello(peer, &hello, &authrole, (transport, capacity), out);
                }
            }
            Input::Message { peer, message } => {
                if self.sessions.is_joined(peer) {
                    self.message(now, peer, message, out);
                }
            }
            Input::TooDeep { peer, message } => {
                if self.sessions.is_joined(peer) {
                    self.too_deep(now, peer, message, out);
                }
            }
            Input::Violation { peer, reason } => {
                if self.sessions.is_joined(peer) {
                    self.violation(peer, Violation(reason), out);
                }
            }
            Input::Gone { peer } => self.dispose(peer, None, out),
            Input::Lost { peer, why } => self.dispose(peer, Some(&why), out),
            Input::Guard {
                peer,
                guard,
                topics,
            } => self.guard(Guard { peer, id: guard }, topics),
            Input::EndGuard { peer, guard } => self.guards.remove(Guard { peer, id: guard }),
            Input::Verdict {
                peer,
                ticket,
                verdict,
            } => self.verdict(peer, ticket, verdict, out),
            Input::Tick => {}
            Input::Drain => self.dealer.drain(),
            Input::Shutdown => self.shut_down(out),
        }
    }

    /// Clears away some of what sessions that have left had registered or subscribed to. It is
    /// nobody's already: this alone takes long enough to be done bit by bit.
    #[cold]
    fn clear_away(&mut self, now: Instant) {
        for _ in 0..self.cleared_at_once {
            if !self.dealer.clear_one() && !self.broker.clear_one() {
                break;
            }
        }
        let is_more = self.dealer.has_departed() || self.broker.has_departed();
        self.to_clear = is_more.then_some(now);
    }

    /// When the next timeout of a call or the time of a request that waits ends, or a moment that has
    /// passed while there is something to clear away or to go on with. [`Input::Tick`] is wanted then; earlier or twice does no harm.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.to_clear.is_some() || self.to_go_on.is_some() {
            return self.to_clear.or(self.to_go_on);
        }
        let deadlines = [self.dealer.next_deadline(), self.waiting.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// The realm in numbers. Costs nothing.
    pub fn stats(&self) -> Stats {
        Stats {
            sessions: self.sessions.len(),
            registrations: self.dealer.registrations(),
            subscriptions: self.broker.subscriptions(),
            pending_invocations: self.dealer.pending() + self.waiting.calls(),
            queued_calls: self.dealer.queued().calls,
            queued_octets: self.dealer.queued().octets,
            waiting_requests: self.waiting.held().requests,
            waiting_octets: self.waiting.held().octets,
            calls: self.dealer.calls(),
            cancels: self.dealer.cancels(),
            timeouts: self.dealer.timeouts(),
            results: self.counters.results,
            errors: self.counters.errors,
            publications: self.broker.publications(),
            events: self.counters.events,
        }
    }

    /// The roles whose authorizers are not registered, and which procedures those are: what such a role
    /// requests is refused, where no permission decides.
    pub fn missing_authorizers(&self) -> Vec<(&str, &Uri)> {
        let roles = self.roles.values();
        let mut missing: Vec<_> = roles
            .filter_map(|role| Some((&**role.role(), &role.authorizer()?.procedure)))
            .filter(|(_, procedure)| !self.dealer.has_procedure(&self.sessions, procedure))
            .collect();
        missing.sort_unstable();
        missing
    }

    /// How many octets of payloads are held: of calls that are queued at a registration, of those
    /// whose work waits in this process for a pool, and of requests that wait for permission. Costs
    /// nothing.
    pub fn held_octets(&self) -> usize {
        self.dealer.held_octets() + self.waiting.held().octets
    }

    /// The same by whom they are of. Takes as long as there are sessions and such calls.
    pub fn held_by_sessions(&self) -> HashMap<PeerId, usize, OwnIds> {
        let mut held = self.dealer.held_by_callers(&self.sessions);
        for (peer, waiting) in self.waiting.by_session() {
            *held.entry(peer).or_default() += waiting.octets;
        }
        held
    }

    /// Whether [`Self::take_waiting`] has something to say.
    #[inline]
    pub fn has_waiting(&self) -> bool {
        self.waiting.has_changed()
    }

    /// The sessions of which more or less waits for permission since this was asked for, with how
    /// many requests and octets that are now. Whoever reads from a connection reads no more while
    /// these are many.
    pub fn take_waiting(&mut self) -> Vec<(PeerId, usize, usize)> {
        let changed = self.waiting.take_changed().into_iter();
        let held = |peer| {
            let held = self.waiting.of(peer);
            (peer, held.requests, held.octets)
        };
        changed.map(held).collect()
    }

    /// Checks everything the router relies on, for tests; looks at all there is.
    ///
    /// # Panics
    /// When something does not hold, with a message that says what.
    pub fn check(&self) {
        self.sessions.check();
        self.dealer.check(&self.sessions, &self.limits);
        self.broker.check(&self.sessions, &self.limits);
        self.waiting.check(&self.sessions, &self.limits);
        self.verdicts.check();
    }
}

/// A message for a peer.
fn send(to: PeerId, message: impl Into<Message>) -> Output {
    Output::Send {
        to,
        message: message.into(),
    }
}
