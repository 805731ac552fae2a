//! Owns how the connection config of one server comes from the settings of a pool. Connects to
//! nothing.

use std::time::Duration;

use postgres::{Config, config::Host};

use super::super::builder::Builder;

/// How long the other end of a TCP connection may leave data unacknowledged, or be silent before it
/// is probed. The system's own defaults are a quarter of an hour and two hours.
pub(super) const PEER_SILENT: Duration = Duration::from_secs(30);

/// How long Linux waits before it sends the first probe if nothing is set.
const SYSTEMS_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// The name of the `n`th server, the config to connect to it, and how long that may take at one
/// address. The config is the user's, with limits that keep a connection from hanging where the
/// user has set none.
pub(super) fn config_of(settings: &Builder, n: usize) -> (String, Config, Duration) {
    let given = &settings.driver.config;
    let mut config = Config::new();
    let address = given.get_hostaddrs().get(n).copied();
    let name = match given.get_hosts().get(n) {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(directory)) => directory.display().to_string(),
        // TLS needs a name for the server, if only for its error messages.
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
    // A silent server must leave time for the next one, which may answer before the job's limit.
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
    // As in libpq, 0 leaves it to the system: then the option must not be set at all.
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
