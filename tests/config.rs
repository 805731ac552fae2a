//! What the command line says about configurations, good and bad, and with which exit code.

use std::{
    fmt::Write,
    io::Read,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    backends::Backend,
    node::{ENVIRONMENT, HERE, Node, config, container, router},
    port,
    postgres::Postgres,
    wait,
    websocket::{ANY, Client, code},
};

/// How a run of the program has ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the program in a directory until it ends by itself. Nothing of the test's environment
/// that has a meaning for it is passed on.
fn run(directory: &Path, args: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wampgres"));
    for variable in ENVIRONMENT {
        command.env_remove(variable);
    }
    let mut child = command
        .args(args)
        .envs(environment.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut text = [String::new(), String::new()];
    let status = wait::until(&format!("the end of wampgres {args:?}"), || {
        child.try_wait().expect("the child is ours")
    });
    // What it writes is less than a pipe holds, or it would not have ended.
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let read = [
        stdout
            .as_mut()
            .map(|pipe| pipe.read_to_string(&mut text[0])),
        stderr
            .as_mut()
            .map(|pipe| pipe.read_to_string(&mut text[1])),
    ];
    for result in read.into_iter().flatten() {
        result.expect("a pipe can be read");
    }
    let [stdout, stderr] = text;
    Ended {
        code: status.code(),
        stdout,
        stderr,
    }
}

/// A directory with a configuration and what it refers to.
fn directory_with(config: &str) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(directory.path().join("web")).expect("a directory for the page");
    std::fs::write(directory.path().join("config.json"), config).expect("a file");
    directory
}

#[test]
fn a_backend_other_than_adbapi_or_txpostgres_or_not_built_in_starts_nothing() {
    let directory = TempDir::new().expect("a temporary directory");
    let start = |backend| run(directory.path(), &["start", "--backend", backend], &[]);
    let ended = start("psycopg2");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let words = "must be `adbapi` or `txpostgres`";
    assert!(ended.stderr.contains(words), "{ended:?}");
    for missing in Backend::ALL.into_iter().filter(|b| !b.is_built_in()) {
        let ended = start(missing.name());
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("cargo build"), "{ended:?}");
    }
}

#[test]
fn the_projects_own_configuration_has_no_faults() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ended = run(project, &["check"], &[]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    for line in [
        "config.json: no faults",
        "realm realm1: anonymous (1 permission)",
        "listener *:8080",
        "/ws: websocket",
        "component hello.MyDatabaseComponent: realm realm1, in this process; database test of \
         testuser at 127.0.0.1:5432, 3 to 10 connections",
    ] {
        assert!(ended.stdout.contains(line), "{line} in {}", ended.stdout);
    }
}

#[test]
fn what_has_no_effect_is_told_once() {
    let mut node = config(&[router()]);
    node["controller"] = json!({"id": "node1"});
    let ended = run(directory_with(&node.to_string()).path(), &["check"], &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let notes = ended.stdout.lines().filter(|line| line.contains("note"));
    let told = ["note: controller: has no effect: the node is one process and has no controller"];
    assert_eq!(notes.collect::<Vec<_>>(), told, "{ended:?}");
}

#[test]
fn every_fault_is_listed_with_its_path_and_nothing_starts() {
    let listener = json!({"type": "tcp", "interface": "127.0.0.1", "port": 18080});
    let faulty = json!({
        "version": 2,
        "workers": [
            {
                "type": "router",
                "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permisions": []}]}],
                "transports": [
                    {"type": "web", "endpoint": listener, "paths": {
                        "/": {"type": "static", "directory": "nowhere"},
                        "ws": {"type": "websockt"}
                    }},
                    {"type": "websocket", "endpoint": listener}
                ]
            },
            {
                "type": "container",
                "components": [{
                    "type": "class", "classname": "hello.MyDatabase", "realm": "realm1",
                    "transport": {"type": "websocket", "url": "ws://127.0.0.1:18080/ws"},
                    "extra": {"database": {"password": "s3cret", "cp_min": 11, "port": "x"}}
                }]
            }
        ]
    });
    let directory = directory_with(&faulty.to_string());
    let faults = [
        "workers[0].realms[0].roles[0].permisions: unknown key, did you mean `permissions`?",
        "workers[0].transports[0].paths[\"/\"].directory: seen \"nowhere\"",
        "workers[0].transports[0].paths.ws.type: seen \"websockt\"; must be `static` or \
         `websocket`, did you mean `websocket`?",
        "workers[0].transports[1].endpoint.port: seen 18080",
        "workers[1].components[0].classname: seen \"hello.MyDatabase\"",
        "workers[1].components[0].extra.database.port: seen \"x\"",
        "workers[1].components[0].extra.database.cp_min: seen 11; must be at most cp_max",
    ];
    for command in [&["check"][..], &["start"], &[]] {
        let ended = run(directory.path(), command, &[]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert_eq!(ended.stdout, "", "{command:?}");
        for fault in faults {
            assert!(ended.stderr.contains(fault), "{fault} in {}", ended.stderr);
        }
        let count = format!("{} faults\n", faults.len());
        assert!(ended.stderr.contains(&count), "{count} in {}", ended.stderr);
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    }
}

#[test]
fn a_syntax_error_is_named_with_line_and_column() {
    let directory = directory_with("{\n  \"version\": 2,\n  \"workers\": [}\n");
    for command in ["check", "start"] {
        let ended = run(directory.path(), &[command], &[]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{ended:?}"
        );
        assert!(
            ended.stderr.contains("at line 3, column 15"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("config.json"), "{}", ended.stderr);
    }
}

#[test]
fn a_brace_that_is_missing_is_found() {
    // As in the configuration of the text that this node follows: a service is not closed.
    let broken = r#"{
   "version": 2,
   "workers": [
      {
         "type": "router",
         "transports": [
            {
               "type": "web",
               "endpoint": {"type": "tcp", "port": 8080},
               "paths": {
                  "shared": {
                     "type": "static",
                     "directory": "web"
                  "ws": {"type": "websocket"}
               }
            }
         ]
      }
   ]
}"#;
    let ended = run(directory_with(broken).path(), &["check"], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("at line 14, column 19"),
        "{}",
        ended.stderr
    );
    // The structure of the line, and keys of the format; what else stands there may be a secret.
    let excerpt = "\"…\": {\"type\": \"…\"}";
    assert!(ended.stderr.contains(excerpt), "{}", ended.stderr);
}

#[test]
fn a_missing_file_is_named_with_the_way_to_name_another() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for command in [&["check"][..], &["start", "--config", "other.json"]] {
        let ended = run(directory.path(), command, &[]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{ended:?}"
        );
        assert!(ended.stderr.contains("--config FILE"), "{}", ended.stderr);
        let file = command.last().filter(|arg| arg.ends_with(".json"));
        let file = file.unwrap_or(&"config.json");
        assert!(ended.stderr.contains(file), "{}", ended.stderr);
    }
}

#[test]
fn help_and_version_are_for_people() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let help = run(directory.path(), &["--help"], &[]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for word in [
        "start",
        "check",
        "version",
        "--config",
        "--embedded-postgres",
        "--io-threads",
        "--wait-asleep",
        "--log-format",
        "RUST_LOG",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(help.stdout.contains(word), "{word} in {}", help.stdout);
    }
    for command in ["version", "--version"] {
        let ended = run(directory.path(), &[command], &[]);
        let version = concat!("wampgres ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), version));
    }
}

#[test]
fn an_unknown_word_on_the_command_line_is_a_fault() {
    let directory = directory_with(&config(&[router()]).to_string());
    for args in [
        &["--confg", "config.json"][..],
        &["start", "--log-format", "xml"],
        &["start", "--io-threads", "0"],
        &["start", "--io-threads", "many"],
        &["strat"],
        &["bench", "--embedded-postgres"],
    ] {
        let ended = run(directory.path(), args, &[]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{ended:?}"
        );
        assert!(ended.stderr.contains("--help"), "{}", ended.stderr);
    }
}

#[test]
fn a_port_in_use_is_named_with_its_listener_and_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let mut worker = router();
    worker["transports"][0]["endpoint"]["port"] = json!(address.port());
    let directory = directory_with(&config(&[worker]).to_string());
    let ended = run(directory.path(), &["start"], &[]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    for words in [
        "workers[0].transports[0]".to_owned(),
        format!("cannot listen on {address}"),
        "is another node running".to_owned(),
    ] {
        assert!(ended.stderr.contains(&words), "{words} in {}", ended.stderr);
    }
}

#[test]
fn the_environment_fills_in_what_is_not_written() {
    let component = |database: serde_json::Value| {
        let mut worker = router();
        worker["components"] = json!([{
            "type": "class", "classname": "hello.MyDatabaseComponent", "realm": "realm1",
            "extra": {"database": database}
        }]);
        directory_with(&config(&[worker]).to_string())
    };
    let environment = [
        ("PGHOST", "from.pghost"),
        ("PGPASSWORD", "s3cret"),
        (
            "DATABASE_URL",
            "postgresql://url_user:s3cret@from.url:7777/url_db",
        ),
    ];
    for (database, described) in [
        (json!({}), "database url_db of url_user at from.pghost:7777"),
        (
            json!({"host": "written", "port": 1, "user": "me", "database": "mine"}),
            "database mine of me at written:1",
        ),
    ] {
        let ended = run(component(database).path(), &["check"], &environment);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.stdout.contains(described),
            "{described} in {}",
            ended.stdout
        );
        assert!(!ended.stdout.contains("s3cret"), "{}", ended.stdout);
    }
}

#[test]
fn the_settings_of_a_database_reach_postgresql() {
    let database = Postgres::shared().create_database("configured");
    let mut client = database.client();
    // The component asks for now(). It gets this one only with the search path as it is written,
    // and from it what the other settings have come to.
    let function = r#"
        CREATE SCHEMA "My time";
        CREATE FUNCTION "My time".now() RETURNS timestamptz LANGUAGE sql AS $$
            SELECT to_timestamp(current_setting('my.seconds')::float8)
                + current_setting('statement_timeout')::interval
        $$"#;
    client.batch_execute(function).expect("a now()");
    let mut extra = database.extra();
    // Nobody listens at the first, which is passed over.
    extra["host"] = json!("127.0.0.1,127.0.0.1");
    let unused = port::reserved();
    extra["port"] = json!(format!("{},{}", unused.number(), extra["port"]));
    extra["target_session_attrs"] = json!("read-write");
    extra["application_name"] = json!("till");
    extra["options"] = json!("-c my.seconds=981173106");
    extra["search_path"] = json!(r#""My time", pg_catalog"#);
    extra["statement_timeout"] = json!("1500ms");
    let component = container(
        "hello.MyDatabaseComponent",
        HERE,
        json!({"database": extra}),
    );
    let node = Node::start(&config(&[router(), component]));

    let result = Client::join(node.address()).result_of("com.example.now.v1", &json!([]));
    assert_eq!(result, json!(["2001-02-03 04:05:07.500000+00:00"]));
    let tills = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'till'";
    let tills = client.query_one(tills, &[]).expect("the sessions");
    assert!(tills.get::<_, i64>(0) > 0);
}

#[test]
fn a_procedure_with_a_concurrency_leaves_workers_to_others() {
    let database = Postgres::shared().create_database("concurrency");
    let slow = "CREATE SCHEMA slow;
        CREATE FUNCTION slow.now() RETURNS timestamptz LANGUAGE sql AS
            'SELECT pg_catalog.now() FROM pg_sleep(0.3)'";
    database.client().batch_execute(slow).expect("a slow now()");
    let mut extra = database.extra();
    extra["search_path"] = json!("slow, pg_catalog");
    extra["cp_min"] = json!(2);
    extra["cp_max"] = json!(2);
    let component = container(
        "hello.MyDatabaseComponent",
        HERE,
        json!({"database": extra, "procedures": {"com.example.now.v1": {"concurrency": 1}}}),
    );
    let node = Node::start(&config(&[router(), component]));

    // Five for one worker, and one that would be the last of all if they took both.
    let mut client = Client::join(node.address());
    let ahead: Vec<_> = (0..5)
        .map(|_| client.call("com.example.now.v1", &json!([])))
        .collect();
    let other = client.call("com.example.now.v2", &json!([]));
    let results: Vec<_> = (0..6)
        .map(|_| client.expect(&json!([code::RESULT, ANY, {}, ANY]))[1].clone())
        .collect();
    let place = results.iter().position(|request| *request == other);
    assert!(
        place.expect("it is answered") <= 2,
        "{other} in {results:?}"
    );
    let of_the_slow = results.iter().filter(|request| **request != other);
    assert!(of_the_slow.eq(&ahead), "one after the other: {results:?}");
}

#[test]
fn a_concurrency_of_no_procedure_keeps_the_node_from_starting() {
    let database = json!({"host": "127.0.0.1", "port": 1, "user": "u", "database": "d"});
    let procedures = json!({"com.example.then": {"concurrency": 1}});
    let component = container(
        "hello.MyDatabaseComponent",
        HERE,
        json!({"database": database, "procedures": procedures}),
    );
    let directory = directory_with(&config(&[router(), component]).to_string());
    let ended = run(directory.path(), &["start"], &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for words in ["com.example.then", "com.example.now.v1", "components[0]"] {
        assert!(ended.stderr.contains(words), "{words} in {}", ended.stderr);
    }
}

#[test]
fn a_server_that_is_not_what_is_asked_for_is_passed_over() {
    let database = Postgres::shared().create_database("attributes");
    let mut extra = database.extra();
    extra["target_session_attrs"] = json!("read-only");
    extra["connect_timeout"] = json!(2);
    let component = container(
        "hello.MyDatabaseComponent",
        HERE,
        json!({"database": extra}),
    );
    let node = Node::start(&config(&[router(), component]));

    let mut client = Client::join(node.address());
    let request = client.call("com.example.now.v1", &json!([]));
    let error = client.expect(&json!([
        code::ERROR, code::CALL, request, {}, "wamp.error.unavailable", ANY, {"retryable": true}
    ]));
    let message = error[5][0].as_str().expect("a message");
    assert!(message.contains("database is not read only"), "{message}");
}

#[test]
fn many_faults_are_all_listed() {
    let mut keys = String::new();
    for n in 0..200 {
        write!(keys, "\"unknown{n}\": 1, ").expect("a String takes every write");
    }
    let directory = directory_with(&format!("{{{keys}\"version\": 2, \"workers\": []}}"));
    let ended = run(directory.path(), &["check"], &[]);
    assert_eq!(ended.code, Some(2));
    for n in 0..200 {
        let fault = format!("unknown{n}: unknown key");
        assert!(ended.stderr.contains(&fault), "{fault} in {}", ended.stderr);
    }
}

/// A configuration that holds secret words wherever one may stand, and faults beside them.
const WITH_SECRETS: &str = r#"{
    "version": 1,
    "workers": [{
        "type": "container",
        "components": [{
            "type": "class", "classname": "hello.HelloFromPython", "realm": "realm1",
            "transport": {"type": "websocket", "url": "ws://joe:hunter2@127.0.0.1:1/ws?key=tr0ub4dor",
                "endpoint": {"type": "tcp", "host": "postgresql://u:hunter2", "port": 1},
                "auth": {"ticket": {"authid": "joe", "ticket": "s3same"}}},
            "extra": {"database": {"host": "db", "user": "u",
                "p\u0061ssword":
                    "hunter2",
                "password": ["hunter2"], "database": "postgresql://u:tr0ub4dor@h/d",
                "sslrootcert": "//u:tr0ub4dor@h/d", "application_name": 7,
                "options": {"secret": "s3same"}, "sslmode": "host=db pass%77ord=hunter2"}}
        }]
    }]
}"#;

#[test]
fn no_fault_told_by_check_or_start_shows_a_secret() {
    let mut damaged = vec![WITH_SECRETS.to_owned()];
    let places: Vec<_> = WITH_SECRETS.char_indices().map(|(at, _)| at).collect();
    for (turn, at) in places.iter().step_by(17).enumerate() {
        let (before, after) = WITH_SECRETS.split_at(*at);
        let cut = &after[after.chars().next().map_or(0, char::len_utf8)..];
        damaged.push(match turn % 5 {
            0 => before.to_owned(),
            1 => format!("{before}{cut}"),
            2 => format!("{before}\"{after}"),
            3 => format!("{before}\n{after}"),
            _ => format!("{before}\\{after}"),
        });
    }
    for text in damaged {
        let directory = directory_with(&text);
        for command in ["check", "start"] {
            let ended = run(directory.path(), &[command], &[]);
            assert_eq!(ended.code, Some(2), "{ended:?} of {text}");
            for secret in ["hunter2", "tr0ub4dor", "s3same"] {
                let shows = ended.stdout.contains(secret) || ended.stderr.contains(secret);
                assert!(!shows, "{secret} in {ended:?} of {text}");
            }
        }
    }
}

#[test]
fn many_keys_are_checked_in_one_pass() {
    // With a comparison of each with all before it this would take minutes.
    let keys: Vec<_> = (0..200_000).map(|n| format!("\"k{n}\": 0")).collect();
    let mut node = config(&[router()]);
    node["extra"] = json!("KEYS");
    let object = format!("{{{}, \"k7\": 1}}", keys.join(","));
    let text = node.to_string().replace("\"KEYS\"", &object);
    let ended = run(directory_with(&text).path(), &["check"], &[]);
    assert!(
        ended
            .stderr
            .contains("extra.k7: the key is written twice in this object; keep one"),
        "{:.500}",
        ended.stderr
    );
}
