//! `wampgres start`: runs a node, and a private PostgreSQL with it where asked for, until a
//! signal. Owns what is printed; must not know how a node works.

use std::{
    io::{self, Write},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};
use nix::sys::signal::{SigSet, Signal};

use super::{StartArgs, explain, load, logging, raise_file_limit};
use crate::{
    component::Classes,
    config::{Database, NodeConfig, Secret},
    embedded::{self, EmbeddedPostgres},
    node::{Address, Node, Threads},
};

/// The exit code after a second signal, as a shell gives for SIGINT.
const INTERRUPTED: i32 = 130;
/// Within which time of the first signal others are the same request told again: a terminal that is closed has the
/// shell and the kernel each send a SIGHUP, and a service manager may signal the group beside the process.
const ECHO: Duration = Duration::from_secs(1);

pub(super) fn run(args: &StartArgs, classes: &Classes) -> ExitCode {
    let file = &args.config.config;
    let mut config = match load(file, classes) {
        Ok(config) => config,
        Err(error) => return explain(file, &error),
    };
    logging::start(args.log_format);
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
    let signal = first_signal()?;
    if let Err(error) = raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let postgres = match &args.embedded_postgres {
        Some(directory) => start_postgres(config, directory.clone())?,
        None => None,
    };
    let stop_timeout = Duration::from_secs(args.stop_timeout.get().into());
    // The private PostgreSQL stops last and has what is left, a quarter of the time at least.
    let threads = Threads {
        io_threads: args.io_threads,
        wait_asleep: args.wait_asleep,
        stop_within: Some(match &postgres {
            Some(_) => stop_timeout * 3 / 4,
            None => stop_timeout,
        }),
    };
    let node = Node::start(config, classes, threads)?;
    for address in node.addresses() {
        // A closed standard output is no reason to serve nobody.
        let _ = writeln!(io::stdout(), "{}", describe(address));
    }
    // It fails only when the handler is gone, and it lives as long as the process.
    let _ = signal.recv();
    tracing::info!("stopping; a signal after the next second leaves at once");
    let deadline = Instant::now() + stop_timeout;
    node.stop();
    if let Some(postgres) = postgres {
        postgres.stop(deadline.saturating_duration_since(Instant::now()))?;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Fires at the first SIGINT, SIGTERM or SIGHUP; at one that is no echo of it the process ends on the spot.
fn first_signal() -> Result<Receiver<()>, Box<dyn std::error::Error>> {
    if hangup_is_ignored() {
        // The handler takes the place of the ignoring, so no thread may get the signal: those to come inherit this.
        let mut hangup = SigSet::empty();
        hangup.add(Signal::SIGHUP);
        hangup.thread_block()?;
    }
    let (send, receive) = bounded(1);
    let mut first: Option<Instant> = None;
    ctrlc::set_handler(move || match first {
        None => {
            first = Some(Instant::now());
            let _ = send.try_send(());
        }
        Some(at) if at.elapsed() < ECHO => {}
        Some(_) => std::process::exit(INTERRUPTED),
    })?;
    Ok(receive)
}

/// Whether whoever started this process lets it survive its terminal, as nohup does.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (Signal::SIGHUP as u32 - 1)) != 0)
}

/// Starts a private cluster with the role and database of the configuration, and leads the
/// components that use it there. `None` if no component has a database.
fn start_postgres(
    config: &mut NodeConfig,
    directory: Option<PathBuf>,
) -> Result<Option<EmbeddedPostgres>, Box<dyn std::error::Error>> {
    let mut databases = config.components.iter().filter_map(|c| c.database.as_ref());
    let Some(database) = databases.next() else {
        tracing::warn!("--embedded-postgres is of no use: no component has a database");
        return Ok(None);
    };
    let identity = |d: &Database| (d.user.clone(), d.database.clone(), d.password.clone());
    if databases.any(|d| identity(d) != identity(database)) {
        return Err(
            "--embedded-postgres makes one role with one database: let all components \
                    name the same, or run a PostgreSQL of your own"
                .into(),
        );
    }
    let postgres = EmbeddedPostgres::start(&embedded::Options {
        directory,
        user: database.user.clone(),
        password: database
            .password
            .as_ref()
            .map(|password| Secret::expose(password).to_owned()),
        database: database.database.clone(),
    })?;
    for database in config
        .components
        .iter_mut()
        .filter_map(|c| c.database.as_mut())
    {
        // The socket is faster than TCP, and needs no password of the user that runs the node.
        let host = postgres.socket_directory().display().to_string();
        database.move_to(host, postgres.port());
    }
    Ok(Some(postgres))
}

/// Where to point a browser or a client.
fn describe(address: &Address) -> String {
    let ip = address.socket.ip();
    let host = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
        ip if ip.is_ipv6() => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    let port = address.socket.port();
    let mut line = match address.is_web {
        true => format!("page: http://{host}:{port}/"),
        false => String::new(),
    };
    for path in &address.websocket_paths {
        let gap = if line.is_empty() { "" } else { "  " };
        line += &format!("{gap}WAMP: ws://{host}:{port}{path}");
    }
    if ip.is_unspecified() {
        line += "  (on all interfaces)";
    }
    line
}
