//! Interactions step by step, on a real server.

use sql::{ErrorKind, Settings};

use super::{
    super::{Outcome, TransactionStatus, Work},
    client::{Client, first, query, results},
};

fn begin() -> Work {
    Work::Begin(Settings::new().set("app.user", "walker"))
}

fn step(sql: &str) -> Work {
    Work::InTransaction(query(sql))
}

#[test]
fn steps_are_one_transaction() {
    let mut client = Client::new();
    client.all(&["DROP TABLE IF EXISTS steps", "CREATE TABLE steps (n int)"]);
    for (end, left) in [(Work::Rollback, 0_i64), (Work::Commit, 1)] {
        assert!(matches!(client.run(begin()), Ok(Outcome::Began)));
        assert_eq!(
            client.session.transaction_status(),
            TransactionStatus::InTransaction
        );
        assert!(client.session.is_exclusive());
        let user = client
            .run(step("SELECT current_setting('app.user')"))
            .map(results);
        assert_eq!(first::<String>(&user.unwrap()), "walker");
        let inserted = client
            .run(step("INSERT INTO steps VALUES (1)"))
            .map(results);
        assert_eq!(inserted.unwrap().first.affected(), 1);
        assert!(client.run(end).is_ok());
        assert!(!client.session.is_exclusive());
        assert_eq!(client.value::<i64>("SELECT count(*) FROM steps"), left);
        assert_eq!(
            client.value::<String>("SELECT current_setting('app.user')"),
            ""
        );
    }
}

#[test]
fn a_failed_step_may_be_undone_to_a_savepoint_and_cannot_be_committed() {
    let mut client = Client::new();
    client.run(begin()).unwrap();
    client.run(step("SAVEPOINT a")).unwrap();
    assert_eq!(
        client.run(step("SELECT 1 / 0")).unwrap_err().sqlstate(),
        Some("22012")
    );
    assert_eq!(
        client.run(step("SELECT 1")).unwrap_err().sqlstate(),
        Some("25P02")
    );
    client.run(step("ROLLBACK TO a")).unwrap();
    assert!(matches!(client.run(Work::Commit), Ok(Outcome::Committed)));

    client.run(begin()).unwrap();
    client.run(step("SELECT 1 / 0")).unwrap_err();
    let error = client.run(Work::Commit).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(error.to_string().contains("division by zero"), "{error}");
    assert_eq!(client.value::<i32>("SELECT 1"), 1);
}

#[test]
fn a_step_that_ends_the_transaction_is_refused_and_one_that_is_none_too() {
    let mut client = Client::new();
    client.run(begin()).unwrap();
    assert_eq!(
        client.run(step("COMMIT")).unwrap_err().kind(),
        ErrorKind::Config
    );
    let job = Work::Job(query("SELECT 1").into());
    assert_eq!(client.run(job).unwrap_err().kind(), ErrorKind::Other);
    assert!(client.run(step("SELECT 1")).is_ok());
    client.run(Work::Rollback).unwrap();
    assert_eq!(
        client.run(step("SELECT 1")).unwrap_err().kind(),
        ErrorKind::Other
    );
}

#[test]
fn a_refused_setting_begins_nothing() {
    let mut client = Client::new();
    for _ in 0..2 {
        let refused = Work::Begin(Settings::new().role("nobody_at_all"));
        assert_eq!(client.run(refused).unwrap_err().sqlstate(), Some("22023"));
        assert_eq!(client.session.transaction_status(), TransactionStatus::Idle);
        assert!(!client.session.is_exclusive());
    }
}

#[test]
fn a_failure_at_the_commit_is_its_result() {
    let mut client = Client::new();
    client.all(&[
        "DROP TABLE IF EXISTS steps_deferred",
        "CREATE TABLE steps_deferred (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    ]);
    client.run(begin()).unwrap();
    for _ in 0..2 {
        client
            .run(step("INSERT INTO steps_deferred VALUES (1)"))
            .unwrap();
    }
    assert_eq!(
        client.run(Work::Commit).unwrap_err().sqlstate(),
        Some("23505")
    );
    assert_eq!(
        client.value::<i64>("SELECT count(*) FROM steps_deferred"),
        0
    );
    let twice = || query("INSERT INTO steps_deferred VALUES (1)");
    let job = sql::Job::new(twice()).then(twice());
    assert_eq!(client.job(job).unwrap_err().sqlstate(), Some("23505"));
    let job = sql::Job::new(twice())
        .then(twice())
        .then(query("SET LOCAL a.b = 1"));
    assert_eq!(client.job(job).unwrap_err().sqlstate(), Some("23505"));
    assert_eq!(
        client.value::<i64>("SELECT count(*) FROM steps_deferred"),
        0
    );
}
