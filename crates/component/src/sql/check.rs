//! Owns the check of all SQL of a component without serving it, and its description. Must not know who
//! asks.

use std::sync::mpsc;

use serde_json::Value;

use super::{
    super::{Error, Pool},
    class::{listed, shared},
    definitions::Definitions,
    descriptions::describe_all,
    procedure::{Procedure, ProcedureDescription, Unprepared},
};

/// What a check has found.
#[derive(Debug, Default)]
pub struct SqlCheck {
    /// How many procedures can be served.
    pub prepared: usize,
    /// What is wrong, each with its place.
    pub faults: Vec<String>,
    /// Why PostgreSQL could not be asked for all of them, if it could not.
    pub unavailable: Option<String>,
}

/// Has PostgreSQL prepare all procedures that the `extra` of a component describes.
///
/// # Blocking
/// Until it has answered, or the limits of the pool are over. Must not be called on a thread of the
/// pool's.
pub fn check(extra: &Value, pool: Pool) -> SqlCheck {
    let definitions = Definitions::read(extra);
    let db = shared(pool);
    let mut check = SqlCheck {
        faults: definitions.faults.iter().map(ToString::to_string).collect(),
        ..SqlCheck::default()
    };
    for (uri, plan) in definitions.plans {
        let (send, receive) = mpsc::channel();
        let procedure = Procedure::new(uri.into(), plan, db.clone());
        procedure.prepare(move |result| {
            // Nobody waits if this thread has panicked.
            let _ = send.send(result.map(drop));
        });
        match receive.recv() {
            Ok(Ok(())) => check.prepared += 1,
            Ok(Err(Unprepared::Faulty(faults, _))) => {
                check.faults.extend(faults.iter().map(ToString::to_string));
            }
            Ok(Err(Unprepared::Unavailable(error))) => {
                check.unavailable = Some(error.message().to_owned());
                break;
            }
            Err(mpsc::RecvError) => {
                check.unavailable = Some("the pool has given no answer".to_owned());
                break;
            }
        }
    }
    check
}

/// Describes all procedures that the `extra` of a component describes, by their URIs.
///
/// # Errors
/// The faults of what cannot be read.
///
/// # Blocking
/// As [`check`].
pub fn describe(extra: &Value, pool: Pool) -> Result<Vec<ProcedureDescription>, Error> {
    let definitions = Definitions::read(extra);
    if !definitions.faults.is_empty() {
        return Err(Error::runtime(listed(&definitions.faults)));
    }
    let db = shared(pool);
    let new = |(uri, plan): (String, _)| Procedure::new(uri.into(), plan, db.clone());
    describe_all(definitions.plans.into_iter().map(new).collect()).wait()
}
