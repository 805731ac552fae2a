//! Owns how PostgreSQL is asked for the plans of a procedure's statements with the arguments of a call.
//! Must not know who asks.

use std::sync::{Arc, mpsc};

use sql::{Job, Row, Rows, Sql, Statement};

use super::{
    super::{super::Error, types::Argument},
    Procedure, Unprepared,
    prepare::{Prepared, is_fault},
    run::params,
};

/// How plans are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainOptions {
    /// Run the statements, in a transaction that is rolled back, and tell what they took.
    pub analyze: bool,
    /// Ask for JSON instead of text.
    pub json: bool,
}

/// What PostgreSQL plans to do for a statement of a procedure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementPlan {
    /// Where the statement begins: its file, with line and column.
    pub place: String,
    /// The statement as it is run.
    pub sql: String,
    /// The plan, as text or as JSON; `None` for a statement that has none, such as SET.
    pub plan: Option<String>,
}

impl ExplainOptions {
    fn explain(self, sql: &str) -> Sql {
        let format = if self.json { "json" } else { "text" };
        let analyze = if self.analyze {
            "ANALYZE, BUFFERS, "
        } else {
            ""
        };
        format!("EXPLAIN ({analyze}FORMAT {format}) {sql}").into()
    }
}

impl Procedure {
    /// The plans of all statements.
    ///
    /// # Errors
    /// The arguments do not suit, PostgreSQL does not prepare the procedure or cannot be asked, or with
    /// `analyze` what the call would end with.
    ///
    /// # Blocking
    /// Until PostgreSQL has answered. Must not be called on a thread of the pool's.
    pub(in crate::sql) fn explain(
        self: &Arc<Self>,
        arguments: &[Option<Argument>],
        options: ExplainOptions,
    ) -> Result<Vec<StatementPlan>, Error> {
        let prepared = self.prepare_now()?;
        let mut job: Option<Job> = None;
        let mut has_plan = Vec::new();
        for (index, of) in prepared.statements.iter().enumerate() {
            let explain = options.explain(&of.sql);
            let is_explained = self.can_be_prepared(&explain)?;
            has_plan.push(is_explained);
            let params = params(&self.plan, index, of, arguments)?;
            let statement = match (is_explained, options.analyze) {
                (true, _) => Statement::new(explain, params),
                // Those after it may need what it does.
                (false, true) => Statement::new(of.sql.clone(), params).count(),
                (false, false) => continue,
            };
            job = Some(match job {
                None => Job::new(statement),
                Some(job) => job.then(statement),
            });
        }
        let results = match job {
            Some(job) => Some(
                self.callers
                    .db()
                    .submit(self.as_called(job, options))
                    .wait()?,
            ),
            None => None,
        };
        let mut results = results.iter().flat_map(sql::Results::iter);
        let plans = has_plan.iter().map(|has_plan| match has_plan {
            true => results.next().map(text),
            false => {
                // It was run, and has a result of its own.
                if options.analyze {
                    results.next();
                }
                None
            }
        });
        Ok(self.told(&prepared, plans.collect()))
    }

    /// In a transaction as that of a call, of which nothing stays.
    fn as_called(&self, job: Job, options: ExplainOptions) -> Job {
        let job = job.with(self.plan.told.settings.clone());
        if options.analyze { job.dry_run() } else { job }
    }

    fn told(&self, prepared: &Prepared, plans: Vec<Option<String>>) -> Vec<StatementPlan> {
        let source = &self.plan.source;
        let statements = source.statements.iter().zip(&self.plan.statements);
        let statements = statements.zip(&prepared.statements).zip(plans);
        let told = statements.map(|(((statement, planned), prepared), plan)| StatementPlan {
            place: (source.locate(statement, &planned.assembled, None)).to_string(),
            sql: prepared.sql.to_string(),
            plan,
        });
        told.collect()
    }

    fn prepare_now(self: &Arc<Self>) -> Result<Arc<Prepared>, Error> {
        let (send, receive) = mpsc::channel();
        self.prepare(move |result| {
            // Nobody waits if this thread has panicked.
            let _ = send.send(result);
        });
        let gone = || Error::runtime("the pool has given no answer");
        match receive.recv().map_err(|_| gone())? {
            Ok(prepared) => Ok(prepared),
            Err(Unprepared::Faulty(faults, _)) => {
                let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                Err(Error::runtime(faults.join("\n")))
            }
            Err(Unprepared::Unavailable(error)) => Err(error),
        }
    }

    /// Whether PostgreSQL takes this text.
    fn can_be_prepared(&self, sql: &Sql) -> Result<bool, Error> {
        match self.callers.db().describe(sql.clone()).wait() {
            Ok(_) => Ok(true),
            Err(error) if is_fault(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The plan in the rows of EXPLAIN: lines of text, or one value of JSON.
fn text(rows: &Rows) -> String {
    let line = |row: Row<'_>| {
        let line = row.value(0).unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
