//! The component class `sql.Procedures`: files of SQL, and SQL in the configuration, as procedures.
//! Must not know how a procedure runs.

use std::sync::Arc;

use sql::Database;

use super::{
    super::{Component, Error, Pool, Setup},
    definitions::Definitions,
    descriptions::{DESCRIBE, describe_at},
    procedure::{Procedure, Unprepared},
    text::Fault,
};

/// What the configuration calls the class.
pub const CLASSNAME: &str = "sql.Procedures";

/// Procedures that are written in SQL.
pub(crate) struct Procedures {
    all: Vec<Arc<Procedure>>,
}

impl Component for Procedures {
    const NEEDS_DATABASE: bool = true;

    /// Reads all files, and lets PostgreSQL begin to describe the statements. A database that is
    /// down is asked when the procedure is called.
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let definitions = Definitions::read(&setup.extra);
        let (session, realm) = (setup.session.clone(), setup.realm.clone());
        let db = shared(setup.database()?);
        if !definitions.faults.is_empty() {
            return Err(Error::runtime(listed(&definitions.faults)));
        }
        let new = |(uri, plan): (String, _)| Procedure::new(uri.into(), plan, db.clone());
        let all: Vec<_> = definitions.plans.into_iter().map(new).collect();
        if all.is_empty() {
            tracing::warn!(target: crate::LOG, "there is no SQL: extra.directory has no file, and extra.procedures is empty");
        }
        Preparing::new(all.clone()).next();
        // Another router may have the procedure from another node: there it has to be asked for.
        let as_usual = || realm.is_here().then(|| DESCRIBE.to_owned());
        if let Some(uri) = definitions.describe.unwrap_or_else(as_usual) {
            let all = all.clone();
            describe_at(uri.into(), Arc::new(move || all.clone()), &session, &realm);
        }
        Ok(Self { all })
    }

    fn procedures(&self) -> Vec<super::super::Procedure<Self>> {
        let registered = |procedure: &Arc<Procedure>| {
            let this = procedure.clone();
            let registered =
                super::super::Procedure::new(procedure.uri.clone(), move |_: &Self, call| {
                    this.call(&call)
                });
            match procedure.plan.options.concurrency {
                Some(limit) => registered.concurrency(limit),
                None => registered,
            }
        };
        self.all.iter().map(registered).collect()
    }
}

/// A pool as what all backends have in common.
pub(super) fn shared(pool: Pool) -> Arc<dyn Database> {
    match pool {
        #[cfg(feature = "adbapi")]
        Pool::Adbapi(pool) => Arc::new(pool),
        #[cfg(feature = "txpostgres")]
        Pool::Txpostgres(pool) => Arc::new(pool),
    }
}

/// All faults, a line each.
pub(super) fn listed(faults: &[Fault]) -> String {
    let noun = if faults.len() == 1 { "fault" } else { "faults" };
    let mut text = format!("{} {noun} in the SQL", faults.len());
    for fault in faults {
        text.push_str("\n  ");
        text.push_str(&fault.to_string());
    }
    text
}

/// How far all procedures are prepared: one after the other, so that a pool has little to do with it.
struct Preparing {
    /// Those that are left, the next one last.
    left: Vec<Arc<Procedure>>,
    prepared: usize,
    faulty: usize,
}

impl Preparing {
    fn new(mut all: Vec<Arc<Procedure>>) -> Self {
        all.reverse();
        Self {
            left: all,
            prepared: 0,
            faulty: 0,
        }
    }

    fn next(mut self) {
        let Some(procedure) = self.left.pop() else {
            let Self {
                prepared, faulty, ..
            } = self;
            tracing::info!(target: crate::LOG, prepared, faulty, "procedures in SQL are prepared");
            return;
        };
        let this = procedure.clone();
        procedure.prepare(move |result| {
            let uri = &this.uri;
            match result {
                Ok(_) => {
                    self.prepared += 1;
                    let (takes, does) = (this.plan.takes(), this.plan.description());
                    tracing::debug!(target: crate::LOG, procedure = %uri, takes, does, "a procedure in SQL is prepared");
                }
                Err(Unprepared::Faulty(faults, _)) => {
                    self.faulty += 1;
                    for fault in faults {
                        tracing::error!(target: crate::LOG, procedure = %uri, "{fault}");
                    }
                }
                Err(Unprepared::Unavailable(error)) => {
                    let left = self.left.len() + 1;
                    tracing::warn!(target: crate::LOG, left, %error, "procedures in SQL are not prepared now, but each when it is called first");
                    return;
                }
            }
            self.next();
        });
    }
}
