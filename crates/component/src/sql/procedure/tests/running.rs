//! How procedures run: limits, transactions, tries, cancelling.

use std::{sync::mpsc, thread};

use super::*;

#[test]
fn limits_are_told_and_never_cut() {
    for (text, option) in [
        (
            "-- @max_rows 2\nSELECT id FROM goods",
            "more than 2 rows, the `max_rows`",
        ),
        (
            "-- @max_bytes 1000\nSELECT repeat('x', 1001)",
            "more than 1000 bytes, the `max_bytes`",
        ),
        (
            "SELECT generate_series(1, 10001)",
            "more than 10000 rows, the `max_rows`",
        ),
    ] {
        let told = call(&procedure(text), json!([]), json!({})).unwrap_err();
        assert!(
            told.starts_with("wamp.error.payload_size_exceeded: "),
            "{told}"
        );
        assert!(told.contains(option), "{told}");
    }
    let fits = procedure("-- @max_rows 3\nSELECT id FROM goods ORDER BY id");
    assert_eq!(
        call(&fits, json!([]), json!({})).unwrap()[2],
        json!({"id": 3})
    );
}

#[test]
fn what_changes_too_much_is_undone() {
    run(&*database(), "CREATE TABLE many (n int PRIMARY KEY)");
    run(
        &*database(),
        "INSERT INTO many SELECT generate_series(1, 10)",
    );
    let sum = || value("SELECT sum(n) FROM many");
    for (text, uri, why) in [
        (
            "-- @max_affected 9\nUPDATE many SET n = n + 100",
            "wamp.error.runtime_error",
            "changes 10 rows in a statement, more than 9, its `max_affected`",
        ),
        (
            "-- @max_affected 9\nUPDATE many SET n = n + 100 RETURNING n",
            "wamp.error.runtime_error",
            "changes 10 rows in a statement, more than 9, its `max_affected`",
        ),
        (
            "-- @max_rows 9\nUPDATE many SET n = n + 100 RETURNING n",
            "wamp.error.payload_size_exceeded",
            "gives 10 rows, more than 9, its `max_rows`",
        ),
        (
            "-- @max_affected 0\nWITH gone AS (SELECT 1 AS n) DELETE FROM many USING gone WHERE many.n = gone.n",
            "wamp.error.runtime_error",
            "changes 1 rows in a statement, more than 0",
        ),
        (
            "-- @max_affected 9\nINSERT INTO many VALUES (11); DELETE FROM many",
            "wamp.error.runtime_error",
            "changes 11 rows in a statement, more than 9",
        ),
    ] {
        let told = call(&procedure(text), json!([]), json!({})).unwrap_err();
        assert!(told.starts_with(uri) && told.contains(why), "{told}");
        assert_eq!(sum(), 55, "{text}");
    }
}

#[test]
fn what_keeps_its_limits_runs_and_a_dry_run_has_no_effect() {
    run(&*database(), "CREATE TABLE few (n int PRIMARY KEY)");
    run(
        &*database(),
        "INSERT INTO few SELECT generate_series(1, 10)",
    );
    let sum = || value("SELECT sum(n) FROM few");
    for (text, answer) in [
        ("-- @max_affected 10\nUPDATE few SET n = n", json!(10)),
        (
            "-- @max_affected 1\nUPDATE few SET n = n WHERE n = :n := 3 RETURNING n",
            json!([{"n": 3}]),
        ),
        ("-- @max_affected 0\nDELETE FROM few WHERE n = 99", json!(0)),
        (
            "-- @max_rows 1\nWITH kept AS (UPDATE few SET n = n WHERE n = 4 RETURNING n) SELECT n FROM kept",
            json!([{"n": 4}]),
        ),
        (
            "-- @max_affected 2\nSELECT n FROM few ORDER BY n DESC LIMIT 3",
            json!([{"n": 10}, {"n": 9}, {"n": 8}]),
        ),
        (
            "-- @dry_run\nDELETE FROM few; SELECT count(*) AS n FROM few",
            json!([{"n": 0}]),
        ),
        ("-- @dry_run\nUPDATE few SET n = -n", json!(10)),
    ] {
        assert_eq!(
            call(&procedure(text), json!([]), json!({})),
            Ok(answer),
            "{text}"
        );
        assert_eq!(sum(), 55, "{text}");
    }
    run(
        &*database(),
        "CREATE TABLE late_check (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    );
    let twice = procedure("-- @dry_run\nINSERT INTO late_check VALUES (1), (1)");
    let told = call(&twice, json!([]), json!({})).unwrap_err();
    assert!(told.contains("duplicate key"), "{told}");
}

#[test]
fn the_transaction_is_as_the_options_say() {
    let shown = procedure(
        "-- @isolation serializable\n-- @read_only\n-- @timeout 1min\n-- @returns row\n\
         SELECT current_setting('transaction_isolation') i, current_setting('transaction_read_only') r, \
         current_setting('statement_timeout') t",
    );
    let answer = json!({"i": "serializable", "r": "on", "t": "1min"});
    assert_eq!(call(&shown, json!([]), json!({})), Ok(answer));
    let slow = procedure("-- @timeout 50ms\nSELECT pg_sleep(30)");
    let told = call(&slow, json!([]), json!({})).unwrap_err();
    assert!(told.contains("statement timeout"), "{told}");
    let writing = procedure("-- @read_only\nINSERT INTO log VALUES ('no')");
    let told = call(&writing, json!([]), json!({})).unwrap_err();
    assert!(told.contains("read-only transaction"), "{told}");
}

#[test]
fn what_others_have_disturbed_is_tried_again() {
    run(&*database(), "CREATE TABLE counter (n int)");
    run(&*database(), "INSERT INTO counter VALUES (0)");
    let disturbed = "-- @isolation serializable\n-- @retry {}\nUPDATE counter SET n = n + 1;\n\
                     SELECT pg_sleep(0.01)";
    let counting = procedure(&disturbed.replace("{}", "100"));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let counting = counting.clone();
            thread::spawn(move || {
                for _ in 0..5 {
                    call(&counting, json!([]), json!({})).unwrap();
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(value("SELECT n::int8 FROM counter"), 20);
    let never = procedure(
        "-- @retry 2\nDO $$ BEGIN INSERT INTO log VALUES ('x'); RAISE SQLSTATE '40001'; END $$",
    );
    let told = call(&never, json!([]), json!({})).unwrap_err();
    assert!(told.contains("40001"), "{told}");
}

#[test]
fn a_call_that_is_cancelled_ends_its_statement() {
    for text in [
        "SELECT pg_sleep(60), 'straight'",
        "-- @retry 1\nSELECT pg_sleep(60), 'careful'",
    ] {
        let slow = procedure(text);
        let (send, receive) = mpsc::channel();
        slow.prepare(move |result| send.send(result.is_ok()).unwrap());
        assert!(receive.recv_timeout(LIMIT).unwrap());
        let Ok(Reply::Later(later)) = begin(&slow, &json!([]), &json!({})) else {
            panic!("it was to come later")
        };
        let mark = text.rsplit('\'').nth(1).unwrap();
        let running = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> \
             pg_backend_pid() AND query LIKE '%pg_sleep(60)%{mark}%'"
        );
        let eventually = |count| {
            while value(&running) != count {
                thread::yield_now();
            }
        };
        eventually(1);
        later.cancel_handle().cancel();
        let error = end(Ok(Reply::Later(later))).unwrap_err();
        assert_eq!(error.uri().as_str(), "wamp.error.canceled");
        eventually(0);
    }
}
