//! The SQL of a configuration's components, looked at on their databases without starting a node. Owns
//! what that takes: pools and a thread for them.

use std::sync::Arc;

use super::{
    Error, StopTimes,
    databases::{Databases, IoThreads},
};
use crate::config::NodeConfig;
use component::{
    Classes,
    sql::{self, SqlComponent},
};
use reactor::Reactor;
use wamp_transport::Mail;

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
    let mut reactor = Reactor::<Mail>::new()?;
    reactor.wait_asleep();
    let mailbox = reactor.mailbox();
    let io_threads = IoThreads {
        wait_asleep: true,
        mailboxes: Arc::new([mailbox.clone()]),
    };
    let databases = Databases::new(config, classes, &io_threads, stop_times)?;
    let thread = std::thread::Builder::new().name("io-0".to_owned());
    let thread = thread.spawn(move || reactor.run())?;
    let of_sql = config.components.iter().filter_map(|component| {
        let database = component.database?;
        (component.classname == sql::CLASSNAME).then_some((component, database))
    });
    let found = of_sql.map(|(component, database)| {
        let named = component.databases.iter();
        let named = named.map(|(name, index)| (name.clone(), databases.enter(*index).named()));
        let of_sql = SqlComponent {
            extra: &component.extra,
            pool: databases.enter(database).pool(),
            databases: named.collect(),
        };
        look(&component.json_path, of_sql)
    });
    let found = found.collect();
    databases.close();
    mailbox.stop();
    // What it says of its end, nobody needs any more.
    let _ = thread.join();
    Ok(found)
}
