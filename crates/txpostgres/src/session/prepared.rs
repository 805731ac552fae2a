//! Owns the prepared statements of one session. Must not know how they are prepared.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use sql::{Sql, types::Type};

/// How many set_config statements are kept, one for each number of settings.
const MOST_CONFIGS: usize = 16;

/// A statement that a session has prepared, or asked for.
pub(super) struct Prepared {
    /// What the server knows it by; empty for one that is not kept.
    pub(super) name: Box<str>,
    pub(super) sql: Sql,
    pub(super) params: Arc<[Type]>,
    /// Known once the server has described them.
    pub(super) columns: OnceLock<Box<[Column]>>,
}

/// A column of its result.
pub(super) struct Column {
    pub(super) name: Box<str>,
    pub(super) oid: u32,
    /// Known once it was looked up, before anybody sees a row.
    pub(super) r#type: OnceLock<Type>,
}

impl Prepared {
    pub(super) fn new(name: Box<str>, sql: Sql, params: Arc<[Type]>) -> Arc<Self> {
        Arc::new(Self {
            name,
            sql,
            params,
            columns: OnceLock::new(),
        })
    }

    /// Its columns, as far as they are known.
    pub(super) fn columns(&self) -> &[Column] {
        self.columns.get().map_or(&[], |columns| columns)
    }
}

/// Prepared statements by their SQL, at most `limit` of them. A new one replaces the one that has
/// been unused for longest.
///
/// A lookup costs a hash of the SQL. A replacement looks at all of them, but it only happens when a
/// statement is prepared.
pub(super) struct Statements {
    limit: usize,
    uses: u64,
    made: u64,
    by_sql: HashMap<Sql, (Arc<Prepared>, u64)>,
    /// Those that set so many settings.
    configs: Vec<Option<Arc<Prepared>>>,
    /// Names that the server is to forget.
    pub(super) dropped: Vec<Box<str>>,
}

impl Statements {
    /// Keeps up to `limit` statements; none if it is 0.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            uses: 0,
            made: 0,
            by_sql: HashMap::new(),
            configs: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// The statement that was prepared for `sql`, if it is still here.
    pub(super) fn find(&mut self, sql: &str) -> Option<Arc<Prepared>> {
        self.uses += 1;
        let (prepared, last_use) = self.by_sql.get_mut(sql)?;
        *last_use = self.uses;
        Some(prepared.clone())
    }

    /// Whether nothing is kept.
    pub(super) fn are_kept(&self) -> bool {
        self.limit > 0
    }

    /// A name for the next statement.
    pub(super) fn name(&mut self) -> Box<str> {
        if self.limit == 0 {
            return Box::default();
        }
        self.made += 1;
        format!("s{}", self.made).into()
    }

    /// Remembers a statement.
    pub(super) fn insert(&mut self, prepared: &Arc<Prepared>) {
        if self.limit == 0 {
            return;
        }
        if self.by_sql.len() >= self.limit && !self.by_sql.contains_key(&*prepared.sql) {
            let oldest = self
                .by_sql
                .iter()
                .min_by_key(|(_, (_, last_use))| *last_use);
            if let Some(sql) = oldest.map(|(sql, _)| sql.clone()) {
                self.remove(&sql);
            }
        }
        let entry = (prepared.clone(), self.uses);
        if let Some((old, _)) = self.by_sql.insert(prepared.sql.clone(), entry) {
            self.dropped.push(old.name.clone());
        }
    }

    fn remove(&mut self, sql: &str) {
        if let Some((old, _)) = self.by_sql.remove(sql) {
            self.dropped.push(old.name.clone());
        }
    }

    /// Forgets a statement that gives other columns now.
    pub(super) fn forget_changed(&mut self, prepared: &Arc<Prepared>) {
        if self.is_here(prepared) {
            self.remove(&prepared.sql);
        }
    }

    /// Forgets a statement whose preparation has failed, so that the server has none.
    pub(super) fn forget_failed(&mut self, prepared: &Arc<Prepared>) {
        if self.is_here(prepared) {
            self.by_sql.remove(&*prepared.sql);
        }
        for config in &mut self.configs {
            if config
                .as_ref()
                .is_some_and(|config| Arc::ptr_eq(config, prepared))
            {
                *config = None;
            }
        }
    }

    /// The server has forgotten a statement, and so all of them; or it was replaced meanwhile.
    pub(super) fn forget_gone(&mut self, prepared: &Arc<Prepared>) {
        let is_config = |config: &Option<Arc<Prepared>>| {
            config
                .as_ref()
                .is_some_and(|config| Arc::ptr_eq(config, prepared))
        };
        if self.is_here(prepared) || self.configs.iter().any(is_config) {
            self.clear();
        }
    }

    /// Forgets all, as the server has.
    pub(super) fn clear(&mut self) {
        self.by_sql.clear();
        self.configs.clear();
        self.dropped.clear();
    }

    fn is_here(&self, prepared: &Arc<Prepared>) -> bool {
        let found = self.by_sql.get(&*prepared.sql);
        found.is_some_and(|(found, _)| Arc::ptr_eq(found, prepared))
    }

    /// The statement that sets so many settings, and whether it is a new one, to be prepared.
    pub(super) fn config(&mut self, settings: usize) -> (Arc<Prepared>, bool) {
        let is_kept = self.limit > 0 && settings <= MOST_CONFIGS;
        if is_kept && let Some(Some(found)) = self.configs.get(settings) {
            return (found.clone(), false);
        }
        let name = if is_kept { self.name() } else { Box::default() };
        let made = Prepared::new(name, set_config(settings).into(), Arc::new([]));
        if is_kept {
            if self.configs.len() <= settings {
                self.configs.resize(settings + 1, None);
            }
            self.configs[settings] = Some(made.clone());
        }
        (made, true)
    }
}

/// The statement that sets so many settings for its transaction, one after the other.
fn set_config(settings: usize) -> String {
    use std::fmt::Write as _;
    let mut sql = String::from("SELECT ");
    for n in 0..settings {
        let comma = if n == 0 { "" } else { ", " };
        let (name, value) = (2 * n + 1, 2 * n + 2);
        let _ = write!(sql, "{comma}pg_catalog.set_config(${name}, ${value}, true)");
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(statements: &mut Statements, sql: &'static str) -> Arc<Prepared> {
        let prepared = Prepared::new(statements.name(), sql.into(), Arc::new([]));
        statements.insert(&prepared);
        prepared
    }

    #[test]
    fn the_statement_unused_for_longest_makes_room_and_is_to_be_closed() {
        let mut statements = Statements::new(2);
        for sql in ["a", "b"] {
            made(&mut statements, sql);
        }
        assert!(statements.find("a").is_some());
        made(&mut statements, "c");
        let found = ["a", "b", "c"].map(|sql| statements.find(sql).is_some());
        assert_eq!(found, [true, false, true]);
        assert_eq!(statements.dropped, ["s2".into()]);
    }

    #[test]
    fn what_is_gone_takes_all_with_it_unless_it_was_replaced() {
        let mut statements = Statements::new(9);
        let old = made(&mut statements, "a");
        statements.forget_gone(&old);
        made(&mut statements, "a");
        made(&mut statements, "b");
        statements.forget_gone(&old);
        assert!(statements.find("a").is_some());
        let (config, is_new) = statements.config(2);
        assert!(is_new && !statements.config(2).1);
        statements.forget_gone(&config);
        assert!(statements.find("b").is_none() && statements.config(2).1);
    }

    #[test]
    fn a_limit_of_zero_keeps_nothing() {
        let mut statements = Statements::new(0);
        assert_eq!(&*made(&mut statements, "a").name, "");
        assert!(statements.find("a").is_none());
        assert!(statements.config(1).1 && statements.config(1).1);
    }

    #[test]
    fn settings_are_set_in_their_order() {
        let sql = "SELECT pg_catalog.set_config($1, $2, true), pg_catalog.set_config($3, $4, true)";
        assert_eq!(set_config(2), sql);
    }
}
