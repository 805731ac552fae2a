//! The SQL of a configuration's components, looked at on their databases without starting a node. Must
//! not know how a pool is made.

use super::{Error, StopTimes, pools::with_pools};
use crate::config::NodeConfig;
use component::{
    Classes,
    sql::{self, SqlComponent},
};

/// Looks at each component that has SQL, by its place in the configuration: what `look` finds.
///
/// # Errors
/// When a pool or a thread cannot be made.
///
/// # Blocking
/// For as long as `look` does, which may wait for the pool.
pub fn look_at_sql<T>(
    config: &NodeConfig,
    classes: &Classes,
    stop_times: StopTimes,
    mut look: impl FnMut(&str, SqlComponent<'_>) -> T,
) -> Result<Vec<T>, Error> {
    with_pools(config, classes, stop_times, |pools| {
        let of_sql = config.components.iter().filter_map(|component| {
            let database = component.database?;
            (component.classname == sql::CLASSNAME).then_some((component, database))
        });
        let found = of_sql.map(|(component, database)| {
            let named = component.databases.iter();
            let named = named.map(|(name, index)| (name.clone(), pools.named(*index)));
            let of_sql = SqlComponent {
                extra: &component.extra,
                pool: pools.get(database),
                databases: named.collect(),
            };
            look(&component.json_path, of_sql)
        });
        found.collect()
    })
}
