//! Owns how statements are described as the roles of the callers see them, and what is wrong with the
//! roles. Must not run a procedure.

use std::sync::Arc;

use sql::{Deferred, Description, ErrorKind, Settings, Sql};

use super::{super::text::Fault, Callers, Told};

impl Callers {
    /// Has PostgreSQL describe a statement of a procedure as its callers' roles see it, one after the
    /// other until one of them may. The error is the first one's.
    pub(in crate::sql) fn describe(
        self: &Arc<Self>,
        told: &Told,
        sql: Sql,
    ) -> Deferred<Description> {
        if !told.has_identity || self.table.is_none() {
            return self.db.describe(sql);
        }
        let (promise, deferred) = deferred::deferred::<Description, sql::Error>();
        let describing = Describing {
            callers: self.clone(),
            sql,
            left: Vec::new(),
            error: None,
            promise,
        };
        if self.known().is_some_and(|known| known.is_fresh()) {
            describing.begin();
        } else {
            self.read(move |result| match result {
                Ok(()) => describing.begin(),
                Err(error) => describing.promise.resolve(Err(error)),
            });
        }
        deferred
    }

    /// The settings of each role that can be used, the last one first; those of the login alone if
    /// there is none.
    fn roles(&self) -> Vec<Settings> {
        let known = self.known();
        let entries = self.table.iter().flat_map(|table| table.entries());
        let mut roles: Vec<Settings> = Vec::new();
        for entry in entries {
            let settings = match &entry.role {
                None => Some(Settings::new()),
                Some(role) => {
                    let role = known.as_ref().and_then(|known| known.role(role).ok());
                    role.map(|role| role.apply(Settings::new()))
                }
            };
            roles.extend(settings.filter(|settings| !roles.contains(settings)));
        }
        if roles.is_empty() {
            roles.push(Settings::new());
        }
        roles.reverse();
        roles
    }

    /// What is wrong with the roles, as far as PostgreSQL was asked.
    pub(in crate::sql) fn faults(&self) -> Vec<Fault> {
        let Some(known) = self.known() else {
            return Vec::new();
        };
        let entries = self.table.iter().flat_map(|table| table.entries());
        let fault = |entry: &super::roles::Entry| {
            let why = known.role(entry.role.as_deref()?).err()?;
            Some(Fault::new(entry.place.clone(), why))
        };
        entries.filter_map(fault).collect()
    }
}

/// A statement on its way to be described.
struct Describing {
    callers: Arc<Callers>,
    sql: Sql,
    /// The settings that it is tried with, the next one last.
    left: Vec<Settings>,
    error: Option<sql::Error>,
    promise: deferred::Promise<Description, sql::Error>,
}

impl Describing {
    fn begin(mut self) {
        self.left = self.callers.roles();
        self.next();
    }

    fn next(mut self) {
        let Some(settings) = self.left.pop() else {
            let error = self.error.unwrap_or_else(deferred::Failure::dropped);
            return self.promise.resolve(Err(error));
        };
        let described = self.callers.db.describe_in(settings, self.sql.clone());
        described.on_result(move |result| match result {
            Err(error) if error.kind() == ErrorKind::Database => {
                self.error.get_or_insert(error);
                self.next();
            }
            result => self.promise.resolve(result),
        });
    }
}
