//! Owns how a connection that has idled is found to be dead or alive, with the server or without
//! it. Knows no pool: when to check is the pool's decision.

use std::time::{Duration, Instant};

use postgres::fallible_iterator::FallibleIterator;

use super::{
    super::{error::Error, pool::manager::SILENT, session_attrs::SessionAttrs},
    Connection,
};

/// What a look costs: the timer that it waits for has this granularity.
const LOOK: Duration = Duration::from_millis(1);

impl Connection {
    /// Finds out whether the server has closed the connection, in the cheaper of two ways.
    ///
    /// # Errors
    /// Why the connection is dead.
    pub(in super::super) fn look(&mut self) -> Result<(), Error> {
        if !self.looks_far() {
            // A server this near answers sooner than a look ends.
            return self.ask_anything();
        }
        // This reads what waits in the socket, without a round trip. A dead connection shows at
        // once, and a living one costs the time of the timer.
        let mut notifications = self.client.notifications();
        let mut unread = notifications.timeout_iter(Duration::ZERO);
        while unread.next()?.is_some() {}
        Ok(())
    }

    /// Whether the server has never answered sooner than a look ends. A busy machine makes a near
    /// server look far, and no look would notice it frozen; so its statements are measured as well,
    /// until one is quick.
    pub(super) fn looks_far(&self) -> bool {
        self.round_trip >= LOOK
    }

    /// The server has answered something within this time.
    pub(super) fn note_round_trip(&mut self, took: Duration) {
        self.round_trip = self.round_trip.min(took);
    }

    /// Measures how far away the server is. A busy machine makes a near server look far, so this
    /// asks again; a server that is far twice is far.
    pub(in super::super) fn measure(&mut self) -> Result<(), Error> {
        for asked_before in 0..3 {
            self.ask_anything()?;
            let is_far = asked_before > 0 && self.round_trip > 10 * LOOK;
            if self.round_trip < LOOK || is_far {
                break;
            }
        }
        Ok(())
    }

    /// Waits for any answer, within a time limit.
    pub(super) fn ask_anything(&mut self) -> Result<(), Error> {
        let began = Instant::now();
        let answer = self.client.is_valid(SILENT);
        let took = began.elapsed();
        self.unanswered |= answer.is_err() && took >= SILENT;
        self.note_round_trip(took);
        Ok(answer?)
    }

    /// Asks the server whether it is still there and well: first with a time limit, then with
    /// `good_sql`.
    pub(in super::super) fn ask(&mut self, good_sql: &str) -> Result<(), Error> {
        self.ask_anything()?;
        if !good_sql.is_empty() {
            self.client.simple_query(good_sql)?;
        }
        if let Some(objection) = self.settings.wanted.objection(&mut self.client)? {
            return Err(Error::custom(objection));
        }
        self.suspect = false;
        Ok(())
    }
}
