//! The component class `sql.Procedures`: files of SQL, SQL in the configuration, and functions of
//! schemas, as procedures. Must not know how a procedure runs.

use std::sync::Arc;

use sql::Database;

use super::{
    super::{Component, Error, Pool, Setup},
    definitions::Definitions,
    preparing::Preparing,
    procedure::Procedure,
    schemas::Schemas,
    text::Fault,
    topics::Topics,
};

/// What the configuration calls the class.
pub const CLASSNAME: &str = "sql.Procedures";

/// Procedures that are written in SQL.
pub(crate) struct Procedures {
    all: Vec<Arc<Procedure>>,
    topics: Topics,
    /// Registered later: the database has to be asked for them.
    schemas: Option<Arc<Schemas>>,
}

impl Component for Procedures {
    const NEEDS_DATABASE: bool = true;

    /// Reads all files, and lets PostgreSQL begin to describe the statements. A database that is
    /// down is asked when the procedure is called.
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let definitions = Definitions::read(&setup.extra);
        let session = setup.session.clone();
        let db = shared(setup.database()?);
        if !definitions.faults.is_empty() {
            return Err(Error::runtime(listed(&definitions.faults)));
        }
        let new = |(uri, plan): (String, _)| Procedure::new(uri.into(), plan, db.clone());
        let all: Vec<_> = definitions.plans.into_iter().map(new).collect();
        let functions = definitions.functions;
        let has_schemas = !functions.schemas.is_empty();
        if all.is_empty() && !has_schemas && definitions.topics.is_empty() {
            tracing::warn!(target: crate::LOG, "there is no SQL: extra.directory has no file, extra.procedures, extra.schemas and extra.topics are empty");
        }
        let topics = Topics::start(&definitions.topics, &db, &session)?;
        if !all.is_empty() {
            Preparing::begin("procedures in SQL", all.clone());
        }
        let schemas = has_schemas.then(|| Schemas::serve(functions, db, session));
        Ok(Self {
            all,
            schemas,
            topics,
        })
    }

    fn on_leave(&self) {
        if let Some(schemas) = &self.schemas {
            schemas.stop();
        }
        self.topics.close();
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
        let all = self.all.iter().map(registered);
        all.chain(self.topics.procedure()).collect()
    }

    fn on_ready(&self) {
        self.topics.joined();
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
fn listed(faults: &[Fault]) -> String {
    let noun = if faults.len() == 1 { "fault" } else { "faults" };
    let mut text = format!("{} {noun} in the SQL", faults.len());
    for fault in faults {
        text.push_str("\n  ");
        text.push_str(&fault.to_string());
    }
    text
}
