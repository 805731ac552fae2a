//! How a realm is set up: its name, its roles with their permissions, its limits. Plain values;
//! knows neither where they were read from nor how they are applied.

use std::time::Duration;

use wamp::{MatchPolicy, Uri};

/// A realm.
#[derive(Clone, PartialEq, Debug)]
pub struct RealmOptions {
    /// Its name.
    pub name: Uri,
    /// The roles that sessions on it can have.
    pub roles: Vec<Role>,
    /// What WELCOME announces this software as.
    pub agent: String,
    /// How much one session may hold.
    pub limits: Limits,
}

/// A role and what sessions that have it may do. What no permission matches is denied, unless there
/// is an authorizer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it may do. Of two permissions with the same URI and match policy the later holds.
    pub permissions: Vec<Permission>,
    /// Who says what it may do where no permission matches.
    pub authorizer: Option<Authorizer>,
}

/// A procedure of the realm that is called, with `(details, uri, action, options)`, to say whether a
/// session may do something: Crossbar.io's "Dynamic Authorization".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authorizer {
    /// The procedure.
    pub procedure: Uri,
    /// How long it may take. Beyond that the request is answered with
    /// `wamp.error.authorization_failed`.
    pub timeout: Duration,
    /// How long an answer holds of which it says that it may be kept.
    pub cache_ttl: Duration,
}

/// What may be done with the URIs that match.
///
/// Of all permissions that match one decides alone: the exact one, else a wildcard, else the
/// longest prefix, which is the order Crossbar.io has. Of several wildcards it is the one that
/// goes on longest without one: `com.a..` before `com..b.c`. Unlike in Crossbar.io, a permission
/// that does not match never hides one that does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Permission {
    /// The URI, prefix or pattern.
    pub uri: String,
    /// How it is compared.
    pub match_policy: MatchPolicy,
    /// The actions allowed.
    pub allow: Allow,
    /// What receivers are told about the session that acts.
    pub disclose: Disclose,
}

/// The actions a permission allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allow {
    /// Call procedures.
    pub call: bool,
    /// Register procedures.
    pub register: bool,
    /// Publish events.
    pub publish: bool,
    /// Subscribe to topics.
    pub subscribe: bool,
}

impl Allow {
    /// All four actions.
    pub const ALL: Self = Self {
        call: true,
        register: true,
        publish: true,
        subscribe: true,
    };
}

/// What receivers are told about a session that calls or publishes: its id, authid and role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Disclose {
    /// Callees are told who calls.
    pub caller: bool,
    /// Subscribers are told who publishes.
    pub publisher: bool,
}

/// How much one session may hold or cause to be held, so that none can make the router grow without
/// bound. What goes beyond is answered with `wamp.error.unavailable`.
///
/// Of what callers have in common (invocations and queues), one caller may have as much as the others leave
/// free: one alone has half at most, a second one half of the rest, and nobody is locked out. A few
/// calls are granted to everybody, as long as there is room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Procedures a session may have registered.
    pub registrations_per_session: usize,
    /// Topics a session may be subscribed to.
    pub subscriptions_per_session: usize,
    /// Calls of a session that are not answered yet.
    pub calls_per_session: usize,
    /// Invocations that a session has not answered yet.
    pub invocations_per_session: usize,
    /// Calls that are queued at a registration with a concurrency.
    pub queued_calls_per_registration: usize,
    /// Octets of the payloads of those calls.
    pub queued_octets_per_registration: usize,
    /// Requests of a session that wait until somebody has said whether they may be made, or behind
    /// one that does.
    pub waiting_requests_per_session: usize,
    /// Octets of the payloads of those requests.
    pub waiting_octets_per_session: usize,
    /// How long a session that guards topics has to answer whether somebody may subscribe. Beyond it
    /// the SUBSCRIBE is answered with `wamp.error.authorization_failed`.
    pub authorization_timeout: Duration,
}

/// Of registrations, subscriptions, calls and invocations a session may have so many each.
const GENEROUS: usize = 1 << 16;

impl Limits {
    /// 1,024 queued calls of 16 MiB together for a registration; for a session 65,536 of each, and
    /// 1,024 requests of 16 MiB together that wait for permission, for 10 seconds.
    pub const DEFAULT: Self = Self {
        registrations_per_session: GENEROUS,
        subscriptions_per_session: GENEROUS,
        calls_per_session: GENEROUS,
        invocations_per_session: GENEROUS,
        queued_calls_per_registration: 1024,
        queued_octets_per_registration: 16 << 20,
        waiting_requests_per_session: 1024,
        waiting_octets_per_session: 16 << 20,
        authorization_timeout: Duration::from_secs(10),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// So many calls a caller may have as long as there is room. Where there is room for a few only,
/// shares of it would be none.
pub const FEW_CALLS: usize = 4;

/// How many entries of sessions that have left one input clears away: less than half a
/// millisecond, even where a million are known.
pub const CLEARED_AT_ONCE: usize = 128;

// A queue has room for many callers' few, and less than a caller may have in all.
const _: () = assert!(FEW_CALLS * 64 <= Limits::DEFAULT.queued_calls_per_registration);
const _: () = {
    let limits = Limits::DEFAULT;
    assert!(limits.queued_calls_per_registration < limits.calls_per_session);
};
