//! `wampgres init`: what it writes runs at once, and nothing is written over.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use wampgres::pg_cluster::ReservedPort;

use crate::support::{browser::Browser, cli::Cli, port};

/// Root's node lets another user run the server, who has to get there.
fn parent() -> TempDir {
    let mut parent = tempfile::Builder::new();
    let parent = parent.permissions(Permissions::from_mode(0o755)).tempdir();
    parent.expect("a temporary directory")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// What a page can do with the client that it comes with.
const SUBSCRIBE: &str = r#"(async () => {
    const { connect } = await import("./wamp.js");
    const session = await connect(`ws://${location.host}/ws`, "realm1");
    await session.subscribe("com.example.t", (args, kwargs) => { window.got = [args, kwargs]; });
    window.got = "subscribed";
})().catch((why) => { window.got = `${why}`; }), 0"#;

/// A node that `init` has written, on a free port.
struct Own {
    parent: TempDir,
    port: ReservedPort,
    directory: PathBuf,
}

impl Own {
    fn new() -> Self {
        let (parent, port) = (parent(), port::reserved());
        let directory = parent.path().join("My Notes");
        let number = port.number().to_string();
        let init = Cli::start(&["init", text(&directory), "--port", &number]).finish();
        assert_eq!((init.code, init.stderr.as_str()), (Some(0), ""));
        let command = "My Notes && wampgres start --embedded-postgres";
        assert!(init.stdout.join("\n").contains(command), "{init:?}");
        Self {
            parent,
            port,
            directory,
        }
    }

    /// A command on its configuration, with a private PostgreSQL of its own.
    fn with_postgres(&self, args: &[&str]) -> Cli {
        let postgres = self.parent.path().join("postgres");
        let embedded = ["--embedded-postgres", text(&postgres)];
        self.start(&[args, &embedded].concat())
    }

    /// A command on its configuration.
    fn start(&self, args: &[&str]) -> Cli {
        let config = self.directory.join("config.json");
        Cli::start(&[args, &["--config", text(&config)]].concat())
    }

    fn check(&self) {
        let checked = self.with_postgres(&["check"]).finish();
        let printed = checked.stdout.join("\n");
        let words = "PostgreSQL has prepared 2 procedures";
        assert!(printed.contains(words), "{checked:?}");
    }
}

#[test]
fn a_node_of_ones_own_runs_at_once_and_its_page_works() {
    let own = Own::new();
    let url = format!("http://127.0.0.1:{}/", own.port.number());
    let mut node = own.with_postgres(&["start"]);
    assert!(node.line().contains(&format!("page: {url}")));
    let mut page = Browser::open(&url);
    page.wait_for("document.querySelector('#state').textContent === 'connected'");
    page.evaluate("document.querySelector('input').value = 'buy <b>tea</b>'");
    page.evaluate("document.querySelector('form').requestSubmit()");
    page.wait_for("document.querySelector('li')?.textContent.startsWith('buy <b>tea</b>')");
    // What PostgreSQL refuses is said.
    page.evaluate("document.querySelector('form').noValidate = true");
    page.evaluate("document.querySelector('form').requestSubmit()");
    page.wait_for("document.querySelector('#error').textContent.includes('notes_note_check')");

    let notes = own.start(&["call", "com.example.notes.list", "1"]).finish();
    assert_eq!(notes.value()[0]["note"], "buy <b>tea</b>");
    let described = own.start(&["describe"]).finish();
    assert_eq!(
        described.stdout[0], "com.example.notes.add",
        "{described:?}"
    );
    // These ask the server of the node that runs.
    let explained = own.with_postgres(&["explain", "com.example.notes.list"]);
    let explained = explained.finish();
    assert!(
        explained.stdout.join("\n").contains("on notes"),
        "{explained:?}"
    );
    own.check();
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait(), Some(0));
    // Without it they start the server themselves, and run the schema, which can be run again.
    own.check();
}

#[test]
fn the_client_of_the_page_takes_events_too() {
    let own = Own::new();
    let config = own.directory.join("config.json");
    let written = fs::read_to_string(&config).expect("it is there");
    let (from, to) = (
        "\"subscribe\": true",
        "\"subscribe\": true, \"publish\": true",
    );
    fs::write(&config, written.replacen(from, to, 1)).expect("it is written");
    let mut node = own.with_postgres(&["start"]);
    node.line();
    let mut page = Browser::open(&format!("http://127.0.0.1:{}/", own.port.number()));
    page.wait_for("document.querySelector('#state').textContent === 'connected'");
    page.evaluate(SUBSCRIBE);
    page.wait_for("window.got === 'subscribed'");
    let published = own
        .start(&["publish", "com.example.t", "1", "-k", "a=2"])
        .finish();
    assert_eq!(published.code, Some(0), "{published:?}");
    page.wait_for("JSON.stringify(window.got) === '[[1],{\"a\":2}]'");
}

#[test]
fn a_schema_that_postgresql_refuses_keeps_the_node_from_starting() {
    let parent = parent();
    let directory = parent.path().join("shop");
    Cli::start(&["init", text(&directory), "--port", "0"]).finish();
    let schema = directory.join("schema.sql");
    fs::write(
        &schema,
        "CREATE TABLE a (id int);\nCREATE TABLE b (\n  id nonsense);\n",
    )
    .expect("it is written");
    let config = directory.join("config.json");
    let postgres = parent.path().join("postgres");
    let with = [
        "start",
        "--config",
        text(&config),
        "--embedded-postgres",
        text(&postgres),
    ];
    let outcome = Cli::start(&with).finish();
    outcome.assert_fails(
        1,
        "shop/schema.sql:3:6: ERROR: type \"nonsense\" does not exist",
    );
    // One transaction: nothing of it is there.
    fs::write(&schema, "CREATE TABLE a (id int)").expect("it is written");
    let mut node = Cli::start(&with);
    assert!(node.line().contains("page: "));
    // The directory of no schema is a fault.
    fs::remove_file(&schema).expect("it is there");
    let check = Cli::start(&["check", "--config", text(&config)]).finish();
    assert_eq!(check.code, Some(2), "{check:?}");
    assert!(
        check.stderr.contains("databases.main.schema_file: "),
        "{check:?}"
    );
}

#[test]
fn nothing_is_written_over() {
    let parent = parent();
    let directory = parent.path().join("shop");
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("schema.sql"), "mine").expect("a file");
    let init = || Cli::start(&["init", text(&directory)]).finish();
    init().assert_fails(2, "there already: ");
    let files = || fs::read_dir(&directory).expect("a directory").count();
    assert_eq!(files(), 1);
    assert_eq!(
        fs::read_to_string(directory.join("schema.sql")).expect("a file"),
        "mine"
    );
    // Other files are no hindrance.
    fs::rename(directory.join("schema.sql"), directory.join("mine.sql")).expect("it moves");
    assert_eq!(init().code, Some(0));
    init().assert_fails(2, "README.md, ");
    let named = parent.path().join("named");
    let wrong = Cli::start(&["init", text(&named), "--name", "No Name"]).finish();
    wrong.assert_fails(2, "lower-case letters");
    let named_well = Cli::start(&["init", text(&named), "--name", "shop_2"]).finish();
    assert_eq!(named_well.code, Some(0));
    let config = fs::read_to_string(named.join("config.json")).expect("a file");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let main = &config["databases"]["main"];
    assert_eq!(
        (&main["user"], &main["database"]),
        (&json!("shop_2"), &json!("shop_2"))
    );
}
