//! The tests' PostgreSQL: clusters of `pg-cluster` as the suites want them, and what
//! their servers do for nodes. Knows nothing of how a node is run.

use std::{fs, path::Path, sync::OnceLock};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use postgres::{Client, NoTls};
use serde_json::{Value, json};
use wampgres::pg_cluster::{Shutdown, TemporaryCluster};

use super::{backends::Backend, wait};

/// The password of every cluster; no log and no error may show it.
pub const PASSWORD: &str = "the-secret-of-the-tests";
const USER: &str = "testuser";

/// A cluster with a port of its own, which it keeps when it is stopped and started.
pub struct Postgres(TemporaryCluster);

/// A database of a cluster.
pub struct Database {
    port: u16,
    name: String,
    backend: Backend,
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
        static TEMPLATE: OnceLock<TemporaryCluster> = OnceLock::new();
        let create = || TemporaryCluster::create(USER, Some(PASSWORD));
        let template = TEMPLATE.get_or_init(|| create().expect("a cluster is made"));
        let cluster = template.copy().expect("a cluster is copied");
        // Without the password nobody gets in, not even through the socket.
        let rules = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n";
        let settings = "max_connections = 200\n";
        cluster.set_access_rules(rules).expect("the rules");
        cluster.set(settings).expect("the settings");
        Self(cluster)
    }

    /// Starts the server and waits until it takes connections.
    pub fn start(&self) {
        self.0.start().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Stops the server and starts it again, without waiting for its clients: by `fast` they are
    /// told, by `immediate` the server does not even tidy up.
    pub fn restart(&self, mode: &str) {
        let how = match mode {
            "fast" => Shutdown::Fast,
            "immediate" => Shutdown::Immediate,
            other => panic!("no way to stop a server: {other}"),
        };
        self.0.stop(how).unwrap_or_else(|error| panic!("{error}"));
        self.start();
    }

    /// Stops the server.
    pub fn stop(&self) {
        self.0
            .stop(Shutdown::Fast)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Freezes the server and all its backends.
    pub fn freeze(&self) -> Frozen {
        let postmaster = self.0.pid().expect("the server runs");
        // First of all the one that starts the others.
        let mut frozen = Frozen::new(&[postmaster]);
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let children: Vec<i32> = children
            .expect("proc(5)")
            .split_whitespace()
            .map(|word| word.parse().expect("a pid"))
            .collect();
        frozen.freeze(&children);
        frozen
    }

    /// The directory of its Unix socket.
    pub fn socket_directory(&self) -> &Path {
        self.0.socket_directory()
    }

    /// The database that every cluster has.
    pub fn database(&self) -> Database {
        Database {
            port: self.0.port(),
            name: "postgres".to_owned(),
            backend: Backend::default(),
        }
    }

    /// A new database, so that what is seen in it is one test's doing.
    pub fn create_database(&self, name: &str) -> Database {
        let mut client = self.database().client();
        let sql = format!("CREATE DATABASE {name}");
        client.batch_execute(&sql).expect("a new database");
        Database {
            port: self.0.port(),
            name: name.to_owned(),
            backend: Backend::default(),
        }
    }
}

impl Database {
    /// A new database of the shared cluster, for the test of one backend.
    pub fn create(name: &str, backend: Backend) -> Self {
        let name = format!("{name}_{backend}");
        Postgres::shared().create_database(&name).on(backend)
    }

    /// The same database, which nodes reach by this backend.
    pub fn on(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// What leads a component there: its `extra.database`.
    pub fn extra(&self) -> Value {
        json!({
            "host": "127.0.0.1", "port": self.port, "database": self.name,
            "user": USER, "password": PASSWORD, "backend": self.backend.name()
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

    /// Shows what runs there.
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
                   WHERE datname = $1 AND application_name ~ '^wampgres( |$)' AND state = 'active'
                   AND strpos(query, $2) > 0";
        let row = self.client.query_one(sql, &[&self.name, &words]);
        let count: i64 = row.expect("the activity").get(0);
        usize::try_from(count).expect("a number of backends")
    }

    /// The backends that serve nodes.
    pub fn backends(&mut self) -> Vec<i32> {
        let sql = "SELECT pid FROM pg_stat_activity
                   WHERE datname = $1 AND application_name ~ '^wampgres( |$)'";
        let rows = self.client.query(sql, &[&self.name]);
        let rows = rows.expect("the backends");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Ends the backends that serve nodes, and gives their number.
    pub fn terminate_backends(&mut self) -> usize {
        // Not in the condition, whose parts PostgreSQL tries in an order of its own.
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = $1 AND application_name ~ '^wampgres( |$)'";
        let rows = self.client.query(sql, &[&self.name]);
        rows.expect("the tests' user is a superuser").len()
    }

    /// Waits until so many transactions of nodes are open and nothing has happened in them for a
    /// moment: streams whose callers do not read.
    pub fn wait_for_waiting(&mut self, count: i64) {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = $1 AND state = 'idle in transaction'
                   AND clock_timestamp() - state_change > interval '0.3s'";
        wait::until(&format!("{count} backends that wait"), || {
            let row = self.client.query_one(sql, &[&self.name]);
            let waiting: i64 = row.expect("the activity").get(0);
            (waiting == count).then_some(())
        });
    }

    /// Waits until no transaction but the test's own is open any more.
    pub fn wait_for_end(&mut self) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1
                   AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
        wait::until("the end of all transactions", || {
            let row = self.client.query_one(sql, &[&self.name]);
            let open: i64 = row.expect("the activity").get(0);
            (open == 0).then_some(())
        });
    }

    /// Waits until so many statements of nodes wait for a lock that somebody else has.
    pub fn wait_for_blocked(&mut self, count: i64) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1
                   AND application_name ~ '^wampgres( |$)' AND wait_event_type = 'Lock'";
        wait::until(&format!("{count} statements that wait for a lock"), || {
            let row = self.client.query_one(sql, &[&self.name]);
            let blocked: i64 = row.expect("the activity").get(0);
            (blocked == count).then_some(())
        });
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

/// Processes that are frozen (SIGSTOP). They go on when this is dropped.
pub struct Frozen(Vec<Pid>);

impl Frozen {
    /// Freezes these processes.
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
                Err(error) => panic!("cannot freeze {pid}: {error}"),
            }
            wait::until("a process to freeze", || {
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
