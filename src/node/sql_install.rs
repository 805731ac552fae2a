//! What `sql-install` does to the databases of a configuration, without starting a node. Owns which
//! databases are meant; must not know what is installed.

use std::collections::BTreeSet;

use super::{Error, StopTimes, pools::with_pools};
use crate::config::NodeConfig;
use component::{
    Classes,
    sql::{self, Installation},
};

/// What has become of an installation: the database, and what PostgreSQL says against it.
pub type Installed = (String, Result<(), ::sql::Error>);

/// Installs the schema `wampgres` in the named database, or in those of all components of the class
/// `sql.Procedures`; or removes it. `None` if there is no such database.
///
/// # Errors
/// When a pool or a thread cannot be made.
///
/// # Blocking
/// Until PostgreSQL has answered, or the limits of the pools are over.
pub fn install_sql(
    config: &NodeConfig,
    classes: &Classes,
    stop_times: StopTimes,
    (installation, database): (Installation, Option<&str>),
) -> Result<Option<Vec<Installed>>, Error> {
    let meant: BTreeSet<usize> = match database {
        Some(name) => (config.databases.iter())
            .position(|database| database.name.as_deref() == Some(name))
            .into_iter()
            .collect(),
        None => (config.components.iter())
            .filter(|component| component.classname == sql::CLASSNAME)
            .filter_map(|component| component.database)
            .collect(),
    };
    if meant.is_empty() {
        return Ok(None);
    }
    with_pools(config, classes, stop_times, |pools| {
        let install = |index: usize| {
            let result = installation.run(&pools.get(index));
            (config.databases[index].to_string(), result)
        };
        Some(meant.into_iter().map(install).collect())
    })
}
