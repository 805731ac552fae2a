//! A procedure that is written in SQL: what it takes, how it is prepared and run, and what its answer
//! is made of. Must not know where its text is from, nor how calls get here.

mod answer;
mod arguments;
mod describe;
mod explain;
mod guard;
mod plan;
mod prepare;
mod relay;
mod run;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::{Arc, PoisonError, RwLock};

use sql::Database;
use wamp::Uri;

use super::{
    super::{Answer, Error, Invocation, Reply},
    text::Fault,
};
pub use describe::ProcedureDescription;
pub use explain::{ExplainOptions, StatementPlan};
pub(super) use plan::Plan;
use prepare::Prepared;

/// A procedure with the database that it asks.
pub(super) struct Procedure {
    pub(super) uri: Uri,
    pub(super) plan: Plan,
    db: Arc<dyn Database>,
    prepared: RwLock<Description>,
}

/// What PostgreSQL has said of the statements.
#[derive(Default)]
struct Description {
    /// The last that it said.
    last: Option<Arc<Prepared>>,
    /// Whether the next call is to ask again.
    is_doubtful: bool,
}

/// Why a procedure is not prepared.
#[derive(Clone, Debug)]
pub(super) enum Unprepared {
    /// It cannot run as it is written.
    Faulty(Vec<Fault>, Error),
    /// PostgreSQL cannot be asked now.
    Unavailable(Error),
}

impl Procedure {
    pub(super) fn new(uri: Uri, plan: Plan, db: Arc<dyn Database>) -> Arc<Self> {
        Arc::new(Self {
            uri,
            plan,
            db,
            prepared: RwLock::default(),
        })
    }

    /// Answers a call. A procedure that is not prepared yet, or was at fault when it was, is
    /// prepared first: what it needs may be there by now.
    pub(super) fn call(self: &Arc<Self>, call: &Invocation) -> Answer {
        let given = arguments::Given::read(&call.payload)?;
        let arguments = given.ordered(&self.plan)?;
        match self.prepared() {
            Some(prepared) if self.plan.retry == 0 => {
                let begun = run::once(self, &prepared, &arguments);
                // A value of another type may be right by now.
                Reply::later(begun.inspect_err(|_| self.forget())?)
            }
            prepared => Reply::later(run::with_care(self.clone(), prepared, arguments)),
        }
    }

    /// Has PostgreSQL describe the statements, and tells when it is done. Does not block.
    pub(super) fn prepare(
        self: &Arc<Self>,
        then: impl FnOnce(Result<Arc<Prepared>, Unprepared>) + Send + 'static,
    ) {
        let this = self.clone();
        prepare::describe_all(self.clone(), move |result| {
            then(result.map(|prepared| this.note(prepared)));
        });
    }

    /// Notes what PostgreSQL has said now.
    fn note(&self, prepared: Prepared) -> Arc<Prepared> {
        let slot = self.prepared.write();
        let mut slot = slot.unwrap_or_else(PoisonError::into_inner);
        let prepared = Arc::new(prepared.after(slot.last.as_deref()));
        *slot = Description {
            last: Some(prepared.clone()),
            is_doubtful: false,
        };
        prepared
    }

    /// Lets the next call prepare it again.
    fn forget(&self) {
        let slot = self.prepared.write();
        slot.unwrap_or_else(PoisonError::into_inner).is_doubtful = true;
    }

    /// Whether the next call is run as PostgreSQL has described it.
    pub(super) fn is_prepared(&self) -> bool {
        self.prepared().is_some()
    }

    /// What PostgreSQL has said last, though tables or types may have become others.
    fn last_prepared(&self) -> Option<Arc<Prepared>> {
        let slot = self.prepared.read();
        slot.unwrap_or_else(PoisonError::into_inner).last.clone()
    }

    fn prepared(&self) -> Option<Arc<Prepared>> {
        let slot = self.prepared.read();
        let slot = slot.unwrap_or_else(PoisonError::into_inner);
        slot.last.clone().filter(|_| !slot.is_doubtful)
    }
}
