//! Owns the proof that the embedded cluster works with the real server binaries; they run as root
//! and as an ordinary user alike.

mod leftovers;

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use postgres::{Client, NoTls};
use tempfile::TempDir;

use super::{EmbeddedPostgres, Options, binaries::Places};

/// Time enough for every stop.
const STOP: Duration = Duration::from_secs(40);
const PASSWORD: &str = "se'cret-\\pass \"word\" of-the-tests";

/// A directory that the server's unprivileged user can pass through when the tests run as root.
fn parent() -> TempDir {
    let mut builder = tempfile::Builder::new();
    let builder = builder.permissions(Permissions::from_mode(0o755));
    builder.tempdir().unwrap()
}

fn options(directory: &Path) -> Options {
    Options {
        directory: Some(directory.to_owned()),
        user: "testuser".to_owned(),
        password: Some(PASSWORD.to_owned()),
        database: "test".to_owned(),
    }
}

fn start(options: &Options) -> EmbeddedPostgres {
    EmbeddedPostgres::start(options).unwrap_or_else(|error| panic!("{error}"))
}

fn connect(to: &EmbeddedPostgres, options: &Options) -> Result<Client, postgres::Error> {
    postgres::Config::new()
        .host(to.host())
        .port(to.port())
        .user(&options.user)
        .password(options.password.as_deref().unwrap_or_default())
        .dbname(&options.database)
        .connect(NoTls)
}

fn text(client: &mut Client, sql: &str) -> String {
    client.query_one(sql, &[]).unwrap().get(0)
}

/// PostgreSQL's own message, which `postgres::Error` shows only as a source.
fn message(error: &postgres::Error) -> String {
    let message = error.as_db_error().map(|error| error.message().to_owned());
    message.unwrap_or_else(|| error.to_string())
}

fn server_pid(directory: &Path) -> i32 {
    let text = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

/// Whether the process still runs; one that is ending has no command line any more.
fn runs(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// The first that `look` finds.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited for a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes what keeps the server from starting.
fn spoil_configuration(directory: &Path) {
    let config = directory.join("data/postgresql.conf");
    let mut text = fs::read_to_string(&config).unwrap();
    text += "\nshared_buffers = 'what'\n";
    fs::write(&config, text).unwrap();
}

/// Leaves things as a killed node does: the server runs, the lock is free.
fn abandon(mut postgres: EmbeddedPostgres) {
    postgres._lock.unlock().unwrap();
    postgres.guard.take().unwrap().abandon();
    std::mem::forget(postgres);
}

/// Every file below the directory that holds the text.
fn files_with(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&entry.path(), text));
        } else if kind.is_file() {
            // The running server may have removed it meanwhile.
            let bytes = fs::read(entry.path()).unwrap_or_default();
            if bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
            {
                found.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn an_empty_directory_becomes_a_cluster_that_keeps_its_data_and_its_secrets() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let mut options = options(&directory);

    let postgres = start(&options);
    let mut client = connect(&postgres, &options).unwrap();
    assert_eq!(text(&mut client, "SELECT current_user::text"), "testuser");
    assert_eq!(text(&mut client, "SELECT current_database()::text"), "test");
    assert_eq!(text(&mut client, "SHOW server_encoding"), "UTF8");
    let superuser: bool = client
        .query_one(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .unwrap()
        .get(0);
    assert!(!superuser, "the role of the config must not be a superuser");
    client
        .batch_execute("CREATE TABLE kept (what text); INSERT INTO kept VALUES ('this')")
        .unwrap();

    let wrong = Options {
        password: Some("wrong".to_owned()),
        ..options.clone()
    };
    let error = connect(&postgres, &wrong)
        .err()
        .expect("a wrong password must not do");
    assert!(
        message(&error).contains("password authentication failed"),
        "{error}"
    );
    let admin = Options {
        user: super::ADMIN.to_owned(),
        ..options.clone()
    };
    assert!(
        connect(&postgres, &admin).is_err(),
        "the superuser must not log in over TCP"
    );

    for process in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        assert!(!line.contains(PASSWORD), "the password in {line:?}");
    }
    assert!(!format!("{options:?}").contains(PASSWORD));

    // A client is connected: the shutdown does not wait for it.
    let pid = server_pid(&directory);
    postgres.stop(STOP).unwrap();
    assert!(!runs(pid));
    assert!(!directory.join("socket").exists());
    assert!(client.simple_query("SELECT").is_err());
    assert_eq!(files_with(&directory, PASSWORD), Vec::<PathBuf>::new());

    options.password = Some("another".to_owned());
    let postgres = start(&options);
    let mut client = connect(&postgres, &options).expect("the changed password must do");
    assert_eq!(text(&mut client, "SELECT what FROM kept"), "this");
    assert!(directory.join("server.log.1").exists());

    // Dropping stops the server as well.
    let pid = server_pid(&directory);
    drop(postgres);
    assert!(!runs(pid));
}

#[test]
fn a_directory_in_use_is_refused_and_an_orphan_in_it_is_stopped() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let options = options(&directory);
    let postgres = start(&options);
    let orphan = server_pid(&directory);

    let error = EmbeddedPostgres::start(&options).unwrap_err().to_string();
    let node = format!("another node (process {}) runs on", std::process::id());
    assert!(error.contains(&node), "{error}");
    assert!(error.contains("--embedded-postgres DIR"), "{error}");
    assert!(
        connect(&postgres, &options).is_ok(),
        "the refused start must not disturb"
    );

    // Ctrl-C on a terminal reaches the node's process group; the server's is another.
    let stat = fs::read_to_string(format!("/proc/{orphan}/stat")).unwrap();
    let group = stat.rsplit(')').next().unwrap().split_whitespace().nth(2);
    assert_eq!(group, Some(orphan.to_string().as_str()));

    abandon(postgres);
    assert!(runs(orphan));
    let postgres = start(&options);
    assert!(!runs(orphan), "the orphan still runs");
    assert_ne!(server_pid(&directory), orphan);
    connect(&postgres, &options).unwrap();
    postgres.stop(STOP).unwrap();
}

#[test]
fn a_server_that_is_killed_is_started_again_where_it_was() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let options = options(&directory);
    let postgres = start(&options);
    let mut client = connect(&postgres, &options).unwrap();
    client
        .batch_execute("CREATE TABLE kept (what text); INSERT INTO kept VALUES ('this')")
        .unwrap();

    // Twice: the thread that starts it again must not be done after the first time.
    for _ in 0..2 {
        let killed = server_pid(&directory);
        signal(killed, Signal::SIGKILL);
        let mut client = eventually(|| connect(&postgres, &options).ok());
        assert_ne!(server_pid(&directory), killed);
        assert_eq!(text(&mut client, "SELECT what FROM kept"), "this");
    }
    let pid = server_pid(&directory);
    postgres.stop(STOP).unwrap();
    assert!(!runs(pid));
}

#[test]
fn a_server_that_was_stopped_together_with_the_node_is_no_failure() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let postgres = start(&options(&directory));
    let pid = server_pid(&directory);
    signal(pid, Signal::SIGTERM);
    // Until the guard has seen it and is about to start it again.
    let process = format!("/proc/{pid}");
    eventually(|| (!Path::new(&process).exists()).then_some(()));
    postgres.stop(STOP).unwrap();
    assert!(!directory.join("data/postmaster.pid").exists());
}

#[test]
fn a_server_that_does_not_start_again_is_told_of_with_its_last_words() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let options = options(&directory);
    let postgres = start(&options);
    spoil_configuration(&directory);
    signal(server_pid(&directory), Signal::SIGKILL);
    let log = directory.join("server.log");
    let refused = || fs::read_to_string(&log).is_ok_and(|log| log.contains("shared_buffers"));
    eventually(|| refused().then_some(()));
    let error = postgres.stop(STOP).unwrap_err().to_string();
    assert!(error.contains("shared_buffers"), "{error}");
}

#[test]
fn a_long_directory_and_names_that_need_quoting_work() {
    let parent = parent();
    let directory = parent
        .path()
        .join("long, and with spaces ".repeat(9))
        .join("cluster");
    assert!(directory.as_os_str().len() > 107);
    let options = Options {
        directory: Some(directory),
        user: "O'Brien \"the\\ user\"".to_owned(),
        password: None,
        database: "my \"data\"; base ü".to_owned(),
    };
    let postgres = start(&options);
    let socket = postgres.socket_directory().to_owned();
    let metadata = fs::metadata(&socket).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o700, "{}", socket.display());

    // A role without a password logs in through the socket.
    let mut client = postgres::Config::new()
        .host_path(postgres.socket_directory())
        .port(postgres.port())
        .user(&options.user)
        .dbname(&options.database)
        .connect(NoTls)
        .unwrap();
    assert_eq!(text(&mut client, "SELECT current_user::text"), options.user);
    client
        .batch_execute("CREATE TABLE of_the_owner ()")
        .unwrap();
    assert!(
        connect(&postgres, &options).is_err(),
        "TCP must ask for a password"
    );
    postgres.stop(STOP).unwrap();
    assert!(!socket.exists());
}

#[test]
fn without_binaries_the_error_names_the_package() {
    let parent = parent();
    let nowhere = Places::new([parent.path().to_owned()], parent.path());
    let options = options(&parent.path().join("cluster"));
    let error = EmbeddedPostgres::start_from(&options, &nowhere).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("apt-get install postgresql"), "{error}");
}

#[test]
fn a_refused_role_is_told_with_the_reason_and_leaves_no_server() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let reserved = Options {
        user: "pg_something".to_owned(),
        ..options(&directory)
    };
    let error = EmbeddedPostgres::start(&reserved).unwrap_err().to_string();
    assert!(error.contains("is reserved"), "{error}");
    assert!(!directory.join("data/postmaster.pid").exists());
}

#[test]
fn a_cluster_of_another_major_version_is_refused() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    fs::create_dir_all(directory.join("data")).unwrap();
    fs::write(directory.join("data/PG_VERSION"), "7\n").unwrap();
    let error = EmbeddedPostgres::start(&options(&directory))
        .unwrap_err()
        .to_string();
    assert!(error.contains("was made by PostgreSQL 7"), "{error}");
    assert!(error.contains("apt-get install postgresql-7"), "{error}");
}

#[test]
fn a_server_that_does_not_start_shows_the_end_of_its_log() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let options = options(&directory);
    start(&options).stop(STOP).unwrap();
    spoil_configuration(&directory);
    let error = EmbeddedPostgres::start(&options).unwrap_err().to_string();
    assert!(error.contains("did not start"), "{error}");
    assert!(error.contains("shared_buffers"), "{error}");
    assert!(!directory.join("socket").exists());
}

#[test]
fn names_that_postgresql_would_change_are_refused() {
    let parent = parent();
    let good = options(&parent.path().join("cluster"));
    for name in ["", "a\nb", &"x".repeat(64), super::ADMIN] {
        let user = Options {
            user: name.to_owned(),
            ..good.clone()
        };
        let error = EmbeddedPostgres::start(&user).unwrap_err().to_string();
        assert!(error.starts_with("role name"), "{error}");
    }
}

#[test]
fn a_private_parent_is_in_the_way_of_root_alone() {
    let private = parent();
    fs::set_permissions(private.path(), Permissions::from_mode(0o700)).unwrap();
    let started = EmbeddedPostgres::start(&options(&private.path().join("cluster")));
    if nix::unistd::Uid::effective().is_root() {
        let error = started.unwrap_err().to_string();
        assert!(error.contains("PostgreSQL cannot run as root"), "{error}");
        assert!(error.contains("chmod o+x"), "{error}");
    } else {
        started.unwrap().stop(STOP).unwrap();
    }
}
