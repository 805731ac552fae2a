//! Owns what the checks of all sections share: what the caller knows of the world, and what the
//! routers are that components refer to. Knows no keys.

use std::path::Path;

use super::model::RouterWorker;

/// What a check needs to know of the world.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The names of all component classes.
    pub classes: &'a [&'a str],
    /// Those of them that have a database even if their `extra` names none.
    pub database_classes: &'a [&'a str],
    /// Looks up an environment variable: `PGHOST` and its like, `DATABASE_URL`, `HOME`. A node's is
    /// [`process_environment`](super::process_environment).
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// What every check may ask.
pub(super) struct Context<'a> {
    pub(super) base_dir: &'a Path,
    pub(super) options: &'a Options<'a>,
}

/// What the components need to know of the routers. A fault inside a realm or a listener must not
/// cause further ones in the components that refer to it, so it says what can be relied on.
#[derive(Default)]
pub(super) struct Routers {
    pub(super) workers: Vec<RouterWorker>,
    /// Whether the realms of each worker have no faults.
    pub(super) realms_sound: Vec<bool>,
    /// How many listeners have faults. They are missing from `workers`.
    pub(super) faulty_listeners: usize,
}
