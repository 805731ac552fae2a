//! What the files of SQL procedures can say, on both backends: their grammar and their options, each with
//! what a caller sees of it.

use std::thread;

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

/// A node whose procedures have these texts: `com.shop.0`, `com.shop.1` and so on.
struct Bench {
    node: Node,
    database: Database,
}

impl Bench {
    fn start(name: &str, backend: Backend, tables: &str, texts: &[&str], log: &str) -> Self {
        let database = Database::create(name, backend);
        database.client().batch_execute(tables).expect("tables");
        let procedures: Map<String, Value> = (texts.iter().enumerate())
            .map(|(n, text)| (format!("com.shop.{n}"), json!({"sql": text})))
            .collect();
        let mut settings = database.extra();
        settings["cp_max"] = json!(4);
        settings["error_details"] = json!("all");
        settings["slow_query_ms"] = json!(1);
        let extra = json!({"database": settings, "procedures": procedures});
        let workers = [router(), container("sql.Procedures", HERE, extra)];
        let mut node = Node::start_in(&config(&workers), &[("RUST_LOG", log)]);
        let count = texts.len();
        node.wait_for_log("procedures in SQL are prepared");
        assert!(node.log().contains(&format!("prepared={count} faulty=0")));
        Self { node, database }
    }
}

fn call(client: &mut Client, n: usize, args: &Value, kwargs: &Value) -> Answer {
    let request = client.next_request();
    let uri = format!("com.shop.{n}");
    client.send(&json!([code::CALL, request, {}, uri, args, kwargs]));
    client.answer_to(request)
}

/// A text, the arguments of a call, and what it answers with.
type Row = (&'static str, Value, Value, Value);

fn sql_is_read_as_postgresql_reads_it(backend: Backend) {
    let rows: Vec<Row> = vec![
        // The operators of JSON, of which one looks like another's placeholder.
        (
            "SELECT :doc::jsonb ? :key AS a, :doc::jsonb @> '{\"b\": {\"c\": 1}}' AS b,
                    :doc::jsonb ?| ARRAY['x', :key] AS c, :doc::jsonb #>> '{b,c}' AS d,
                    :doc::jsonb -> 'b' ->> 'c' AS e, :doc::jsonb @? '$.b' AS f",
            json!([{"a": 1, "b": {"c": 1}}, "a"]),
            json!({}),
            json!([{"a": true, "b": true, "c": true, "d": "1", "e": "1", "f": true}]),
        ),
        // Strings of every kind, with what would be parameters elsewhere.
        (
            "SELECT E'it\\'s :no' AS a, U&'\\0041 :no' AS b, ':no '' :no' AS c, $$ :no $$ AS d,
                    $tag$ $$ :no $tag$ AS e, B'101'::text AS f, 'a'
                    ':no' AS g, :yes::text AS h",
            json!(["here"]),
            json!({}),
            json!([{
                "a": "it's :no", "b": "A :no", "c": ":no ' :no", "d": " :no ", "e": " $$ :no ",
                "f": "101", "g": "a:no", "h": "here"
            }]),
        ),
        (
            "SELECT /* :no /* nested :no */ :no */ 1 AS \":no\", -- :no
                    :yes::int AS yes /* ' */",
            json!([]),
            json!({"yes": 2}),
            json!([{":no": 1, "yes": 2}]),
        ),
        (
            "SELECT (ARRAY[1,2,3,4])[2:3] AS a, (ARRAY[1,2,3,4])[lo:hi] AS b,
                    (ARRAY[1,2,3,4])[:from::int: :to::int] AS c, make_date(year := :y, month := 2, day := 3) AS d
             FROM (SELECT 1 AS lo, 2 AS hi) AS bounds",
            json!([3, 4, 2026]),
            json!({}),
            json!([{"a": [2, 3], "b": [1, 2], "c": [3, 4], "d": "2026-02-03"}]),
        ),
        // One that stands twice is one argument, and of one type.
        (
            "SELECT :n::int + :n AS twice, :n AS n",
            json!([21]),
            json!({}),
            json!([{"twice": 42, "n": 21}]),
        ),
        (
            "SELECT $2::text AS second, $1::text || $2 AS both",
            json!(["a", "b"]),
            json!({}),
            json!([{"second": "b", "both": "ab"}]),
        ),
        // Defaults, where no comparison can be; a comparison is one.
        (
            "SELECT :n = 2 AS same FROM generate_series(1, 3) AS g WHERE g > :least := 1 LIMIT :most = 1",
            json!([2]),
            json!({}),
            json!([{"same": true}]),
        ),
        // What a caller sends is never SQL.
        (
            "SELECT :x::text AS x",
            json!(["'; DROP TABLE goods; --"]),
            json!({}),
            json!([{"x": "'; DROP TABLE goods; --"}]),
        ),
    ];
    expect(&rows, "sql_read", backend);
}

fn expect(rows: &[Row], name: &str, backend: Backend) {
    let texts: Vec<_> = rows.iter().map(|(text, ..)| *text).collect();
    let tables = "CREATE TABLE goods (id int PRIMARY KEY, name text);
                  INSERT INTO goods SELECT n, 'n' || n FROM generate_series(1, 5) AS n";
    let bench = Bench::start(name, backend, tables, &texts, "info");
    let mut client = Client::join(bench.node.address());
    for (n, (text, args, kwargs, answer)) in rows.iter().enumerate() {
        let outcome = call(&mut client, n, args, kwargs).outcome;
        match answer
            .as_str()
            .and_then(|words| words.strip_prefix("error: "))
        {
            None => assert_eq!(outcome.as_ref(), Ok(answer), "{text}"),
            Some(words) => {
                let error = outcome.expect_err(text);
                let told = format!("{} {}", error.uri, error.message);
                assert!(told.contains(words), "{text}: {told}");
            }
        }
    }
}

fn options_do_what_they_say(backend: Backend) {
    let plain = |text, answer| -> Row { (text, json!([]), json!({}), answer) };
    let count = "-- @returns value\nSELECT count(*) FROM goods";
    let rows: Vec<Row> = vec![
        plain(
            "-- @read_only\nDELETE FROM goods",
            json!(
                "error: wamp.error.runtime_error ERROR: cannot execute DELETE in a read-only transaction"
            ),
        ),
        plain(
            "-- @isolation repeatable_read\n-- @returns value\nSELECT current_setting('transaction_isolation')",
            json!("repeatable read"),
        ),
        plain(
            "-- @timeout 50ms\nSELECT pg_sleep(60)",
            json!("error: statement timeout"),
        ),
        plain("-- @dry_run\nDELETE FROM goods", json!(5)),
        plain(count, json!(5)),
        plain(
            "-- @max_affected 4\nDELETE FROM goods",
            json!(
                "error: wamp.error.runtime_error a statement of the procedure changes 5 rows, more than 4, \
                   its `max_affected`; all that the call did is undone"
            ),
        ),
        plain(count, json!(5)),
        plain("-- @max_affected 5\nUPDATE goods SET name = name", json!(5)),
        plain(
            "-- @max_rows 4\nSELECT * FROM goods",
            json!(
                "error: wamp.error.payload_size_exceeded the result has more than 4 rows, the `max_rows`"
            ),
        ),
        plain(
            "-- @max_bytes 10\nSELECT 'more than ten bytes'",
            json!(
                "error: wamp.error.payload_size_exceeded the result has more than 10 bytes, the `max_bytes`"
            ),
        ),
        plain(
            "-- @returns arrays\nSELECT id, name FROM goods WHERE id < 3 ORDER BY id",
            json!([[1, "n1"], [2, "n2"]]),
        ),
        plain(
            "-- @returns row\nSELECT id, name FROM goods WHERE id = 1",
            json!({"id": 1, "name": "n1"}),
        ),
        plain(
            "-- @returns value\nSELECT id FROM goods WHERE id = 9",
            json!(null),
        ),
        plain("-- @returns none\nSELECT id FROM goods", json!(null)),
        plain("-- @returns count\nSELECT id FROM goods", json!(5)),
        (
            "-- @param x int = 7\n-- @returns value\nSELECT pg_typeof(:x) || ' ' || :x",
            json!([]),
            json!({}),
            json!("integer 7"),
        ),
        (
            "-- @param x int\nSELECT :x AS x",
            json!([]),
            json!({"x": "seven"}),
            json!("error: wamp.error.invalid_argument argument `x`: wanted "),
        ),
        plain(
            "-- @param x int\nSELECT :x AS x",
            json!("error: wamp.error.invalid_argument argument `x` is missing: wanted int4"),
        ),
        (
            "-- @param x int\nSELECT :x AS x",
            json!([]),
            json!({"x": 1, "y": 2}),
            json!("error: wamp.error.invalid_argument there is no argument `y`"),
        ),
        plain(
            "-- All of it, or nothing.\n-- @result first\n-- @single\nINSERT INTO goods VALUES (6) RETURNING id;\n\
             -- @skip\nUPDATE goods SET name = 'six' WHERE id = 6;\n\
             -- @result all\n-- @returns value\nSELECT count(*) FROM goods",
            json!({"first": {"id": 6}, "all": 6}),
        ),
        plain(
            "INSERT INTO goods VALUES (7); INSERT INTO goods VALUES (1)",
            json!("error: duplicate key"),
        ),
        plain(count, json!(6)),
    ];
    expect(&rows, "sql_options", backend);
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
    let mut bench = Bench::start("sql_secret", backend, &tables, &texts, "trace");
    let mut client = Client::join(bench.node.address());
    for n in 0..texts.len() {
        for (args, kwargs) in [
            (json!([WORD]), json!({})),
            (json!([]), json!({"card": WORD})),
        ] {
            let answer = call(&mut client, n, &args, &kwargs);
            let told = format!("{answer:?}");
            assert!(!told.contains(WORD), "{}: {told}", texts[n]);
            assert_eq!(answer.outcome.is_ok(), n == 5, "{}: {told}", texts[n]);
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
    let answer = call(&mut client, 0, &json!([WORD, WORD]), &json!({}));
    assert!(!format!("{answer:?}").contains(WORD), "{answer:?}");
    bench.node.wait_for_log("slow query");
    let log = bench.node.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"));
    let line = log.lines().find(|line| line.contains(WORD));
    assert_eq!(line, None);
}

fn real_conflicts_are_tried_again(backend: Backend) {
    let tables = "CREATE TABLE purses (id int PRIMARY KEY, coins int);
                  INSERT INTO purses VALUES (1, 1000), (2, 1000), (3, 0)";
    // Both ways at once they wait for each other.
    let give = |options: &str| {
        format!(
            "{options}\nUPDATE purses SET coins = coins - 1 WHERE id = :a;\n-- @skip\nSELECT pg_sleep(0.005);\n\
             UPDATE purses SET coins = coins + 1 WHERE id = :b"
        )
    };
    // What both read before either writes.
    let add = |options: &str| {
        format!(
            "-- @isolation serializable\n{options}\nSELECT coins FROM purses WHERE id = 3;\n\
             UPDATE purses SET coins = coins + 1 WHERE id = 3"
        )
    };
    let texts = [
        give("-- @retry 100"),
        give("-- @retry 0"),
        add("-- @retry 100"),
        add("-- @retry 0"),
    ];
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let bench = Bench::start(
        "sql_conflicts",
        backend,
        tables,
        &texts,
        "warn,wampgres::component=info",
    );
    let mut sql = bench.database.client();
    let settings = format!(
        "ALTER DATABASE {} SET deadlock_timeout = '20ms'",
        bench.database.name()
    );
    sql.batch_execute(&settings).expect("settings");
    assert!(bench.database.observe().terminate_backends() > 0);

    let address = bench.node.address();
    // A pair of calls at once, until it has been seen that they conflict: those that are not tried again
    // fail by it, the others never do.
    let conflicts = |n: usize, args: [Value; 2], sqlstate: &str| {
        let is_over = |answers: &[Answer]| {
            let failed = answers
                .iter()
                .filter_map(|answer| answer.outcome.as_ref().err());
            failed
                .map(|error| assert_eq!(error.details["sqlstate"], sqlstate, "{error:?}"))
                .count()
                > 0
        };
        loop {
            let pair = |n: usize| {
                thread::scope(|scope| {
                    let calls = args.each_ref().map(|args| {
                        scope.spawn(|| call(&mut Client::join(address), n, args, &json!({})))
                    });
                    calls.map(|call| call.join().expect("an answer"))
                })
            };
            for answer in pair(n) {
                answer.result();
            }
            if is_over(&pair(n + 1)) {
                return;
            }
        }
    };
    conflicts(0, [json!([1, 2]), json!([2, 1])], "40P01");
    conflicts(2, [json!([]), json!([])], "40001");
    let row = sql.query_one("SELECT sum(coins) FROM purses WHERE id < 3", &[]);
    assert_eq!(row.expect("a row").get::<_, i64>(0), 2000);
}
