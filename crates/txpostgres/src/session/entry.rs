//! Owns the work of a session from its submission to its end, and the answers that are expected for
//! it. Must not know how either is written or read.

use std::{borrow::Cow, sync::Arc};

use sql::{Description, Error, Job, Results, Rows, Settings, Sql, Statement, is_atomic};

use super::prepared::Prepared;

/// What a session is to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// A job: one bare statement, or all of it as one transaction.
    Job(Job),
    /// Says what a statement takes and gives in a transaction with these settings.
    Describe(Settings, Sql),
    /// Reads a result from a portal, in a transaction of its own.
    Stream {
        /// What holds for the transaction.
        settings: Settings,
        /// Whose rows are read.
        statement: Statement,
        /// How many rows a batch has at most; more than 0.
        batch: i32,
    },
    /// A script, by the simple query protocol.
    Simple(Cow<'static, str>),
    /// Begins an interaction.
    Begin(Settings),
    /// A statement of an interaction.
    InTransaction(Statement),
    /// Ends an interaction.
    Commit,
    /// Ends it, and undoes what it did.
    Rollback,
}

/// What a work that has succeeded gives.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Of a job, or of a statement of an interaction.
    Results(Results),
    /// Of `Describe`.
    Description(Description),
    /// A stream's batches have all come, and its transaction is committed.
    Streamed,
    /// The first column of each row that a script gave.
    Simple(Vec<Option<Box<str>>>),
    /// An interaction has begun.
    Began,
    /// It is committed.
    Committed,
    /// It is undone.
    RolledBack,
}

/// How often a work is sent again at most when what was prepared for it is outdated or gone.
const MOST_ATTEMPTS: u8 = 4;

/// A work on its way. One without a ticket is the session's own lookup of types.
pub(super) struct Entry<T> {
    pub(super) ticket: Option<T>,
    pub(super) work: Work,
    /// Its transaction is explicit.
    is_explicit: bool,
    /// Nothing may be under way beside it.
    pub(super) is_alone: bool,
    /// The statement that is written next.
    pub(super) cursor: usize,
    /// What its transaction begins with is written.
    pub(super) has_begun: bool,
    /// A statement of its was told to run, so it may have had an effect.
    pub(super) has_run: bool,
    attempts: u8,
    /// What was prepared for it was refused, and it did nothing.
    pub(super) is_outdated: bool,
    /// Nothing of it was written but a Sync.
    pub(super) is_refused: bool,
    /// A cancel request has ended it.
    pub(super) is_stopped: bool,
    /// The end of its transaction is written.
    pub(super) is_ending: bool,
    /// What it left open is being undone.
    pub(super) is_rolling_back: bool,
    /// A stream has given all of its rows.
    pub(super) is_read: bool,
    pub(super) error: Option<Error>,
    first: Option<Rows>,
    others: Vec<Rows>,
    pub(super) texts: Vec<Option<Box<str>>>,
    pub(super) description: Option<Description>,
}

impl<T> Entry<T> {
    pub(super) fn new(ticket: Option<T>, work: Work) -> Self {
        let is_explicit = is_explicit(&work);
        let is_copy = matches!(&work, Work::Job(job) if has_copy(job));
        let is_alone = match work {
            Work::Job(_) => is_explicit || is_copy,
            Work::Describe(..) | Work::Simple(_) => false,
            _ => true,
        };
        Self {
            ticket,
            work,
            is_explicit,
            is_alone,
            cursor: 0,
            has_begun: false,
            has_run: false,
            attempts: 1,
            is_outdated: false,
            is_refused: false,
            is_stopped: false,
            is_ending: false,
            is_rolling_back: false,
            is_read: false,
            error: None,
            first: None,
            others: Vec::new(),
            texts: Vec::new(),
            description: None,
        }
    }

    /// One of its statements, numbered from 0.
    pub(super) fn statement(&self, at: usize) -> Option<&Statement> {
        match &self.work {
            Work::Job(job) if at > 0 => job.others.get(at - 1),
            Work::Job(Job { first, .. }) => Some(first),
            Work::Stream { statement, .. } | Work::InTransaction(statement) => {
                Some(statement).filter(|_| at == 0)
            }
            _ => None,
        }
    }

    /// The settings of its transaction.
    pub(super) fn settings(&self) -> Option<&Settings> {
        match &self.work {
            Work::Job(Job { settings, .. }) | Work::Stream { settings, .. } => Some(settings),
            Work::Begin(settings) | Work::Describe(settings, _) => Some(settings),
            _ => None,
        }
    }

    /// Whether it begins a transaction with BEGIN.
    pub(super) fn begins(&self) -> bool {
        self.is_explicit
    }

    /// Whether a transaction that it leaves open is to be rolled back.
    pub(super) fn may_roll_back(&self) -> bool {
        self.is_explicit || matches!(self.work, Work::Commit)
    }

    /// Whether it is the session's own.
    pub(super) fn is_lookup(&self) -> bool {
        self.ticket.is_none()
    }

    /// Whether it goes on in a transaction that another work has begun.
    pub(super) fn is_step(&self) -> bool {
        matches!(
            self.work,
            Work::InTransaction(_) | Work::Commit | Work::Rollback
        )
    }

    /// The first error counts; those after it come of it.
    pub(super) fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    pub(super) fn add_rows(&mut self, rows: Rows) {
        if self.first.is_none() {
            self.first = Some(rows);
        } else {
            self.others.push(rows);
        }
    }

    /// Makes it as if it had never been sent, if it may be sent again.
    pub(super) fn begin_again(&mut self) -> bool {
        let may = match self.work {
            Work::InTransaction(_) | Work::Commit | Work::Rollback | Work::Simple(_) => false,
            _ => self.attempts < MOST_ATTEMPTS && !self.is_lookup(),
        };
        if !may {
            return false;
        }
        self.attempts += 1;
        (self.cursor, self.has_begun, self.has_run) = (0, false, false);
        (self.is_outdated, self.is_ending, self.is_read) = (false, false, false);
        self.is_rolling_back = false;
        self.error = None;
        self.first = None;
        self.others.clear();
        true
    }

    /// Whether PostgreSQL has undone all that it did when it failed.
    pub(super) fn is_undone(&self) -> bool {
        match &self.work {
            Work::Job(job) => !job.is_bare() || is_atomic(&job.first.sql),
            Work::Describe(..) => true,
            _ => false,
        }
    }

    /// Its result.
    pub(super) fn into_outcome(self) -> (Option<T>, Result<Outcome, Error>) {
        if let Some(error) = self.error {
            return (self.ticket, Err(error));
        }
        let outcome = match self.work {
            Work::Job(_) | Work::InTransaction(_) => Outcome::Results(Results {
                first: self.first.unwrap_or_else(|| Rows::count(0)),
                others: self.others,
            }),
            Work::Describe(..) => Outcome::Description(self.description.unwrap_or(Description {
                params: Vec::new(),
                columns: Vec::new(),
            })),
            Work::Stream { .. } => Outcome::Streamed,
            Work::Simple(_) => Outcome::Simple(self.texts),
            Work::Begin(_) => Outcome::Began,
            Work::Commit => Outcome::Committed,
            Work::Rollback => Outcome::RolledBack,
        };
        (self.ticket, Ok(outcome))
    }
}

/// Whether a work needs BEGIN: for an isolation, to be rolled back, or where something in it may commit in between,
/// which is refused then. All other jobs are implicit transactions.
fn is_explicit(work: &Work) -> bool {
    let job = match work {
        Work::Stream { .. } | Work::Begin(_) => return true,
        Work::Job(job) if !job.is_bare() => job,
        _ => return false,
    };
    if job.is_dry_run {
        return true;
    }
    let settings = &job.settings;
    let statements = std::iter::once(&job.first).chain(&job.others);
    settings.get_isolation().is_some()
        || settings.get_read_only() == Some(false)
        || !statements
            .into_iter()
            .all(|statement| is_atomic(&statement.sql))
}

/// Whether it might be a COPY, which reads what is sent after it.
fn has_copy(job: &Job) -> bool {
    job.is_bare() && !is_atomic(&job.first.sql) && super::copy::is_copy(&job.first.sql)
}

/// What answers to what was sent, in its order.
pub(super) enum Step {
    /// ParseComplete. The types of its parameters were stated by what is known of the statement.
    Parsed {
        prepared: Arc<Prepared>,
        is_known: bool,
    },
    /// ParseComplete of a statement that is only to be described, or of the session's own.
    ParsedUnkept,
    /// The parameters of the statement that is asked for.
    AskedParams,
    /// Its columns.
    AskedColumns,
    /// The parameters of a statement that is known.
    Params,
    /// The columns of a statement.
    Columns(Arc<Prepared>),
    /// BindComplete of a statement.
    Bound(Arc<Prepared>),
    /// The rows and the end of a statement.
    Run { prepared: Arc<Prepared>, kept: Kept },
    /// CloseComplete.
    Closed,
    /// ReadyForQuery.
    Ready,
    /// All the answers to a script, and ReadyForQuery.
    Script,
}

/// What becomes of the rows of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Rows,
    Count,
    /// It is the session's own.
    Nothing,
    /// It begins a transaction, before the statements of its work.
    Beginning,
    /// They are types.
    Types,
    /// They are a batch of a stream.
    Batch,
}
