//! Owns how NOTICEs and WARNINGs of PostgreSQL get into the log. Knows no job and no pool.

use std::{
    cell::Cell,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use postgres::error::{DbError, Severity, SqlState};
use tracing::{Level, debug, enabled, info, warn};

thread_local! {
    /// Whether PostgreSQL answered this thread's last COMMIT or ROLLBACK with "there is no
    /// transaction in progress".
    ///
    /// The client library hides the transaction status, so this warning is the only sign that a job
    /// ended the pool's transaction itself. It comes on the thread that drives the connection, the
    /// one that asks afterwards.
    static NO_TRANSACTION: Cell<bool> = const { Cell::new(false) };
}

/// How many NOTICEs of a connection are logged within [`PERIOD`], and how many WARNINGs.
const MOST: u64 = 10;
const PERIOD: Duration = Duration::from_secs(1);
/// How many bytes of each are logged.
const MOST_BYTES: usize = 2000;

/// The notice callback of a connection. A function that raises a notice in a loop would fill the
/// log and be slowed down by it: of each second some notices are logged, and the others counted.
pub(super) fn of_one_connection() -> impl Fn(DbError) + Send + Sync + 'static {
    let kinds = [RateLimit::new("WARNINGs"), RateLimit::new("NOTICEs")];
    move |notice| {
        if *notice.code() == SqlState::NO_ACTIVE_SQL_TRANSACTION {
            // The pool may have caused it itself, by a ROLLBACK that was only to be sure. The
            // caller of `take_no_transaction` knows.
            return NO_TRANSACTION.set(true);
        }
        let [warnings, notices] = &kinds;
        match notice.parsed_severity() {
            Some(Severity::Warning) => warnings.log(&notice, Level::WARN),
            Some(Severity::Debug | Severity::Log) => notices.log(&notice, Level::DEBUG),
            _ => notices.log(&notice, Level::INFO),
        }
    }
}

/// Limits how many notices of one kind a connection logs.
struct RateLimit {
    kind: &'static str,
    period: Mutex<Period>,
}

struct Period {
    since: Instant,
    came: u64,
}

impl RateLimit {
    fn new(kind: &'static str) -> Self {
        let period = Period {
            since: Instant::now(),
            came: 0,
        };
        Self {
            kind,
            period: Mutex::new(period),
        }
    }

    fn log(&self, notice: &DbError, level: Level) {
        let is_wanted = match level {
            Level::WARN => enabled!(target: super::LOG, Level::WARN),
            Level::INFO => enabled!(target: super::LOG, Level::INFO),
            _ => enabled!(target: super::LOG, Level::DEBUG),
        };
        if !is_wanted {
            return;
        }
        let came = self.count(Instant::now());
        if came > MOST {
            if came == MOST + 1 {
                warn!(
                    target: super::LOG,
                    "PostgreSQL sends more than {MOST} {} in a second on one connection: the others of that second are \
                     only counted. SET client_min_messages silences them, for the whole pool \
                     \"options\": \"-c client_min_messages=error\" in extra.database",
                    self.kind
                );
            }
            return;
        }
        let (state, message) = (notice.code().code(), notice.message());
        let shown = &message[..message.floor_char_boundary(MOST_BYTES)];
        let more = (shown.len() < message.len()).then(|| message.len() - shown.len());
        match level {
            Level::WARN => {
                warn!(target: super::LOG, sqlstate = state, bytes_more = more, "PostgreSQL warns: {shown}")
            }
            Level::INFO => {
                info!(target: super::LOG, sqlstate = state, bytes_more = more, "PostgreSQL notes: {shown}")
            }
            _ => debug!(target: super::LOG, bytes_more = more, "PostgreSQL says: {shown}"),
        }
    }

    /// Counts a notice and gives its number within its second. Logs how many were left out of the
    /// second before.
    fn count(&self, now: Instant) -> u64 {
        let mut period = self.period.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(period.since) >= PERIOD {
            self.tell(&period);
            *period = Period {
                since: now,
                came: 0,
            };
        }
        period.came += 1;
        period.came
    }

    fn tell(&self, period: &Period) {
        let left_out = period.came.saturating_sub(MOST);
        if left_out > 0 {
            let kind = self.kind;
            warn!(target: super::LOG, left_out, "{kind} of PostgreSQL were left out of the log");
        }
    }
}

impl Drop for RateLimit {
    fn drop(&mut self) {
        self.tell(&self.period.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether the warning came since this was last asked on this thread.
pub(super) fn take_no_transaction() -> bool {
    NO_TRANSACTION.take()
}
