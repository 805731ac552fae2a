//! Owns all procedures of a component, from its start through each reload: those of files and of the
//! configuration, and those of schemas. Must not know who asks for a reload.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use super::{
    super::{Error, ReloadHandle, SessionHandle},
    applying::{Defined, apply, prepare_first},
    databases::Databases,
    definitions::Definitions,
    descriptions::List,
    procedure::Plan,
    schemas::Schemas,
    served::Served,
    target::{Origin, Target},
    text::Fault,
};

/// The procedures of a component.
pub(super) struct Reloading {
    extra: Value,
    databases: Arc<Databases>,
    served: Arc<Served>,
    schemas: Option<Arc<Schemas>>,
    turns: Arc<Turns>,
}

/// Procedures are prepared by one at a time.
pub(super) struct Turns {
    turn: Mutex<Turn>,
    /// Asks for one more reload.
    again: ReloadHandle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Free,
    Taken,
    /// And somebody has asked for another one meanwhile.
    TakenAndWanted,
}

impl Turns {
    pub(super) fn new(again: ReloadHandle) -> Arc<Self> {
        Arc::new(Self {
            turn: Mutex::new(Turn::Free),
            again,
        })
    }

    /// Whether it is the caller's turn, who has to [end](Self::end) it. If it is not, somebody else asks
    /// for another reload at the end of theirs.
    pub(super) fn take(&self) -> bool {
        let mut turn = self.turn();
        let is_free = *turn == Turn::Free;
        *turn = if is_free {
            Turn::Taken
        } else {
            Turn::TakenAndWanted
        };
        is_free
    }

    pub(super) fn end(&self) {
        let turn = mem::replace(&mut *self.turn(), Turn::Free);
        if turn == Turn::TakenAndWanted {
            self.again.request();
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reloading {
    /// Reads all that is defined and begins to serve it.
    ///
    /// # Errors
    /// All faults that are found without PostgreSQL.
    ///
    /// # Blocking
    /// Reads files.
    pub(super) fn start(
        extra: Value,
        databases: Databases,
        session: SessionHandle,
        again: ReloadHandle,
    ) -> Result<Self, Error> {
        let databases = Arc::new(databases);
        let definitions = Definitions::read(&extra, &databases);
        if !definitions.faults.is_empty() {
            return Err(Error::runtime(listed(&definitions.faults)));
        }
        let served = Served::new(session);
        let has_schemas = !definitions.functions.schemas.is_empty();
        let targets = of_plans(definitions.plans, &databases);
        for target in &targets {
            served.serve_own(target.clone())?;
        }
        if targets.is_empty() && !has_schemas && definitions.topics.is_empty() {
            tracing::warn!(target: crate::LOG, "there is no SQL: extra.directory has no file, extra.procedures, extra.schemas and extra.topics are empty");
        }
        let schemas = has_schemas.then(|| {
            Schemas::serve(
                definitions.functions,
                databases.clone(),
                served.clone(),
                Turns::new(again.clone()),
            )
        });
        let turns = Turns::new(again);
        if (!targets.is_empty() || !has_schemas) && turns.take() {
            let turns = turns.clone();
            prepare_first(&served, Origin::Texts, targets, move || turns.end());
        }
        Ok(Self {
            extra,
            databases,
            served,
            schemas,
            turns,
        })
    }

    /// Reads all again and serves what has become of it.
    ///
    /// # Blocking
    /// Reads files. Does not wait for PostgreSQL.
    pub(super) fn reload(&self) {
        if !self.turns.take() {
            return;
        }
        let definitions = Definitions::read(&self.extra, &self.databases);
        for fault in &definitions.faults {
            tracing::error!(target: crate::LOG, "{fault}");
        }
        let defined = Defined {
            origin: Origin::Texts,
            targets: of_plans(definitions.plans, &self.databases),
            faulty: definitions.faulty,
            taken: BTreeSet::new(),
            faults: definitions.faults.len(),
            is_complete: definitions.is_complete,
            is_first: false,
        };
        let turns = self.turns.clone();
        apply(&self.served, defined, || (), move || turns.end());
        if let Some(schemas) = &self.schemas {
            schemas.reload(definitions.functions);
        }
    }

    /// All that it serves, at any time.
    pub(super) fn list(&self) -> List {
        // What describes them is registered by the session that `served` has.
        let served = Arc::downgrade(&self.served);
        Arc::new(move || {
            served
                .upgrade()
                .map_or_else(Vec::new, |served| served.all())
        })
    }

    /// The component leaves.
    pub(super) fn stop(&self) {
        if let Some(schemas) = &self.schemas {
            schemas.stop();
        }
    }
}

pub(super) fn of_plans(plans: BTreeMap<String, Plan>, databases: &Databases) -> Vec<Target> {
    let plans = plans.into_iter();
    plans
        .map(|(uri, plan)| Target::Procedure(databases.procedure(uri.into(), plan)))
        .collect()
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
