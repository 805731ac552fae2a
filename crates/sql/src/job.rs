//! Owns what is sent to PostgreSQL as one: statements, what their transaction is like, and what is
//! wanted back. Must not know who sends it.

use std::sync::Arc;

use super::{
    job_times::JobTimes,
    params::{Params, Sql},
    settings::Settings,
};

/// One statement with the values of its parameters.
#[derive(Debug)]
pub struct Statement {
    /// Its text; its parameters are `$1`, `$2` and so on.
    pub sql: Sql,
    /// Their values.
    pub params: Params<'static>,
    /// What is wanted back.
    pub wanted: Wanted,
}

/// What is wanted back of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Its rows, and how many it changed.
    #[default]
    Rows,
    /// How many rows it changed. Rows that it returns are not kept.
    Count,
}

impl Statement {
    /// A statement of which the rows are wanted.
    pub fn new(sql: impl Into<Sql>, params: impl Into<Params<'static>>) -> Self {
        Self {
            sql: sql.into(),
            params: params.into(),
            wanted: Wanted::Rows,
        }
    }

    /// The same statement, with no rows wanted.
    #[must_use]
    pub fn count(mut self) -> Self {
        self.wanted = Wanted::Count;
        self
    }
}

/// What is sent to PostgreSQL as one: it takes effect as a whole or not at all.
///
/// A single statement without settings is sent as it is; if only its [count](Wanted::Count) is
/// wanted, it may be one that no transaction can hold, such as VACUUM. Any other job is one
/// transaction.
#[derive(Debug)]
pub struct Job {
    /// What holds for its transaction.
    pub settings: Settings,
    /// Its statement, or the first of them.
    pub first: Statement,
    /// Those after it.
    pub others: Vec<Statement>,
    /// Whether its transaction is rolled back when all statements have run, on purpose: they give
    /// their results, and nothing takes effect.
    pub is_dry_run: bool,
    /// Who wants to know what its time goes into.
    pub times: Option<Arc<JobTimes>>,
}

impl Job {
    /// A job of one statement.
    pub fn new(statement: Statement) -> Self {
        Self {
            settings: Settings::new(),
            first: statement,
            others: Vec::new(),
            is_dry_run: false,
            times: None,
        }
    }

    /// The same job with one more statement, after the others.
    #[must_use]
    pub fn then(mut self, statement: Statement) -> Self {
        self.others.push(statement);
        self
    }

    /// The same job with these settings.
    #[must_use]
    pub fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The same job, rolled back on purpose at its end.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.is_dry_run = true;
        self
    }

    /// The same job, of which its backend notes what its time goes into.
    #[must_use]
    pub fn timed(mut self, times: Arc<JobTimes>) -> Self {
        self.times = Some(times);
        self
    }

    /// Whether it needs no transaction around it, because PostgreSQL makes one for each statement.
    pub fn is_bare(&self) -> bool {
        self.others.is_empty() && self.settings.is_empty() && !self.is_dry_run
    }
}

impl From<Statement> for Job {
    fn from(statement: Statement) -> Self {
        Self::new(statement)
    }
}
