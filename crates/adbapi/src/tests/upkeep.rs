//! Owns the tests of how connections age and change hosts, of statements without a cache, and of
//! what is logged.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, OnceLock, mpsc},
    time::{Duration, Instant},
};

use postgres::{config::TargetSessionAttrs, error::SqlState};

use super::{
    super::{ConnectionPool, Error, Stats, deferred, params},
    LIMIT,
    cluster::{Bouncer, Cluster},
    eventually,
    faults::warm,
    outcome, pool, terminate, value,
};

/// Everything that was logged by this process, from the first call on.
pub(super) fn logged() -> String {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    static LOG: OnceLock<Log> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        // Workers and r2d2's threads log too, so only a subscriber of the whole process sees
        // everything.
        tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
        log
    });
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

/// How many lines of the log have all of these.
pub(super) fn lines(parts: &[&str]) -> usize {
    let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    logged().lines().filter(has_all).count()
}

#[test]
fn connections_are_replaced_at_their_max_lifetime_without_failing_a_job() {
    let pool = pool(|b| {
        b.cp_max(1)
            .cp_min(0)
            .max_lifetime(Duration::from_millis(50))
    });
    let first: i32 = value(&pool, "SELECT pg_backend_pid()");
    eventually("another connection serves", || {
        value::<i32>(&pool, "SELECT pg_backend_pid()") != first
    });
}

#[test]
fn limits_without_end_end_nothing() {
    let pool = pool(|b| {
        b.cp_min(1)
            .cp_max(1)
            .connect_timeout(Duration::MAX)
            .statement_timeout(Duration::MAX)
            .queue_timeout(Duration::MAX)
            .idle_timeout(Duration::MAX)
            .max_lifetime(Duration::MAX)
            .close_grace(Duration::MAX)
    });
    let running = pool.run_query("SELECT pg_sleep(0.1)", ());
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    outcome(running).unwrap();
    pool.close();
}

#[test]
fn a_pool_that_has_grown_shrinks_to_cp_min_when_it_idles() {
    let pool = pool(|b| {
        b.cp_min(1)
            .cp_max(4)
            .cp_name("shrinks")
            .idle_timeout(Duration::from_millis(1))
    });
    warm(&pool, 4);
    assert_eq!(pool.stats().connections, 4);
    // r2d2 only looks for idle connections every half minute. PostgreSQL does the waiting, which
    // keeps nobody busy.
    let shrunk = "SET statement_timeout = '60s';
                  DO $$ BEGIN
                      WHILE (SELECT count(*) FROM pg_stat_activity
                             WHERE application_name = 'shrinks') > 1 LOOP
                          PERFORM pg_stat_clear_snapshot(), pg_sleep(0.1);
                      END LOOP;
                  END $$";
    Cluster::shared().client().batch_execute(shrunk).unwrap();
    eventually("cp_min is open", || pool.stats().connections == 1);
}

#[test]
fn without_a_statement_cache_nothing_stays_prepared_and_everything_works() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).statement_cache(0));
    outcome(pool.run_operation("CREATE TABLE uncached (x int)", ())).unwrap();
    let insert = "INSERT INTO uncached VALUES ($1)";
    assert_eq!(
        outcome(pool.run_operation(insert, params![1_i32])).unwrap(),
        1
    );
    let rows = outcome(pool.run_query("SELECT x + $1 FROM uncached", params![1_i32])).unwrap();
    assert_eq!(rows[0].get::<_, i32>(0), 2);
    outcome(pool.run_interaction(|txn| txn.execute("UPDATE uncached SET x = $1", params![3_i32])))
        .unwrap();
    assert_eq!(value::<i32>(&pool, "SELECT x FROM uncached"), 3);
    outcome(pool.run_operation("VACUUM uncached", ())).unwrap();
    let refused = outcome(pool.run_operation("BEGIN", ())).unwrap_err();
    assert!(matches!(refused, Error::TransactionControl(_)));
    let prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement !~ 'prepared'";
    assert_eq!(value::<i64>(&pool, prepared), 0);
}

#[test]
fn without_a_statement_cache_rows_of_types_seen_for_the_first_time_cost_no_job() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).statement_cache(0));
    for sql in [
        "CREATE TYPE mood AS ENUM ('merry')",
        "CREATE TYPE size AS ENUM ('small')",
        "CREATE TABLE seen_first (x size)",
    ] {
        outcome(pool.run_operation(sql, ())).unwrap();
    }
    outcome(pool.run_query("SELECT 'merry'::mood", ())).unwrap();
    // Ends the transaction of a job, and with it what the client library had prepared.
    outcome(pool.run_query("SELECT $1::int4", params![1])).unwrap();
    let insert = "INSERT INTO seen_first VALUES ('small') RETURNING x";
    assert_eq!(outcome(pool.run_query(insert, ())).unwrap().len(), 1);
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM seen_first"), 1);
}

#[test]
fn a_server_that_becomes_read_only_loses_its_connections_on_a_read_write_pool() {
    let cluster = Cluster::start_new();
    let mut config = cluster.config();
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let limit = Duration::from_millis(400);
    let pool = ConnectionPool::builder(config)
        .cp_max(2)
        .cp_min(0)
        .connect_timeout(limit)
        .build()
        .unwrap();
    let sleep = || pool.run_query("SELECT pg_sleep(0.2)", ());
    let both = [sleep(), sleep()];
    for job in both {
        outcome(job).unwrap();
    }
    outcome(pool.run_operation("CREATE TABLE written (x int)", ())).unwrap();
    let set_read_only = |on: &str| {
        let mut client = cluster.client();
        client
            .batch_execute(&format!(
                "ALTER SYSTEM SET default_transaction_read_only = {on}"
            ))
            .unwrap();
        client.batch_execute("SELECT pg_reload_conf()").unwrap();
    };
    let write = || outcome(pool.run_operation("INSERT INTO written VALUES (1)", ()));
    set_read_only("on");
    let mut refused = None;
    eventually("a write is refused", || {
        refused = write().err();
        refused.is_some()
    });
    assert_eq!(
        refused.unwrap().sqlstate(),
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    );
    // The other connection could still read, but the pool is for writing.
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert!(
        error.to_string().contains("does not allow writes"),
        "{error}"
    );
    set_read_only("off");
    eventually("writing works again", || write().is_ok());
}

#[test]
fn the_pool_moves_to_the_promoted_standby() {
    let primary = Cluster::start_new();
    let standby = Cluster::standby_of(&primary);
    let mut config = primary.tcp_config();
    config
        .host("127.0.0.1")
        .port(standby.port())
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    let pool = ConnectionPool::builder(config).cp_max(3).build().unwrap();
    outcome(pool.run_operation("CREATE TABLE moved (x int)", ())).unwrap();
    assert_eq!(
        value::<i32>(&pool, "SELECT inet_server_port()"),
        i32::from(primary.port())
    );
    primary.stop("fast");
    standby.promote();
    eventually("the standby serves", || {
        outcome(pool.run_operation("INSERT INTO moved VALUES (1)", ())).is_ok()
    });
    assert_eq!(
        value::<i32>(&pool, "SELECT inet_server_port()"),
        i32::from(standby.port())
    );
}

#[test]
fn slow_statements_are_logged_with_their_sql_and_without_their_parameters() {
    logged();
    let pool = pool(|b| b.slow_query(Duration::from_millis(50)));
    let slow = "SELECT pg_sleep(0.06), $1::text AS slow_statement";
    outcome(pool.run_query(slow, params!["hunter2"])).unwrap();
    outcome(pool.run_query("SELECT $1::text AS quick_statement", params!["hunter2"])).unwrap();
    assert_eq!(lines(&["WARN", "slow query", "AS slow_statement"]), 1);
    assert_eq!(lines(&["AS quick_statement"]), 0);
    assert!(!logged().contains("hunter2"));
}

#[test]
fn the_reason_for_no_connection_is_logged_once_and_the_return_too() {
    logged();
    let cluster = Cluster::new();
    let pool = ConnectionPool::builder(cluster.tcp_config())
        .cp_name("logged-once")
        .connect_timeout(Duration::from_millis(1500))
        .build()
        .unwrap();
    for job in [0; 10].map(|_| pool.run_query("SELECT 1", ())) {
        outcome(job).unwrap_err();
    }
    assert_eq!(
        lines(&["ERROR", "logged-once", "cannot connect", "refused"]),
        1,
        "{}",
        logged()
    );
    cluster.start();
    eventually("it is back", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
    assert_eq!(lines(&["INFO", "logged-once", "answers again"]), 1);
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    logged();
    let cluster = Cluster::new();
    cluster.ask_for_passwords_on_tcp();
    cluster.start();
    cluster
        .client()
        .batch_execute("CREATE ROLE shop LOGIN PASSWORD 'right-secret'")
        .unwrap();
    let pool = |password: &str| {
        let mut config = cluster.tcp_config();
        config.user("shop").password(password);
        let limit = Duration::from_secs(1);
        ConnectionPool::builder(config)
            .cp_name("locked-out")
            .connect_timeout(limit)
            .build()
            .unwrap()
    };
    let error = outcome(pool("wrong-secret").run_query("SELECT 1", ())).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("password authentication failed for user \"shop\""),
        "{error}"
    );
    assert_eq!(
        value::<String>(&pool("right-secret"), "SELECT current_user::text"),
        "shop"
    );
    assert_eq!(lines(&["locked-out", "cannot connect"]), 1);
    assert!(!logged().contains("-secret"));
}

#[test]
fn what_postgresql_notes_and_what_a_noisy_pool_does_is_logged() {
    logged();
    let pool = pool(|b| b.cp_max(1).cp_min(0).cp_noisy(true).cp_name("noisy-one"));
    let notice = "DO $$ BEGIN RAISE NOTICE 'noted-%', 7; RAISE WARNING 'warned-%', 7; END $$";
    outcome(pool.run_operation(notice, ())).unwrap();
    terminate(value(&pool, "SELECT pg_backend_pid()"));
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    pool.close();
    assert_eq!(lines(&["INFO", "noted-7"]), 1);
    assert_eq!(lines(&["WARN", "warned-7"]), 1);
    assert!(lines(&["adbapi connecting: /tmp/", "/postgres"]) >= 1);
    assert_eq!(lines(&["adbapi closed: noisy-one"]), 1);
    let lost = "an idle connection was lost, reconnecting: FATAL: terminating connection";
    assert!(lines(&[lost]) >= 1, "{}", logged());
}

#[test]
fn a_flood_of_notices_costs_some_lines_and_the_count_of_the_others() {
    logged();
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let flood = "DO $$ BEGIN FOR i IN 1..200000 LOOP RAISE NOTICE 'flood-%', i; END LOOP; \
                 RAISE WARNING 'flood-warned-%', repeat('x', 5000); END $$";
    let began = Instant::now();
    outcome(pool.run_operation(flood, ())).unwrap();
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    pool.close();
    eventually("the count of the last second", || {
        lines(&["NOTICEs of PostgreSQL were left out"]) >= 1
    });
    let log = logged();
    let shown = log.matches("PostgreSQL notes: flood-").count();
    assert!(
        (10..=10 * seconds).contains(&shown),
        "{shown} in {seconds} s"
    );
    let left_out: usize = (log.lines())
        .filter(|line| line.contains("NOTICEs of PostgreSQL were left out"))
        .filter_map(|line| line.split("left_out=").nth(1)?.split_whitespace().next())
        .map(|count| count.parse::<usize>().unwrap())
        .sum();
    assert_eq!(shown + left_out, 200_000);
    assert!(log.contains("client_min_messages=error"));
    // Warnings have lines of their own, and none is long.
    let warned = log.lines().find(|line| line.contains("flood-warned-"));
    assert!(warned.is_some_and(|line| line.len() < 2300 && line.contains("bytes_more=")));
}

#[test]
fn stats_tell_what_the_pool_has_done() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    assert_eq!(pool.stats(), Stats::default());
    outcome(pool.run_query("SELECT 1", ())).unwrap();
    outcome(pool.run_query("SELECT 1", ())).unwrap();
    outcome(pool.run_query("SELECT 1/0", ())).unwrap_err();
    let stats = pool.stats();
    assert_eq!(
        (
            stats.jobs,
            stats.errors.database,
            stats.opened,
            stats.connections
        ),
        (3, 1, 1, 1)
    );
    assert_eq!((stats.statement_hits, stats.statement_misses), (1, 2));
    assert_eq!(
        (stats.busy, stats.idle, stats.running, stats.waiting),
        (0, 1, 0, 0)
    );
}

#[test]
fn stats_tell_what_the_pool_does() {
    let pool = pool(|b| b.cp_max(2).cp_min(0).queue_limit(1));
    let (started, has_started) = mpsc::channel();
    let blocked: Vec<_> = (0..2)
        .map(|_| {
            let (promise, go_on) = deferred::<()>();
            let started = started.clone();
            let job = pool.run_interaction(move |_| {
                started.send(()).unwrap();
                go_on.wait()
            });
            has_started.recv_timeout(LIMIT).unwrap();
            (promise, job)
        })
        .collect();
    let waiting = pool.run_query("SELECT 1", ());
    outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    let stats = pool.stats();
    assert_eq!(
        (stats.busy, stats.idle, stats.running, stats.waiting),
        (2, 0, 2, 1)
    );
    assert_eq!((stats.jobs, stats.errors.queue_full), (0, 1));
    waiting.cancel();
    for (promise, job) in blocked {
        promise.resolve(Ok(()));
        outcome(job).unwrap();
    }
    eventually("all is quiet", || {
        let stats = pool.stats();
        (
            stats.jobs,
            stats.errors.cancelled,
            stats.busy,
            stats.waiting,
        ) == (3, 1, 0, 0)
    });
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    terminate(pid);
    eventually("the loss is noticed", || {
        outcome(pool.run_query("SELECT 1", ())).unwrap();
        pool.stats().lost == 1
    });
    pool.close();
    assert_eq!(pool.stats(), Stats::default());
}

#[test]
fn behind_a_pgbouncer_in_transaction_mode_everything_works_with_a_statement_cache_and_without() {
    let bouncer = Bouncer::before(Cluster::shared(), 3);
    for cache in [0, 256] {
        let pool = ConnectionPool::builder(bouncer.config())
            .cp_max(8)
            .statement_cache(cache)
            .build()
            .unwrap();
        let jobs: Vec<_> = (0..300)
            .map(|n| {
                let (by, values) = (n % 7, params![n]);
                match n % 4 {
                    0 => pool.run_interaction(move |txn| {
                        let rows = txn.query("SELECT $1::int4", params![n])?;
                        Ok(rows[0].get::<_, i32>(0))
                    }),
                    1 => pool.run_query("SELECT 1", ()).map(move |_| n),
                    _ => pool
                        .run_query(format!("SELECT $1::int4 - {by}"), values)
                        .map(move |rows| rows[0].get::<_, i32>(0) + by),
                }
            })
            .collect();
        for (n, job) in (0..).zip(jobs) {
            match outcome(job) {
                Ok(answer) => assert_eq!(answer, n),
                // Inside an interaction nothing can be prepared again: the cache is then the wrong
                // choice.
                Err(error) if cache > 0 && n % 4 == 0 => {
                    assert_eq!(
                        error.sqlstate(),
                        Some(&SqlState::INVALID_SQL_STATEMENT_NAME)
                    );
                }
                Err(error) => panic!("job {n} with a cache of {cache}: {error}"),
            }
        }
    }
}
