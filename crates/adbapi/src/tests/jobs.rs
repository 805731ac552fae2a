//! Owns the tests of what jobs do while nothing is wrong with the server.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use postgres::error::SqlState;

use super::{
    super::{Error, Params, deferred, params},
    LIMIT, outcome, pool, value,
};

#[test]
fn a_query_gives_its_rows_with_their_types() {
    let pool = pool(|b| b);
    let sql = "SELECT $1::text, $2::int4, $3::float8, $4::bytea, $5::int8, true";
    let values = params!["Dresden", 42_i32, 1.5_f64, vec![0_u8, 255], None::<i64>];
    let rows = outcome(pool.run_query(sql, values)).unwrap();
    let row = &rows[0];
    assert_eq!(row.get::<_, String>(0), "Dresden");
    assert_eq!((row.get::<_, i32>(1), row.get::<_, f64>(2)), (42, 1.5));
    assert_eq!(row.get::<_, Vec<u8>>(3), [0, 255]);
    assert_eq!(
        (row.get::<_, Option<i64>>(4), row.get::<_, bool>(5)),
        (None, true)
    );
}

#[test]
fn an_operation_gives_the_number_of_rows() {
    let pool = pool(|b| b);
    assert_eq!(
        outcome(pool.run_operation("CREATE TABLE operation (x int)", ())).unwrap(),
        0
    );
    let insert = pool.run_operation(
        "INSERT INTO operation SELECT generate_series(1, $1)",
        params![7_i32],
    );
    assert_eq!(outcome(insert).unwrap(), 7);
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM operation"), 7);
}

#[test]
fn an_interaction_works_like_a_cursor() {
    let pool = pool(|b| b);
    let result = pool.run_interaction(|txn| {
        assert_eq!((txn.row_count(), txn.fetch_one().is_some()), (None, false));
        let name = String::from("borrowed");
        txn.execute(
            "CREATE TEMPORARY TABLE cursor ON COMMIT DROP AS SELECT $1::text t",
            params![&name],
        )?;
        assert_eq!(
            txn.execute(
                "INSERT INTO cursor VALUES ('b'), ('c'), ('d') RETURNING t",
                ()
            )?,
            3
        );
        assert_eq!(txn.fetch_all().len(), 3);
        assert_eq!(txn.execute("SELECT t FROM cursor ORDER BY t", ())?, 4);
        let first: String = txn.fetch_one().unwrap().try_get(0)?;
        let (two, rest) = (txn.fetch_many(2), txn.fetch_all());
        assert_eq!((two.len(), rest.len(), txn.fetch_many(1).len()), (2, 1, 0));
        assert_eq!(txn.execute("UPDATE cursor SET t = 'x'", ())?, 4);
        assert_eq!((txn.row_count(), txn.fetch_all().len()), (Some(4), 0));
        Ok(first)
    });
    assert_eq!(outcome(result).unwrap(), "b");
}

#[test]
fn an_interaction_commits() {
    let pool = pool(|b| b);
    outcome(pool.run_operation("CREATE TABLE commits (x int)", ())).unwrap();
    outcome(pool.run_interaction(|txn| txn.execute("INSERT INTO commits VALUES (1)", ()))).unwrap();
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM commits"), 1);
}

#[test]
fn an_interaction_that_fails_half_way_leaves_nothing_behind_and_keeps_its_error() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE half (x int)", ())).unwrap();
    let sql_error = pool.run_interaction(|txn| {
        txn.execute("INSERT INTO half VALUES (1)", ())?;
        txn.execute("SELECT * FROM notable", ())
    });
    let error = outcome(sql_error).unwrap_err();
    assert_eq!(error.sqlstate(), Some(&SqlState::UNDEFINED_TABLE));
    assert!(
        error.to_string().contains("\"notable\" does not exist"),
        "{error}"
    );
    let own_error = pool.run_interaction(|txn| {
        txn.execute("INSERT INTO half VALUES (2)", ())?;
        Err::<(), _>(Error::custom("changed my mind"))
    });
    assert_eq!(
        outcome(own_error).unwrap_err().to_string(),
        "changed my mind"
    );
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM half"), 0);
}

#[test]
fn a_panic_rolls_back_discards_the_connection_and_spares_the_worker() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE panics (x int)", ())).unwrap();
    let before: i32 = value(&pool, "SELECT pg_backend_pid()");
    let result = pool.run_interaction(|txn| {
        txn.execute("INSERT INTO panics VALUES (1)", ())?;
        if txn.row_count() == Some(1) {
            panic!("boom {}", 1);
        }
        Ok(())
    });
    let Err(Error::Panicked(message)) = outcome(result) else {
        panic!("no panic")
    };
    assert_eq!(&*message, "boom 1");
    assert_ne!(value::<i32>(&pool, "SELECT pg_backend_pid()"), before);
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM panics"), 0);
}

#[test]
fn an_aborted_interaction_that_says_ok_is_an_error_and_names_the_cause() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE aborts (x int)", ())).unwrap();
    let swallowed = pool.run_interaction(|txn| {
        txn.execute("INSERT INTO aborts VALUES (1)", ())?;
        let _ = txn.execute("SELECT 1/0", ());
        Ok(())
    });
    let error = outcome(swallowed).unwrap_err();
    assert!(
        matches!(&error, Error::Aborted(cause) if cause.contains("division by zero")),
        "{error}"
    );
    let unseen = pool.run_with_connection(|conn| {
        conn.execute("INSERT INTO aborts VALUES (2)", ())?;
        let _ = conn.client().batch_execute("SELECT 1/0");
        Ok(())
    });
    assert!(matches!(outcome(unseen).unwrap_err(), Error::Aborted(_)));
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM aborts"), 0);
}

#[test]
fn a_savepoint_lets_an_interaction_go_on_after_an_error() {
    let pool = pool(|b| b);
    let result = pool.run_interaction(|txn| {
        txn.execute("SAVEPOINT before", ())?;
        assert!(txn.execute("SELECT 1/0", ()).is_err());
        txn.execute("ROLLBACK TO before", ())?;
        Ok(txn.query("SELECT 5", ())?[0].get::<_, i32>(0))
    });
    assert_eq!(outcome(result).unwrap(), 5);
}

#[test]
fn a_commit_that_fails_is_the_jobs_error() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let table = "CREATE TABLE late_check (x int UNIQUE DEFERRABLE INITIALLY DEFERRED)";
    outcome(pool.run_operation(table, ())).unwrap();
    let twice =
        pool.run_interaction(|txn| txn.execute("INSERT INTO late_check VALUES (1), (1)", ()));
    assert_eq!(
        outcome(twice).unwrap_err().sqlstate(),
        Some(&SqlState::UNIQUE_VIOLATION)
    );
    let before: i32 = value(&pool, "SELECT pg_backend_pid()");
    let twice_after_a_savepoint = pool.run_interaction(|txn| {
        txn.execute("SAVEPOINT s", ())?;
        txn.execute("SELECT 1/0", ()).unwrap_err();
        txn.execute("ROLLBACK TO s", ())?;
        txn.execute("INSERT INTO late_check VALUES (1), (1)", ())
    });
    let error = outcome(twice_after_a_savepoint).unwrap_err();
    assert_eq!(error.sqlstate(), Some(&SqlState::UNIQUE_VIOLATION));
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM late_check"), 0);
    assert_eq!(value::<i32>(&pool, "SELECT pg_backend_pid()"), before);
}

#[test]
fn ending_the_transaction_is_refused_before_it_is_sent() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE refused (x int)", ())).unwrap();
    let result = pool.run_interaction(|txn| {
        txn.execute("INSERT INTO refused VALUES (1)", ())?;
        txn.execute("/* done */ COMMIT", ())
    });
    assert!(matches!(
        outcome(result).unwrap_err(),
        Error::TransactionControl("COMMIT")
    ));
    assert!(matches!(
        outcome(pool.run_operation("BEGIN", ())).unwrap_err(),
        Error::TransactionControl("BEGIN")
    ));
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM refused"), 0);
}

#[test]
fn a_commit_behind_the_pools_back_costs_the_connection_and_leaves_the_next_job_a_clean_one() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let before: i32 = value(&pool, "SELECT pg_backend_pid()");
    let dirty = pool.run_with_connection(|conn| {
        Ok(conn
            .client()
            .batch_execute("COMMIT; SET work_mem = '77MB'; CREATE TEMPORARY TABLE left_over ()")?)
    });
    outcome(dirty).unwrap();
    assert_ne!(value::<i32>(&pool, "SELECT pg_backend_pid()"), before);
    assert_ne!(value::<String>(&pool, "SHOW work_mem"), "77MB");
    assert!(value::<bool>(
        &pool,
        "SELECT to_regclass('left_over') IS NULL"
    ));
}

#[test]
fn a_failed_interaction_leaves_settings_tables_and_cursors_as_they_were() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let before: (i32, String) = (
        value(&pool, "SELECT pg_backend_pid()"),
        value(&pool, "SHOW work_mem"),
    );
    let failed = pool.run_interaction(|txn| {
        txn.execute("SET work_mem = '77MB'", ())?;
        txn.execute("CREATE TEMPORARY TABLE leftover (x int)", ())?;
        txn.execute("DECLARE c CURSOR FOR SELECT generate_series(1, 1000)", ())?;
        assert_eq!(txn.execute("FETCH 10 FROM c", ())?, 10);
        txn.execute("SELECT 1/0", ())
    });
    outcome(failed).unwrap_err();
    assert_eq!(
        (
            value(&pool, "SELECT pg_backend_pid()"),
            value(&pool, "SHOW work_mem")
        ),
        before
    );
    assert!(value::<bool>(
        &pool,
        "SELECT to_regclass('leftover') IS NULL"
    ));
    assert_eq!(
        value::<i64>(&pool, "SELECT count(*) FROM pg_cursors WHERE name = 'c'"),
        0
    );
    let transaction = || value::<String>(&pool, "SELECT pg_current_xact_id()::text");
    assert_ne!(transaction(), transaction(), "a transaction is open");
}

#[test]
fn run_with_connection_commits_and_gives_the_bare_client_for_copy() {
    let pool = pool(|b| b);
    outcome(pool.run_operation("CREATE TABLE copied (x int)", ())).unwrap();
    let copied = pool.run_with_connection(|conn| {
        use std::io::Write as _;
        let mut copy = conn.client().copy_in("COPY copied FROM STDIN")?;
        copy.write_all(b"1\n2\n3\n").map_err(Error::custom)?;
        Ok(copy.finish()?)
    });
    assert_eq!(outcome(copied).unwrap(), 3);
    let sum = pool.run_with_connection(|conn| {
        Ok(conn.query("SELECT sum(x) FROM copied", ())?[0].get::<_, i64>(0))
    });
    assert_eq!(outcome(sum).unwrap(), 6);
}

#[test]
fn a_copy_that_nobody_feeds_does_not_spoil_the_connection() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE unfed (x int)", ())).unwrap();
    for _ in 0..2 {
        let copy = pool.run_operation("COPY unfed FROM STDIN", ());
        // In the queue already when the COPY fails.
        let next = pool.run_query("SELECT count(*) FROM unfed", ());
        outcome(copy).unwrap_err();
        assert_eq!(outcome(next).unwrap()[0].get::<_, i64>(0), 0);
    }
    for gives_up in [true, false] {
        let interaction = pool.run_interaction(move |txn| {
            let error = txn.execute("COPY unfed FROM STDIN", ()).unwrap_err();
            if gives_up {
                return Err(error);
            }
            txn.execute("SELECT 1", ())
        });
        outcome(interaction).unwrap_err();
        assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM unfed"), 0);
    }
}

#[test]
fn a_parameter_that_does_not_fit_is_the_callers_error_and_costs_no_connection() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let before: i32 = value(&pool, "SELECT pg_backend_pid()");
    for values in [params!["text"], params![1_i32, 2_i32], Params::new()] {
        let error = outcome(pool.run_query("SELECT $1::int4", values)).unwrap_err();
        assert!(
            matches!(error, Error::Database(_)) && !error.is_retryable(),
            "{error}"
        );
    }
    assert!(outcome(pool.run_query("SELECT 1\0", ())).is_err());
    assert_eq!(value::<i32>(&pool, "SELECT pg_backend_pid()"), before);
}

#[test]
fn serialization_failures_are_retryable() {
    let pool = pool(|b| b);
    let raise = "DO $$ BEGIN RAISE EXCEPTION 'try again' USING ERRCODE = '40001'; END $$";
    let error = outcome(pool.run_operation(raise, ())).unwrap_err();
    assert!(error.is_retryable() && error.db_error().unwrap().message() == "try again");
}

#[test]
fn notifications_that_nobody_reads_do_not_pile_up() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("LISTEN news", ())).unwrap();
    for _ in 0..10 {
        outcome(pool.run_operation("NOTIFY news", ())).unwrap();
    }
    let kept = pool.run_with_connection(|connection| Ok(connection.client().notifications().len()));
    assert_eq!(outcome(kept).unwrap(), 0);
}

#[test]
fn openfun_is_called_once_for_each_connection_before_its_first_job() {
    let opened = Arc::new(Mutex::new(Vec::new()));
    let seen = opened.clone();
    let pool = pool(move |b| {
        b.cp_max(3).cp_openfun(move |client| {
            let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
            client.batch_execute("SET my.greeting = 'hello'")?;
            seen.lock().unwrap().push(pid);
            Ok(())
        })
    });
    let jobs: Vec<_> = (0..30)
        .map(|_| {
            pool.run_query(
                "SELECT pg_backend_pid(), current_setting('my.greeting'), pg_sleep(0.01)",
                (),
            )
        })
        .collect();
    for job in jobs {
        let rows = outcome(job).unwrap();
        assert!(opened.lock().unwrap().contains(&rows[0].get(0)));
        assert_eq!(rows[0].get::<_, String>(1), "hello");
    }
    let mut pids = opened.lock().unwrap().clone();
    let count = pids.len();
    pids.sort_unstable();
    pids.dedup();
    assert!(
        pids.len() == count && count <= 3,
        "{count} calls for {} connections",
        pids.len()
    );
}

#[test]
fn on_connect_is_told_each_backend_and_sets_its_session_up() {
    let opened = Arc::new(Mutex::new(Vec::new()));
    let seen = opened.clone();
    let pool = pool(move |b| {
        b.on_connect(move |backend| {
            seen.lock().unwrap().push(backend);
            Ok(vec!["SET my.greeting = 'hello'".into()])
        })
    });
    let asked = "SELECT pg_backend_pid(), current_setting('my.greeting')";
    let rows = outcome(pool.run_query(asked, ())).unwrap();
    assert!(opened.lock().unwrap().contains(&rows[0].get(0)));
    assert_eq!(rows[0].get::<_, String>(1), "hello");

    let refusing = self::pool(|b| {
        b.connect_timeout(Duration::from_millis(500))
            .on_connect(|_| Err(sql::Error::config("not today")))
    });
    let error = outcome(refusing.run_query("SELECT 1", ())).unwrap_err();
    assert!(
        error.to_string().contains("on_connect failed: not today"),
        "{error}"
    );
}

#[test]
fn an_openfun_that_fails_or_panics_says_so_to_the_caller() {
    let pool_failing = pool(|b| {
        b.connect_timeout(Duration::from_millis(500))
            .cp_openfun(|client| client.batch_execute("SET nonsense TO 1"))
    });
    let error = outcome(pool_failing.run_query("SELECT 1", ())).unwrap_err();
    assert!(
        error.to_string().contains("cp_openfun failed") && error.to_string().contains("nonsense"),
        "{error}"
    );
    let pool_panicking = pool(|b| {
        b.connect_timeout(Duration::from_millis(500))
            .cp_openfun(|_| panic!("not today"))
    });
    let error = outcome(pool_panicking.run_query("SELECT 1", ())).unwrap_err();
    assert!(error.to_string().contains("not today"), "{error}");
}

#[test]
fn jobs_run_side_by_side_and_never_on_more_than_cp_max_connections() {
    let pool = pool(|b| b.cp_max(4).cp_name("side-by-side"));
    let busiest = Arc::new(AtomicU32::new(0));
    let running = Arc::new(AtomicU32::new(0));
    let jobs: Vec<_> = (0..12)
        .map(|_| {
            let (busiest, running) = (busiest.clone(), running.clone());
            pool.run_interaction(move |txn| {
                busiest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                txn.execute("SELECT pg_sleep(0.05)", ())?;
                running.fetch_sub(1, Ordering::SeqCst);
                let count =
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'side-by-side'";
                Ok(txn.query(count, ())?[0].get::<_, i64>(0))
            })
        })
        .collect();
    for job in jobs {
        assert!(outcome(job).unwrap() <= 4);
    }
    assert!((2..=4).contains(&busiest.load(Ordering::SeqCst)));
}

#[test]
fn callbacks_run_on_a_worker_and_their_panic_does_not_kill_it() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let (sent, received) = mpsc::channel();
    pool.run_query("SELECT 1", ()).on_result(move |rows| {
        sent.send((
            rows.unwrap().len(),
            std::thread::current().name().map(str::to_owned),
        ))
        .unwrap();
        panic!("in a callback");
    });
    let (rows, thread) = received.recv_timeout(LIMIT).unwrap();
    assert_eq!((rows, thread.as_deref()), (1, Some("db-worker-1")));
    assert_eq!(value::<i32>(&pool, "SELECT 2"), 2);
}

#[test]
fn a_full_queue_refuses_at_once_and_names_the_limit() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).queue_limit(2));
    let (started, has_started) = mpsc::channel();
    let (promise, go_on) = deferred::<()>();
    let running = pool.run_with_connection(move |_| {
        started.send(()).unwrap();
        go_on.wait()
    });
    has_started.recv_timeout(LIMIT).unwrap();
    let waiting = [
        pool.run_query("SELECT 1", ()),
        pool.run_query("SELECT 1", ()),
    ];
    let refused = pool
        .run_query("SELECT 1", ())
        .wait_timeout(Duration::ZERO)
        .expect("refused at once");
    let error = refused.unwrap_err();
    assert!(
        matches!(error, Error::QueueFull { limit: 2 }) && error.to_string().contains("queue_limit"),
        "{error}"
    );
    promise.resolve(Ok(()));
    outcome(running).unwrap();
    for job in waiting {
        outcome(job).unwrap();
    }
}
