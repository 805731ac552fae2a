//! What the requests that wait rely on, verified. Decides nothing.

use std::collections::{BTreeSet, HashMap};

use super::{Held, Place, Waiting};
use crate::{Limits, session::Sessions};
use wamp::OwnIds;

impl Waiting {
    /// Panics unless every index agrees with what it is an index of.
    pub(crate) fn check(&self, sessions: &Sessions, limits: &Limits) {
        let mut questions = HashMap::<_, _, OwnIds>::default();
        let (mut deadlines, mut ready) = (BTreeSet::new(), BTreeSet::new());
        let (mut held, mut calls) = (Held::default(), 0);
        for (peer, line) in &self.lines {
            assert!(sessions.is_joined(*peer), "{peer:?} waits and is joined");
            let mut in_line = Held::default();
            for request in &line.requests {
                let place = Place {
                    peer: *peer,
                    number: request.number,
                };
                questions.extend(request.open.iter().map(|asked| (asked.ticket, place)));
                assert_eq!(request.deadline, request.due(), "{place:?} is due");
                deadlines.extend(request.deadline.map(|deadline| (deadline, place)));
                in_line.add(request.held());
                calls += usize::from(request.call().is_some());
                if let Some(call) = request.call() {
                    let pending = &sessions.joined(*peer).calls;
                    assert!(
                        !pending.contains_key(&call.into()),
                        "{place:?} is not pending as well"
                    );
                }
            }
            let numbers = line.requests.iter().map(|request| request.number);
            assert!(
                numbers.is_sorted_by(|a, b| a < b),
                "{peer:?} waits in order"
            );
            assert_eq!(in_line, line.held, "what waits of {peer:?} is counted");
            assert!(
                in_line.requests <= limits.waiting_requests_per_session + 1
                    && in_line.octets <= limits.waiting_octets_per_session,
                "{peer:?} is within the limits, but for its GOODBYE"
            );
            let first = line.requests.front().expect("a line has a request");
            assert_eq!(
                first.open.is_empty(),
                line.is_ready,
                "{peer:?} is ready or waits"
            );
            ready.extend(line.is_ready.then_some(*peer));
            held.add(in_line);
        }
        assert_eq!(questions, self.questions, "questions are those of requests");
        assert_eq!(deadlines, self.deadlines, "deadlines are those of requests");
        assert_eq!(
            (held, calls),
            (self.held, self.calls),
            "what waits is counted"
        );
        assert_eq!(ready.len(), self.ready.len(), "each is ready once");
        assert_eq!(
            ready,
            self.ready.iter().copied().collect(),
            "those are ready"
        );
    }
}
