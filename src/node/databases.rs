//! The databases of a node: one pool for each, whichever components share it. Owns when a pool is
//! made and closed; must not know what components ask of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{Error, StopTimes, Threads, settings};
use crate::config::{NodeConfig, Transport};
use adbapi::{ConnectionPool, Stats};
use component::{Classes, ErrorDetails, OpenFun};

/// All databases of a node, in the order of [`NodeConfig::databases`].
#[derive(Default)]
pub(super) struct Databases {
    all: Vec<Arc<Database>>,
}

/// One database, and who uses it.
pub(super) struct Database {
    label: String,
    target: String,
    pool: ConnectionPool,
    users: Users,
    /// What callers of its components get of PostgreSQL's report of an error.
    error_details: ErrorDetails,
    /// The components that have got the pool and have not left.
    present: AtomicUsize,
}

/// A database as one looks at it from outside.
#[derive(Clone, Debug)]
pub struct DatabaseStatus {
    /// Its name in the configuration or, for a component's own, its place there.
    pub label: String,
    /// Where it is, without secrets: `database test of app at db.example:5432, 3 to 10 connections`.
    pub target: String,
    /// The figures of its pool.
    pub stats: Stats,
}

/// For whom the components of a database answer calls.
#[derive(Clone, Copy, Default)]
struct Users {
    /// For realms of this node, whose calls are counted there.
    here: bool,
    /// For other routers.
    elsewhere: bool,
}

impl Databases {
    /// Makes the pools. Nothing connects before a component asks for it.
    pub(super) fn new(
        config: &NodeConfig,
        classes: &Classes,
        threads: Threads,
        stop_times: StopTimes,
    ) -> Result<Self, Error> {
        let make = |(index, database): (usize, &crate::config::Database)| {
            let users = Users::of(config, index);
            let builder = settings::pool(database)
                .close_grace(users.grace(stop_times))
                .wait_awake(!threads.wait_asleep);
            let builder = match open_funs(config, classes, index) {
                funs if funs.is_empty() => builder,
                funs => builder.cp_openfun(move |conn| funs.iter().try_for_each(|fun| fun(conn))),
            };
            let pool = builder.build().map_err(|source| Error::Database {
                json_path: database.json_path.clone(),
                source,
            })?;
            Ok(Arc::new(Database {
                label: database.label().to_owned(),
                target: database.to_string(),
                pool,
                users,
                error_details: settings::error_details(database),
                present: AtomicUsize::new(0),
            }))
        };
        let all = config.databases.iter().enumerate().map(make);
        all.collect::<Result<_, _>>().map(|all| Self { all })
    }

    /// The database of a component that is about to be made, which has to [leave](Database::leave)
    /// it.
    pub(super) fn enter(&self, index: usize) -> Arc<Database> {
        let database = &self.all[index];
        database.present.fetch_add(1, Ordering::Relaxed);
        database.clone()
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = DatabaseStatus> {
        self.all.iter().map(|database| DatabaseStatus {
            label: database.label.clone(),
            target: database.target.clone(),
            stats: database.pool.stats(),
        })
    }

    /// Whether a pool that stays open for this node's own calls may have jobs of other routers'
    /// calls, which nobody here counts.
    pub(super) fn are_busy_for_other_routers(&self) -> bool {
        let shared = self
            .all
            .iter()
            .filter(|d| d.users.here && d.users.elsewhere);
        shared
            .map(|database| database.pool.stats())
            .any(|stats| stats.waiting > 0 || stats.running > 0)
    }

    /// Closes what is still open.
    ///
    /// # Blocking
    /// For the grace time of each pool that still has jobs.
    pub(super) fn close(&self) {
        self.all.iter().for_each(|database| database.pool.close());
    }
}

impl Database {
    pub(super) fn error_details(&self) -> ErrorDetails {
        self.error_details
    }

    pub(super) fn pool(&self) -> ConnectionPool {
        self.pool.clone()
    }

    /// A component has left. The last one to leave closes the pool.
    ///
    /// # Blocking
    /// For the grace time of a pool that still has jobs.
    pub(super) fn leave(&self) {
        if self.present.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.pool.close();
        }
    }
}

impl Users {
    fn of(config: &NodeConfig, index: usize) -> Self {
        let users = config
            .components
            .iter()
            .filter(|c| c.database == Some(index));
        users.fold(Self::default(), |users, component| {
            match component.transport {
                Transport::InProcess { .. } => Self {
                    here: true,
                    ..users
                },
                Transport::Dialled(_) => Self {
                    elsewhere: true,
                    ..users
                },
            }
        })
    }

    /// How long jobs may run on when the pool is closed.
    fn grace(self, stop_times: StopTimes) -> Duration {
        // For calls that are answered here the node has waited before.
        if self.here {
            stop_times.jobs
        } else {
            stop_times.calls
        }
    }
}

/// What the classes that use a database want done to each of its connections: once for a class,
/// however many components there are of it.
fn open_funs(config: &NodeConfig, classes: &Classes, index: usize) -> Vec<OpenFun> {
    let users = config
        .components
        .iter()
        .filter(|c| c.database == Some(index));
    let by_class: BTreeMap<&str, OpenFun> = users
        .filter_map(|c| Some((c.classname.as_str(), classes.cp_openfun(&c.classname)?)))
        .collect();
    by_class.into_values().collect()
}
