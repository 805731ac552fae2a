//! Requests that wait for permission: a model that keeps each session's line as a list, and knows
//! who is asked. Owns the guards, their answers, and what comes of them.

use std::collections::{BTreeMap, VecDeque};

use super::{LIMITS, Random, World};
use crate::{Input, Output, PeerId};
use wamp::{
    Denial, GuardId, Message, MessageType, Pattern, Payload, RequestId, RequestType, Ticket, Uri,
    error_uri,
};

/// Who is asked in the place of a guard's peer: the authorizer, by a call.
pub(super) const BY_CALL: u64 = 0;

/// A refused request: whose, of which type, with which id, and why.
pub(super) type Refused = (u64, RequestType, u64, &'static str);

#[derive(Default)]
pub(super) struct Waits {
    guards: Vec<Guard>,
    lines: BTreeMap<u64, VecDeque<Wait>>,
    ready: Vec<u64>,
    pub(super) tickets: u64,
    numbers: u64,
    /// Questions to the authorizer that nobody waits for any more.
    pub(super) ended: Vec<u64>,
    /// What guards are owed in this operation, and what they are told: who is asked what, and which
    /// question is withdrawn.
    owed: Vec<(u64, u64, bool)>,
    told: Vec<(u64, u64, bool)>,
    /// How often what has happened.
    pub(super) granted: u64,
    pub(super) denied: u64,
    pub(super) unanswered: u64,
    pub(super) behind: u64,
    pub(super) left: u64,
    pub(super) full: u64,
}

struct Guard {
    peer: u64,
    id: u64,
    topics: Pattern,
}

pub(super) struct Wait {
    number: u64,
    pub(super) message: Message,
    /// Who was asked, and the questions.
    open: Vec<(u64, u64)>,
    pub(super) came: u64,
    answer_by: u64,
    timeout_at: Option<u64>,
}

impl Wait {
    fn new(number: u64, message: &Message, now: u64) -> Self {
        Self {
            number,
            message: message.clone(),
            open: Vec::new(),
            came: now,
            answer_by: now + LIMITS.authorization_timeout.as_millis() as u64,
            timeout_at: match message {
                Message::Call(m) if m.options.timeout > 0 => Some(now + m.options.timeout),
                _ => None,
            },
        }
    }

    fn due(&self) -> Option<u64> {
        let answer_by = (!self.open.is_empty()).then_some(self.answer_by);
        [answer_by, self.timeout_at].into_iter().flatten().min()
    }

    fn octets(&self) -> usize {
        match &self.message {
            Message::Call(m) => m.payload.len(),
            Message::Publish(m) => m.payload.len(),
            _ => 0,
        }
    }

    fn refused(&self, peer: u64, why: &'static str) -> Option<Refused> {
        refused(peer, &self.message, why)
    }
}

/// The ERROR that a request has, if it is to have one.
pub(super) fn refused(peer: u64, message: &Message, why: &'static str) -> Option<Refused> {
    let (request_type, request) = match message {
        Message::Call(m) => (RequestType::Call, m.request),
        Message::Publish(m) if m.options.acknowledge => (RequestType::Publish, m.request),
        Message::Register(m) => (RequestType::Register, m.request),
        Message::Unregister(m) => (RequestType::Unregister, m.request),
        Message::Subscribe(m) => (RequestType::Subscribe, m.request),
        Message::Unsubscribe(m) => (RequestType::Unsubscribe, m.request),
        _ => return None,
    };
    Some((peer, request_type, request.value(), why))
}

fn is_request(message: &Message) -> bool {
    matches!(message, Message::Publish(_)) || refused(0, message, "").is_some()
}

impl Waits {
    /// The calls of a peer that wait and will at this time.
    pub(super) fn calls_of(&self, peer: u64, now: u64) -> impl Iterator<Item = u64> {
        let line = self.lines.get(&peer).into_iter().flatten();
        line.filter(move |wait| wait.due().is_none_or(|due| due > now))
            .filter_map(|wait| match &wait.message {
                Message::Call(m) => Some(m.request.value()),
                _ => None,
            })
    }

    /// How many CALLs wait, how many requests, and their octets.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let all: Vec<_> = self.lines.values().flatten().collect();
        let calls = all.iter().filter(|w| matches!(w.message, Message::Call(_)));
        let octets = all.iter().map(|wait| wait.octets()).sum();
        (calls.count(), all.len(), octets)
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.lines.values().flatten().filter_map(Wait::due).min()
    }

    /// Whose request asks this, and which.
    pub(super) fn asks(&self, asked: (u64, u64)) -> Option<(u64, Message)> {
        let lines = self.lines.iter();
        let mut waits = lines.flat_map(|(peer, line)| line.iter().map(|wait| (*peer, wait)));
        let (peer, wait) = waits.find(|(_, wait)| wait.open.contains(&asked))?;
        Some((peer, wait.message.clone()))
    }

    /// The authorizer has granted it; guards may be asked now.
    pub(super) fn granted_by_call(
        &mut self,
        peer: u64,
        asked: (u64, u64),
        open: Vec<(u64, u64)>,
        now: u64,
    ) {
        let line = self.lines.get_mut(&peer).expect("it waits");
        let wait = line.iter_mut().find(|wait| wait.open.contains(&asked));
        let wait = wait.expect("it waits");
        wait.open = open;
        wait.answer_by = now + LIMITS.authorization_timeout.as_millis() as u64;
        self.settle(peer);
    }

    /// It is refused, by the answer to this.
    pub(super) fn remove(&mut self, peer: u64, asked: (u64, u64)) {
        self.take(peer, |wait| wait.open.contains(&asked), |_| true);
    }

    pub(super) fn ask_guards(&mut self, guards: Vec<u64>) -> Vec<(u64, u64)> {
        let mut open = Vec::new();
        for guard in guards {
            self.tickets += 1;
            open.push((guard, self.tickets));
            self.owed.push((guard, self.tickets, true));
        }
        open
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn is_leaving(&self, peer: u64) -> bool {
        let last = self.lines.get(&peer).and_then(VecDeque::back);
        last.is_some_and(|wait| matches!(wait.message, Message::Goodbye(_)))
    }

    /// The first of a line may be another one.
    fn settle(&mut self, peer: u64) {
        let first = self.lines.get(&peer).and_then(|line| line.front());
        let is_ready = first.is_some_and(|wait| wait.open.is_empty());
        if first.is_none() {
            self.lines.remove(&peer);
        }
        if !is_ready {
            self.ready.retain(|ready| *ready != peer);
        } else if !self.ready.contains(&peer) {
            self.ready.push(peer);
        }
    }

    /// Takes out those of a line that are to go, and tells their guards, but for those who know.
    fn take(
        &mut self,
        peer: u64,
        goes: impl Fn(&Wait) -> bool,
        knows: impl Fn(&(u64, u64)) -> bool,
    ) -> Vec<Wait> {
        let line = self.lines.remove(&peer).unwrap_or_default();
        let (gone, left): (VecDeque<_>, VecDeque<_>) = line.into_iter().partition(goes);
        self.lines.insert(peer, left);
        self.settle(peer);
        let open = gone.iter().flat_map(|wait| &wait.open);
        for (of, ticket) in open.filter(|asked| !knows(asked)) {
            if *of == BY_CALL {
                self.ended.push(*ticket);
            } else {
                self.owed.push((*of, *ticket, false));
            }
        }
        gone.into()
    }

    /// The first of all by what `f` says of it, with its peer and number.
    fn first(&self, f: impl Fn(&Wait) -> Option<u64>) -> Option<(u64, u64, u64)> {
        let lines = self.lines.iter();
        let waits = lines.flat_map(|(peer, line)| line.iter().map(|wait| (*peer, wait)));
        waits
            .filter_map(|(peer, wait)| Some((f(wait)?, peer, wait.number)))
            .min()
    }

    /// Requests whose time is up.
    pub(super) fn expire(&mut self, now: u64) -> Vec<Refused> {
        let mut over = Vec::new();
        while let Some((_, peer, number)) = self.first(|wait| wait.due().filter(|due| *due <= now))
        {
            for wait in self.take(peer, |wait| wait.number == number, |_| false) {
                let timed_out = wait.timeout_at.is_some_and(|at| at <= now);
                self.unanswered += u64::from(!timed_out);
                let why = if timed_out {
                    error_uri::TIMEOUT
                } else {
                    error_uri::AUTHORIZATION_FAILED
                };
                over.extend(wait.refused(peer, why));
            }
        }
        over
    }

    /// A peer leaves: with what waits of it, and those that wait for its answers are refused.
    pub(super) fn leave(&mut self, peer: u64) -> Vec<Refused> {
        // Its calls end with it, and so do those to the authorizer.
        let by_call = |asked: &(u64, u64)| asked.0 == BY_CALL;
        self.left += u64::from(!self.take(peer, |_| true, by_call).is_empty());
        let mut refused = Vec::new();
        let of_it = |asked: &(u64, u64)| asked.0 == peer;
        let asks_it = |wait: &Wait| wait.open.iter().any(of_it);
        while let Some((number, other, _)) = self.first(|wait| asks_it(wait).then_some(wait.number))
        {
            let gone = self.take(other, |wait| wait.number == number, of_it);
            let why = error_uri::AUTHORIZATION_FAILED;
            refused.extend(gone.iter().filter_map(|wait| wait.refused(other, why)));
        }
        refused
    }

    /// Everything is over.
    pub(super) fn shut_down(&mut self) -> Vec<Refused> {
        self.ready.clear();
        let lines = std::mem::take(&mut self.lines).into_iter();
        let waits = lines.flat_map(|(peer, line)| line.into_iter().map(move |wait| (peer, wait)));
        waits
            .filter_map(|(peer, wait)| wait.refused(peer, error_uri::CANCELED))
            .collect()
    }

    /// Takes what guards are told out of what an input leads to.
    pub(super) fn hear(&mut self, outputs: &mut Vec<Output>) {
        outputs.retain(|output| {
            let told = match output {
                Output::Ask { to, question } => (to.0, question.ticket.0, true),
                Output::Withdraw { to, ticket } => (to.0, ticket.0, false),
                _ => return true,
            };
            self.told.push(told);
            false
        });
    }

    /// Guards have been told what they had to be.
    pub(super) fn check_told(&mut self) {
        self.owed.sort_unstable();
        self.told.sort_unstable();
        assert_eq!(self.told, self.owed, "guards are asked, and told");
        self.owed.clear();
        self.told.clear();
    }
}

impl World {
    /// Whether a message waits or is refused before its turn; then what it leads to is checked.
    pub(super) fn waits(&mut self, peer: u64, message: &Message) -> bool {
        if self.waits.is_leaving(peer) {
            assert_eq!(
                self.hear(peer, message),
                [],
                "nothing is heard after GOODBYE"
            );
            return true;
        }
        if let Message::Cancel(m) = message {
            return self.cancels_waiting(peer, m.request, message);
        }
        if !is_request(message) {
            return false;
        }
        // Before anything else happens, those go whose time is up.
        assert_eq!(self.handle(Input::Tick), []);
        match self.may_wait_or_not(peer, message) {
            Ok(waits) => waits,
            Err(why) => self.is_refused(peer, message, why),
        }
    }

    fn may_wait_or_not(&mut self, peer: u64, message: &Message) -> Result<bool, &'static str> {
        let known = self.known(peer, message)?;
        let is_asked = known == Some(false);
        let guards = if is_asked {
            Vec::new()
        } else {
            self.guards_of(peer, message, known.is_some())?
        };
        if !is_asked && guards.is_empty() && !self.waits.lines.contains_key(&peer) {
            return Ok(false);
        }
        let mut wait = Wait::new(self.waits.number(), message, self.now);
        if self.is_full(peer, &wait) {
            self.waits.full += 1;
            return Err(error_uri::UNAVAILABLE);
        }
        let mut owed = Vec::new();
        if is_asked {
            self.waits.tickets += 1;
            let ticket = self.waits.tickets;
            owed.extend(self.ask_authorizer(peer, message, ticket)?);
            wait.open.push((BY_CALL, ticket));
        } else {
            wait.open = self.waits.ask_guards(guards);
        }
        self.waits.behind += u64::from(self.waits.lines.contains_key(&peer));
        self.waits.lines.entry(peer).or_default().push_back(wait);
        self.waits.settle(peer);
        let outputs = self.hear(peer, message);
        self.expect(outputs, &owed);
        Ok(true)
    }

    fn cancels_waiting(&mut self, peer: u64, request: RequestId, message: &Message) -> bool {
        let is_it =
            |wait: &Wait| matches!(&wait.message, Message::Call(call) if call.request == request);
        let mut line = self.waits.lines.get(&peer).into_iter().flatten();
        if !line.any(|wait| is_it(wait) && wait.due().is_none_or(|at| at > self.now)) {
            return false;
        }
        let mut outputs = self.hear(peer, message);
        let gone = self.waits.take(peer, is_it, |_| false);
        let refused: Vec<_> = (gone.iter())
            .filter_map(|wait| wait.refused(peer, error_uri::CANCELED))
            .collect();
        take_errors(&mut outputs, &refused);
        let owed = self.end_questions();
        self.expect(outputs, &owed);
        true
    }

    /// Whether there is no room for a request that would have to wait.
    fn is_full(&self, peer: u64, wait: &Wait) -> bool {
        let line = self.waits.lines.get(&peer);
        let (len, octets) = line.map_or((0, 0), |line| {
            (line.len(), line.iter().map(Wait::octets).sum::<usize>())
        });
        len >= LIMITS.waiting_requests_per_session
            || octets + wait.octets() > LIMITS.waiting_octets_per_session
    }

    fn hear(&mut self, peer: u64, message: &Message) -> Vec<Output> {
        self.handle(Input::Message {
            peer: PeerId(peer),
            message: message.clone(),
        })
    }

    fn is_refused(&mut self, peer: u64, message: &Message, why: &'static str) -> bool {
        let mut outputs = self.hear(peer, message);
        let refused = refused(peer, message, why);
        take_errors(&mut outputs, refused.as_slice());
        assert_eq!(outputs, []);
        true
    }

    /// The guards that are to be asked about a request, which may be known to be in order.
    pub(super) fn guards_of(
        &self,
        peer: u64,
        message: &Message,
        is_known: bool,
    ) -> Result<Vec<u64>, &'static str> {
        let Message::Subscribe(m) = message else {
            return Ok(Vec::new());
        };
        let guards: Vec<_> = (self.waits.guards.iter())
            .filter(|guard| guard.peer != peer && guard.topics.matches(&m.topic))
            .map(|guard| guard.peer)
            .collect();
        if !is_known && !guards.is_empty() && m.topic.as_str().contains("..") {
            return Err(error_uri::INVALID_URI);
        }
        if guards.iter().any(|guard| !self.peers.contains_key(guard)) {
            return Err(error_uri::AUTHORIZATION_FAILED);
        }
        Ok(guards)
    }

    /// A GOODBYE that comes after what waits to be published.
    pub(super) fn leaves_in_turn(&mut self, peer: u64, message: &Message) -> bool {
        assert_eq!(self.handle(Input::Tick), []);
        let is_publication = |wait: &Wait| matches!(wait.message, Message::Publish(_));
        let line = self.waits.lines.get(&peer);
        if !line.is_some_and(|line| line.iter().any(is_publication)) {
            return false;
        }
        self.waits
            .take(peer, |wait| !is_publication(wait), |_| false);
        let goodbye = Wait::new(self.waits.number(), message, self.now);
        (self.waits.lines.entry(peer).or_default()).push_back(goodbye);
        let owed = self.end_questions();
        let outputs = self.hear(peer, message);
        self.expect(outputs, &owed);
        true
    }

    /// A peer guards topics, or does not any more.
    pub(super) fn guard(&mut self, peer: u64) {
        let own = |guard: &Guard, id| guard.peer == peer && guard.id == id;
        let id = 1 + self.random.below(2);
        let (peer_id, guard) = (PeerId(peer), GuardId(id));
        let topics = match self.random.below(12) {
            0..=8 => {
                self.waits.guards.retain(|guard| !own(guard, id));
                let input = Input::EndGuard {
                    peer: peer_id,
                    guard,
                };
                return assert_eq!(self.handle(input), []);
            }
            9 => Pattern::prefix("com.b"),
            10 => Pattern::wildcard(".b"),
            _ => Pattern::exact("com.a"),
        };
        self.waits.guards.retain(|guard| {
            let has_left = !self.peers.contains_key(&guard.peer);
            !(own(guard, id) || guard.topics == topics && has_left)
        });
        self.waits.guards.push(Guard {
            peer,
            id,
            topics: topics.clone(),
        });
        let input = Input::Guard {
            peer: peer_id,
            guard,
            topics,
        };
        assert_eq!(self.handle(input), []);
    }

    /// Some question is answered, or one that nobody waits for.
    pub(super) fn verdict(&mut self) {
        assert_eq!(self.handle(Input::Tick), []);
        let open: Vec<_> = (self.waits.lines.iter())
            .flat_map(|(peer, line)| line.iter().map(move |wait| (*peer, wait)))
            .flat_map(|(peer, wait)| wait.open.iter().map(move |asked| (peer, *asked)))
            .filter(|(_, (of, _))| *of != BY_CALL)
            .collect();
        let Some((peer, (of, ticket))) = self.random.one_of(&open) else {
            return;
        };
        // Now and then by somebody who was not asked.
        if self.random.below(10) == 0 {
            let other = PeerId(of + 1);
            assert_eq!(self.answer(other, ticket, true), []);
            return;
        }
        let allows = self.random.below(3) > 0;
        let mut outputs = self.answer(PeerId(of), ticket, allows);
        if allows {
            self.waits.granted += 1;
            let line = self.waits.lines.get_mut(&peer).expect("it waits");
            for wait in line {
                wait.open.retain(|asked| *asked != (of, ticket));
            }
            self.waits.settle(peer);
        } else {
            self.waits.denied += 1;
            let about = |wait: &Wait| wait.open.contains(&(of, ticket));
            let gone = self.waits.take(peer, about, |asked| asked.1 == ticket);
            let refused: Vec<_> = (gone.iter())
                .filter_map(|wait| wait.refused(peer, "com.denied"))
                .collect();
            take_errors(&mut outputs, &refused);
        }
        assert_eq!(outputs, []);
        self.check_calls();
    }

    fn answer(&mut self, peer: PeerId, ticket: u64, allows: bool) -> Vec<Output> {
        let denial = Denial {
            error: Uri::from("com.denied"),
            payload: Payload::empty(),
        };
        let verdict = if allows { Ok(()) } else { Err(denial.into()) };
        let ticket = Ticket(ticket);
        self.handle(Input::Verdict {
            peer,
            ticket,
            verdict,
        })
    }

    /// Lets one request go on whose turn it is.
    pub(super) fn release(&mut self) {
        assert_eq!(self.handle(Input::Tick), []);
        if self.waits.ready.is_empty() {
            return;
        }
        let peer = self.waits.ready.remove(0);
        let line = self.waits.lines.get_mut(&peer).expect("it waits");
        let wait = line.pop_front().expect("somebody is first");
        self.waits.settle(peer);
        self.router.released_at_once = 1;
        if matches!(wait.message, Message::Goodbye(_)) {
            self.leave(peer, Input::Tick, &[MessageType::Goodbye]);
        } else {
            let outputs = self.handle(Input::Tick);
            self.performed(peer, wait.message, wait.came, outputs);
        }
        self.router.released_at_once = 0;
    }
}

/// Takes these ERRORs out of what an input leads to.
pub(super) fn take_errors(outputs: &mut Vec<Output>, refused: &[Refused]) {
    for (peer, request_type, request, why) in refused {
        let at = outputs.iter().position(|output| {
            matches!(output, Output::Send { to, message: Message::Error(m) }
                if to.0 == *peer && m.request_type == *request_type
                    && m.request.value() == *request && m.error.as_str() == *why)
        });
        let at = at.unwrap_or_else(|| {
            panic!("{request_type:?} {request} of {peer}: {why}, in {outputs:?}")
        });
        outputs.remove(at);
    }
}

/// What happens besides messages: somebody guards, answers, or goes on.
pub(super) fn choose(random: &mut Random, waits: &Waits) -> Option<fn(&mut World, u64)> {
    if random.below(100) == 0 {
        return Some(World::guard);
    }
    if waits.has_ready() && random.below(3) == 0 {
        return Some(|world, _| world.release());
    }
    if waits.lines.is_empty() {
        return None;
    }
    match random.below(20) {
        0 => Some(|world, _| world.verdict()),
        1..=3 => Some(|world, _| world.answer_question()),
        _ => None,
    }
}
