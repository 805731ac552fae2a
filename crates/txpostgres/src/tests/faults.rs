//! Owns the tests against a server that is away, restarts or kills its connections.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use pg_cluster::Shutdown;
use sql::{ConnectionSettings, ErrorKind, Server, params};

use super::{
    Cluster, LIMIT, eventually, observer, outcome, pool, pool_on, reactors, run, terminate,
    until_running, value, warm,
};
use crate::{Builder, ConnectionPool};

pub(super) fn thirty_calls_after_a_restart(
    how: Shutdown,
    cluster: &Cluster,
    settings: ConnectionSettings,
) {
    let pool = ConnectionPool::builder(settings).cp_max(10).cp_min(3);
    let pool = pool.build(reactors()).unwrap();
    warm(&pool, 10);
    cluster.restart(how);
    let calls: Vec<_> = (0..30)
        .map(|n| match n % 3 {
            0 => pool
                .run_query("SELECT now()", ())
                .map(|rows| rows.len() as u64),
            1 => pool.run_operation("SELECT now()", ()),
            _ => {
                pool.run_interaction(|mut txn| async move { txn.execute("SELECT now()", ()).await })
            }
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        let changed = outcome(call).unwrap_or_else(|error| panic!("call {n}: {error}"));
        assert_eq!(changed, 1);
    }
}

#[test]
fn a_fast_restart_costs_idle_connections_no_call() {
    let cluster = Cluster::start_new();
    thirty_calls_after_a_restart(Shutdown::Fast, &cluster, cluster.settings());
}

#[test]
fn an_immediate_restart_costs_idle_connections_no_call() {
    let cluster = Cluster::start_new();
    thirty_calls_after_a_restart(Shutdown::Immediate, &cluster, cluster.tcp_settings());
}

#[test]
fn without_cp_reconnect_each_dead_connection_fails_one_call() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).cp_reconnect(false));
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    terminate(pid);
    eventually("it is seen", || pool.stats().lost == 1);
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    let next: i32 = value(&pool, "SELECT 1");
    assert_eq!(next, 1, "the next call has a new connection");
}

#[test]
fn the_pool_reopens_after_a_lost_connection_and_tells_it_from_bad_sql() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    terminate(pid);
    assert_ne!(value::<i32>(&pool, "SELECT pg_backend_pid()"), pid);
    let bad = outcome(pool.run_query("SELECT * FROM notable", ())).unwrap_err();
    assert!(
        bad.kind() == ErrorKind::Database && !bad.is_retryable(),
        "{bad}"
    );
}

#[test]
fn a_statement_under_way_when_its_connection_breaks_is_lost_and_not_repeated() {
    let pool = pool(|b| b.cp_max(2).cp_min(0).cp_name("under-way"));
    run(&pool, "CREATE SEQUENCE runs");
    let job = pool.run_query("SELECT nextval('runs'), pg_sleep(600) /* under way */", ());
    let observer = observer(Cluster::shared());
    until_running(&observer, "/* under way */", 1);
    run(
        &observer,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE strpos(query, '/* under way') > 0 \
         AND pid <> pg_backend_pid()",
    );
    let error = outcome(job).unwrap_err();
    assert!(
        error.kind() == ErrorKind::ConnectionLost && error.is_retryable(),
        "{error}"
    );
    assert_eq!(value::<i64>(&pool, "SELECT nextval('runs')"), 2);
}

#[test]
fn what_was_sent_behind_a_statement_whose_connection_ends_is_run_on_another() {
    let pool = pool(|b| b.cp_max(2).cp_min(2));
    run(&pool, "CREATE TABLE behind (n int)");
    let insert = "INSERT INTO behind VALUES ($1)";
    // Its kind is quick from now on, so jobs of it are sent behind each other.
    outcome(pool.run_operation(insert, params![0_i32])).unwrap();
    let own = "SELECT pg_terminate_backend(pg_backend_pid())";
    let mut jobs = Vec::new();
    for n in 1..=20 {
        if n == 10 {
            let killer = pool.run_query(own, ());
            jobs.push(killer.map(|_| 0));
        }
        jobs.push(pool.run_operation(insert, params![n]));
    }
    let lost = jobs.into_iter().map(outcome).filter(Result::is_err).count();
    let there: i64 = value(&pool, "SELECT count(*) FROM behind");
    let expected = 22 - i64::try_from(lost).unwrap();
    assert!((1..=2).contains(&lost), "{lost} are lost");
    assert!(
        (expected..=expected + 1).contains(&there),
        "{there} ran, {lost} are lost"
    );
}

#[test]
fn a_lost_connection_of_the_servers_own_is_an_ordinary_error() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    // As postgres_fdw and dblink do when they cannot reach the server behind.
    let fails = "DO $$ BEGIN RAISE 'behind' USING ERRCODE = '08001'; END $$";
    let error = outcome(pool.run_operation(fails, ())).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Database && !error.is_retryable(),
        "{error}"
    );
    assert_eq!(value::<i32>(&pool, "SELECT pg_backend_pid()"), pid);
}

/// Fails within the limit, with a reason, and serves within a second of the server's start.
#[test]
fn an_absent_server_answers_within_the_limit_with_the_reason_and_serves_once_it_is_up() {
    let cluster = Cluster::new();
    let limit = Duration::from_millis(700);
    let pool = ConnectionPool::builder(cluster.tcp_settings())
        .connect_timeout(limit)
        .cp_max(3)
        .cp_min(1)
        .build(reactors())
        .unwrap();
    pool.start().unwrap();
    let began = Instant::now();
    let calls: Vec<_> = (0..20).map(|_| pool.run_query("SELECT 1", ())).collect();
    for call in calls {
        let error = outcome(call).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("refused"), "{error}");
    }
    let took = began.elapsed();
    assert!(took < limit + Duration::from_millis(500), "{took:?}");
    cluster.start();
    let back = Instant::now();
    eventually("a call succeeds", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
    let took = back.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// A host that takes connections and never says anything.
fn silent_host() -> (TcpListener, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server {
        host: "127.0.0.1".to_owned(),
        address: None,
        port: listener.local_addr().unwrap().port(),
    };
    (listener, server)
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_unavailable_in_time() {
    let (_silent, server) = silent_host();
    let limit = Duration::from_millis(300);
    let pool = ConnectionPool::builder(ConnectionSettings::new(server, "postgres", "app"))
        .connect_timeout(limit)
        .build(reactors())
        .unwrap();
    let began = Instant::now();
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let took = began.elapsed();
    assert!(took < limit + Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_passed_over_for_the_next() {
    let (_silent, server) = silent_host();
    let mut settings = Cluster::shared().tcp_settings();
    settings.servers.insert(0, server);
    let limit = Duration::from_secs(3);
    let pool = ConnectionPool::builder(settings)
        .cp_max(2)
        .cp_min(2)
        .connect_timeout(limit)
        .build(reactors())
        .unwrap();
    let began = Instant::now();
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    let took = began.elapsed();
    assert!(took < limit, "{took:?}");
}

#[test]
fn a_wrong_database_is_named_and_the_password_never() {
    let mut settings = Cluster::shared().settings();
    settings.database = "nowhere".to_owned();
    settings.password = Some(sql::Password::new("hunter2"));
    let pool = ConnectionPool::builder(settings)
        .connect_timeout(Duration::from_millis(300))
        .build(reactors())
        .unwrap();
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    let text = format!("{error} {pool:?}");
    assert!(
        text.contains("database \"nowhere\" does not exist") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn terminating_every_backend_under_load_answers_every_call_exactly_once() {
    let pool = pool(|b| {
        // On a busy machine the last calls wait for long.
        b.cp_max(5)
            .cp_name("slaughter")
            .queue_limit(10_000)
            .connect_timeout(LIMIT)
    });
    warm(&pool, 5);
    let answers: Arc<Vec<AtomicU32>> = Arc::new((0..4000).map(|_| AtomicU32::new(0)).collect());
    let (lost, other) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let done = Arc::new(AtomicBool::new(false));
    let killer = std::thread::spawn({
        let done = done.clone();
        move || {
            let (observer, mut killed) = (observer(Cluster::shared()), 0);
            let kill = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)), pg_sleep(0.02) \
                        FROM pg_stat_activity WHERE application_name = 'slaughter'";
            while !done.load(Ordering::SeqCst) {
                killed += value::<i64>(&observer, kill);
            }
            killed
        }
    });
    for n in 0..answers.len() {
        let (answers, lost, other) = (answers.clone(), lost.clone(), other.clone());
        pool.run_query("SELECT $1::int4", params![n as i32])
            .on_result(move |result| {
                answers[n].fetch_add(1, Ordering::SeqCst);
                match result {
                    Ok(rows) => assert_eq!(rows.row(0).unwrap().get::<i32>(0), Ok(n as i32)),
                    Err(error) if error.kind() == ErrorKind::ConnectionLost => {
                        lost.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(_) => _ = other.fetch_add(1, Ordering::SeqCst),
                }
            });
    }
    let times = |n: usize| answers[n].load(Ordering::SeqCst);
    eventually("every call is answered", || {
        (0..answers.len()).all(|n| times(n) > 0)
    });
    done.store(true, Ordering::SeqCst);
    let killed = killer.join().unwrap();
    assert!((0..answers.len()).all(|n| times(n) == 1), "answered twice");
    assert_eq!(other.load(Ordering::SeqCst), 0);
    let lost = lost.load(Ordering::SeqCst);
    // One for each, if PostgreSQL's last word is read. Where a write fails before that, all that was
    // sent ahead may have run.
    let most = killed * i64::try_from(crate::pool::DEPTH).unwrap();
    assert!(
        killed > 0 && i64::from(lost) <= most,
        "{lost} calls lost for {killed} connections"
    );
    warm(&pool, 5);
}

#[test]
fn a_restart_under_load_fails_at_most_the_calls_under_way() {
    let cluster = Cluster::start_new();
    let set = |b: Builder| b.cp_max(5).queue_limit(10_000).connect_timeout(LIMIT);
    let pool = pool_on(&cluster, set);
    for (how, most) in [(Shutdown::Fast, 5), (Shutdown::Immediate, 200)] {
        warm(&pool, 5);
        let restarted = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..200)
            .map(|_| {
                let (pool, restarted) = (pool.clone(), restarted.clone());
                std::thread::spawn(move || {
                    let mut lost = 0;
                    while !restarted.load(Ordering::SeqCst) {
                        match outcome(pool.run_query("SELECT now()", ())) {
                            Ok(_) => {}
                            Err(error) if error.kind() == ErrorKind::ConnectionLost => lost += 1,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    lost
                })
            })
            .collect();
        cluster.restart(how);
        assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
        restarted.store(true, Ordering::SeqCst);
        let lost: u32 = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum();
        assert!(lost <= most, "{lost} calls lost");
    }
}

#[test]
fn fewer_connections_than_the_pool_may_have_serve_all_jobs_in_turn() {
    run(
        &observer(Cluster::shared()),
        "CREATE ROLE few LOGIN CONNECTION LIMIT 2",
    );
    let mut settings = Cluster::shared().settings();
    settings.user = "few".to_owned();
    let limit = Duration::from_millis(500);
    let pool = ConnectionPool::builder(settings)
        .cp_max(5)
        .connect_timeout(limit)
        .build(reactors())
        .unwrap();
    eventually("the limit is reached", || {
        outcome(pool.run_query("SELECT 1", ())).unwrap();
        pool.stats().connections == 2
    });
    let end = Instant::now() + 3 * limit;
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            std::thread::spawn(move || {
                while Instant::now() < end {
                    outcome(pool.run_query("SELECT 1", ())).unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
}

#[test]
fn whatever_happens_every_deferred_fires_exactly_once() {
    let pool = pool(|b| {
        b.cp_max(4)
            .cp_name("turmoil")
            .queue_limit(100)
            .queue_timeout(Duration::from_millis(200))
            .statement_timeout(Duration::from_millis(100))
            .close_grace(Duration::from_millis(100))
    });
    let answers: Arc<Vec<AtomicU32>> = Arc::new((0..1200).map(|_| AtomicU32::new(0)).collect());
    let admin = observer(Cluster::shared());
    let mut seed = 7_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut handles = Vec::new();
    for n in 0..answers.len() {
        let job = match random(8) {
            0 => pool.run_operation("SELECT pg_sleep(0.02)", ()).map(drop),
            1 => pool.run_query("SELECT 1/0", ()).map(drop),
            2 => pool.run_interaction(|mut txn| async move {
                txn.execute("SELECT 1", ()).await.map(drop)
            }),
            3 => pool.run_interaction(|_| async { panic!("turmoil") }),
            4 => pool.run_operation("SELECT pg_sleep(10)", ()).map(drop),
            _ => pool.run_query("SELECT 1", ()).map(drop),
        };
        handles.push(job.cancel_handle());
        let answered = answers.clone();
        job.on_result(move |_| _ = answered[n].fetch_add(1, Ordering::SeqCst));
        match random(50) {
            0 => {
                _ = run(
                    &admin,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'turmoil'",
                )
            }
            1..=10 => handles[random(handles.len() as u64) as usize].cancel(),
            11..=20 => handles[n].cancel(),
            _ => {}
        }
        if n % 60 == 59 {
            eventually("an earlier call is answered", || {
                answers[n - 30].load(Ordering::SeqCst) > 0
            });
        }
    }
    pool.close();
    let times = |n: usize| answers[n].load(Ordering::SeqCst);
    eventually("every call is answered", || {
        (0..answers.len()).all(|n| times(n) > 0)
    });
    assert!((0..answers.len()).all(|n| times(n) == 1), "answered twice");
}
