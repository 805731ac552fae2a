//! A procedure that is a function or a procedure of a schema, or several with one name: which of them
//! a call means, and the statement that calls it. Must not know how the catalogue is read, nor how
//! calls get here.

mod arguments;
mod input;
mod overload;
mod settings;
mod statement;
#[cfg(test)]
mod tests;

use std::{num::NonZeroU64, sync::Arc};

use wamp::{Payload, Uri};

use super::{
    super::{Answer, Error, Invocation},
    databases::Databases,
    procedure::{ExplainOptions, Procedure, ProcedureDescription, StatementPlan},
    text::Fault,
    types::Argument,
};
pub(super) use overload::{Overload, no_such};

/// What answers a call, and the values that it gives.
type Chosen = (Arc<Procedure>, Vec<Option<Argument>>);

/// The functions that a schema has by one name.
pub(super) struct Function {
    pub(super) uri: Uri,
    pub(super) overloads: Vec<Overload>,
    databases: Arc<Databases>,
}

impl Function {
    pub(super) fn new(uri: Uri, overloads: Vec<Overload>, databases: Arc<Databases>) -> Self {
        Self {
            uri,
            overloads,
            databases,
        }
    }

    /// Whether it is the same as another one in all that is written.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let others = other.overloads.iter();
        self.overloads.len() == others.len()
            && self.overloads.iter().zip(others).all(|(a, b)| a.is_same(b))
    }

    /// Answers a call.
    pub(super) fn call(&self, call: &Invocation) -> Answer {
        let (procedure, arguments) = self.choose(&call.payload)?;
        procedure.call_with(call, arguments)
    }

    /// What PostgreSQL plans to do for a call with these arguments.
    ///
    /// # Blocking
    /// Until it has answered.
    pub(super) fn explain(
        &self,
        payload: &Payload,
        options: ExplainOptions,
    ) -> Result<Vec<StatementPlan>, Error> {
        let (procedure, arguments) = self.choose(payload)?;
        procedure.explain(&arguments, options)
    }

    /// What calls the function that these arguments mean, and their values.
    fn choose(&self, payload: &Payload) -> Result<Chosen, Error> {
        let (overload, fit) = arguments::choose(self, payload)?;
        let procedure = overload.procedure(&self.uri, &self.databases, fit.given);
        let procedure = procedure.map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(Fault::to_string).collect();
            Error::runtime(faults.join("; "))
        })?;
        Ok((procedure, fit.arguments))
    }

    /// Each of the functions as its callers see it.
    pub(super) fn describe(&self) -> Vec<ProcedureDescription> {
        let described = |overload: &Overload| {
            let all = overload.all_inputs();
            let procedure = overload.procedure(&self.uri, &self.databases, all).ok()?;
            Some(overload.told_of(procedure.describe()))
        };
        self.overloads.iter().filter_map(described).collect()
    }

    /// How many invocations may be under way at once: the least that one of the functions says.
    pub(super) fn concurrency(&self) -> Option<NonZeroU64> {
        let procedures = self.procedures().into_iter();
        procedures.filter_map(|one| one.concurrency()).min()
    }

    /// What calls each of the functions with all that it takes, to be prepared before any call.
    pub(super) fn procedures(&self) -> Vec<Arc<Procedure>> {
        let procedure = |overload: &Overload| {
            let made = overload.procedure(&self.uri, &self.databases, overload.all_inputs());
            made.ok()
        };
        self.overloads.iter().filter_map(procedure).collect()
    }

    /// What calls can give it, for people.
    pub(super) fn takes(&self) -> String {
        let all: Vec<_> = self.overloads.iter().map(Overload::told).collect();
        all.join(", ")
    }

    /// What it does, for people.
    pub(super) fn description(&self) -> &str {
        let said = self.overloads.iter();
        let mut said = said.filter_map(|overload| overload.options.description.as_deref());
        said.next().unwrap_or_default()
    }
}
