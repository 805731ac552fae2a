//! What authorizers are asked and have answered: the procedures that say what the sessions of some
//! roles may do. Must not know what becomes of a request that is granted.
//!
//! A question is a call in the name of the session that it is about: it has its part in the callee's
//! room and queue as that session's calls have, the callee learns who it is, and whatever ends the
//! request ends the call. Who waits for it, and until when, is for `waiting` to say.

use std::{sync::Arc, time::Instant};

use crate::{
    Authorizer, Disclose, Output, PeerId, Router,
    authorization::{Action, Authorization},
    authorizer::{self, Answer, Scope, wish},
    form,
    refusal::{Offence, Refusal, check_options},
    verdicts::{Owner, Verdict, Wish},
    waiting::{Asked, Place, Request, Whom},
};
use wamp::{
    Call, Error, Message, Payload, Result as CallResult, ResultDetails, SessionId, Ticket, Uri,
    error_uri,
};

/// Forgets what authorizers have said and was kept: the number of verdicts. With the keyword arguments
/// `session` or `authrole` only those that hold for that session, or for all of that role.
pub const CLEAR_CACHE: &str = "wampgres.authorization.clear_cache";

/// Whether a session may make a request, as far as that is known.
pub(super) enum Known {
    /// The permissions of its role decide; or its authorizer has granted it before.
    Decided(Option<Disclose>),
    /// Its authorizer is to be asked.
    Unknown(Box<Wish>),
}

impl Router {
    /// What is known about a request before anybody is asked.
    pub(super) fn known(
        &self,
        now: Instant,
        peer: PeerId,
        message: &Message,
    ) -> Result<Known, Refusal> {
        let role = &self.sessions.joined(peer).authorization;
        let Some((action, uri)) = wish(message) else {
            return Ok(Known::Decided(None));
        };
        if action == Action::Call {
            self.dealer.check_open()?;
        }
        let Some(authorizer) = role.authorizer_of(uri) else {
            return Ok(Known::Decided(None));
        };
        form::check(message)?;
        let wish = Wish {
            action,
            uri: uri.clone(),
            options: authorizer::options(message).to_string().into(),
        };
        match self.verdicts.get(now, peer, role.role(), &wish) {
            None => Ok(Known::Unknown(Box::new(wish))),
            Some(Verdict {
                allow: true,
                disclose,
            }) => Ok(Known::Decided(Some(disclosed(disclose)))),
            Some(_) => Err(not_allowed(role, authorizer, &wish)),
        }
    }

    /// Asks the authorizer of a session's role about a request.
    pub(super) fn ask_authorizer(
        &mut self,
        now: Instant,
        peer: PeerId,
        request: &mut Request,
        wish: Box<Wish>,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let session = self.sessions.joined(peer);
        let role = session.authorization.clone();
        let authorizer = role.authorizer().expect("only who has one asks it");
        let options = authorizer::options(&request.message);
        let payload = authorizer::arguments(
            &self.name,
            &session.identity,
            wish.action,
            &wish.uri,
            &options,
        );
        let ticket = self.waiting.ticket();
        let question = (ticket, &authorizer.procedure, payload);
        let asked = (self.dealer).ask(&mut self.sessions, &self.limits, now, peer, question);
        out.extend(asked.map_err(|why| failed(authorizer, &why))?);
        request.open.push(Asked {
            ticket,
            of: Whom::Authorizer,
        });
        request.answer_by = now + authorizer.timeout;
        request.wish = Some(wish);
        Ok(())
    }

    /// Takes what authorizers have answered.
    #[cold]
    pub(crate) fn hear_authorizers(&mut self, now: Instant, out: &mut Vec<Output>) {
        for (ticket, answer) in self.dealer.take_answers() {
            // Who has left, or whose time was up just now, waits no longer.
            if let Some(place) = self.waiting.about(Whom::Authorizer, ticket) {
                self.hear_authorizer(now, place, ticket, &answer, out);
            }
        }
    }

    fn hear_authorizer(
        &mut self,
        now: Instant,
        place: Place,
        ticket: Ticket,
        answer: &Message,
        out: &mut Vec<Output>,
    ) {
        let role = self.sessions.joined(place.peer).authorization.clone();
        let wish = self.waiting.take_wish(place);
        let (Some(authorizer), Some(wish)) = (role.authorizer(), wish) else {
            return;
        };
        let refusal = match read(authorizer, answer) {
            Ok(Answer {
                allow,
                disclose,
                scope,
            }) => {
                let verdict = Verdict { allow, disclose };
                let not_allowed = (!allow).then(|| not_allowed(&role, authorizer, &wish));
                self.keep(now, place.peer, (&role, authorizer), scope, *wish, verdict);
                match not_allowed {
                    None => return self.allowed(now, place, ticket, disclosed(disclose), out),
                    Some(refusal) => refusal,
                }
            }
            Err(refusal) => refusal,
        };
        self.refuse_waiting(place, |asked| asked.ticket != ticket, refusal, out);
    }

    fn keep(
        &mut self,
        now: Instant,
        peer: PeerId,
        (role, authorizer): (&Authorization, &Authorizer),
        scope: Option<Scope>,
        wish: Wish,
        verdict: Verdict,
    ) {
        let owner = match scope {
            None => return,
            Some(Scope::Session) => Owner::Session(peer),
            Some(Scope::Role) => Owner::Role(role.role().clone()),
        };
        if !authorizer.cache_ttl.is_zero() {
            let until = now + authorizer.cache_ttl;
            self.verdicts.keep(owner, wish, verdict, until);
        }
    }

    /// CALL of [`CLEAR_CACHE`].
    pub(crate) fn clear_cache(
        &mut self,
        authorize: impl FnOnce(&Authorization, Action, &Uri) -> Result<Disclose, Refusal>,
        peer: PeerId,
        call: &Call,
    ) -> Result<CallResult, Offence> {
        let caller = self.sessions.joined(peer);
        self.dealer.begin_call(caller, call.request)?;
        check_options(call.options.bad.as_deref())?;
        authorize(&caller.authorization, Action::Call, &call.procedure)?;
        let cleared = match of_whom(&call.payload)? {
            Whose::All => self.verdicts.clear_all(),
            Whose::Role(role) => self.verdicts.clear(&Owner::Role(role)),
            Whose::Session(session) => {
                let peer = self.sessions.peer(session);
                peer.map_or(0, |peer| self.verdicts.clear(&Owner::Session(peer)))
            }
        };
        Ok(CallResult {
            request: call.request,
            details: ResultDetails::default(),
            payload: Payload::from_args(&[cleared]).expect("a number always encodes"),
        })
    }
}

/// Whose verdicts are to be forgotten.
enum Whose {
    All,
    Session(SessionId),
    Role(Arc<str>),
}

fn of_whom(arguments: &Payload) -> Result<Whose, Refusal> {
    let wrong = || {
        let why = format!(
            "{CLEAR_CACHE} takes no arguments, or the keyword argument session (an id) or authrole \
             (a text)"
        );
        Refusal::new(error_uri::INVALID_ARGUMENT, why)
    };
    let positional: Vec<serde_json::Value> = arguments.args().map_err(|_| wrong())?;
    let keywords: serde_json::Map<_, _> = arguments.kwargs().map_err(|_| wrong())?;
    let mut keywords = keywords.iter();
    let whose = match keywords.next() {
        None => Whose::All,
        Some((key, value)) if key == "session" => {
            let session = value.as_u64().and_then(SessionId::new);
            Whose::Session(session.ok_or_else(wrong)?)
        }
        Some((key, value)) if key == "authrole" => {
            Whose::Role(value.as_str().ok_or_else(wrong)?.into())
        }
        Some(_) => return Err(wrong()),
    };
    if positional.is_empty() && keywords.next().is_none() {
        return Ok(whose);
    }
    Err(wrong())
}

/// What is disclosed of a session that calls or publishes.
fn disclosed(disclose: bool) -> Disclose {
    Disclose {
        caller: disclose,
        publisher: disclose,
    }
}

/// Reads an answer: a RESULT or an ERROR.
fn read(authorizer: &Authorizer, answer: &Message) -> Result<Answer, Refusal> {
    let uri = &authorizer.procedure;
    if let Message::Result(result) = answer {
        return authorizer::read(&result.payload).map_err(|why| {
            let why = format!("the authorizer '{uri}' has given an answer that is none: {why}");
            Refusal::new(error_uri::AUTHORIZATION_FAILED, why)
        });
    }
    let error = if let Message::Error(Error { error, .. }) = answer {
        error.as_str()
    } else {
        error_uri::RUNTIME_ERROR
    };
    let why = format!(
        "the authorizer '{uri}' has failed with {error}: look for the reason at the component that \
         registers it"
    );
    let refusal = Refusal::new(error_uri::AUTHORIZATION_FAILED, why);
    let may_pass = [
        error_uri::CANCELED,
        error_uri::UNAVAILABLE,
        error_uri::TIMEOUT,
    ];
    Err(if may_pass.contains(&error) {
        refusal.retryable()
    } else {
        refusal
    })
}

/// An authorizer cannot be asked.
fn failed(authorizer: &Authorizer, why: &Refusal) -> Refusal {
    let uri = &authorizer.procedure;
    let why = format!("the authorizer '{uri}' cannot be asked: {}", why.message());
    Refusal::new(error_uri::AUTHORIZATION_FAILED, why).retryable()
}

/// An authorizer has not answered in time.
pub(super) fn silent(authorizer: &Authorizer) -> Refusal {
    let Authorizer {
        procedure, timeout, ..
    } = authorizer;
    let why = format!(
        "the authorizer '{procedure}' has not answered within {timeout:?}: try again later"
    );
    Refusal::new(error_uri::AUTHORIZATION_FAILED, why).retryable()
}

fn not_allowed(role: &Authorization, authorizer: &Authorizer, wish: &Wish) -> Refusal {
    let Wish { action, uri, .. } = wish;
    let (role, procedure) = (role.role(), &authorizer.procedure);
    let why = format!(
        "role '{role}' may not {action} '{uri}': its authorizer '{procedure}' does not allow it"
    );
    Refusal::new(error_uri::NOT_AUTHORIZED, why)
}
