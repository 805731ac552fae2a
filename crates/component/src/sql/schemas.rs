//! Owns the functions of schemas as a component serves them: the catalogue is read, as soon as
//! PostgreSQL can be asked, and what comes of it is registered. Must not know what a function is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use sql::{Database, ErrorKind};

use super::{
    super::{self as component, Error, RegistrationHandle, SessionHandle},
    catalogue,
    functions::{FunctionOptions, Functions},
    preparing::Preparing,
};

/// How long to wait before PostgreSQL is asked again the first time; then twice as long, up to the
/// longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The functions of schemas, served or to be served.
pub(super) struct Schemas {
    options: FunctionOptions,
    db: Arc<dyn Database>,
    session: SessionHandle,
    state: Mutex<State>,
    /// Told when it is over.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    is_over: bool,
    /// By their URIs.
    registered: BTreeMap<String, RegistrationHandle>,
    /// How many registrations have no answer yet.
    unanswered: usize,
    /// Waits to ask PostgreSQL again.
    waiting: Option<JoinHandle<()>>,
}

impl Schemas {
    /// Begins to read the catalogue. Does not block.
    pub(super) fn serve(
        options: FunctionOptions,
        db: Arc<dyn Database>,
        session: SessionHandle,
    ) -> Arc<Self> {
        let this = Arc::new(Self {
            options,
            db,
            session,
            state: Mutex::default(),
            ended: Condvar::new(),
        });
        this.read(FIRST_WAIT);
        this
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

    /// Reads the catalogue and registers what is in it; after `wait` again if PostgreSQL cannot be
    /// asked now.
    fn read(self: &Arc<Self>, wait: Duration) {
        let this = self.clone();
        let catalogue = catalogue::read(&*self.db, &self.options.schemas);
        catalogue.on_result(move |result| match result {
            Ok(catalogue) => {
                let functions = Functions::new(&catalogue, &this.options, &this.db);
                this.register(functions);
            }
            Err(error) if error.kind() == ErrorKind::Closed => {}
            Err(error) if matches!(error.kind(), ErrorKind::Value | ErrorKind::Other) => {
                tracing::error!(target: crate::LOG, %error, "the functions of schemas cannot be read, and are not served");
            }
            Err(error) => this.read_later(wait, &error),
        });
    }

    fn read_later(self: &Arc<Self>, wait: Duration, error: &sql::Error) {
        let schemas = self.options.schemas.join(", ");
        let mut state = self.state();
        if state.is_over {
            return;
        }
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
                tracing::error!(target: crate::LOG, %error, "there is no thread that could wait for PostgreSQL: the functions of schemas are not served; start the node again");
            }
        }
    }

    /// Waits so long; whether it is not over by then.
    fn has_waited(&self, wait: Duration) -> bool {
        let state = self.state();
        let waited = (self.ended).wait_timeout_while(state, wait, |state| !state.is_over);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_over
    }

    /// Registers all functions, and has PostgreSQL prepare them.
    fn register(self: &Arc<Self>, functions: Functions) {
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
        let faulty = functions.faults.len();
        tracing::info!(target: crate::LOG, left_out, faulty, "the functions of schemas are read");
        self.state().unanswered = functions.all.len();
        let mut procedures = Vec::new();
        for (uri, function) in functions.all {
            procedures.extend(function.procedures());
            let (takes, does) = (function.takes(), function.description());
            tracing::debug!(target: crate::LOG, procedure = uri, takes, does, "a function is served");
            let concurrency = function.concurrency();
            let registered = component::Procedure::function(function.uri.clone(), move |call| {
                function.call(&call)
            });
            let registered = match concurrency {
                Some(limit) => registered.concurrency(limit),
                None => registered,
            };
            let this = self.clone();
            let answer = self.session.register(registered);
            answer.on_result(move |result| this.registered(uri, result));
        }
        Preparing::begin("functions of schemas", procedures);
    }

    fn registered(&self, uri: String, result: Result<RegistrationHandle, Error>) {
        let mut state = self.state();
        match result {
            Ok(handle) => drop(state.registered.insert(uri, handle)),
            Err(_) if state.is_over => {}
            Err(error) => {
                tracing::error!(target: crate::LOG, procedure = uri, %error, "the router does not register a function");
            }
        }
        state.unanswered -= 1;
        if state.unanswered == 0 {
            let functions = state.registered.len();
            tracing::info!(target: crate::LOG, functions, "functions of schemas are registered");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
