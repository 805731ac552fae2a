//! Owns finding the procedure of a component whose plans are asked for. Must not know plans.

use serde_json::Value;
use wamp::Payload;

use super::{
    super::{Error, Pool},
    class::{listed, shared},
    definitions::Definitions,
    procedure::{ExplainOptions, Procedure, StatementPlan},
};

/// The plans of a procedure that the `extra` of a component describes, with these arguments; `None` if
/// it describes none of this URI.
///
/// # Errors
/// The faults of what cannot be read; what PostgreSQL says; arguments that do not suit.
///
/// # Blocking
/// As [`check`](super::check).
pub fn explain(
    extra: &Value,
    pool: Pool,
    uri: &str,
    payload: &Payload,
    options: ExplainOptions,
) -> Result<Option<Vec<StatementPlan>>, Error> {
    let mut definitions = Definitions::read(extra);
    if !definitions.faults.is_empty() {
        return Err(Error::runtime(listed(&definitions.faults)));
    }
    let db = shared(pool);
    let Some(plan) = definitions.plans.remove(uri) else {
        return Ok(None);
    };
    let procedure = Procedure::new(uri.into(), plan, db);
    procedure.explain(payload, options).map(Some)
}
