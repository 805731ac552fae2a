//! Owns the tests of rows as values of one's own types. What fits what is the suite's of `sql`.

use serde::Deserialize;

use super::{
    super::{Error, params},
    outcome, pool, value,
};

#[derive(Debug, Deserialize, PartialEq)]
struct Goods {
    id: i64,
    name: String,
    price: Option<f64>,
}

const GOODS: &str = "SELECT 'tea' AS name, n AS id, nullif(n, 2)::float8 AS price, now() AS made
                     FROM generate_series(1, $1) AS n";

fn goods(id: i64, price: Option<f64>) -> Goods {
    let name = "tea".to_owned();
    Goods { id, name, price }
}

#[test]
fn a_query_gives_structs_by_the_names_of_their_columns() {
    for statement_cache in [256, 0] {
        let pool = pool(|b| b.statement_cache(statement_cache));
        let job = pool.run_query_as::<Goods>(GOODS, params![2_i32]);
        let expected = [goods(1, Some(1.0)), goods(2, None)];
        assert_eq!(outcome(job).unwrap(), expected);
        let none = pool.run_query_as::<Goods>(GOODS, params![0_i32]);
        assert_eq!(outcome(none).unwrap(), []);
    }
}

#[test]
fn a_row_that_does_not_fit_is_an_error_of_a_statement_that_has_run() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE unfit (id int, name text)", ())).unwrap();
    let sql = "INSERT INTO unfit VALUES (1) RETURNING id, name, 2 AS price";
    let error = outcome(pool.run_query_as::<Goods>(sql, ())).unwrap_err();
    assert!(matches!(error, Error::Sql(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("column name of type text: it is NULL"),
        "{text}"
    );
    let error = sql::Error::from(error);
    assert_eq!(error.kind(), sql::ErrorKind::Value);
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM unfit"), 1);
}

#[test]
fn a_bug_in_a_type_of_ones_own_reaches_its_caller_and_no_other() {
    #[derive(Debug)]
    struct Bug;
    impl<'a> Deserialize<'a> for Bug {
        fn deserialize<D: serde::Deserializer<'a>>(_: D) -> Result<Self, D::Error> {
            panic!("as the test wants it");
        }
    }
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let error = outcome(pool.run_query_as::<Bug>("SELECT 1", ())).unwrap_err();
    assert!(matches!(error, Error::Panicked(_)), "{error:?}");
    assert_eq!(value::<i32>(&pool, "SELECT 1"), 1);
}

#[test]
fn an_interaction_gets_structs_and_a_row_that_does_not_fit_undoes_it() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    outcome(pool.run_operation("CREATE TABLE undone (id int)", ())).unwrap();
    let read = outcome(pool.run_interaction(|txn| {
        let made = txn.query_as::<Goods>(GOODS, params![1_i32])?;
        assert_eq!(txn.row_count(), Some(1));
        Ok((made, txn.fetch_one().is_none()))
    }));
    assert_eq!(read.unwrap(), (vec![goods(1, Some(1.0))], true));
    let unfit = outcome(pool.run_interaction(|txn| {
        txn.execute("INSERT INTO undone VALUES (1)", ())?;
        txn.query_as::<Goods>("SELECT id FROM undone", ())
    }));
    let text = unfit.unwrap_err().to_string();
    assert!(text.contains("there is no column name, only id"), "{text}");
    assert_eq!(value::<i64>(&pool, "SELECT count(*) FROM undone"), 0);
}
