//! Owns the proof that no lock file of a killed server keeps the next one down, and that none is
//! taken from a server that lives.

use std::process::{Child, Command};

use super::*;

fn pid_file(directory: &Path) -> PathBuf {
    directory.join("data/postmaster.pid")
}

/// A process that has `postgres` for its name and is no server of the cluster. It ends with this
/// value.
struct OtherPostgres(Child);

impl OtherPostgres {
    fn start() -> Self {
        let mut command = Command::new("bash");
        command.args(["-c", "exec -a postgres sleep 600"]);
        let other = Self(command.spawn().unwrap());
        let line = format!("/proc/{}/cmdline", other.0.id());
        let is_named = || fs::read(&line).unwrap().starts_with(b"postgres");
        eventually(|| is_named().then_some(()));
        other
    }
}

impl Drop for OtherPostgres {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_damage_of_the_pid_file_keeps_the_server_down() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let options = options(&directory);
    start(&options).stop(STOP).unwrap();

    let mut other = OtherPostgres::start();
    let data = directory.join("data").display().to_string();
    let own = std::process::id();
    let contents: [Vec<u8>; 6] = [
        Vec::new(),
        vec![0; 100],
        b"\xff\xfe what\n".to_vec(),
        b"99999999999999999999\n".to_vec(),
        // After a reboot its number may be any program's, even that of another PostgreSQL.
        format!("{own}\n{data}\n").into_bytes(),
        format!("{}\n{data}\n", other.0.id()).into_bytes(),
    ];
    for content in contents {
        fs::write(pid_file(&directory), &content).unwrap();
        let started = EmbeddedPostgres::start(&options);
        let postgres = started.unwrap_or_else(|e| panic!("{content:?}: {e}"));
        connect(&postgres, &options).unwrap();
        postgres.stop(STOP).unwrap();
    }
    assert!(other.0.try_wait().unwrap().is_none(), "the other one lives");
}

#[test]
fn an_orphan_is_stopped_even_when_its_pid_file_is_damaged() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let options = options(&directory);
    let postgres = start(&options);
    let orphan = server_pid(&directory);
    abandon(postgres);
    fs::write(pid_file(&directory), "").unwrap();
    let postgres = start(&options);
    assert!(!runs(orphan), "the orphan still runs");
    connect(&postgres, &options).unwrap();
    postgres.stop(STOP).unwrap();
}

#[test]
fn a_server_that_lives_out_of_sight_is_refused_and_keeps_its_pid_file() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let options = options(&directory);
    start(&options).stop(STOP).unwrap();
    // Some process holds the lock as a server in another container does.
    let lock = fs::File::open(directory.join("server.lock")).unwrap();
    lock.lock().unwrap();
    fs::write(pid_file(&directory), "7\n").unwrap();
    let error = EmbeddedPostgres::start(&options).unwrap_err().to_string();
    assert!(
        error.contains("still runs on the embedded cluster"),
        "{error}"
    );
    assert!(error.contains("server.lock"), "{error}");
    assert_eq!(fs::read(pid_file(&directory)).unwrap(), b"7\n");
    drop(lock);
    start(&options).stop(STOP).unwrap();
}

#[test]
fn what_an_interrupted_initdb_left_is_made_anew() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let options = options(&directory);
    fs::create_dir_all(directory.join("data.unfinished/base")).unwrap();
    fs::write(directory.join("data.unfinished/PG_VERSION"), "").unwrap();
    let postgres = start(&options);
    connect(&postgres, &options).unwrap();
    postgres.stop(STOP).unwrap();
    assert!(!directory.join("data.unfinished").exists());
}

#[test]
fn a_killed_server_comes_back_over_the_lock_files_it_left() {
    let parent = parent();
    let directory = parent.path().join("cluster");
    let options = options(&directory);
    let postgres = start(&options);
    let killed = server_pid(&directory);
    signal(killed, Signal::SIGKILL);
    // Damaged while it is down; the guard waits a moment before it starts the next.
    let socket = directory.join(format!("socket/.s.PGSQL.{}.lock", postgres.port()));
    fs::write(pid_file(&directory), "").unwrap();
    fs::write(socket, "").unwrap();
    let mut client = eventually(|| connect(&postgres, &options).ok());
    assert_ne!(text(&mut client, "SELECT pg_backend_pid()::text"), "");
    assert_ne!(server_pid(&directory), killed);
    postgres.stop(STOP).unwrap();
}
