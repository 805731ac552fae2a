//! Owns the tests of how connections age, and of what is logged and counted.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use sql::{Database, params};

use super::{
    Cluster, eventually, observer, outcome, pool, reactors, run, until_running, value, warm,
};
use crate::ConnectionPool;

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
        // I/O threads log too, so only a subscriber of the whole process sees everything.
        tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
        log
    });
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

/// How many lines of the log have all of these.
fn lines(parts: &[&str]) -> usize {
    let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    logged().lines().filter(has_all).count()
}

#[test]
fn connections_are_replaced_at_their_max_lifetime_without_failing_a_job() {
    let pool = pool(|b| {
        b.cp_max(2)
            .cp_min(1)
            .max_lifetime(Duration::from_millis(50))
    });
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    }
    let stats = pool.stats();
    assert!(stats.opened > 4, "{stats:?}");
    assert_eq!(stats.lost, 0);
}

#[test]
fn limits_without_end_end_nothing() {
    let pool = pool(|b| {
        b.cp_max(2)
            .cp_min(0)
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
            .idle_timeout(Duration::from_millis(300))
    });
    let jobs: Vec<_> = (0..4)
        .map(|_| pool.run_query("SELECT pg_sleep(0.3)", ()))
        .collect();
    for job in jobs {
        outcome(job).unwrap();
    }
    assert_eq!(pool.stats().opened, 4);
    eventually("it shrinks", || pool.stats().connections == 1);
    eventually("what is kept is replaced", || pool.stats().opened > 4);
}

#[test]
fn slow_statements_are_logged_with_their_sql_and_without_their_parameters() {
    logged();
    let pool = pool(|b| b.slow_query(Duration::from_millis(20)));
    let sql = "SELECT pg_sleep(0.05), $1::text /* slow and logged */";
    outcome(pool.run_query(sql, params!["hunter2"])).unwrap();
    eventually("it is logged", || {
        lines(&["WARN wampgres::txpostgres", "slow query", "slow and logged"]) == 1
    });
    assert_eq!(lines(&["hunter2"]), 0);
    value::<i32>(&pool, "SELECT 1 /* quick and not logged */");
    assert_eq!(lines(&["quick and not logged"]), 0);
}

#[test]
fn the_reason_for_no_connection_is_logged_once_and_the_return_too() {
    logged();
    let cluster = Cluster::new();
    let limit = Duration::from_millis(500);
    let builder = ConnectionPool::builder(cluster.tcp_settings());
    let builder = builder.cp_name("log-of-outage").connect_timeout(limit);
    let pool = builder.build(reactors()).unwrap();
    outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert_eq!(
        lines(&["ERROR", "log-of-outage: cannot connect", "refused"]),
        1
    );
    cluster.start();
    eventually("it is back", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
    assert_eq!(
        lines(&["INFO", "log-of-outage: PostgreSQL answers again"]),
        1
    );
}

#[test]
fn what_postgresql_notes_and_what_a_noisy_pool_does_is_logged() {
    logged();
    let pool = pool(|b| b.cp_max(1).cp_min(0).cp_noisy(true).cp_name("noisy"));
    run(
        &pool,
        "DO $$ BEGIN RAISE NOTICE 'noted here'; RAISE WARNING 'warned here'; END $$",
    );
    eventually("both are logged", || {
        lines(&["INFO", "PostgreSQL notes: noted here"]) == 1
            && lines(&["WARN", "PostgreSQL warns: warned here"]) == 1
    });
    pool.close();
    assert!(lines(&["INFO", "txpostgres connecting"]) >= 1);
    assert_eq!(lines(&["INFO", "txpostgres closed: noisy"]), 1);
}

#[test]
fn a_flood_of_notices_costs_some_lines_and_the_count_of_the_others() {
    logged();
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    run(
        &pool,
        "DO $$ BEGIN FOR n IN 1..100000 LOOP RAISE NOTICE 'flood %', n; END LOOP; END $$",
    );
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    pool.close();
    let flood = lines(&["PostgreSQL notes: flood"]);
    assert!((1..=200).contains(&flood), "{flood}");
    eventually("the others are counted", || {
        lines(&["were left out of the log"]) > 0
    });
}

#[test]
fn stats_tell_what_the_pool_does_and_has_done() {
    let pool = pool(|b| b.cp_max(2).cp_min(0));
    assert_eq!(pool.stats(), sql::Stats::default());
    for _ in 0..3 {
        assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    }
    outcome(pool.run_query("SELECT 1/0", ())).unwrap_err();
    eventually("they are counted", || pool.stats().jobs == 4);
    let stats = pool.stats();
    assert_eq!(
        (stats.errors.database, stats.running, stats.waiting),
        (1, 0, 0)
    );
    assert!(
        stats.statement_hits >= 2 && stats.statement_misses >= 2,
        "{stats:?}"
    );
    let observer = observer(Cluster::shared());
    let sleep = "SELECT pg_sleep(60) /* stats */";
    let jobs: Vec<_> = (0..3).map(|_| pool.run_query(sleep, ())).collect();
    until_running(&observer, "/* stats */", 2);
    let stats = pool.stats();
    assert_eq!((stats.busy, stats.running, stats.waiting), (2, 2, 1));
    assert_eq!((stats.connections, stats.idle), (2, 0));
    for job in jobs {
        job.cancel();
    }
    eventually("none is left", || pool.stats().errors.cancelled == 3);
    assert!(pool.stats().longest_wait > Duration::ZERO);
}

#[test]
fn settings_that_contradict_each_other_are_named_with_their_values() {
    let fault = |set: fn(crate::Builder) -> crate::Builder| {
        let builder = ConnectionPool::builder(Cluster::shared().settings());
        set(builder)
            .build(reactors())
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        fault(|b| b.cp_min(6)),
        "cp_min (6) is greater than cp_max (5): lower the one or raise the other"
    );
    assert!(fault(|b| b.cp_max(0).cp_min(0)).contains("cp_max is 0"));
    assert!(fault(|b| b.queue_limit(0)).contains("queue_limit is 0"));
    assert!(fault(|b| b.connect_timeout(Duration::ZERO)).contains("connect_timeout is 0"));
    let none = ConnectionPool::builder(Cluster::shared().settings());
    let none = none.build(crate::Reactors::<()>::new(Vec::new(), || ()));
    assert!(
        none.map(drop)
            .unwrap_err()
            .to_string()
            .contains("I/O thread")
    );
}

/// As a database among others.
#[test]
fn the_pool_is_a_database() {
    let database: Arc<dyn Database> = Arc::new(warmed());
    assert_eq!(database.stats().connections, 2);
}

fn warmed() -> ConnectionPool {
    let pool = pool(|b| b.cp_max(2).cp_min(2));
    warm(&pool, 2);
    pool
}
