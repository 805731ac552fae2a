//! May a session do what it requests, where the permissions of its role alone do not say it: somebody
//! is asked, and the request waits for the answer in its session's line. Knows who is asked; must not
//! know how a request is carried out.
//!
//! What would be refused in any case is refused before anybody is asked.

mod authorizers;
mod ending;

use std::time::Instant;

use super::{
    Disclose, Output, PeerId, Router,
    authorization::{Action, Authorization},
    dealer, form,
    guards::Guard,
    refusal::Refusal,
    verdicts::Wish,
    waiting::{Asked, Held, Place, Request, Whom, octets},
};
pub use authorizers::CLEAR_CACHE;
use authorizers::Known;
pub(super) use ending::RELEASED_AT_ONCE;
use ending::answer;
use wamp::{Message, Pattern, Question, RequestId, RequestType, Ticket, Uri, error_uri};

const GUARD_GONE: &str = "the component that guards this topic has left: restart it, or the node";

/// Who is to be asked about a request first, and what is granted already besides what the role's
/// permissions say.
enum ToAsk {
    Nobody(Option<Disclose>),
    Authorizer(Box<Wish>),
    Guards(Option<Disclose>, Vec<Guard>),
}

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
        self.has_authorizers || !self.guards.is_empty() || !self.waiting.is_empty()
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
            return self.cancel_waiting(place, out);
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
        match self.to_ask(now, peer, &message) {
            Err(refusal) => answer(peer, &message, refusal, out),
            Ok(ToAsk::Nobody(granted)) if self.waiting.of(peer).requests == 0 => {
                let turn = Turn {
                    granted,
                    ..Turn::at(now)
                };
                self.perform(&turn, peer, message, out);
            }
            Ok(to_ask) => self.wait(now, peer, message, to_ask, out),
        }
    }

    /// Who is to be asked about a request first.
    fn to_ask(&self, now: Instant, peer: PeerId, message: &Message) -> Result<ToAsk, Refusal> {
        let granted = match self.known(now, peer, message)? {
            Known::Unknown(wish) => return Ok(ToAsk::Authorizer(wish)),
            Known::Decided(granted) => granted,
        };
        let guards = self.guards_of(peer, message, granted)?;
        Ok(if guards.is_empty() {
            ToAsk::Nobody(granted)
        } else {
            ToAsk::Guards(granted, guards)
        })
    }

    /// Whether this is a CALL with the id of one that is pending, which breaks the protocol.
    fn is_pending(&self, peer: PeerId, message: &Message) -> bool {
        let Message::Call(call) = message else {
            return false;
        };
        (self.sessions.joined(peer).calls).contains_key(&call.request.into())
    }

    /// The guards that are to be asked about a request, once it is granted besides.
    fn guards_of(
        &self,
        peer: PeerId,
        message: &Message,
        granted: Option<Disclose>,
    ) -> Result<Vec<Guard>, Refusal> {
        let Message::Subscribe(subscribe) = message else {
            return Ok(Vec::new());
        };
        let guards = self.guards.of(peer, &subscribe.topic);
        if !guards.is_empty() && granted.is_none() {
            form::check_subscribe(subscribe)?;
            let role = &self.sessions.joined(peer).authorization;
            role.authorize(Action::Subscribe, &subscribe.topic)?;
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
        to_ask: ToAsk,
        out: &mut Vec<Output>,
    ) {
        if let Err(refusal) = self.check_room(peer, &message) {
            return answer(peer, &message, refusal, out);
        }
        let timeout_at = if let Message::Call(call) = &message {
            dealer::deadline(now, call.options.timeout)
        } else {
            None
        };
        let mut request = Request::new(message, now, now + self.limits.authorization_timeout)
            .times_out_at(timeout_at);
        match to_ask {
            ToAsk::Nobody(granted) => request.granted = granted,
            ToAsk::Guards(granted, guards) => {
                request.granted = granted;
                request.open = self.ask_guards(peer, &request.message, &guards, out);
            }
            ToAsk::Authorizer(wish) => {
                if let Err(refusal) = self.ask_authorizer(now, peer, &mut request, wish, out) {
                    return answer(peer, &request.message, refusal, out);
                }
            }
        }
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
    fn ask_guards(
        &mut self,
        peer: PeerId,
        message: &Message,
        guards: &[Guard],
        out: &mut Vec<Output>,
    ) -> Vec<Asked> {
        let mut open = Vec::new();
        let Message::Subscribe(subscribe) = message else {
            return open;
        };
        for guard in guards {
            let ticket = self.waiting.ticket();
            open.push(Asked {
                ticket,
                of: Whom::Guard(guard.peer),
            });
            let question = Question {
                ticket,
                guard: guard.id,
                identity: self.sessions.joined(peer).identity.clone(),
                topic: subscribe.topic.clone(),
                match_policy: wamp::MatchPolicy::Exact,
            };
            out.push(Output::Ask {
                to: guard.peer,
                question: Box::new(question),
            });
        }
        open
    }

    /// The authorizer has granted a request, which may be one that guards are still to be asked about.
    fn allowed(
        &mut self,
        now: Instant,
        place: Place,
        ticket: Ticket,
        disclose: Disclose,
        out: &mut Vec<Output>,
    ) {
        let Some(request) = self.waiting.request(place) else {
            return;
        };
        let granted = Some(disclose);
        let guards = match self.guards_of(place.peer, &request.message, granted) {
            Ok(guards) => guards,
            Err(refusal) => {
                let is_open = |asked: &Asked| asked.ticket != ticket;
                return self.refuse_waiting(place, is_open, refusal, out);
            }
        };
        // Guards are few, and so are topics that have both.
        let open = if guards.is_empty() {
            Vec::new()
        } else {
            let message = request.message.clone();
            self.ask_guards(place.peer, &message, &guards, out)
        };
        let answer_by = now + self.limits.authorization_timeout;
        (self.waiting).granted_by_authorizer(place, disclose, open, answer_by);
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
            self.withdraw(peer, &request, |_| true, out);
        }
        if self.waiting.of(peer).requests == 0 {
            return self.perform(&Turn::at(now), peer, goodbye, out);
        }
        let answer_by = now + self.limits.authorization_timeout;
        (self.waiting).enqueue(peer, Request::new(goodbye, now, answer_by));
    }

    /// A session of this process guards topics.
    pub(super) fn guard(&mut self, guard: Guard, topics: Pattern) {
        if self.sessions.is_joined(guard.peer) {
            self.guards.add(&self.sessions, guard, topics);
        }
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
