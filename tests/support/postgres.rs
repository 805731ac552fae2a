//! A real PostgreSQL: made by the installed server's own programs, started, stopped and removed
//! here. Knows nothing of nodes.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};
use postgres::{Client, NoTls};
use serde_json::{Value, json};

use super::{port, wait};

/// The password of every cluster; no log and no error may show it.
pub const PASSWORD: &str = "the-secret-of-the-tests";
const USER: &str = "testuser";

/// A cluster with a port of its own, which it keeps when it is stopped and started.
pub struct Postgres {
    scratch: Scratch,
    port: u16,
}

/// A database of a cluster.
pub struct Database {
    port: u16,
    name: String,
}

impl Postgres {
    /// The cluster for all tests that leave the server alone.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| {
            let postgres = Self::stopped();
            postgres.start();
            postgres
        })
    }

    /// A cluster that does not run yet.
    pub fn stopped() -> Self {
        // Copying one takes a tenth of the time that making one takes.
        static TEMPLATE: OnceLock<Scratch> = OnceLock::new();
        let template = TEMPLATE.get_or_init(Scratch::with_cluster);
        let scratch = Scratch::new();
        let mut copy = scratch.command(Path::new("cp"));
        succeed(copy.arg("-R").arg(template.data()).arg(scratch.data()));
        Self {
            scratch,
            port: port::reserved(),
        }
    }

    /// Starts the server and waits until it takes connections.
    pub fn start(&self) {
        let options = format!(
            "-F -p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=200",
            self.port,
            self.scratch.path.display()
        );
        let log = self.scratch.path.join("log");
        let mut start = self.pg_ctl();
        start.args(["-w", "-o", &options, "-l"]).arg(log);
        succeed(start.arg("start"));
    }

    /// Stops the server and starts it again, without waiting for its clients: by `fast` they are
    /// told, by `immediate` the server does not even tidy up.
    pub fn restart(&self, mode: &str) {
        succeed(self.pg_ctl().args(["-w", "-m", mode, "stop"]));
        self.start();
    }

    /// Stops the server and all its backends in their tracks.
    pub fn freeze(&self) -> Frozen {
        let file = fs::read_to_string(self.scratch.data().join("postmaster.pid"));
        let file = file.expect("a running server has its pid written down");
        let postmaster = file.lines().next().expect("the pid is on the first line");
        let pid = |word: &str| word.parse().expect("a pid");
        // First of all the one that starts the others.
        let mut frozen = Frozen::new(&[pid(postmaster)]);
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let children: Vec<i32> = children
            .expect("proc(5)")
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(pid)
            .collect();
        frozen.freeze(&children);
        frozen
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.scratch.command(&program("pg_ctl"));
        command.arg("-D").arg(self.scratch.data());
        command
    }

    /// The directory of its Unix socket.
    pub fn socket_directory(&self) -> &Path {
        &self.scratch.path
    }

    /// The database that every cluster has.
    pub fn database(&self) -> Database {
        Database {
            port: self.port,
            name: "postgres".to_owned(),
        }
    }

    /// A new database, so that what is seen in it is one test's doing.
    pub fn create_database(&self, name: &str) -> Database {
        let mut client = self.database().client();
        let sql = format!("CREATE DATABASE {name}");
        client.batch_execute(&sql).expect("a new database");
        Database {
            port: self.port,
            name: name.to_owned(),
        }
    }
}

impl Database {
    /// What leads a component there: its `extra.database`.
    pub fn extra(&self) -> Value {
        json!({
            "host": "127.0.0.1", "port": self.port, "database": self.name,
            "user": USER, "password": PASSWORD
        })
    }

    /// The port of its server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An eye on what runs there.
    pub fn observe(&self) -> Observer {
        Observer {
            client: self.client(),
            name: self.name.clone(),
        }
    }

    /// A connection of the test's own.
    pub fn client(&self) -> Client {
        let mut config = postgres::Config::new();
        config.host("127.0.0.1").port(self.port).dbname(&self.name);
        config.user(USER).password(PASSWORD);
        config.connect(NoTls).expect("the database is there")
    }
}

/// Sees what nodes let a database do.
pub struct Observer {
    client: Client,
    name: String,
}

impl Observer {
    /// How many statements with these words run.
    pub fn running(&mut self, words: &str) -> usize {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = $1 AND application_name = 'wampgres' AND state = 'active'
                   AND strpos(query, $2) > 0";
        let row = self.client.query_one(sql, &[&self.name, &words]);
        let count: i64 = row.expect("the activity").get(0);
        usize::try_from(count).expect("a number of backends")
    }

    /// The backends that serve nodes.
    pub fn backends(&mut self) -> Vec<i32> {
        let sql = "SELECT pid FROM pg_stat_activity
                   WHERE datname = $1 AND application_name = 'wampgres'";
        let rows = self.client.query(sql, &[&self.name]);
        let rows = rows.expect("the backends");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Ends the backends that serve nodes, and gives their number.
    pub fn terminate_backends(&mut self) -> usize {
        // Not in the condition, whose parts PostgreSQL tries in an order of its own.
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = $1 AND application_name = 'wampgres'";
        let rows = self.client.query(sql, &[&self.name]);
        rows.expect("the tests' user is a superuser").len()
    }

    /// Waits until so many backends serve nodes.
    pub fn wait_for_backends(&mut self, count: usize) {
        wait::until(&format!("{count} backends"), || {
            (self.backends().len() == count).then_some(())
        });
    }

    /// Waits until so many statements with these words run.
    pub fn wait_for(&mut self, count: usize, words: &str) {
        wait::until(&format!("{count} running {words:?}"), || {
            (self.running(words) == count).then_some(())
        });
    }
}

/// Processes that are stopped (SIGSTOP). Dropped, they go on.
pub struct Frozen(Vec<Pid>);

impl Frozen {
    /// Stops these processes.
    pub fn new(pids: &[i32]) -> Self {
        let mut frozen = Self(Vec::new());
        frozen.freeze(pids);
        frozen
    }

    fn freeze(&mut self, pids: &[i32]) {
        for pid in pids {
            let process = Pid::from_raw(*pid);
            self.0.push(process);
            match kill(process, Signal::SIGSTOP) {
                Ok(()) => {}
                // One that has just ended does nothing any more either.
                Err(Errno::ESRCH) => continue,
                Err(error) => panic!("cannot stop {pid}: {error}"),
            }
            wait::until("a process to stop", || {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                // The name in brackets may hold blanks; the state follows.
                let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
                (fields.is_empty() || fields.starts_with(['T', 'Z'])).then_some(())
            });
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            // One that was ended meanwhile is frozen no more.
            let _ = kill(*pid, Signal::SIGCONT);
        }
    }
}

/// A cluster's directory, and the shell that stops its server and removes it when the pipe to it
/// is closed: by the drop of this or by the end of the test process, which drops no statics.
struct Scratch {
    path: PathBuf,
    sweeper: Option<Child>,
}

impl Scratch {
    fn new() -> Self {
        let mut builder = tempfile::Builder::new();
        let directory = builder.prefix("wampgres-test-").tempdir();
        let path = directory.expect("a temporary directory").keep();
        give_to_server(&path);
        let mut scratch = Self {
            path,
            sweeper: None,
        };
        let sweep = r#"
            trap '' INT TERM HUP
            read -r end_of_pipe
            kill -CONT "$(head -n 1 "$2/data/postmaster.pid")"
            "$1" -D "$2/data" -m immediate -w stop
            rm -rf "$2""#;
        let mut sweeper = scratch.command(Path::new("sh"));
        sweeper
            .args(["-c", sweep, "sweeper"])
            .arg(program("pg_ctl"));
        sweeper.arg(&scratch.path).stdin(Stdio::piped());
        sweeper.stdout(Stdio::null()).stderr(Stdio::null());
        scratch.sweeper = Some(sweeper.spawn().expect("a shell"));
        scratch
    }

    fn with_cluster() -> Self {
        let scratch = Self::new();
        let password = scratch.path.join("password");
        fs::write(&password, PASSWORD).expect("a file for initdb");
        give_to_server(&password);
        let mut initdb = scratch.command(&program("initdb"));
        initdb.args(["--username", USER, "--auth=scram-sha-256", "--pwfile"]);
        initdb.arg(&password).arg("--pgdata").arg(scratch.data());
        succeed(initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]));
        scratch
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A command of the user that may run the server.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.path).stdin(Stdio::null());
        if let Some(account) = account() {
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        command
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(mut sweeper) = self.sweeper.take() {
            drop(sweeper.stdin.take());
            let _ = sweeper.wait();
        }
    }
}

/// The user that root has to be for PostgreSQL.
fn account() -> Option<User> {
    let find = || User::from_name("postgres").ok().flatten();
    Uid::effective()
        .is_root()
        .then(|| find().expect("these tests need the user postgres: scripts/test installs it"))
}

fn give_to_server(path: &Path) {
    if let Some(account) = account() {
        let (uid, gid) = (account.uid.as_raw(), account.gid.as_raw());
        chown(path, Some(uid), Some(gid)).expect("root may give files away");
    }
}

/// The newest installed server's `name`.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    versions
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .filter(|program| program.exists())
        .max()
        .unwrap_or_else(|| panic!("these tests need PostgreSQL's {name}: scripts/test installs it"))
}

/// Runs a command to its end. What it starts must not hold on to the output of the tests.
fn succeed(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.expect("PostgreSQL's programs run");
    assert!(status.success(), "{command:?}: {status}");
}
