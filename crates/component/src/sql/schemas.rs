//! Owns the functions of schemas as a component serves them: the catalogue is read, as soon as
//! PostgreSQL can be asked, and what comes of it is registered. Must not know what a function is.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use sql::ErrorKind;

use super::{
    applying::{Defined, apply},
    databases::Databases,
    functions::{FunctionOptions, Functions},
    reloading::Turns,
    served::Served,
    target::{Origin, Target},
};

/// How long to wait before PostgreSQL is asked again the first time; then twice as long, up to the
/// longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The functions of schemas, served or to be served.
pub(super) struct Schemas {
    databases: Arc<Databases>,
    served: Arc<Served>,
    turns: Arc<Turns>,
    state: Mutex<State>,
    /// Told when it is over.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// What is said of functions.
    options: Arc<FunctionOptions>,
    is_over: bool,
    /// They were read once.
    is_read: bool,
    /// Waits to ask PostgreSQL again.
    waiting: Option<JoinHandle<()>>,
}

impl Schemas {
    /// Begins to read the catalogue. Does not block.
    pub(super) fn serve(
        options: FunctionOptions,
        databases: Arc<Databases>,
        served: Arc<Served>,
        turns: Arc<Turns>,
    ) -> Arc<Self> {
        let this = Arc::new(Self {
            databases,
            served,
            turns,
            state: Mutex::default(),
            ended: Condvar::new(),
        });
        this.reload(options);
        this
    }

    /// Begins to read the catalogue again, with what is said of functions now. Does not block.
    pub(super) fn reload(self: &Arc<Self>, options: FunctionOptions) {
        self.state().options = Arc::new(options);
        if self.turns.take() {
            self.read(FIRST_WAIT);
        }
    }

    /// Ends it. What is registered stays until the session ends.
    pub(super) fn stop(&self) {
        let waiting = {
            let mut state = self.state();
            state.is_over = true;
            self.ended.notify_all();
            state.waiting.take()
        };
        if let Some(waiting) = waiting {
            // One that has panicked has ended too.
            let _ = waiting.join();
        }
    }

    /// Reads the catalogue and serves what is in it; after `wait` again if PostgreSQL cannot be asked
    /// now.
    fn read(self: &Arc<Self>, wait: Duration) {
        let (this, options) = (self.clone(), self.state().options.clone());
        let catalogue = self.databases.main().catalogue(&options.schemas);
        catalogue.on_result(move |result| match result {
            Ok(catalogue) => {
                let functions = Functions::new(&catalogue, &options, &this.databases);
                this.apply(functions, &options);
            }
            Err(error) if error.kind() == ErrorKind::Closed => {}
            Err(error) if matches!(error.kind(), ErrorKind::Value | ErrorKind::Other) => {
                tracing::error!(target: crate::LOG, %error, "the functions of schemas cannot be read, and are served as before");
                this.turns.end();
            }
            Err(error) => this.read_later(wait, &error),
        });
    }

    fn read_later(self: &Arc<Self>, wait: Duration, error: &sql::Error) {
        let mut state = self.state();
        if state.is_over {
            return;
        }
        let schemas = state.options.schemas.join(", ");
        if wait == FIRST_WAIT {
            tracing::warn!(target: crate::LOG, schemas, %error, "the functions of schemas come as soon as PostgreSQL can be asked");
        } else {
            tracing::debug!(target: crate::LOG, schemas, %error, "PostgreSQL cannot be asked yet");
        }
        let this = self.clone();
        let thread = thread::Builder::new().name("sql-catalogue".to_owned());
        let spawned = thread.spawn(move || {
            if this.has_waited(wait) {
                this.read((wait * 2).min(LONGEST_WAIT));
            }
        });
        match spawned {
            Ok(waiting) => state.waiting = Some(waiting),
            Err(error) => {
                tracing::error!(target: crate::LOG, %error, "there is no thread that could wait for PostgreSQL: the functions of schemas are served as before; reload them");
                drop(state);
                self.turns.end();
            }
        }
    }

    /// Waits so long; whether it is not over by then.
    fn has_waited(&self, wait: Duration) -> bool {
        let state = self.state();
        let waited = (self.ended).wait_timeout_while(state, wait, |state| !state.is_over);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_over
    }

    /// Serves all functions.
    fn apply(self: &Arc<Self>, functions: Functions, options: &FunctionOptions) {
        let left_out = functions.left_out.len();
        for function in functions.left_out {
            let (name, why) = (function.signature, function.why);
            if function.is_forbidden {
                tracing::info!(target: crate::LOG, function = name, "not served: {why}");
            } else {
                tracing::debug!(target: crate::LOG, function = name, "not served: {why}");
            }
        }
        for fault in &functions.faults {
            tracing::error!(target: crate::LOG, "{fault}");
        }
        let faults = functions.faults.len();
        tracing::info!(target: crate::LOG, left_out, faulty = faults, "the functions of schemas are read");
        let all = functions.all.into_values();
        let is_first = !std::mem::replace(&mut self.state().is_read, true);
        let defined = Defined {
            origin: Origin::Schemas,
            targets: all.map(Target::Function).collect(),
            faulty: functions.faulty,
            taken: options.taken.clone(),
            faults,
            is_complete: true,
            is_first,
        };
        let (registered, prepared) = (self.clone(), self.turns.clone());
        let registered = move || {
            if is_first {
                let functions = registered.served.uris(Origin::Schemas).len();
                tracing::info!(target: crate::LOG, functions, "functions of schemas are registered");
            }
        };
        apply(&self.served, defined, registered, move || prepared.end());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
