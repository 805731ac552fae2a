//! What the router owes to callers and callees: a model of the dealer that keeps calls in a
//! plain list and looks for everything from its beginning.

use std::collections::BTreeMap;

use super::{LIMITS, Peer, World};
use crate::Output;
use wamp::{CancelMode, Message, Payload, RequestType};

/// What a caller or callee is told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Said {
    Invocation {
        callee: u64,
        invocation: u64,
        registration: u64,
        token: u64,
        timeout: Option<u64>,
        progress: bool,
    },
    Interrupt {
        callee: u64,
        invocation: u64,
        mode: &'static str,
        reason: String,
    },
    Result {
        caller: u64,
        request: u64,
        token: u64,
        progress: bool,
    },
    Error {
        caller: u64,
        request: u64,
        uri: String,
    },
}

/// The calls that are not answered, in the order they came, and what callees have not answered.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) open: Vec<Call>,
    pub(super) asked: Vec<Asked>,
    /// Whose turn it is next at each registration.
    turns: BTreeMap<u64, Vec<u64>>,
    /// What became of questions to the authorizer: the ticket, and the answer or the error.
    pub(super) answers: Vec<(u64, Result<Payload, String>)>,
}

/// The token of a question to the authorizer is this and its ticket. On the wire all have this one.
pub(super) const QUESTION: u64 = 1 << 40;

pub(super) struct Call {
    token: u64,
    pub(super) octets: usize,
    pub(super) caller: u64,
    request: u64,
    pub(super) registration: u64,
    pub(super) callee: u64,
    deadline: Option<u64>,
    timeout: u64,
    progress: bool,
    pub(super) invoked: bool,
}

pub(super) struct Asked {
    pub(super) callee: u64,
    invocation: u64,
    registration: u64,
    /// The call, while it is open.
    token: Option<u64>,
    limited: bool,
    interrupted: bool,
    progress: bool,
}

impl Calls {
    /// The requests of a peer's calls that are open and will be at this time.
    pub(super) fn requests_of(&self, peer: u64, now: u64) -> Vec<u64> {
        (self.open.iter())
            .filter(|call| call.caller == peer && call.token < QUESTION)
            .filter(|call| call.deadline.is_none_or(|at| at > now))
            .map(|call| call.request)
            .collect()
    }

    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// The calls that are queued, and their octets.
    pub(super) fn queued(&self) -> (usize, usize) {
        let queued = self.open.iter().filter(|call| !call.invoked);
        let octets: Vec<_> = queued.map(|call| call.octets).collect();
        (octets.len(), octets.iter().sum())
    }

    /// Whether a caller has calls that wait for their turn.
    fn waits(&self, caller: u64, registration: u64) -> bool {
        let mut queued = self.open.iter().filter(|call| !call.invoked);
        queued.any(|call| (call.caller, call.registration) == (caller, registration))
    }

    /// Who has a turn: those who still wait, and now this caller as well.
    fn line_up(&mut self, registration: u64, caller: Option<u64>) -> Vec<u64> {
        let mut turns = self.turns.remove(&registration).unwrap_or_default();
        turns.retain(|caller| self.waits(*caller, registration));
        turns.extend(caller.filter(|caller| !turns.contains(caller)));
        turns
    }

    /// The call whose turn it is.
    fn next(&mut self, registration: u64) -> Option<u64> {
        let mut turns = self.line_up(registration, None);
        if turns.is_empty() {
            return None;
        }
        let caller = turns.remove(0);
        let mut of_caller = (self.open.iter())
            .filter(|call| (call.caller, call.registration) == (caller, registration))
            .filter(|call| !call.invoked);
        let token = of_caller.next().map(|call| call.token);
        turns.extend(of_caller.next().map(|call| call.caller));
        self.turns.insert(registration, turns);
        token
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.open.iter().filter_map(|call| call.deadline).min()
    }

    fn taken(&self, registration: u64) -> u64 {
        let asked = self.asked.iter();
        asked.filter(|a| a.registration == registration).count() as u64
    }

    fn close(&mut self, token: u64) -> Call {
        let at = (self.open.iter()).position(|call| call.token == token);
        self.open.remove(at.expect("an open call"))
    }

    /// The call is over without its callee's answer.
    fn end(
        &mut self,
        peers: &BTreeMap<u64, Peer>,
        token: u64,
        uri: &str,
        interrupts: bool,
        answers: bool,
    ) -> Vec<Said> {
        let call = self.close(token);
        let mut said = Vec::new();
        if answers {
            said.extend(self.tell(&call, uri));
        }
        if !call.invoked {
            return said;
        }
        if interrupts {
            said.extend(self.interrupt(peers, token, None, uri));
        }
        for asked in &mut self.asked {
            asked.token = asked.token.filter(|t| *t != token);
        }
        (self.asked).retain(|asked| asked.limited || asked.token.is_some());
        said
    }

    fn interrupt(
        &mut self,
        peers: &BTreeMap<u64, Peer>,
        token: u64,
        mode: Option<&'static str>,
        reason: &str,
    ) -> Option<Said> {
        let asked = (self.asked.iter_mut()).find(|asked| asked.token == Some(token))?;
        if asked.interrupted || !peers[&asked.callee].features.call_canceling {
            return None;
        }
        asked.interrupted = true;
        let by_slot = if asked.limited { "kill" } else { "killnowait" };
        Some(Said::Interrupt {
            callee: asked.callee,
            invocation: asked.invocation,
            mode: mode.unwrap_or(by_slot),
            reason: reason.to_owned(),
        })
    }

    /// Calls that are over at this time, in the order of their deadlines.
    pub(super) fn expire(&mut self, peers: &BTreeMap<u64, Peer>, now: u64) -> Vec<Said> {
        let mut over: Vec<_> = (self.open.iter())
            .filter_map(|call| Some((call.deadline?, call.caller, call.request, call.token)))
            .filter(|(deadline, ..)| *deadline <= now)
            .collect();
        over.sort_unstable();
        over.into_iter()
            .flat_map(|(.., token)| self.end(peers, token, "wamp.error.timeout", true, true))
            .collect()
    }

    /// A registration is over: nobody who waits for it has a turn.
    pub(super) fn unregister(&mut self, registration: u64, uri: &str) -> Vec<Said> {
        let (over, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|call| call.registration == registration && !call.invoked);
        self.open = open;
        let over: Vec<Call> = over;
        over.iter()
            .filter_map(|call| self.tell(call, uri))
            .collect()
    }

    /// A peer is over.
    pub(super) fn leave(&mut self, peers: &BTreeMap<u64, Peer>, peer: u64) -> Vec<Said> {
        let mut said = Vec::new();
        let own: Vec<_> = (self.open.iter())
            .filter(|call| call.caller == peer)
            .map(|call| (call.token, call.callee))
            .collect();
        for (token, callee) in own {
            said.extend(self.end(peers, token, "wamp.error.canceled", callee != peer, false));
        }
        let (over, asked) = std::mem::take(&mut self.asked)
            .into_iter()
            .partition(|asked| asked.callee == peer);
        self.asked = asked;
        let over: Vec<Asked> = over;
        for token in over.into_iter().filter_map(|asked| asked.token) {
            let call = self.close(token);
            said.extend(self.tell(&call, "wamp.error.canceled"));
        }
        for registration in peers[&peer].registrations.keys() {
            said.extend(self.unregister(*registration, "wamp.error.no_such_procedure"));
        }
        said
    }

    /// Everything is over.
    pub(super) fn shut_down(&mut self) -> Vec<Said> {
        self.asked.clear();
        let open = std::mem::take(&mut self.open);
        let told = open
            .iter()
            .filter_map(|call| self.tell(call, "wamp.error.canceled"));
        told.collect()
    }

    /// A call has failed: its caller is told, or what asked about it.
    fn tell(&mut self, call: &Call, uri: &str) -> Option<Said> {
        if call.token < QUESTION {
            return Some(error(call.caller, call.request, uri));
        }
        (self.answers).push((call.token - QUESTION, Err(uri.to_owned())));
        None
    }

    /// Nobody waits for the answer to a question any more.
    pub(super) fn end_question(&mut self, peers: &BTreeMap<u64, Peer>, ticket: u64) -> Vec<Said> {
        let token = QUESTION + ticket;
        if !self.open.iter().any(|call| call.token == token) {
            return Vec::new();
        }
        self.end(peers, token, "wamp.error.canceled", true, false)
    }
}

pub(super) fn error(caller: u64, request: u64, uri: &str) -> Said {
    Said::Error {
        caller,
        request,
        uri: uri.to_owned(),
    }
}

impl World {
    /// A CALL leads to an INVOCATION or to an ERROR, unless it has to wait.
    pub(super) fn call(
        &mut self,
        peer: u64,
        request: u64,
        procedure: &str,
        (token, octets): (u64, usize),
        (timeout, deadline, progress): (u64, Option<u64>, bool),
    ) -> Vec<Said> {
        let refused = |uri| vec![error(peer, request, uri)];
        if procedure.contains("..") {
            return refused("wamp.error.invalid_uri");
        }
        if self.owner(procedure).is_none() {
            return refused("wamp.error.no_such_procedure");
        }
        let caller = (peer, request);
        let options = (timeout, deadline, progress);
        match self.place(caller, procedure, (token, octets), options) {
            Some(invocation) => invocation.into_iter().collect(),
            None => refused("wamp.error.unavailable"),
        }
    }

    /// A call of a procedure that there is: its INVOCATION, unless it has to wait. `None` if there is
    /// no room for it.
    pub(super) fn place(
        &mut self,
        (peer, request): (u64, u64),
        procedure: &str,
        (token, octets): (u64, usize),
        (timeout, deadline, progress): (u64, Option<u64>, bool),
    ) -> Option<Option<Said>> {
        let (callee, registration) = self.owner(procedure)?;
        let open = self.calls.open.iter();
        if open.filter(|call| call.caller == peer).count() == LIMITS.calls_per_session {
            return None;
        }
        let concurrency = self.peers[&callee].registrations[&registration].concurrency;
        let waits = concurrency.is_some_and(|limit| self.calls.taken(registration) == limit);
        let (admitted, by_share) = if waits {
            self.may_wait(peer, registration, octets)
        } else {
            self.may_be_invoked(peer, callee)
        };
        self.shared += u64::from(!admitted && by_share);
        if !admitted {
            return None;
        }
        if waits {
            let turns = self.calls.line_up(registration, Some(peer));
            self.calls.turns.insert(registration, turns);
        }
        self.calls.open.push(Call {
            token,
            octets,
            caller: peer,
            request,
            registration,
            callee,
            deadline,
            timeout,
            progress,
            invoked: false,
        });
        Some((!waits).then(|| self.invoke(token)))
    }

    fn invoke(&mut self, token: u64) -> Said {
        let call = (self.calls.open.iter_mut()).find(|call| call.token == token);
        let call = call.expect("an open call");
        call.invoked = true;
        let callee = self.peers.get_mut(&call.callee).expect("joined");
        callee.invoked += 1;
        callee.invocations.insert(callee.invoked, token);
        let progress = call.progress && callee.features.progressive_call_results;
        self.calls.asked.push(Asked {
            callee: call.callee,
            invocation: callee.invoked,
            registration: call.registration,
            token: Some(token),
            limited: callee.registrations[&call.registration]
                .concurrency
                .is_some(),
            interrupted: false,
            progress,
        });
        let told = callee.features.call_timeout;
        Said::Invocation {
            callee: call.callee,
            invocation: callee.invoked,
            registration: call.registration,
            token: token.min(QUESTION),
            timeout: call.deadline.filter(|_| told).map(|at| at - self.now),
            progress,
        }
    }

    pub(super) fn cancel(&mut self, peer: u64, request: u64, mode: CancelMode) -> Vec<Said> {
        let open = self.calls.open.iter();
        let Some((token, callee, invoked)) = open
            .filter(|call| (call.caller, call.request) == (peer, request))
            .map(|call| (call.token, call.callee, call.invoked))
            .next()
        else {
            return Vec::new();
        };
        let why = "wamp.error.canceled";
        let features = self.peers[&callee].features;
        if mode == CancelMode::Kill && invoked && features.call_canceling {
            let interrupt = self.calls.interrupt(&self.peers, token, Some("kill"), why);
            return interrupt.into_iter().collect();
        }
        let kill = mode != CancelMode::Skip || features.interrupt_on_skip;
        self.calls.end(&self.peers, token, why, kill, true)
    }

    /// A part reaches whoever waits and takes parts, and its timeout begins anew. With a failure it
    /// ends its call.
    pub(super) fn progress(
        &mut self,
        peer: u64,
        invocation: u64,
        failure: Option<&str>,
    ) -> Vec<Said> {
        let asked = (self.calls.asked.iter())
            .find(|asked| (asked.callee, asked.invocation) == (peer, invocation));
        let token = asked.filter(|asked| asked.progress).and_then(|a| a.token);
        let Some(token) = token else {
            return Vec::new();
        };
        if let Some(uri) = failure {
            return self.calls.end(&self.peers, token, uri, true, true);
        }
        let call = (self.calls.open.iter_mut()).find(|call| call.token == token);
        let call = call.expect("an open call");
        call.deadline = call.deadline.map(|_| self.now + call.timeout);
        vec![Said::Result {
            caller: call.caller,
            request: call.request,
            token,
            progress: true,
        }]
    }

    /// YIELD and ERROR reach whoever waits, an ERROR with its URI, and nobody else; then the next
    /// has its turn.
    pub(super) fn conclude(
        &mut self,
        peer: u64,
        invocation: u64,
        answer: Result<&Payload, &str>,
    ) -> Vec<Said> {
        let callee = self.peers.get_mut(&peer).expect("joined");
        callee.invocations.remove(&invocation);
        let asked = (self.calls.asked.iter())
            .position(|asked| (asked.callee, asked.invocation) == (peer, invocation));
        let Some(at) = asked else {
            return Vec::new();
        };
        let asked = self.calls.asked.remove(at);
        let mut said = Vec::new();
        if let Some(token) = asked.token {
            let call = self.calls.close(token);
            match answer {
                Ok(payload) if token >= QUESTION => {
                    let answer = (token - QUESTION, Ok(payload.clone()));
                    self.calls.answers.push(answer);
                }
                Ok(_) => said.push(Said::Result {
                    caller: call.caller,
                    request: call.request,
                    token,
                    progress: false,
                }),
                Err(uri) => said.extend(self.calls.tell(&call, uri)),
            }
        }
        if let Some(token) = self.calls.next(asked.registration) {
            said.push(self.invoke(token));
        }
        said
    }
}

/// What outputs say to callers and callees; the rest stays as it is.
pub(super) fn said(outputs: Vec<Output>) -> (Vec<Said>, Vec<Output>) {
    let (mut said, mut rest) = (Vec::new(), Vec::new());
    for output in outputs {
        match output {
            Output::Invoke {
                to, invocation: m, ..
            } => said.push(Said::Invocation {
                callee: to.0,
                invocation: m.request.value(),
                registration: m.registration.value(),
                token: super::promises::token(&m.payload),
                timeout: m.details.timeout.map(|left| left.get()),
                progress: m.details.receive_progress,
            }),
            Output::Send {
                to,
                message: Message::Interrupt(m),
            } => said.push(Said::Interrupt {
                callee: to.0,
                invocation: m.request.value(),
                mode: match m.options.mode {
                    CancelMode::Skip => "skip",
                    CancelMode::Kill => "kill",
                    CancelMode::KillNoWait => "killnowait",
                },
                reason: m.options.reason.expect("a reason").to_string(),
            }),
            Output::Send {
                to,
                message: Message::Result(m),
            } => said.push(Said::Result {
                caller: to.0,
                request: m.request.value(),
                token: super::promises::token(&m.payload),
                progress: m.details.progress,
            }),
            Output::Send {
                to,
                message: Message::Error(m),
            } if m.request_type == RequestType::Call => {
                said.push(error(to.0, m.request.value(), m.error.as_str()));
            }
            output => rest.push(output),
        }
    }
    (said, rest)
}
