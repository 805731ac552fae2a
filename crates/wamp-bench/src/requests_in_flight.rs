//! The requests of one session that are not answered yet, each with when it began. Must not know
//! what was asked.

use std::{collections::VecDeque, time::Instant};

use super::error::SessionError;

/// A window over the requests, whose ids count up: those before it are answered, those after it are
/// not made.
#[derive(Default)]
pub(super) struct RequestsInFlight {
    first: u64,
    begun: VecDeque<Option<Instant>>,
}

impl RequestsInFlight {
    /// Notes a request. Its id is higher than those before; ids between them are not of these.
    pub(super) fn begin(&mut self, id: u64, at: Instant) {
        if self.begun.is_empty() {
            self.first = id;
        }
        let next = self.first + self.begun.len() as u64;
        self.begun.extend((next..id).map(|_| None));
        self.begun.push_back(Some(at));
    }

    /// Takes out the request that an answer is for. Returns when it began.
    ///
    /// # Errors
    /// There is no such request, or it has been answered.
    pub(super) fn answer(&mut self, id: u64) -> Result<Instant, SessionError> {
        let Some(index) = id.checked_sub(self.first) else {
            return Err(if id == 0 {
                SessionError::NeverMade(id)
            } else {
                SessionError::Doubled(id)
            });
        };
        let index = usize::try_from(index).map_err(|_| SessionError::NeverMade(id))?;
        let request = self
            .begun
            .get_mut(index)
            .ok_or(SessionError::NeverMade(id))?;
        let begun = request.take().ok_or(SessionError::Doubled(id))?;
        while let Some(None) = self.begun.front() {
            self.begun.pop_front();
            self.first += 1;
        }
        Ok(begun)
    }

    /// The id of the oldest request in flight.
    pub(super) fn oldest(&self) -> Option<u64> {
        (!self.begun.is_empty()).then_some(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_matched_in_any_order_and_once() {
        let mut requests = RequestsInFlight::default();
        let now = Instant::now();
        for id in [1, 2, 3] {
            requests.begin(id, now);
        }
        assert!(matches!(
            requests.answer(0),
            Err(SessionError::NeverMade(0))
        ));
        assert!(matches!(
            requests.answer(4),
            Err(SessionError::NeverMade(4))
        ));
        assert!(matches!(
            requests.answer(u64::MAX),
            Err(SessionError::NeverMade(_))
        ));
        assert!(requests.answer(2).is_ok());
        assert!(matches!(requests.answer(2), Err(SessionError::Doubled(2))));
        assert_eq!(requests.oldest(), Some(1));
        assert!(requests.answer(1).is_ok());
        assert!(matches!(requests.answer(1), Err(SessionError::Doubled(1))));
        assert_eq!(requests.oldest(), Some(3));
        assert!(requests.answer(3).is_ok());
        assert_eq!(requests.oldest(), None);
        for id in [5, 8] {
            requests.begin(id, now);
        }
        assert_eq!(requests.oldest(), Some(5));
        assert!(matches!(requests.answer(4), Err(SessionError::Doubled(4))));
        assert!(requests.answer(5).is_ok());
        assert_eq!(requests.oldest(), Some(8));
        assert!(requests.answer(8).is_ok());
    }
}
