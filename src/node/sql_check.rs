//! The SQL of a configuration's components, prepared on their databases without starting a node. Must
//! not know how a pool is made.

use super::{Error, StopTimes, pools::with_pools};
use crate::config::NodeConfig;
use component::{
    Classes,
    sql::{self, SqlCheck},
};

/// Has PostgreSQL prepare all SQL of all components: what is found, by the place of the component.
///
/// # Errors
/// When a pool or a thread cannot be made.
///
/// # Blocking
/// Until PostgreSQL has answered, or the limits of the pools are over.
pub fn check_sql(
    config: &NodeConfig,
    classes: &Classes,
    stop_times: StopTimes,
) -> Result<Vec<(String, SqlCheck)>, Error> {
    with_pools(config, classes, stop_times, |pools| {
        let of_sql = config.components.iter().filter_map(|component| {
            let database = component.database?;
            (component.classname == sql::CLASSNAME).then_some((component, database))
        });
        let checked = of_sql.map(|(component, database)| {
            let named = component.databases.iter();
            let named = named.map(|(name, index)| (name.clone(), pools.named(*index)));
            let check = sql::check(&component.extra, pools.get(database), named.collect());
            (component.json_path.clone(), check)
        });
        checked.collect()
    })
}
