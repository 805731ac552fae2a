//! What goes into the router and what comes out of it: inputs, outputs, peers, the source of
//! random ids. Owns no state and no rule.

use std::sync::Arc;

use wamp::{
    Event, GuardId, Hello, Identity, Invocation, Message, Pattern, PublicationId, Question,
    SessionId, Ticket, TransportKind, Verdict,
};

/// One session's place in the router, chosen by whoever owns the connection. Never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub u64);

/// Where the ids of the global scope come from, so that the router itself is deterministic.
///
/// Source: WAMP specification, "Identifiers", "IDs": those of the global scope are drawn at
/// random from a uniform distribution over the complete range.
pub trait IdSource: Send {
    /// A random session id. Drawn again while the router has a session with the one drawn.
    fn session(&mut self) -> SessionId;
    /// A random publication id.
    fn publication(&mut self) -> PublicationId;
}

/// How many invocations some callees can have at a time, because a pool or the like does their work.
/// Whoever does it refuses what is more; the router sees to it that no caller takes it all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Which pool it is: sessions of a realm with the same number have the capacity together.
    pub pool: usize,
    /// So many invocations.
    pub invocations: usize,
    /// The settings that it follows from, for people.
    pub settings: &'static str,
    /// What to do about it when it is too small, for people: it completes "…, or".
    pub mend: &'static str,
}

/// Something that happened, for the router to decide upon.
///
/// A peer that is not known, because it has not said HELLO or because [`Output::Close`] or
/// [`Output::GoAway`] has been given for it, is not heard: whatever comes from it is ignored.
#[derive(Debug)]
pub enum Input {
    /// The first message of a peer: ends in WELCOME, or in ABORT and [`Output::Close`].
    Hello {
        /// Who says it.
        peer: PeerId,
        /// The message.
        hello: Hello,
        /// The role that the transport's authentication gives the peer.
        authrole: String,
        /// How it reaches the router.
        transport: TransportKind,
        /// Of a session of this process: what its callee's work has to share with that of others.
        capacity: Option<Capacity>,
    },
    /// Any later message of a peer.
    Message {
        /// Who sent it.
        peer: PeerId,
        /// The message.
        message: Message,
    },
    /// A later message, given without its payload: that is nested too deep to be passed on. The
    /// request it belongs to fails, and the session goes on.
    TooDeep {
        /// Who sent it.
        peer: PeerId,
        /// The rest of the message.
        message: Message,
    },
    /// The peer sent what is no message at all: ABORT and [`Output::Close`].
    Violation {
        /// Who sent it.
        peer: PeerId,
        /// What is wrong with it, for people.
        reason: String,
    },
    /// The transport is lost. Also to be given after [`Output::Close`]; twice does no harm.
    Gone {
        /// Who is gone.
        peer: PeerId,
    },
    /// The same where the peer is to blame, and has been told: whoever waits for it is told as
    /// well.
    Lost {
        /// Who is gone.
        peer: PeerId,
        /// What it did, for people: "it sent …".
        why: String,
    },
    /// A session of this process is to be asked, as this guard, before a SUBSCRIBE to any of these
    /// topics is granted. What is subscribed to already stays so.
    Guard {
        /// Who is to be asked.
        peer: PeerId,
        /// What it calls the guard.
        guard: GuardId,
        /// The topics.
        topics: Pattern,
    },
    /// A guard ends. What it has been asked is still to be answered.
    EndGuard {
        /// Whose it is.
        peer: PeerId,
        /// Which.
        guard: GuardId,
    },
    /// The answer to a question of [`Output::Ask`]. One that nobody waits for any more does no harm.
    Verdict {
        /// Who was asked.
        peer: PeerId,
        /// The question.
        ticket: Ticket,
        /// The answer.
        verdict: Verdict,
    },
    /// Time has passed, perhaps [`super::Router::next_deadline`]: calls whose timeout has ended
    /// are canceled, requests for whose permission nobody has answered are refused, and some of what
    /// sessions have left behind is cleared away. Any other input does that too.
    Tick,
    /// From now on calls are refused, while calls that are pending may still be answered. The
    /// step before [`Input::Shutdown`]; [`super::Stats::pending_invocations`] tells when nothing
    /// is left to wait for.
    Drain,
    /// Answers every pending call with an ERROR, then ends every session, and each one that
    /// begins later, with [`Output::GoAway`].
    Shutdown,
}

/// Something to be done, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// A message for one peer.
    Send {
        /// Who it is for.
        to: PeerId,
        /// The message.
        message: Message,
    },
    /// An INVOCATION for one peer, and who calls. That is for callees of the router's own process
    /// alone: what others learn of it stands in the message.
    Invoke {
        /// Who it is for.
        to: PeerId,
        /// The message.
        invocation: Invocation,
        /// Who calls.
        caller: Arc<Identity>,
        /// Its place in the router.
        from: PeerId,
    },
    /// One EVENT for every subscriber of a subscription: to be encoded once per serializer.
    Event {
        /// Who it is for: at least one peer, none twice.
        to: Vec<PeerId>,
        /// The message.
        event: Arc<Event>,
        /// Who publishes.
        from: PeerId,
    },
    /// A question for a session of this process that guards topics: to be answered by
    /// [`Input::Verdict`].
    Ask {
        /// Who is asked.
        to: PeerId,
        /// The question.
        question: Box<Question>,
    },
    /// Nobody waits for the answer to a question any more.
    Withdraw {
        /// Who was asked.
        to: PeerId,
        /// The question.
        ticket: Ticket,
    },
    /// Nothing more comes for this peer: send what is there, then close its transport.
    Close {
        /// Whose transport it is.
        peer: PeerId,
    },
    /// The same, because the router shuts down: the transport is to tell the client so, which
    /// may come again later.
    GoAway {
        /// Whose transport it is.
        peer: PeerId,
    },
}
