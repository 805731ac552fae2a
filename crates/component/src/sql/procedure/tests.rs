//! Procedures by tables, run on a real PostgreSQL.

mod judged;
mod running;

use std::{
    sync::{Arc, Mutex, OnceLock, mpsc},
    time::Duration,
};

use pg_cluster::TemporaryCluster;
use serde_json::{Value, json};
use sql::{Database, Job, Statement};
use wamp::{Payload, Receipt, RequestId, Sparse};

use super::{
    super::{
        super::{
            Answer, Error, ErrorDetails, Invocation, Reply,
            invocation::{Callee, Unanswered},
        },
        options::Options,
        text::Source,
    },
    *,
};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// The database of all tests here.
fn database() -> Arc<dyn Database> {
    static SERVER: OnceLock<(TemporaryCluster, Arc<dyn Database>)> = OnceLock::new();
    let (_, database) = SERVER.get_or_init(|| {
        let cluster = TemporaryCluster::create("app", None).unwrap();
        cluster.start().unwrap();
        let mut config = adbapi::postgres::Config::new();
        config.host_path(cluster.socket_directory());
        config.port(cluster.port()).user("app").dbname("postgres");
        let pool = adbapi::ConnectionPool::builder(config).cp_min(1).cp_max(4);
        let database: Arc<dyn Database> = Arc::new(pool.build().unwrap());
        for sql in [
            "CREATE TABLE goods (id int PRIMARY KEY, name text, price numeric)",
            "INSERT INTO goods VALUES (1, 'tea', 3.50), (2, 'pot', 20), (3, 'cup', 5)",
            "CREATE TABLE log (word text)",
        ] {
            run(&*database, sql);
        }
        (cluster, database)
    });
    database.clone()
}

fn run(db: &dyn Database, sql: &str) -> sql::Results {
    let job = Job::new(Statement::new(sql.to_owned(), ()));
    db.submit(job).wait_timeout(LIMIT).unwrap().unwrap()
}

/// The only value of a query.
fn value(sql: &str) -> i64 {
    let results = run(&*database(), sql);
    results.first.row(0).unwrap().get(0).unwrap()
}

fn plan(text: &str) -> Result<Plan, String> {
    let told = |faults: Vec<Fault>| {
        let faults: Vec<_> = faults.iter().map(Fault::to_string).collect();
        faults.join("\n")
    };
    let source = Source::read("a.sql", text).map_err(told)?;
    Plan::new(source, Options::default(), &Options::default()).map_err(told)
}

fn procedure(text: &str) -> Arc<Procedure> {
    let plan = plan(text).unwrap_or_else(|faults| panic!("{text}: {faults}"));
    let callers = Callers::new("realm1".into(), None, database());
    Procedure::new("com.example.p".into(), plan, callers, ErrorDetails::Debug)
}

/// Waits for answers.
struct Waiting(Mutex<mpsc::Sender<Result<Payload, Error>>>);

impl Callee for Waiting {
    fn answer_later(&self, _: Unanswered, answer: Result<Payload, Error>) {
        self.0.lock().unwrap().send(answer).unwrap();
    }

    fn send_part(&self, _: RequestId, _: Payload, _: Receipt) {
        unreachable!("no procedure here answers in parts");
    }
}

fn begin(procedure: &Arc<Procedure>, args: &Value, kwargs: &Value) -> Answer {
    procedure.call(&Invocation {
        procedure: procedure.uri.clone(),
        details: Sparse::default(),
        payload: Payload::from_args_kwargs(args, kwargs).unwrap(),
        caller: None,
    })
}

/// Waits for the answer.
pub(in crate::sql) fn end(answer: Answer) -> Result<Value, Error> {
    let payload = match answer? {
        Reply::Now(payload) => payload,
        Reply::Later(later) => {
            let (send, receive) = mpsc::channel();
            let invocation = Unanswered {
                request: RequestId::FIRST,
                outbound: None,
            };
            later.send_by(Arc::new(Waiting(Mutex::new(send))), invocation);
            receive.recv_timeout(LIMIT).unwrap()?
        }
    };
    Ok(payload.args::<(Value,)>().unwrap().0)
}

fn call(procedure: &Arc<Procedure>, args: Value, kwargs: Value) -> Result<Value, String> {
    let answer = end(begin(procedure, &args, &kwargs));
    answer.map_err(|error| {
        let payload = error.payload(ErrorDetails::None);
        format!(
            "{}: {}",
            error.uri(),
            payload.args::<(String,)>().unwrap().0
        )
    })
}

/// What the preparing of a procedure says.
fn faults(text: &str) -> String {
    let (send, receive) = mpsc::channel();
    procedure(text).prepare(move |result| send.send(result.err()).unwrap());
    match receive.recv_timeout(LIMIT).unwrap() {
        Some(Unprepared::Faulty(faults, _)) => {
            let faults: Vec<_> = faults.iter().map(Fault::to_string).collect();
            faults.join("\n")
        }
        other => panic!("{text}: {other:?}"),
    }
}

const CHEAP: &str = "-- The goods below a price.\n\
                     SELECT id, name, price FROM goods WHERE price < :price\n\
                     ORDER BY price LIMIT :n = 20";

#[test]
fn arguments_come_by_position_and_by_name() {
    let cheap = procedure(CHEAP);
    let tea = json!({"id": 1, "name": "tea", "price": "3.50"});
    let cup = json!({"id": 3, "name": "cup", "price": "5"});
    assert_eq!(cheap.plan.description(), "The goods below a price.");
    // The first call prepares, the others find it prepared.
    for (args, kwargs, goods) in [
        (json!([10]), json!({}), json!([tea, cup])),
        (json!([]), json!({"price": 10}), json!([tea, cup])),
        (json!([10, 1]), json!({}), json!([tea])),
        (json!([10]), json!({"n": 1}), json!([tea])),
        (json!([]), json!({"n": 1, "price": "4.99"}), json!([tea])),
        (json!([null]), json!({}), json!([])),
    ] {
        assert_eq!(
            call(&cheap, args.clone(), kwargs.clone()),
            Ok(goods),
            "{args} {kwargs}"
        );
    }
    for (args, kwargs, why) in [
        (
            json!([]),
            json!({}),
            "argument `price` is missing: wanted numeric",
        ),
        (
            json!([1, 2, 3]),
            json!({}),
            "3 arguments came, and the procedure takes 2: price, n",
        ),
        (
            json!([1]),
            json!({"price": 2}),
            "argument `price` came twice",
        ),
        (
            json!([1]),
            json!({"prize": 2}),
            "there is no argument `prize`, did you mean `price`?; the procedure takes: price, n",
        ),
        (json!([1, "x"]), json!({}), "argument `n`: wanted "),
        (json!([true]), json!({}), "argument `price`: wanted "),
    ] {
        let told = call(&cheap, args.clone(), kwargs.clone()).unwrap_err();
        let why = format!("wamp.error.invalid_argument: {why}");
        assert!(told.starts_with(&why), "{args} {kwargs}: {told}");
    }
    let numbered = procedure("SELECT $2::int - $1::int AS d, $2 AS again");
    let answer = json!([{"d": 3, "again": 5}]);
    assert_eq!(call(&numbered, json!([2, 5]), json!({})), Ok(answer));
    let typed = procedure("-- @param x int[] = [1, 2]\nSELECT :x AS x, :y::text AS y");
    let answer = json!([{"x": [1, 2], "y": "'"}]);
    assert_eq!(call(&typed, json!([]), json!({"y": "'"})), Ok(answer));
}

#[test]
fn results_have_the_shape_that_is_asked_for() {
    let two = "FROM goods WHERE id < 3 ORDER BY id";
    for (text, answer) in [
        (format!("SELECT id {two}"), json!([{"id": 1}, {"id": 2}])),
        (
            format!("-- @returns arrays\nSELECT id, id {two}"),
            json!([[1, 1], [2, 2]]),
        ),
        (
            "-- @returns row\nSELECT id FROM goods WHERE id = 2".into(),
            json!({"id": 2}),
        ),
        (
            "-- @single\nSELECT id FROM goods WHERE id = 2".into(),
            json!({"id": 2}),
        ),
        (
            "-- @returns row\nSELECT id FROM goods WHERE id = 9".into(),
            json!(null),
        ),
        (
            "-- @returns value\nSELECT count(*) FROM goods".into(),
            json!(3),
        ),
        (
            "-- @returns value\nSELECT id FROM goods WHERE id = 9".into(),
            json!(null),
        ),
        (format!("-- @returns count\nSELECT id {two}"), json!(2)),
        (format!("-- @returns none\nSELECT id {two}"), json!(null)),
        ("UPDATE goods SET name = name".into(), json!(3)),
        ("SELECT id FROM goods WHERE false".into(), json!([])),
        (
            "UPDATE goods SET name = name WHERE id = 1 RETURNING id".into(),
            json!([{"id": 1}]),
        ),
        (
            "-- @returns value\n-- @int8 string\nSELECT 1::int8".into(),
            json!("1"),
        ),
        (
            "-- @returns value\n-- @numeric number\nSELECT 1.5".into(),
            json!(1.5),
        ),
    ] {
        assert_eq!(
            call(&procedure(&text), json!([]), json!({})),
            Ok(answer),
            "{text}"
        );
    }
    let many = procedure(&format!("-- @returns row\nSELECT id {two}"));
    let told = call(&many, json!([]), json!({})).unwrap_err();
    assert!(
        told.ends_with("answers with one row, and its statement gave more"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_prepared_is_told_with_its_place() {
    for (text, told) in [
        (
            "-- x\nSELECT\n  nam FROM goods",
            "a.sql:3:3: column \"nam\" does not exist",
        ),
        (
            "SELECT 'ä', :a::int +\n FRM",
            "a.sql:2:2: column \"frm\" does not exist",
        ),
        (
            "SELECT :a::int a; SELECT * FROM nowhere",
            "a.sql:1:33: relation \"nowhere\" does not exist",
        ),
        (
            "SELECT q FROM goods; SELECT x",
            "a.sql:1:8: column \"q\" does not exist\na.sql:1:29: column \"x\" does not exist",
        ),
        (
            "SELECT id, name AS id FROM goods",
            "a.sql:1:1: two columns have the name `id`: give one another name with AS, or return `arrays`",
        ),
        (
            "-- @returns value\nSELECT 1, 2",
            "a.sql:2:1: `returns value` is for one column, and the statement gives 2",
        ),
        (
            "-- @returns stream\nSELECT 1 AS a, 2 AS a",
            "a.sql:2:1: two columns have the name `a`",
        ),
        (
            "-- @returns stream\nUPDATE goods SET id = id",
            "a.sql:2:1: the statement gives no rows",
        ),
        (
            "-- @returns rows\nUPDATE goods SET id = id",
            "a.sql:2:1: the statement gives no rows: `returns` can be `count` or `none`",
        ),
        (
            "SELECT pg_typeof(:x)",
            "a.sql:1:18: could not determine data type of parameter $1; say the type of `x` by `@param x type`",
        ),
        (
            "-- @param x nosuchtype\nSELECT :x",
            "a.sql:2:8: type \"nosuchtype\" does not exist",
        ),
    ] {
        let faults = faults(text);
        // PostgreSQL's hint may follow.
        assert!(faults.starts_with(told), "{text}: {faults}");
    }
}

#[test]
fn what_is_wrong_with_options_is_told_with_its_place() {
    for (text, told) in [
        (
            "-- @timout 2s\nSELECT 1",
            "a.sql:1:4: unknown option `timout`, did you mean `timeout`?",
        ),
        (
            "-- @param b int\nSELECT :a",
            "a.sql:1:4: there is no parameter `b` in the SQL, did you mean `a`?; it has: a",
        ),
        (
            "-- @batch 5\nSELECT 1",
            "a.sql: `batch` is for a procedure with `returns stream`, and this one has none",
        ),
        (
            "-- @returns stream\nSELECT 1; SELECT 2",
            "a.sql: `returns stream` is for a procedure of one statement, and there are several",
        ),
        (
            "-- @result x\n-- @returns stream\nSELECT 1",
            "a.sql: `@result` and `@skip` do not go with `returns stream`",
        ),
        (
            "-- @dry_run\n-- @returns stream\nSELECT 1",
            "a.sql: `dry_run` does not go with `returns stream`",
        ),
        (
            "-- @result x\nSELECT 1; -- @result x\nSELECT 2",
            "a.sql:3:1: there are two results with the name `x`",
        ),
    ] {
        let faults = plan(text).expect_err(text);
        assert!(faults.starts_with(told), "{text}: {faults}");
    }
}

#[test]
fn secret_parameters_are_repeated_nowhere() {
    let text = "-- @secret\nSELECT (:card::text)::int AS card, :n::int AS n";
    for (args, why) in [
        (json!(["4711x", 1]), "SQLSTATE 22P02"),
        (json!(["4711", "47x11"]), "argument `n`: wanted"),
    ] {
        let told = call(&procedure(text), args.clone(), json!({})).unwrap_err();
        assert!(told.contains(why) && !told.contains("4711x"), "{told}");
        assert!(!told.contains("47x11"), "{told}");
        let told = call(
            &procedure(&text.replace("-- @secret", "--")),
            args,
            json!({}),
        );
        assert!(told.is_err());
    }
}

#[test]
fn a_faulty_procedure_is_tried_again_when_it_is_called() {
    let late = procedure("SELECT * FROM late");
    let told = call(&late, json!([]), json!({})).unwrap_err();
    assert!(told.contains("(SQLSTATE 42P01)"), "{told}");
    run(&*database(), "CREATE TABLE late (id int)");
    assert_eq!(call(&late, json!([]), json!({})), Ok(json!([])));
}

#[test]
fn a_procedure_works_again_after_its_table_has_become_another() {
    run(&*database(), "CREATE TABLE changing (n int)");
    let insert = procedure("INSERT INTO changing VALUES (:n) RETURNING n");
    assert_eq!(call(&insert, json!([1]), json!({})), Ok(json!([{"n": 1}])));
    run(&*database(), "ALTER TABLE changing ALTER n TYPE text");
    // A call may fail for it, or for what a connection has prepared.
    let mut answer = Ok(json!(null));
    for _ in 0..3 {
        answer = call(&insert, json!(["two"]), json!({}));
    }
    assert_eq!(answer, Ok(json!([{"n": "two"}])));
}

#[test]
fn several_statements_are_one_transaction_with_named_results() {
    let order = procedure(
        "-- Two of them have a name.\n-- @result goods\nSELECT id FROM goods WHERE id = :id;\n\
         -- @skip\nINSERT INTO log VALUES (:word);\n\
         -- @result logged\n-- @returns value\nSELECT count(*) FROM log WHERE word = :word",
    );
    let answer = json!({"goods": [{"id": 1}], "logged": 1});
    assert_eq!(call(&order, json!([1, "order"]), json!({})), Ok(answer));
    let last = procedure(
        "INSERT INTO log VALUES ('last'); SELECT count(*) n FROM log WHERE word = 'last'",
    );
    assert_eq!(call(&last, json!([]), json!({})), Ok(json!([{"n": 1}])));
    let skipped = procedure("INSERT INTO log VALUES ('skip');\n-- @skip\nSELECT 1");
    assert_eq!(call(&skipped, json!([]), json!({})), Ok(json!(1)));
    let failing = procedure("INSERT INTO log VALUES ('gone'); SELECT 1 / :x::int");
    let told = call(&failing, json!([0]), json!({})).unwrap_err();
    assert!(told.contains("division by zero"), "{told}");
    assert_eq!(value("SELECT count(*) FROM log WHERE word = 'gone'"), 0);
}
