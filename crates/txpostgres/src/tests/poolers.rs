//! Owns the tests of a pool behind PgBouncer, in both of its modes, and of what a session may not
//! begin with.

use std::{
    fmt::Write as _,
    net::TcpStream,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use pg_cluster::{ReservedPort, TemporaryCluster};
use sql::{ConnectionSettings, Job, Server, Settings, Statement, params};

use super::{Cluster, eventually, outcome, pool, reactors, value};
use crate::ConnectionPool;

/// A PgBouncer in front of a cluster.
struct Bouncer {
    port: ReservedPort,
    shell: Child,
}

impl Bouncer {
    fn before(cluster: &TemporaryCluster, mode: &str) -> Self {
        let port = ReservedPort::new().unwrap();
        let mut settings = String::new();
        write!(
            settings,
            "[databases]\n\
             postgres = host={} port={} user=app\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = {mode}\n\
             default_pool_size = 4\n",
            cluster.socket_directory().display(),
            cluster.port(),
            port.number()
        )
        .unwrap();
        let file = cluster
            .write_file(&format!("{mode}.ini"), &settings)
            .unwrap();
        // It ends with the shell's input, which only this process holds open.
        let script = r#""$1" -q "$2" & read -r end_of_pipe; kill $!; wait"#;
        let mut shell = cluster.command("sh");
        shell.args(["-c", script, "sh", "/usr/sbin/pgbouncer"]);
        let shell = shell.arg(file).stdin(Stdio::piped()).spawn().unwrap();
        let bouncer = Self { port, shell };
        eventually("PgBouncer listens", || {
            TcpStream::connect(("127.0.0.1", bouncer.port.number())).is_ok()
        });
        bouncer
    }

    fn settings(&self) -> ConnectionSettings {
        let server = Server {
            host: "127.0.0.1".to_owned(),
            address: None,
            port: self.port.number(),
        };
        ConnectionSettings::new(server, "postgres", "app")
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn everything_works(mode: &str, statement_cache: usize) {
    let bouncer = Bouncer::before(Cluster::shared().inner(), mode);
    let pool = ConnectionPool::builder(bouncer.settings())
        .cp_max(4)
        .statement_cache(statement_cache)
        .build(reactors())
        .unwrap();
    let jobs: Vec<_> = (0..300_i32)
        .map(|n| {
            let by = n % 7;
            let sql = format!("SELECT $1::int4 - {by}");
            match n % 3 {
                0 => pool.run_interaction(move |mut txn| async move {
                    let rows = txn.query("SELECT $1::int4", params![n]).await?;
                    rows.row(0).unwrap().get::<i32>(0)
                }),
                1 => {
                    let job = Job::new(Statement::new(sql, params![n]));
                    let job = job.with(Settings::new().set("app.user", "somebody"));
                    sql::Database::submit(&pool, job).and_then(move |results| {
                        Ok(results.first.row(0).unwrap().get::<i32>(0)? + by)
                    })
                }
                _ => pool
                    .run_query(sql, params![n])
                    .and_then(move |rows| Ok(rows.row(0).unwrap().get::<i32>(0)? + by)),
            }
        })
        .collect();
    for (n, job) in (0..).zip(jobs) {
        assert_eq!(outcome(job), Ok(n), "job {n} in {mode} mode");
    }
}

#[test]
fn everything_works_behind_a_pgbouncer_in_session_mode() {
    everything_works("session", 256);
}

#[test]
fn everything_works_behind_a_pgbouncer_in_transaction_mode_without_a_statement_cache() {
    everything_works("transaction", 0);
}

#[test]
fn an_on_connect_that_panics_fails_to_connect_and_the_next_one_serves() {
    static HAS_PANICKED: AtomicBool = AtomicBool::new(false);
    let pool = pool(|b| {
        b.cp_max(1).cp_min(0).on_connect(|_| {
            assert!(HAS_PANICKED.swap(true, Ordering::SeqCst), "not yet");
            Ok(Vec::new())
        })
    });
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    assert!(HAS_PANICKED.load(Ordering::SeqCst));
}
