//! How requests that wait go on, or end without having been carried out. Must not know why they
//! wait.

use std::time::Instant;

use super::{GUARD_GONE, Turn, authorizers::silent, requested};
use crate::{
    Output, PeerId, Router,
    refusal::{Refusal, denied},
    send,
    verdicts::Owner,
    waiting::{Asked, Expired, Place, Request, Whom},
};
use wamp::{Denial, Error, Message, Publish, RequestId, RequestType, Ticket, Verdict, error_uri};

/// So many requests that need not wait any more are carried out at once. A session can have
/// hundreds of them, and each can be an event for thousands.
pub(crate) const RELEASED_AT_ONCE: usize = 16;

const NO_ANSWER: &str = "whoever is to say whether this may be done has not answered in time: try \
                         again later";
const ROUTER_GONE: &str = "the router shut down before it was known whether this may be done";
const CANCELED: &str = "the caller has canceled the call";
const TIMED_OUT: &str = "the call's timeout ended";
const NOT_RUN: &str = "the call still waited for permission, so the procedure has not run";

impl Router {
    /// The caller does not want the result any more.
    pub(super) fn cancel_waiting(&mut self, call: Place, out: &mut Vec<Output>) {
        self.dealer.note_cancel();
        let refusal = Refusal::new(error_uri::CANCELED, format!("{CANCELED}: {NOT_RUN}"));
        self.refuse_waiting(call, |_| true, refusal, out);
    }

    /// An answer to a question. Nothing is left to do if nobody waits for it any more.
    pub(crate) fn verdict(
        &mut self,
        of: PeerId,
        ticket: Ticket,
        verdict: Verdict,
        out: &mut Vec<Output>,
    ) {
        let Some(place) = self.waiting.about(Whom::Guard(of), ticket) else {
            return;
        };
        match verdict {
            Ok(()) => self.waiting.granted(place, ticket),
            Err(denial) => {
                let is_open = |asked: &Asked| asked.ticket != ticket;
                self.refuse_waiting(place, is_open, *denial, out);
            }
        }
    }

    /// Ends the requests whose time is up.
    pub(crate) fn expire_waiting(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some((peer, request, expired)) = self.waiting.next_expired(now) {
            let role = &self.sessions.joined(peer).authorization;
            let asked_one = |asked: &Asked| asked.of == Whom::Authorizer;
            let authorizer = role
                .authorizer()
                .filter(|_| request.open.iter().any(asked_one));
            let refusal = match expired {
                Expired::Timeout => {
                    self.dealer.note_timeout();
                    Refusal::new(error_uri::TIMEOUT, format!("{TIMED_OUT}: {NOT_RUN}"))
                }
                Expired::Unanswered => authorizer.map_or_else(
                    || Refusal::new(error_uri::AUTHORIZATION_FAILED, NO_ANSWER).retryable(),
                    silent,
                ),
            };
            self.withdraw(peer, &request, |_| true, out);
            answer(peer, &request.message, refusal, out);
        }
    }

    /// Carries out requests that need not wait any more, some at a time.
    pub(crate) fn go_on(&mut self, now: Instant, out: &mut Vec<Output>) {
        for _ in 0..self.released_at_once {
            let Some((peer, request)) = self.waiting.next_ready() else {
                break;
            };
            let turn = Turn {
                now,
                waited_since: Some(request.since),
                granted: request.granted,
            };
            self.perform(&turn, peer, request.message, out);
        }
        // What was just carried out may have been the end of what authorizers were asked.
        if self.dealer.has_answers() {
            self.hear_authorizers(now, out);
        }
        self.to_go_on = self.waiting.has_ready().then_some(now);
    }

    /// A session leaves: nothing of it waits any more, and nobody waits for its answers.
    pub(crate) fn abandon_waiting(&mut self, peer: PeerId, out: &mut Vec<Output>) {
        for request in self.waiting.leave(peer) {
            // What authorizers are asked ends with the calls of the session.
            self.withdraw(peer, &request, |asked| asked.of != Whom::Authorizer, out);
        }
        self.verdicts.clear(&Owner::Session(peer));
        if self.guards.leave(peer) {
            for place in self.waiting.asked_of(peer) {
                let refusal = Refusal::new(error_uri::AUTHORIZATION_FAILED, GUARD_GONE);
                let of_it = Whom::Guard(peer);
                self.refuse_waiting(place, |asked| asked.of != of_it, refusal, out);
            }
        }
    }

    /// Answers all that waits, with an ERROR.
    pub(crate) fn refuse_all_waiting(&mut self, out: &mut Vec<Output>) {
        for peer in self.waiting.peers() {
            for request in self.waiting.leave(peer) {
                let refusal = Refusal::new(error_uri::CANCELED, ROUTER_GONE);
                answer(peer, &request.message, refusal, out);
            }
        }
    }

    /// Refuses a request that waits.
    pub(super) fn refuse_waiting(
        &mut self,
        place: Place,
        is_open: impl Fn(&Asked) -> bool,
        why: impl IntoError,
        out: &mut Vec<Output>,
    ) {
        if let Some(request) = self.waiting.remove(place) {
            self.withdraw(place.peer, &request, is_open, out);
            answer(place.peer, &request.message, why, out);
        }
    }

    /// Nobody waits any more for the answers about this request that are still open.
    pub(super) fn withdraw(
        &mut self,
        peer: PeerId,
        request: &Request,
        is_open: impl Fn(&Asked) -> bool,
        out: &mut Vec<Output>,
    ) {
        for asked in request.open.iter().filter(|asked| is_open(asked)) {
            let ticket = asked.ticket;
            match asked.of {
                Whom::Guard(to) => out.push(Output::Withdraw { to, ticket }),
                Whom::Authorizer => {
                    (self.dealer).end_question(&mut self.sessions, peer, ticket, out);
                }
            }
        }
    }
}

/// What an ERROR is made of.
pub(super) trait IntoError {
    fn into_error(self, request_type: RequestType, request: RequestId) -> Error;
}

impl IntoError for Refusal {
    fn into_error(self, request_type: RequestType, request: RequestId) -> Error {
        Self::into_error(self, request_type, request)
    }
}

impl IntoError for Denial {
    fn into_error(self, request_type: RequestType, request: RequestId) -> Error {
        denied(self, request_type, request)
    }
}

/// The ERROR for a request that is not carried out, if its session is to have one.
pub(super) fn answer(peer: PeerId, message: &Message, why: impl IntoError, out: &mut Vec<Output>) {
    let is_unasked =
        matches!(message, Message::Publish(Publish { options, .. }) if !options.acknowledge);
    if let Some((request_type, request)) = requested(message).filter(|_| !is_unasked) {
        out.push(send(peer, why.into_error(request_type, request)));
    }
}
