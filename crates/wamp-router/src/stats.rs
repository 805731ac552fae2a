//! What a realm is doing, in numbers. Owns the counters of what went out; decides nothing.

use super::Output;
use wamp::Message;

/// A realm in numbers, all of the same moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Sessions now, those included that are shutting down.
    pub sessions: usize,
    /// Procedures registered now. Those of a session that has just left count until they are
    /// cleared away, here and below.
    pub registrations: usize,
    /// Topics subscribed to now, each counted once.
    pub subscriptions: usize,
    /// Calls that are not answered now: their callee is invoked, or they are queued, or they wait for
    /// permission.
    pub pending_invocations: usize,
    /// How many of those are queued, because of their registration's concurrency.
    pub queued_calls: usize,
    /// The octets of their payloads.
    pub queued_octets: usize,
    /// Requests of any type that wait for permission, or behind one that does.
    pub waiting_requests: usize,
    /// The octets of their payloads.
    pub waiting_octets: usize,
    /// CALLs received so far.
    pub calls: u64,
    /// CANCELs so far for calls that were not answered.
    pub cancels: u64,
    /// Calls so far whose timeout ended before they were answered.
    pub timeouts: u64,
    /// Calls so far that have ended with a RESULT; parts of one are not counted.
    pub results: u64,
    /// ERRORs given so far, to requests of any type.
    pub errors: u64,
    /// Publications accepted so far.
    pub publications: u64,
    /// EVENTs given so far, counted once per receiver.
    pub events: u64,
}

/// Counts outputs, in the one place that all of them pass.
#[derive(Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) results: u64,
    pub(super) errors: u64,
    pub(super) events: u64,
}

impl Counters {
    pub(super) fn count(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Send {
                    message: Message::Result(result),
                    ..
                } => self.results += u64::from(!result.details.progress),
                Output::Send {
                    message: Message::Error(_),
                    ..
                } => self.errors += 1,
                Output::Event { to, .. } => self.events += to.len() as u64,
                Output::Send { .. }
                | Output::Invoke { .. }
                | Output::Ask { .. }
                | Output::Withdraw { .. }
                | Output::Close { .. }
                | Output::GoAway { .. } => {}
            }
        }
    }
}
