//! The composition root: makes realms, listeners, I/O threads and components of a checked
//! configuration, starts them in order and stops them in order. Knows everyone; must not hold
//! rules of its own.

mod components;
mod settings;

use std::{
    io,
    net::SocketAddr,
    num::NonZeroU8,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use self::components::{Components, IoThreads};
use crate::{
    component::{self, Classes},
    config::{Listener, ListenerService, NodeConfig, PathService, RouterWorker},
    reactor::{Mailbox, Reactor},
    router::Router,
    transport::{self, Clock, Mail, Realm, Realms, RunningClock},
};

/// How long all of a stop may take where nothing else is said. `docker stop` kills after 10 s.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(9);
/// How long clients may take to say GOODBYE, if there is so much time left.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long an I/O thread may take to end when no time is left: it has to finish its turn.
const LAST_TURN: Duration = Duration::from_millis(100);
/// How often a stopping node looks whether all is done.
const LOOK: Duration = Duration::from_millis(5);

/// A node that is running. Dropped without [`Node::stop`], its threads go on.
pub struct Node {
    realms: Vec<Arc<Realms>>,
    io_threads: Vec<JoinHandle<()>>,
    mailboxes: Arc<[Mailbox<Mail>]>,
    components: Components,
    addresses: Vec<Address>,
    clock: Option<RunningClock>,
    stop_within: Duration,
}

/// How a node's threads go about their work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads {
    /// How many serve connections; one for every two processors if it is not said.
    pub io_threads: Option<NonZeroU8>,
    /// Whether they, and the workers of the databases, sleep whenever they wait. They wait awake
    /// for a moment otherwise, where calls come quickly.
    pub wait_asleep: bool,
    /// How long all of a stop may take; [`STOP_TIMEOUT`] if it is not said. Calls under way have
    /// three quarters of it.
    pub stop_within: Option<Duration>,
}

/// Where a listener can be reached.
#[derive(Clone, Debug)]
pub struct Address {
    /// The listener, as the configuration has it.
    pub json_path: String,
    /// The address it is bound to, with the port that port 0 has become.
    pub socket: SocketAddr,
    /// The path of each WebSocket service, `/ws`.
    pub websocket_paths: Vec<String>,
    /// Whether web pages are served.
    pub is_web: bool,
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
    /// all components in this process have registered; components on other routers are
    /// being connected. A database that is down does not keep the node from starting.
    ///
    /// # Errors
    /// [`Error`] for the first thing that cannot be started; nothing is left running then.
    ///
    /// # Blocking
    /// For as long as the components take to be made.
    pub fn start(config: &NodeConfig, classes: &Classes, threads: Threads) -> Result<Self, Error> {
        let reactors = reactors(threads)?;
        let mailboxes: Arc<[_]> = reactors.iter().map(Reactor::mailbox).collect();
        let clock = Clock::default();
        let realms: Vec<_> = (config.routers.iter())
            .map(|worker| realms_of(worker, &clock))
            .collect();
        let mut listening = Vec::new();
        for (worker, realms) in config.routers.iter().zip(&realms) {
            for listener in &worker.transports {
                listening.push(listen(listener, realms, &mailboxes)?);
            }
        }
        let addresses = listening
            .iter()
            .map(|(address, ..)| address.clone())
            .collect();

        let stop_within = threads.stop_within.unwrap_or(STOP_TIMEOUT);
        let mut node = Self {
            stop_within,
            realms,
            io_threads: Vec::with_capacity(reactors.len()),
            mailboxes,
            components: Components::new(threads.wait_asleep, for_calls(stop_within)),
            addresses,
            clock: None,
        };
        match node.start_parts(config, classes, reactors, listening, clock) {
            Ok(()) => Ok(node),
            Err(error) => {
                node.realms().for_each(Realm::shut_down);
                node.end(Instant::now() + stop_within);
                Err(error)
            }
        }
    }

    fn start_parts(
        &mut self,
        config: &NodeConfig,
        classes: &Classes,
        mut reactors: Vec<Reactor<Mail>>,
        listening: Vec<Listening>,
        clock: Clock,
    ) -> Result<(), Error> {
        let realms = self.realms.iter().flat_map(|realms| realms.iter());
        self.clock = Some(clock.start(realms.cloned().collect())?);
        // Components are there before the first client is, so that no call comes too early.
        let mut io_threads = IoThreads {
            reactors: &mut reactors,
            mailboxes: self.mailboxes.clone(),
        };
        (self.components).start_in_process(config, classes, &self.realms, &mut io_threads)?;
        self.spawn(reactors, listening)?;
        (self.components).start_dialling(config, classes, &self.mailboxes)
    }

    /// Runs the reactors; the first one's thread accepts for all.
    fn spawn(
        &mut self,
        mut reactors: Vec<Reactor<Mail>>,
        listening: Vec<Listening>,
    ) -> Result<(), Error> {
        if let Some(first) = reactors.first_mut() {
            for (_, socket, accept) in listening {
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

    /// Stops in order: accept nobody and begin no call, let the calls under way end within
    /// the grace time and answer the rest, say GOODBYE, close components and their pools, join
    /// every thread.
    ///
    /// The GOODBYE comes after the results and not before them, because a client that has
    /// answered it may not be sent any.
    ///
    /// # Blocking
    /// At most for the time that [`Threads::stop_within`] says. What has not ended by then is left
    /// behind, logged.
    pub fn stop(self) {
        let deadline = Instant::now() + self.stop_within;
        let grace = for_calls(self.stop_within);
        self.mailboxes.iter().for_each(Mailbox::stop_accepting);
        self.realms().for_each(Realm::drain);
        let pending = || self.realms().any(|r| r.stats().pending_invocations > 0);
        if !wait_while(grace, pending) {
            tracing::warn!("calls still under way after {grace:?} are answered with an error");
        }
        self.realms().for_each(Realm::shut_down);
        self.end(deadline);
    }

    /// Closes the components, lets clients answer the GOODBYE they were sent, ends the threads.
    fn end(mut self, deadline: Instant) {
        let left = || deadline.saturating_duration_since(Instant::now());
        let components = std::mem::take(&mut self.components);
        // A component may take as long as it likes to close, and the node may not.
        let closing = std::thread::Builder::new().name("close".into());
        let closing = closing.spawn(move || components.close());
        let connected = || self.realms().any(|realm| realm.stats().sessions > 0);
        if !wait_while(left().min(FAREWELL), connected) {
            tracing::info!("some clients did not say GOODBYE in time");
        }
        match closing {
            Ok(closing) => join_within(left(), closing, "the thread that closes the components"),
            Err(error) => tracing::error!(%error, "cannot close the components in order"),
        }
        if let Some(clock) = self.clock.take() {
            clock.stop();
        }
        self.mailboxes.iter().for_each(Mailbox::stop);
        for thread in self.io_threads {
            join_within(left().max(LAST_TURN), thread, "an I/O thread");
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

fn realms_of(worker: &RouterWorker, clock: &Clock) -> Arc<Realms> {
    let realm = |realm| {
        let options = settings::realm(realm);
        let name = options.name.clone();
        let router = Router::new(options, Box::new(settings::RandomIds));
        (name, Arc::new(Realm::new(router, clock.bell())))
    };
    Arc::new(Realms::new(worker.realms.iter().map(realm)))
}

type Listening = (Address, mio::net::TcpListener, crate::reactor::Accept);

fn listen(
    listener: &Listener,
    realms: &Arc<Realms>,
    mailboxes: &Arc<[Mailbox<Mail>]>,
) -> Result<Listening, Error> {
    let endpoint = &listener.endpoint;
    let socket = settings::interface(endpoint)
        .and_then(|address| transport::bind(address, endpoint.port, settings::backlog(endpoint)))
        .map_err(|source| Error::Listen {
            json_path: listener.json_path.clone(),
            address: endpoint.to_string(),
            source,
        })?;
    let service = settings::web_service(listener)?;
    let address = Address {
        json_path: listener.json_path.clone(),
        socket: socket.local_addr()?,
        websocket_paths: websocket_paths(&listener.service),
        is_web: matches!(listener.service, ListenerService::Web { .. }),
    };
    let accept = transport::deal(mailboxes.clone(), realms.clone(), Arc::new(service));
    Ok((address, socket, accept))
}

fn websocket_paths(service: &ListenerService) -> Vec<String> {
    match service {
        ListenerService::WebSocket(_) => vec!["/".to_owned()],
        ListenerService::Web { paths } => paths
            .iter()
            .filter(|(_, service)| matches!(service, PathService::WebSocket(_)))
            .map(|(path, _)| format!("/{path}"))
            .collect(),
    }
}

/// What of the time for a stop calls under way have.
fn for_calls(stop_within: Duration) -> Duration {
    stop_within * 3 / 4
}

/// Leaves the thread behind when it does not end in this time.
fn join_within(time: Duration, thread: JoinHandle<()>, what: &str) {
    if !wait_while(time, || !thread.is_finished()) {
        tracing::warn!("{what} did not end in time and is left behind");
    } else if thread.join().is_err() {
        tracing::error!("{what} had panicked");
    }
}

/// Waits until `condition` no longer holds; `false` when the time is over first.
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
