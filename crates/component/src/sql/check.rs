//! Owns the check of all SQL of a component without serving it. Must not know who asks.

use std::sync::mpsc;

use serde_json::Value;

use super::{
    super::Pool,
    class::shared,
    definitions::Definitions,
    identity::Callers,
    procedure::{Procedure, Unprepared},
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

impl SqlCheck {
    fn without_answer(mut self) -> Self {
        self.unavailable = Some("the pool has given no answer".to_owned());
        self
    }
}

/// Has PostgreSQL prepare all procedures that the `extra` of a component describes.
///
/// # Blocking
/// Until it has answered, or the limits of the pool are over. Must not be called on a thread of the
/// pool's.
pub fn check(extra: &Value, pool: Pool) -> SqlCheck {
    let definitions = Definitions::read(extra);
    let befores = definitions.befores();
    // Nobody calls, so no realm is told.
    let callers = Callers::new("".into(), definitions.roles, shared(pool));
    let mut check = SqlCheck {
        faults: definitions.faults.iter().map(ToString::to_string).collect(),
        ..SqlCheck::default()
    };
    let (send, receive) = mpsc::channel();
    callers.check(befores, move |result| {
        let _ = send.send(result);
    });
    match receive.recv() {
        Ok(Ok(faults)) => check.faults.extend(faults.iter().map(ToString::to_string)),
        Ok(Err(error)) => {
            check.unavailable = Some(error.message().to_owned());
            return check;
        }
        Err(mpsc::RecvError) => return check.without_answer(),
    }
    for (uri, plan) in definitions.plans {
        let (send, receive) = mpsc::channel();
        let procedure = Procedure::new(uri.into(), plan, callers.clone());
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
            Err(mpsc::RecvError) => return check.without_answer(),
        }
    }
    check
}
