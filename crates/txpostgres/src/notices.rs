//! Owns how NOTICEs and WARNINGs of PostgreSQL get into the log. Must not know jobs.

use std::time::{Duration, Instant};

use sql::Report;
use tracing::{debug, info, warn};

use super::error::LOG;

/// How many NOTICEs of a connection are logged within [`PERIOD`], and how many WARNINGs.
const MOST: u64 = 10;
const PERIOD: Duration = Duration::from_secs(1);
/// How many bytes of each are logged.
const MOST_BYTES: usize = 2000;

/// There is no transaction in progress: the pool's own ROLLBACK was only to be sure.
const NO_TRANSACTION: &str = "25P01";

/// Limits how many notices a connection logs. A function that raises a notice in a loop would fill
/// the log: of each second some notices are logged, and the others counted.
pub(crate) struct Notices {
    warnings: RateLimit,
    notices: RateLimit,
}

struct RateLimit {
    since: Instant,
    came: u64,
}

impl Notices {
    pub(crate) fn new(now: Instant) -> Self {
        let limit = || RateLimit {
            since: now,
            came: 0,
        };
        Self {
            warnings: limit(),
            notices: limit(),
        }
    }

    /// Whether a notice that came now is to be logged; logs how many were left out.
    pub(crate) fn admit(&mut self, notice: &Report, now: Instant) -> bool {
        if &*notice.sqlstate == NO_TRANSACTION {
            return false;
        }
        if is_warning(notice) {
            self.warnings.admit("WARNINGs", now)
        } else {
            self.notices.admit("NOTICEs", now)
        }
    }
}

impl RateLimit {
    fn admit(&mut self, kind: &str, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= PERIOD {
            self.tell(kind);
            (self.since, self.came) = (now, 0);
        }
        self.came += 1;
        if self.came == MOST + 1 {
            warn!(
                target: LOG,
                "PostgreSQL sends more than {MOST} {kind} in a second on one connection: the others of that second are \
                 only counted. SET client_min_messages silences them, for the whole pool \
                 \"options\": \"-c client_min_messages=error\" in extra.database"
            );
        }
        self.came <= MOST
    }

    fn tell(&self, kind: &str) {
        let left_out = self.came.saturating_sub(MOST);
        if left_out > 0 {
            warn!(target: LOG, left_out, "{kind} of PostgreSQL were left out of the log");
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.warnings.tell("WARNINGs");
        self.notices.tell("NOTICEs");
    }
}

fn is_warning(notice: &Report) -> bool {
    &*notice.severity == "WARNING"
}

/// Logs a notice.
pub(crate) fn log(notice: &Report) {
    let (state, message) = (&*notice.sqlstate, &*notice.message);
    let shown = &message[..message.floor_char_boundary(MOST_BYTES)];
    let more = (shown.len() < message.len()).then(|| message.len() - shown.len());
    match &*notice.severity {
        "WARNING" => {
            warn!(target: LOG, sqlstate = state, bytes_more = more, "PostgreSQL warns: {shown}");
        }
        "LOG" | "DEBUG" => {
            debug!(target: LOG, bytes_more = more, "PostgreSQL says: {shown}");
        }
        _ => {
            info!(target: LOG, sqlstate = state, bytes_more = more, "PostgreSQL notes: {shown}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_second_some_are_logged() {
        let notice = |severity: &str, sqlstate: &str| Report {
            severity: severity.into(),
            sqlstate: sqlstate.into(),
            ..Report::default()
        };
        let now = Instant::now();
        let mut notices = Notices::new(now);
        let mut logged =
            |notice: &Report, at| (0..1000).filter(|_| notices.admit(notice, at)).count();
        assert_eq!(logged(&notice("NOTICE", "00000"), now), 10);
        assert_eq!(logged(&notice("WARNING", "01000"), now), 10);
        assert_eq!(logged(&notice("NOTICE", "00000"), now + PERIOD), 10);
        assert_eq!(logged(&notice("WARNING", NO_TRANSACTION), now + PERIOD), 0);
    }
}
