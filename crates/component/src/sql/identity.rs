//! Owns what each transaction of a component is told of who calls: settings that SQL reads, the role of
//! the database, and what runs before the statements. Must not know what a procedure does.

mod preparing;
mod reading;
mod roles;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sql::{Database, Settings, Sql};
use wamp::{Identity, Uri, error_uri};

use super::{
    super::Error,
    catalogue::{self, Catalogue},
};
use reading::Known;
pub(super) use roles::RoleTable;

/// After this time what PostgreSQL has said of the roles is asked anew, beside the call that sees it.
const FRESH: Duration = Duration::from_secs(2);

/// As long as an `application_name` is.
const LONGEST_NAME: usize = 63;

/// What the procedures of a component tell PostgreSQL of their callers, and the database that they
/// ask.
pub(super) struct Callers {
    realm: Uri,
    table: Option<Arc<RoleTable>>,
    db: Arc<dyn Database>,
    /// What PostgreSQL has said of the roles in the table.
    known: RwLock<Option<Arc<Known>>>,
    is_reading: AtomicBool,
}

/// What the transactions of one procedure are told, whoever calls.
#[derive(Debug)]
pub(super) struct Told {
    /// What holds for all of them.
    pub(super) settings: Settings,
    /// Whether they are told who calls.
    pub(super) has_identity: bool,
    /// What runs before the statements.
    pub(super) before: Option<Sql>,
}

impl Callers {
    pub(super) fn new(
        realm: Uri,
        table: Option<Arc<RoleTable>>,
        db: Arc<dyn Database>,
    ) -> Arc<Self> {
        Arc::new(Self {
            realm,
            table,
            db,
            known: RwLock::default(),
            is_reading: AtomicBool::new(false),
        })
    }

    /// The database.
    pub(super) fn db(&self) -> &Arc<dyn Database> {
        &self.db
    }

    /// Reads the catalogue about these schemas, as the callers' roles see it. Does not block.
    pub(super) fn catalogue(&self, schemas: &[String]) -> sql::Deferred<Catalogue> {
        let entries = self.table.iter().flat_map(|table| table.entries());
        let mut roles: Vec<_> = entries.map(|entry| entry.role.clone()).collect();
        if roles.is_empty() {
            roles.push(None);
        }
        catalogue::read(&*self.db, schemas, roles)
    }

    /// The settings of a call's transaction; `None` if PostgreSQL has to be asked for the roles first,
    /// as [`read`](Self::read) does.
    ///
    /// # Errors
    /// `wamp.error.not_authorized` for a caller who has no role in the database.
    pub(super) fn settings(
        self: &Arc<Self>,
        told: &Told,
        procedure: &Uri,
        caller: Option<&Identity>,
    ) -> Result<Option<Settings>, Error> {
        let mut settings = told.settings.clone();
        if !told.has_identity {
            return Ok(Some(settings));
        }
        if let Some(table) = &self.table {
            let authrole = caller.and_then(|caller| caller.authrole.as_deref());
            let entry = table.find(authrole).ok_or_else(|| no_role(authrole))?;
            if let Some(role) = &entry.role {
                let Some(known) = self.known() else {
                    return Ok(None);
                };
                let is_fresh = known.is_fresh();
                match known.role(role) {
                    // It may have been mended.
                    Err(_) if !is_fresh => return Ok(None),
                    Err(fault) => return Err(unusable(entry, fault)),
                    Ok(role) => settings = role.apply(settings),
                }
                if !is_fresh {
                    self.renew();
                }
            }
        }
        settings = self.tell(settings, procedure, caller);
        Ok(Some(match &told.before {
            Some(before) => settings.before(before.clone()),
            None => settings,
        }))
    }

    /// Adds who calls. Each is always set: nothing else is to be taken for it, and what is not known
    /// is the empty text.
    fn tell(&self, settings: Settings, procedure: &Uri, caller: Option<&Identity>) -> Settings {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let extra = caller.and_then(|caller| caller.authextra.as_ref());
        let extra = extra.and_then(|extra| serde_json::to_string(extra).ok());
        let method = caller.and_then(|caller| caller.authmethod);
        let session = caller.map(|caller| caller.session.to_string());
        settings
            .set("application_name", self.application_name(procedure))
            .set("wamp.realm", self.realm.as_str())
            .set("wamp.procedure", procedure.as_str())
            .set("wamp.session", session.unwrap_or_default())
            .set(
                "wamp.authid",
                text(caller.and_then(|c| c.authid.as_deref())),
            )
            .set(
                "wamp.authrole",
                text(caller.and_then(|c| c.authrole.as_deref())),
            )
            .set("wamp.authmethod", text(method.map(|method| method.name())))
            .set("wamp.authextra", extra.unwrap_or_default())
    }

    /// What PostgreSQL's own tools show of the call. It takes no other characters than those of ASCII,
    /// and warns of a name that is too long; both ends of that tell most.
    fn application_name(&self, procedure: &Uri) -> String {
        let name = format!("wampgres {} {procedure}", self.realm);
        let name = name.replace(|c: char| !(' '..='~').contains(&c), "?");
        if name.len() <= LONGEST_NAME {
            return name;
        }
        let (begin, end) = (LONGEST_NAME / 2, LONGEST_NAME.div_ceil(2) - 2);
        format!("{}..{}", &name[..begin], &name[name.len() - end..])
    }

    fn known(&self) -> Option<Arc<Known>> {
        let known = self.known.read();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks PostgreSQL for the roles while calls go on with what it said before.
    fn renew(self: &Arc<Self>) {
        if self.is_reading.swap(true, Ordering::Relaxed) {
            return;
        }
        let this = self.clone();
        self.read(move |result| {
            this.is_reading.store(false, Ordering::Relaxed);
            if let Err(error) = result {
                tracing::warn!(target: crate::LOG, %error, "the roles of the database could not be read again");
            }
        });
    }
}

impl Known {
    fn is_fresh(&self) -> bool {
        let age = Instant::now().saturating_duration_since(self.at);
        age < FRESH
    }
}

fn no_role(authrole: Option<&str>) -> Error {
    let why = match authrole {
        Some(authrole) => format!(
            "no role of the database is meant for the authrole `{authrole}`: give it a row in `roles` \
             of the component, or one to `*`, which is for all others"
        ),
        None => {
            "the router does not tell who calls, and no role of the database is meant for that: \
                 let it disclose callers, or give `*` a row in `roles` of the component"
                .to_owned()
        }
    };
    Error::new(error_uri::NOT_AUTHORIZED, why)
}

fn unusable(entry: &roles::Entry, fault: &str) -> Error {
    let why = "the role of the database that is meant for this caller cannot be used; the log of the \
               node says why";
    Error::runtime(why).with_log(format!("{}: {fault}", entry.place))
}
