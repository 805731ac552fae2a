//! Owns which database a procedure asks: the component's, one of the node's by its name, or the
//! replica for what only reads. Must not know what is asked.

use std::{collections::BTreeMap, sync::Arc};

use sql::Database;
use wamp::Uri;

use super::{
    super::{ErrorDetails, NamedDatabase, Pool, did_you_mean::did_you_mean},
    identity::{Callers, RoleTable},
    options::Options,
    procedure::{Plan, Procedure},
    text::Fault,
};

/// The databases that procedures can ask.
pub(super) struct Databases {
    main: Arc<Callers>,
    named: BTreeMap<String, Asked>,
    /// The one for what only reads.
    replica: Option<Asked>,
}

/// A database with what it is told of callers, and what callers get of its reports of errors at most.
#[derive(Clone)]
struct Asked(Arc<Callers>, ErrorDetails);

impl Databases {
    /// The databases of a component of this realm, whose callers have the roles of this table.
    pub(super) fn new(
        realm: Uri,
        roles: Option<Arc<RoleTable>>,
        main: Pool,
        named: BTreeMap<String, NamedDatabase>,
    ) -> Self {
        let callers = |pool| Callers::new(realm.clone(), roles.clone(), shared(pool));
        let named = named.into_iter().map(|(name, database)| {
            let asked = Asked(callers(database.pool), database.error_details);
            (name, asked)
        });
        Self {
            main: callers(main),
            named: named.collect(),
            replica: None,
        }
    }

    /// One alone.
    #[cfg(test)]
    pub(super) fn only(main: Arc<dyn Database>) -> Self {
        Self::of(Callers::new("realm1".into(), None, main))
    }

    #[cfg(test)]
    pub(super) fn of(main: Arc<Callers>) -> Self {
        Self {
            main,
            named: BTreeMap::new(),
            replica: None,
        }
    }

    /// The same with a database for procedures that are `read_only`.
    pub(super) fn with_replica(self, name: Option<&str>) -> Self {
        let replica = name.and_then(|name| self.named.get(name)).cloned();
        Self { replica, ..self }
    }

    /// The component's own.
    pub(super) fn main(&self) -> &Arc<Callers> {
        &self.main
    }

    /// A procedure with the database that it asks.
    pub(super) fn procedure(&self, uri: Uri, plan: Plan) -> Arc<Procedure> {
        let options = &plan.options;
        let named = options.database.as_ref();
        let named = named.and_then(|(_, name)| self.named.get(name));
        let replica = (self.replica.as_ref()).filter(|_| options.read_only == Some(true));
        let (callers, shown) = match named.or(replica) {
            Some(Asked(callers, shown)) => (callers.clone(), *shown),
            // Of the component's own they get what the component shows.
            None => (self.main.clone(), ErrorDetails::Debug),
        };
        Procedure::new(uri, plan, callers, shown)
    }

    /// What is wrong with the roles of callers in the databases that were asked.
    pub(super) fn role_faults(&self) -> Vec<Fault> {
        let named = self.named.values().map(|Asked(callers, _)| callers);
        let all = std::iter::once(&self.main).chain(named);
        all.flat_map(|callers| callers.faults()).collect()
    }

    /// What is wrong with the database that options name, if it is.
    pub(super) fn fault_of(&self, options: &Options) -> Option<Fault> {
        let (place, name) = options.database.as_ref()?;
        let why = format!("`database`: {}", self.fault(name)?);
        Some(Fault::new(place.clone(), why))
    }

    /// What is wrong with the name of a database, if it is.
    pub(super) fn fault(&self, name: &str) -> Option<String> {
        if self.named.contains_key(name) {
            return None;
        }
        let names: Vec<_> = self.named.keys().map(String::as_str).collect();
        let has = match names.as_slice() {
            [] => "has none".to_owned(),
            names => format!("has: {}{}", names.join(", "), did_you_mean(name, names)),
        };
        Some(format!(
            "must be the name of one of the node's `databases`, which {has}"
        ))
    }
}

/// A pool as what all backends have in common.
fn shared(pool: Pool) -> Arc<dyn Database> {
    match pool {
        #[cfg(feature = "adbapi")]
        Pool::Adbapi(pool) => Arc::new(pool),
        #[cfg(feature = "txpostgres")]
        Pool::Txpostgres(pool) => Arc::new(pool),
    }
}
