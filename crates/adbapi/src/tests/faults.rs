//! Owns the tests against a server that is away, restarts or kills its connections.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    super::{ConnectionPool, Error, params},
    LIMIT,
    cluster::{Cluster, Network},
    eventually, outcome, pool, pool_on, terminate, value,
};

/// Opens all `count` connections of a pool.
pub(super) fn warm(pool: &ConnectionPool, count: usize) {
    let barrier = Arc::new(std::sync::Barrier::new(count));
    let jobs: Vec<_> = (0..count)
        .map(|_| {
            let barrier = barrier.clone();
            pool.run_interaction(move |txn| {
                barrier.wait();
                txn.execute("SELECT now()", ())
            })
        })
        .collect();
    for job in jobs {
        outcome(job).unwrap();
    }
}

pub(super) fn thirty_calls_after_a_restart(
    mode: &str,
    cluster: &Cluster,
    config: postgres::Config,
) {
    let pool = ConnectionPool::builder(config)
        .cp_max(10)
        .cp_min(3)
        .build()
        .unwrap();
    warm(&pool, 10);
    cluster.restart(mode);
    let calls: Vec<_> = (0..30)
        .map(|n| match n % 3 {
            0 => pool
                .run_query("SELECT now()", ())
                .map(|rows| rows.len() as u64),
            1 => pool.run_operation("SELECT now()", ()),
            _ => pool.run_interaction(|txn| txn.execute("SELECT now()", ())),
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(
            outcome(call).unwrap_or_else(|error| panic!("call {n} after {mode}: {error}")),
            1
        );
    }
}

#[test]
fn a_fast_restart_costs_idle_connections_no_call() {
    let cluster = Cluster::start_new();
    thirty_calls_after_a_restart("fast", &cluster, cluster.config());
}

#[test]
fn an_immediate_restart_costs_idle_connections_no_call() {
    let cluster = Cluster::start_new();
    thirty_calls_after_a_restart("immediate", &cluster, cluster.tcp_config());
}

#[test]
fn without_cp_reconnect_each_dead_connection_fails_one_call() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).cp_reconnect(false));
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    terminate(pid);
    assert!(matches!(
        outcome(pool.run_query("SELECT 1", ())),
        Err(Error::ConnectionLost(_))
    ));
    assert_eq!(
        value::<i32>(&pool, "SELECT 1"),
        1,
        "the next call has a new connection"
    );
}

#[test]
fn the_pool_reopens_after_a_lost_connection_and_tells_it_from_bad_sql() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    terminate(pid);
    assert_ne!(value::<i32>(&pool, "SELECT pg_backend_pid()"), pid);
    let bad = outcome(pool.run_query("SELECT * FROM notable", ())).unwrap_err();
    assert!(
        !matches!(bad, Error::ConnectionLost(_)) && !bad.is_retryable(),
        "{bad}"
    );
}

#[test]
fn a_statement_under_way_when_its_connection_breaks_is_lost_and_not_repeated() {
    let pool = pool(|b| b.cp_max(2).cp_min(0).cp_name("under-way"));
    outcome(pool.run_operation("CREATE SEQUENCE runs", ())).unwrap();
    let job = pool.run_query("SELECT nextval('runs'), pg_sleep(600)", ());
    let mut observer = Cluster::shared().client();
    let mut victim = None;
    eventually("the statement runs", || {
        let find = "SELECT pid FROM pg_stat_activity
                    WHERE application_name = 'under-way' AND wait_event = 'PgSleep'";
        victim = observer.query_opt(find, &[]).unwrap().map(|row| row.get(0));
        victim.is_some()
    });
    terminate(victim.unwrap());
    let error = outcome(job).unwrap_err();
    assert!(
        matches!(error, Error::ConnectionLost(_)) && error.is_retryable(),
        "{error}"
    );
    assert_eq!(value::<i64>(&pool, "SELECT nextval('runs')"), 2);
}

#[test]
fn a_statement_whose_result_arrives_together_with_the_end_of_its_connection_is_not_repeated() {
    let cluster = Cluster::shared();
    let network = Network::before(cluster);
    let mut config = network.config();
    config.application_name("held-back");
    let pool = ConnectionPool::builder(config)
        .cp_max(1)
        .cp_min(0)
        .build()
        .unwrap();
    let insert = "INSERT INTO ran_once SELECT 1 WHERE $1";
    outcome(pool.run_operation("CREATE TABLE ran_once (x int)", ())).unwrap();
    outcome(pool.run_operation(insert, params![false])).unwrap();
    let mut observer = cluster.client();
    let mut rows = || {
        let sql = "SELECT count(*) FROM ran_once";
        observer.query_one(sql, &[]).unwrap().get::<_, i64>(0)
    };
    network.hold_back();
    let job = pool.run_operation(insert, params![true]);
    eventually("the row is there", || rows() == 1);
    let mut admin = cluster.client();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'held-back'";
    assert_eq!(admin.execute(end, &[]).unwrap(), 1);
    let error = outcome(job).unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(_)), "{error}");
    assert_eq!(rows(), 1);
}

#[test]
fn a_connection_in_an_aborted_transaction_of_its_own_costs_no_call() {
    let is_first = AtomicBool::new(true);
    let pool = pool(|b| {
        b.cp_max(1).cp_min(0).cp_openfun(move |client| {
            if is_first.swap(false, Ordering::SeqCst) {
                client.batch_execute("BEGIN")?;
                client.batch_execute("SELECT 1/0").unwrap_err();
            }
            Ok(())
        })
    });
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
}

#[test]
fn a_lost_connection_of_the_servers_own_is_an_ordinary_error() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    // As postgres_fdw and dblink do when they cannot reach the server behind.
    let fails = "DO $$ BEGIN RAISE 'behind' USING ERRCODE = '08001'; END $$";
    let error = outcome(pool.run_operation(fails, ())).unwrap_err();
    assert!(
        matches!(error, Error::Database(_)) && !error.is_retryable(),
        "{error}"
    );
    assert_eq!(value::<i32>(&pool, "SELECT pg_backend_pid()"), pid);
}

#[test]
fn an_interaction_whose_connection_breaks_keeps_the_first_error() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let result = pool.run_interaction(|txn| {
        let pid: i32 = txn.query("SELECT pg_backend_pid()", ())?[0].get(0);
        let bad = txn.execute("SELECT 1/0", ()).unwrap_err();
        terminate(pid);
        // The rollback that follows has no connection left to run on.
        Err::<(), _>(bad)
    });
    assert_eq!(
        outcome(result).unwrap_err().sqlstate().unwrap().code(),
        "22012"
    );
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
}

#[test]
fn an_absent_server_answers_within_the_limit_with_the_reason_and_serves_once_it_is_up() {
    let cluster = Cluster::new();
    let limit = Duration::from_millis(700);
    let config = cluster.tcp_config();
    let pool = ConnectionPool::builder(config)
        .connect_timeout(limit)
        .cp_max(3)
        .cp_min(1)
        .build()
        .unwrap();
    pool.start().unwrap();
    let began = Instant::now();
    let calls: Vec<_> = (0..20).map(|_| pool.run_query("SELECT 1", ())).collect();
    for call in calls {
        let error = outcome(call).unwrap_err();
        assert!(
            matches!(&error, Error::Unavailable { reason, .. } if reason.contains("refused")),
            "{error}"
        );
    }
    assert!(
        began.elapsed() < limit + Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    cluster.start();
    let back = Instant::now();
    eventually("a call succeeds", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
    assert!(
        back.elapsed() < Duration::from_secs(1),
        "{:?}",
        back.elapsed()
    );
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_unavailable_in_time() {
    let (_silent, port) = silent_host();
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(port).user("app");
    let limit = Duration::from_millis(300);
    let pool = ConnectionPool::builder(config)
        .connect_timeout(limit)
        .build()
        .unwrap();
    let began = Instant::now();
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(
        began.elapsed() < limit + Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

/// A host that takes connections and never says anything.
fn silent_host() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_passed_over_for_the_next() {
    let (silent, port) = silent_host();
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(port).user("app");
    config
        .host("127.0.0.1")
        .port(Cluster::shared().port())
        .dbname("postgres");
    let limit = Duration::from_secs(3);
    let pool = ConnectionPool::builder(config)
        .cp_max(5)
        .cp_min(5)
        .connect_timeout(limit)
        .build()
        .unwrap();
    let began = Instant::now();
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    warm(&pool, 5);
    // r2d2 makes three connections at once. Later ones do not wait there again.
    silent.set_nonblocking(true).unwrap();
    let taken = silent.incoming().take_while(Result::is_ok).count();
    assert!(taken <= 3, "{taken} attempts hang");
}

#[test]
fn a_wrong_database_is_named_and_the_password_never() {
    let mut config = Cluster::shared().config();
    config.dbname("nowhere").password("hunter2");
    let pool = ConnectionPool::builder(config)
        .connect_timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    let text = format!(
        "{} {pool:?}",
        outcome(pool.run_query("SELECT 1", ())).unwrap_err()
    );
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
            let mut client = Cluster::shared().client();
            let mut killed = 0;
            while !done.load(Ordering::SeqCst) {
                let kill =
                    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)), pg_sleep(0.02)
                            FROM pg_stat_activity WHERE application_name = 'slaughter'";
                killed += client.query_one(kill, &[]).unwrap().get::<_, i64>(0);
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
                    Ok(rows) => assert_eq!(rows[0].get::<_, i32>(0), n as i32),
                    Err(Error::ConnectionLost(_)) => _ = lost.fetch_add(1, Ordering::SeqCst),
                    Err(_) => _ = other.fetch_add(1, Ordering::SeqCst),
                }
            });
    }
    eventually("every call is answered", || {
        answers.iter().all(|count| count.load(Ordering::SeqCst) > 0)
    });
    done.store(true, Ordering::SeqCst);
    let killed = killer.join().unwrap();
    assert!(
        answers
            .iter()
            .all(|count| count.load(Ordering::SeqCst) == 1),
        "answered twice"
    );
    assert_eq!(other.load(Ordering::SeqCst), 0);
    let lost = lost.load(Ordering::SeqCst);
    assert!(
        killed > 0 && i64::from(lost) <= killed,
        "{lost} calls lost for {killed} connections"
    );
    warm(&pool, 5);
}

#[test]
fn a_restart_under_load_fails_at_most_the_calls_under_way() {
    let cluster = Cluster::start_new();
    let pool = pool_on(&cluster, |b| b.cp_max(5).queue_limit(10_000));
    for mode in ["fast", "immediate"] {
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
                            Err(Error::ConnectionLost(_)) => lost += 1,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    lost
                })
            })
            .collect();
        cluster.restart(mode);
        assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
        restarted.store(true, Ordering::SeqCst);
        let lost: u32 = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum();
        assert!(lost <= 5, "{mode}: {lost} calls lost by 5 connections");
    }
}

#[test]
fn fewer_connections_than_workers_serve_all_jobs_in_turn() {
    let mut admin = Cluster::shared().client();
    admin
        .batch_execute("CREATE ROLE few LOGIN CONNECTION LIMIT 2")
        .unwrap();
    let mut config = Cluster::shared().config();
    config.user("few");
    let limit = Duration::from_millis(500);
    let pool = ConnectionPool::builder(config)
        .cp_max(5)
        .connect_timeout(limit)
        .build()
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
    let answers_so_far = answers.clone();
    let mut admin = Cluster::shared().client();
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
            2 => pool.run_interaction(|txn| txn.execute("SELECT 1", ()).map(drop)),
            3 => pool.run_interaction(|_| panic!("turmoil")),
            4 => pool.run_operation("SELECT pg_sleep(10)", ()).map(drop),
            _ => pool.run_query("SELECT 1", ()).map(drop),
        };
        handles.push(job.cancel_handle());
        let answers = answers.clone();
        job.on_result(move |_| _ = answers[n].fetch_add(1, Ordering::SeqCst));
        match random(50) {
            0 => {
                let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                            WHERE application_name = 'turmoil'";
                admin.execute(kill, &[]).unwrap();
            }
            1..=10 => handles[random(handles.len() as u64) as usize].cancel(),
            11..=20 => handles[n].cancel(),
            _ => {}
        }
        if n % 60 == 59 {
            eventually("an earlier call is answered", || {
                answers_so_far[n - 30].load(Ordering::SeqCst) > 0
            });
        }
    }
    pool.close();
    eventually("every call is answered", || {
        answers.iter().all(|count| count.load(Ordering::SeqCst) > 0)
    });
    assert!(
        answers
            .iter()
            .all(|count| count.load(Ordering::SeqCst) == 1),
        "answered twice"
    );
}
