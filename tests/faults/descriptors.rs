//! What the log says when the process has too few file descriptors for its connections.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use serde_json::json;

use crate::support::{
    node::{HERE, Node, config, container, router},
    postgres::Postgres,
};

#[test]
fn a_pool_without_file_descriptors_says_so_in_one_line() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let program = parent.path().join("few_files");
    let text = format!(
        "#!/bin/sh\nulimit -n 128\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_wampgres")
    );
    fs::write(&program, text).expect("the program is written");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("its mode is set");

    let database = Postgres::shared().create_database("few_files");
    let mut extra = database.extra();
    // Each connection takes four.
    (extra["cp_min"], extra["cp_max"]) = (json!(60), json!(60));
    let component = container(
        "hello.MyDatabaseComponent",
        HERE,
        json!({"database": extra}),
    );
    let mut node = Node::start_program(&program, &config(&[router(), component]), &[]);
    node.wait_for_log("no file descriptor left");
    let log = node.log();
    let line = log
        .lines()
        .find(|line| line.contains("no file descriptor left"));
    let line = line.expect("it was there");
    assert!(
        line.contains("ulimit -n") && line.contains("LimitNOFILE"),
        "{line}"
    );
    let told = log.matches("no file descriptor left").count();
    assert!(told <= 2, "once for each outage: {log}");
    assert!(!log.contains("panic"), "{log}");
}
