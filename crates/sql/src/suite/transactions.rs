//! What a job's settings and statements are as one transaction. Must not know a backend.

use std::time::{Duration, Instant};

use super::{Open, failure, first, job, outcome, rows, value};
use crate::{ErrorKind, Isolation, Job, Settings, Statement};

/// What a statement sees of its job's settings.
const SEEN: &str = "SELECT concat_ws('|', current_setting('app.user', true), current_user, \
                    current_setting('TimeZone'), current_setting('transaction_read_only'), \
                    current_setting('statement_timeout'))";

/// A role that may do nothing, made once.
fn make_role(db: &dyn crate::Database, role: &str) {
    let made = format!(
        "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    );
    rows(db, &made);
}

/// They are seen by SQL, whatever characters they have.
pub fn settings_hold_for_their_job_and_not_after_it(open: Open) {
    let db = open(1);
    make_role(&*db, "suite_clerk");
    let before: String = value(&*db, SEEN);
    let pid: i32 = value(&*db, "SELECT pg_backend_pid()");
    let settings = Settings::new()
        .set("app.user", r"o'brien \ 'x' é")
        .role("suite_clerk")
        .time_zone("Asia/Tokyo")
        .read_only(true)
        .statement_timeout(Duration::from_secs(7));
    let seen = outcome(db.submit(job(settings, SEEN))).expect("it is allowed");
    let expected = r"o'brien \ 'x' é|suite_clerk|Asia/Tokyo|on|7s";
    assert_eq!(first::<String>(&seen.first), expected);
    // A parameter that was set once reads '' afterwards, and not NULL.
    let after: String = value(&*db, SEEN);
    assert_eq!(after.trim_start_matches('|'), before);
    assert_eq!(pid, value::<i32>(&*db, "SELECT pg_backend_pid()"));
}

/// The connection is used again.
pub fn settings_are_gone_after_an_error_and_a_refused_role(open: Open) {
    let db = open(1);
    let before: String = value(&*db, SEEN);
    let settings = Settings::new().set("app.user", "alice");
    let error = failure(db.submit(job(settings.clone(), "SELECT 1 / 0")));
    assert_eq!(error.sqlstate(), Some("22012"));
    let nobody = settings.clone().role("suite_nobody");
    let error = failure(db.submit(job(nobody, "SELECT 1")));
    assert_eq!(error.sqlstate(), Some("22023"), "{error}");
    let error = failure(db.submit(job(settings.set("a", "\0"), "SELECT 1")));
    assert_eq!(error.kind(), ErrorKind::Config);
    let after: String = value(&*db, SEEN);
    assert_eq!(after.trim_start_matches('|'), before);
}

/// It is what row-level security needs.
pub fn a_role_has_its_own_rights(open: Open) {
    let db = open(2);
    make_role(&*db, "suite_guest");
    for sql in [
        "DROP TABLE IF EXISTS suite_rights",
        "CREATE TABLE suite_rights (owner text)",
        "INSERT INTO suite_rights VALUES ('alice'), ('bob')",
        "ALTER TABLE suite_rights ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON suite_rights USING (owner = current_setting('app.user'))",
        "GRANT SELECT ON suite_rights TO suite_guest",
    ] {
        rows(&*db, sql);
    }
    let of = |user: &str| Settings::new().set("app.user", user).role("suite_guest");
    for user in ["alice", "bob"].repeat(3) {
        let seen = outcome(db.submit(job(of(user), "SELECT owner FROM suite_rights")));
        let seen = seen.expect("it may").first;
        assert_eq!((seen.len(), first::<String>(&seen)), (1, user.to_owned()));
    }
    let error = failure(db.submit(job(of("alice"), "DELETE FROM suite_rights")));
    assert_eq!(error.sqlstate(), Some("42501"));
    assert_eq!(value::<i64>(&*db, "SELECT count(*) FROM suite_rights"), 2);
}

/// What only that role may look into, too.
pub fn a_statement_is_described_as_a_role_sees_it(open: Open) {
    let db = open(1);
    make_role(&*db, "suite_login");
    make_role(&*db, "suite_reader");
    for sql in [
        "DROP SCHEMA IF EXISTS suite_hidden CASCADE",
        "CREATE SCHEMA suite_hidden AUTHORIZATION suite_reader",
        "CREATE TABLE suite_hidden.goods (name text)",
    ] {
        rows(&*db, sql);
    }
    let sql = "SELECT * FROM suite_hidden.goods WHERE name = $1";
    let settings = Settings::new().set("search_path", "suite_hidden");
    for (role, sql) in [
        ("suite_reader", sql),
        ("suite_reader", "SELECT * FROM goods WHERE name = $1"),
    ] {
        let settings = settings.clone().role(role);
        let described = outcome(db.describe_in(settings, sql.into())).expect("it may");
        assert_eq!((described.params.len(), described.columns.len()), (1, 1));
    }
    let login = Settings::new().role("suite_login");
    let error = failure(db.describe_in(login, sql.into()));
    assert_eq!((error.sqlstate(), error.is_early()), (Some("42501"), false));
    let nobody = Settings::new().role("suite_nobody");
    assert!(failure(db.describe_in(nobody, sql.into())).is_early());
    assert_eq!(
        outcome(db.describe("SELECT 1".into()))
            .expect("the session is as before")
            .columns
            .len(),
        1
    );
    let none: String = value(&*db, SEEN);
    assert!(!none.contains("suite_reader"), "{none}");
}

/// SQLSTATE 25006.
pub fn read_only_refuses_a_write(open: Open) {
    let db = open(1);
    rows(&*db, "DROP TABLE IF EXISTS suite_read_only");
    let create = "CREATE TABLE suite_read_only (n int)";
    let error = failure(db.submit(job(Settings::new().read_only(true), create)));
    assert_eq!(error.sqlstate(), Some("25006"));
    outcome(db.submit(job(Settings::new().read_only(false), create))).expect("it may write");
}

/// And the server's own where none is.
pub fn the_isolation_is_the_one_asked_for(open: Open) {
    let db = open(1);
    let sql = "SELECT current_setting('transaction_isolation')";
    let isolation = |settings| {
        let results = outcome(db.submit(job(settings, sql))).expect("it is a query");
        first::<String>(&results.first)
    };
    for (asked, is) in [
        (Isolation::ReadCommitted, "read committed"),
        (Isolation::RepeatableRead, "repeatable read"),
        (Isolation::Serializable, "serializable"),
    ] {
        assert_eq!(isolation(Settings::new().isolation(asked)), is);
    }
    assert_eq!(isolation(Settings::new()), "read committed");
}

/// SQLSTATE 57014.
pub fn a_statement_has_the_time_that_its_job_gives_it(open: Open) {
    let db = open(1);
    let limit = "SELECT current_setting('statement_timeout')";
    let before: String = value(&*db, limit);
    let short = Settings::new().statement_timeout(Duration::from_millis(50));
    let began = Instant::now();
    let error = failure(db.submit(job(short, "SELECT pg_sleep(60)")));
    assert_eq!(error.sqlstate(), Some("57014"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(value::<String>(&*db, limit), before);
    let long = Settings::new().statement_timeout(Duration::from_secs(3600));
    let given = outcome(db.submit(job(long, limit))).expect("it is a query");
    assert_eq!(first::<String>(&given.first), "1h");
    assert_eq!(value::<String>(&*db, limit), before);
}

/// The second fails and nothing of the first stays.
pub fn several_statements_are_one(open: Open) {
    let db = open(2);
    rows(&*db, "DROP TABLE IF EXISTS suite_several");
    rows(&*db, "CREATE TABLE suite_several (n int PRIMARY KEY)");
    let insert = || Statement::new("INSERT INTO suite_several VALUES (1)", ());
    let error = failure(db.submit(Job::new(insert()).then(insert())));
    assert_eq!(error.sqlstate(), Some("23505"));
    assert_eq!(value::<i64>(&*db, "SELECT count(*) FROM suite_several"), 0);

    let select = Statement::new("SELECT n FROM suite_several", ());
    let results = outcome(db.submit(Job::new(insert()).then(select).then(insert().count())));
    assert_eq!(
        results.map(drop).map_err(|e| e.kind()),
        Err(ErrorKind::Database)
    );
    let select = Statement::new("SELECT n FROM suite_several", ());
    let delete = Statement::new("DELETE FROM suite_several", ()).count();
    let results = outcome(db.submit(Job::new(insert()).then(select).then(delete)));
    let results = results.expect("all succeed");
    let counts: Vec<_> = results
        .iter()
        .map(|rows| (rows.len(), rows.affected()))
        .collect();
    assert_eq!(counts, [(0, 1), (1, 1), (0, 1)]);
    assert_eq!(first::<i32>(&results.others[0]), 1);
    assert_eq!(results.last().affected(), 1);
}

/// A constraint that is looked at only then.
pub fn a_failure_at_the_commit_is_the_result(open: Open) {
    let db = open(1);
    rows(&*db, "DROP TABLE IF EXISTS suite_deferred");
    rows(
        &*db,
        "CREATE TABLE suite_deferred (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    );
    let insert = || Statement::new("INSERT INTO suite_deferred VALUES (1)", ());
    let error = failure(db.submit(Job::new(insert()).then(insert())));
    assert_eq!(error.sqlstate(), Some("23505"));
    assert_eq!(value::<i64>(&*db, "SELECT count(*) FROM suite_deferred"), 0);
}

/// Its statements see what those before them did, and nobody else ever does.
pub fn a_dry_run_gives_results_and_has_no_effect(open: Open) {
    let db = open(2);
    rows(&*db, "DROP TABLE IF EXISTS suite_dry");
    rows(&*db, "CREATE TABLE suite_dry (n int PRIMARY KEY)");
    let insert = || Statement::new("INSERT INTO suite_dry VALUES (1)", ());
    let results = outcome(db.submit(Job::new(insert().count()).dry_run())).expect("it runs");
    assert_eq!(results.first.affected(), 1);
    let select = Statement::new("SELECT n FROM suite_dry", ());
    let results = outcome(db.submit(Job::new(insert()).then(select).dry_run()));
    assert_eq!(first::<i32>(results.expect("both run").last()), 1);
    let error = failure(db.submit(Job::new(insert()).then(insert()).dry_run()));
    assert_eq!(error.sqlstate(), Some("23505"));
    assert_eq!(value::<i64>(&*db, "SELECT count(*) FROM suite_dry"), 0);
    outcome(db.submit(insert().into())).expect("the sessions are as before");
    assert_eq!(value::<i64>(&*db, "SELECT count(*) FROM suite_dry"), 1);
}

/// So it may be one that no transaction can hold.
pub fn a_bare_statement_has_no_transaction_around_it(open: Open) {
    let db = open(1);
    let vacuum = Statement::new("VACUUM pg_namespace", ()).count();
    outcome(db.submit(vacuum.into())).expect("it runs by itself");
    let error = failure(db.submit(job(Settings::new().read_only(false), "VACUUM pg_namespace")));
    assert_eq!(error.sqlstate(), Some("25001"));
}

/// Not even a job's own statements.
pub fn nobody_else_ends_the_transaction(open: Open) {
    let db = open(1);
    rows(&*db, "DROP TABLE IF EXISTS suite_ended");
    rows(&*db, "CREATE TABLE suite_ended (n int)");
    let insert = Statement::new("INSERT INTO suite_ended VALUES (1)", ());
    let commit = Statement::new("COMMIT", ());
    let error = failure(db.submit(Job::new(insert).then(commit)));
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert_eq!(value::<i64>(&*db, "SELECT count(*) FROM suite_ended"), 0);
}
