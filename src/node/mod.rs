//! The composition root: makes realms, listeners, I/O threads and components of a checked
//! configuration, starts them in order and stops them in order. Knows everyone; must not hold
//! rules of its own.

mod components;
mod databases;
mod listeners;
mod memory_limit;
mod pools;
mod reloads;
mod settings;
mod sql_install;
mod sql_look;

use std::{
    io,
    num::NonZeroU8,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

pub use self::databases::DatabaseStatus;
pub use self::listeners::Address;
pub use self::reloads::Reloader;
pub use self::sql_install::{Installed, install_sql};
pub use self::sql_look::look_at_sql;
use self::{
    components::Components,
    databases::{Databases, IoThreads},
    listeners::{Listening, listen},
    reloads::Reloads,
};
use crate::config::{NodeConfig, RouterWorker};
use component::Classes;
use reactor::{Mailbox, Reactor};
use wamp_router::Router;
use wamp_transport::{ClockHandle, Connections, Mail, Memory, Realm, Realms};
pub use wamp_transport::{ConnectionStats, MemoryStats};

/// How long a stop may take by default: `docker stop` kills after 10 s.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(9);
/// How long a pool may take, after its time, to cancel the statements that are left.
const CANCEL_TIME: Duration = Duration::from_secs(1);
/// How long an I/O thread may take to end when it is told to. It finishes its turn of the poll loop
/// first.
const LAST_TURN: Duration = Duration::from_millis(500);
/// How often a stopping node looks whether everything is done.
const LOOK: Duration = Duration::from_millis(5);

/// A node that is running. If it is dropped without [`Node::stop`], its threads go on.
pub struct Node {
    realms: Vec<Arc<Realms>>,
    io_threads: Vec<JoinHandle<()>>,
    mailboxes: Arc<[Mailbox<Mail>]>,
    connections: Arc<Connections>,
    memory: Arc<Memory>,
    databases: Arc<Databases>,
    components: Components,
    reloads: Reloads,
    addresses: Vec<Address>,
    stop_times: StopTimes,
}

/// Settings of a node's threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads {
    /// How many serve connections; by default one for every two processors.
    pub io_threads: Option<NonZeroU8>,
    /// Whether they, and the workers of the databases, sleep whenever they wait. Otherwise they wait
    /// awake for a moment while calls come quickly.
    pub wait_asleep: bool,
}

/// How the time of a stop is divided. What one part leaves goes to the next.
#[derive(Clone, Copy, Debug)]
pub struct StopTimes {
    /// For calls under way to end: calls here, and those of components on other routers.
    calls: Duration,
    /// For the jobs of a pool that has no calls to answer any more.
    jobs: Duration,
    /// For clients to answer the Close frame and to close, and for other routers to say GOODBYE.
    farewell: Duration,
}

impl StopTimes {
    /// Divides `total`, all that [`Node::stop`] may take.
    pub fn of(total: Duration) -> Self {
        let shared = total.saturating_sub(CANCEL_TIME);
        Self {
            calls: shared.mul_f64(0.7),
            jobs: shared.mul_f64(0.1),
            farewell: shared.mul_f64(0.2),
        }
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener's address cannot be used.
    #[error(
        "{json_path}: cannot listen on {address}: {source}; is another node running, or does the \
         port need another user?"
    )]
    Listen {
        /// The listener.
        json_path: String,
        /// Its address and port.
        address: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The directory of a static path cannot be read.
    #[error(
        "{json_path}: cannot serve the directory {directory}: {source}; it must be there, and the node's user able to read it"
    )]
    Directory {
        /// The listener.
        json_path: String,
        /// The directory.
        directory: String,
        /// What the file system says.
        source: io::Error,
    },
    /// A database's settings cannot be used.
    #[error("{json_path}: {source}")]
    Database {
        /// The database.
        json_path: String,
        /// What the pool says.
        source: sql::Error,
    },
    /// A component cannot do its work.
    #[error("{json_path}: {classname}: {source}")]
    Component {
        /// The component.
        json_path: String,
        /// Its class.
        classname: String,
        /// What the component says.
        source: component::Error,
    },
    /// A component in this process was not let in or could not register.
    #[error("{json_path}: {classname}: {reason}")]
    NotJoined {
        /// The component.
        json_path: String,
        /// Its class.
        classname: String,
        /// What the router says.
        reason: String,
    },
    /// The system has no threads or descriptors left.
    #[error(
        "cannot start a thread or its poll: {0}; raise the limits of threads and open files (ulimit -u, ulimit -n)"
    )]
    System(#[from] io::Error),
}

impl Node {
    /// Starts everything a configuration describes. When this returns, clients can connect and
    /// all components in this process have registered, but for those that somebody has yet to say may;
    /// components on other routers are being connected. A database that is down does not keep the node from starting.
    ///
    /// # Errors
    /// [`Error`] for the first thing that cannot be started; nothing is left running then.
    ///
    /// # Blocking
    /// For as long as the components take to be made.
    pub fn start(
        config: &NodeConfig,
        classes: &Classes,
        threads: Threads,
        stop_times: StopTimes,
    ) -> Result<Self, Error> {
        let reactors = reactors(threads)?;
        let mailboxes: Arc<[_]> = reactors.iter().map(Reactor::mailbox).collect();
        let clock = ClockHandle::default();
        let memory_limit = memory_limit::of(config.limits.memory_limit);
        let memory = Memory::new(memory_limit, clock.clone());
        let realms: Vec<_> = (config.routers.iter())
            .map(|worker| realms_of(worker, &clock, &memory))
            .collect();
        let limits = settings::connection_limits(config, reactors.len());
        let connections = Arc::new(Connections::new(limits));
        let mut listening = Vec::new();
        for (worker, realms) in config.routers.iter().zip(&realms) {
            for listener in &worker.transports {
                listening.push(listen(listener, realms, &mailboxes, &connections)?);
            }
        }
        let addresses = listening
            .iter()
            .map(|(address, _)| address.clone())
            .collect();

        let reloads = Reloads::start()?;
        let mut node = Self {
            realms,
            io_threads: Vec::with_capacity(reactors.len()),
            mailboxes,
            connections,
            memory,
            databases: Arc::default(),
            components: Components::new(Arc::default(), reloads.reloader().clone()),
            reloads,
            addresses,
            stop_times,
        };
        match node.start_parts(config, classes, threads, reactors, listening, clock) {
            Ok(()) => Ok(node),
            Err(error) => {
                node.realms().for_each(Realm::shut_down);
                node.end();
                Err(error)
            }
        }
    }

    fn start_parts(
        &mut self,
        config: &NodeConfig,
        classes: &Classes,
        threads: Threads,
        mut reactors: Vec<Reactor<Mail>>,
        listening: Vec<Listening>,
        clock: ClockHandle,
    ) -> Result<(), Error> {
        let realms = self.realms.iter().flat_map(|realms| realms.iter());
        let first = reactors.first_mut().expect("a node has an I/O thread");
        wamp_transport::start_clock(
            &clock,
            realms.cloned().collect(),
            self.memory.clone(),
            first,
        );
        let io_threads = IoThreads {
            wait_asleep: threads.wait_asleep,
            mailboxes: self.mailboxes.clone(),
        };
        let databases = Databases::new(config, classes, &io_threads, self.stop_times)?;
        self.databases = Arc::new(databases);
        let reloader = self.reloads.reloader().clone();
        self.components = Components::new(self.databases.clone(), reloader);
        // Components are there before the first client is, so that no call comes too early.
        (self.components).start_in_process(config, classes, &self.realms, &mut reactors)?;
        self.warn_of_missing_authorizers(config);
        self.spawn(reactors, listening)?;
        (self.components).start_dialling(config, classes, &self.mailboxes)
    }

    /// Says which procedures nobody has registered that are to say what a role may do. A client or a
    /// component on a connection may still do so.
    fn warn_of_missing_authorizers(&self, config: &NodeConfig) {
        for (worker, realms) in config.routers.iter().zip(&self.realms) {
            for realm in &worker.realms {
                let router = realms.find(&realm.name.as_str().into());
                let missing = router.map(|router| router.missing_authorizers());
                for (role, authorizer) in missing.into_iter().flatten() {
                    tracing::warn!(
                        realm = realm.name,
                        role,
                        authorizer = authorizer.as_str(),
                        "nobody has registered the authorizer of a role yet: until somebody does, what \
                         none of the role's permissions matches is refused with \
                         wamp.error.authorization_failed"
                    );
                }
            }
        }
    }

    /// Runs the reactors; the first one's thread accepts for all.
    fn spawn(
        &mut self,
        mut reactors: Vec<Reactor<Mail>>,
        listening: Vec<Listening>,
    ) -> Result<(), Error> {
        if let Some(first) = reactors.first_mut() {
            for (socket, accept) in listening.into_iter().flat_map(|(_, sockets)| sockets) {
                first.listen(socket, accept)?;
            }
        }
        for (index, reactor) in reactors.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("io-{index}"));
            self.io_threads.push(thread.spawn(move || {
                if let Err(error) = reactor.run() {
                    tracing::error!(%error, "an I/O thread serves no more: restart the node");
                }
            })?);
        }
        Ok(())
    }

    /// Where the listeners can be reached, in the order of the configuration.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The databases of the configuration, with what their pools do at this moment.
    pub fn databases(&self) -> impl Iterator<Item = DatabaseStatus> {
        self.databases.statuses()
    }

    /// The figures of the connections to its listeners.
    pub fn connections(&self) -> ConnectionStats {
        self.connections.stats()
    }

    /// What clients make it hold, by purpose, and how much that may be.
    pub fn memory(&self) -> MemoryStats {
        self.memory.stats()
    }

    /// What of the node can be read again while it runs.
    pub fn reloader(&self) -> Reloader {
        self.reloads.reloader().clone()
    }

    /// Stops in order: accept nobody and begin no call, let the calls under way end within the
    /// grace time and answer the rest, close every connection, let components leave and close
    /// the databases that they used, join every thread.
    ///
    /// Clients get a Close frame (1001, going away) and no GOODBYE, so that they come again.
    ///
    /// # Blocking
    /// At most as long as the [`StopTimes`] say that the node was started with. What has not ended by
    /// then is left behind, and the log says so.
    pub fn stop(self) {
        self.reloads.end();
        self.mailboxes.iter().for_each(Mailbox::stop_accepting);
        self.realms().for_each(Realm::drain);
        let pending = || {
            self.realms().any(|r| r.stats().pending_invocations > 0)
                || self.databases.are_busy_for_other_routers()
        };
        let calls = self.stop_times.calls;
        // Calls of other routers have the same time, and end meanwhile.
        let deadline = Instant::now() + calls + CANCEL_TIME / 2;
        let leaving = self.components.leave_other_routers();
        if !wait_while(calls, pending) {
            tracing::warn!("calls still under way after {calls:.1?} are answered with an error");
        }
        for thread in leaving {
            join_by(deadline, thread, "a component of another router");
        }
        self.realms().for_each(Realm::shut_down);
        self.end();
    }

    /// Closes the connections and the components, lets clients close too, ends the threads.
    fn end(self) {
        self.reloads.end();
        self.mailboxes.iter().for_each(Mailbox::shut_down);
        let deadline = Instant::now() + self.stop_times.jobs + self.stop_times.farewell;
        let components = self.components;
        // A component may take as long as it likes to close; the node may not.
        let closing = std::thread::Builder::new().name("close".to_owned());
        let databases = self.databases.clone();
        let closing = closing.spawn(move || {
            components.close(deadline);
            databases.close();
        });
        let farewell = self.stop_times.farewell;
        let connected = || self.io_threads.iter().any(|thread| !thread.is_finished());
        if !wait_while(farewell, connected) {
            tracing::info!("some clients did not close their connections within {farewell:.1?}");
        }
        match closing {
            // A pool has a second more to cancel the statements that are left.
            Ok(closing) => join_by(deadline + CANCEL_TIME, closing, "a component"),
            Err(error) => tracing::error!(%error, "cannot close the components in order"),
        }
        let reloading = self.reloads.into_thread();
        join_by(Instant::now() + LAST_TURN, reloading, "what was reloaded");
        self.mailboxes.iter().for_each(Mailbox::stop);
        for thread in self.io_threads {
            join_by(Instant::now() + LAST_TURN, thread, "an I/O thread");
        }
    }

    fn realms(&self) -> impl Iterator<Item = &Realm> {
        let realms = self.realms.iter().flat_map(|realms| realms.iter());
        realms.map(Arc::as_ref)
    }
}

fn reactors(threads: Threads) -> io::Result<Vec<Reactor<Mail>>> {
    let count = threads
        .io_threads
        .map_or_else(default_io_threads, |n| usize::from(n.get()));
    let mut reactors = (0..count)
        .map(|_| Reactor::new())
        .collect::<io::Result<Vec<_>>>()?;
    if threads.wait_asleep {
        reactors.iter_mut().for_each(Reactor::wait_asleep);
    }
    Ok(reactors)
}

/// One I/O thread for every two processors: the database workers, and mostly PostgreSQL as well,
/// need theirs. On two processors one I/O thread was faster than two under every load of calls.
fn default_io_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

fn realms_of(worker: &RouterWorker, clock: &ClockHandle, memory: &Arc<Memory>) -> Arc<Realms> {
    let realm = |realm| {
        let options = settings::realm(realm);
        let name = options.name.clone();
        let router = Router::new(options, Box::new(settings::RandomIds));
        let realm = Realm::new(router, clock.clone(), memory.clone());
        (name, Arc::new(realm))
    };
    Arc::new(Realms::new(worker.realms.iter().map(realm), memory.clone()))
}

/// Joins a thread, or leaves it behind if it does not end in time.
fn join_by(deadline: Instant, thread: JoinHandle<()>, what: &str) {
    let left = deadline.saturating_duration_since(Instant::now());
    if !wait_while(left, || !thread.is_finished()) {
        tracing::warn!("{what} did not end in time and is left behind");
    } else if thread.join().is_err() {
        tracing::error!("{what} had panicked");
    }
}

/// Waits until `condition` no longer holds; `false` if the time is over first.
fn wait_while(time: Duration, condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + time;
    while condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}
