//! Owns how the procedures that are defined become those that are served, at the start and each time
//! somebody asks for it: prepared one after the other, what is in order taken over. Must not know who
//! asks.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use super::{
    super::{Error, ReloadHandle, SessionHandle},
    databases::Databases,
    definitions::Definitions,
    procedure::{Procedure, Unprepared},
    served::Served,
    text::Fault,
};

/// The procedures of a component.
pub(super) struct Reloading {
    extra: Value,
    databases: Databases,
    served: Arc<Served>,
    /// Asks for one more reload.
    again: ReloadHandle,
    turn: Mutex<Turn>,
}

/// Procedures are prepared by one at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Free,
    Taken,
    /// And somebody has asked for another one meanwhile.
    TakenAndWanted,
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
    ) -> Result<Arc<Self>, Error> {
        let definitions = Definitions::read(&extra, &databases);
        if !definitions.faults.is_empty() {
            return Err(Error::runtime(listed(&definitions.faults)));
        }
        let this = Arc::new(Self {
            extra,
            databases,
            served: Served::new(session),
            again,
            turn: Mutex::new(Turn::Taken),
        });
        let mut work = Work::new(this.clone(), true);
        for (uri, plan) in definitions.plans {
            let procedure = this.databases.procedure(uri, plan);
            this.served.serve_own(procedure.clone())?;
            work.left.push((procedure, Change::None));
        }
        if work.left.is_empty() {
            tracing::warn!(target: crate::LOG, "there is no SQL: extra.directory has no file, and extra.procedures is empty");
        }
        work.begin();
        Ok(this)
    }

    /// Reads all again and serves what has become of it.
    ///
    /// # Blocking
    /// Reads files. Does not wait for PostgreSQL.
    pub(super) fn reload(self: &Arc<Self>) {
        {
            let mut turn = self.turn();
            if *turn != Turn::Free {
                *turn = Turn::TakenAndWanted;
                return;
            }
            *turn = Turn::Taken;
        }
        self.apply(Definitions::read(&self.extra, &self.databases));
    }

    fn apply(self: &Arc<Self>, definitions: Definitions) {
        let mut work = Work::new(self.clone(), false);
        work.faulty = definitions.faults.len();
        for fault in &definitions.faults {
            tracing::error!(target: crate::LOG, "{fault}");
        }
        for uri in self.served.uris() {
            if definitions.faulty.contains(&uri) {
                stays(&uri);
            } else if !definitions.plans.contains_key(&uri) && definitions.is_complete {
                self.served.remove(&uri);
                work.removed += 1;
            }
        }
        for (uri, plan) in definitions.plans {
            let (procedure, change) = match self.served.get(&uri) {
                Some(served) if served.plan.is_same(&plan) => (served, Change::None),
                served => {
                    let change = served.map_or(Change::New, |_| Change::Text);
                    (self.databases.procedure(uri, plan), change)
                }
            };
            work.left.push((procedure, change));
        }
        work.begin();
    }

    fn end_turn(&self) {
        let turn = mem::replace(&mut *self.turn(), Turn::Free);
        if turn == Turn::TakenAndWanted {
            self.again.request();
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
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

fn stays(uri: &str) {
    tracing::warn!(target: crate::LOG, procedure = uri, "the procedure stays as it was before this fault");
}

/// What is new about a procedure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// Its text or its options.
    Text,
    New,
}

/// How far all procedures are prepared: one after the other, so that a pool has little to do with it.
struct Work {
    reloading: Arc<Reloading>,
    is_start: bool,
    /// Those that are left, the next one last.
    left: Vec<(Arc<Procedure>, Change)>,
    prepared: usize,
    faulty: usize,
    added: usize,
    replaced: usize,
    removed: usize,
}

impl Work {
    fn new(reloading: Arc<Reloading>, is_start: bool) -> Self {
        Self {
            reloading,
            is_start,
            left: Vec::new(),
            prepared: 0,
            faulty: 0,
            added: 0,
            replaced: 0,
            removed: 0,
        }
    }

    fn begin(mut self) {
        self.left.reverse();
        self.next();
    }

    fn next(mut self) {
        let Some((procedure, change)) = self.left.pop() else {
            return self.end();
        };
        let this = procedure.clone();
        procedure.prepare(move |result| {
            match result {
                Ok(_) => self.in_order(this, change),
                Err(Unprepared::Faulty(faults, _)) => self.at_fault(this, change, &faults),
                Err(Unprepared::Unavailable(error)) => {
                    self.left.push((this, change));
                    return self.unavailable(&error);
                }
            }
            self.next();
        });
    }

    fn in_order(&mut self, procedure: Arc<Procedure>, change: Change) {
        self.prepared += 1;
        let (takes, does) = (procedure.plan.takes(), procedure.plan.description());
        tracing::debug!(target: crate::LOG, procedure = %procedure.uri, takes, does, "a procedure in SQL is prepared");
        self.serve(procedure, change);
    }

    /// PostgreSQL refuses it. What worked before is not given up for it; what is new answers with the
    /// fault, and works as soon as that is gone.
    fn at_fault(&mut self, procedure: Arc<Procedure>, change: Change, faults: &[Fault]) {
        self.faulty += 1;
        for fault in faults {
            tracing::error!(target: crate::LOG, procedure = %procedure.uri, "{fault}");
        }
        match change {
            Change::None => {}
            Change::Text => stays(procedure.uri.as_str()),
            Change::New => self.serve(procedure, change),
        }
    }

    /// PostgreSQL cannot be asked: the rest is served as it is.
    fn unavailable(mut self, error: &Error) {
        let left = mem::take(&mut self.left);
        tracing::warn!(target: crate::LOG, left = left.len(), %error, "procedures in SQL are not prepared now, but each when it is called first");
        for (procedure, change) in left.into_iter().rev() {
            self.serve(procedure, change);
        }
        if self.is_start {
            return self.reloading.end_turn();
        }
        self.end();
    }

    fn serve(&mut self, procedure: Arc<Procedure>, change: Change) {
        match change {
            Change::None => return,
            Change::Text => self.replaced += 1,
            Change::New => self.added += 1,
        }
        self.reloading.served.serve(procedure);
    }

    fn end(self) {
        let Self {
            prepared,
            faulty,
            added,
            replaced,
            removed,
            ..
        } = self;
        if self.is_start {
            tracing::info!(target: crate::LOG, prepared, faulty, "procedures in SQL are prepared");
        } else {
            tracing::info!(target: crate::LOG, added, replaced, removed, prepared, faulty, "procedures in SQL are reloaded");
        }
        self.reloading.end_turn();
    }
}
