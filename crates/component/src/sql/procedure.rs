//! A procedure that is written in SQL: what it takes, how it is prepared and run, and what its answer
//! is made of. Must not know where its text is from, nor how calls get here.

mod answer;
mod arguments;
mod describe;
mod explain;
mod guard;
mod plan;
mod prepare;
mod ready;
mod relay;
mod run;
mod stream;
#[cfg(test)]
pub(super) mod tests;
mod watch;

use std::{
    num::NonZeroU64,
    sync::{Arc, PoisonError, RwLock},
};

use wamp::Uri;

use super::{
    super::{Answer, Error, ErrorDetails, Invocation, Reply},
    identity::Callers,
    text::Fault,
    types::Argument,
};
pub(super) use arguments::Given;
pub(super) use describe::InputDescription;
pub use describe::ProcedureDescription;
pub use explain::{ExplainOptions, StatementPlan};
pub(super) use plan::{BATCH_OF_NO_STREAM, BEFORE_WITHOUT_IDENTITY, Plan};
use prepare::Prepared;

/// A procedure with what its database is told of who calls.
pub(super) struct Procedure {
    pub(super) uri: Uri,
    pub(super) plan: Plan,
    callers: Arc<Callers>,
    /// What callers get of the database's reports of errors at most.
    shown: ErrorDetails,
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
    pub(super) fn new(
        uri: Uri,
        plan: Plan,
        callers: Arc<Callers>,
        shown: ErrorDetails,
    ) -> Arc<Self> {
        Arc::new(Self {
            uri,
            plan,
            callers,
            shown,
            prepared: RwLock::default(),
        })
    }

    /// Answers a call.
    pub(super) fn call(self: &Arc<Self>, call: &Invocation) -> Answer {
        let given = Given::read(&call.payload)?;
        self.call_with(call, given.ordered(&self.plan)?)
    }

    /// Answers a call that has a value for each parameter, or `None` for one that is missing. A
    /// procedure that is not prepared yet, or was at fault when it was, is prepared first: what it
    /// needs may be there by now.
    pub(super) fn call_with(
        self: &Arc<Self>,
        call: &Invocation,
        arguments: Vec<Option<Argument>>,
    ) -> Answer {
        if self.plan.is_stream() && call.wants_progress() {
            let caller = call.identity_arc();
            let streamed = stream::Streamed::new(self.clone(), caller, arguments);
            return Reply::parts(call, streamed);
        }
        match self.ready(call.identity())? {
            Some(ready) if self.plan.retry == 0 => {
                let begun = run::once(self, ready, &arguments);
                // A value of another type may be right by now.
                Reply::later(begun.inspect_err(|_| self.forget())?)
            }
            _ => Reply::later(run::with_care(self.clone(), call.identity_arc(), arguments)),
        }
    }

    /// How many invocations may be under way at once. A stream has a connection for as long as its
    /// caller takes, so that half of them are left to others where nothing is said.
    pub(super) fn concurrency(&self) -> Option<NonZeroU64> {
        let said = self.plan.options.concurrency;
        let half = || NonZeroU64::new(u64::from(self.callers.db().max_connections() / 2));
        let of_a_stream = || half().unwrap_or(NonZeroU64::MIN);
        said.or_else(|| self.plan.is_stream().then(of_a_stream))
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

    /// An error of its database as callers may get it.
    fn error(&self, error: sql::Error) -> Error {
        Error::from(error).at_most(self.shown)
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
