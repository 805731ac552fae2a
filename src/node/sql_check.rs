//! The SQL of a configuration's components, prepared on their databases without starting a node. Owns
//! what that takes: pools and a thread for them.

use std::sync::Arc;

use super::{
    Error, StopTimes,
    databases::{Databases, IoThreads},
};
use crate::config::NodeConfig;
use component::{
    Classes,
    sql::{self, SqlCheck},
};
use reactor::Reactor;
use wamp_transport::Mail;

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
    let checked = of_sql.map(|(component, database)| {
        let named = component.databases.iter();
        let named = named.map(|(name, index)| (name.clone(), databases.enter(*index).named()));
        let pool = databases.enter(database).pool();
        let check = sql::check(&component.extra, pool, named.collect());
        (component.json_path.clone(), check)
    });
    let checked = checked.collect();
    databases.close();
    mailbox.stop();
    // What it says of its end, nobody needs any more.
    let _ = thread.join();
    Ok(checked)
}
