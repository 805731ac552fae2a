//! Owns the check of all SQL of a component without serving it. Must not know who asks.

use std::sync::{Arc, mpsc};

use super::{
    databases::Databases,
    definitions::Definitions,
    functions::{FunctionOptions, Functions},
    procedure::{Procedure, Unprepared},
    text::Fault,
    topics,
    unserved::SqlComponent,
};

/// What a check has found.
#[derive(Debug, Default)]
pub struct SqlCheck {
    /// How many procedures can be served.
    pub prepared: usize,
    /// What is wrong, each with its place.
    pub faults: Vec<String>,
    /// The functions that are not to be procedures, each with the reason.
    pub left_out: Vec<String>,
    /// Why PostgreSQL could not be asked for all of them, if it could not.
    pub unavailable: Option<String>,
}

/// Has PostgreSQL prepare all procedures of a component.
///
/// # Blocking
/// Until it has answered, or the limits of the pool are over. Must not be called on a thread of the
/// pool's.
pub fn check(component: SqlComponent<'_>) -> SqlCheck {
    let extra = component.extra;
    let databases = component.databases();
    let definitions = Definitions::read(extra, &databases);
    let mut check = SqlCheck {
        faults: definitions.faults.iter().map(ToString::to_string).collect(),
        ..SqlCheck::default()
    };
    for (uri, plan) in definitions.plans {
        let procedure = databases.procedure(uri.into(), plan);
        if check.prepare(&[procedure]).is_none() {
            return check;
        }
    }
    if definitions.topics.has_outbox() && check.unavailable.is_none() {
        match topics::check_outbox(databases.main().db()) {
            Ok(()) => {}
            Err(topics::Unusable::Faulty(why)) => {
                check.faults.push(format!("extra.topics.outbox: {why}"))
            }
            Err(topics::Unusable::Unavailable(why)) => check.unavailable = Some(why),
        }
    }
    if !definitions.functions.schemas.is_empty() {
        check.functions(&definitions.functions, &databases);
    }
    check.add(&databases.role_faults());
    check
}

impl SqlCheck {
    /// Adds faults, of which many procedures may have the same.
    fn add(&mut self, faults: &[Fault]) {
        for fault in faults.iter().map(ToString::to_string) {
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
    }

    /// Has PostgreSQL prepare what one procedure runs. `None` if it cannot be asked.
    fn prepare(&mut self, all: &[Arc<Procedure>]) -> Option<()> {
        let before = self.faults.len();
        for procedure in all {
            let (send, receive) = mpsc::channel();
            procedure.prepare(move |result| {
                // Nobody waits if this thread has panicked.
                let _ = send.send(result.map(drop));
            });
            match receive.recv() {
                Ok(Ok(())) => {}
                Ok(Err(Unprepared::Faulty(faults, _))) => self.add(&faults),
                Ok(Err(Unprepared::Unavailable(error))) => {
                    self.unavailable = Some(error.message().to_owned());
                    return None;
                }
                Err(mpsc::RecvError) => {
                    self.unavailable = Some("the pool has given no answer".to_owned());
                    return None;
                }
            }
        }
        self.prepared += usize::from(self.faults.len() == before);
        Some(())
    }

    /// Reads the catalogue, and has PostgreSQL prepare the calls of all functions.
    fn functions(&mut self, options: &FunctionOptions, databases: &Arc<Databases>) {
        let functions = match databases.main().catalogue(&options.schemas).wait() {
            Ok(catalogue) => Functions::new(&catalogue, options, databases),
            Err(error) => {
                self.unavailable = Some(error.to_string());
                return;
            }
        };
        self.faults
            .extend(functions.faults.iter().map(ToString::to_string));
        let left_out = functions.left_out.into_iter();
        self.left_out = left_out
            .map(|function| format!("{}: {}", function.signature, function.why))
            .collect();
        for function in functions.all.values() {
            if self.prepare(&function.procedures()).is_none() {
                return;
            }
        }
    }
}
