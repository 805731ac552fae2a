//! The SQL of a configuration's components, looked at on their databases without starting a node. Owns
//! what that takes: pools and a thread for them.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Error, StopTimes,
    databases::{Databases, IoThreads},
};
use crate::config::NodeConfig;
use component::{Classes, Pool, sql};
use reactor::Reactor;
use wamp_transport::Mail;

/// A component of the class `sql.Procedures`.
#[derive(Clone, Copy, Debug)]
pub struct SqlComponent<'a> {
    /// Where it stands in the configuration.
    pub json_path: &'a str,
    /// What the configuration says of it.
    pub extra: &'a Value,
}

/// Looks at each component that has SQL with its pool: what `look` finds.
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
    mut look: impl FnMut(SqlComponent<'_>, Pool) -> T,
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
        let sql_component = SqlComponent {
            json_path: &component.json_path,
            extra: &component.extra,
        };
        look(sql_component, databases.enter(database).pool())
    });
    let found = found.collect();
    databases.close();
    mailbox.stop();
    // What it says of its end, nobody needs any more.
    let _ = thread.join();
    Ok(found)
}
