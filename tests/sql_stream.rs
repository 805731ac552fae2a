//! Procedures in SQL that answer in parts (`returns stream`): what the node holds of them, who gets
//! them as a whole, and how they end.

use serde_json::{Value, json};

use crate::{
    memory::resident,
    support::{
        answer::CallError,
        backends::{Backend, on_each_backend},
        node::{HERE, Node, config, container, router},
        postgres::{Database, Observer},
        websocket::{Client, Received, code},
    },
};

const ROWS: u64 = 1_000_000;
/// How much more memory than before the node may take meanwhile.
const FLAT: usize = 32 << 20;
/// More than all buffers between the node and a client that does not read hold.
const MANY: u64 = 10_000_000;

const NUMBERS: &str = "com.shop.numbers";
/// Quick, on the same pool.
const ONE: &str = "com.shop.one";

on_each_backend![
    a_million_rows_leave_the_memory_flat_and_a_caller_that_stops_reading_stops_the_backend,
    who_takes_no_parts_has_all_of_it_up_to_the_limits,
    a_call_that_ends_early_gives_its_connection_back,
    an_error_in_the_middle_is_one_error_after_the_rows_before_it,
    the_limits_are_those_of_a_part,
    what_is_streamed_takes_effect_and_is_prepared_when_it_can_be,
    a_stream_is_begun_again_before_its_first_part,
    half_of_the_connections_are_left_to_others,
];

/// A node whose database has so many connections, with the procedure [`NUMBERS`], [`ONE`] and others.
struct Bench {
    node: Node,
    database: Database,
    activity: Observer,
}

impl Bench {
    fn start(name: &str, backend: Backend, cp_max: u32, others: Value) -> Self {
        let database = Database::create(name, backend);
        let mut settings = database.extra();
        settings["cp_max"] = json!(cp_max);
        settings["cp_min"] = json!(1);
        // In the list of what is selected they come one by one.
        let numbers = "SELECT n, md5(n::text) AS hash
                       FROM (SELECT generate_series(1, :count::bigint) AS n) AS numbers";
        let mut procedures = json!({
            NUMBERS: {"sql": numbers, "returns": "stream"},
            ONE: {"sql": "SELECT 1", "returns": "value"},
        });
        let all = procedures.as_object_mut().expect("an object");
        all.extend(others.as_object().cloned().unwrap_or_default());
        let extra = json!({"database": settings, "procedures": procedures});
        let mut node = Node::start(&config(&[
            router(),
            container("sql.Procedures", HERE, extra),
        ]));
        node.wait_for_log("procedures in SQL are prepared");
        let activity = database.observe();
        Self {
            node,
            database,
            activity,
        }
    }

    fn join(&self) -> Client {
        Client::join(self.node.address())
    }
}

fn begin(client: &mut Client, uri: &str, args: Value, mut options: Value) -> u64 {
    let request = client.next_request();
    options["receive_progress"] = json!(true);
    client.send(&json!([code::CALL, request, options, uri, args]));
    request
}

/// The parts of a call and how it has ended; `seen` is called after each part.
fn read(
    client: &mut Client,
    request: u64,
    mut seen: impl FnMut(&mut Vec<Value>),
) -> (Vec<Value>, Result<(), CallError>) {
    let mut rows = Vec::new();
    loop {
        let Received::Text(text) = client.receive() else {
            continue;
        };
        let message: Value = serde_json::from_str(&text).expect("JSON");
        if message[2]["progress"] == true {
            assert_eq!(message[1], request);
            rows.extend(message[3][0].as_array().expect("rows").iter().cloned());
            seen(&mut rows);
            continue;
        }
        let answer = crate::support::answer::Answer::of(&message);
        assert_eq!(answer.request, request);
        let end = answer.outcome.map(|last| assert_eq!(last, Value::Null));
        // There is no second answer.
        assert_eq!(client.result_of(ONE, &json!([])), json!([1]));
        return (rows, end);
    }
}

/// All rows of a call that ends well.
fn rows(client: &mut Client, uri: &str, args: Value) -> Vec<Value> {
    let request = begin(client, uri, args, json!({}));
    let (rows, end) = read(client, request, |_| {});
    end.unwrap_or_else(|error| panic!("{error:?}"));
    rows
}

/// The error that a call ends with, after what came before.
fn error(client: &mut Client, uri: &str, args: Value) -> (usize, CallError) {
    let request = begin(client, uri, args, json!({}));
    let (rows, end) = read(client, request, |_| {});
    (rows.len(), end.expect_err("it was to fail"))
}

/// Reads numbers to their end, and keeps none of them.
fn count(client: &mut Client, request: u64, mut seen: impl FnMut(u64)) -> u64 {
    let mut counted = 0;
    let (left, end) = read(client, request, |rows| {
        for row in rows.drain(..) {
            counted += 1;
            assert_eq!(row["n"], counted);
        }
        seen(counted);
    });
    end.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(left.is_empty());
    counted
}

fn a_million_rows_leave_the_memory_flat_and_a_caller_that_stops_reading_stops_the_backend(
    backend: Backend,
) {
    let mut bench = Bench::start("sql_streamed", backend, 5, json!({}));
    let [mut reading, mut stopping, mut other] = [(); 3].map(|()| bench.join());
    // Once, so that there is what a first call needs.
    assert_eq!(rows(&mut reading, NUMBERS, json!([10_000])).len(), 10_000);
    let before = resident(&bench.node);
    let mut most = 0;

    let stopped = begin(&mut stopping, NUMBERS, json!([ROWS]), json!({}));
    bench.activity.wait_for_waiting(1);
    let request = begin(&mut reading, NUMBERS, json!([ROWS]), json!({}));
    let counted = count(&mut reading, request, |rows| {
        // It is a slow one: between two parts it waits for another call.
        assert_eq!(other.result_of(ONE, &json!([])), json!([1]));
        if rows % 50_000 == 0 {
            most = most.max(resident(&bench.node));
        }
    });
    assert_eq!(counted, ROWS);
    // The other one has not moved meanwhile, and all of it is there.
    bench.activity.wait_for_waiting(1);
    assert_eq!(count(&mut stopping, stopped, |_| {}), ROWS);
    most = most.max(resident(&bench.node));
    eprintln!("{} KiB before, {} KiB at most", before >> 10, most >> 10);
    assert!(most < before + FLAT, "{before} before, {most} at most");
    bench.activity.wait_for_end();
}

fn who_takes_no_parts_has_all_of_it_up_to_the_limits(backend: Backend) {
    let few = json!({
        "com.shop.few": {
            "sql": "SELECT generate_series(1, :n) AS n", "returns": "stream", "max_rows": 3, "batch": 2
        },
        "com.shop.wide": {
            "sql": "SELECT repeat('x', :n) AS x", "returns": "stream", "max_bytes": 1000
        },
    });
    let bench = Bench::start("sql_streamed_as_a_whole", backend, 2, few);
    let mut client = bench.join();
    let three = json!([{"n": 1}, {"n": 2}, {"n": 3}]);
    assert_eq!(
        client.result_of("com.shop.few", &json!([3])),
        json!([three])
    );
    assert_eq!(client.result_of("com.shop.few", &json!([0])), json!([[]]));
    for (uri, most, words) in [
        ("com.shop.few", 4, "more than 3 rows, the `max_rows`"),
        (
            "com.shop.wide",
            1001,
            "more than 1000 bytes, the `max_bytes`",
        ),
        (NUMBERS, 10_001, "more than 10000 rows, the `max_rows`"),
    ] {
        let request = client.call(uri, &json!([most]));
        let error = client.answer_to(request);
        let error = error.error("wamp.error.payload_size_exceeded");
        assert!(error.message.contains(words), "{error:?}");
        assert!(error.message.contains("receive_progress"), "{error:?}");
    }
    // Who takes parts has no limit of rows.
    assert_eq!(rows(&mut client, "com.shop.few", json!([7])).len(), 7);
    assert_eq!(
        rows(&mut client, "com.shop.few", json!([0])),
        [] as [Value; 0]
    );
}

fn a_call_that_ends_early_gives_its_connection_back(backend: Backend) {
    // With one connection, a quick call shows that it is back.
    let mut bench = Bench::start("sql_streamed_in_part", backend, 1, json!({}));
    for mode in ["kill", "killnowait", "skip"] {
        for waits in [true, false] {
            let mut client = bench.join();
            let request = begin(&mut client, NUMBERS, json!([MANY]), json!({}));
            if waits {
                bench.activity.wait_for_waiting(1);
            }
            client.message();
            client.cancel(request, Some(mode));
            let (_, end) = read(&mut client, request, Vec::clear);
            assert_eq!(end.expect_err("it is over").uri, "wamp.error.canceled");
            bench.activity.wait_for_end();
        }
    }
    for waits in [true, false] {
        let mut client = bench.join();
        begin(&mut client, NUMBERS, json!([MANY]), json!({}));
        if waits {
            bench.activity.wait_for_waiting(1);
        } else {
            client.message();
        }
        // The caller leaves.
        drop(client);
        bench.activity.wait_for_end();
        assert_eq!(bench.join().result_of(ONE, &json!([])), json!([1]));
    }
    // Whoever reads nothing has no new part, which would begin the timeout of the call anew.
    let mut client = bench.join();
    let short = json!({"timeout": 1000});
    let request = begin(&mut client, NUMBERS, json!([MANY]), short);
    bench.activity.wait_for_waiting(1);
    bench.activity.wait_for_end();
    let (_, end) = read(&mut client, request, Vec::clear);
    assert_eq!(end.expect_err("it is over").uri, "wamp.error.timeout");
    // The connection itself is lost.
    let request = begin(&mut client, NUMBERS, json!([MANY]), json!({}));
    client.message();
    assert!(bench.activity.terminate_backends() > 0);
    let (_, end) = read(&mut client, request, Vec::clear);
    assert!(end.is_err());
}

fn an_error_in_the_middle_is_one_error_after_the_rows_before_it(backend: Backend) {
    let wrong = json!({"com.shop.wrong": {
        "sql": "SELECT n, 1 / (5000 - n) AS q FROM (SELECT generate_series(1, 10000) AS n) AS numbers",
        "returns": "stream"
    }});
    let mut bench = Bench::start("sql_streamed_wrong", backend, 1, wrong);
    let mut client = bench.join();
    for _ in 0..3 {
        let (came, error) = error(&mut client, "com.shop.wrong", json!([]));
        assert!((4000..5000).contains(&came), "{came}");
        assert!(error.message.contains("division by zero"), "{error:?}");
        assert_eq!(error.details["sqlstate"], "22012");
        bench.activity.wait_for_end();
    }
    // One that fails before there is anything to send.
    let (came, error) = error(&mut client, NUMBERS, json!(["x"]));
    assert_eq!((came, &*error.uri), (0, "wamp.error.invalid_argument"));
    assert!(error.message.contains("argument `count`"), "{error:?}");
}

fn the_limits_are_those_of_a_part(backend: Backend) {
    let slow = |timeout: &str| {
        json!({
            "sql": "SELECT n, pg_sleep(0.05)::text AS slept \
                    FROM (SELECT generate_series(1, 40) AS n) AS numbers",
            "returns": "stream", "batch": 4, "timeout": timeout
        })
    };
    let others = json!({
        "com.shop.wide": {
            "sql": "SELECT repeat('x', n * 100) AS x FROM (SELECT generate_series(1, 20) AS n) AS numbers",
            "returns": "stream", "batch": 2, "max_bytes": 2000
        },
        // It takes two seconds in all, and a part 0.2 s.
        "com.shop.slow": slow("1s"),
        "com.shop.slower": slow("150ms"),
    });
    let bench = Bench::start("sql_streamed_limits", backend, 2, others);
    let mut client = bench.join();
    // 900 and 1000 bytes fit, 1100 and 1200 do not.
    let (came, told) = error(&mut client, "com.shop.wide", json!([]));
    assert_eq!((came, &*told.uri), (10, "wamp.error.payload_size_exceeded"));
    let why = "a part of the result has more than 2000 bytes, the `max_bytes` of the procedure: make \
               its `batch` smaller, or raise it";
    assert_eq!(told.message, why);
    assert_eq!(rows(&mut client, "com.shop.slow", json!([])).len(), 40);
    let (came, told) = error(&mut client, "com.shop.slower", json!([]));
    assert_eq!(came, 0);
    assert!(told.message.contains("statement timeout"), "{told:?}");
}

fn what_is_streamed_takes_effect_and_is_prepared_when_it_can_be(backend: Backend) {
    let others = json!({
        "com.shop.add": {
            "sql": "INSERT INTO late SELECT generate_series(1, :n) RETURNING id", "returns": "stream",
            "batch": 2, "max_affected": 5
        },
        "com.shop.read_only": {
            "sql": "SELECT current_setting('transaction_read_only') AS it", "returns": "stream",
            "read_only": true
        }
    });
    let mut bench = Bench::start("sql_streamed_late", backend, 1, others);
    let mut client = bench.join();
    let (_, told) = error(&mut client, "com.shop.add", json!([5]));
    assert!(told.message.contains("(SQLSTATE 42P01)"), "{told:?}");
    let mut sql = bench.database.client();
    sql.batch_execute("CREATE TABLE late (id int)")
        .expect("DDL");
    assert_eq!(rows(&mut client, "com.shop.add", json!([5])).len(), 5);
    let mut count = || -> i64 {
        let row = sql.query_one("SELECT count(*) FROM late", &[]);
        row.expect("a row").get(0)
    };
    assert_eq!(count(), 5);
    let (came, told) = error(&mut client, "com.shop.add", json!([6]));
    assert_eq!(came, 0);
    assert!(told.message.contains("`max_affected`"), "{told:?}");
    // One that is not read to its end has no effect.
    assert_eq!(count(), 5);
    let on = rows(&mut client, "com.shop.read_only", json!([]));
    assert_eq!(on, [json!({"it": "on"})]);
    bench.activity.wait_for_end();
}

fn a_stream_is_begun_again_before_its_first_part(backend: Backend) {
    let conflict = "UPDATE counted SET n = n + 1 RETURNING n";
    let others = json!({
        "com.shop.again": {
            "sql": conflict, "returns": "stream", "isolation": "repeatable_read", "retry": 5
        },
        "com.shop.once": {"sql": conflict, "returns": "stream", "isolation": "repeatable_read"}
    });
    let mut bench = Bench::start("sql_streamed_again", backend, 4, others);
    let mut sql = bench.database.client();
    sql.batch_execute("CREATE TABLE counted AS SELECT 1 AS n")
        .expect("DDL");
    let mut client = bench.join();
    assert_eq!(
        rows(&mut client, "com.shop.again", json!([])),
        [json!({"n": 2})]
    );
    for (uri, is_again) in [("com.shop.again", true), ("com.shop.once", false)] {
        // It waits for the row, and finds it changed after its snapshot.
        let mut other = sql.transaction().expect("a transaction");
        other
            .execute("UPDATE counted SET n = 10", &[])
            .expect("DML");
        let request = begin(&mut client, uri, json!([]), json!({}));
        bench.activity.wait_for_blocked(1);
        other.commit().expect("a commit");
        let (rows, end) = read(&mut client, request, |_| {});
        if is_again {
            assert_eq!((rows, end), (vec![json!({"n": 11})], Ok(())));
        } else {
            assert_eq!(end.expect_err("it conflicts").details["sqlstate"], "40001");
        }
    }
}

fn half_of_the_connections_are_left_to_others(backend: Backend) {
    let mut bench = Bench::start("sql_streamed_at_once", backend, 4, json!({}));
    let mut clients = [(); 3].map(|()| bench.join());
    for client in &mut clients {
        begin(client, NUMBERS, json!([MANY]), json!({}));
    }
    bench.activity.wait_for_waiting(2);
    assert_eq!(bench.join().result_of(ONE, &json!([])), json!([1]));
    bench.activity.wait_for_waiting(2);
    drop(clients);
    bench.activity.wait_for_end();
}
