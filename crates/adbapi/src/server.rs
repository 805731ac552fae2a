//! Owns how one server is reached: at its addresses one after the other, each within a time limit.
//! Knows no pool.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::IpAddr,
    panic::resume_unwind,
    path::PathBuf,
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
    config::{self, Host, LoadBalanceHosts},
};
use r2d2::ManageConnection;
use r2d2_postgres::PostgresConnectionManager;
use sql::{PasswordLogin, find_password};

use super::{
    builder::Builder,
    error::describe,
    notices,
    session_attrs::TargetSessionAttrs,
    tls::{Tls, may_depend_on_encryption},
};

/// How long the other end of a TCP connection may leave data unacknowledged, or be silent before it
/// is probed. The system's own defaults are a quarter of an hour and two hours.
const PEER_SILENT: Duration = Duration::from_secs(30);

/// After which silence Linux sends the first probe where nothing is set.
const SYSTEMS_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// What is wrong when an attempt neither succeeds nor fails.
const SILENT: &str = "PostgreSQL does not answer to connecting";

/// What the reason for a wrong password has in it, whatever the language.
const WRONG_PASSWORD: &str = "28P01";

/// More attempts than these never hang at one address at a time.
const MOST_HANGING: usize = 8;

/// One of the servers that a pool may use.
pub(super) struct Server {
    /// Host and port.
    name: String,
    config: Config,
    tls: Tls,
    /// What is sent to each new session.
    setup: Option<String>,
    /// What is looked up for each attempt where there is no password.
    passwords: Option<Passwords>,
    wanted: TargetSessionAttrs,
    resolve: fn(&str) -> io::Result<Vec<IpAddr>>,
    /// How many attempts wait for the system to find the addresses, which may take long.
    resolving: AtomicU32,
    /// How long an attempt at one address may take. The client library itself only limits how long
    /// TCP may take.
    limit: Duration,
    /// Attempts that were given up and have not come to their end, by their address.
    hanging: Mutex<Vec<Hanging>>,
}

/// A password file, and what its line must be for.
struct Passwords {
    file: PathBuf,
    host: String,
    port: u16,
    database: String,
    user: String,
}

struct Hanging {
    address: Option<IpAddr>,
    since: Instant,
    thread: JoinHandle<()>,
}

impl Server {
    /// All that the settings name.
    pub(super) fn all(settings: &Builder, tls: &Tls) -> Vec<Self> {
        let setup = settings
            .pool
            .statement_timeout
            .map(|limit| format!("SET statement_timeout = {}", limit.as_millis()));
        (0..settings.driver.servers())
            .map(|n| {
                let (name, config, limit) = dial_config(settings, n);
                Self {
                    name,
                    passwords: Passwords::of(settings, &config),
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

    /// Connects to the first of `servers` that is there and is what is asked for.
    ///
    /// # Errors
    /// Why each of them is not.
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
        // In one order whatever the order of trying: another reason is logged.
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
        // "localhost" has two addresses and mostly one fault.
        reasons.sort();
        reasons.dedup();
        Err(reasons.join("; "))
    }

    /// Where the name leads; `None` where there is nothing to resolve.
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

    /// Tries an address on a thread of its own, to be left alone when the limit is over. An address
    /// where an attempt has hung of late is passed over, so such threads are few; later it may have
    /// been that attempt alone.
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
        let hint = self.take_password(&mut config);
        let (tls, setup) = (self.tls.clone(), self.setup.clone());
        let (answer, answered) = bounded(1);
        let attempt = move || {
            let session = open_session(&config, &tls, setup.as_deref(), wanted);
            // One that comes too late is closed here.
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

    /// Looks for a password where there is none, and for what to say if it is none that will do.
    fn take_password(&self, config: &mut Config) -> Hint {
        let Some(passwords) = &self.passwords else {
            return Hint::Nothing;
        };
        let login = PasswordLogin {
            host: &passwords.host,
            port: passwords.port,
            database: &passwords.database,
            user: &passwords.user,
        };
        match find_password(&passwords.file, &login) {
            Ok(password) => {
                config.password(password);
                Hint::FromFile(passwords.file.display().to_string())
            }
            Err(why) => Hint::NotInFile(why),
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

impl Passwords {
    /// What to look up for this server, if anything.
    fn of(settings: &Builder, config: &Config) -> Option<Self> {
        let file = settings.driver.passfile.clone()?;
        if config.get_password().is_some() {
            return None;
        }
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(directory)) => directory.display().to_string(),
            None => String::new(),
        };
        let user = config.get_user().unwrap_or_default().to_owned();
        Some(Self {
            file,
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            database: config.get_dbname().unwrap_or(&user).to_owned(),
            user,
        })
    }
}

/// Where the password is from, for a reason that is about it.
enum Hint {
    /// The connection config, or nowhere.
    Nothing,
    FromFile(String),
    /// Why it is not there.
    NotInFile(String),
}

impl Hint {
    fn explain(&self, reason: String) -> String {
        // The client library tells by its words only; PostgreSQL's are translated, its codes are
        // not.
        match self {
            Self::NotInFile(why) if reason.contains("password missing") => {
                format!(
                    "{reason}: PostgreSQL asks for one, none is set (`password`, PGPASSWORD, DATABASE_URL), and {why}"
                )
            }
            Self::FromFile(file) if reason.contains(WRONG_PASSWORD) => {
                format!("{reason}; the password is that of {file}")
            }
            _ => reason,
        }
    }
}

/// Connects in one of the ways there are, encrypted or not, and sets the session up.
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
    // The client library has looked after the others.
    if wanted.to_config() == config::TargetSessionAttrs::Any {
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

/// The `n`th server's name, the settings to connect to it, and how long that may take at one
/// address: the user's settings, and what keeps a connection from hanging where the user left it
/// open.
fn dial_config(settings: &Builder, n: usize) -> (String, Config, Duration) {
    let given = &settings.driver.config;
    let mut config = Config::new();
    let address = given.get_hostaddrs().get(n).copied();
    let name = match given.get_hosts().get(n) {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(directory)) => directory.display().to_string(),
        // TLS wants a name for the other end, if only to say who did not prove to be it.
        None => address
            .map(|address| address.to_string())
            .unwrap_or_default(),
    };
    match given.get_hosts().get(n) {
        Some(Host::Unix(directory)) => config.host_path(directory),
        _ => config.host(&name),
    };
    address.map(|address| config.hostaddr(address));
    let ports = given.get_ports();
    let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
    // A job must not have waited in vain when a silent server has had its time: the next may
    // answer.
    let share = settings.pool.connect_timeout
        / u32::try_from(settings.driver.servers()).unwrap_or(u32::MAX);
    let limit = given.get_connect_timeout().copied().unwrap_or(share);
    let application_name = given
        .get_application_name()
        .or(settings.pool.cp_name.as_deref())
        .unwrap_or("adbapi");
    let mut idle = given.get_keepalives_idle();
    if idle == Config::new().get_keepalives_idle() {
        idle = PEER_SILENT;
    } else if idle.is_zero() {
        idle = SYSTEMS_IDLE;
    }
    let interval = given.get_keepalives_interval().unwrap_or(PEER_SILENT / 3);
    let probes = given.get_keepalives_retries().unwrap_or(3);
    config
        .port(port)
        .connect_timeout(limit)
        .application_name(application_name)
        .ssl_negotiation(given.get_ssl_negotiation())
        .tcp_user_timeout(given.get_tcp_user_timeout().copied().unwrap_or(PEER_SILENT))
        .keepalives(given.get_keepalives())
        .keepalives_idle(idle)
        .channel_binding(given.get_channel_binding())
        .load_balance_hosts(given.get_load_balance_hosts());
    // As in libpq, 0 leaves it to the system, which a socket is told by nothing.
    if !interval.is_zero() {
        config.keepalives_interval(interval);
    }
    if probes > 0 {
        config.keepalives_retries(probes);
    }
    given.get_user().map(|user| config.user(user));
    given.get_password().map(|word| config.password(word));
    given.get_dbname().map(|database| config.dbname(database));
    given.get_options().map(|options| config.options(options));
    (format!("{name}:{port}"), config, limit)
}
