//! Owns the tests of prepared statements: how many are kept, and what happens when one is outdated
//! or gone.

use postgres::error::SqlState;

use super::{super::params, outcome, pool, value};

#[test]
fn many_more_statements_than_the_cache_holds_all_work() {
    let pool = pool(|b| b.cp_max(1).cp_min(0).statement_cache(3));
    for round in 0..2 {
        for n in 0..10 {
            let rows =
                outcome(pool.run_query(format!("SELECT {n} + $1::int4"), params![round])).unwrap();
            assert_eq!(rows[0].get::<_, i32>(0), n + round);
        }
    }
    let kept: i64 = value(&pool, "SELECT count(*) FROM pg_prepared_statements");
    assert!(kept <= 4, "{kept} statements kept");
}

#[test]
fn a_statement_whose_table_has_changed_is_prepared_again() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE changing (a int)", ())).unwrap();
    let columns = || {
        let insert = "INSERT INTO changing DEFAULT VALUES RETURNING *";
        outcome(pool.run_query(insert, ())).map(|rows| rows[0].len())
    };
    assert_eq!(columns().unwrap(), 1);
    outcome(pool.run_operation("ALTER TABLE changing ADD b text", ())).unwrap();
    assert_eq!(columns().unwrap(), 2);
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM changing"), 2);
}

#[test]
fn a_statement_outdated_inside_a_transaction_fails_it_once() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE changing_inside (a int)", ())).unwrap();
    let select = "SELECT * FROM changing_inside";
    outcome(pool.run_query(select, ())).unwrap();
    outcome(pool.run_operation("ALTER TABLE changing_inside ADD b text", ())).unwrap();
    let error = outcome(pool.run_interaction(|txn| txn.execute(select, ()))).unwrap_err();
    assert_eq!(error.sqlstate(), Some(&SqlState::FEATURE_NOT_SUPPORTED));
    outcome(pool.run_interaction(|txn| txn.execute(select, ()))).unwrap();
}

#[test]
fn statements_that_are_gone_are_prepared_again() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    for _ in 0..2 {
        assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
        assert_eq!(outcome(pool.run_operation("SELECT 2", ())).unwrap(), 1);
        outcome(pool.run_operation("DISCARD ALL", ())).unwrap();
    }
}
