//! Owns what the pool owes for a work: whose result it is, and what must be known of it while it is
//! under way. Must not know connections.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use deferred::{Control, Interrupt, Promise, Stage};
use sql::{Description, Error, ErrorKind, Job, JobTimes, Results, RowSink, Settings, Sql};

use super::policy::{Class, Kind};
use crate::{
    interaction::Interacting,
    session::{Outcome, Work},
};

/// How often a job is run at most that cancel requests for others hit.
const MOST_RUNS: u8 = 8;

/// What goes with a work to its session and comes back with its end.
pub(crate) struct Ticket {
    pub(crate) owed: Owed,
    pub(crate) submitted: Instant,
    pub(crate) kind: Kind,
    /// It has its connection for itself while it is under way.
    pub(crate) needs_idle: bool,
    /// How long PostgreSQL may take for it without an answer.
    pub(crate) limit: Option<Duration>,
    /// Its statements may change the session's own limit.
    pub(crate) changes_limit: bool,
    /// For the log of slow ones.
    pub(crate) sql: Option<Sql>,
    pub(crate) sent_at: Instant,
    /// Who wants to know what its time goes into, until that is noted.
    pub(crate) times: Option<Arc<JobTimes>>,
    /// How long it waited for its connection to be made.
    pub(crate) connecting: Duration,
    runs: u8,
}

/// Whose result it is.
pub(crate) enum Owed {
    Results(Promise<Results, Error>),
    Description(Promise<Description, Error>),
    Stream(Promise<(), Error>, Arc<RowSink>),
    Interaction(Box<dyn Interacting>),
    /// A step of setting up a new session, the pool's own.
    SetUp,
    /// The pool's own look whether a connection that has idled is well.
    Check,
    /// The pool's own, after a job.
    Reset,
    /// The listening connection's own.
    Listen,
}

/// A job with all that it needs to be sent.
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    pub(crate) work: Work,
}

impl Ticket {
    pub(crate) fn new(owed: Owed, kind: Kind, submitted: Instant) -> Self {
        Self {
            needs_idle: matches!(owed, Owed::Stream(..) | Owed::Interaction(_)),
            owed,
            submitted,
            kind,
            limit: None,
            changes_limit: false,
            sql: None,
            sent_at: submitted,
            times: None,
            connecting: Duration::ZERO,
            runs: 0,
        }
    }

    /// One of the pool's own.
    pub(crate) fn own(owed: Owed, now: Instant) -> Self {
        Self::new(owed, 0, now)
    }

    /// The handle by which the job can be ended from outside; none for the pool's own.
    pub(crate) fn control(&self) -> Option<Arc<dyn Control<Error>>> {
        match &self.owed {
            Owed::Results(promise) => Some(promise.control()),
            Owed::Description(promise) => Some(promise.control()),
            Owed::Stream(promise, _) => Some(promise.control()),
            Owed::Interaction(interaction) => Some(interaction.control()),
            Owed::SetUp | Owed::Check | Owed::Reset | Owed::Listen => None,
        }
    }

    /// Whether somebody's job is behind it, and not the pool itself.
    pub(crate) fn is_job(&self) -> bool {
        !matches!(
            self.owed,
            Owed::SetUp | Owed::Check | Owed::Reset | Owed::Listen
        )
    }

    /// From now on it can be stopped. False if it has its result already.
    pub(crate) fn begin(&self, interrupt: &Arc<dyn Interrupt<Error>>) -> bool {
        self.control()
            .is_none_or(|control| control.begin(interrupt))
    }

    /// Whether this is the job that `control` is about.
    pub(crate) fn is(&self, control: &Arc<dyn Control<Error>>) -> bool {
        let own = self.control();
        own.is_some_and(|own| std::ptr::addr_eq(Arc::as_ptr(&own), Arc::as_ptr(control)))
    }

    /// Whether it is the stream with this sink.
    pub(crate) fn is_of(&self, sink: &RowSink) -> bool {
        matches!(&self.owed, Owed::Stream(_, own) if std::ptr::eq(&raw const **own, sink))
    }

    /// Whether it was ended from outside, so that its result is for nobody.
    pub(crate) fn is_interrupted(&self) -> bool {
        let control = self.control();
        control.is_some_and(|control| control.stage() == Stage::Interrupted)
    }

    /// Its job is over: why it failed, if it did.
    pub(crate) fn over(&self, failure: Option<ErrorKind>) -> Option<ErrorKind> {
        let end = self.control().map_or(Ok(()), |control| control.end());
        end.err().or(failure)
    }

    /// Whether a job that a request for another has hit is run once more; counts that.
    pub(crate) fn runs_again(&mut self) -> bool {
        self.runs += 1;
        self.runs < MOST_RUNS && !self.is_interrupted()
    }

    /// Notes what the time of a job went into for which PostgreSQL took so long.
    pub(crate) fn note_times(&mut self, now: Instant, database: Duration) {
        if let Some(times) = self.times.take() {
            let all = now.saturating_duration_since(self.submitted);
            let waited = all.saturating_sub(database + self.connecting);
            times.add(waited, self.connecting, database);
        }
    }

    /// The same of a job that was never at the head of a connection.
    fn note_unsent(&mut self, result: &Result<Outcome, Error>) {
        if self.times.is_some() {
            let now = Instant::now();
            if matches!(result, Err(error) if error.kind() == ErrorKind::Unavailable) {
                self.connecting = now.saturating_duration_since(self.submitted);
            }
            self.note_times(now, Duration::ZERO);
        }
    }

    /// Gives the result. Callbacks run here.
    pub(crate) fn resolve(mut self, result: Result<Outcome, Error>) {
        self.note_unsent(&result);
        match (self.owed, result) {
            (Owed::Results(promise), Ok(Outcome::Results(results))) => promise.resolve(Ok(results)),
            (Owed::Description(promise), Ok(Outcome::Description(description))) => {
                promise.resolve(Ok(description));
            }
            (Owed::Stream(promise, _), Ok(Outcome::Streamed)) => promise.resolve(Ok(())),
            (Owed::Results(promise), result) => promise.resolve(Err(error_of(result))),
            (Owed::Description(promise), result) => promise.resolve(Err(error_of(result))),
            (Owed::Stream(promise, _), result) => promise.resolve(Err(error_of(result))),
            (Owed::Interaction(interaction), result) => {
                interaction.finish(error_of(result));
            }
            (Owed::SetUp | Owed::Check | Owed::Reset | Owed::Listen, _) => {}
        }
    }
}

/// The session answers each work in its kind.
fn error_of(result: Result<Outcome, Error>) -> Error {
    match result {
        Err(error) => error,
        Ok(_) => Error::new(ErrorKind::Other, "the session has mixed up its results"),
    }
}

/// What a job has in common with others that take equally long.
pub(crate) fn kind_of_job(job: &Job) -> Kind {
    let mut hasher = DefaultHasher::new();
    job.first.sql.hash_text(&mut hasher);
    for other in &job.others {
        other.sql.hash_text(&mut hasher);
    }
    hasher.finish()
}

/// The same of one text, of a use of it that takes its own time.
pub(crate) fn kind_of_text(text: &str, word: &str) -> Kind {
    let mut hasher = DefaultHasher::new();
    (text, word).hash(&mut hasher);
    hasher.finish()
}

trait HashText {
    fn hash_text(&self, hasher: &mut DefaultHasher);
}

impl HashText for Sql {
    fn hash_text(&self, hasher: &mut DefaultHasher) {
        (**self).hash(hasher);
    }
}

/// Whether a job needs a transaction that only BEGIN can make, which nobody else may be behind.
pub(crate) fn is_explicit(settings: &Settings) -> bool {
    settings.get_isolation().is_some() || settings.get_read_only() == Some(false)
}

impl Waiting {
    /// The class of what it does, if that was seen. A stream takes as long as its reader.
    pub(crate) fn class(&self, of_kind: Class) -> Class {
        match self.ticket.owed {
            Owed::Stream(..) => Class::Slow,
            _ => of_kind,
        }
    }
}
