//! How much of what callers have in common one of them may have. Knows neither who the callers are
//! nor what they share.
//!
//! A caller may have as much as is free: alone it has half at most, a second one half of the rest,
//! and so on, so that a newcomer finds room whatever the others do. The threshold moves with the
//! load: nothing is set aside for callers that are not there.

use crate::refusal::Refusal;

/// Something of which there is so much for all callers together.
pub(super) struct Common {
    /// What its limit is called.
    pub(super) name: &'static str,
    pub(super) limit: usize,
    pub(super) used: usize,
    /// What else to do when there is too little, for people: it completes "…, or".
    pub(super) mend: &'static str,
}

impl Common {
    /// How much a caller may have.
    pub(super) fn share(&self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// Whether there is room for so much more, whoever wants it.
    pub(super) fn check_room(&self, more: usize) -> Result<(), Refusal> {
        if more <= self.share() {
            return Ok(());
        }
        Err(Refusal::common(self.name, self.limit, self.mend))
    }

    /// Whether a caller that has `own` of it may have so much more.
    pub(super) fn check_share(&self, own: usize, more: usize, least: usize) -> Result<(), Refusal> {
        if own + more <= self.share().max(least) {
            return Ok(());
        }
        let limit = (self.name, self.limit, self.mend);
        Err(Refusal::share(limit, self.used, own))
    }
}
