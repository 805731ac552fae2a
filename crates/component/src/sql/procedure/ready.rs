//! Owns what a call needs before it can run: what PostgreSQL has said of the statements, and what its
//! transaction is told of the caller. Must not know how it runs.

use std::sync::Arc;

use sql::Settings;
use wamp::{Identity, error_uri};

use super::{super::super::Error, Procedure, Unprepared, prepare::Prepared};

/// All that a call needs.
pub(super) struct Ready {
    pub(super) prepared: Arc<Prepared>,
    /// Of its transaction.
    pub(super) settings: Settings,
}

impl Procedure {
    /// What a call needs, if nothing has to be asked of PostgreSQL first.
    ///
    /// # Errors
    /// Why the caller is refused.
    pub(super) fn ready(&self, caller: Option<&Identity>) -> Result<Option<Ready>, Error> {
        let settings = self.settings(caller)?;
        let ready = self.prepared().zip(settings);
        Ok(ready.map(|(prepared, settings)| Ready { prepared, settings }))
    }

    /// The same after PostgreSQL was asked what has to be asked. Does not block.
    pub(super) fn get_ready(
        self: &Arc<Self>,
        caller: Option<Arc<Identity>>,
        then: impl FnOnce(Result<Ready, Error>) + Send + 'static,
    ) {
        let this = self.clone();
        match self.settings(caller.as_deref()) {
            Ok(Some(settings)) => self.prepare_for(settings, then),
            Err(error) => then(Err(error)),
            Ok(None) => self.callers.read(move |result| {
                let read = result.map_err(|error| this.error(error));
                match read.and_then(|()| this.settings(caller.as_deref())) {
                    Ok(Some(settings)) => this.prepare_for(settings, then),
                    Ok(None) => {
                        let why = "the roles of the database could not be read in time";
                        then(Err(Error::new(error_uri::UNAVAILABLE, why)));
                    }
                    Err(error) => then(Err(error)),
                }
            }),
        }
    }

    fn prepare_for(
        self: &Arc<Self>,
        settings: Settings,
        then: impl FnOnce(Result<Ready, Error>) + Send + 'static,
    ) {
        match self.prepared() {
            Some(prepared) => then(Ok(Ready { prepared, settings })),
            None => self.prepare(move |result| match result {
                Ok(prepared) => then(Ok(Ready { prepared, settings })),
                Err(Unprepared::Faulty(_, error) | Unprepared::Unavailable(error)) => {
                    then(Err(error));
                }
            }),
        }
    }

    fn settings(&self, caller: Option<&Identity>) -> Result<Option<Settings>, Error> {
        self.callers.settings(&self.plan.told, &self.uri, caller)
    }
}
