//! Owns the procedures of a component that nobody serves: all that it describes, read at once, for
//! those who look at them. Must not know what they look for.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use wamp::Payload;

use super::{
    super::{Error, NamedDatabase, Pool},
    databases::Databases,
    definitions::Definitions,
    descriptions::describe_all,
    functions::Functions,
    identity::RoleTable,
    procedure::{ExplainOptions, ProcedureDescription, StatementPlan},
    reloading::{listed, of_plans},
    target::Target,
};

/// A component of the class `sql.Procedures`, as a configuration has it.
#[derive(Clone)]
pub struct SqlComponent<'a> {
    /// Its `extra`.
    pub extra: &'a Value,
    /// Its database.
    pub pool: Pool,
    /// Others that its procedures may name.
    pub databases: BTreeMap<String, NamedDatabase>,
}

impl SqlComponent<'_> {
    /// The databases that its procedures ask.
    pub(super) fn databases(self) -> Arc<Databases> {
        let replica = self.extra["replica"].as_str();
        // Nobody calls, so no realm is told.
        let roles = RoleTable::of(self.extra);
        let databases = Databases::new("".into(), roles, self.pool, self.databases);
        Arc::new(databases.with_replica(replica))
    }

    /// All its procedures. Of those with a fault in their text there is none.
    fn targets(self) -> Result<Vec<Target>, Error> {
        let extra = self.extra;
        let databases = self.databases();
        let definitions = Definitions::read(extra, &databases);
        if !definitions.faults.is_empty() {
            return Err(Error::runtime(listed(&definitions.faults)));
        }
        let mut targets = of_plans(definitions.plans, &databases);
        let functions = definitions.functions;
        if !functions.schemas.is_empty() {
            let catalogue = databases.main().catalogue(&functions.schemas).wait()?;
            let functions = Functions::new(&catalogue, &functions, &databases);
            targets.extend(functions.all.into_values().map(Target::Function));
        }
        Ok(targets)
    }
}

/// Describes all procedures of a component.
///
/// # Errors
/// The faults of what cannot be read.
///
/// # Blocking
/// Until PostgreSQL has answered, or the limits of the pool are over. Must not be called on a thread of
/// the pool's.
pub fn describe(component: SqlComponent<'_>) -> Result<Vec<ProcedureDescription>, Error> {
    describe_all(component.targets()?).wait()
}

/// The plans of a component's procedure with these arguments; `None` if it has none of this URI.
///
/// # Errors
/// The faults of what cannot be read; what PostgreSQL says; arguments that do not suit.
///
/// # Blocking
/// As [`describe`].
pub fn explain(
    component: SqlComponent<'_>,
    uri: &str,
    payload: &Payload,
    options: ExplainOptions,
) -> Result<Option<Vec<StatementPlan>>, Error> {
    let mut targets = component.targets()?.into_iter();
    let target = targets.find(|target| target.uri().as_str() == uri);
    target
        .map(|target| target.explain(payload, options))
        .transpose()
}
