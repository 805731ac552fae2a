//! The requests of one session that are not answered yet, each with its begin. Must not know what
//! was asked.

use std::{collections::VecDeque, time::Instant};

use super::Fault;

/// A window over the requests, which have ids counted from 1: those before it are answered, those
/// after it not made.
pub(super) struct Outstanding {
    first: u64,
    begun: VecDeque<Option<Instant>>,
}

impl Default for Outstanding {
    fn default() -> Self {
        Self {
            first: 1,
            begun: VecDeque::new(),
        }
    }
}

impl Outstanding {
    /// Notes a request; the id it is to have.
    pub(super) fn begin(&mut self, at: Instant) -> u64 {
        self.begun.push_back(Some(at));
        self.first + self.begun.len() as u64 - 1
    }

    /// Takes out the request that an answer is to; when it began.
    pub(super) fn answer(&mut self, id: u64) -> Result<Instant, Fault> {
        let Some(place) = id.checked_sub(self.first) else {
            return Err(if id == 0 {
                Fault::Alien(id)
            } else {
                Fault::Doubled(id)
            });
        };
        let place = usize::try_from(place).map_err(|_| Fault::Alien(id))?;
        let request = self.begun.get_mut(place).ok_or(Fault::Alien(id))?;
        let begun = request.take().ok_or(Fault::Doubled(id))?;
        while let Some(None) = self.begun.front() {
            self.begun.pop_front();
            self.first += 1;
        }
        Ok(begun)
    }

    /// The id of the oldest, if there is any.
    pub(super) fn oldest(&self) -> Option<u64> {
        (!self.begun.is_empty()).then_some(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_matched_in_any_order_and_once() {
        let mut outstanding = Outstanding::default();
        let now = Instant::now();
        assert_eq!([(); 3].map(|()| outstanding.begin(now)), [1, 2, 3]);
        assert!(matches!(outstanding.answer(0), Err(Fault::Alien(0))));
        assert!(matches!(outstanding.answer(4), Err(Fault::Alien(4))));
        assert!(matches!(outstanding.answer(u64::MAX), Err(Fault::Alien(_))));
        assert!(outstanding.answer(2).is_ok());
        assert!(matches!(outstanding.answer(2), Err(Fault::Doubled(2))));
        assert_eq!(outstanding.oldest(), Some(1));
        assert!(outstanding.answer(1).is_ok());
        assert!(matches!(outstanding.answer(1), Err(Fault::Doubled(1))));
        assert_eq!(outstanding.oldest(), Some(3));
        assert!(outstanding.answer(3).is_ok());
        assert_eq!(outstanding.oldest(), None);
        assert_eq!(outstanding.begin(now), 4);
    }
}
