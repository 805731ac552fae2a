//! A node under test: the real binary with a configuration of its own, on a free port.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::wait;

/// What a node reads from the environment; a developer's own values are not for tests.
pub const ENVIRONMENT: [&str; 42] = [
    "PGCONNECT_TIMEOUT",
    "DATABASE_URL",
    "RUST_LOG",
    "PGAPPNAME",
    "PGCHANNELBINDING",
    "PGCLIENTENCODING",
    "PGDATABASE",
    "PGDATESTYLE",
    "PGGEQO",
    "PGGSSDELEGATION",
    "PGGSSENCMODE",
    "PGGSSLIB",
    "PGHOST",
    "PGHOSTADDR",
    "PGKRBSRVNAME",
    "PGLOADBALANCEHOSTS",
    "PGLOCALEDIR",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCERTMODE",
    "PGSSLCOMPRESSION",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLKEY",
    "PGSSLMAXPROTOCOLVERSION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGSSLSNI",
    "PGSYSCONFDIR",
    "PGTARGETSESSIONATTRS",
    "PGTZ",
    "PGUSER",
];

/// A running node. Dropped, it is killed.
pub struct Node {
    child: Child,
    stdout: Receiver<String>,
    /// What came on standard output before the addresses.
    early: VecDeque<String>,
    stderr: Receiver<String>,
    log: Vec<String>,
    addresses: Vec<SocketAddr>,
    directory: TempDir,
}

impl Node {
    /// Starts a node with this configuration and waits until it serves.
    pub fn start(config: &Value) -> Self {
        Self::start_with(config, &[])
    }

    /// The same with more arguments to `start`.
    pub fn start_with(config: &Value, args: &[&str]) -> Self {
        Self::start_program(Path::new(env!("CARGO_BIN_EXE_wampgres")), config, args)
    }

    /// The same with these variables in its environment.
    pub fn start_in(config: &Value, environment: &[(&str, &str)]) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_wampgres"));
        Self::start_all(program, config, &[], environment)
    }

    /// The same with another program of the same command line.
    pub fn start_program(program: &Path, config: &Value, args: &[&str]) -> Self {
        Self::start_all(program, config, args, &[])
    }

    fn start_all(
        program: &Path,
        config: &Value,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(directory.path().join("web/shared")).expect("the page's place");
        let file = directory.path().join("config.json");
        std::fs::write(&file, config.to_string()).expect("the configuration is written");
        let listeners = listener_count(config);
        let mut node = Self::spawn(program, &file, args, environment, directory);
        while node.addresses.len() < listeners {
            let line = node.next_line("the address of a listener");
            let address = line
                .split("//")
                .last()
                .and_then(|url| url.split('/').next());
            match address.and_then(|address| address.parse().ok()) {
                Some(address) => node.addresses.push(address),
                None => node.early.push_back(line),
            }
        }
        node
    }

    fn spawn(
        program: &Path,
        file: &Path,
        args: &[&str],
        environment: &[(&str, &str)],
        directory: TempDir,
    ) -> Self {
        let mut command = Command::new(program);
        for name in ENVIRONMENT {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        let mut child = command
            .args(["start", "--config"])
            .arg(file)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()));
        let stdout = lines(child.stdout.take().expect("stdout is piped"));
        let stderr = lines(child.stderr.take().expect("stderr is piped"));
        Self {
            child,
            stdout,
            early: VecDeque::new(),
            stderr,
            log: Vec::new(),
            addresses: Vec::new(),
            directory,
        }
    }

    /// The directory of the configuration; `web` in it is what the page is served from.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The addresses of all listeners, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The WebSocket of the first listener.
    pub fn websocket_url(&self) -> String {
        format!("ws://{}/ws", self.address())
    }

    /// The next line on standard output that is no address.
    pub fn stdout_line(&mut self, what: &str) -> String {
        match self.early.pop_front() {
            Some(line) => line,
            None => self.next_line(what),
        }
    }

    fn next_line(&mut self, what: &str) -> String {
        match self.stdout.recv_timeout(wait::PATIENCE) {
            Ok(line) => line,
            Err(_) => panic!("no line on stdout ({what}); the log:\n{}", self.log()),
        }
    }

    /// Reads standard output no more: what is written to it after the next line fails.
    pub fn close_stdout(&mut self) {
        self.stdout = channel().1;
    }

    /// Reads standard error no more: what is logged after the next line cannot be written.
    pub fn close_stderr(&mut self) {
        self.stderr = channel().1;
    }

    /// The log so far.
    pub fn log(&mut self) -> String {
        self.log.extend(self.stderr.try_iter());
        self.log.join("\n")
    }

    /// Waits until the log has a line with these words.
    pub fn wait_for_log(&mut self, words: &str) {
        wait::until(&format!("{words:?} in the log"), || {
            self.log().contains(words).then_some(())
        });
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("the node is there to be signalled");
    }

    /// Waits until the node has ended.
    pub fn wait(&mut self) -> ExitStatus {
        wait::until("the node's end", || {
            self.child.try_wait().expect("the child is ours")
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the node's log:\n{}", self.log());
        }
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

fn listener_count(config: &Value) -> usize {
    let workers = config["workers"]
        .as_array()
        .expect("a configuration has workers");
    workers
        .iter()
        .filter_map(|worker| worker["transports"].as_array())
        .map(Vec::len)
        .sum()
}

/// A router worker with `realm1`, the page's directory and a WebSocket at `/ws`, on a free port
/// of 127.0.0.1. The role anonymous may do all below `com.`.
pub fn router() -> Value {
    router_with(json!({}))
}

/// The same with options of the WebSocket.
pub fn router_with(options: Value) -> Value {
    json!({
        "type": "router",
        "realms": [{
            "name": "realm1",
            "roles": [{
                "name": "anonymous",
                "permissions": [{
                    "uri": "com.", "match": "prefix",
                    "allow": {"call": true, "register": true, "publish": true, "subscribe": true}
                }]
            }]
        }],
        "transports": [{
            "type": "web",
            "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
            "paths": {
                "/": {"type": "static", "directory": "web"},
                "ws": {"type": "websocket", "options": options}
            }
        }]
    })
}

/// A container with one component that joins `realm1` at `url`. [`HERE`] is this node's own.
pub fn container(classname: &str, url: &str, extra: Value) -> Value {
    json!({
        "type": "container",
        "components": [{
            "type": "class",
            "classname": classname,
            "realm": "realm1",
            "transport": {"type": "websocket", "url": url},
            "extra": extra
        }]
    })
}

/// The WebSocket of a node's own listener on port 0.
pub const HERE: &str = "ws://127.0.0.1:0/ws";

/// A configuration of these workers.
pub fn config(workers: &[Value]) -> Value {
    json!({"version": 2, "workers": workers})
}
