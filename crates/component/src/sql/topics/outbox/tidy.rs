//! Owns how events that were kept long enough are deleted: few at a time, beside what is read, by
//! whichever node comes first. Must not know what is published.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sql::{Database, Job, Params, Results, Statement, params};

use super::{super::settings, source::mend};

/// How many events are looked at in one transaction.
const BATCH: i32 = 1000;
/// How often, at most and at least.
const OFTEN: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(30);

/// What deletes events now and then.
pub(super) struct Tidy {
    shared: Arc<Shared>,
    every: Duration,
    due: Instant,
}

struct Shared {
    db: Arc<dyn Database>,
    max_age: f64,
    max_bytes: i64,
    is_running: AtomicBool,
    is_closed: AtomicBool,
    /// The last time it did not succeed.
    has_failed: AtomicBool,
}

impl Tidy {
    pub(super) fn new(settings: &settings::Outbox, db: &Arc<dyn Database>, now: Instant) -> Self {
        let every = (settings.max_age / 4).clamp(OFTEN, SELDOM);
        let shared = Arc::new(Shared {
            db: db.clone(),
            max_age: settings.max_age.as_secs_f64(),
            max_bytes: i64::try_from(settings.max_bytes).unwrap_or(i64::MAX),
            is_running: AtomicBool::default(),
            is_closed: AtomicBool::default(),
            has_failed: AtomicBool::default(),
        });
        Self {
            shared,
            every,
            due: now + every,
        }
    }

    /// When to begin next.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Begins to delete, if it is time. Does not block.
    pub(super) fn begin(&mut self, now: Instant) {
        if now < self.due {
            return;
        }
        self.due = now + self.every;
        if !self.shared.is_running.swap(true, Ordering::AcqRel) {
            self.shared.clone().begin();
        }
    }

    /// Deletes no more.
    pub(super) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn begin(self: Arc<Self>) {
        let sql = "SELECT wampgres.outbox_bytes()";
        self.ask(sql, ().into(), |this, results| {
            let row = results.first.row(0);
            let bytes: i64 = row.map_or(Ok(0), |row| row.get(0))?;
            let excess = bytes - this.max_bytes;
            this.delete(0, excess);
            Ok(())
        });
    }

    /// Deletes of the oldest events after this one, also younger ones of so many bytes.
    fn delete(self: Arc<Self>, after: i64, excess: i64) {
        let sql = "SELECT last, deleted, bytes \
                   FROM wampgres.delete_events($1, make_interval(secs => $2), $3, $4)";
        let params = params![after, self.max_age, excess, BATCH];
        self.ask(sql, params, move |this, results| {
            let Some(row) = results.first.row(0) else {
                return Ok(());
            };
            let (last, deleted): (Option<i64>, i64) = (row.get(0)?, row.get(1)?);
            let excess = excess - row.get::<i64>(2)?;
            match last.filter(|_| deleted > 0) {
                Some(last) => this.delete(last, excess),
                None => this.is_running.store(false, Ordering::Release),
            }
            Ok(())
        });
    }

    fn ask(
        self: Arc<Self>,
        sql: &'static str,
        params: Params<'static>,
        then: impl FnOnce(Arc<Self>, &Results) -> Result<(), sql::Error> + Send + 'static,
    ) {
        if self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let asked = self.db.submit(Job::new(Statement::new(sql, params)));
        asked.on_result(move |result| {
            let this = self.clone();
            if let Err(error) = result.and_then(|results| then(this, &results)) {
                self.fail(&error);
            } else {
                self.has_failed.store(false, Ordering::Relaxed);
            }
        });
    }

    fn fail(&self, error: &sql::Error) {
        self.is_running.store(false, Ordering::Release);
        let is_closed = self.is_closed.load(Ordering::Relaxed);
        if !self.has_failed.swap(true, Ordering::Relaxed) && !is_closed {
            let mend = mend(error).map_or_else(String::new, |mend| format!("; {mend}"));
            tracing::warn!(target: crate::LOG, "old events are not deleted, will try again: {error}{mend}");
        }
    }
}
