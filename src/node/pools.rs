//! The databases of a configuration without a node: pools, and a thread for them, for as long as somebody
//! asks something. Must not know what is asked.

use std::sync::Arc;

use super::{
    Error, StopTimes,
    databases::{Databases, IoThreads},
};
use crate::config::NodeConfig;
use component::{Classes, NamedDatabase, Pool};
use reactor::Reactor;
use wamp_transport::Mail;

/// The pools of a configuration's databases.
pub(super) struct Pools(Databases);

impl Pools {
    /// That of the database with this index.
    pub(super) fn get(&self, database: usize) -> Pool {
        self.0.enter(database).pool()
    }

    /// The same as procedures name it.
    pub(super) fn named(&self, database: usize) -> NamedDatabase {
        self.0.enter(database).named()
    }
}

/// Has something asked of the databases.
///
/// # Errors
/// When a pool or a thread cannot be made.
///
/// # Blocking
/// For as long as `ask` takes, and until the pools are closed.
pub(super) fn with_pools<T>(
    config: &NodeConfig,
    classes: &Classes,
    stop_times: StopTimes,
    ask: impl FnOnce(&Pools) -> T,
) -> Result<T, Error> {
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
    let pools = Pools(databases);
    let answer = ask(&pools);
    pools.0.close();
    mailbox.stop();
    // What it says of its end, nobody needs any more.
    let _ = thread.join();
    Ok(answer)
}
