//! Owns the tests of interactions: what their blocks may do, and what becomes of their transactions.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sql::{Error, ErrorKind, Isolation, Settings, params};

use super::{
    Cluster, LIMIT, eventually, observer, outcome, pool, reactors_of, run, terminate,
    until_running, value,
};
use crate::ConnectionPool;

#[test]
fn ok_commits_and_an_error_rolls_back() {
    let pool = pool(|b| b.cp_max(2).cp_min(0));
    run(&pool, "CREATE TABLE interacted (n int)");
    let left = pool.run_interaction(|mut txn| async move {
        let insert = "INSERT INTO interacted VALUES ($1) RETURNING n + 1";
        let rows = txn.query(insert, params![1_i32]).await?;
        let next: i32 = rows.row(0).unwrap().get(0)?;
        assert_eq!(
            txn.execute("INSERT INTO interacted VALUES ($1)", params![next])
                .await?,
            1
        );
        Ok(next)
    });
    assert_eq!(outcome(left), Ok(2));
    let none = pool.run_interaction(|mut txn| async move {
        txn.execute("INSERT INTO interacted VALUES (3)", ()).await?;
        Err::<(), _>(Error::new(ErrorKind::Other, "no stock left"))
    });
    assert_eq!(outcome(none).unwrap_err().to_string(), "no stock left");
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM interacted"), 2);
}

/// The first one's own error, and the transaction is gone.
#[test]
fn a_statement_that_fails_ends_the_transaction() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    run(&pool, "CREATE TABLE failed (n int)");
    let swallows = pool.run_interaction(|mut txn| async move {
        txn.execute("INSERT INTO failed VALUES (1)", ()).await?;
        let error = txn.execute("SELECT 1/0", ()).await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("22012"));
        Ok(())
    });
    let error = outcome(swallows).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(error.to_string().contains("rolled back"), "{error}");
    let goes_on = pool.run_interaction(|mut txn| async move {
        txn.execute("SELECT 1/0", ()).await.unwrap_err();
        txn.execute("SELECT 1", ()).await
    });
    assert_eq!(outcome(goes_on).unwrap_err().sqlstate(), Some("25P02"));
    let saved = pool.run_interaction(|mut txn| async move {
        txn.execute("SAVEPOINT here", ()).await?;
        txn.execute("SELECT 1/0", ()).await.unwrap_err();
        txn.execute("ROLLBACK TO here", ()).await?;
        txn.execute("INSERT INTO failed VALUES (2)", ()).await
    });
    assert_eq!(outcome(saved), Ok(1));
    assert_eq!(value::<i64>(&pool, "SELECT sum(n) FROM failed"), 2);
}

#[test]
fn a_panic_ends_its_call_and_keeps_the_connection() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let pid: i32 = value(&pool, "SELECT pg_backend_pid()");
    let at_once = pool.run_interaction(|_| async { panic!("at once") });
    assert_eq!(
        outcome::<()>(at_once).unwrap_err().kind(),
        ErrorKind::Panicked
    );
    let later = pool.run_interaction(|mut txn| async move {
        txn.execute("SELECT 1", ()).await?;
        panic!("later");
    });
    let error = outcome::<()>(later).unwrap_err();
    assert_eq!(error.to_string(), "the job panicked: later");
    assert_eq!(value::<i32>(&pool, "SELECT pg_backend_pid()"), pid);
}

#[test]
fn a_block_that_waits_for_anything_else_is_an_error_that_says_so() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let waits = pool.run_interaction(|mut txn| async move {
        txn.execute("SELECT 1", ()).await?;
        pending::<()>().await;
        Ok(())
    });
    let error = outcome(waits).unwrap_err();
    assert!(
        error.to_string().contains("nobody would wake it"),
        "{error}"
    );
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
}

#[test]
fn a_cancelled_interaction_rolls_back() {
    let pool = pool(|b| b.cp_max(2).cp_min(0));
    run(&pool, "CREATE TABLE cancelled (n int)");
    let went_on = Arc::new(AtomicBool::new(false));
    let goes_on = went_on.clone();
    let long = pool.run_interaction(move |mut txn| async move {
        txn.execute("INSERT INTO cancelled VALUES (1)", ()).await?;
        let _ = txn
            .execute("SELECT pg_sleep(60) /* interaction */", ())
            .await;
        goes_on.store(true, Ordering::SeqCst);
        Ok(())
    });
    let observer = observer(Cluster::shared());
    until_running(&observer, "/* interaction */", 1);
    long.cancel();
    assert_eq!(outcome(long).unwrap_err().kind(), ErrorKind::Cancelled);
    until_running(&observer, "/* interaction */", 0);
    eventually("it is over", || pool.stats().running == 0);
    assert!(!went_on.load(Ordering::SeqCst), "its block is dropped");
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM cancelled"), 0);
}

#[test]
fn an_interaction_whose_connection_breaks_keeps_the_first_error() {
    // Its block blocks, so that it has an I/O thread for itself.
    let pool = ConnectionPool::builder(Cluster::shared().settings());
    let pool = pool.cp_max(1).cp_min(0).build(reactors_of(1)).unwrap();
    let result = pool.run_interaction(|mut txn| async move {
        let rows = txn.query("SELECT pg_backend_pid()", ()).await?;
        let pid: i32 = rows.row(0).unwrap().get(0)?;
        let bad = txn.execute("SELECT 1/0", ()).await.unwrap_err();
        std::thread::spawn(move || terminate(pid)).join().unwrap();
        // The rollback that follows has no connection left to run on.
        Err::<(), _>(bad)
    });
    assert_eq!(outcome(result).unwrap_err().sqlstate(), Some("22012"));
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
    let lost = pool.run_interaction(|mut txn| async move {
        let own = "SELECT pg_terminate_backend(pg_backend_pid())";
        txn.execute(own, ()).await
    });
    assert_eq!(outcome(lost).unwrap_err().kind(), ErrorKind::ConnectionLost);
}

#[test]
fn it_has_its_settings_and_its_connection_for_itself() {
    let pool = pool(|b| b.cp_max(2).cp_min(0));
    let settings = Settings::new()
        .isolation(Isolation::Serializable)
        .set("app.user", "alice");
    let seen = pool.run_interaction_with(settings, |mut txn| async move {
        let sql = "SELECT current_setting('transaction_isolation') || current_setting('app.user')";
        let first = txn.query("SELECT pg_backend_pid()", ()).await?;
        let seen = txn.query(sql, ()).await?;
        let again = txn.query("SELECT pg_backend_pid()", ()).await?;
        let pid = |rows: &sql::Rows| rows.row(0).unwrap().get::<i32>(0);
        assert_eq!(pid(&first), pid(&again));
        seen.row(0).unwrap().get::<String>(0)
    });
    assert_eq!(outcome(seen).unwrap(), "serializablealice");
    let control = pool.run_interaction(|mut txn| async move { txn.execute("COMMIT", ()).await });
    assert_eq!(outcome(control).unwrap_err().kind(), ErrorKind::Config);
}

/// All of them on two connections, each with several round trips.
#[test]
fn many_interactions_take_turns() {
    let pool = pool(|b| b.cp_max(2).cp_min(0).queue_limit(1000));
    run(&pool, "CREATE TABLE turns (n int)");
    let jobs: Vec<_> = (0..200_i32)
        .map(|n| {
            pool.run_interaction(move |mut txn| async move {
                txn.execute("INSERT INTO turns VALUES ($1)", params![n])
                    .await?;
                txn.execute("UPDATE turns SET n = -n WHERE n = $1", params![n])
                    .await
            })
        })
        .collect();
    let deadline = std::time::Instant::now() + LIMIT;
    for job in jobs {
        assert_eq!(outcome(job), Ok(1));
    }
    assert!(std::time::Instant::now() < deadline);
    let negative = "SELECT count(*) FROM turns WHERE n <= 0";
    assert_eq!(value::<i64>(&pool, negative), 200);
}
