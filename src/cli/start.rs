//! `wampgres start`: runs a node until a signal, with a private PostgreSQL if asked to. Owns what is
//! printed; must not know how a node works.

use std::{
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{StartArgs, embedded, load, logging, raise_file_limit, refuse, signals::Signals};
use crate::{
    config::NodeConfig,
    node::{Address, ConnectionStats, Node, StopTimes, Threads},
};
use component::Classes;

pub(super) fn run(args: &StartArgs, classes: &Classes) -> ExitCode {
    let file = &args.config.config;
    let mut config = match load(file, classes) {
        Ok(config) => config,
        Err(error) => return refuse(file, &error),
    };
    // Its drop writes what is logged last.
    let _log = match logging::start(args.log_format) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("cannot start the log: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(backend) = args.backend {
        (config.databases.iter_mut()).for_each(|database| database.backend = backend);
    }
    for note in &config.notes {
        tracing::warn!("{}: {note}", file.display());
    }
    match run_node(&mut config, args, classes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run_node(
    config: &mut NodeConfig,
    args: &StartArgs,
    classes: &Classes,
) -> Result<(), Box<dyn std::error::Error>> {
    let signals = Signals::hear()?;
    if let Err(error) = raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let postgres = match &args.embedded_postgres {
        Some(directory) => embedded::start(config, directory.clone())?,
        None => {
            for database in config.databases.iter().filter(|d| d.schema_file.is_some()) {
                let label = database.label();
                tracing::info!(
                    "{label}: schema_file is for --embedded-postgres alone: run it with psql where it has changed"
                );
            }
            None
        }
    };
    let threads = Threads {
        io_threads: args.io_threads,
        wait_asleep: args.wait_asleep,
    };
    let node = Node::start(config, classes, threads, stop_times(args))?;
    for database in node.databases() {
        tracing::info!("{}: {}", database.label, database.target);
    }
    let most = node.connections().max_connections;
    let bytes = node.memory().limit;
    tracing::info!(
        "at most {most} connections of clients at once, for which it holds {bytes} bytes"
    );
    for address in node.addresses() {
        stdio::print_line(&describe(address));
    }
    let reloader = node.reloader();
    if args.watch {
        reloader.watch();
    }
    signals.wait(|| {
        tracing::info!("SIGHUP: what can be read again is read again");
        reloader.reload_all();
    });
    tracing::info!("stopping; a signal after the next second leaves at once");
    tell_connections(node.connections());
    let dropped = node.memory().dropped;
    if dropped > 0 {
        tracing::info!(
            dropped,
            "clients made the node hold more than limits.memory_limit"
        );
    }
    let deadline = Instant::now() + args.stop_timeout;
    node.stop();
    if let Some(postgres) = postgres {
        postgres.stop(deadline.saturating_duration_since(Instant::now()))?;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Says how many connections had to be refused or closed, if any.
fn tell_connections(stats: ConnectionStats) {
    let ConnectionStats {
        refused,
        closed_for_room,
        ..
    } = stats;
    if refused > 0 || closed_for_room > 0 {
        tracing::info!(
            refused,
            closed_for_room,
            "there were more connections than limits or file descriptors allow"
        );
    }
}

/// The least that the private PostgreSQL gets of a stop's time.
const POSTGRES_SHARE: f64 = 0.25;

/// The node's share of the time of a stop: all of it, or what the private PostgreSQL leaves.
fn stop_times(args: &StartArgs) -> StopTimes {
    let share = match args.embedded_postgres {
        Some(_) => 1.0 - POSTGRES_SHARE,
        None => 1.0,
    };
    StopTimes::of(args.stop_timeout.mul_f64(share))
}

/// Seconds for a stop: whole or with a fraction.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    seconds
        .filter(|seconds| (1.0..=86_400.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "must be seconds, from 1 to 86400".to_owned())
}

/// Where to point a browser or a client.
fn describe(address: &Address) -> String {
    let mut hosts: Vec<String> = address.sockets.iter().map(host).collect();
    let first = hosts.remove(0);
    let port = address.sockets[0].port();
    let mut parts = Vec::new();
    if address.file_paths.iter().any(|path| path == "/") {
        parts.push(format!("page: http://{first}:{port}/"));
    } else if let Some(path) = address.file_paths.first() {
        parts.push(format!("files: http://{first}:{port}{path}"));
    }
    for path in &address.websocket_paths {
        parts.push(format!("WAMP: ws://{first}:{port}{path}"));
    }
    if parts.is_empty() {
        parts.push(format!("nothing but 404: http://{first}:{port}/"));
    }
    let is_all = |socket: &SocketAddr| socket.ip().is_unspecified();
    if address.sockets.iter().any(is_all) {
        let versions = (
            address.sockets.iter().any(SocketAddr::is_ipv4),
            address.sockets.iter().any(SocketAddr::is_ipv6),
        );
        parts.push(match versions {
            (true, true) => "(on all interfaces)".to_owned(),
            (true, false) => "(on all interfaces, IPv4 only)".to_owned(),
            _ => "(on all interfaces, IPv6 only)".to_owned(),
        });
    } else if !hosts.is_empty() {
        parts.push(format!("(also on {})", hosts.join(", ")));
    }
    parts.join("  ")
}

/// The host of a URL that leads to this socket from this machine.
fn host(socket: &SocketAddr) -> String {
    match socket.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_listener_is_true() {
        type Texts = &'static [&'static str];
        let cases: [(Texts, Texts, Texts, &str); 7] = [
            (
                &["0.0.0.0:80", "[::]:80"],
                &["/"],
                &["/ws"],
                "page: http://127.0.0.1:80/  WAMP: ws://127.0.0.1:80/ws  (on all interfaces)",
            ),
            (
                &["0.0.0.0:80"],
                &["/"],
                &[],
                "page: http://127.0.0.1:80/  (on all interfaces, IPv4 only)",
            ),
            (
                &["[::]:80"],
                &[],
                &["/"],
                "WAMP: ws://[::1]:80/  (on all interfaces, IPv6 only)",
            ),
            (
                &["127.0.0.1:80", "[::1]:80"],
                &["/"],
                &[],
                "page: http://127.0.0.1:80/  (also on [::1])",
            ),
            (&["[::1]:80"], &["/"], &[], "page: http://[::1]:80/"),
            (
                &["127.0.0.1:80"],
                &["/shared/"],
                &["/ws"],
                "files: http://127.0.0.1:80/shared/  WAMP: ws://127.0.0.1:80/ws",
            ),
            (
                &["127.0.0.1:80"],
                &[],
                &[],
                "nothing but 404: http://127.0.0.1:80/",
            ),
        ];
        let owned = |paths: Texts| paths.iter().map(|&path| path.to_owned()).collect();
        for (sockets, file_paths, websocket_paths, expected) in cases {
            let address = Address {
                json_path: String::new(),
                sockets: sockets.iter().map(|text| text.parse().unwrap()).collect(),
                websocket_paths: owned(websocket_paths),
                file_paths: owned(file_paths),
            };
            assert_eq!(describe(&address), expected);
        }
    }
}
