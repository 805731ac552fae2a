//! Owns how what is defined becomes what is served: prepared one after the other, what is in order taken
//! over. Must not know where it is from, nor who asks.

use std::{collections::BTreeSet, mem, sync::Arc};

use super::{
    super::Error,
    procedure::{Procedure, Unprepared},
    served::Served,
    target::{Origin, Target},
    text::Fault,
};

/// All that is defined of one origin.
pub(super) struct Defined {
    pub(super) origin: Origin,
    pub(super) targets: Vec<Target>,
    /// The URIs of those that have a fault: what they had before stays.
    pub(super) faulty: BTreeSet<String>,
    /// The URIs that are for the other origin to replace.
    pub(super) taken: BTreeSet<String>,
    /// How many faults there are, which have been told.
    pub(super) faults: usize,
    /// Whether all is known that there is, so that what is not there is gone.
    pub(super) is_complete: bool,
    /// Whether none of it was served before, at the component's start.
    pub(super) is_first: bool,
}

/// Begins to serve what is defined now. `registered` is called when all that is new is registered, and
/// `then` when all of it is prepared.
pub(super) fn apply(
    served: &Arc<Served>,
    defined: Defined,
    registered: impl FnOnce() + Send + Sync + 'static,
    then: impl FnOnce() + Send + 'static,
) {
    let registered = Arc::new(AtEnd(Some(registered)));
    let mut work = Work::new(served, defined.origin, defined.is_first, then);
    work.faulty = defined.faults;
    let uris: BTreeSet<_> = defined
        .targets
        .iter()
        .map(|of| of.uri().to_string())
        .collect();
    for uri in served.uris(defined.origin) {
        if defined.faulty.contains(&uri) {
            stays(&uri);
        } else if !uris.contains(&uri) && !defined.taken.contains(&uri) && defined.is_complete {
            served.remove(&uri);
            work.removed += 1;
        }
    }
    for target in defined.targets {
        let (target, is_other) = match served.get(target.uri().as_str()) {
            Some(before) if before.is_same(&target) => (before, false),
            Some(_) => (target, true),
            // Even if PostgreSQL refuses it: then it answers with the fault, and works as soon as that
            // is gone.
            None => {
                work.added += 1;
                let registered = registered.clone();
                served.serve(target.clone(), move || drop(registered));
                (target, false)
            }
        };
        work.push(target, is_other);
    }
    work.begin();
}

/// Has all of these prepared, which are served already since the start.
pub(super) fn prepare_first(
    served: &Arc<Served>,
    origin: Origin,
    targets: Vec<Target>,
    then: impl FnOnce() + Send + 'static,
) {
    let mut work = Work::new(served, origin, true, then);
    for target in targets {
        work.push(target, false);
    }
    work.begin();
}

/// Calls a function when it is dropped.
struct AtEnd<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

fn stays(uri: &str) {
    tracing::warn!(target: crate::LOG, procedure = uri, "the procedure stays as it was before this fault");
}

/// How far all procedures are prepared: one after the other, so that a pool has little to do with it.
struct Work {
    served: Arc<Served>,
    /// What they are, for the log.
    what: &'static str,
    is_start: bool,
    /// Those that are left, the next one last.
    left: Vec<Step>,
    prepared: usize,
    faulty: usize,
    added: usize,
    replaced: usize,
    removed: usize,
    then: Box<dyn FnOnce() + Send>,
}

/// What is to be prepared for one URI.
struct Step {
    target: Target,
    /// Whether it is to take the place of another one.
    is_other: bool,
    /// What is left of it, the next one last.
    left: Vec<Arc<Procedure>>,
    is_at_fault: bool,
}

impl Work {
    fn new(
        served: &Arc<Served>,
        origin: Origin,
        is_start: bool,
        then: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self {
            served: served.clone(),
            what: match origin {
                Origin::Texts => "procedures in SQL",
                Origin::Schemas => "functions of schemas",
            },
            is_start,
            left: Vec::new(),
            prepared: 0,
            faulty: 0,
            added: 0,
            replaced: 0,
            removed: 0,
            then: Box::new(then),
        }
    }

    fn push(&mut self, target: Target, is_other: bool) {
        let mut left = target.procedures();
        left.reverse();
        self.left.push(Step {
            target,
            is_other,
            left,
            is_at_fault: false,
        });
    }

    fn begin(mut self) {
        self.left.reverse();
        self.next();
    }

    fn next(mut self) {
        while let Some(mut step) = self.left.pop() {
            if let Some(procedure) = step.left.pop() {
                return self.prepare(step, procedure);
            }
            self.done(step);
        }
        self.end();
    }

    fn prepare(mut self, mut step: Step, procedure: Arc<Procedure>) {
        procedure.prepare(move |result| {
            match result {
                Ok(_) => self.prepared += 1,
                Err(Unprepared::Faulty(faults, _)) => {
                    self.faulty += 1;
                    step.is_at_fault = true;
                    tell(&step.target, &faults);
                }
                Err(Unprepared::Unavailable(error)) => {
                    self.left.push(step);
                    return self.unavailable(&error);
                }
            }
            self.left.push(step);
            self.next();
        });
    }

    /// A URI is done with. What worked before is not given up for what PostgreSQL refuses.
    fn done(&mut self, step: Step) {
        if step.is_at_fault {
            if step.is_other {
                stays(step.target.uri().as_str());
            }
            return;
        }
        let (takes, does) = step.target.told();
        let procedure = step.target.uri().as_str();
        tracing::debug!(target: crate::LOG, procedure, takes, does, "one of the {} is prepared", self.what);
        self.replace(step);
    }

    fn replace(&mut self, step: Step) {
        if step.is_other {
            self.replaced += 1;
            self.served.serve(step.target, || ());
        }
    }

    /// PostgreSQL cannot be asked: the rest is served as it is.
    fn unavailable(mut self, error: &Error) {
        let left = mem::take(&mut self.left);
        tracing::warn!(target: crate::LOG, left = left.len(), %error, "{} are not prepared now, but each when it is called first", self.what);
        for step in left.into_iter().rev() {
            self.replace(step);
        }
        if self.is_start {
            return (self.then)();
        }
        self.end();
    }

    fn end(self) {
        let Self {
            what,
            prepared,
            faulty,
            added,
            replaced,
            removed,
            ..
        } = self;
        if self.is_start {
            tracing::info!(target: crate::LOG, prepared, faulty, "{what} are prepared");
        } else {
            tracing::info!(target: crate::LOG, added, replaced, removed, prepared, faulty, "{what} are reloaded");
        }
        (self.then)();
    }
}

fn tell(target: &Target, faults: &[Fault]) {
    for fault in faults {
        tracing::error!(target: crate::LOG, procedure = %target.uri(), "{fault}");
    }
}
