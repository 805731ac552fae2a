//! The events that have not reached every subscriber yet, each with when it was published. Must
//! not know how they are published.

use std::{collections::VecDeque, time::Instant};

/// A window over the events, which are numbered from 1: those before it have reached everybody,
/// those after it are not published.
pub(super) struct EventsInFlight {
    subscribers: u64,
    first: u64,
    events: VecDeque<EventInFlight>,
}

struct EventInFlight {
    begun: Instant,
    /// How many subscribers do not have it yet.
    missing: u64,
}

impl EventsInFlight {
    pub(super) fn new(subscribers: usize) -> Self {
        Self {
            subscribers: subscribers as u64,
            first: 1,
            events: VecDeque::new(),
        }
    }

    /// Notes an event. Returns its number.
    pub(super) fn publish(&mut self, begun: Instant) -> u64 {
        let missing = self.subscribers;
        self.events.push_back(EventInFlight { begun, missing });
        self.last()
    }

    /// The number of the last event that was published; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.first + self.events.len() as u64 - 1
    }

    /// How many events are in flight.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// One subscriber has got the event. Returns when it was published, and whether the oldest
    /// event has now reached everybody; `None` if no such event is in flight.
    pub(super) fn arrive(&mut self, number: u64) -> Option<(Instant, bool)> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let event = self.events.get_mut(index)?;
        event.missing -= 1;
        let begun = event.begun;
        let before = self.first;
        while (self.events.front()).is_some_and(|event| event.missing == 0) {
            self.events.pop_front();
            self.first += 1;
        }
        Some((begun, self.first > before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_in_flight_until_the_last_subscriber_has_it() {
        let mut events = EventsInFlight::new(2);
        let now = Instant::now();
        assert_eq!(events.last(), 0);
        assert_eq!([(); 2].map(|()| events.publish(now)), [1, 2]);
        assert_eq!(events.arrive(1), Some((now, false)));
        assert_eq!(events.arrive(2), Some((now, false)));
        assert_eq!(events.arrive(1), Some((now, true)));
        assert_eq!((events.len(), events.last()), (1, 2));
        assert_eq!(events.arrive(1), None, "it has reached everybody");
        assert_eq!(events.arrive(3), None, "it was never published");
        assert_eq!(events.arrive(2), Some((now, true)));
        assert_eq!((events.len(), events.last()), (0, 2));
    }
}
