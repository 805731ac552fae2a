//! Owns how statements are described as the roles of the callers see them, and what is wrong with the
//! roles and with what runs before the statements. Must not run a procedure.

use std::sync::Arc;

use sql::{Deferred, Description, ErrorKind, Settings, Sql, types::Type};

use super::{
    super::{super::Error, text::Fault},
    Callers, Told,
};

/// A function that runs before the statements of procedures, and where it is named.
pub(in crate::sql) type Before = super::super::options::FunctionOption;

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
                Err(error) => describing.promise.resolve(Err(sql::Error::custom(error))),
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

    /// Finds what is wrong with the roles and with functions that run before statements.
    pub(in crate::sql) fn check(
        self: &Arc<Self>,
        functions: Vec<Before>,
        then: impl FnOnce(Result<Vec<Fault>, Error>) + Send + 'static,
    ) {
        let this = self.clone();
        self.read(move |result| match result {
            Ok(()) => {
                let checking = Checking {
                    faults: this.role_faults(),
                    callers: this,
                    left: functions,
                    then: Box::new(then),
                };
                checking.next();
            }
            Err(error) => then(Err(error)),
        });
    }

    fn role_faults(&self) -> Vec<Fault> {
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

/// Functions on their way to be checked.
struct Checking {
    callers: Arc<Callers>,
    left: Vec<Before>,
    faults: Vec<Fault>,
    then: Box<dyn FnOnce(Result<Vec<Fault>, Error>) + Send>,
}

impl Checking {
    fn next(mut self) {
        let Some(Before { place, name }) = self.left.pop() else {
            return (self.then)(Ok(self.faults));
        };
        let told = Told {
            settings: Settings::new(),
            has_identity: true,
            before: None,
        };
        let described = self
            .callers
            .describe(&told, format!("SELECT {name}()").into());
        described.on_result(move |result| {
            let why = match result {
                Ok(description) => match description.columns.as_slice() {
                    [(_, r#type)] if *r#type == Type::VOID => None,
                    _ => Some(format!(
                        "`before`: {name}() has to be a function that RETURNS void, because nobody \
                         looks at its result: let it RAISE an exception to refuse a call"
                    )),
                },
                Err(error) => match error.report() {
                    Some(report) => Some(format!("`before`: {}", report.message)),
                    None => return (self.then)(Err(error.into())),
                },
            };
            self.faults.extend(why.map(|why| Fault::new(place, why)));
            self.next();
        });
    }
}
