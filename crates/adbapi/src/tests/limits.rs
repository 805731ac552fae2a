//! Owns the tests of cancelling jobs and of their time limits, against a server that also gets
//! frozen.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use postgres::{
    error::SqlState,
    types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

use super::{
    super::{ConnectionPool, Error, deferred, params},
    LIMIT,
    cluster::Cluster,
    eventually, outcome, pool, pool_on, value,
};

/// Waits until as many statements of the pool of this name run as `count` says.
pub(super) fn until_active(cluster: &Cluster, name: &str, count: i64) {
    until_active_seen_by(&mut cluster.client(), name, count);
}

fn until_active_seen_by(client: &mut postgres::Client, name: &str, count: i64) {
    eventually("statements run or have ended", || {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE application_name = $1 AND state = 'active' AND wait_event = 'PgSleep'";
        client.query_one(sql, &[&name]).unwrap().get::<_, i64>(0) == count
    });
}

#[test]
fn cancelling_a_running_query_stops_it_in_the_server_and_spares_the_next() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).cp_name("cancel-query"));
    let mut observer = Cluster::shared().client();
    for _ in 0..5 {
        let query = pool.run_query("SELECT pg_sleep(600)", ());
        until_active_seen_by(&mut observer, "cancel-query", 1);
        let began = Instant::now();
        query.cancel();
        assert!(matches!(
            query.wait_timeout(Duration::ZERO).unwrap(),
            Err(Error::Cancelled)
        ));
        until_active_seen_by(&mut observer, "cancel-query", 0);
        assert!(
            began.elapsed() < Duration::from_millis(500),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    }
}

#[test]
fn cancelling_reaches_the_job_through_map_and_after_on_result() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).cp_name("cancel-mapped"));
    let mapped = pool
        .run_query("SELECT pg_sleep(600)", ())
        .map(|rows| rows.len());
    let handle = mapped.cancel_handle();
    let (sent, received) = mpsc::channel();
    mapped.on_result(move |result| sent.send(result).unwrap());
    until_active(Cluster::shared(), "cancel-mapped", 1);
    handle.cancel();
    handle.cancel();
    assert!(matches!(
        received.recv_timeout(LIMIT).unwrap(),
        Err(Error::Cancelled)
    ));
    until_active(Cluster::shared(), "cancel-mapped", 0);
}

#[test]
fn cancelling_a_job_that_waits_keeps_it_from_running() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE SEQUENCE never_run", ())).unwrap();
    let (promise, go_on) = deferred::<()>();
    let running = pool.run_interaction(move |_| go_on.wait());
    let waiting = pool.run_query("SELECT nextval('never_run')", ());
    waiting.cancel();
    assert!(matches!(
        waiting.wait_timeout(Duration::ZERO).unwrap(),
        Err(Error::Cancelled)
    ));
    promise.resolve(Ok(()));
    outcome(running).unwrap();
    assert_eq!(value::<i64>(&pool, "SELECT nextval('never_run')"), 1);
}

#[test]
fn cancelling_an_interaction_between_statements_rolls_it_back() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE cancelled (x int)", ())).unwrap();
    for go_on_with_sql in [true, false] {
        let (started, has_started) = mpsc::channel();
        let (promise, go_on) = deferred::<()>();
        let job = pool.run_interaction(move |txn| {
            txn.execute("INSERT INTO cancelled VALUES (1)", ())?;
            started.send(()).unwrap();
            go_on.wait()?;
            if go_on_with_sql {
                let error = txn.execute("SELECT pg_sleep(600)", ()).unwrap_err();
                assert!(matches!(error, Error::Cancelled), "{error}");
            }
            Ok(())
        });
        has_started.recv_timeout(LIMIT).unwrap();
        job.cancel();
        promise.resolve(Ok(()));
        assert!(matches!(outcome(job), Err(Error::Cancelled)));
        assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM cancelled"), 0);
    }
}

#[test]
fn cancelling_after_the_result_changes_nothing() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let query = pool.run_query("SELECT pg_backend_pid()", ());
    let handle = query.cancel_handle();
    let pid: i32 = outcome(query).unwrap()[0].get(0);
    handle.cancel();
    assert_eq!(value::<i32>(&pool, "SELECT pg_backend_pid()"), pid);
}

#[test]
fn a_transaction_whose_end_is_cancelled_is_none_of_the_next_jobs() {
    let pool = pool(|b| b.cp_max(2).cp_min(0).cp_name("cancelled-ends"));
    let done = Arc::new(AtomicBool::new(false));
    let canceller = std::thread::spawn({
        let done = done.clone();
        move || {
            let mut client = Cluster::shared().client();
            while !done.load(Ordering::SeqCst) {
                let cancel = "DO $$ BEGIN FOR i IN 1..500 LOOP
                                  PERFORM pg_stat_clear_snapshot(), pg_cancel_backend(pid)
                                  FROM pg_stat_activity WHERE application_name = 'cancelled-ends';
                              END LOOP; END $$";
                client.batch_execute(cancel).unwrap();
            }
        }
    });
    let jobs: Vec<_> = (0..1000)
        .map(|n| match n % 2 {
            0 => pool.run_interaction(|txn| txn.execute("SELECT 1", ())),
            _ => pool.run_operation("SELECT 1", ()),
        })
        .collect();
    for job in jobs {
        match outcome(job) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.sqlstate(), Some(&SqlState::QUERY_CANCELED), "{error}"),
        }
    }
    done.store(true, Ordering::SeqCst);
    canceller.join().unwrap();
}

#[test]
fn postgresql_ends_a_statement_at_the_statement_timeout() {
    let pool = pool(|b| {
        b.cp_max(1)
            .cp_min(0)
            .statement_timeout(Duration::from_millis(50))
    });
    let error = outcome(pool.run_query("SELECT pg_sleep(600)", ())).unwrap_err();
    assert_eq!(error.sqlstate(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
}

#[test]
fn a_statement_that_panics_leaves_no_time_limit_to_the_next_job() {
    let limit = Duration::from_millis(300);
    let is_slow = AtomicBool::new(false);
    let pool = pool(|b| {
        let b = b.cp_max(1).cp_min(0).statement_timeout(limit);
        b.cp_openfun(move |client| {
            if is_slow.swap(true, Ordering::Relaxed) {
                client.batch_execute("SET statement_timeout = 0; SELECT pg_sleep(1)")?;
            }
            Ok(())
        })
    });
    let panics = pool.run_query("SELECT $1::int4", params![Panics]);
    let waits_for_a_connection = pool.run_query("SELECT 1", ());
    let error = outcome(panics).unwrap_err();
    assert!(matches!(error, Error::Panicked(_)), "{error}");
    outcome(waits_for_a_connection).unwrap();
}

type BoxError = Box<dyn std::error::Error + Sync + Send>;

#[derive(Debug)]
struct Panics;

impl ToSql for Panics {
    fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, BoxError> {
        panic!("not today")
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[test]
fn a_job_that_waits_longer_than_the_queue_timeout_is_told_so() {
    let limit = Duration::from_millis(100);
    let pool = pool(|b| b.cp_max(1).cp_min(0).queue_timeout(limit));
    let (promise, go_on) = deferred::<()>();
    let running = pool.run_interaction(move |_| go_on.wait());
    let began = Instant::now();
    let waiting = [
        pool.run_query("SELECT 1", ()),
        pool.run_query("SELECT 1", ()),
    ];
    for job in waiting {
        let error = outcome(job).unwrap_err();
        assert!(
            matches!(error, Error::QueueTimeout { .. }) && error.is_retryable(),
            "{error}"
        );
        assert!(
            error.to_string().contains("100 ms") && error.to_string().contains("queue_timeout")
        );
    }
    assert!(began.elapsed() >= limit && began.elapsed() < LIMIT);
    promise.resolve(Ok(()));
    outcome(running).unwrap();
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
}

/// Sends a signal to a process of a cluster's user.
pub(super) fn signal(name: &str, pid: i32) {
    let status = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// How long processors have worked for each thread of this name, in the system's hundredths of a
/// second.
fn work_of(name: &str) -> HashMap<PathBuf, Duration> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let work = |thread: PathBuf| {
        let stat = fs::read_to_string(thread.join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let mut fields = tail.split_whitespace();
        let ticks = |field: Option<&str>| field?.parse::<u64>().ok();
        let ticks = ticks(fields.nth(11))? + ticks(fields.next())?;
        (head.ends_with(&format!("({name}"))).then(|| (thread, Duration::from_millis(10 * ticks)))
    };
    threads
        .flatten()
        .filter_map(|thread| work(thread.path()))
        .collect()
}

#[test]
fn a_backend_that_freezes_under_a_job_is_answered_for_and_its_worker_recovers_when_it_thaws() {
    let cluster = Cluster::start_new();
    let pool = pool_on(&cluster, |b| {
        b.cp_max(1)
            .cp_min(0)
            .cp_name("frozen")
            .statement_timeout(Duration::from_millis(300))
            .queue_timeout(Duration::from_millis(400))
    });
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    let job = pool.run_query("SELECT pg_sleep(600)", ());
    until_active(&cluster, "frozen", 1);
    signal("-STOP", pid);
    let began = Instant::now();
    let error = outcome(job).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert!(
        matches!(error, Error::QueueTimeout { .. }),
        "the only worker hangs: {error}"
    );
    let (before, length) = (work_of("db-watch"), Duration::from_millis(500));
    // PostgreSQL keeps the time, so that this thread does not work meanwhile.
    let mut other = cluster.client();
    other.batch_execute("SELECT pg_sleep(0.5)").unwrap();
    for (watch, now) in work_of("db-watch") {
        let worked = now.saturating_sub(before.get(&watch).copied().unwrap_or_default());
        assert!(worked < length / 10, "{worked:?} of {length:?}");
    }
    signal("-CONT", pid);
    eventually("the worker works again", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
}

#[test]
fn backends_that_froze_while_idle_cost_a_second_and_no_call() {
    let cluster = Cluster::start_new();
    let pool = pool_on(&cluster, |b| b.cp_max(4).cp_min(4));
    let mut admin = cluster.client();
    let mut backends = || {
        let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'adbapi'";
        let rows = admin.query(sql, &[]).unwrap();
        rows.iter()
            .map(|row| row.get::<_, i32>(0))
            .collect::<Vec<_>>()
    };
    pool.start().unwrap();
    // PostgreSQL has them before the pool does, so ask the pool.
    eventually("all are connected", || pool.stats().idle == 4);
    let frozen = backends();
    frozen.iter().for_each(|pid| signal("-STOP", *pid));
    let idle_since = Instant::now();
    eventually("they have idled for a while", || {
        idle_since.elapsed() > Duration::from_millis(50)
    });
    let began = Instant::now();
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    frozen.iter().for_each(|pid| signal("-CONT", *pid));
}

#[test]
fn a_pool_on_a_frozen_server_closes_in_time() {
    let cluster = Cluster::start_new();
    let pool = pool_on(&cluster, |b| {
        b.cp_max(1).cp_min(0).close_grace(Duration::from_millis(50))
    });
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    signal("-STOP", pid);
    let job = pool.run_query("SELECT 1", ());
    let began = Instant::now();
    pool.close();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert!(matches!(outcome(job), Err(Error::Closed)));
    signal("-CONT", pid);
}

#[test]
fn a_frozen_postmaster_makes_new_connections_unavailable_until_it_thaws() {
    let cluster = Cluster::start_new();
    let limit = Duration::from_millis(300);
    let pool = pool_on(&cluster, |b| b.connect_timeout(limit));
    signal("-STOP", cluster.postmaster());
    let began = Instant::now();
    for call in [0; 10].map(|_| pool.run_query("SELECT 1", ())) {
        let error = outcome(call).unwrap_err();
        assert!(error.to_string().contains("does not answer"), "{error}");
    }
    assert!(
        began.elapsed() < limit + Duration::from_millis(700),
        "{:?}",
        began.elapsed()
    );
    signal("-CONT", cluster.postmaster());
    let thawed = Instant::now();
    eventually("calls are answered", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
    assert!(
        thawed.elapsed() < Duration::from_secs(1),
        "{:?}",
        thawed.elapsed()
    );
}

#[test]
fn a_request_to_stop_that_a_frozen_server_does_not_take_holds_up_no_time_limit() {
    let cluster = Cluster::start_new();
    let limit = Duration::from_millis(300);
    let pool = ConnectionPool::builder(cluster.tcp_config())
        .cp_max(1)
        .cp_min(0)
        .cp_name("frozen-postmaster")
        .queue_timeout(limit)
        .build()
        .unwrap();
    let query = pool.run_query("SELECT pg_sleep(600)", ());
    until_active(&cluster, "frozen-postmaster", 1);
    let mut observer = cluster.client();
    signal("-STOP", cluster.postmaster());
    query.cancel();
    let began = Instant::now();
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert!(matches!(error, Error::QueueTimeout { .. }), "{error}");
    assert!(began.elapsed() < 5 * limit, "{:?}", began.elapsed());
    signal("-CONT", cluster.postmaster());
    eventually("the statement is stopped", || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        observer.query_one(sql, &[]).unwrap().get::<_, i64>(0) == 0
    });
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
}
