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
//! | `dealer/canceling` | calls that end before their callee answers |
//! | `dealer/call_queue` | the concurrency of a registration and the calls that wait for it |
//! | `dealer/held` | how many octets of calls are held, and for whom |
//! | `dealer/shares` | how much of what callers have in common one of them may have |
//! | `broker` | subscriptions; who receives an event |
//! | `uri_map` | procedures and topics by their URI |
//! | `departed` | what sessions that have left still have in those |
//! | `authorization` | which permission of a role decides |
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
mod broker;
mod dealer;
mod departed;
mod interface;
mod lifecycle;
mod messages;
mod options;
mod refusal;
mod session;
mod stats;
#[cfg(test)]
mod tests;
mod uri_map;

use std::{collections::HashMap, sync::Arc, time::Instant};

pub use interface::{Capacity, IdSource, Input, Output, PeerId};
pub use options::{
    Allow, CLEARED_AT_ONCE, Disclose, FEW_CALLS, Limits, MatchPolicy, Permission, RealmOptions,
    Role,
};
pub use refusal::{protocol_violation, refuse_invocation, refuse_realm};
pub use stats::Stats;

use authorization::{Action, Authorization};
use broker::Broker;
use dealer::Dealer;
use refusal::Violation;
use session::Sessions;
use stats::Counters;
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
    counters: Counters,
    has_shut_down: bool,
    cleared_at_once: usize,
    /// When sessions that have left were last seen to have left entries behind.
    to_clear: Option<Instant>,
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
            counters: Counters::default(),
            has_shut_down: false,
            cleared_at_once: CLEARED_AT_ONCE,
            to_clear: None,
        }
    }

    /// Whether the permissions of its role let a session call a procedure, which need not be there.
    pub fn may_call(&self, caller: &Identity, procedure: &Uri) -> bool {
        let role = (caller.authrole.as_deref()).and_then(|role| self.roles.get(role));
        role.is_some_and(|role| role.authorize(Action::Call, procedure).is_ok())
    }

    /// Decides upon one input. What is to be done about it is appended to `out`, after what is
    /// to be done about calls whose timeout has ended by `now`.
    ///
    /// `now` should not go back: a timeout is counted from the `now` of its CALL.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let before = out.len();
        self.dealer.expire(&mut self.sessions, now, out);
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
            Input::Tick => {}
            Input::Drain => self.dealer.drain(),
            Input::Shutdown => self.shut_down(out),
        }
        if self.dealer.has_departed() || self.broker.has_departed() || self.to_clear.is_some() {
            self.clear_away(now);
        }
        self.counters.count(&out[before..]);
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

    /// When the next timeout of a call ends, or a moment that has passed while there is something
    /// to clear away. [`Input::Tick`] is wanted then; earlier or twice does no harm.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.to_clear.or_else(|| self.dealer.next_deadline())
    }

    /// The realm in numbers. Costs nothing.
    pub fn stats(&self) -> Stats {
        Stats {
            sessions: self.sessions.len(),
            registrations: self.dealer.registrations(),
            subscriptions: self.broker.subscriptions(),
            pending_invocations: self.dealer.pending(),
            queued_calls: self.dealer.queued().calls,
            queued_octets: self.dealer.queued().octets,
            calls: self.dealer.calls(),
            cancels: self.dealer.cancels(),
            timeouts: self.dealer.timeouts(),
            results: self.counters.results,
            errors: self.counters.errors,
            publications: self.broker.publications(),
            events: self.counters.events,
        }
    }

    /// How many octets of payloads are held: of calls that are queued at a registration, and of
    /// those whose work waits in this process for a pool. Costs nothing.
    pub fn held_octets(&self) -> usize {
        self.dealer.held_octets()
    }

    /// The same by their callers. Takes as long as there are sessions and such calls.
    pub fn held_by_callers(&self) -> HashMap<PeerId, usize, OwnIds> {
        self.dealer.held_by_callers(&self.sessions)
    }

    /// Checks everything the router relies on, for tests; looks at all there is.
    ///
    /// # Panics
    /// When something does not hold, with a message that says what.
    pub fn check(&self) {
        self.sessions.check();
        self.dealer.check(&self.sessions, &self.limits);
        self.broker.check(&self.sessions, &self.limits);
    }
}

/// A message for a peer.
fn send(to: PeerId, message: impl Into<Message>) -> Output {
    Output::Send {
        to,
        message: message.into(),
    }
}
