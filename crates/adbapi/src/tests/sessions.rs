//! Owns the tests of where a session comes from and what stays in it: which server, which password,
//! whose settings.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    super::{ConnectionPool, Error, Reset, TargetSessionAttrs, params},
    cluster::Cluster,
    eventually, outcome, pool, value,
};

const REFUSED: Duration = Duration::from_secs(1);

fn reason(pool: &ConnectionPool) -> String {
    match outcome(pool.run_query("SELECT 1", ())) {
        Err(Error::Unavailable { reason, .. }) => reason.into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_of_the_six_session_attributes_finds_its_server() {
    use TargetSessionAttrs as Wanted;
    let primary = Cluster::start_new();
    let standby = Cluster::standby_of(&primary);
    let with = |wanted, clusters: &[&Cluster]| {
        let mut config = clusters[0].tcp_config();
        for cluster in &clusters[1..] {
            config.host("127.0.0.1").port(cluster.port());
        }
        ConnectionPool::builder(config)
            .cp_max(1)
            .cp_min(0)
            .target_session_attrs(wanted)
            .build()
            .unwrap()
    };
    let port = |pool: &ConnectionPool| value::<i32>(pool, "SELECT inet_server_port()");
    for (wanted, expected) in [
        (Wanted::Any, &primary),
        (Wanted::ReadWrite, &primary),
        (Wanted::ReadOnly, &standby),
        (Wanted::Primary, &primary),
        (Wanted::Standby, &standby),
        (Wanted::PreferStandby, &standby),
    ] {
        let pool = with(wanted, &[&primary, &standby]);
        assert_eq!(port(&pool), i32::from(expected.port()), "{wanted:?}");
    }
    for (wanted, only, said) in [
        (Wanted::Primary, &standby, "the server is a standby"),
        (Wanted::Standby, &primary, "the server is no standby"),
    ] {
        let found = reason(&with(wanted, &[only]));
        assert!(found.contains(said), "{found}");
    }
    let pool = with(Wanted::PreferStandby, &[&primary]);
    assert_eq!(port(&pool), i32::from(primary.port()));
}

#[test]
fn passwords_come_from_the_password_file_and_a_missing_one_says_where_it_was_looked_for() {
    let cluster = Cluster::new();
    cluster.ask_for_passwords_on_tcp();
    cluster.start();
    let role = "CREATE ROLE shop LOGIN PASSWORD 'right:secret'";
    cluster.client().batch_execute(role).unwrap();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("pgpass");
    let shown = file.display().to_string();
    let pool = || {
        let mut config = cluster.tcp_config();
        config.user("shop");
        let builder = ConnectionPool::builder(config).cp_max(1).cp_min(0);
        let builder = builder.connect_timeout(REFUSED).passfile(&file);
        builder.build().unwrap()
    };
    let asked = "password missing: PostgreSQL asks for one, none is set (`password`, PGPASSWORD, DATABASE_URL), and ";
    let none = reason(&pool());
    assert!(
        none.contains(&format!("{asked}{shown}: No such file")),
        "{none}"
    );

    let write = |lines: &str, mode| {
        fs::write(&file, lines).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    };
    let port = cluster.port();
    write("other:*:*:*:x-secret\n", 0o600);
    let none = reason(&pool());
    assert!(
        none.contains(&format!(
            "{asked}{shown} has no line for 127.0.0.1:{port}:postgres:shop"
        )),
        "{none}"
    );
    let right = format!("# a comment\n127.0.0.1:{port}:*:shop:right\\:secret\n");
    write(&right, 0o644);
    let none = reason(&pool());
    assert!(
        none.contains("others may read it (its mode is 0644): chmod 600"),
        "{none}"
    );
    write("*:*:*:*:wrong-secret\n", 0o600);
    let wrong = reason(&pool());
    assert!(
        wrong.contains(&format!("the password is that of {shown}")),
        "{wrong}"
    );
    assert!(!wrong.contains("-secret"), "{wrong}");

    let pool = pool();
    reason(&pool);
    write(&right, 0o600);
    // Each attempt looks anew, so a password can change without a restart.
    eventually("the right password counts", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
}

#[test]
fn a_name_that_does_not_resolve_in_time_is_told_as_that() {
    let mut config = postgres::Config::new();
    config.host("pg.example").user("app");
    let slow = |_: &str| {
        // Longer than the caller waits, but no longer than the test.
        thread::park_timeout(Duration::from_secs(3));
        Err(std::io::Error::other(
            "Temporary failure in name resolution",
        ))
    };
    let mut builder = ConnectionPool::builder(config).connect_timeout(REFUSED);
    builder.driver.resolve = slow;
    let pool = builder.cp_max(1).cp_min(0).build().unwrap();
    let found = reason(&pool);
    assert_eq!(
        found,
        "the host name pg.example does not resolve in time: the system's name servers do not answer"
    );
    eventually("its failure is told once it is there", || {
        reason(&pool)
            == "the host name pg.example does not resolve: Temporary failure in name resolution"
    });
}

/// What a job may leave behind.
const TRACES: [&str; 6] = [
    "SET search_path = left_behind",
    "SET statement_timeout = 0",
    "CREATE TEMP TABLE left_behind (x int)",
    "SELECT pg_advisory_lock(15)",
    "LISTEN left_behind",
    "SET ROLE left_behind",
];

#[test]
fn what_a_job_left_in_its_session_stays_or_is_undone_as_the_option_says() {
    let role =
        "DO $$ BEGIN CREATE ROLE left_behind; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
    Cluster::shared().client().batch_execute(role).unwrap();
    for reset in [Reset::None, Reset::Discard] {
        let opened = Arc::new(AtomicU32::new(0));
        let count = opened.clone();
        let pool = pool(|b| {
            b.cp_max(1)
                .cp_min(0)
                .reset(reset)
                .statement_timeout(Duration::from_secs(7))
                .cp_openfun(move |client| {
                    count.fetch_add(1, Ordering::SeqCst);
                    client.batch_execute("SET TIME ZONE 'Asia/Tokyo'; SET search_path = 'pg_temp', \"$user\", public")
                })
        });
        let backend = value::<i32>(&pool, "SELECT pg_backend_pid()");
        outcome(pool.run_operation("SET TIME ZONE 'UTC'", ())).unwrap();
        for trace in TRACES {
            outcome(pool.run_query(trace, ())).unwrap();
        }
        let left = "SELECT current_setting('search_path') = 'left_behind',
                    current_setting('statement_timeout') = '0',
                    to_regclass('pg_temp.left_behind') IS NOT NULL,
                    EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
                    EXISTS (SELECT FROM pg_listening_channels()),
                    current_user = 'left_behind',
                    current_setting('TimeZone') = 'UTC'";
        let rows = outcome(pool.run_query(left, ())).unwrap();
        let found: Vec<bool> = (0..rows[0].len()).map(|at| rows[0].get(at)).collect();
        assert_eq!(found, vec![reset == Reset::None; 7], "{reset:?}");
        let sql = "SELECT current_setting('statement_timeout')";
        let expected = if reset == Reset::None { "0" } else { "7s" };
        assert_eq!(value::<String>(&pool, sql), expected, "{reset:?}");
        if reset == Reset::Discard {
            let kept =
                "SELECT current_setting('TimeZone') || ' ' || current_setting('search_path')";
            let expected = "Asia/Tokyo pg_temp, \"$user\", public";
            assert_eq!(value::<String>(&pool, kept), expected);
        }
        // What is prepared stays, and so does the session.
        assert_eq!(value::<i32>(&pool, "SELECT pg_backend_pid()"), backend);
        assert!(pool.stats().statement_hits > 0);
        assert_eq!(opened.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_session_that_cannot_be_reset_serves_no_further_job() {
    let create = "CREATE TEXT SEARCH CONFIGURATION fleeting (COPY = simple)";
    Cluster::shared().client().batch_execute(create).unwrap();
    let opened = AtomicU32::new(0);
    let pool = pool(|b| {
        let pool = b.cp_max(1).cp_min(0).reset(Reset::Discard);
        pool.cp_openfun(move |client| match opened.fetch_add(1, Ordering::SeqCst) {
            0 => client.batch_execute("SET default_text_search_config = 'fleeting'"),
            _ => Ok(()),
        })
    });
    let backend = || value::<i32>(&pool, "SELECT pg_backend_pid()");
    let first = backend();
    assert_eq!(backend(), first);
    // The settings of the session are gone.
    let drop = "DROP TEXT SEARCH CONFIGURATION fleeting";
    outcome(pool.run_operation(drop, ())).unwrap();
    assert_ne!(backend(), first);
}

#[test]
fn a_job_that_switches_its_limit_off_runs_on_and_nobody_says_that_postgresql_is_frozen() {
    let limit = Duration::from_millis(200);
    let sleep = "SELECT pg_sleep(1.2)::text";
    let pool = pool(|b| b.cp_max(1).cp_min(0).statement_timeout(limit));
    let inside = pool.run_interaction(move |txn| {
        txn.execute("SET LOCAL statement_timeout = 0", ())?;
        txn.execute(sleep, ())
    });
    outcome(inside).unwrap();
    // It was only set for the transaction.
    let error = outcome(pool.run_query(sleep, ())).unwrap_err();
    assert_eq!(error.sqlstate().unwrap().code(), "57014", "{error}");
    let bare = pool.run_with_connection(move |connection| {
        connection
            .client()
            .batch_execute("SET LOCAL statement_timeout = '1min'")?;
        connection.query(sleep, ())
    });
    outcome(bare).unwrap();
    // What is set for the session stays for the next job.
    outcome(pool.run_operation("SET statement_timeout = 0", ())).unwrap();
    outcome(pool.run_query("SELECT pg_sleep($1)::text", params![1.2_f64])).unwrap();
    outcome(pool.run_operation("SET statement_timeout = 200", ())).unwrap();
    let error = outcome(pool.run_query(sleep, ())).unwrap_err();
    assert_eq!(error.sqlstate().unwrap().code(), "57014", "{error}");
}

#[test]
fn a_limit_that_cp_openfun_has_switched_off_is_off_after_a_reset_as_well() {
    let limit = Duration::from_millis(200);
    let pool = pool(|b| {
        let pool = b.cp_max(1).cp_min(0).statement_timeout(limit);
        let pool = pool.reset(Reset::Discard);
        pool.cp_openfun(|client| client.batch_execute("SET statement_timeout = 0"))
    });
    for _ in 0..2 {
        outcome(pool.run_query("SELECT pg_sleep(1)::text", ())).unwrap();
    }
}

#[test]
fn what_is_left_to_the_system_of_tcp_is_no_hindrance() {
    let mut config = Cluster::shared().tcp_config();
    config
        .keepalives_idle(Duration::ZERO)
        .keepalives_interval(Duration::ZERO)
        .keepalives_retries(0)
        .tcp_user_timeout(Duration::ZERO);
    let pool = ConnectionPool::builder(config).connect_timeout(Duration::MAX);
    let pool = pool.cp_max(1).cp_min(0).build().unwrap();
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
}
