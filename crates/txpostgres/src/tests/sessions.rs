//! Owns the tests of what a session is when a job gets it: on which server, with which password, set
//! up and reset.

use std::{
    io::Write,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use pg_cluster::Shutdown;
use sql::{ErrorKind, Password, TargetSessionAttrs};
use tempfile::NamedTempFile;

use super::{
    Cluster, eventually, observer, outcome, pool, pool_on, reactors, run, terminate, value,
};
use crate::{ConnectionPool, Reset};

/// Why a pool has no connection.
fn reason(pool: &ConnectionPool) -> String {
    let error = outcome(pool.run_query("SELECT 1", ())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    error.to_string()
}

#[test]
fn each_of_the_six_session_attributes_finds_its_server() {
    use TargetSessionAttrs as Wanted;
    let primary = Cluster::start_new();
    let standby = Cluster::standby_of(&primary);
    let pool = |clusters: &[&Cluster], wanted| {
        let mut settings = clusters[0].tcp_settings();
        let servers = clusters
            .iter()
            .map(|one| one.server("127.0.0.1".to_owned()));
        settings.servers = servers.collect();
        settings.target_session_attrs = wanted;
        let builder = ConnectionPool::builder(settings).cp_max(1).cp_min(0);
        let builder = builder.connect_timeout(Duration::from_secs(1));
        builder.build(reactors()).unwrap()
    };
    let (both, reverse) = ([&primary, &standby], [&standby, &primary]);
    for (clusters, wanted, port) in [
        (both, Wanted::Any, primary.port()),
        (reverse, Wanted::Any, standby.port()),
        (reverse, Wanted::ReadWrite, primary.port()),
        (both, Wanted::ReadOnly, standby.port()),
        (reverse, Wanted::Primary, primary.port()),
        (both, Wanted::Standby, standby.port()),
        (both, Wanted::PreferStandby, standby.port()),
        ([&primary, &primary], Wanted::PreferStandby, primary.port()),
    ] {
        let found: i32 = value(&pool(&clusters, wanted), "SELECT inet_server_port()");
        assert_eq!(found, i32::from(port), "{wanted:?}");
    }
    let none = reason(&pool(&[&primary], Wanted::Standby));
    assert!(none.contains("no standby"), "{none}");
    let none = reason(&pool(&[&standby], Wanted::Primary));
    assert!(none.contains("is a standby"), "{none}");

    // The pool moves when the primary is gone and the standby is promoted.
    let moves = pool(&reverse, Wanted::ReadWrite);
    assert_eq!(
        value::<i32>(&moves, "SELECT inet_server_port()"),
        i32::from(primary.port())
    );
    primary.stop(Shutdown::Fast);
    run(&observer(&standby), "SELECT pg_promote()");
    eventually("it has moved", || {
        let port = outcome(moves.run_query("SELECT inet_server_port()", ()));
        port.is_ok_and(|rows| rows.row(0).unwrap().get::<i32>(0) == Ok(i32::from(standby.port())))
    });
}

#[test]
fn passwords_of_each_kind_let_in_and_wrong_ones_are_said_and_not_shown() {
    let cluster = Cluster::new();
    cluster.let_in(
        "local all all trust\n\
         host all scram 127.0.0.1/32 scram-sha-256\n\
         host all hashed 127.0.0.1/32 md5\n\
         host all clear 127.0.0.1/32 password\n",
    );
    cluster.start();
    let admin = observer(&cluster);
    run(&admin, "CREATE ROLE scram LOGIN PASSWORD 'right-secret'");
    run(&admin, "CREATE ROLE clear LOGIN PASSWORD 'right-secret'");
    outcome(admin.run_interaction(|mut txn| async move {
        txn.execute("SET LOCAL password_encryption = 'md5'", ())
            .await?;
        txn.execute("CREATE ROLE hashed LOGIN PASSWORD 'right-secret'", ())
            .await
    }))
    .unwrap();
    let pool = |user: &str, password: Option<&str>| {
        let mut settings = cluster.tcp_settings();
        settings.user = user.to_owned();
        settings.password = password.map(Password::new);
        let builder = ConnectionPool::builder(settings).cp_max(1).cp_min(0);
        let builder = builder.connect_timeout(Duration::from_millis(500));
        builder.build(reactors()).unwrap()
    };
    for user in ["scram", "clear", "hashed"] {
        let who: String = value(
            &pool(user, Some("right-secret")),
            "SELECT session_user::text",
        );
        assert_eq!(who, user);
        let why = reason(&pool(user, Some("wrong-secret")));
        assert!(
            why.contains("password authentication failed") && !why.contains("-secret"),
            "{why}"
        );
        let why = reason(&pool(user, None));
        assert!(why.contains("password missing"), "{why}");
    }
}

#[test]
fn passwords_come_from_the_password_file_and_a_missing_one_says_where_it_was_looked_for() {
    let cluster = Cluster::new();
    cluster.let_in("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
    cluster.start();
    run(
        &observer(&cluster),
        "CREATE ROLE filed LOGIN PASSWORD 'in-file'",
    );
    let mut file = NamedTempFile::new().unwrap();
    file.as_file()
        .set_permissions(PermissionsExt::from_mode(0o600))
        .unwrap();
    let mut settings = cluster.tcp_settings();
    settings.user = "filed".to_owned();
    settings.passfile = Some(file.path().to_owned());
    let builder = ConnectionPool::builder(settings).cp_max(1).cp_min(0);
    let pool = builder
        .connect_timeout(Duration::from_millis(500))
        .build(reactors())
        .unwrap();
    let why = reason(&pool);
    assert!(
        why.contains("none is set") && why.contains("has no line for 127.0.0.1"),
        "{why}"
    );
    writeln!(file, "127.0.0.1:{}:*:filed:wrong", cluster.port()).unwrap();
    eventually("the file is read again", || {
        reason(&pool).contains("the password is that of")
    });
    file.as_file().set_len(0).unwrap();
    let line = format!("\n127.0.0.1:{}:*:filed:in-file\n", cluster.port());
    std::fs::write(file.path(), line).unwrap();
    eventually("it is let in", || {
        outcome(pool.run_query("SELECT 1", ())).is_ok()
    });
}

#[test]
fn a_name_that_does_not_resolve_in_time_is_told_as_that() {
    fn slow(_: &str) -> std::io::Result<Vec<IpAddr>> {
        std::thread::park_timeout(Duration::from_secs(5));
        Err(std::io::Error::other("too late"))
    }
    let mut settings = Cluster::shared().tcp_settings();
    settings.servers[0].host = "db.example".to_owned();
    let limit = Duration::from_millis(300);
    let builder = ConnectionPool::builder(settings).connect_timeout(limit);
    let pool = builder.build(reactors()).unwrap();
    pool.pool().servers.resolver.set(slow);
    let began = Instant::now();
    let why = reason(&pool);
    assert!(why.contains("db.example does not resolve in time"), "{why}");
    assert!(began.elapsed() < limit + Duration::from_millis(500));
}

#[test]
fn names_of_hosts_are_resolved_and_wrong_ones_are_named() {
    let mut settings = Cluster::shared().tcp_settings();
    settings.servers[0].host = "localhost".to_owned();
    let pool = ConnectionPool::builder(settings.clone())
        .build(reactors())
        .unwrap();
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    settings.servers[0].host = "nowhere.invalid".to_owned();
    let builder = ConnectionPool::builder(settings).connect_timeout(Duration::from_secs(2));
    let why = reason(&builder.build(reactors()).unwrap());
    assert!(
        why.contains("the host name nowhere.invalid does not resolve"),
        "{why}"
    );
}

#[test]
fn each_session_is_set_up_by_what_is_asked_for_it() {
    let process_id = Arc::new(AtomicI32::new(0));
    let told = process_id.clone();
    let set_up = pool(|b| {
        b.cp_max(1).cp_min(0).on_connect(move |opened| {
            told.store(opened.process_id, Ordering::SeqCst);
            Ok(vec![
                "SET app.set_up = 'yes'".into(),
                "SET TIME ZONE 'UTC'".into(),
            ])
        })
    });
    let set: String = value(&set_up, "SELECT current_setting('app.set_up')");
    assert_eq!(set, "yes");
    let own: i32 = value(&set_up, "SELECT pg_backend_pid()");
    assert_eq!(process_id.load(Ordering::SeqCst), own);
    let limit = Duration::from_millis(300);
    let refused = pool(|b| {
        b.connect_timeout(limit)
            .on_connect(|_| Ok(vec!["SELECT nothing".into()]))
    });
    assert!(reason(&refused).contains("column \"nothing\" does not exist"));
    let fails = pool(|b| {
        b.connect_timeout(limit)
            .on_connect(|_| Err(sql::Error::new(ErrorKind::Other, "not today")))
    });
    assert!(reason(&fails).contains("on_connect failed: not today"));
}

#[test]
fn what_a_job_left_in_its_session_stays_or_is_undone_as_the_option_says() {
    let leaves = |reset| {
        let pool = pool(|b| {
            b.cp_max(1)
                .cp_min(0)
                .reset(reset)
                .on_connect(|_| Ok(vec!["SET TIME ZONE 'Asia/Tokyo'".into()]))
        });
        run(&pool, "SET app.was_left = 'left'");
        run(&pool, "CREATE TEMPORARY TABLE left_table ()");
        run(&pool, "SET TIME ZONE 'UTC'");
        let seen = "SELECT coalesce(current_setting('app.was_left', true), '') || ' ' || \
                    current_setting('TimeZone') || ' ' || \
                    coalesce(to_regclass('pg_temp.left_table')::text, '')";
        // A burst of jobs is reset after each.
        let jobs: Vec<_> = (0..20).map(|_| pool.run_query(seen, ())).collect();
        for job in jobs {
            outcome(job).unwrap();
        }
        value::<String>(&pool, seen)
    };
    assert_eq!(leaves(Reset::None), "left UTC left_table");
    assert_eq!(leaves(Reset::Discard), " Asia/Tokyo ");
}

#[test]
fn a_server_that_becomes_read_only_loses_its_connections_on_a_read_write_pool() {
    let cluster = Cluster::start_new();
    let mut settings = cluster.settings();
    settings.target_session_attrs = TargetSessionAttrs::ReadWrite;
    let builder = ConnectionPool::builder(settings).cp_max(2).cp_min(0);
    let pool = builder
        .connect_timeout(Duration::from_millis(300))
        .build(reactors())
        .unwrap();
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    let admin = observer(&cluster);
    run(
        &admin,
        "ALTER SYSTEM SET default_transaction_read_only = on",
    );
    run(&admin, "SELECT pg_reload_conf()");
    let _ = outcome(admin.run_query(format!("SELECT pg_terminate_backend({pid}, 10000)"), ()));
    eventually("it is unavailable", || {
        let error = outcome(pool.run_query("SELECT 1", ())).err();
        error.is_some_and(|error| error.to_string().contains("read-only"))
    });
}

#[test]
fn an_idle_connection_that_dies_is_replaced_before_the_next_job() {
    let pool = pool(|b| b.cp_max(1).cp_min(1));
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    terminate(pid);
    eventually("another is there", || {
        let stats = pool.stats();
        stats.lost == 1 && stats.connections == 1
    });
    assert_eq!(pool.stats().opened, 2);
}

#[test]
fn behind_a_pooler_nothing_stays_prepared_and_everything_works() {
    let pool = pool_on(Cluster::shared(), |b| {
        b.cp_max(1).cp_min(0).statement_cache(0)
    });
    for _ in 0..3 {
        assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    }
    assert_eq!(
        value::<i64>(&pool, "SELECT count(*) FROM pg_prepared_statements"),
        0
    );
}
