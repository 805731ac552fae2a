//! Owns which database a procedure asks: the component's, one of the node's by its name, or the
//! replica for what only reads. Must not know what is asked.

use std::{collections::BTreeMap, sync::Arc};

use sql::Database;

use super::{
    super::{Pool, did_you_mean::did_you_mean},
    procedure::Plan,
};

/// The databases that procedures can ask.
pub(super) struct Databases {
    main: Arc<dyn Database>,
    named: BTreeMap<String, Arc<dyn Database>>,
    /// The one for what only reads.
    replica: Option<Arc<dyn Database>>,
}

impl Databases {
    pub(super) fn new(main: Pool, named: BTreeMap<String, Pool>) -> Self {
        let named = named.into_iter();
        Self {
            main: shared(main),
            named: named.map(|(name, pool)| (name, shared(pool))).collect(),
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

    /// The one that a procedure asks.
    pub(super) fn of(&self, plan: &Plan) -> &Arc<dyn Database> {
        let options = &plan.options;
        let named = options.database.as_ref();
        let named = named.and_then(|(_, name)| self.named.get(name));
        let replica = (self.replica.as_ref()).filter(|_| options.read_only == Some(true));
        named.or(replica).unwrap_or(&self.main)
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
