//! May a session do what it requests, where the permissions of its role alone do not say it: somebody
//! is asked, and the request waits for the answer in its session's line. Knows who is asked; must not
//! know how a request is carried out.
//!
//! What would be refused in any case is refused before anybody is asked.

use std::time::Instant;

use super::{
    Disclose, Output, PeerId, Router,
    authorization::{Action, Authorization},
    dealer,
    guards::Guard,
    refusal::{Refusal, denied},
    send,
    waiting::{Asked, Expired, Held, Place, Request, octets},
};
use wamp::{
    Denial, Error, Message, Pattern, Publish, Question, RequestId, RequestType, Ticket, Uri,
    Verdict, error_uri,
};

/// So many requests that need not wait any more are carried out at once. A session can have
/// hundreds of them, and each can be an event for thousands.
pub(super) const RELEASED_AT_ONCE: usize = 16;

const NO_ANSWER: &str = "whoever is to say whether this may be done has not answered in time: try \
                         again later";
const GUARD_GONE: &str = "the component that guards this topic has left: restart it, or the node";
const ROUTER_GONE: &str = "the router shut down before it was known whether this may be done";
const CANCELED: &str = "the caller has canceled the call";
const TIMED_OUT: &str = "the call's timeout ended";
const NOT_RUN: &str = "the call still waited for permission, so the procedure has not run";

/// When a request is carried out, and by which right.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub(super) now: Instant,
    /// When it came, if it has waited.
    pub(super) waited_since: Option<Instant>,
    /// What was granted to it, where it is not for its role's permissions to say.
    pub(super) granted: Option<Disclose>,
}

impl Turn {
    /// It has just come.
    pub(super) fn at(now: Instant) -> Self {
        Self {
            now,
            waited_since: None,
            granted: None,
        }
    }

    /// Whether this may be done, and what is disclosed about the session if it is.
    #[inline]
    pub(super) fn authorize(
        &self,
        role: &Authorization,
        action: Action,
        uri: &Uri,
    ) -> Result<Disclose, Refusal> {
        match self.granted {
            Some(disclose) => Ok(disclose),
            None => role.authorize(action, uri),
        }
    }
}

impl Router {
    /// Whether anybody is ever asked. Where nobody is, nothing waits.
    #[inline]
    pub(super) fn asks(&self) -> bool {
        !self.guards.is_empty() || !self.waiting.is_empty()
    }

    /// A message within a session where somebody may have to be asked, or where what came before
    /// waits. What answers an invocation never waits: it may be the answer that others wait for.
    pub(super) fn consider(
        &mut self,
        now: Instant,
        peer: PeerId,
        message: Message,
        out: &mut Vec<Output>,
    ) {
        if self.waiting.is_leaving(peer) {
            return;
        }
        if let Message::Cancel(cancel) = &message
            && let Some(place) = self.waiting.call(peer, cancel.request)
        {
            self.dealer.note_cancel();
            let refusal = Refusal::new(error_uri::CANCELED, format!("{CANCELED}: {NOT_RUN}"));
            return self.refuse_waiting(place, |_| true, refusal, out);
        }
        if let Message::Call(call) = &message
            && self.waiting.call(peer, call.request).is_some()
        {
            return self.violation(peer, dealer::called_twice(call.request), out);
        }
        let is_goodbye = matches!(message, Message::Goodbye(_));
        if requested(&message).is_none() && !is_goodbye || self.is_pending(peer, &message) {
            return self.perform(&Turn::at(now), peer, message, out);
        }
        if is_goodbye {
            return self.leave_in_turn(now, peer, message, out);
        }
        match self.guards_of(peer, &message) {
            Err(refusal) => answer(peer, &message, refusal, out),
            Ok(guards) if guards.is_empty() && self.waiting.of(peer).requests == 0 => {
                self.perform(&Turn::at(now), peer, message, out);
            }
            Ok(guards) => self.wait(now, peer, message, &guards, out),
        }
    }

    /// Whether this is a CALL with the id of one that is pending, which breaks the protocol.
    fn is_pending(&self, peer: PeerId, message: &Message) -> bool {
        let Message::Call(call) = message else {
            return false;
        };
        (self.sessions.joined(peer).calls).contains_key(&call.request)
    }

    /// Who is to be asked about a request.
    fn guards_of(&self, peer: PeerId, message: &Message) -> Result<Vec<Guard>, Refusal> {
        let Message::Subscribe(subscribe) = message else {
            return Ok(Vec::new());
        };
        let guards = self.guards.of(peer, &subscribe.topic);
        if !guards.is_empty() {
            let session = self.sessions.joined(peer);
            self.broker.check_subscribe(session, subscribe)?;
        }
        if (guards.iter()).any(|guard| !self.sessions.is_joined(guard.peer)) {
            return Err(Refusal::new(error_uri::AUTHORIZATION_FAILED, GUARD_GONE));
        }
        Ok(guards)
    }

    /// Lets a request wait, behind those of its session that do, and asks about it.
    fn wait(
        &mut self,
        now: Instant,
        peer: PeerId,
        message: Message,
        guards: &[Guard],
        out: &mut Vec<Output>,
    ) {
        if let Err(refusal) = self.check_room(peer, &message) {
            return answer(peer, &message, refusal, out);
        }
        let timeout_at = match &message {
            Message::Call(call) => dealer::deadline(now, call.options.timeout),
            _ => None,
        };
        let mut request = Request::new(message, now, now + self.limits.authorization_timeout)
            .times_out_at(timeout_at);
        self.ask(peer, &mut request, guards, out);
        self.waiting.enqueue(peer, request);
    }

    fn check_room(&self, peer: PeerId, message: &Message) -> Result<(), Refusal> {
        let Held {
            requests,
            octets: held,
        } = self.waiting.of(peer);
        let later = "wait for answers before requesting more";
        let limits = &self.limits;
        let (name, limit) = if requests >= limits.waiting_requests_per_session {
            (
                "waiting_requests_per_session",
                limits.waiting_requests_per_session,
            )
        } else if held + octets(message) > limits.waiting_octets_per_session {
            (
                "waiting_octets_per_session",
                limits.waiting_octets_per_session,
            )
        } else {
            return Ok(());
        };
        Err(Refusal::limit(name, limit, later).retryable())
    }

    /// Asks guards whether a session may subscribe.
    fn ask(
        &mut self,
        peer: PeerId,
        request: &mut Request,
        guards: &[Guard],
        out: &mut Vec<Output>,
    ) {
        let Message::Subscribe(subscribe) = &request.message else {
            return;
        };
        for guard in guards {
            let ticket = self.waiting.ticket();
            let of = guard.peer;
            request.open.push(Asked { ticket, of });
            let question = Question {
                ticket,
                guard: guard.id,
                identity: self.sessions.joined(peer).identity.clone(),
                topic: subscribe.topic.clone(),
                match_policy: wamp::MatchPolicy::Exact,
            };
            let question = Box::new(question);
            out.push(Output::Ask { to: of, question });
        }
    }

    /// GOODBYE comes after what the session has published, and before all else that still waits:
    /// nobody is left whom that would be for.
    fn leave_in_turn(
        &mut self,
        now: Instant,
        peer: PeerId,
        goodbye: Message,
        out: &mut Vec<Output>,
    ) {
        for request in self.waiting.keep_publications(peer) {
            self.withdraw(&request, |_| true, out);
        }
        if self.waiting.of(peer).requests == 0 {
            return self.perform(&Turn::at(now), peer, goodbye, out);
        }
        let answer_by = now + self.limits.authorization_timeout;
        (self.waiting).enqueue(peer, Request::new(goodbye, now, answer_by));
    }

    /// A session of this process guards topics.
    pub(super) fn guard(&mut self, guard: Guard, topics: Pattern) {
        self.guards.add(&self.sessions, guard, topics);
    }

    /// An answer to a question. Nothing is left to do if nobody waits for it any more.
    pub(super) fn verdict(
        &mut self,
        of: PeerId,
        ticket: Ticket,
        verdict: Verdict,
        out: &mut Vec<Output>,
    ) {
        let Some(place) = self.waiting.about(of, ticket) else {
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
    pub(super) fn expire_waiting(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some((peer, request, expired)) = self.waiting.next_expired(now) {
            let refusal = match expired {
                Expired::Timeout => {
                    self.dealer.note_timeout();
                    Refusal::new(error_uri::TIMEOUT, format!("{TIMED_OUT}: {NOT_RUN}"))
                }
                Expired::Unanswered => {
                    Refusal::new(error_uri::AUTHORIZATION_FAILED, NO_ANSWER).retryable()
                }
            };
            self.withdraw(&request, |_| true, out);
            answer(peer, &request.message, refusal, out);
        }
    }

    /// Carries out requests that need not wait any more, some at a time.
    pub(super) fn go_on(&mut self, now: Instant, out: &mut Vec<Output>) {
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
        self.to_go_on = self.waiting.has_ready().then_some(now);
    }

    /// A session leaves: nothing of it waits any more, and nobody waits for its answers.
    pub(super) fn abandon_waiting(&mut self, peer: PeerId, out: &mut Vec<Output>) {
        for request in self.waiting.leave(peer) {
            self.withdraw(&request, |_| true, out);
        }
        if self.guards.has(peer) {
            for place in self.waiting.asked_of(peer) {
                let refusal = Refusal::new(error_uri::AUTHORIZATION_FAILED, GUARD_GONE);
                self.refuse_waiting(place, |asked| asked.of != peer, refusal, out);
            }
        }
    }

    /// Answers all that waits, with an ERROR.
    pub(super) fn refuse_all_waiting(&mut self, out: &mut Vec<Output>) {
        for peer in self.waiting.peers() {
            for request in self.waiting.leave(peer) {
                let refusal = Refusal::new(error_uri::CANCELED, ROUTER_GONE);
                answer(peer, &request.message, refusal, out);
            }
        }
    }

    /// Refuses a request that waits.
    fn refuse_waiting(
        &mut self,
        place: Place,
        is_open: impl Fn(&Asked) -> bool,
        why: impl IntoError,
        out: &mut Vec<Output>,
    ) {
        if let Some(request) = self.waiting.remove(place) {
            self.withdraw(&request, is_open, out);
            answer(place.peer, &request.message, why, out);
        }
    }

    /// Nobody waits any more for the answers about this request that are still open.
    fn withdraw(&self, request: &Request, is_open: impl Fn(&Asked) -> bool, out: &mut Vec<Output>) {
        for asked in request.open.iter().filter(|asked| is_open(asked)) {
            out.push(Output::Withdraw {
                to: asked.of,
                ticket: asked.ticket,
            });
        }
    }
}

/// What an ERROR is made of.
trait IntoError {
    fn into_error(self, request_type: RequestType, request: RequestId) -> Error;
}

impl IntoError for Refusal {
    fn into_error(self, request_type: RequestType, request: RequestId) -> Error {
        Refusal::into_error(self, request_type, request)
    }
}

impl IntoError for Denial {
    fn into_error(self, request_type: RequestType, request: RequestId) -> Error {
        denied(self, request_type, request)
    }
}

/// The ERROR for a request that is not carried out, if its session is to have one.
fn answer(peer: PeerId, message: &Message, why: impl IntoError, out: &mut Vec<Output>) {
    let is_unasked =
        matches!(message, Message::Publish(Publish { options, .. }) if !options.acknowledge);
    if let Some((request_type, request)) = requested(message).filter(|_| !is_unasked) {
        out.push(send(peer, why.into_error(request_type, request)));
    }
}

/// Which request a message is, if it is one.
fn requested(message: &Message) -> Option<(RequestType, RequestId)> {
    let request = match message {
        Message::Call(m) => m.request,
        Message::Publish(m) => m.request,
        Message::Register(m) => m.request,
        Message::Unregister(m) => m.request,
        Message::Subscribe(m) => m.request,
        Message::Unsubscribe(m) => m.request,
        Message::Hello(_)
        | Message::Welcome(_)
        | Message::Abort(_)
        | Message::Goodbye(_)
        | Message::Error(_)
        | Message::Published(_)
        | Message::Subscribed(_)
        | Message::Unsubscribed(_)
        | Message::Event(_)
        | Message::Cancel(_)
        | Message::Result(_)
        | Message::Registered(_)
        | Message::Unregistered(_)
        | Message::Invocation(_)
        | Message::Interrupt(_)
        | Message::Yield(_) => return None,
    };
    let request_type = RequestType::from_message_type(message.message_type())?;
    Some((request_type, request))
}
