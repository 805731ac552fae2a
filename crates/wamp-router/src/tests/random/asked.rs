//! Requests about which an authorizer is asked: a model of what it is asked, of its answers, and of
//! what is kept of those.

use std::time::Duration;

use serde_json::Value;

use super::{
    LIMITS, QUESTION, Said, World, take_errors,
    waiting::{BY_CALL, refused},
};
use crate::{Authorizer, Output, Role, authorizer};
use wamp::{Identity, Message, Payload, RequestType, TransportKind, error_uri};

/// The role whose sessions have an authorizer, and that.
pub(super) const ROLE: &str = "asked";
pub(super) const AUTHORIZER: &str = "com.c";
const TTL: u64 = 40;

/// What the authorizer may answer.
pub(super) const ANSWERS: [&str; 8] = [
    "true",
    "true",
    r#"{"allow":true,"cache":true}"#,
    r#"{"allow":true,"cache":"role","disclose":true}"#,
    "false",
    r#"{"allow":false,"cache":true}"#,
    "7",
    r#"{"cache":true}"#,
];

pub(super) fn role() -> Role {
    Role {
        name: ROLE.into(),
        permissions: Vec::new(),
        authorizer: Some(Authorizer {
            procedure: AUTHORIZER.into(),
            timeout: LIMITS.authorization_timeout,
            cache_ttl: Duration::from_millis(TTL),
        }),
    }
}

/// What an authorizer has said: for one session or for all of the role, about what, and until when.
struct Verdict {
    peer: Option<u64>,
    wish: Wish,
    allow: bool,
    until: u64,
}

/// The action, the URI and the options.
pub(super) type Wish = (RequestType, String, Value);

#[derive(Default)]
pub(super) struct Asked {
    verdicts: Vec<Verdict>,
    /// How often what has happened.
    pub(super) asked: u64,
    pub(super) allowed: u64,
    pub(super) known: u64,
    pub(super) failed: u64,
}

/// What the authorizer is to decide about.
pub(super) fn wish(message: &Message) -> Option<Wish> {
    let (_, uri) = authorizer::wish(message)?;
    let request_type = RequestType::from_message_type(message.message_type())?;
    let options = authorizer::options(message);
    Some((request_type, uri.as_str().to_owned(), options))
}

impl Asked {
    pub(super) fn leave(&mut self, peer: u64) {
        self.verdicts.retain(|verdict| verdict.peer != Some(peer));
    }

    /// What is known about a wish of a peer: what was said about itself before what holds for all.
    fn verdict(&self, peer: u64, wish: &Wish, now: u64) -> Option<bool> {
        let of = |who: Option<u64>| {
            let mut verdicts = self.verdicts.iter();
            verdicts.find(|v| v.peer == who && v.wish == *wish && v.until > now)
        };
        let verdict = of(Some(peer)).or_else(|| of(None));
        verdict.map(|verdict| verdict.allow)
    }
}

impl World {
    /// Whether the authorizer decides about a request, and has done so: `Some(false)` if it has to be
    /// asked.
    pub(super) fn known(
        &mut self,
        peer: u64,
        message: &Message,
    ) -> Result<Option<bool>, &'static str> {
        let Some(wish) = wish(message).filter(|_| self.peers[&peer].authrole == ROLE) else {
            return Ok(None);
        };
        let is_own = matches!(message, Message::Publish(_) | Message::Register(_));
        if wish.1.contains("..") || is_own && wish.1.starts_with("wamp.") {
            return Err(error_uri::INVALID_URI);
        }
        let verdict = self.asked.verdict(peer, &wish, self.now);
        self.asked.known += u64::from(verdict.is_some());
        match verdict {
            None => Ok(Some(false)),
            Some(true) => Ok(Some(true)),
            Some(false) => Err(error_uri::NOT_AUTHORIZED),
        }
    }

    /// The authorizer is called, in the name of the peer.
    pub(super) fn ask_authorizer(
        &mut self,
        peer: u64,
        message: &Message,
        ticket: u64,
    ) -> Result<Option<Said>, &'static str> {
        self.asked.asked += 1;
        let (action, uri) = authorizer::wish(message).expect("it is asked about");
        let session = self.peers[&peer].session;
        let identity = Identity::anonymous(session, ROLE.into(), TransportKind::Memory);
        let options = authorizer::options(message);
        let payload = authorizer::arguments(&"realm1".into(), &identity, action, uri, &options);
        let question = (QUESTION + ticket, payload.len());
        let asked = self.place((peer, 0), AUTHORIZER, question, (0, None, false));
        asked.ok_or(error_uri::AUTHORIZATION_FAILED)
    }

    /// Nobody waits for the answers to some questions: what callees are told.
    pub(super) fn end_questions(&mut self) -> Vec<Said> {
        let ended = std::mem::take(&mut self.waits.ended).into_iter();
        ended
            .flat_map(|ticket| self.calls.end_question(&self.peers, ticket))
            .collect()
    }

    /// What the authorizer has answered, or why it has not, becomes of what waits for it.
    pub(super) fn settle_questions(&mut self, outputs: &mut Vec<Output>) {
        for (ticket, answer) in std::mem::take(&mut self.calls.answers) {
            let Some((peer, message)) = self.waits.asks((BY_CALL, ticket)) else {
                continue;
            };
            let guards = (self.read(peer, wish(&message), answer.ok()))
                .and_then(|()| self.guards_of(peer, &message, true));
            match guards {
                Ok(guards) => {
                    let open = self.waits.ask_guards(guards);
                    (self.waits).granted_by_call(peer, (BY_CALL, ticket), open, self.now);
                }
                Err(why) => {
                    self.waits.remove(peer, (BY_CALL, ticket));
                    take_errors(outputs, refused(peer, &message, why).as_slice());
                }
            }
        }
    }

    /// Whoever was asked answers.
    pub(super) fn answer_question(&mut self) {
        let peers = self.peers.iter();
        let asked: Vec<_> = peers
            .flat_map(|(peer, state)| state.invocations.iter().map(move |asked| (*peer, asked)))
            .filter(|(_, (_, token))| **token >= QUESTION)
            .map(|(peer, (invocation, _))| (peer, *invocation))
            .collect();
        if let Some((peer, invocation)) = self.random.one_of(&asked) {
            let answer = self.random.one_of(&ANSWERS).expect("some");
            self.send(peer, &format!("[70,{invocation},{{}},[{answer}]]"), None);
        }
    }

    /// Whether an answer allows it; what may be kept of it is.
    fn read(
        &mut self,
        peer: u64,
        wish: Option<Wish>,
        answer: Option<Payload>,
    ) -> Result<(), &'static str> {
        let answer = answer.map_or(Value::Null, |payload| payload.args::<(Value,)>().unwrap().0);
        let allow = answer.as_bool().or_else(|| answer["allow"].as_bool());
        let Some(allow) = allow else {
            self.asked.failed += 1;
            return Err(error_uri::AUTHORIZATION_FAILED);
        };
        self.asked.allowed += u64::from(allow);
        if !answer["cache"].is_null() {
            let (wish, now) = (wish.expect("it was asked about"), self.now);
            let peer = (answer["cache"] == true).then_some(peer);
            (self.asked.verdicts).retain(|v| v.until > now && !(v.peer == peer && v.wish == wish));
            self.asked.verdicts.push(Verdict {
                peer,
                wish,
                allow,
                until: now + TTL,
            });
        }
        if allow {
            Ok(())
        } else {
            Err(error_uri::NOT_AUTHORIZED)
        }
    }
}
