//! Owns what the config tests share: a base directory, known classes, an environment, and a node to
//! break.

mod database;
mod databases;
mod documented;
mod environment;
mod faults;
mod libpq;
// The table names a limit of adbapi.
#[cfg(feature = "adbapi")]
mod limits;
mod model;
mod ports;
mod secrets;
mod sql;
mod syntax;

use std::path::Path;

use super::{ConfigError, Database, NodeConfig, Options, Server, check_text};

const CLASSES: &[&str] = &["hello.MyDatabaseComponent", "sql.Procedures", "test.Plain"];
const DATABASE_CLASSES: &[&str] = &["hello.MyDatabaseComponent"];

/// A router with realm1, files at `/`, a WebSocket at `ws` and a plain component, and a container
/// with the database component. Each test breaks it in its own way.
const NODE: &str = r#"{
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": [
                {"uri": "com.", "match": "prefix", "allow": {"call": true}}
            ]}]}],
            "transports": [{
                "type": "web",
                "endpoint": {"type": "tcp", "port": 8080},
                "paths": {
                    "/": {"type": "static", "directory": "."},
                    "ws": {"type": "websocket"}
                }
            }],
            "components": [{"type": "class", "classname": "test.Plain", "realm": "realm1"}]
        },
        {
            "type": "container",
            "components": [{
                "type": "class",
                "classname": "hello.MyDatabaseComponent",
                "realm": "realm1",
                "transport": {
                    "type": "websocket",
                    "endpoint": {"type": "tcp", "host": "127.0.0.1", "port": 8080},
                    "url": "ws://127.0.0.1:8080/ws"
                },
                "extra": {"database": {"user": "testuser", "password": "s3cret"}}
            }]
        }
    ]
}"#;

/// [`NODE`] with each text replaced by another; each must occur.
fn node_with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(NODE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in {text}");
        text.replacen(from, to, 1)
    })
}

/// Checks `text` in this package's directory with an environment of these variables.
fn check_in(text: &str, environment: &[(&str, &str)]) -> Result<NodeConfig, ConfigError> {
    let lookup = |name: &str| {
        let mut variables = environment.iter();
        variables
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let options = Options {
        classes: CLASSES,
        database_classes: DATABASE_CLASSES,
        environment: &lookup,
    };
    check_text(text, Path::new(env!("CARGO_MANIFEST_DIR")), &options)
}

fn check(text: &str) -> Result<NodeConfig, ConfigError> {
    check_in(text, &[])
}

/// The checked node of a text without faults.
fn node(text: &str) -> NodeConfig {
    check(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The faults of a text, as they are printed.
fn faults(text: &str) -> Vec<String> {
    match check(text) {
        Err(ConfigError::Faults(faults)) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("expected faults, got {other:?}"),
    }
}

/// The database of [`NODE`]'s container with these fields in this environment.
fn database(fields: &str, environment: &[(&str, &str)]) -> Database {
    let text = node_with(&[(r#"{"user": "testuser", "password": "s3cret"}"#, fields)]);
    let mut node = check_in(&text, environment).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(node.components[1].database, Some(0));
    node.databases.remove(0)
}

fn server(host: &str, port: u16) -> Server {
    Server {
        host: host.to_owned(),
        address: None,
        port,
    }
}

/// Who runs the tests.
fn me() -> String {
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid());
    me.unwrap().expect("the user has a name").name
}
