//! Owns the tests that every backend has to pass, against a real PostgreSQL that the backend's own
//! tests start. Must not know a backend.
//!
//! A backend's tests name a function that opens a database with so many connections at most, as a
//! superuser of a server that is the tests' own:
//!
//! ```text
//! fn open(connections: u32) -> Arc<dyn sql::Database> { … }
//! sql::database_suite!(open);
//! ```

pub mod before;
pub mod listening;
pub mod running;
pub mod statements;
pub mod streaming;
pub mod structs;
pub mod transactions;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Database, Deferred, Error, Job, Rows, Settings, Statement,
    types::{FromSqlOwned, ToSql},
};

/// Opens a database with at most so many connections.
pub type Open = fn(u32) -> Arc<dyn Database>;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// Makes a test of each case, for the databases that a function opens.
#[macro_export]
macro_rules! database_suite {
    ($open:expr) => {
        $crate::database_suite! { @ $open;
            listening: listeners_hear_their_channel_only,
            listening: all_listen_on_one_connection,
            listening: a_lost_listening_connection_is_told_and_replaced,
            listening: channels_that_cannot_be_are_refused,
            listening: the_close_is_the_last_that_a_listener_hears,
            running: a_job_that_waits_can_be_cancelled_and_never_runs,
            running: a_job_that_runs_can_be_cancelled_and_its_statement_stops,
            running: the_figures_are_those_of_the_moment,
            running: what_the_time_of_a_job_went_into_is_told,
            running: a_close_lets_what_runs_end_within_its_grace,
            running: a_close_ends_what_runs_on_after_its_grace,
            statements: values_come_as_postgresql_sent_them,
            statements: columns_are_known_without_rows,
            statements: types_that_are_made_by_users_come_too,
            statements: parameters_go_there_and_wrong_ones_are_told,
            statements: a_count_keeps_no_rows,
            statements: statements_are_described_and_not_run,
            statements: errors_have_all_that_postgresql_said,
            streaming: all_rows_come_in_batches_and_in_their_order,
            streaming: a_slow_consumer_keeps_postgresql_waiting,
            streaming: the_memory_of_a_stream_is_constant,
            streaming: a_stream_is_one_transaction_with_its_settings,
            streaming: an_error_in_the_middle_ends_the_stream,
            streaming: a_stream_can_be_cancelled,
            streaming: a_stream_that_is_dropped_ends_in_postgresql,
            structs: rows_become_structs_by_the_names_of_their_columns,
            structs: rows_become_tuples_and_maps,
            structs: what_has_no_rust_type_is_read_as_text,
            structs: a_field_that_does_not_fit_is_told_without_its_value,
            structs: a_value_that_does_not_fit_is_told_without_it,
            transactions: settings_hold_for_their_job_and_not_after_it,
            transactions: settings_are_gone_after_an_error_and_a_refused_role,
            transactions: a_role_has_its_own_rights,
            transactions: a_statement_is_described_as_a_role_sees_it,
            before: it_runs_with_all_set_in_the_transaction_of_its_job,
            before: its_failure_is_that_of_the_job,
            before: a_stream_has_it_too,
            before: it_may_become_another_function,
            transactions: read_only_refuses_a_write,
            transactions: the_isolation_is_the_one_asked_for,
            transactions: a_statement_has_the_time_that_its_job_gives_it,
            transactions: several_statements_are_one,
            transactions: a_failure_at_the_commit_is_the_result,
            transactions: a_dry_run_gives_results_and_has_no_effect,
            transactions: a_bare_statement_has_no_transaction_around_it,
            transactions: nobody_else_ends_the_transaction,
        }
    };
    (@ $open:expr; $($room:ident: $case:ident,)*) => {
        $(#[test]
        fn $case() {
            $crate::suite::$room::$case($open);
        })*
    };
}

/// The result of a deferred that must come.
fn outcome<T: Send + 'static>(deferred: Deferred<T>) -> Result<T, Error> {
    deferred.wait_timeout(LIMIT).expect("a result comes")
}

/// The error of a deferred that must come and fail.
fn failure<T: Send + 'static>(deferred: Deferred<T>) -> Error {
    match outcome(deferred) {
        Ok(_) => panic!("it was to fail"),
        Err(error) => error,
    }
}

/// The rows of one statement.
fn rows(db: &dyn Database, sql: &str) -> Rows {
    let statement = Statement::new(sql.to_owned(), ());
    let results = outcome(db.submit(statement.into()));
    results
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .first
}

/// The one value of a statement that gives one.
fn value<T: FromSqlOwned>(db: &dyn Database, sql: &str) -> T {
    first(&rows(db, sql))
}

/// The first value of the first row.
fn first<T: FromSqlOwned>(rows: &Rows) -> T {
    let row = rows.row(0).expect("a row");
    row.get(0).unwrap_or_else(|error| panic!("{error}"))
}

/// A job of one statement with these settings.
fn job(settings: Settings, sql: &'static str) -> Job {
    Job::new(Statement::new(sql, ())).with(settings)
}

/// Waits until something holds, which must be soon.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        thread::yield_now();
    }
}

/// How many backends run a statement with this mark in it, besides the one that asks.
fn running_with(db: &dyn Database, mark: &str) -> i64 {
    let statement = Statement::new(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() \
         AND strpos(query, $1) > 0",
        vec![param(mark.to_owned())],
    );
    let results = outcome(db.submit(statement.into()));
    first(&results.unwrap_or_else(|error| panic!("{error}")).first)
}

fn param(value: impl ToSql + Sync + Send + 'static) -> crate::Value<'static> {
    Box::new(value)
}
