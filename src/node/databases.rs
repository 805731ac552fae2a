//! The databases of a node: one pool for each, whichever components share it. Owns when a pool is
//! made and closed; must not know what components ask of it.

mod new_pool;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

pub(super) use self::new_pool::IoThreads;
use self::new_pool::NewPool;
use super::{Error, StopTimes, settings};
use crate::config::{self, NodeConfig, Transport};
use component::{Classes, ErrorDetails, NamedDatabase, Pool};
use sql::Stats;

/// All databases of a node, in the order of [`NodeConfig::databases`].
#[derive(Default)]
pub(super) struct Databases {
    all: Vec<Arc<Database>>,
}

/// One database, and who uses it.
pub(super) struct Database {
    label: String,
    target: String,
    pool: Pool,
    /// How long jobs may run on when the pool is closed.
    grace: Duration,
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
        threads: &IoThreads,
        stop_times: StopTimes,
    ) -> Result<Self, Error> {
        let make = |(index, database): (usize, &config::Database)| {
            let pool = NewPool {
                database,
                classes,
                classnames: classnames(config, index),
                threads,
            };
            let pool = pool.make().map_err(|source| Error::Database {
                json_path: database.json_path.clone(),
                source,
            })?;
            let users = Users::of(config, index);
            Ok(Arc::new(Database {
                label: database.label().to_owned(),
                target: database.to_string(),
                pool,
                grace: users.grace(stop_times),
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
        self.all.iter().for_each(|database| database.close());
    }
}

impl Database {
    pub(super) fn error_details(&self) -> ErrorDetails {
        self.error_details
    }

    /// As components know it that have it by its name.
    pub(super) fn named(&self) -> NamedDatabase {
        NamedDatabase {
            pool: self.pool(),
            error_details: self.error_details,
        }
    }

    pub(super) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// A component has left. The last one to leave closes the pool.
    ///
    /// # Blocking
    /// For the grace time of a pool that still has jobs.
    pub(super) fn leave(&self) {
        if self.present.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    fn close(&self) {
        self.pool.close(self.grace);
    }
}

impl Users {
    fn of(config: &NodeConfig, index: usize) -> Self {
        let users = config.components.iter().filter(|c| c.may_use(index));
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

/// The classes of the components that use a database, each once however many there are of it.
fn classnames(config: &NodeConfig, index: usize) -> BTreeSet<&str> {
    let users = (config.components.iter()).filter(|c| c.may_use(index));
    users.map(|c| c.classname.as_str()).collect()
}
