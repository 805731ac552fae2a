//! What runs before the statements of a job. Must not know a backend.

use std::num::NonZeroU32;

use super::{Open, failure, first, job, outcome, rows, value};
use crate::{Database, ErrorKind, Job, Settings, Statement, params};

/// A function that notes who calls, and refuses the caller `mallory`; in a schema of a case's own.
fn make(db: &dyn Database, schema: &str) {
    let refuse =
        "IF current_setting('app.user') = 'mallory' THEN RAISE EXCEPTION 'not you'; END IF";
    for sql in [
        format!("DROP SCHEMA IF EXISTS {schema} CASCADE"),
        format!("CREATE SCHEMA {schema}"),
        format!("CREATE TABLE {schema}.seen (who text)"),
        format!(
            "CREATE FUNCTION {schema}.check() RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO {schema}.seen VALUES (current_setting('app.user')); {refuse}; END $$"
        ),
    ] {
        let statement = Statement::new(sql, ()).count();
        outcome(db.submit(statement.into())).expect("it is there");
    }
}

fn of(user: &str, schema: &str) -> Settings {
    let check = format!("SELECT {schema}.check()");
    Settings::new().set("app.user", user).before(check)
}

/// Its row is not in the results.
pub fn it_runs_with_all_set_in_the_transaction_of_its_job(open: Open) {
    let db = open(1);
    make(&*db, "suite_before");
    let count = "SELECT count(*) FROM suite_before.seen WHERE who = current_setting('app.user')";
    for n in 1..4 {
        let results = outcome(db.submit(job(of("alice", "suite_before"), count)));
        let results = results.expect("she may");
        assert_eq!((first::<i64>(&results.first), results.others.len()), (n, 0));
    }
    let alone = Settings::new().before("SELECT 1");
    let results = outcome(db.submit(job(alone, "SELECT 'own'"))).expect("it may");
    assert_eq!(first::<String>(&results.first), "own");
    let control = Settings::new().before("COMMIT");
    let error = failure(db.submit(job(control, "SELECT 1")));
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

/// And it says that no statement of the job has begun.
pub fn its_failure_is_that_of_the_job(open: Open) {
    let db = open(1);
    make(&*db, "suite_refused");
    let pid: i32 = value(&*db, "SELECT pg_backend_pid()");
    for _ in 0..3 {
        let error = failure(db.submit(job(of("mallory", "suite_refused"), "SELECT 1")));
        assert_eq!(error.sqlstate(), Some("P0001"), "{error}");
        assert!(error.is_early());
        let error = failure(db.submit(job(of("alice", "suite_refused"), "SELECT 1 / 0")));
        assert_eq!(error.sqlstate(), Some("22012"), "{error}");
        assert!(!error.is_early());
        // Which is found out when it has run already.
        let unfit = Statement::new("SELECT $1::int4", params!["one"]);
        let unfit = Job::new(unfit).with(of("alice", "suite_refused"));
        assert_eq!(failure(db.submit(unfit)).kind(), ErrorKind::Value);
        let nobody = Settings::new().role("suite_nobody");
        assert!(failure(db.submit(job(nobody, "SELECT 1"))).is_early());
    }
    assert_eq!(
        value::<i64>(&*db, "SELECT count(*) FROM suite_refused.seen"),
        0
    );
    assert_eq!(pid, value::<i32>(&*db, "SELECT pg_backend_pid()"));
}

/// Before its first batch.
pub fn a_stream_has_it_too(open: Open) {
    let db = open(1);
    make(&*db, "suite_streamed");
    let stream = |user| {
        let statement = Statement::new("SELECT who FROM suite_streamed.seen", ());
        let batch = NonZeroU32::new(10).expect("not 0");
        db.stream(of(user, "suite_streamed"), statement, batch)
    };
    let mut seen = stream("alice");
    let batch = outcome(seen.next_batch()).expect("she may");
    assert_eq!(first::<String>(&batch.expect("a batch")), "alice");
    assert!(outcome(seen.next_batch()).expect("the end").is_none());
    let error = failure(stream("mallory").next_batch());
    assert_eq!(error.sqlstate(), Some("P0001"), "{error}");
    assert!(error.is_early());
}

/// What a connection has prepared for it is no hindrance.
pub fn it_may_become_another_function(open: Open) {
    let db = open(1);
    for schema in ["suite_other", "suite_other", "suite_other"] {
        make(&*db, schema);
        let results = outcome(db.submit(job(of("alice", schema), "SELECT 1")));
        assert_eq!(first::<i32>(&results.expect("she may").first), 1);
    }
    rows(&*db, "DROP FUNCTION suite_other.check()");
    let error = failure(db.submit(job(of("alice", "suite_other"), "SELECT 1")));
    assert_eq!(error.sqlstate(), Some("42883"), "{error}");
    assert!(error.is_early());
    make(&*db, "suite_other");
    outcome(db.submit(job(of("alice", "suite_other"), "SELECT 1"))).expect("she may again");
}
