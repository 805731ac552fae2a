//! Owns a directory's listing that is being made for a connection; must not know what is in it.

use std::time::Duration;

use web::{Listing, Progress, Response};

/// After which time a listing goes on: others have their turn between its steps.
const STEP: Duration = Duration::from_micros(200);
/// After which time one asks again that waits for another.
const WAIT: Duration = Duration::from_millis(2);

/// A listing under way, and how its request wants to be answered.
pub(super) struct Pending {
    listing: Box<Listing>,
    pub(super) head_only: bool,
    pub(super) keep_alive: bool,
    /// After which time the next step is due.
    pub(super) pause: Duration,
}

impl Pending {
    pub(super) fn new(listing: Box<Listing>, head_only: bool, keep_alive: bool) -> Self {
        Self {
            listing,
            head_only,
            keep_alive,
            pause: STEP,
        }
    }

    /// Does the next step; the answer, when it was the last.
    pub(super) fn advance(&mut self) -> Option<Response> {
        match self.listing.advance() {
            Progress::Done(response) => return Some(response),
            Progress::Goes => self.pause = STEP,
            Progress::Waits => self.pause = WAIT,
        }
        None
    }
}
