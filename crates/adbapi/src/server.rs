//! Owns how one server is reached: at its addresses one after the other, each within a time limit.
//! Knows no pool.

mod config;
mod password;

use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::IpAddr,
    panic::resume_unwind,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{RecvTimeoutError, bounded};
use postgres::{
    Client, Config,
    config::{Host, LoadBalanceHosts, TargetSessionAttrs as Attrs},
};
use r2d2::ManageConnection;
use r2d2_postgres::PostgresConnectionManager;
use sql::TargetSessionAttrs;

use super::{
    builder::Builder,
    descriptors,
    error::describe,
    notices,
    session_attrs::SessionAttrs,
    tls::{Tls, may_depend_on_encryption},
};

use config::{PEER_SILENT, config_of};
use password::{Hint, PasswordFile};

/// What is wrong when an attempt neither succeeds nor fails.
const SILENT: &str = "PostgreSQL does not answer to connecting";

/// At most this many attempts hang at one address at a time.
const MOST_HANGING: usize = 8;

/// One of the servers that a pool may use.
pub(super) struct Server {
    /// Host and port.
    name: String,
    config: Config,
    tls: Tls,
    /// The statement that sets up each new session.
    setup: Option<String>,
    /// Where each attempt looks for a password if the config has none.
    passwords: Option<PasswordFile>,
    wanted: TargetSessionAttrs,
    resolve: fn(&str) -> io::Result<Vec<IpAddr>>,
    /// How many attempts wait for the system to resolve the name, which may take long.
    resolving: AtomicU32,
    /// How long an attempt at one address may take. The client library itself only limits how long
    /// TCP may take.
    limit: Duration,
    /// Attempts that were given up and have not ended yet, with their address.
    hanging: Mutex<Vec<Hanging>>,
}

struct Hanging {
    address: Option<IpAddr>,
    since: Instant,
    thread: JoinHandle<()>,
}

impl Server {
    /// All servers that the settings name.
    pub(super) fn all(settings: &Builder, tls: &Tls) -> Vec<Self> {
        let setup = settings
            .pool
            .statement_timeout
            .map(|limit| format!("SET statement_timeout = {}", limit.as_millis()));
        (0..settings.driver.servers())
            .map(|n| {
                let (name, config, limit) = config_of(settings, n);
                Self {
                    name,
                    passwords: PasswordFile::of(settings, &config),
                    wanted: settings.driver.wanted(),
                    resolve: settings.driver.resolve,
                    resolving: AtomicU32::new(0),
                    config,
                    tls: tls.clone(),
                    setup: setup.clone(),
                    limit,
                    hanging: Mutex::default(),
                }
            })
            .collect()
    }

    /// Connects to the first of `servers` that answers and is wanted.
    ///
    /// # Errors
    /// The reason of each server.
    ///
    /// # Blocking
    /// For as long as names take to resolve, and the limit of each address.
    pub(super) fn connect(servers: &[Self]) -> Result<Client, String> {
        let mut servers: Vec<_> = servers.iter().collect();
        if servers.iter().any(|server| server.is_any_as_good()) {
            shuffle(&mut servers);
        }
        let wanted = servers.first().map(|server| server.wanted);
        let mut reason = String::new();
        for round in wanted.unwrap_or_default().rounds() {
            match Self::connect_to_first(&servers, *round) {
                Ok(client) => return Ok(client),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }

    fn connect_to_first(servers: &[&Self], wanted: TargetSessionAttrs) -> Result<Client, String> {
        let mut reasons = Vec::new();
        for server in servers {
            match server.connect_to_any(wanted) {
                Ok(client) => return Ok(client),
                Err(reason) if servers.len() == 1 => return Err(reason),
                Err(reason) => reasons.push(format!("{}: {reason}", server.name)),
            }
        }
        // Sorted, because each new reason is logged, and another order is not a new reason.
        reasons.sort();
        Err(reasons.join("; "))
    }

    /// Why an attempt to connect to `servers` has neither succeeded nor failed for long.
    pub(super) fn silence(servers: &[Self]) -> String {
        let resolving = |server: &&Self| server.resolving.load(Ordering::Relaxed) > 0;
        let hosts = servers.iter().find(resolving);
        match hosts.and_then(|server| server.config.get_hosts().first()) {
            Some(Host::Tcp(name)) => format!(
                "the host name {name} does not resolve in time: the system's name servers do not answer"
            ),
            _ => SILENT.to_owned(),
        }
    }

    fn is_any_as_good(&self) -> bool {
        self.config.get_load_balance_hosts() == LoadBalanceHosts::Random
    }

    fn connect_to_any(&self, wanted: TargetSessionAttrs) -> Result<Client, String> {
        let mut reasons = Vec::new();
        for address in self.addresses()? {
            match self.connect_to(address, wanted) {
                Ok(client) => return Ok(client),
                Err(reason) => reasons.push(reason),
            }
        }
        // "localhost" has two addresses, mostly with the same fault.
        reasons.sort();
        reasons.dedup();
        Err(reasons.join("; "))
    }

    /// The addresses of the name; one `None` if there is nothing to resolve.
    fn addresses(&self) -> Result<Vec<Option<IpAddr>>, String> {
        let (Some(Host::Tcp(name)), []) =
            (self.config.get_hosts().first(), self.config.get_hostaddrs())
        else {
            return Ok(vec![None]);
        };
        self.resolving.fetch_add(1, Ordering::Relaxed);
        let found = (self.resolve)(name);
        self.resolving.fetch_sub(1, Ordering::Relaxed);
        let found =
            found.map_err(|error| format!("the host name {name} does not resolve: {error}"))?;
        let mut addresses: Vec<_> = found.into_iter().map(Some).collect();
        if self.is_any_as_good() {
            shuffle(&mut addresses);
        }
        Ok(addresses)
    }

    /// Tries an address on a thread of its own, which is left alone when the limit is over. For a
    /// while an address where an attempt hangs is passed over, so that such threads are few. After
    /// that it is tried again: perhaps only that attempt hung.
    fn connect_to(
        &self,
        address: Option<IpAddr>,
        wanted: TargetSessionAttrs,
    ) -> Result<Client, String> {
        if self.hangs(address) {
            return Err(SILENT.to_owned());
        }
        let mut config = self.config.clone();
        config.notice_callback(notices::of_one_connection());
        address.map(|address| config.hostaddr(address));
        config.target_session_attrs(wanted.to_config());
        let hint = match &self.passwords {
            Some(file) => file.set_password(&mut config),
            None => Hint::Nothing,
        };
        let (tls, setup) = (self.tls.clone(), self.setup.clone());
        let (answer, answered) = bounded(1);
        let attempt = move || {
            let open = || open_session(&config, &tls, setup.as_deref(), wanted);
            let session = match descriptors::guarded(open) {
                Ok(Err(reason)) if descriptors::is_none_left(&reason) => {
                    Err(descriptors::NONE_LEFT.to_owned())
                }
                Ok(session) => session,
                Err(none_left) => Err(none_left.to_owned()),
            };
            // A session that comes too late is closed here.
            let _ = answer.send(session.map_err(|reason| hint.explain(reason)));
        };
        let thread = thread::Builder::new().name("db-connect".into());
        let thread = thread
            .spawn(attempt)
            .map_err(|error| format!("the system gives no thread to connect: {error}"))?;
        match answered.recv_timeout(self.limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                self.hanging().push(Hanging {
                    address,
                    since: Instant::now(),
                    thread,
                });
                Err(SILENT.to_owned())
            }
            Err(RecvTimeoutError::Disconnected) => {
                resume_unwind(thread.join().expect_err("only a panic gives no answer"))
            }
        }
    }

    fn hanging(&self) -> MutexGuard<'_, Vec<Hanging>> {
        self.hanging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hangs(&self, address: Option<IpAddr>) -> bool {
        let mut hanging = self.hanging();
        hanging.retain(|attempt| !attempt.thread.is_finished());
        let (mut there, mut is_recent) = (0, false);
        for attempt in hanging.iter().filter(|attempt| attempt.address == address) {
            there += 1;
            is_recent |= attempt.since.elapsed() < PEER_SILENT;
        }
        is_recent || there >= MOST_HANGING
    }
}

/// Connects, encrypted or not as `tls` says, and sets up the session.
fn open_session(
    config: &Config,
    tls: &Tls,
    setup: Option<&str>,
    wanted: TargetSessionAttrs,
) -> Result<Client, String> {
    let mut reasons = Vec::new();
    for way in tls.ways(config) {
        let mut config = config.clone();
        config.ssl_mode(way);
        let connected = PostgresConnectionManager::new(config, tls.streams.clone()).connect();
        let error = match connected {
            Ok(client) => return set_up(client, setup, wanted),
            Err(error) => error,
        };
        reasons.push(tls.describe(&error));
        if !may_depend_on_encryption(&error) {
            break;
        }
    }
    Err(reasons.join("; and then: "))
}

fn set_up(
    mut client: Client,
    setup: Option<&str>,
    wanted: TargetSessionAttrs,
) -> Result<Client, String> {
    // The client library has checked the other attributes.
    if wanted.to_config() == Attrs::Any {
        let objection = wanted.objection(&mut client);
        if let Some(objection) = objection.map_err(|error| describe(&error))? {
            return Err(objection.to_owned());
        }
    }
    if let Some(setup) = setup {
        let done = client.batch_execute(setup);
        done.map_err(|error| describe(&error))?;
    }
    Ok(client)
}

fn shuffle<T>(list: &mut [T]) {
    list.sort_by_cached_key(|_| RandomState::new().hash_one(0));
}
