//! Requests that wait for permission, those of each session in its order. Knows what is still to be
//! answered and until when; must not know who is asked, nor what the requests do.
//!
//! All requests of a session wait behind the first that waits: so invocations and events keep their
//! order (WAMP specification, "Ordering Guarantees"), and whoever subscribes before it calls has the
//! events of that call. Each is asked about as soon as it comes, so that a line of them takes no
//! longer than its slowest. What is refused leaves its line at once.

mod check;
mod request;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Instant,
};

use super::{Disclose, PeerId, verdicts::Wish};
pub(super) use request::{Asked, Expired, Held, Request, Whom, octets};
use wamp::{Message, OwnIds, RequestId, Ticket};

/// The requests that wait.
#[derive(Default)]
pub(super) struct Waiting {
    /// Here they live: a session without any has no line.
    lines: HashMap<PeerId, Line, OwnIds>,
    /// Index: which request each open question is about.
    questions: HashMap<Ticket, Place, OwnIds>,
    /// Index: until when a request may wait as it does.
    deadlines: BTreeSet<(Instant, Place)>,
    /// Index: the sessions whose first request need not wait any more, in the order of their turns.
    ready: VecDeque<PeerId>,
    /// How many requests have waited so far, and how many questions there have been.
    numbers: u64,
    tickets: u64,
    /// How many wait, of all sessions together.
    held: Held,
    /// How many of these are CALLs.
    calls: usize,
    /// The sessions whose line is another one since this was asked for.
    changed: Vec<PeerId>,
}

/// Where a request waits: its session, and its number among all that have waited.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) peer: PeerId,
    number: u64,
}

/// The requests of one session that wait.
#[derive(Default)]
struct Line {
    requests: VecDeque<Request>,
    held: Held,
    is_ready: bool,
    /// The last of them is GOODBYE, after which nothing is heard.
    is_leaving: bool,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether some request need not wait any more.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn held(&self) -> Held {
        self.held
    }

    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// What waits of this session.
    pub(super) fn of(&self, peer: PeerId) -> Held {
        self.lines
            .get(&peer)
            .map(|line| line.held)
            .unwrap_or_default()
    }

    /// The same of every session of which something waits.
    pub(super) fn by_session(&self) -> impl Iterator<Item = (PeerId, Held)> {
        self.lines.iter().map(|(peer, line)| (*peer, line.held))
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The sessions whose line is another one since this was asked for.
    pub(super) fn take_changed(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn is_leaving(&self, peer: PeerId) -> bool {
        self.lines.get(&peer).is_some_and(|line| line.is_leaving)
    }

    /// The call with this id, if it waits.
    pub(super) fn call(&self, peer: PeerId, request: RequestId) -> Option<Place> {
        let line = self.lines.get(&peer)?;
        let mut requests = line.requests.iter();
        let call = requests.find(|waiting| waiting.call() == Some(request))?;
        Some(Place {
            peer,
            number: call.number,
        })
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A new question.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Puts a request at the end of its session's line.
    pub(super) fn enqueue(&mut self, peer: PeerId, mut request: Request) {
        self.numbers += 1;
        request.number = self.numbers;
        let place = Place {
            peer,
            number: request.number,
        };
        request.deadline = request.due();
        (self.deadlines).extend(request.deadline.map(|deadline| (deadline, place)));
        (self.questions).extend(request.open.iter().map(|asked| (asked.ticket, place)));
        self.calls += usize::from(request.call().is_some());
        let held = request.held();
        self.held.add(held);
        let line = self.lines.entry(peer).or_default();
        line.held.add(held);
        line.is_leaving |= matches!(request.message, Message::Goodbye(_));
        line.requests.push_back(request);
        self.note_changed(peer);
        self.look(peer);
    }

    /// The request that a question is about, if it still waits for the answer of `of`.
    pub(super) fn about(&self, of: Whom, ticket: Ticket) -> Option<Place> {
        let place = *self.questions.get(&ticket)?;
        let asked = Asked { ticket, of };
        self.request(place)?.open.contains(&asked).then_some(place)
    }

    /// The requests that wait for an answer of this session's guards, in the order they came.
    pub(super) fn asked_of(&self, guard: PeerId) -> Vec<Place> {
        let of = Whom::Guard(guard);
        let mut places: Vec<_> = (self.questions.values().copied())
            .filter(|place| {
                let request = self.request(*place);
                request.is_some_and(|request| request.open.iter().any(|asked| asked.of == of))
            })
            .collect();
        places.sort_unstable_by_key(|place| place.number);
        places.dedup();
        places
    }

    /// A question is answered, and not by a refusal.
    pub(super) fn granted(&mut self, place: Place, ticket: Ticket) {
        self.update(place, |request| {
            request.open.retain(|asked| asked.ticket != ticket);
        });
    }

    /// A request is granted by its authorizer, and waits for others from now on, if there are any.
    pub(super) fn granted_by_authorizer(
        &mut self,
        place: Place,
        disclose: Disclose,
        open: Vec<Asked>,
        answer_by: Instant,
    ) {
        self.update(place, |request| {
            request.granted = Some(disclose);
            request.open = open;
            request.answer_by = answer_by;
        });
    }

    /// What the authorizer was asked about this request.
    pub(super) fn take_wish(&mut self, place: Place) -> Option<Box<Wish>> {
        let line = self.lines.get_mut(&place.peer)?;
        line.get_mut(place.number)?.wish.take()
    }

    /// Changes a request, and the indexes with it.
    fn update(&mut self, place: Place, change: impl FnOnce(&mut Request)) {
        let line = self.lines.get_mut(&place.peer);
        let Some(request) = line.and_then(|line| line.get_mut(place.number)) else {
            return;
        };
        for asked in &request.open {
            self.questions.remove(&asked.ticket);
        }
        change(request);
        (self.questions).extend(request.open.iter().map(|asked| (asked.ticket, place)));
        let now = request.due();
        let before = std::mem::replace(&mut request.deadline, now);
        if before != now {
            if let Some(before) = before {
                self.deadlines.remove(&(before, place));
            }
            self.deadlines.extend(now.map(|now| (now, place)));
        }
        self.look(place.peer);
    }

    /// Takes a request out of its line, wherever it is.
    pub(super) fn remove(&mut self, place: Place) -> Option<Request> {
        let line = self.lines.get_mut(&place.peer)?;
        let at = line.position(place.number)?;
        let request = line.requests.remove(at)?;
        line.held.remove(request.held());
        self.note_gone(place.peer, &request);
        self.look(place.peer);
        Some(request)
    }

    /// Takes out the next request that need not wait any more. Sessions take turns.
    pub(super) fn next_ready(&mut self) -> Option<(PeerId, Request)> {
        let peer = self.ready.pop_front()?;
        let line = self.lines.get_mut(&peer)?;
        line.is_ready = false;
        let request = line.requests.pop_front()?;
        line.held.remove(request.held());
        self.note_gone(peer, &request);
        self.look(peer);
        Some((peer, request))
    }

    /// Takes out all that waits of a session.
    pub(super) fn leave(&mut self, peer: PeerId) -> impl Iterator<Item = Request> + use<> {
        let line = self.lines.remove(&peer).unwrap_or_default();
        if line.is_ready {
            self.ready.retain(|ready| *ready != peer);
        }
        for request in &line.requests {
            self.note_gone(peer, request);
        }
        line.requests.into_iter()
    }

    /// Takes out what a session that leaves has no use for: all but what it publishes.
    pub(super) fn keep_publications(&mut self, peer: PeerId) -> Vec<Request> {
        let line = self.lines.get(&peer);
        let others: Vec<_> = (line.into_iter().flat_map(|line| &line.requests))
            .filter(|request| !matches!(request.message, Message::Publish(_)))
            .map(|request| request.number)
            .collect();
        (others.into_iter())
            .filter_map(|number| self.remove(Place { peer, number }))
            .collect()
    }

    /// Every session of which something waits, in order.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        let mut peers: Vec<_> = self.lines.keys().copied().collect();
        peers.sort_unstable();
        peers
    }

    /// Takes out a request whose time is up.
    pub(super) fn next_expired(&mut self, now: Instant) -> Option<(PeerId, Request, Expired)> {
        let (deadline, place) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        let request = self.remove(place)?;
        let expired = if request.timeout_at.is_some_and(|at| at <= now) {
            Expired::Timeout
        } else {
            Expired::Unanswered
        };
        Some((place.peer, request, expired))
    }

    pub(super) fn request(&self, place: Place) -> Option<&Request> {
        let line = self.lines.get(&place.peer)?;
        line.requests.get(line.position(place.number)?)
    }

    /// Takes a request that was in a line out of the indexes.
    fn note_gone(&mut self, peer: PeerId, request: &Request) {
        let place = Place {
            peer,
            number: request.number,
        };
        if let Some(deadline) = request.deadline {
            self.deadlines.remove(&(deadline, place));
        }
        for asked in &request.open {
            self.questions.remove(&asked.ticket);
        }
        self.calls -= usize::from(request.call().is_some());
        self.held.remove(request.held());
        self.note_changed(peer);
    }

    fn note_changed(&mut self, peer: PeerId) {
        if self.changed.last() != Some(&peer) {
            self.changed.push(peer);
        }
    }

    /// Looks whether the first request of a session need not wait any more, or whether none waits.
    fn look(&mut self, peer: PeerId) {
        let Some(line) = self.lines.get_mut(&peer) else {
            return;
        };
        let Some(first) = line.requests.front() else {
            if line.is_ready {
                self.ready.retain(|ready| *ready != peer);
            }
            self.lines.remove(&peer);
            return;
        };
        match (line.is_ready, first.open.is_empty()) {
            (false, true) => self.ready.push_back(peer),
            (true, false) => self.ready.retain(|ready| *ready != peer),
            _ => {}
        }
        line.is_ready = first.open.is_empty();
    }
}

impl Line {
    /// Where the request with this number stands. They are in the order of their numbers.
    fn position(&self, number: u64) -> Option<usize> {
        (self.requests)
            .binary_search_by_key(&number, |request| request.number)
            .ok()
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Request> {
        let at = self.position(number)?;
        self.requests.get_mut(at)
    }
}
