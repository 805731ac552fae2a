//! Owns what the sessions of one pool learn for each other: the types of parameters and those that
//! users have made. Must not know a session.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sql::{Sql, types::Type};

/// As many statements and types are remembered; then all are learnt anew.
const MOST: usize = 4096;

/// What is known of a database.
#[derive(Default)]
pub(crate) struct Shared {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The types of the parameters of statements.
    params: HashMap<Sql, Arc<[Type]>>,
    /// The types that PostgreSQL does not begin with.
    types: HashMap<u32, Type>,
}

impl Shared {
    /// The types of a statement's parameters.
    pub(super) fn params(&self, sql: &str) -> Option<Arc<[Type]>> {
        self.known().params.get(sql).cloned()
    }

    pub(super) fn learn_params(&self, sql: &Sql, params: &Arc<[Type]>) {
        let mut known = self.known();
        if known.params.len() >= MOST {
            known.params.clear();
        }
        known.params.insert(sql.clone(), params.clone());
    }

    /// A statement takes other parameters or gives other columns than before. So types may have
    /// changed as well.
    pub(super) fn forget(&self, sql: &str) {
        let mut known = self.known();
        known.params.remove(sql);
        known.types.clear();
    }

    /// A type by its number.
    pub(super) fn r#type(&self, oid: u32) -> Option<Type> {
        Type::from_oid(oid).or_else(|| self.known().types.get(&oid).cloned())
    }

    pub(super) fn learn_types(&self, types: impl IntoIterator<Item = (u32, Type)>) {
        let mut known = self.known();
        if known.types.len() >= MOST {
            known.types.clear();
        }
        known.types.extend(types);
    }

    /// Nothing panics under the lock, so a poisoned one is as good as any.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
