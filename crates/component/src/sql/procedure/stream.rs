//! Owns how the rows of a procedure go to a caller that takes them in parts: prepared first if need be,
//! begun again as long as nothing was sent. Must not know how parts travel.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sql::{RowStream, Rows, Statement};
use wamp::{Identity, Payload};

use super::{
    super::{
        super::{Deferred, Error, reply_stream::Source},
        types::Argument,
    },
    Procedure, answer,
    ready::Ready,
    relay::Relay,
    run,
};

/// The parts of an answer. Dropped, it ends the portal and the transaction.
pub(super) struct Streamed(Arc<Shared>);

struct Shared {
    procedure: Arc<Procedure>,
    caller: Option<Arc<Identity>>,
    arguments: Vec<Option<Argument>>,
    state: Mutex<State>,
}

enum State {
    /// Nothing is asked of PostgreSQL yet, or it is being prepared.
    Unbegun,
    Begun(RowStream),
    /// Nobody wants any more.
    Over,
}

/// A job that is on its way to its first part.
struct Beginning {
    shared: Arc<Shared>,
    ready: Ready,
    /// How often it may be begun again.
    left: u64,
    relay: Relay<Option<Payload>>,
}

impl Streamed {
    pub(super) fn new(
        procedure: Arc<Procedure>,
        caller: Option<Arc<Identity>>,
        arguments: Vec<Option<Argument>>,
    ) -> Self {
        Self(Arc::new(Shared {
            procedure,
            caller,
            arguments,
            state: Mutex::new(State::Unbegun),
        }))
    }

    fn end(&self) -> Option<RowStream> {
        match mem::replace(&mut *self.0.state(), State::Over) {
            State::Begun(rows) => Some(rows),
            State::Unbegun | State::Over => None,
        }
    }
}

impl Source for Streamed {
    fn next(&mut self) -> Deferred<Option<Payload>> {
        let batch = match &mut *self.0.state() {
            State::Begun(rows) => Some(rows.next_batch()),
            State::Unbegun | State::Over => None,
        };
        let shared = self.0.clone();
        match batch {
            Some(batch) => batch.map_result(move |batch| shared.part(batch)),
            None => begin(shared),
        }
    }

    fn close(self: Box<Self>) -> Deferred<()> {
        match self.end() {
            Some(rows) => rows.close().map_result(|end| Ok(end?)),
            None => Deferred::ready(Ok(())),
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// Begins it, after it is prepared, and gives the first part.
fn begin(shared: Arc<Shared>) -> Deferred<Option<Payload>> {
    let (relay, deferred) = Relay::new();
    let (procedure, caller) = (shared.procedure.clone(), shared.caller.clone());
    let left = procedure.plan.retry;
    procedure.get_ready(caller, move |result| match result {
        Ok(ready) => {
            let beginning = Beginning {
                shared,
                ready,
                left,
                relay,
            };
            beginning.open();
        }
        Err(error) => relay.resolve(Err(error)),
    });
    deferred
}

impl Beginning {
    fn open(self) {
        let mut rows = match self.shared.open(&self.ready) {
            Ok(rows) => rows,
            Err(error) => {
                // A value of another type may be right by now.
                self.shared.procedure.forget();
                return self.relay.resolve(Err(error));
            }
        };
        let first = rows.next_batch();
        if !self.shared.keep(rows) {
            return;
        }
        self.relay.interrupts(first.cancel_handle());
        first.on_result(move |batch| match batch {
            Err(error) if self.left > 0 && run::is_worth_another_try(&error) => {
                let left = self.left - 1;
                Self { left, ..self }.open();
            }
            batch => {
                let part = self.shared.part(batch);
                self.relay.resolve(part);
            }
        });
    }
}

impl Shared {
    fn open(&self, ready: &Ready) -> Result<RowStream, Error> {
        let Procedure { callers, plan, .. } = &*self.procedure;
        let of = &ready.prepared.statements[0];
        let params = run::params(plan, 0, of, &self.arguments)?;
        let sql = of.streamed.as_ref().unwrap_or(&of.sql).clone();
        let statement = Statement::new(sql, params);
        let settings = ready.settings.clone();
        Ok(callers.db().stream(settings, statement, plan.batch))
    }

    /// Keeps what was begun, unless nobody wants it any more; whether it is kept.
    fn keep(&self, rows: RowStream) -> bool {
        let mut state = self.state();
        let is_wanted = !matches!(*state, State::Over);
        let other = if is_wanted {
            mem::replace(&mut *state, State::Begun(rows))
        } else {
            State::Begun(rows)
        };
        // Its end calls the backend.
        drop(state);
        drop(other);
        is_wanted
    }

    fn part(&self, batch: Result<Option<Rows>, sql::Error>) -> Result<Option<Payload>, Error> {
        let batch = batch.map_err(|error| run::told(error, &self.procedure))?;
        let part = batch.map(|rows| answer::part(&self.procedure.plan, &rows));
        part.transpose()
    }

    /// No user code runs under the lock, so a poisoned one is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
