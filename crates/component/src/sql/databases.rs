//! Owns which database a procedure asks: the component's, one of the node's by its name, or the
//! replica for what only reads. Must not know what is asked.

use std::{collections::BTreeMap, sync::Arc};

use sql::Database;
use wamp::Uri;

use super::{
    super::{ErrorDetails, NamedDatabase, Pool, did_you_mean::did_you_mean},
    options::Options,
    procedure::{Plan, Procedure},
    text::Fault,
};

/// The databases that procedures can ask.
pub(super) struct Databases {
    main: Arc<dyn Database>,
    named: BTreeMap<String, Asked>,
    /// The one for what only reads.
    replica: Option<Asked>,
}

/// A database, and what callers get of its reports of errors at most.
#[derive(Clone)]
struct Asked(Arc<dyn Database>, ErrorDetails);

impl Databases {
    pub(super) fn new(main: Pool, named: BTreeMap<String, NamedDatabase>) -> Self {
        let named = named.into_iter().map(|(name, database)| {
            let asked = Asked(shared(database.pool), database.error_details);
            (name, asked)
        });
        Self {
            main: shared(main),
            named: named.collect(),
            replica: None,
        }
    }

    /// One alone.
    #[cfg(test)]
    pub(super) fn only(main: Arc<dyn Database>) -> Self {
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
    pub(super) fn main(&self) -> &Arc<dyn Database> {
        &self.main
    }

    /// A procedure with the database that it asks.
    pub(super) fn procedure(&self, uri: Uri, plan: Plan) -> Arc<Procedure> {
        let options = &plan.options;
        let named = options.database.as_ref();
        let named = named.and_then(|(_, name)| self.named.get(name));
        let replica = (self.replica.as_ref()).filter(|_| options.read_only == Some(true));
        let (db, shown) = match named.or(replica) {
            Some(Asked(db, shown)) => (db.clone(), *shown),
            // Of the component's own they get what the component shows.
            None => (self.main.clone(), ErrorDetails::All),
        };
        Procedure::new(uri, plan, db, shown)
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
