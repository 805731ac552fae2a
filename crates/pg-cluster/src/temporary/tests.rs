//! Owns the proof that temporary clusters do what their owner says, and that nothing is left of
//! them.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind},
    net::TcpStream,
    os::unix::fs::MetadataExt,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use postgres::{Client, NoTls};

use super::*;

const PASSWORD: &str = "the-secret";

fn template() -> &'static TemporaryCluster {
    static TEMPLATE: OnceLock<TemporaryCluster> = OnceLock::new();
    TEMPLATE.get_or_init(|| TemporaryCluster::create("app", Some(PASSWORD)).unwrap())
}

fn started() -> TemporaryCluster {
    let cluster = template().copy().unwrap();
    cluster.start().unwrap();
    cluster
}

fn config(cluster: &TemporaryCluster) -> postgres::Config {
    let mut config = postgres::Config::new();
    config.port(cluster.port()).user("app").dbname("postgres");
    config
}

fn client(cluster: &TemporaryCluster) -> Client {
    let mut config = config(cluster);
    config.host_path(cluster.socket_directory());
    config.connect(NoTls).unwrap()
}

fn text(cluster: &TemporaryCluster, sql: &str) -> String {
    client(cluster).query_one(sql, &[]).unwrap().get(0)
}

fn directory(cluster: &TemporaryCluster) -> PathBuf {
    cluster.launcher.directory.path.clone()
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Whether the process still runs; one that is ending has no command line any more.
fn runs(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn access_rules_and_settings_are_those_that_were_given() {
    let cluster = started();
    let over_tcp = |password: &str| {
        let mut config = config(&cluster);
        config.host("127.0.0.1").password(password);
        config.connect(NoTls).map(drop)
    };
    over_tcp(PASSWORD).unwrap();
    over_tcp("wrong").unwrap_err();
    assert_eq!(text(&cluster, "SHOW fsync"), "off");
    assert_eq!(text(&cluster, "SHOW work_mem"), "4MB");

    cluster
        .set("work_mem = 5MB\nmax_connections = 33\n")
        .unwrap();
    cluster.set_access_rules("local all all trust\n").unwrap();
    assert_eq!(text(&cluster, "SELECT pg_reload_conf()::text"), "true");
    eventually("reloaded", || text(&cluster, "SHOW work_mem") == "5MB");
    over_tcp(PASSWORD).unwrap_err();
    assert_ne!(text(&cluster, "SHOW max_connections"), "33");
    cluster.stop(Shutdown::Smart).unwrap();
    cluster.start().unwrap();
    assert_eq!(text(&cluster, "SHOW max_connections"), "33");

    let other = started();
    assert_eq!(text(&other, "SHOW work_mem"), "4MB");
    let file = other.write_file("server.key", "a key").unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let shown = other.command("cat").arg(file).output().unwrap().stdout;
    assert_eq!(shown, b"a key");
}

#[test]
fn a_cluster_is_stopped_in_three_ways_or_killed_and_starts_again_where_it_was() {
    let cluster = template().copy().unwrap();
    let connect = || TcpStream::connect(("127.0.0.1", cluster.port()));
    assert_eq!(connect().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    cluster.stop(Shutdown::Fast).unwrap();
    cluster.start().unwrap();
    let create = "CREATE TABLE kept (what text); INSERT INTO kept VALUES ('this')";
    client(&cluster).batch_execute(create).unwrap();
    for how in [
        Some(Shutdown::Smart),
        Some(Shutdown::Fast),
        Some(Shutdown::Immediate),
        None,
    ] {
        let pid = cluster.pid().unwrap();
        cluster.start().unwrap();
        assert_eq!(cluster.pid(), Some(pid), "it ran already");
        match how {
            Some(how) => {
                cluster.stop(how).unwrap();
                assert_eq!(cluster.pid(), None);
                assert_eq!(connect().unwrap_err().kind(), ErrorKind::ConnectionRefused);
            }
            None => cluster.kill().unwrap(),
        }
        assert!(!runs(pid));
        cluster.start().unwrap();
        assert_eq!(text(&cluster, "SELECT what FROM kept"), "this", "{how:?}");
    }
}

#[test]
fn a_server_that_was_killed_is_told_of_when_it_is_stopped() {
    let cluster = started();
    let pid = cluster.pid().unwrap();
    signal(pid, Signal::SIGKILL);
    // Until it is dead, which is a little later than when it has stopped running.
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(Pid::from_raw(pid)), flags).unwrap();
    let error = cluster.stop(Shutdown::Fast).unwrap_err().to_string();
    assert!(error.contains("has ended by itself"), "{error}");
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let cluster = template().copy().unwrap();
    cluster.set("shared_buffers = 'what'\n").unwrap();
    let error = cluster.start().unwrap_err().to_string();
    assert!(error.contains("shared_buffers"), "{error}");
    assert_eq!(cluster.pid(), None);
}

#[test]
fn a_standby_follows_and_can_be_promoted() {
    let primary = started();
    let standby = primary.standby().unwrap();
    standby.start().unwrap();
    client(&primary)
        .batch_execute("CREATE TABLE followed ()")
        .unwrap();
    let there = "SELECT (to_regclass('followed') IS NOT NULL)::text";
    eventually("it follows", || text(&standby, there) == "true");
    assert_eq!(text(&standby, "SHOW transaction_read_only"), "on");
    assert_eq!(text(&standby, "SELECT pg_promote()::text"), "true");
    assert_eq!(text(&standby, "SHOW transaction_read_only"), "off");
}

#[test]
fn nothing_is_left_of_a_cluster_that_is_dropped() {
    let cluster = started();
    let (pid, directory) = (cluster.pid().unwrap(), directory(&cluster));
    let _client = client(&cluster);
    drop(cluster);
    assert!(!runs(pid));
    assert!(!directory.exists());
}

/// Set in a process of the next test that has a server and waits to be killed.
const TO_BE_KILLED: &str = "PG_CLUSTER_TO_BE_KILLED";

#[test]
fn nothing_is_left_of_the_clusters_of_a_process_that_is_killed() {
    if env::var_os(TO_BE_KILLED).is_some() {
        let cluster = started();
        println!(
            "\nhas {} {}",
            cluster.pid().unwrap(),
            directory(&cluster).display()
        );
        loop {
            thread::park();
        }
    }
    for is_frozen in [false, true] {
        let this = "temporary::tests::nothing_is_left_of_the_clusters_of_a_process_that_is_killed";
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", this, "--nocapture"])
            .env(TO_BE_KILLED, "yes");
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut lines = lines.map(Result::unwrap);
        let line = lines.find(|line| line.starts_with("has ")).unwrap();
        let [_, pid, directory] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let pid = pid.parse().unwrap();
        assert!(runs(pid));
        if is_frozen {
            signal(pid, Signal::SIGSTOP);
        }
        process.kill().unwrap();
        process.wait().unwrap();
        eventually("the server is gone", || !runs(pid));
        eventually("the directory is gone", || !Path::new(directory).exists());
    }
}
