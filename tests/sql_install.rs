//! `wampgres sql-install`: what it makes and takes away, in words and exit codes.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    backends::{Backend, on_each_backend},
    node::{ENVIRONMENT, HERE, config, container, router},
    postgres::{Database, Postgres},
};

/// Runs it with this configuration: the exit code, and what it prints and complains about.
fn run(config: &Value, args: &[&str]) -> (Option<i32>, String, String) {
    command("sql-install", config, args)
}

fn command(name: &str, config: &Value, args: &[&str]) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("web")).expect("the page's place");
    let file = directory.path().join("config.json");
    std::fs::write(&file, config.to_string()).expect("a configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wampgres"));
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    command.arg(name).args(args);
    if !args.contains(&"--print") {
        command.arg("--config").arg(&file);
    }
    let output = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn config_of(database: &Database) -> Value {
    let extra = json!({"database": database.extra()});
    config(&[router(), container("sql.Procedures", HERE, extra)])
}

/// Installs it in a database.
pub fn install(database: &Database) {
    let (code, _, faults) = run(&config_of(database), &[]);
    assert_eq!((code, faults.as_str()), (Some(0), ""));
}

/// What there is in the schema.
fn objects(database: &Database) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM pg_proc WHERE pronamespace = n.oid)
                    + (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid)
               FROM pg_namespace n WHERE nspname = 'wampgres'";
    let rows = database.client().query(sql, &[]).expect("the catalogue");
    rows.first().map_or(0, |row| row.get(0))
}

on_each_backend![
    it_can_be_run_again_and_removed,
    another_version_is_upgraded_and_a_newer_one_is_kept,
    what_others_need_of_it_is_not_removed,
    event_triggers_are_installed_where_they_are_asked_for,
    a_check_looks_for_the_outbox,
];

fn it_can_be_run_again_and_removed(backend: Backend) {
    let database = Database::create("install_again", backend);
    let config = config_of(&database);
    install(&database);
    let made = objects(&database);
    assert!(made > 10);
    let mut sql = database.client();
    let publish = "GRANT EXECUTE ON FUNCTION wampgres.publish TO PUBLIC;
                   SELECT wampgres.publish('com.a')";
    sql.batch_execute(publish).expect("an event");
    let (code, printed, faults) = run(&config, &[]);
    assert_eq!((code, faults.as_str()), (Some(0), ""));
    assert!(printed.starts_with("the schema wampgres is installed in database install_again"));
    assert_eq!(objects(&database), made);
    // Neither what is kept nor what was granted is touched.
    let kept = "SELECT count(*) FROM wampgres.outbox
                WHERE has_function_privilege('pg_monitor', 'wampgres.publish(text,jsonb,jsonb,jsonb)', 'EXECUTE')
                  AND NOT has_function_privilege('pg_monitor', 'wampgres.outbox_bytes()', 'EXECUTE')";
    let kept: i64 = sql.query_one(kept, &[]).expect("the outbox").get(0);
    assert_eq!(kept, 1);

    let (code, printed, faults) = run(&config, &["--remove"]);
    assert_eq!((code, faults.as_str()), (Some(0), ""));
    assert!(printed.starts_with("the schema wampgres is removed from database install_again"));
    assert_eq!(objects(&database), 0);
    let (code, _, faults) = run(&config, &["--remove"]);
    assert_eq!((code, faults.as_str()), (Some(0), ""), "nothing is there");
    install(&database);
    assert_eq!(objects(&database), made);
}

fn another_version_is_upgraded_and_a_newer_one_is_kept(backend: Backend) {
    let database = Database::create("install_versions", backend);
    install(&database);
    let mut sql = database.client();
    // An older version, as it were: its functions do less, its events are to stay.
    let older = "SELECT wampgres.publish('com.a');
                 UPDATE wampgres.version SET version = 0;
                 CREATE OR REPLACE FUNCTION wampgres.publish(
                     topic text, args jsonb DEFAULT NULL, kwargs jsonb DEFAULT NULL, options jsonb DEFAULT NULL
                 ) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
                 DROP FUNCTION wampgres.stay_awake(integer);
                 DROP INDEX wampgres.outbox_xid";
    sql.batch_execute(older).expect("an older version");
    install(&database);
    let state = "SELECT wampgres.publish('com.b') > 1, (SELECT max(version) FROM wampgres.version) = 1,
                 (SELECT count(*) FROM wampgres.outbox) = 1, to_regclass('wampgres.outbox_xid') IS NOT NULL,
                 to_regproc('wampgres.stay_awake') IS NOT NULL";
    let row = sql.query_one(state, &[]).expect("the new version");
    assert!((0..5).all(|at| row.get(at)), "{row:?}");

    sql.batch_execute("UPDATE wampgres.version SET version = 1000")
        .expect("a newer version");
    let (code, _, faults) = run(&config_of(&database), &[]);
    assert_eq!(code, Some(1));
    assert!(faults.contains("version 1000 of the schema wampgres is installed, newer than 1"));
    assert!(faults.contains("Use the program that has installed it"));
}

/// A removal never takes with it what the application has built on the schema.
fn what_others_need_of_it_is_not_removed(backend: Backend) {
    let database = Database::create("install_needed", backend);
    install(&database);
    let mut sql = database.client();
    sql.batch_execute("CREATE VIEW events AS SELECT topic FROM wampgres.outbox")
        .expect("a view");
    let made = objects(&database);
    let (code, _, faults) = run(&config_of(&database), &["--remove"]);
    assert_eq!(code, Some(1));
    assert!(
        faults.contains("view events depends on table wampgres.outbox"),
        "{faults}"
    );
    assert_eq!(objects(&database), made);
    sql.batch_execute("DROP VIEW events; CREATE TABLE wampgres.mine ()")
        .expect("a table");
    let (code, _, faults) = run(&config_of(&database), &["--remove"]);
    assert_eq!(code, Some(1));
    assert!(
        faults.contains("table wampgres.mine depends on schema wampgres"),
        "{faults}"
    );
}

fn event_triggers_are_installed_where_they_are_asked_for(backend: Backend) {
    let database = Database::create("install_watch", backend);
    let config = config_of(&database);
    let mut sql = database.client();
    let mut triggers = || -> i64 {
        let count = "SELECT count(*) FROM pg_event_trigger WHERE evtname LIKE 'wampgres%'";
        sql.query_one(count, &[]).expect("a count").get(0)
    };
    for (args, expected) in [
        (&[][..], 0),
        (&["--watch-ddl"], 2),
        (&["--watch-ddl"], 2),
        (&[], 2),
        (&["--remove"], 0),
    ] {
        let (code, _, faults) = run(&config, args);
        assert_eq!((code, faults.as_str()), (Some(0), ""), "{args:?}");
        assert_eq!(triggers(), expected, "{args:?}");
    }
    assert_eq!(objects(&database), 0);
}

fn a_check_looks_for_the_outbox(backend: Backend) {
    let database = Database::create("install_check", backend);
    let mut config = config_of(&database);
    let extra = &mut config["workers"][1]["components"][0]["extra"];
    extra["topics"] = json!({"outbox": true});
    let (code, _, faults) = command("check", &config, &["--database"]);
    assert_eq!(code, Some(2), "{faults}");
    for words in [
        "extra.topics.outbox: ",
        "the outbox is not installed in this database: run `wampgres sql-install`",
    ] {
        assert!(faults.contains(words), "{faults}");
    }
    install(&database);
    let (code, _, faults) = command("check", &config, &["--database"]);
    assert_eq!((code, faults.as_str()), (Some(0), ""));
    config["workers"][1]["components"][0]["extra"]["topics"]["outbox"] =
        json!({"max_age": "1 parsec"});
    let (code, _, faults) = command("check", &config, &["--database"]);
    assert_eq!(code, Some(2));
    assert!(
        faults.contains("extra.topics.outbox.max_age: must be a time above 0"),
        "{faults}"
    );
}

#[test]
fn psql_runs_what_is_printed() {
    let database = Postgres::shared().create_database("install_psql");
    for (args, some) in [
        (&["--print"][..], true),
        (&["--print", "--remove"][..], false),
    ] {
        let (code, script, faults) = run(&json!({}), args);
        assert_eq!((code, faults.as_str()), (Some(0), ""));
        database.client().batch_execute(&script).expect("it runs");
        assert_eq!(objects(&database) > 0, some);
    }
}

#[test]
fn a_named_database_is_meant_alone() {
    let [one, other] =
        ["install_one", "install_other"].map(|n| Postgres::shared().create_database(n));
    let extra = json!({"database": "one"});
    let mut config = config(&[
        router(),
        container("sql.Procedures", HERE, extra),
        container(
            "hello.MyDatabaseComponent",
            HERE,
            json!({"database": "other"}),
        ),
    ]);
    config["databases"] = json!({"one": one.extra(), "other": other.extra()});
    let (code, _, faults) = run(&config, &["--database", "other"]);
    assert_eq!((code, faults.as_str()), (Some(0), ""));
    assert_eq!(objects(&one), 0);
    assert!(objects(&other) > 0);
    // Those of the SQL are meant by default.
    let (code, _, _) = run(&config, &[]);
    assert_eq!(code, Some(0));
    assert!(objects(&one) > 0);
    let (code, _, faults) = run(&config, &["--database", "none"]);
    assert_eq!(code, Some(2));
    assert!(
        faults.contains("`databases` has no \"none\" that a component uses"),
        "{faults}"
    );
    let secret = one.extra()["password"].to_string();
    let mut nowhere = config_of(&one);
    nowhere["workers"][1]["components"][0]["extra"]["database"]["port"] = json!(1);
    nowhere["workers"][1]["components"][0]["extra"]["database"]["connect_timeout"] = json!(1);
    let (code, _, faults) = run(&nowhere, &[]);
    assert_eq!(code, Some(1));
    assert!(
        faults.contains("the schema wampgres is not installed in"),
        "{faults}"
    );
    assert!(!faults.contains(secret.trim_matches('"')), "{faults}");
}
