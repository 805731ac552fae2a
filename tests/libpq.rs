//! A node and psql in the same environment: both get to the database, or neither does.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    answer::CallError,
    backends::{Backend, on_each_backend},
    node::{ENVIRONMENT, HERE, Node, config, container, router},
    postgres::{PASSWORD, Postgres},
    websocket::Client,
};

/// A node whose component says nothing of its database, in this environment: what a call gets.
fn call(backend: Backend, environment: &[(&str, &str)]) -> Result<(), CallError> {
    let mut database = json!({"backend": backend.name(), "cp_min": 0});
    if !environment
        .iter()
        .any(|(_, value)| value.contains("connect_timeout"))
    {
        database["connect_timeout"] = json!("500ms");
    }
    let database = json!({"database": database});
    let component = container("hello.MyDatabaseComponent", HERE, database);
    let node = Node::start_in(&config(&[router(), component]), environment);
    let mut client = Client::join(node.address());
    let request = client.call("com.example.now.v1", &json!([]));
    client.answer_to(request).outcome.map(drop)
}

/// Whether psql gets there.
fn psql(environment: &[(&str, &str)]) -> bool {
    let mut command = Command::new("psql");
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    for (name, value) in environment {
        match *name {
            // psql knows no such variable.
            "DATABASE_URL" => command.arg(value),
            name => command.env(name, value),
        };
    }
    let command = command.args(["-w", "-X", "-c", "SELECT 1"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    output
        .expect("psql runs: scripts/test installs it")
        .status
        .success()
}

fn private_file(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("its mode");
}

on_each_backend![the_environment_leads_a_node_where_it_leads_psql,];

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn the_environment_leads_a_node_where_it_leads_psql(backend: Backend) {
    let postgres = Postgres::shared();
    let port = postgres.database().port().to_string();
    let socket = postgres.socket_directory().display().to_string();
    let home = TempDir::new().expect("a temporary directory");
    let path = |name: &str| home.path().join(name).display().to_string();
    private_file(
        &home.path().join("pass"),
        &format!(
            "#{port}\n{socket}:{port}:*:testuser:{PASSWORD}\n*:{port}:postgres:*:{PASSWORD}\n"
        ),
    );
    private_file(&home.path().join("open"), &format!("*:*:*:*:{PASSWORD}\n"));
    fs::set_permissions(home.path().join("open"), Permissions::from_mode(0o644)).expect("a mode");
    private_file(
        &home.path().join("services"),
        &format!(
            "[shop]\nhost=127.0.0.1\nport={port}\ndbname=postgres\nuser=testuser\npassword={PASSWORD}\n"
        ),
    );
    let plain = format!("postgresql://testuser@127.0.0.1:{port}/postgres");
    let full = format!("postgresql://testuser:{PASSWORD}@127.0.0.1:{port}/postgres");
    let url = |more: &str| format!("{full}?{more}");
    let (pass, open, services) = (path("pass"), path("open"), path("services"));
    let place = [
        ("PGPORT", port.as_str()),
        ("PGUSER", "testuser"),
        ("PGDATABASE", "postgres"),
    ];
    let [a, b, c] = place;
    let [tls, standby, primary, forever, bound] = [
        url("sslmode=require&channel_binding=require"),
        url("target_session_attrs=standby"),
        url("target_session_attrs=primary&gssencmode=disable&client_encoding=LATIN1"),
        url("connect_timeout=0&tcp_user_timeout=0&keepalives=0"),
        url("channel_binding=require&sslmode=prefer"),
    ];
    for (environment, said) in [
        (
            vec![("DATABASE_URL", plain.as_str()), ("PGPASSFILE", &pass)],
            None,
        ),
        (
            vec![("DATABASE_URL", &plain), ("PGPASSFILE", &open)],
            Some("others may read it"),
        ),
        (vec![("DATABASE_URL", &plain)], Some("password missing")),
        (
            vec![("PGSERVICE", "shop"), ("PGSERVICEFILE", &services)],
            None,
        ),
        (
            vec![
                ("PGSERVICE", "shop"),
                ("PGSERVICEFILE", &services),
                ("PGHOST", "/nowhere"),
                ("PGSSLMODE", "require"),
            ],
            Some("does not support TLS"),
        ),
        (
            vec![("PGHOST", &socket), ("PGPASSFILE", &pass), a, b, c],
            None,
        ),
        (
            vec![
                ("PGHOST", "no.such.name"),
                ("PGHOSTADDR", "127.0.0.1"),
                ("PGPASSWORD", PASSWORD),
                a,
                b,
                c,
            ],
            None,
        ),
        (
            vec![
                ("DATABASE_URL", &full),
                ("PGTZ", "Asia/Tokyo"),
                ("PGDATESTYLE", "SQL, DMY"),
                ("PGGEQO", "off"),
            ],
            None,
        ),
        (
            vec![("DATABASE_URL", &full), ("PGTZ", "No/Where")],
            Some("No/Where"),
        ),
        (
            vec![("DATABASE_URL", &tls)],
            Some("server does not support TLS"),
        ),
        (
            vec![("DATABASE_URL", &bound)],
            Some("server did not use channel binding"),
        ),
        (
            vec![("DATABASE_URL", &standby)],
            Some("the server is no standby"),
        ),
        (vec![("DATABASE_URL", &primary)], None),
        (vec![("DATABASE_URL", &forever)], None),
    ] {
        let mut environment = environment;
        // Nobody's own files count here.
        let home = path("");
        environment.push(("HOME", &home));
        assert_eq!(psql(&environment), said.is_none(), "psql: {environment:?}");
        match (call(backend, &environment), said) {
            (Ok(()), None) => {}
            (Err(error), Some(said)) => {
                assert_eq!(error.uri, "wamp.error.unavailable");
                assert!(error.message.contains(said), "{environment:?}: {error:?}");
                assert!(!error.message.contains(PASSWORD), "{error:?}");
            }
            (found, _) => panic!("{environment:?}: {found:?}"),
        }
    }
}

/// What `wampgres check` says in this environment, and with which exit code.
fn check(environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let directory = TempDir::new().expect("a temporary directory");
    fs::create_dir(directory.path().join("web")).expect("a directory for the page");
    let file = directory.path().join("config.json");
    let component = container("hello.MyDatabaseComponent", HERE, json!({"database": {}}));
    fs::write(&file, config(&[router(), component]).to_string()).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wampgres"));
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    command
        .envs(environment.iter().copied())
        .env("HOME", directory.path());
    let output = command.arg("check").arg("--config").arg(&file).output();
    let output = output.expect("the binary runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn what_would_weaken_a_connection_ends_the_check_and_what_has_no_effect_is_noted() {
    for (environment, code, said) in [
        (
            vec![
                ("PGHOST", "h"),
                ("PGCHANNELBINDING", "require"),
                ("PGSSLMODE", "disable"),
            ],
            2,
            "PGCHANNELBINDING fills in `channel_binding`, which cannot be `require`",
        ),
        (
            vec![("PGREQUIREPEER", "postgres")],
            2,
            "PGREQUIREPEER is not served: who serves a Unix socket",
        ),
        (
            vec![("PGHOST", "h"), ("PGREQUIREAUTH", "md5")],
            2,
            "PGREQUIREAUTH fills in `require_auth`",
        ),
        (
            vec![("PGHOST", "h"), ("PGSSLCRL", "x")],
            2,
            "PGSSLCRL is not served: revocation lists",
        ),
        (
            vec![("DATABASE_URL", "postgres://u:hunter2@h/d?pgbouncer=true")],
            2,
            "a parameter `pgbouncer`",
        ),
        (
            vec![("DATABASE_URL", "mysql://u:hunter2@h/d")],
            2,
            "must begin with postgresql://",
        ),
        (
            vec![("DATABASE_URL", "mysql://u:hunter2@h/d"), ("PGHOST", "h")],
            0,
            "DATABASE_URL has no effect",
        ),
        (
            vec![("PGCLIENTENCODING", "LATIN1")],
            0,
            "PGCLIENTENCODING has no effect: sessions speak UTF-8",
        ),
        // Whoever runs the program, and the socket of the system, whatever USER says.
        (
            vec![("USER", "somebody")],
            0,
            &format!("database {me} of {me} at ", me = me()),
        ),
    ] {
        let found = check(&environment);
        assert_eq!(found.0, Some(code), "{environment:?}: {}", found.1);
        assert!(found.1.contains(said), "{environment:?}: {}", found.1);
        assert!(!found.1.contains("hunter2"), "{}", found.1);
    }
}

fn me() -> String {
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid());
    me.expect("the system answers")
        .expect("the user has a name")
        .name
}
