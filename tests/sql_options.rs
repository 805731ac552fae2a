//! What the files of SQL procedures can say, on both backends: their grammar and their options, each with
//! what a caller sees of it.

use std::{fs, path::Path, thread};

use serde_json::{Map, Value, json};

use crate::support::{
    answer::Answer,
    backends::{Backend, on_each_backend},
    node::{HERE, Node, config, container, router},
    postgres::Database,
    websocket::{Client, code},
};

on_each_backend![
    sql_is_read_as_postgresql_reads_it,
    options_do_what_they_say,
    what_is_secret_is_neither_logged_nor_told,
    real_conflicts_are_tried_again,
];

/// A node with a component.
struct Bench {
    node: Node,
    database: Database,
}

impl Bench {
    fn start(name: &str, backend: Backend, tables: &str, mut extra: Value, log: &str) -> Self {
        let database = Database::create(name, backend);
        database.client().batch_execute(tables).expect("tables");
        let mut settings = database.extra();
        settings["cp_max"] = json!(4);
        settings["error_details"] = json!("all");
        settings["slow_query_ms"] = json!(1);
        extra["database"] = settings;
        let workers = [router(), container("sql.Procedures", HERE, extra)];
        let mut node = Node::start_in(&config(&workers), &[("RUST_LOG", log)]);
        node.wait_for_log("procedures in SQL are prepared");
        assert!(node.log().contains("faulty=0"));
        Self { node, database }
    }
}

/// The `extra` of procedures with these texts: `com.shop.0`, `com.shop.1` and so on.
fn of_texts(texts: &[&str]) -> Value {
    let procedures: Map<String, Value> = (texts.iter().enumerate())
        .map(|(n, text)| (format!("com.shop.{n}"), json!({"sql": text})))
        .collect();
    json!({"procedures": procedures})
}

fn call(client: &mut Client, name: &str, args: &Value, kwargs: &Value) -> Answer {
    let request = client.next_request();
    let uri = format!("com.shop.{name}");
    client.send(&json!([code::CALL, request, {}, uri, args, kwargs]));
    client.answer_to(request)
}

fn sql_is_read_as_postgresql_reads_it(backend: Backend) {
    play("grammar", backend);
}

fn options_do_what_they_say(backend: Backend) {
    play("options", backend);
}

/// Makes the calls that a directory beside this file has in its `calls.json`, in their order: the name of
/// one of its files, the arguments, and the answer; words after `error: ` are in the error's URI and
/// message.
fn play(directory: &str, backend: Backend) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sql")
        .join(directory);
    let calls = fs::read_to_string(here.join("calls.json")).expect("calls");
    let calls: Vec<(String, Value, Value, Value)> = serde_json::from_str(&calls).expect("JSON");
    let tables = "CREATE TABLE goods (id int PRIMARY KEY, name text);
                  INSERT INTO goods SELECT n, 'n' || n FROM generate_series(1, 5) AS n";
    let extra = json!({"directory": here, "prefix": "com.shop"});
    let bench = Bench::start(&format!("sql_{directory}"), backend, tables, extra, "info");
    let mut client = Client::join(bench.node.address());
    for (name, args, kwargs, answer) in calls {
        let outcome = call(&mut client, &name, &args, &kwargs).outcome;
        let words = answer
            .as_str()
            .and_then(|words| words.strip_prefix("error: "));
        let Some(words) = words else {
            assert_eq!(outcome, Ok(answer), "{name} {args} {kwargs}");
            continue;
        };
        let error = outcome.expect_err(&name);
        let told = format!("{} {}", error.uri, error.message);
        assert!(told.contains(words), "{name} {args} {kwargs}: {told}");
    }
}

/// A word that no log and no answer may have.
const WORD: &str = "xyzzy4711";

fn what_is_secret_is_neither_logged_nor_told(backend: Backend) {
    let tables = format!(
        "CREATE TABLE cards (card text UNIQUE, n int CHECK (n > 0));
         CREATE FUNCTION refuse(card text) RETURNS int LANGUAGE plpgsql AS $$
         BEGIN RAISE WARNING '%', card; RAISE EXCEPTION 'not %', card USING HINT = card, DETAIL = card; END $$;
         CREATE FUNCTION slow(card text) RETURNS int LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(0.01)';
         INSERT INTO cards VALUES ('{WORD}')"
    );
    let texts = [
        "-- @secret\nSELECT (:card::text)::int AS card",
        "-- @secret\nSELECT :card::int AS card",
        "-- @secret\nINSERT INTO cards VALUES (:card)",
        "-- @secret\nINSERT INTO cards VALUES (:card || '!', 0)",
        "-- @secret\n-- @retry 1\nSELECT refuse(:card) AS refused",
        "-- @secret\n-- @read_only\nSELECT slow(:card) AS slow",
        "-- @secret\n-- @returns stream\nSELECT (:card::text)::int AS card",
        "-- @secret\nSELECT md5(:card) AS hash; SELECT jsonb(:card::text) AS json",
    ];
    let mut bench = Bench::start("sql_secret", backend, &tables, of_texts(&texts), "trace");
    let mut client = Client::join(bench.node.address());
    for (n, text) in texts.iter().enumerate() {
        for (args, kwargs) in [
            (json!([WORD]), json!({})),
            (json!([]), json!({"card": WORD})),
        ] {
            let answer = call(&mut client, &n.to_string(), &args, &kwargs);
            let told = format!("{answer:?}");
            assert!(!told.contains(WORD), "{text}: {told}");
            assert_eq!(answer.outcome.is_ok(), n == 5, "{text}: {told}");
        }
    }
    let request = client.next_request();
    let progress = json!({"receive_progress": true});
    client.send(&json!([
        code::CALL,
        request,
        progress,
        "com.shop.6",
        [WORD]
    ]));
    let told = format!("{:?}", client.answer_to(request));
    assert!(told.contains("22P02") && !told.contains(WORD), "{told}");
    // More than it takes.
    let answer = call(&mut client, "0", &json!([WORD, WORD]), &json!({}));
    assert!(!format!("{answer:?}").contains(WORD), "{answer:?}");
    bench.node.wait_for_log("slow query");
    let log = bench.node.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"));
    let line = log.lines().find(|line| line.contains(WORD));
    assert_eq!(line, None);
}

const PURSES: &str = "CREATE TABLE purses (id int PRIMARY KEY, coins int);
                      INSERT INTO purses VALUES (1, 1000), (2, 1000), (3, 0)";
/// Both ways at once they wait for each other.
const GIVE: &str = "UPDATE purses SET coins = coins - 1 WHERE id = :a;
                    -- @skip
                    SELECT pg_sleep(0.005);
                    UPDATE purses SET coins = coins + 1 WHERE id = :b";
/// Both read before either writes.
const ADD: &str = "SELECT coins FROM purses WHERE id = 3;
                   UPDATE purses SET coins = coins + 1 WHERE id = 3";

fn real_conflicts_are_tried_again(backend: Backend) {
    let with = |options: &str, sql: &str| format!("{options}\n{sql}");
    let texts = [
        with("-- @retry 100", GIVE),
        with("-- @retry 0", GIVE),
        with("-- @isolation serializable\n-- @retry 100", ADD),
        with("-- @isolation serializable\n-- @retry 0", ADD),
    ];
    let texts = texts.each_ref().map(String::as_str);
    let bench = Bench::start("sql_conflicts", backend, PURSES, of_texts(&texts), "info");
    let mut sql = bench.database.client();
    let name = bench.database.name();
    let soon = format!("ALTER DATABASE {name} SET deadlock_timeout = '20ms'");
    sql.batch_execute(&soon).expect("a setting");
    assert!(bench.database.observe().terminate_backends() > 0);
    let address = bench.node.address();
    let pair = |n: usize, args: &[Value; 2]| {
        thread::scope(|scope| {
            let calls = args.each_ref().map(|args| {
                let name = n.to_string();
                scope.spawn(move || call(&mut Client::join(address), &name, args, &json!({})))
            });
            calls.map(|call| call.join().expect("an answer"))
        })
    };
    for (n, args, sqlstate) in [
        (0, [json!([1, 2]), json!([2, 1])], "40P01"),
        (2, [json!([]), json!([])], "40001"),
    ] {
        // Until it has been seen that they conflict: those that are not tried again fail by it, the
        // others never do.
        let mut failed = 0;
        while failed == 0 {
            for answer in pair(n, &args) {
                answer.result();
            }
            for error in pair(n + 1, &args)
                .into_iter()
                .filter_map(|answer| answer.outcome.err())
            {
                assert_eq!(error.details["sqlstate"], sqlstate, "{error:?}");
                failed += 1;
            }
        }
    }
    let row = sql.query_one("SELECT sum(coins) FROM purses WHERE id < 3", &[]);
    assert_eq!(row.expect("a row").get::<_, i64>(0), 2000);
}
