//! Jobs on a real server: bare ones, those with settings, those of several statements.

use sql::{ErrorKind, Isolation, Job, Settings, params};

use super::{
    super::{Event, Outcome, Work},
    client::{Client, first, query, results, with},
};

#[test]
fn a_bare_job_gives_its_rows() {
    let mut client = Client::new();
    for n in 0..3_i64 {
        let statement = with("SELECT $1::int8 + 1, 'x'::text, NULL::int4", params_of(n));
        let results = client.job(statement).unwrap();
        let row = results.first.row(0).unwrap();
        assert_eq!(row.get::<i64>(0), Ok(n + 1));
        assert_eq!(row.get::<&str>("text"), Ok("x"));
        assert_eq!(row.value(2), None);
        assert_eq!((results.first.len(), results.first.affected()), (1, 1));
    }
    let none = client
        .job(query("SELECT FROM generate_series(1, 3)"))
        .unwrap();
    assert_eq!((none.first.len(), none.first.affected()), (0, 3));
    let empty = client.job(query("")).unwrap();
    assert_eq!((empty.first.len(), empty.first.affected()), (0, 0));
}

fn params_of(n: i64) -> Vec<sql::Value<'static>> {
    vec![Box::new(n)]
}

#[test]
fn settings_are_one_implicit_transaction_with_their_statement() {
    let mut client = Client::new();
    let seen = "SELECT concat_ws('|', current_setting('app.user', true), current_setting('TimeZone'), \
                current_setting('transaction_read_only'), current_setting('statement_timeout'))";
    let settings = Settings::new()
        .set("app.user", r"o'brien \ é")
        .time_zone("Asia/Tokyo")
        .read_only(true)
        .statement_timeout(std::time::Duration::from_secs(7));
    for _ in 0..3 {
        let job = Job::new(query(seen)).with(settings.clone());
        assert_eq!(
            first::<String>(&client.job(job).unwrap()),
            r"o'brien \ é|Asia/Tokyo|on|7s"
        );
        let after = client.value::<String>(seen);
        assert!(
            after.starts_with('|') && after.ends_with("|off|0"),
            "{after}"
        );
    }
    let job = Job::new(query(seen)).with(Settings::new().set("a.b", "\0"));
    assert_eq!(client.job(job).unwrap_err().kind(), ErrorKind::Config);
    let job = Job::new(query("SELECT 1")).with(settings.role("nobody"));
    assert_eq!(client.job(job).unwrap_err().sqlstate(), Some("22023"));
    let explicit = Settings::new()
        .isolation(Isolation::Serializable)
        .set("app.user", "x");
    let isolation =
        "SELECT current_setting('transaction_isolation') || current_setting('app.user')";
    let job = Job::new(query(isolation)).with(explicit);
    assert_eq!(first::<String>(&client.job(job).unwrap()), "serializablex");
    assert_eq!(
        client.value::<String>("SELECT current_setting('app.user')"),
        ""
    );
}

#[test]
fn several_statements_take_effect_as_a_whole_or_not_at_all() {
    let mut client = Client::new();
    client.all(&[
        "DROP TABLE IF EXISTS several",
        "CREATE TABLE several (n int PRIMARY KEY)",
    ]);
    let insert = || query("INSERT INTO several VALUES (1)");
    for _ in 0..2 {
        let error = client.job(Job::new(insert()).then(insert())).unwrap_err();
        assert_eq!(error.sqlstate(), Some("23505"));
        let wrong = with("INSERT INTO several VALUES ($1)", params_of(2));
        let error = client.job(Job::new(insert()).then(wrong)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value, "{error}");
        assert_eq!(client.value::<i64>("SELECT count(*) FROM several"), 0);
    }
    let job = Job::new(insert())
        .then(query("SELECT n FROM several"))
        .then(query("DELETE FROM several").count());
    let results = client.job(job).unwrap();
    let counts: Vec<_> = results
        .iter()
        .map(|rows| (rows.len(), rows.affected()))
        .collect();
    assert_eq!(counts, [(0, 1), (1, 1), (0, 1)]);
    // A later statement may need what an earlier one makes.
    let job = Job::new(query("CREATE TABLE several_more (n int)"))
        .then(query("INSERT INTO several_more VALUES (7)"))
        .then(query("DROP TABLE several_more"));
    client.job(job).unwrap();
    let job = Job::new(insert()).then(query("COMMIT"));
    assert_eq!(client.job(job).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn an_error_touches_one_job_of_many() {
    let mut client = Client::new();
    for round in 0..2 {
        let sent: Vec<_> = (0..100_i64)
            .map(|n| {
                let sql = match (n % 3, round) {
                    (0, 0) => "SELECT 1 / ($1::int8 - $1::int8)",
                    (0, _) => "SELECT $1::int8 / 0",
                    _ => "SELECT $1::int8",
                };
                (n, client.send(Work::Job(with(sql, params_of(n)).into())))
            })
            .collect();
        assert_eq!(client.session.in_flight(), 100);
        for (n, work) in sent {
            let outcome = client.end(work).map(results);
            match n % 3 {
                0 => assert_eq!(outcome.unwrap_err().sqlstate(), Some("22012")),
                _ => assert_eq!(first::<i64>(&outcome.unwrap()), n),
            }
        }
        assert_eq!(client.session.in_flight(), 0);
        let order: Vec<_> = client.events.drain(..).collect();
        assert!(order.is_empty(), "{order:?}");
    }
}

#[test]
fn a_statement_is_described() {
    let mut client = Client::new();
    let describe = Work::Describe(
        Settings::new(),
        "SELECT $1::int8 AS a, $2::text AS b".into(),
    );
    let Ok(Outcome::Description(description)) = client.run(describe) else {
        panic!("no description");
    };
    use sql::types::Type;
    assert_eq!(description.params, [Type::INT8, Type::TEXT]);
    let columns = [("a".to_owned(), Type::INT8), ("b".to_owned(), Type::TEXT)];
    assert_eq!(description.columns, columns);
    let error = client
        .run(Work::Describe(Settings::new(), "SELECT a".into()))
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some("42703"));
    let error = client
        .run(Work::Describe(Settings::new(), "COMMIT".into()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn a_script_gives_its_first_column() {
    let mut client = Client::new();
    let script = "SELECT 'a', 1; SELECT NULL; SELECT 2";
    let Ok(Outcome::Simple(texts)) = client.run(Work::Simple(script.into())) else {
        panic!("no texts");
    };
    assert_eq!(texts, [Some("a".into()), None, Some("2".into())]);
    let error = client
        .run(Work::Simple("SELECT 1; SELECT 1 / 0".into()))
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some("22012"));
    client
        .run(Work::Simple(
            "LISTEN session_test; NOTIFY session_test, 'x'".into(),
        ))
        .unwrap();
    let heard = client
        .until(|event| matches!(event, Event::Notification(_)))
        .unwrap();
    assert!(format!("{heard:?}").contains("session_test"));
}

#[test]
fn values_that_do_not_fit_are_told_and_nothing_else_is_touched() {
    let mut client = Client::new();
    let sql = "SELECT $1::int8, $2::text";
    for _ in 0..2 {
        for wrong in [params![1_i64], params!["x", "y"]] {
            let wrong = sql::Statement::new(sql, wrong);
            let error = client.job(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Value, "{error}");
        }
        let good = sql::Statement::new(sql, params![1_i64, None::<String>]);
        assert_eq!(first::<i64>(&client.job(good).unwrap()), 1);
    }
}
