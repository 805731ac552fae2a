//! Procedures in SQL that become others while the node runs: by NOTIFY, by SIGHUP, by `--watch`.

mod functions;

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    answer::CallError,
    backends::{Backend, on_each_backend},
    node::{HERE, Node, config, container, router},
    postgres::Database,
    wait,
    websocket::{Client, code},
};

const NO_SUCH_PROCEDURE: &str = "wamp.error.no_such_procedure";

on_each_backend![
    files_that_come_go_and_change_are_followed_without_losing_a_session,
    a_call_under_way_ends_with_the_text_that_it_began_with,
    no_call_finds_a_procedure_missing_that_is_replaced_again_and_again,
    another_concurrency_holds_from_then_on,
    what_has_a_fault_stays_as_it_was_and_the_rest_is_served,
    ddl_is_noticed_by_event_triggers,
    a_node_that_watches_sees_files_and_the_catalogue,
    what_was_notified_while_nobody_listened_is_not_missed,
    a_database_that_is_down_does_not_keep_files_from_being_served,
    a_component_of_another_router_reloads_there,
];

/// A node with a directory of files.
struct Bench {
    node: Node,
    database: Database,
    files: TempDir,
    reloads: usize,
}

impl Bench {
    fn start(name: &str, backend: Backend, files: &[(&str, &str)]) -> Self {
        Self::start_with(name, backend, files, &[])
    }

    fn start_with(name: &str, backend: Backend, texts: &[(&str, &str)], args: &[&str]) -> Self {
        let database = Database::create(name, backend);
        let files = tempfile::tempdir().expect("a directory");
        let mut this = Self {
            node: Node::start_with(&node_config(&database, &files), args),
            database,
            files,
            reloads: 0,
        };
        // What is there at the start comes with the next reload, which is the same to all tests here.
        this.node.wait_for_log("procedures in SQL are prepared");
        this.node.wait_for_log("NOTIFY wampgres, 'reload' reloads");
        for (name, text) in texts {
            this.write(name, text);
        }
        if args.is_empty() {
            this.reload();
        }
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Writes a file as careful editors do: it is the old one or the new one.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
        let new = self.path(".new");
        fs::write(&new, text).expect("a file");
        fs::rename(new, path).expect("its name");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("it is there");
    }

    fn notify(&self) {
        let mut sql = self.database.client();
        sql.batch_execute("NOTIFY wampgres, 'reload'")
            .expect("it is heard");
    }

    fn reload(&mut self) {
        self.notify();
        self.wait_for_reload();
    }

    /// Waits for one reload more than before, and gives what is logged of it.
    fn wait_for_reload(&mut self) -> String {
        self.reloads += 1;
        let (node, reloads) = (&mut self.node, self.reloads);
        wait::until("a reload", || {
            let log = node.log();
            let line = log.lines().filter(|line| line.contains("are reloaded"));
            line.map(str::to_owned).nth(reloads - 1)
        })
    }

    fn join(&self) -> Client {
        Client::join(self.node.address())
    }
}

fn node_config(database: &Database, files: &TempDir) -> Value {
    let mut settings = database.extra();
    settings["cp_max"] = json!(4);
    let extra = json!({"database": settings, "directory": files.path(), "prefix": "com.shop"});
    config(&[router(), container("sql.Procedures", HERE, extra)])
}

fn value(sql: &str) -> String {
    format!("-- @returns value\n{sql}")
}

fn call(client: &mut Client, uri: &str) -> Result<Value, CallError> {
    let request = client.call(uri, &json!([]));
    client.answer_to(request).outcome
}

fn error_of(client: &mut Client, uri: &str) -> String {
    call(client, uri).expect_err("it was to fail").uri
}

fn files_that_come_go_and_change_are_followed_without_losing_a_session(backend: Backend) {
    let files = [
        ("same.sql", &*value("SELECT 'same'")),
        ("changed.sql", &value("SELECT 'old'")),
        ("gone.sql", &value("SELECT 'here'")),
    ];
    let mut bench = Bench::start("sql_reloaded", backend, &files);
    let mut client = bench.join();
    for (uri, is) in [("same", "same"), ("changed", "old"), ("gone", "here")] {
        assert_eq!(call(&mut client, &format!("com.shop.{uri}")), Ok(json!(is)));
    }
    assert_eq!(error_of(&mut client, "com.shop.a.new"), NO_SUCH_PROCEDURE);

    bench.write(
        "changed.sql",
        &value(
            "SELECT 'new' || :n = '!'"
                .replace("= '!'", ":= '!'")
                .as_str(),
        ),
    );
    bench.write("a/new.sql", &value("SELECT 'come'"));
    bench.remove("gone.sql");
    bench.node.signal(Signal::SIGHUP);
    let told = bench.wait_for_reload();
    for words in [
        "added=1",
        "replaced=1",
        "removed=1",
        "prepared=3",
        "faulty=0",
    ] {
        assert!(told.contains(words), "{told}");
    }
    // The session is the same one.
    for (uri, is) in [("same", "same"), ("changed", "new!"), ("a.new", "come")] {
        assert_eq!(call(&mut client, &format!("com.shop.{uri}")), Ok(json!(is)));
    }
    assert_eq!(error_of(&mut client, "com.shop.gone"), NO_SUCH_PROCEDURE);

    // It comes back, and nothing else is told.
    bench.write("gone.sql", &value("SELECT 'back'"));
    bench.reload();
    assert_eq!(call(&mut client, "com.shop.gone"), Ok(json!("back")));
    bench.reload();
    let told = bench.node.log();
    let last = told.lines().last().expect("a line");
    for words in ["added=0", "replaced=0", "removed=0", "prepared=4"] {
        assert!(last.contains(words), "{last}");
    }
    // Other words on the channel are not for it.
    let mut sql = bench.database.client();
    sql.batch_execute("NOTIFY wampgres, 'something else'; NOTIFY wampgres")
        .expect("it is heard");
    bench.write("same.sql", &value("SELECT 'not the same'"));
    bench.reload();
    assert_eq!(
        call(&mut client, "com.shop.same"),
        Ok(json!("not the same"))
    );
    assert_eq!(
        bench.node.log().matches("are reloaded").count(),
        bench.reloads
    );
}

fn a_call_under_way_ends_with_the_text_that_it_began_with(backend: Backend) {
    let slow = "SELECT 'old' FROM pg_advisory_lock_shared(7), pg_advisory_unlock_shared(7)";
    let files = [("slow.sql", &*value(slow)), ("going.sql", &value(slow))];
    let mut bench = Bench::start("sql_reloaded_slow", backend, &files);
    let mut client = bench.join();
    let mut sql = bench.database.client();
    sql.batch_execute("SELECT pg_advisory_lock(7)")
        .expect("a lock");
    let slow = ["com.shop.slow", "com.shop.going"].map(|uri| client.call(uri, &json!([])));
    bench.database.observe().wait_for_blocked(2);
    bench.write("slow.sql", &value("SELECT 'new'"));
    bench.remove("going.sql");
    bench.reload();
    assert_eq!(call(&mut client, "com.shop.slow"), Ok(json!("new")));
    assert_eq!(error_of(&mut client, "com.shop.going"), NO_SUCH_PROCEDURE);
    sql.batch_execute("SELECT pg_advisory_unlock(7)")
        .expect("no lock");
    let mut answers = [client.answer(), client.answer()];
    answers.sort_by_key(|answer| answer.request);
    assert_eq!(
        answers.map(|answer| (answer.request, answer.result())),
        slow.map(|request| (request, json!("old")))
    );
}

fn no_call_finds_a_procedure_missing_that_is_replaced_again_and_again(backend: Backend) {
    let text = |n: u32| value(&format!("-- @concurrency 2\nSELECT {n}"));
    let mut bench = Bench::start("sql_reloaded_often", backend, &[("n.sql", &text(0))]);
    let is_over = AtomicBool::new(false);
    let address = bench.node.address();
    thread::scope(|scope| {
        let calling = (0..2).map(|_| {
            scope.spawn(|| {
                let mut client = Client::join(address);
                let (mut last, mut calls) = (0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    let n = call(&mut client, "com.shop.n").expect("it is always there");
                    let n = n.as_u64().expect("a number");
                    assert!(n >= last, "{n} after {last}");
                    (last, calls) = (n, calls + 1);
                }
                calls
            })
        });
        let calling: Vec<_> = calling.collect();
        for n in 1..=12 {
            bench.write("n.sql", &text(n));
            bench.reload();
        }
        is_over.store(true, Ordering::Relaxed);
        for calls in calling {
            assert!(calls.join().expect("no call fails") > 12);
        }
    });
    assert_eq!(call(&mut bench.join(), "com.shop.n"), Ok(json!(12)));
}

fn another_concurrency_holds_from_then_on(backend: Backend) {
    let text = |n: u32| {
        let sql = "SELECT 1 FROM pg_advisory_lock_shared(8), pg_advisory_unlock_shared(8)";
        value(&format!("-- @concurrency {n}\n{sql}"))
    };
    let mut bench = Bench::start("sql_reloaded_at_once", backend, &[("n.sql", &text(1))]);
    let mut client = bench.join();
    let mut sql = bench.database.client();
    sql.batch_execute("SELECT pg_advisory_lock(8)")
        .expect("a lock");
    let mut activity = bench.database.observe();
    let first = client.call("com.shop.n", &json!([]));
    let queued = client.call("com.shop.n", &json!([]));
    activity.wait_for_blocked(1);
    bench.write("n.sql", &text(2));
    bench.reload();
    // What waited for its turn has not run, and is told so.
    let error = client.answer_to(queued).error("wamp.error.unavailable");
    assert!(error.message.contains("has not run"), "{error:?}");
    let calls = [(); 3].map(|()| client.call("com.shop.n", &json!([])));
    activity.wait_for_blocked(3);
    sql.batch_execute("SELECT pg_advisory_unlock(8)")
        .expect("no lock");
    let mut answered: Vec<_> = (0..4).map(|_| client.answer()).collect();
    answered.sort_by_key(|answer| answer.request);
    let requests: Vec<_> = answered.iter().map(|answer| answer.request).collect();
    assert_eq!(requests, [first, calls[0], calls[1], calls[2]]);
    // The component has done it itself, which is nothing to complain of.
    assert!(!bench.node.log().contains("force_reregister"));
    assert!(
        answered
            .into_iter()
            .all(|answer| answer.outcome == Ok(json!(1)))
    );
}

fn what_has_a_fault_stays_as_it_was_and_the_rest_is_served(backend: Backend) {
    let files = [
        ("read.sql", &*value("SELECT 'read'")),
        ("prepared.sql", &value("SELECT 'prepared'")),
        ("good.sql", &value("SELECT 'good'")),
    ];
    let mut bench = Bench::start("sql_reloaded_wrong", backend, &files);
    let mut client = bench.join();
    bench.write("read.sql", "-- @timout 2s\nSELECT 1");
    bench.write("prepared.sql", "SELECT nothing\nFROM nowhere");
    bench.write("good.sql", &value("SELECT 'better'"));
    bench.write("new.sql", &value("SELECT count(*) FROM later"));
    bench.write("new/wrong.sql", "SELECT 'open");
    bench.notify();
    let told = bench.wait_for_reload();
    for words in ["added=1", "replaced=1", "removed=0", "faulty=4"] {
        assert!(told.contains(words), "{told}");
    }
    let log = bench.node.log();
    for words in [
        "read.sql:1:4: unknown option `timout`, did you mean `timeout`?",
        "prepared.sql:2:6: relation \"nowhere\" does not exist",
        "new.sql:2:22: relation \"later\" does not exist",
        "wrong.sql:1:8: a string, a quoted name or a comment begins here and does not end",
        "the procedure stays as it was before this fault procedure=\"com.shop.read\"",
        "the procedure stays as it was before this fault procedure=\"com.shop.prepared\"",
    ] {
        assert!(log.contains(words), "{words} in\n{log}");
    }
    for (uri, is) in [
        ("read", "read"),
        ("prepared", "prepared"),
        ("good", "better"),
    ] {
        assert_eq!(call(&mut client, &format!("com.shop.{uri}")), Ok(json!(is)));
    }
    let told = call(&mut client, "com.shop.new").expect_err("it has no table");
    assert!(told.message.contains("(SQLSTATE 42P01)"), "{told:?}");
    assert_eq!(
        error_of(&mut client, "com.shop.new.wrong"),
        NO_SUCH_PROCEDURE
    );
    let mut sql = bench.database.client();
    sql.batch_execute("CREATE TABLE later ()").expect("DDL");
    assert_eq!(call(&mut client, "com.shop.new"), Ok(json!(0)));
}

/// Columns that become others under statements that connections have prepared.
fn ddl_is_noticed_by_event_triggers(backend: Backend) {
    let files = [
        ("all.sql", "SELECT * FROM goods ORDER BY 1"),
        ("by.sql", "SELECT id FROM goods WHERE id = :id"),
    ];
    let mut bench = Bench::start("sql_reloaded_by_ddl", backend, &files);
    let mut sql = bench.database.client();
    sql.batch_execute(include_str!(
        "../crates/component/src/sql/install/watch_ddl.sql"
    ))
    .expect("the triggers");
    bench.wait_for_reload();
    let mut client = bench.join();
    let all = |client: &mut Client| {
        // On each connection of the pool.
        let requests = [(); 8].map(|()| client.call("com.shop.all", &json!([])));
        let mut answers: Vec<_> = requests.iter().map(|_| client.answer().result()).collect();
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    };
    // What is made, and undone, together is one reload.
    sql.batch_execute("BEGIN; CREATE TABLE goods (id int); INSERT INTO goods VALUES (1); COMMIT")
        .expect("DDL");
    bench.wait_for_reload();
    assert_eq!(all(&mut client), json!([{"id": 1}]));
    sql.batch_execute("ALTER TABLE goods ADD name text DEFAULT 'tea'")
        .expect("DDL");
    bench.wait_for_reload();
    // No connection fails for the statement that it has prepared.
    assert_eq!(all(&mut client), json!([{"id": 1, "name": "tea"}]));
    sql.batch_execute("ALTER TABLE goods ALTER id TYPE text")
        .expect("DDL");
    bench.wait_for_reload();
    assert_eq!(all(&mut client), json!([{"id": "1", "name": "tea"}]));
    let by = client.result_of("com.shop.by", &json!(["1"]));
    assert_eq!(by, json!([[{"id": "1"}]]));
    // Nobody is told of what is nobody else's.
    sql.batch_execute("CREATE TEMP TABLE mine (id int); DROP TABLE mine")
        .expect("DDL");
    sql.batch_execute("DROP TABLE goods").expect("DDL");
    let told = bench.wait_for_reload();
    assert!(told.contains("faulty=2"), "{told}");
    assert_eq!(
        bench.node.log().matches("are reloaded").count(),
        bench.reloads
    );
}

fn a_node_that_watches_sees_files_and_the_catalogue(backend: Backend) {
    let bench = Bench::start_with("sql_watched", backend, &[], &["--watch"]);
    let mut client = bench.join();
    let mut sql = bench.database.client();
    let mut becomes = |uri: &str, is: &Value| {
        wait::until(uri, || {
            let answer = call(&mut client, uri);
            (answer.as_ref() == Ok(is)).then_some(())
        });
    };
    bench.write("n.sql", &value("SELECT 1"));
    becomes("com.shop.n", &json!(1));
    bench.write("n.sql", &value("SELECT 2"));
    becomes("com.shop.n", &json!(2));
    // A directory that is another one, as after a checkout.
    bench.write("deep/n.sql", "SELECT a FROM t");
    becomes("com.shop.n", &json!(2));
    fs::remove_dir_all(bench.path("deep")).expect("it is there");
    bench.write("deep/n.sql", "SELECT a FROM u");
    let mut bench = bench;
    bench
        .node
        .wait_for_log("deep/n.sql:1:15: relation \"u\" does not exist");
    let seen = bench.node.log().lines().count();
    // Nobody calls it: what it lacks is seen.
    sql.batch_execute("CREATE TABLE u (a int)").expect("DDL");
    wait::until("a reload without a fault", || {
        let log = bench.node.log();
        let mut later = log.lines().skip(seen);
        later
            .any(|line| line.contains("are reloaded") && line.contains("faulty=0"))
            .then_some(())
    });
}

fn what_was_notified_while_nobody_listened_is_not_missed(backend: Backend) {
    let mut bench = Bench::start(
        "sql_reloaded_late",
        backend,
        &[("n.sql", &value("SELECT 1"))],
    );
    let mut client = bench.join();
    assert_eq!(call(&mut client, "com.shop.n"), Ok(json!(1)));
    bench.write("n.sql", &value("SELECT 2"));
    // The listening connection is lost, and nobody notifies when there is another.
    assert!(bench.database.observe().terminate_backends() > 0);
    bench.wait_for_reload();
    assert_eq!(call(&mut client, "com.shop.n"), Ok(json!(2)));
}

fn a_database_that_is_down_does_not_keep_files_from_being_served(backend: Backend) {
    let postgres = crate::support::postgres::Postgres::stopped();
    let database = postgres.database().on(backend);
    let files = tempfile::tempdir().expect("a directory");
    let mut config = node_config(&database, &files);
    let settings = &mut config["workers"][1]["components"][0]["extra"]["database"];
    settings["queue_timeout"] = json!("500ms");
    fs::write(files.path().join("n.sql"), value("SELECT 1")).expect("a file");
    let mut node = Node::start(&config);
    node.wait_for_log("procedures in SQL are not prepared now");
    fs::write(files.path().join("n.sql"), value("SELECT 2")).expect("a file");
    fs::write(files.path().join("m.sql"), value("SELECT 3")).expect("a file");
    node.signal(Signal::SIGHUP);
    node.wait_for_log("are reloaded added=1 replaced=1 removed=0 prepared=0 faulty=0");
    let mut client = Client::join(node.address());
    assert!(call(&mut client, "com.shop.m").is_err());
    postgres.start();
    for (uri, is) in [("com.shop.n", 2), ("com.shop.m", 3)] {
        wait::until(uri, || {
            (call(&mut client, uri) == Ok(json!(is))).then_some(())
        });
    }
}

fn a_component_of_another_router_reloads_there(backend: Backend) {
    let elsewhere = Node::start(&config(&[router()]));
    let database = Database::create("sql_reloaded_elsewhere", backend);
    let files = tempfile::tempdir().expect("a directory");
    let extra =
        json!({"database": database.extra(), "directory": files.path(), "prefix": "com.shop"});
    fs::write(files.path().join("a.sql"), value("SELECT 1")).expect("a file");
    fs::write(files.path().join("b.sql"), value("SELECT 1")).expect("a file");
    let url = elsewhere.websocket_url();
    let mut node = Node::start(&config(&[container("sql.Procedures", &url, extra)]));
    node.wait_for_log("registered 2 procedures");
    let mut client = Client::join(elsewhere.address());
    assert_eq!(call(&mut client, "com.shop.a"), Ok(json!(1)));
    fs::write(
        files.path().join("a.sql"),
        value("-- @concurrency 3\nSELECT 2"),
    )
    .expect("a file");
    fs::rename(files.path().join("b.sql"), files.path().join("c.sql")).expect("a file");
    node.signal(Signal::SIGHUP);
    node.wait_for_log("are reloaded added=1 replaced=1 removed=1");
    assert_eq!(call(&mut client, "com.shop.a"), Ok(json!(2)));
    wait::until("the new one", || {
        (call(&mut client, "com.shop.c") == Ok(json!(1))).then_some(())
    });
    assert_eq!(error_of(&mut client, "com.shop.b"), NO_SUCH_PROCEDURE);
}

/// Somebody else has the URI of a new file: that is told, and nothing else comes of it.
#[test]
fn a_uri_that_is_taken_is_told() {
    let mut bench = Bench::start("sql_reloaded_taken", Backend::default(), &[]);
    let mut client = bench.join();
    client.register("com.shop.taken");
    bench.write("taken.sql", &value("SELECT 1"));
    bench.write("free.sql", &value("SELECT 2"));
    bench.reload();
    bench
        .node
        .wait_for_log("the router does not register a procedure");
    assert_eq!(call(&mut client, "com.shop.free"), Ok(json!(2)));
    let request = client.call("com.shop.taken", &json!([]));
    client.expect(&json!([
        code::INVOCATION,
        crate::support::websocket::ANY,
        crate::support::websocket::ANY,
        {},
        []
    ]));
    let _ = request;
}
