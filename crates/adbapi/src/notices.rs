//! Owns what PostgreSQL says unasked: NOTICEs and WARNINGs go to the log. Knows no job and no pool.

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

/// The notice callback of a connection. A loop that raises one in each round would fill the log and
/// hold its own statement up: some of each second are logged, and the others counted.
pub(super) fn of_one_connection() -> impl Fn(DbError) + Send + Sync + 'static {
    let kinds = [Budget::new("WARNINGs"), Budget::new("NOTICEs")];
    move |notice| {
        if *notice.code() == SqlState::NO_ACTIVE_SQL_TRANSACTION {
            // The pool may have brought it about itself, to be sure. Who asks knows what it means.
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

/// What a connection may still log of one kind.
struct Budget {
    kind: &'static str,
    spent: Mutex<Spent>,
}

struct Spent {
    since: Instant,
    came: u64,
}

impl Budget {
    fn new(kind: &'static str) -> Self {
        let spent = Spent {
            since: Instant::now(),
            came: 0,
        };
        Self {
            kind,
            spent: Mutex::new(spent),
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

    /// The how manieth of its second this one is. What was left out of the second before is logged.
    fn count(&self, now: Instant) -> u64 {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(spent.since) >= PERIOD {
            self.tell(&spent);
            *spent = Spent {
                since: now,
                came: 0,
            };
        }
        spent.came += 1;
        spent.came
    }

    fn tell(&self, spent: &Spent) {
        let left_out = spent.came.saturating_sub(MOST);
        if left_out > 0 {
            let kind = self.kind;
            warn!(target: super::LOG, left_out, "{kind} of PostgreSQL were left out of the log");
        }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.tell(&self.spent.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether the warning came since this was last asked on this thread.
pub(super) fn take_no_transaction() -> bool {
    NO_TRANSACTION.take()
}
