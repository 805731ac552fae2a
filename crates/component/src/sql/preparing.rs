//! Owns the preparing of many procedures before anybody calls them, and what the log says of it. Must
//! not know where they are from.

use std::sync::Arc;

use super::procedure::{Procedure, Unprepared};

/// How far all procedures are prepared: one after the other, so that a pool has little to do with it.
pub(super) struct Preparing {
    /// What they are, for the log.
    what: &'static str,
    /// Those that are left, the next one last.
    left: Vec<Arc<Procedure>>,
    prepared: usize,
    faulty: usize,
}

impl Preparing {
    /// Begins. Does not block.
    pub(super) fn begin(what: &'static str, mut all: Vec<Arc<Procedure>>) {
        all.reverse();
        let begun = Self {
            what,
            left: all,
            prepared: 0,
            faulty: 0,
        };
        begun.next();
    }

    fn next(mut self) {
        let what = self.what;
        let Some(procedure) = self.left.pop() else {
            let Self {
                prepared, faulty, ..
            } = self;
            tracing::info!(target: crate::LOG, prepared, faulty, "{what} are prepared");
            return;
        };
        let this = procedure.clone();
        procedure.prepare(move |result| {
            let uri = &this.uri;
            match result {
                Ok(_) => {
                    self.prepared += 1;
                    let (takes, does) = (this.plan.takes(), this.plan.description());
                    tracing::debug!(target: crate::LOG, procedure = %uri, takes, does, "a procedure in SQL is prepared");
                }
                Err(Unprepared::Faulty(faults, _)) => {
                    self.faulty += 1;
                    for fault in faults {
                        tracing::error!(target: crate::LOG, procedure = %uri, "{fault}");
                    }
                }
                Err(Unprepared::Unavailable(error)) => {
                    let left = self.left.len() + 1;
                    tracing::warn!(target: crate::LOG, left, %error, "{what} are not prepared now, but each when it is called first");
                    return;
                }
            }
            self.next();
        });
    }
}
